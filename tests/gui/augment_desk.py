"""A preview worker whose answers the test gives, and the small folders that the Augment page's tests look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QLabel

from studio.core.experiment import Experiment
from studio.dataset.scan import scan

MEDIUM = ["RandomResizedCrop", "HorizontalFlip", "Affine", "ColorJitter"]  # the steps of the preset
PICTURES = ("tiles", "batch")


def make_images(folder: Path, classes: dict[str, int]) -> Path:
    rng = np.random.default_rng(1)
    for name, number in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / name / f"{i:03}.png")
    return folder


class Desk:
    """`answer(i)` answers the i-th question for a grid; questions of the gallery and the strips are kept apart."""

    def __init__(self):
        self.calls: list[tuple] = []  # method, params, on_result, on_error, on_part
        self.effects: list[tuple] = []
        self.is_busy = False

    def call(self, method, params, on_result, on_error=None, on_progress=None, *, on_part=None, key=None) -> int:
        (self.calls if method in PICTURES else self.effects).append((method, params, on_result, on_error, on_part))
        return len(self.calls) + len(self.effects)

    def cancel(self, request: int) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass

    def image(self, value: int) -> dict:
        return {"content": bytes([value]) * (8 * 8 * 3), "width": 8, "height": 8}

    def part(self, index: int, tile: int, value: int = 7, **more) -> None:
        """One picture of the i-th question."""
        drawn = [{"step": 0, "name": "RandomResizedCrop", "values": [["cut out", "29 × 38 px"]], "failure": ""}]
        self.calls[index][4]({"tile": tile, "image": self.image(value), "seed": 100 + tile, "drawn": drawn} | more)

    def answer(self, index: int, value: int = 7, **more) -> None:
        _, params, on_result, _, _ = self.calls[index]
        for tile in range(min(params.get("count", 64), len(params["subjects"]))):
            self.part(index, tile, value, **more)
        on_result({"ms_per_image": 0.7})

    def asked(self) -> list[dict]:
        return [params for _, params, *_ in self.calls]

    def of(self, method: str) -> list[tuple]:
        """Questions of the gallery or the strips."""
        return [call for call in self.effects if call[0] == method]


def make_stage(qapp, tmp_path_factory, size=(1000, 740)):
    """A page and its desk for all tests of a file: making the page is most of their cost. For a fixture of the module."""
    from studio.gui import theme
    from studio.gui.context import make_context
    from studio.gui.pages.augment.page import AugmentPage
    from studio.gui.testing import FakeEngines, FakeWorker

    theme.install(qapp, "dark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        desk = Desk()
        context = make_context(preview=desk, probe=FakeWorker(), engines=FakeEngines())
        page = AugmentPage(context)
        page.resize(*size)
        page.show()
    yield page, desk
    page.hide()
    page.deleteLater()
    context.close()
    qapp.setStyleSheet("")


def start_anew(page, desk: Desk):
    """The page as it is when it is made: no data, the light preset, nothing chosen."""
    page.deactivate()
    page.large.close_view()
    page.banner.hide()
    gallery, preview = page.gallery, page.preview
    gallery.search.clear()
    gallery.groups.choose(())
    gallery.model.favourites.clear()
    gallery._filter()
    page.store.set_dataset(None)
    page.store.reset_to(Experiment())
    page.draft.choose(None)
    preview.subjects._set(None)
    preview._epoch = 0
    preview._last_reroll.invalidate()
    preview.tools.network_toggle.setChecked(True)
    preview.lock_button.setChecked(False)
    preview.tools.normal_button.setChecked(False)
    preview._batch = 0
    preview.pins._set(())
    preview.mode_choice.set_value("photo")
    preview.comparison.end()
    preview.banner.hide()
    preview.grid.set_current(0)
    desk.calls.clear()
    desk.effects.clear()
    page.activate()
    gallery.forget_pictures()
    return page


def give_data(page, folder: Path) -> None:
    page.store.reset_to(Experiment().changed({"data.source": str(folder)}))
    page.context.scan.cancel()
    page.store.set_dataset(scan(page.store.experiment.data))


def texts_of(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget)).replace("\u00a0", " ")
