"""What a scan found: labelled images, each in one part, and what could not be used. Immutable and plain data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from studio.core.json_text import parse_json
from studio.core.path_text import text_to_path
from studio.core.problem import BadInput, Problem, Severity
from studio.core.reading import WHITE_16_BIT, Reading
from studio.core.rng import synthetic_per_epoch

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

LAYOUT_TITLES = {
    "class folders": "one sub-folder per class",
    "inner folders": "one class per innermost folder",
    "split folders": "train, validation and test folders",
    "csv": "CSV file",
}


class Cancelled(Exception):
    """The person stopped a scan, a check or another long task. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image. Width and height are as stored in the file, before an EXIF turn."""

    id: str  # text form (core.path_text) of the path relative to the root, "/" between folders
    label: str
    split: Split
    width: int
    height: int
    num_bytes: int
    mtime_ns: int
    num_bands: int = 0  # of a file with more bands than a picture has colours; 0 for pictures


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that is not used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """`classes` is in fixed order: the position of a name is its class index. Samples are sorted by id."""

    root: str  # text form (core.path_text) of the absolute path of the folder that ids are relative to
    layout: str  # a key of LAYOUT_TITLES
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    set_aside: tuple[SetAside, ...] = ()
    problems: tuple[Problem, ...] = ()
    has_given_parts: bool = False  # the folder or table says which image is in which part
    synthetic: tuple[Sample, ...] = ()  # made images, only ever trained on; ids are absolute paths, no part holds them
    is_unmeasured: bool = False  # as asked, nothing is held back to measure progress with
    kept_empty: tuple[str, ...] = ()  # classes without images that have their place in `classes`, as asked
    num_ignored: int = 0  # what systems and tools left in the folder, pipes and devices
    reading: Reading = Reading()  # as the scan was told, and every later reading keeps it

    def part(self, split: Split) -> tuple[Sample, ...]:
        return self._parts[split]

    @cached_property
    def _parts(self) -> dict[str, tuple[Sample, ...]]:
        return {split: tuple(s for s in self.samples if s.split == split) for split in SPLITS}

    @cached_property
    def class_index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def path_of(self, sample: Sample | SetAside | str) -> str:
        """The path to open, as the operating system wants it."""
        id_ = sample if isinstance(sample, str) else sample.id
        return os.path.join(text_to_path(self.root), text_to_path(id_))

    @cached_property
    def banded(self) -> tuple[Sample, ...]:
        """The images of more bands than a picture has colours."""
        return tuple(s for s in self.samples if s.num_bands > 3)

    @cached_property
    def band_range(self) -> tuple[int, int]:
        """The fewest and the most bands of `banded`; (0, 0) without."""
        numbers = {s.num_bands for s in self.banded} or {0}
        return min(numbers), max(numbers)

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per class and part: {"cat": {"train": 70, "validation": 15, "test": 15}, ...} in class order."""
        found = {name: dict.fromkeys(SPLITS, 0) for name in self.classes}
        for sample in self.samples:
            found[sample.label][sample.split] += 1
        return found

    def synthetic_counts(self) -> dict[str, int]:
        """Made images per class, in class order."""
        found = dict.fromkeys(self.classes, 0)
        for sample in self.synthetic:
            found[sample.label] += 1
        return found

    def epoch_size(self, synthetic_fraction: float) -> int:
        """Images of one epoch: every real one once, and so many made ones that they are this share of all."""
        real = len(self.part("train"))
        return real + synthetic_per_epoch(real, len(self.synthetic), synthetic_fraction)

    @property
    def num_bytes(self) -> int:
        return sum(sample.num_bytes for sample in self.samples)

    def changed(self, **values) -> Dataset:
        return dataclasses.replace(self, **values)

    def fingerprint(self) -> str:
        """SHA-256 over classes, ids, labels, parts and sizes: equal for equal training data, wherever the folder lies."""
        rows = [[s.id, s.label, s.split, s.num_bytes] for s in self.samples]
        rows += [[s.id, s.label, "synthetic", s.num_bytes] for s in self.synthetic]
        return hashlib.sha256(json.dumps([self.classes, rows], separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> bytes:
        """UTF-8 JSON with one column per field: 100,000 samples take about 8 MB."""
        raw = {
            "version": 1,
            "root": self.root,
            "layout": self.layout,
            "has_given_parts": self.has_given_parts,
            "is_unmeasured": self.is_unmeasured,
            "kept_empty": self.kept_empty,
            "num_ignored": self.num_ignored,
            "max_megapixels": self.reading.max_megapixels,
            "bands": self.reading.bands,
            "white": self.reading.white,
            "classes": self.classes,
            "samples": self._columns(self.samples),
            "synthetic": self._columns(self.synthetic),
            "set_aside": [[s.id, s.reason] for s in self.set_aside],
            "problems": [[p.field, p.severity, p.sentence] for p in self.problems],
        }
        return json.dumps(raw, separators=(",", ":")).encode()

    def _columns(self, samples: tuple[Sample, ...]) -> dict[str, list]:
        bands = {"num_bands": [s.num_bands for s in samples]} if any(s.num_bands for s in samples) else {}
        return bands | {
            "id": [s.id for s in samples],
            "label": [self.class_index[s.label] for s in samples],
            "split": [SPLITS.index(s.split) for s in samples],
            "width": [s.width for s in samples],
            "height": [s.height for s in samples],
            "num_bytes": [s.num_bytes for s in samples],
            "mtime_ns": [s.mtime_ns for s in samples],
        }

    @classmethod
    def from_json(cls, data: bytes) -> Dataset:
        """Inverse of `to_json`. Raises BadInput when the bytes are something else."""
        try:
            raw = parse_json(data)
            classes = tuple(raw["classes"])
            return cls(
                root=raw["root"],
                layout=raw["layout"],
                has_given_parts=bool(raw.get("has_given_parts", False)),
                is_unmeasured=bool(raw.get("is_unmeasured", False)),
                kept_empty=tuple(raw.get("kept_empty", ())),
                num_ignored=int(raw.get("num_ignored", 0)),
                reading=Reading(float(raw.get("max_megapixels", 80.0)), tuple(raw.get("bands", ())), int(raw.get("white", WHITE_16_BIT))),
                classes=classes,
                samples=_from_columns(raw["samples"], classes),
                synthetic=_from_columns(raw["synthetic"], classes) if "synthetic" in raw else (),
                set_aside=tuple(SetAside(*pair) for pair in raw["set_aside"]),
                problems=tuple(Problem(field, Severity(severity), sentence) for field, severity, sentence in raw["problems"]),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as exc:
            raise BadInput(f"The list of images cannot be read ({type(exc).__name__}). Scan the folder again.") from None


def _from_columns(c: dict[str, list], classes: tuple[str, ...]) -> tuple[Sample, ...]:
    bands = c.get("num_bands") or [0] * len(c["id"])
    rows = zip(c["id"], c["label"], c["split"], c["width"], c["height"], c["num_bytes"], c["mtime_ns"], bands, strict=True)
    return tuple(Sample(id_, classes[label], SPLITS[split], *rest) for id_, label, split, *rest in rows)
