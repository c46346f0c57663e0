"""States of the page for the screenshots: each function brings it there as a person would."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.experiment import TransformSpec

if TYPE_CHECKING:
    from studio.gui.pages.augment.page import AugmentPage


def states() -> dict[str, Callable[[AugmentPage], object]]:
    return {
        "strong": lambda page: page.store.set({"augment.preset": "strong"}),
        "off": lambda page: page.store.set({"augment.preset": "none"}),
        "strip": _strip,
        "photos": lambda page: page.preview.set_mode("photos"),
        "batch": _batch,
        "compare": lambda page: page.preview.comparison.begin("Strong", page.draft.augment.model_copy(update={"preset": "strong"})),
        "gallery": _gallery,
        "group": _group,
        "solo": _solo,
        "pinned": _pinned,
        "normalised": lambda page: page.preview.tools.normal_button.click(),
        "large": _large,
        "warning": _warning,
        "failing": _failing,
        "import": _import,
        "error": lambda page: page.preview.show_file("/nowhere/photo.jpg"),
    }


def _strip(page: AugmentPage) -> None:
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((3,))


def _batch(page: AugmentPage) -> None:
    page.store.set({"augment.preset": "medium", "augment.mixup_p": 0.5, "augment.cutmix_p": 0.5})
    page.draft.choose("cutmix")
    page.preview.set_mode("batch")


def _gallery(page: AugmentPage) -> None:
    page.gallery.groups.choose(("Weather", "Occlusion"))
    page.gallery.groups.choice_changed.emit(("Weather", "Occlusion"))
    page.gallery.toggle_favourite("RandomFog")


def _group(page: AugmentPage) -> None:
    page.store.set({"augment.preset": "strong"})
    page.draft.choose((4,))


def _solo(page: AugmentPage) -> None:
    page.store.set({"augment.preset": "medium"})
    page.draft.set_solo((2,))


def _pinned(page: AugmentPage) -> None:
    for tile in (3, 6, 12):
        page.preview.toggle_pin(page.preview.pin_of(page.preview.grid, tile))
    page.store.set({"augment.preset": "strong"})


def _large(page: AugmentPage) -> None:
    page.show_large(page.preview.grid, 3)


def _warning(page: AugmentPage) -> None:
    blur = TransformSpec(name="GaussianBlur", p=0.5, params={"sigma_limit": (7.0, 8.0)})
    page.draft.take_steps((*page.draft.steps, blur), "heavy blur")
    page.draft.choose((len(page.draft.steps) - 1,))
    page.safety.measure()


def _failing(page: AugmentPage) -> None:
    crop = TransformSpec(name="CenterCrop", p=0.5, params={"height": 2000, "width": 2000, "pad_if_needed": False})
    page.draft.take_steps((*page.draft.steps, crop), "a crop larger than the picture")


def _import(page: AugmentPage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "from-a-paper.yaml"
        path.write_text("transform:\n  __class_fullname__: Compose\n  transforms:\n  - {__class_fullname__: my_lab.Secret, p: 1}\n")
        page.exchange.open_file(str(path))
