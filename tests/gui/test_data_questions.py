"""What the Data page asks: bands and white of multi-spectral and 16-bit files, links to outside. Seen before it is decided, undone like every edit."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from studio.core.problem import errors_in
from studio.core.reading import Reading, suggested_bands
from studio.dataset.thumbnail import thumbnail
from studio.gui.pages.data.page import DataPage
from studio.gui.store import show_value
from tests.gui.test_data_page import make_images, open_and_wait, page, wait_for_scan

__all__ = ["page"]  # the fixture


@pytest.fixture
def images(tmp_path):
    """Six images of each class; of band b every value is 40 * b."""
    for name in ("crop", "water"):
        (tmp_path / "fields" / name).mkdir(parents=True)
        for number in range(6):
            values = np.full((24, 24, 5), [40, 80, 120, 160, 200], np.uint8) + np.uint8(number)
            tifffile.imwrite(tmp_path / "fields" / name / f"{number}.tif", values, photometric="minisblack", planarconfig="contig")
    return tmp_path / "fields"


def colour_of(page: DataPage, qtbot) -> tuple[int, int, int]:
    """Of the middle of the first picture of the preview."""
    loader, path = page.bands.preview.loader, page.bands.preview.paths[0]
    qtbot.waitUntil(lambda: loader.pixmap(path, 120) is not None)
    return loader.pixmap(path, 120).toImage().pixelColor(60, 60).getRgb()[:3]


def is_near(found, wanted) -> bool:
    return np.abs(np.subtract(found, wanted)).max() <= 8


def test_usual_images_ask_for_no_bands(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, make_images(tmp_path / "pets", {"cat": 4, "dog": 4}))
    assert page.bands.isHidden()


def test_bands_are_asked_for_shown_chosen_and_undone(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    panel, store = page.bands, page.context.store
    store.set({"training.batch_size": 4})  # fits: no step of the undo history is made for it later
    assert panel.isVisible() and panel.title_label.text() == "12 images have 5 bands"
    assert panel.chosen == (3, 2, 1) and store.experiment.data.bands == ()
    assert errors_in(store.problems)
    (card,) = [card for card in page.issues.cards if "bands" in card.finding.title]
    assert card.finding.detail == "Choose which three are red, green and blue, on the Data page."
    assert is_near(colour_of(page, qtbot), (120, 80, 40))
    page.shortcuts()[1][2]()
    assert panel.combos[0].hasFocus()
    qtbot.keyClick(panel.combos[0], Qt.Key.Key_End)
    assert panel.chosen == (5, 2, 1) and store.experiment.data.bands == (), "seen, not yet decided"
    assert is_near(colour_of(page, qtbot), (200, 80, 40))
    qtbot.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    assert store.experiment.data.bands == (5, 2, 1) and store.undo_label == "bands 5, 2, 1"
    wait_for_scan(page, qtbot)
    assert not errors_in(store.problems) and not panel.use_button.isVisible()
    path = store.dataset.path_of(store.dataset.samples[0])
    assert is_near(thumbnail(path, 24, store.experiment.data.reading).mean((0, 1)), (200, 80, 40))
    qtbot.keyClick(panel.combos[2], Qt.Key.Key_Down)
    assert store.experiment.data.bands == (5, 2, 2), "from now on at once"
    store.undo()
    assert panel.chosen == (5, 2, 1)
    store.undo()
    wait_for_scan(page, qtbot)
    assert store.experiment.data.bands == () and errors_in(store.problems) and panel.use_button.isVisible()


def test_another_folder_gets_its_own_suggestion(page, qtbot, images, tmp_path):
    open_and_wait(page, qtbot, images)
    page.context.store.set({"data.bands": (5, 4, 3)})
    wait_for_scan(page, qtbot)
    assert page.bands.chosen == (5, 4, 3)
    open_and_wait(page, qtbot, shutil.copytree(images, tmp_path / "other"))
    page.context.store.set({"data.bands": ()})
    wait_for_scan(page, qtbot)
    assert page.bands.use_button.isVisible() and page.bands.chosen == (3, 2, 1)


def test_what_a_scan_tells_moves_nothing_in_an_open_list(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    white = page.bands.white
    white.showPopup()
    for _ in range(2):
        qtbot.keyClick(white.view(), Qt.Key.Key_Down)
    page.context.scan.changed.emit()
    assert white.view().currentIndex().row() == 2
    white.hidePopup()


def test_the_grid_shows_the_chosen_bands(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.context.store.set({"data.bands": (1, 3, 5)})
    wait_for_scan(page, qtbot)
    path = page.images.grid.thumb(0).path

    def shown() -> bool:
        pixmap = page.loader.pixmap(path, 96)
        return pixmap is not None and is_near(pixmap.toImage().pixelColor(48, 48).getRgb()[:3], (40, 120, 200))

    qtbot.waitUntil(shown)


def test_dark_16_bit_images_are_asked_for_their_white(page, qtbot, tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(np.full((40, 40), 600 * number + 400, np.uint16)).save(tmp_path / "deep" / name / f"{number}.png")
    open_and_wait(page, qtbot, tmp_path / "deep")
    assert page.bands.isVisible() and not page.bands.combos[0].isVisible()
    page.bands.white.setFocus()
    page.bands.white.value_changed.emit(4095)
    assert page.context.store.experiment.data.reading == Reading(white=4095)
    wait_for_scan(page, qtbot)
    assert page.bands.isVisible() and page.bands.white.value == 4095
    assert not [p for p in page.context.store.problems if p.field == "data.white"]


def test_what_is_suggested_is_natural_colour_where_that_is_usual():
    assert [suggested_bands(n) for n in (4, 5, 13)] == [(1, 2, 3), (3, 2, 1), (4, 3, 2)]


def test_links_to_outside_are_asked_about_once(page, qtbot, tmp_path):
    make_images(tmp_path / "store", {"x": 1})
    folder = make_images(tmp_path / "pets", {"cat": 4, "dog": 4})
    (folder / "cat" / "link.png").symlink_to(tmp_path / "store" / "x" / "000.png")
    open_and_wait(page, qtbot, folder)
    assert len(page.context.store.dataset.samples) == 9
    (card,) = [card for card in page.issues.cards if card.finding.kind == "question"]
    assert "1 file is a link to a place outside the folder" in card.finding.title
    qtbot.mouseClick(card.findChild(QPushButton, "data.outside_links.leave_out"), Qt.MouseButton.LeftButton)
    wait_for_scan(page, qtbot)
    assert len(page.context.store.dataset.samples) == 8 and not [c for c in page.issues.cards if c.finding.kind == "question"]
    page.context.store.undo()
    wait_for_scan(page, qtbot)
    assert page.context.store.experiment.data.outside_links == "ask" and len(page.context.store.dataset.samples) == 9


def test_inner_folders_are_asked_about_once(page, qtbot, tmp_path):
    make_images(tmp_path / "pets" / "cat", {"indoor": 4, "outdoor": 4})
    open_and_wait(page, qtbot, make_images(tmp_path / "pets", {"dog": 4}))
    store = page.context.store
    assert store.dataset.classes == ("cat", "dog")
    (card,) = [card for card in page.issues.cards if card.finding.kind == "question"]
    qtbot.mouseClick(card.findChild(QPushButton, "data.layout.inner_folders"), Qt.MouseButton.LeftButton)
    wait_for_scan(page, qtbot)
    assert store.dataset.classes == ("cat/indoor", "cat/outdoor", "dog")
    assert not [c for c in page.issues.cards if c.finding.kind == "question"]


def test_an_empty_class_is_asked_about_once(page, qtbot, tmp_path):
    folder = make_images(tmp_path / "pets", {"cat": 8, "dog": 8})
    (folder / "bird").mkdir()
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    open_and_wait(page, qtbot, folder)
    store = page.context.store
    assert store.dataset.classes == ("cat", "dog") and "1 system file ignored" in page.subtitle_label.text()
    (card,) = [card for card in page.issues.cards if card.finding.kind == "question"]
    qtbot.mouseClick(card.findChild(QPushButton, "data.empty_classes.keep"), Qt.MouseButton.LeftButton)
    wait_for_scan(page, qtbot)
    assert store.dataset.classes == ("bird", "cat", "dog") and not errors_in(store.problems)
    assert [row.total for row in page.class_list.rows if row.name == "bird"] == [0]
    assert not [card for card in page.issues.cards if card.finding.kind == "question"]


def test_chosen_bands_are_named_where_two_runs_differ_in_them():
    assert show_value((5, 3, 2)) == "5, 3, 2" and show_value(()) == "0"
