"""Which images the grid shows, and in which order. No Qt."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from studio.dataset.dataset import Dataset, Sample

ORDERS = (("mixed", "Mixed"), ("name", "By file name"), ("class", "By class"))


@dataclass(frozen=True)
class Filter:
    """Empty fields let everything through; the others must all hold."""

    classes: tuple[str, ...] = ()
    search: str = ""
    part: str = ""
    ids: tuple[str, ...] = ()  # of a finding
    ids_title: str = ""
    order: str = "mixed"

    def but(self, **values) -> Filter:
        return replace(self, **values)

    @property
    def is_empty(self) -> bool:
        return not (self.classes or self.search.strip() or self.part or self.ids)


def filtered(dataset: Dataset, wanted: Filter) -> list[Sample]:
    """The samples that pass, in order."""
    samples = list(dataset.samples)
    if wanted.ids:
        order = {id_: i for i, id_ in enumerate(wanted.ids)}
        samples = sorted((s for s in samples if s.id in order), key=lambda s: order[s.id])
    if wanted.classes:
        classes = set(wanted.classes)
        samples = [s for s in samples if s.label in classes]
    if wanted.part:
        samples = [s for s in samples if s.split == wanted.part]
    if words := wanted.search.casefold().split():
        samples = [s for s in samples if all(w in s.id.casefold() for w in words)]
    if wanted.ids:
        return samples
    if wanted.order == "mixed":
        # By a checksum of the name: a fair look into all classes, the same each time, and filtering moves nothing about.
        samples.sort(key=lambda s: zlib.crc32(s.id.encode("utf-8", "surrogatepass")))
    elif wanted.order == "class":
        samples.sort(key=lambda s: (dataset.class_index.get(s.label, 0), s.id))
    return samples
