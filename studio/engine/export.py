"""Writing a trained network in another format, opening what was written, and comparing it with the original before it is believed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from studio.catalog.exporters import Exportable, Exporter, exporter_of
from studio.core.file import sha256_of
from studio.core.json_text import parse_json
from studio.core.path_text import path_to_text, shown
from studio.core.predictions import read_predictions
from studio.core.problem import BadInput
from studio.core.reliability import as_json, measure
from studio.core.run_folder import RunFolder
from studio.core.threshold import class_thresholds
from studio.dataset.dataset import Cancelled, Dataset
from studio.dataset.image import ImageRefused, read_image
from studio.dataset.walk import is_of_a_system
from studio.engine.network import Trained, load_trained
from studio.engine.predict import Predictor

NUM_COMPARED = 64
TOLERANCE = 1e-3  # largest difference of a probability
REPORT = "report.json"
_COMPANIONS = ("labels.txt", "preprocess.py")

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares. `agreement` is the share of images with the same best class, in [0, 1]."""

    format: str
    folder: str  # text form; ends in ".failed" when the comparison failed
    main_file: str
    num_bytes: int
    num_images: int
    are_real_images: bool  # False: no image of the run could be read, random pictures were compared
    agreement: float
    max_difference: float  # of the probabilities
    is_good: bool
    facts: dict[str, Any]
    note: str = ""  # that another checkpoint was written than was asked for

    @property
    def sentence(self) -> str:
        return f"{self._verdict} {self.note}".strip()

    @property
    def _verdict(self) -> str:
        what = "images of the run" if self.are_real_images else "random pictures (no image of the run could be read)"
        compared = f"{self.agreement:.1%} agreement and a largest difference of {self.max_difference:.1e} on {self.num_images} {what}"
        if self.is_good:
            return f"Same answers as in Studio: {compared}."
        return f"The exported network answers differently: {compared}; {TOLERANCE:g} is allowed. The files were kept aside and should not be used."


def export(
    folder: RunFolder,
    format_: str,
    destination: str | os.PathLike | None = None,
    *,
    which: Literal["best", "last"] = "best",
    may_replace: bool = False,
    progress: Progress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> ExportReport:
    """Write into `destination` (a folder; by default in the run's results), whole or not at all.

    Raises BadInput when the folder exists and `may_replace` is off or it holds anything but an export as it was written, when it cannot be
    written, or when the format cannot hold this network; Cancelled until it is in its place.
    """
    exporter = exporter_of(format_)
    target = Path(os.path.abspath(destination)) if destination is not None else folder.results_path / "exports" / format_
    _refuse_existing(target, may_replace)

    def check() -> None:
        if is_cancelled and is_cancelled():
            raise Cancelled

    def step(done: int, what: str) -> None:
        check()
        if progress:
            progress(done, 4, what)

    step(0, "Loading the network")
    trained = load_trained(folder, which)
    temporary = target.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir(parents=True)
        step(1, f"Writing {exporter.title}")
        is_best = which == "best" and not trained.note
        exportable = as_exportable(trained, reliability(folder) if is_best else None)  # the stored answers are the best epoch's
        facts = exporter.write(exportable, temporary)
        _write_companions(temporary, exporter, exportable)
        step(2, "Reading images to compare")
        views, are_real = comparison_views(folder, trained)
        step(3, "Comparing")
        agreement, difference = _compare(exporter, temporary, trained, views, check)
        is_good = difference <= TOLERANCE
        final = target if is_good else _place_aside(target)
        num_bytes = sum(p.stat().st_size for p in temporary.iterdir())
        report = ExportReport(
            format_, path_to_text(final), exporter.main_file, num_bytes, len(views), are_real, agreement, difference, is_good, facts,
            trained.note,
        )  # fmt: skip
        (temporary / REPORT).write_text(
            json.dumps(
                asdict(report)
                | {"run": folder.name, "which": which, "reliability": exportable.reliability}
                | {"files": {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}},
                indent=1,
            )
        )
        check()
        if is_good:
            _refuse_existing(target, may_replace)  # what was put there meanwhile
        _publish(temporary, final)
    except OSError as exc:
        raise BadInput(
            f"The export cannot be written to {shown(path_to_text(target))}: {exc.strerror or exc}. Choose another place."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if progress:
        progress(4, 4, "Done")
    return report


def reliability(folder: RunFolder) -> dict[str, Any] | None:
    """What a user of the export may want to know of its probabilities, which stay as they are; None where a run has stored no answers.

    {"temperature", "ece", "ece_after", "answer_only_when_sure", "thresholds": by class, None for one without validation images}
    """
    answers = read_predictions(folder)
    found = as_json(measure(answers.labels, answers.log_p, answers.losses)) if answers else None
    if answers is None or found is None:
        return None
    thresholds, _ = class_thresholds(answers.labels, answers.log_p)
    kept = {key: found[key] for key in ("temperature", "ece", "ece_after", "answer_only_when_sure")}
    return kept | {"thresholds": [None if np.isnan(t) else float(t) for t in thresholds]}


def as_exportable(trained: Trained, reliability: dict[str, Any] | None = None) -> Exportable:
    return Exportable(
        trained.module,
        trained.experiment.model.source,
        trained.experiment.model.backbone,
        trained.classes,
        trained.input_size,
        trained.mean,
        trained.std,
        trained.interpolation,
        trained.crop_fraction,
        trained.experiment.data.reading,
        reliability,
        not (trained.experiment.model.cut or trained.experiment.model.head),
    )


def comparison_views(folder: RunFolder, trained: Trained) -> tuple[np.ndarray, bool]:
    """Up to 64 evaluation views of validation images, of those that trained where none were held back, spread over the whole part,
    uint8[N, S, S, 3]; random pictures if none can be read."""
    predictor, views = Predictor(trained), []
    try:
        dataset = Dataset.from_json(folder.dataset_path.read_bytes())
        samples = dataset.part("validation") or dataset.part("train")
    except (OSError, BadInput):
        samples = ()
    for position in np.linspace(0, len(samples) - 1, min(NUM_COMPARED, len(samples))).round().astype(int):
        try:
            image = read_image(dataset.path_of(samples[position]), trained.experiment.data.reading)
        except (ImageRefused, OSError):
            continue
        views.append(predictor.view(image))
    if views:
        return np.stack(views), True
    size = trained.input_size
    return np.random.default_rng(0).integers(0, 256, (16, size, size, 3), np.uint8), False


def _compare(
    exporter: Exporter, folder: Path, trained: Trained, views_NHWC: np.ndarray, check: Callable[[], None]
) -> tuple[float, float]:  # fmt: skip
    """Agreement and largest difference of probabilities between the file and the original."""
    ours = Predictor(trained).probabilities
    theirs = exporter.open(folder)
    same, difference = 0, 0.0
    for start in range(0, len(views_NHWC), 16):
        check()
        batch = views_NHWC[start : start + 16]
        a, b = ours(batch), theirs(batch)
        same += int((a.argmax(1) == b.argmax(1)).sum())
        worst = float(np.abs(a - b).max())
        difference = max(difference, worst if np.isfinite(worst) else float("inf"))
    return same / len(views_NHWC), difference


def _refuse_existing(target: Path, may_replace: bool) -> None:
    is_empty = _is_empty_folder(target)
    if os.path.exists(target) and not may_replace and not is_empty:
        raise BadInput(f"{shown(path_to_text(target))} exists already. Choose another place with -o, or replace it with --force.")
    if os.path.exists(target) and not os.path.isdir(target):
        raise BadInput(f"{shown(path_to_text(target))} is a file. An export is a folder: choose another name.")
    if may_replace and os.path.isdir(target) and not is_empty and not _is_as_written(target):
        raise BadInput(
            f"{shown(path_to_text(target))} holds other files than an export, or changed ones, so it is not replaced. Choose another place."
        )


def _is_as_written(folder: Path) -> bool:
    """Whether a folder is an export in which nothing was added or changed. Those of earlier versions noted no checksums: there names must do."""
    try:
        report = parse_json((folder / REPORT).read_bytes())
        main = report["main_file"]
        known = report["files"] if "files" in report else dict.fromkeys((main, f"{main}.data", "config.json", *_COMPANIONS))
        found = [path for path in folder.iterdir() if path.name != REPORT and not (path.is_file() and is_of_a_system(path.name))]
        return all(path.name in known and known[path.name] in (None, sha256_of(path)) for path in found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _place_aside(target: Path) -> Path:
    """Where an export that answers differently goes: nothing else is replaced for it."""
    place, number = target.with_name(f"{target.name}.failed"), 1
    while os.path.lexists(place) and not (os.path.isdir(place) and _is_as_written(place)):
        number += 1
        place = target.with_name(f"{target.name}.failed-{number}")
    return place


def _is_empty_folder(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:  # also a folder that may not be read
        return False


def _publish(temporary: Path, final: Path) -> None:
    """Put the finished folder in its place; an earlier export there goes only when the new one is whole."""
    if final.exists():
        aside = final.with_name(f".{secrets.token_hex(6)}.old")
        final.rename(aside)
        temporary.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(final)


def _write_companions(folder: Path, exporter: Exporter, exportable: Exportable) -> None:
    labels = "".join(" ".join(name.splitlines()) + "\n" for name in exportable.classes)
    (folder / "labels.txt").write_text(labels, encoding="utf-8", errors="backslashreplace")
    code = _EXAMPLE.format(
        usage=exporter.usage, size=exportable.input_size, crop=exportable.crop_fraction,
        enlarge=_CV2.get(exportable.interpolation, "CUBIC"), white=exportable.reading.white,
        bands=_BANDS.format(bands=[band - 1 for band in exportable.reading.bands]) if exportable.reading.bands else "",
    )  # fmt: skip
    (folder / "preprocess.py").write_text(code, encoding="utf-8")


_CV2 = {"bilinear": "LINEAR", "nearest": "NEAREST"}
_BANDS = """    if path.lower().endswith((".tif", ".tiff")):  # needs tifffile, and imagecodecs for compressed files
        import tifffile

        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            values, axes, extra, turn = page.asarray(), page.axes, page.extrasamples, page.tags.valueof(274, 1)
        values = np.moveaxis(values, axes.index("S"), -1) if "S" in axes else values[..., None]
        if values.shape[-1] - any(extra) > 3:  # a picture with transparency is one like any other
            picture = Image.fromarray(to_8_bits(values[..., {bands}]))
            picture.getexif()[274] = turn
            return np.asarray(ImageOps.exif_transpose(picture))
"""
_EXAMPLE = '''"""What is in a picture? `python preprocess.py picture.jpg`. Needs numpy, pillow, opencv-python-headless and what is imported below."""

import sys

import cv2
import numpy as np
from PIL import Image, ImageOps

{usage}

def to_8_bits(values, white={white}):
    """16 bits to 8: `white` and above become 255."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise ValueError(f"pixels of type {{values.dtype}}; save the picture with 8 or 16 bits per channel")
    return values if values.dtype == np.uint8 else ((np.minimum(values, white).astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)


def read(path):
    """The picture upright, RGB on white: uint8[height, width, 3]"""
{bands}    picture = Image.open(path)
    if picture.mode in ("RGB", "RGBA") and ";16" in str(picture.tile) and "a;16" not in str(picture.tile):  # Pillow drops 8 bits of each colour
        values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise ValueError(f"{{path}} is compressed in a way that OpenCV does not know; save it as PNG")
        turn = 1 if picture.format == "TIFF" else picture.getexif().get(274, 1)  # cv2 turns a TIFF upright
        picture.close()
        picture = Image.fromarray(np.dstack([to_8_bits(values[..., 2::-1]), to_8_bits(values[..., 3:], 65535)]))
        picture.getexif()[274] = turn
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray(to_8_bits(np.asarray(picture)))
    picture = picture.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


def view(path, size={size}, crop={crop!r}):
    """The picture as the network sees it: centre square, resized as in training. uint8[size, size, 3]"""
    pixels = read(path)
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * crop))
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    how = cv2.INTER_{enlarge} if side < size else cv2.INTER_LINEAR if side < 2 * size else cv2.INTER_AREA
    return square if side == size else cv2.resize(square, (size, size), interpolation=how)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        row = probabilities(view(path)[None])[0]
        best = int(row.argmax())
        print(f"{{path}}: {{classes[best]}} ({{row[best]:.1%}})")
'''
