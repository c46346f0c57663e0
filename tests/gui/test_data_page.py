"""The Data page on small generated folders, with the real scan in its thread."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QLabel, QPushButton

from studio.core.experiment import Data, Experiment
from studio.core.problem import Severity, error, warning
from studio.dataset.check import Issue
from studio.gui.pages.data import edit as data_edit
from studio.gui.pages.data.classes import class_rows
from studio.gui.pages.data.filter import Filter, ordered_ids, passing
from studio.gui.pages.data.issues import findings
from studio.gui.pages.data.open import opening_of
from studio.gui.pages.data.page import DataPage
from studio.gui.pages.data.split import Shares, SplitBar
from studio.gui.pages.data.start import device_words


def make_images(folder: Path, classes: dict[str, int], *, side: int = 40) -> Path:
    rng = np.random.default_rng(1)
    for name, number in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture
def images(tmp_path) -> Path:
    return make_images(tmp_path / "pets", {"cat": 24, "dog": 16, "fox": 12})


@pytest.fixture
def page(context, qtbot) -> DataPage:
    made = DataPage(context)
    qtbot.addWidget(made)
    made.resize(960, 780)
    made.show()
    made.activate()
    return made


def open_and_wait(page: DataPage, qtbot, folder: Path) -> None:
    page.context.projects.open_data(str(folder))
    wait_for_scan(page, qtbot)


def wait_for_scan(page: DataPage, qtbot) -> None:
    qtbot.waitUntil(lambda: not page.context.scan.is_running, timeout=20_000)


def texts_of(widget) -> str:
    return "\n".join(label.text().replace("\u200b", "") for label in widget.findChildren(QLabel) if label.isVisibleTo(widget))


def press(widget, key, modifiers=Qt.KeyboardModifier.NoModifier, qtbot=None) -> None:
    qtbot.keyClick(widget, key, modifiers)


# First launch


def test_the_first_page_asks_for_a_folder_and_says_what_it_takes(page):
    assert page.stack.currentWidget() is page.welcome
    words = texts_of(page.welcome)
    assert "Drop a folder of images here" in words and "Files stay where they are" in words and "Nothing leaves this computer" in words
    assert not page.head_widget.isVisible()


def test_a_folder_dropped_on_the_zone_becomes_the_data(page, qtbot, images):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(images))])
    drop = QDropEvent(QPointF(20, 20), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    page.welcome.zone.dropEvent(drop)
    wait_for_scan(page, qtbot)
    assert page.stack.currentWidget() is page.full
    assert page.subtitle_label.text().startswith("52 images · 3 classes · ")


def test_a_file_that_is_no_data_is_refused_in_words(page, tmp_path):
    (tmp_path / "notes.odt").write_bytes(b"x")
    assert page.accept_drop([str(tmp_path / "notes.odt")])
    assert "“notes.odt” is a file" in texts_of(page.welcome.zone)
    assert page.store.experiment.data.source == ""


def test_class_folders_dropped_together_leave_out_the_folders_beside_them(page, qtbot, images):
    opening = opening_of([str(images / "cat"), str(images / "dog")])
    assert (opening.path, opening.left_out_classes) == (str(images), ("fox",))
    page.start.open(opening)
    wait_for_scan(page, qtbot)
    assert page.store.dataset.classes == ("cat", "dog")


def test_an_experiment_file_opens_as_a_project(page, tmp_path, images, qtbot):
    from studio.core.experiment_file import write_experiment

    write_experiment(Experiment(name="Mine").changed({"data.source": str(images)}), tmp_path / "mine.toml")
    page.accept_drop([str(tmp_path / "mine.toml")])
    wait_for_scan(page, qtbot)
    assert page.store.experiment.name == "Mine" and len(page.store.dataset.samples) == 52


def test_a_sample_set_opens_with_one_click_and_no_network(page, qtbot):
    page.welcome.sample_cards["digits-small"].open_button.click()
    qtbot.waitUntil(lambda: page.store.experiment.data.source != "", timeout=20_000)
    wait_for_scan(page, qtbot)
    assert len(page.store.dataset.samples) == 200 and len(page.store.dataset.classes) == 10


def test_recent_projects_are_listed_and_a_moved_folder_offers_locate(page, qtbot, images, tmp_path):
    open_and_wait(page, qtbot, images)
    page.context.projects.save_now()
    page.context.projects.create()
    os.rename(images, tmp_path / "moved")
    page.activate()
    qtbot.waitUntil(lambda: "not there any more" in texts_of(page.welcome.recent), timeout=5000)
    buttons = [b.text() for b in page.welcome.recent.findChildren(QPushButton) if b.isVisible()]
    assert buttons == ["Locate…"]


def test_the_footer_names_the_device_and_what_stands_in_the_way():
    device = {"title": "Device", "status": "good", "detail": "2 cores; no GPU found"}
    assert device_words({"findings": [device]}) == ("2 cores; no GPU found", True)
    broken = {"title": "Weights", "status": "problem", "detail": "the bundled weights are missing", "fix": "Install again"}
    assert device_words({"findings": [device, broken]}) == ("Weights: the bundled weights are missing. Install again", False)


def test_enter_on_the_first_page_opens_the_picker(page, qtbot):
    with qtbot.waitSignal(page.context.shell.folder_requested, timeout=1000):
        qtbot.keyClick(page.welcome, Qt.Key.Key_Return)


# Reading and trouble


def test_reading_shows_progress_and_stop_ends_it(page, qtbot, images):
    page.context.projects.open_data(str(images))
    assert page.stack.currentWidget() is page.loading
    page.loading.show_progress(1204, 3783, "Reading images")
    assert page.loading.words_label.text() == "Reading images 1,204 / 3,783"
    page.loading.findChild(QPushButton, "data.stop").click()
    assert page.stack.currentWidget() is page.trouble
    assert "Reading was stopped" in texts_of(page.trouble)
    page.trouble.findChild(QPushButton, "data.retry").click()
    wait_for_scan(page, qtbot)
    assert page.stack.currentWidget() is page.full


def test_a_folder_that_is_gone_offers_to_locate_it(page, qtbot, images, tmp_path):
    open_and_wait(page, qtbot, images)
    os.rename(images, tmp_path / "moved")
    page.rescan_button.click()
    wait_for_scan(page, qtbot)
    assert "There is no folder" in page.trouble.title_label.text()
    assert page.trouble.findChild(QPushButton, "data.locate").isVisible()
    assert not page.trouble.layouts.isVisible()
    page.store.set({"data.source": str(tmp_path / "moved")}, "locate images")
    wait_for_scan(page, qtbot)
    assert page.stack.currentWidget() is page.full


def test_a_folder_without_labels_shows_the_three_layouts(page, qtbot, tmp_path):
    (tmp_path / "loose").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "loose" / "a.png")
    open_and_wait(page, qtbot, tmp_path / "loose")
    assert page.stack.currentWidget() is page.trouble
    assert page.trouble.layouts.isVisible()
    assert "One folder per class" in texts_of(page.trouble)


def test_an_empty_folder_says_so(page, qtbot, tmp_path):
    (tmp_path / "empty").mkdir()
    open_and_wait(page, qtbot, tmp_path / "empty")
    assert page.stack.currentWidget() is page.trouble and page.trouble.title_label.text()


def test_files_that_cannot_be_read_are_listed_with_their_reason(page, qtbot, images):
    (images / "cat" / "broken.png").write_bytes(b"")
    open_and_wait(page, qtbot, images)
    finding = next(card.finding for card in page.issues.cards if card.finding.kind == "unreadable")
    page.issues.show_wanted.emit(finding.ids, finding.title)
    assert page.images.aside_list.isVisible()
    assert page.images.aside_list.model().index(0, 0).data() == "cat/broken.png: empty file"


def test_rescan_says_what_is_new_and_what_is_gone(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    os.remove(images / "cat" / "000.png")
    for i in (90, 91):
        Image.new("RGB", (30, 30), (i, 2, 3)).save(images / "dog" / f"{i}.png")
    with qtbot.waitSignal(page.context.shell.toast_requested, timeout=20_000) as toast:
        page.rescan_button.click()
    assert toast.args[0] == "2 new, 1 gone"


# Classes and split


def test_classes_come_with_their_parts_largest_first(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    rows = page.class_list.rows
    assert [(r.name, r.total) for r in rows] == [("cat", 24), ("dog", 16), ("fox", 12)]
    assert rows[0].counts == page.store.dataset.counts()["cat"]
    page.sort_button.click()
    assert [r.name for r in page.class_list.rows] == ["cat", "dog", "fox"] and page.sort_button.text() == "Name"


def test_a_click_on_a_class_filters_the_images_and_another_takes_the_filter_away(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    view = page.class_list
    middle = view.visualRect(view.model().index(1, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert {key.split("/")[0] for key in page.images.grid.keys} == {"dog"} and page.images.chips.chosen == ("dog",)
    below = view.visualRect(view.model().index(2, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, below)
    assert len(page.images.grid.keys) == 28 and page.images.subtitle_label.text() == "28 of 52"
    page.images.chips.choose(())
    page.images.clear_filter()
    assert view.names_chosen == () and len(page.images.grid.keys) == 52


def test_a_class_left_out_by_its_menu_comes_back_by_undo(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    menu = page.class_list.class_menu([page.class_list.rows[2]])
    next(a for a in menu.actions() if a.text() == "Leave out class").trigger()
    assert page.store.experiment.data.left_out_classes == ("fox",)
    assert page.class_list.rows[-1].is_left_out
    wait_for_scan(page, qtbot)
    assert page.store.dataset.classes == ("cat", "dog")
    back = page.class_list.class_menu([page.class_list.rows[-1]])
    next(a for a in back.actions() if a.text() == "Take class back").trigger()
    wait_for_scan(page, qtbot)
    assert page.store.dataset.classes == ("cat", "dog", "fox")
    page.store.undo()
    assert page.store.experiment.data.left_out_classes == ("fox",)


def test_a_filter_ends_with_its_class_and_its_folder(page, qtbot, images, tmp_path):
    open_and_wait(page, qtbot, images)
    page.images.search.setText("00")
    page.show_argument("cat")
    page.leave_out(("dog/000.png",))
    wait_for_scan(page, qtbot)
    assert page.images.filter.classes == ("cat",), "an edit elsewhere leaves the choice alone"
    page.class_list.leave_out_wanted.emit(("cat",))
    wait_for_scan(page, qtbot)
    assert page.images.chips.chosen == page.images.filter.classes == page.class_list.names_chosen == ()
    assert page.images.search.text() == "00" and len(page.images.grid.keys) == 19, "what can be seen to limit the view stays"
    page.images.search.setText("")
    page.show_argument(("dog/001.png", "fox/001.png"))
    page.class_list.leave_out_wanted.emit(("dog",))
    wait_for_scan(page, qtbot)
    assert page.images.grid.keys == ["fox/001.png"], "the finding of this folder stays"
    page.images.choose_classes(("fox",))
    open_and_wait(page, qtbot, make_images(tmp_path / "birds", {"owl": 4, "tit": 3}))
    assert page.images.filter.is_empty and "Chosen images" not in texts_of(page.images)
    assert len(page.images.grid.keys) == 7 and not page.images.empty.isVisible()


def test_all_leads_back_from_what_was_left_out(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.class_list.leave_out_wanted.emit(("fox",))
    page.leave_out(("cat/000.png",))
    wait_for_scan(page, qtbot)
    view, everything = page.class_list, page.images.findChild(QPushButton, "data.images.chips.all")
    assert view.rows[2].is_left_out
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(view.model().index(2, 0)).center())
    assert page.images.empty.isVisible()
    everything.click()
    assert len(page.images.grid.keys) == 39 and page.images.grid.isVisible() and view.names_chosen == ()
    page.images.show_view("left out")
    assert page.images.grid.keys == ["cat/000.png"]
    everything.click()
    assert len(page.images.grid.keys) == 39


def test_the_split_handle_writes_the_shares_as_one_step(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    bar = page.split_bar
    start = QPoint(round(bar._borders()[0]), bar.height() // 2)
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=start)
    for x in (0.8, 0.75, 0.7):
        qtbot.mouseMove(bar, QPoint(round(x * bar.width()), 10))
    qtbot.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=QPoint(round(0.7 * bar.width()), 10))
    assert page.store.experiment.data.validation_fraction == pytest.approx(0.30, abs=0.011)
    page.store.undo()
    assert page.store.experiment.data.validation_fraction == 0.15


def test_the_split_moves_by_keys_and_says_its_figures(qtbot, theme):
    bar = SplitBar()
    qtbot.addWidget(bar)
    bar.resize(400, 24)
    bar.set_state(Shares(0.15, 0.0), {"train": 85, "validation": 15, "test": 0})
    qtbot.keyClick(bar, Qt.Key.Key_Left)
    assert bar.shares == Shares(0.16, 0.0)
    qtbot.keyClick(bar, Qt.Key.Key_Down)
    qtbot.keyClick(bar, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert bar.shares == Shares(0.11, 0.05) and bar.shares.train == pytest.approx(0.84)
    assert "test 5%" in bar.accessibleName()


def test_parts_given_by_folders_cannot_be_dragged(page, qtbot, tmp_path):
    make_images(tmp_path / "data" / "train", {"a": 8, "b": 8})
    make_images(tmp_path / "data" / "val", {"a": 6, "b": 6})
    open_and_wait(page, qtbot, tmp_path / "data")
    qtbot.keyClick(page.split_bar, Qt.Key.Key_Left)
    assert page.store.experiment.data.validation_fraction == 0.15
    assert "The folders say" in page.split_bar.accessibleDescription()


@pytest.mark.parametrize(("position", "expected"), [(0.2, Shares(0.5, 0.1)), (0.99, Shares(0.01, 0.1)), (0.7, Shares(0.2, 0.1))])
def test_shares_stay_within_their_bounds(position, expected):
    assert Shares(0.15, 0.1).with_first_handle_at(position) == expected


# Images


def test_delete_leaves_the_chosen_images_out_and_the_files_alone(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    before = sorted(p.name for p in images.rglob("*"))
    grid = page.images.grid
    grid.set_current_row(3)
    key = grid.keys[3]
    qtbot.keyClick(grid, Qt.Key.Key_Delete)
    assert page.store.experiment.data.left_out == (key,)
    assert key not in grid.keys, "the grid answers before the scan has"
    wait_for_scan(page, qtbot)
    assert len(page.store.dataset.samples) == 51
    page.store.undo()
    wait_for_scan(page, qtbot)
    assert len(page.store.dataset.samples) == 52
    assert sorted(p.name for p in images.rglob("*")) == before


def test_left_out_images_can_be_seen_and_taken_back(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.leave_out(("cat/000.png", "cat/001.png"))
    page.images._left_out_link.click()
    assert list(page.images.grid.keys) == ["cat/000.png", "cat/001.png"]
    page.images.grid.set_current_row(0)
    qtbot.keyClick(page.images.grid, Qt.Key.Key_Delete)
    assert page.store.experiment.data.left_out == ("cat/001.png",)


def test_a_digit_gives_the_class_of_that_number(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.images.choose_classes(("cat",))
    page.images.grid.set_current_row(0)
    key = page.images.grid.keys[0]
    with qtbot.waitSignal(page.context.shell.toast_requested) as toast:
        qtbot.keyClick(page.images.grid, Qt.Key.Key_3)
    assert page.store.experiment.data.relabelled == {key: "fox"}
    assert toast.args[:2] == ["1 image relabelled as “fox”.", "Undo"]
    toast.args[2]()
    assert page.store.experiment.data.relabelled == {}


def test_space_opens_the_large_view_arrows_go_on_and_escape_closes(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.images.grid.set_current_row(0)
    qtbot.keyClick(page.images.grid, Qt.Key.Key_Space)
    assert page.large.isVisible() and page.large.geometry() == page.rect()
    qtbot.keyClick(page.large, Qt.Key.Key_Right)
    assert page.images.grid.current_row == 1
    assert page.large.name_label.text() == page.images.grid.keys[1]
    qtbot.keyClick(page.large, Qt.Key.Key_Escape)
    assert not page.large.isVisible()


def test_search_and_part_filter_the_images(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    assert page.focus_search()
    page.images.search.setText("fox 00")
    assert len(page.images.grid.keys) == 10
    next(a for a in page.images.funnel_menu().actions() if a.text() == "Validation").trigger()
    by_id = {s.id: s for s in page.store.dataset.samples}
    assert all(by_id[k].split == "validation" for k in page.images.grid.keys)
    page.images.search.setText("nothing like this")
    assert page.images.empty.isVisible()
    page.images.empty.action_button.click()
    assert len(page.images.grid.keys) == 52 and page.images.search.text() == ""


def test_thumbnails_are_read_beside_the_window(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    grid = page.images.grid
    path = grid.thumb(0).path
    qtbot.waitUntil(lambda: page.loader.pixmap(path, grid.source_side) is not None, timeout=5000)
    assert page.loader.pixmap(path, grid.source_side).width() == grid.source_side


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX only")
def test_a_name_that_is_no_unicode_has_its_picture(page, qtbot, images):
    source = Path(images / "cat" / "000.png").read_bytes()
    with open(os.fsencode(images / "cat") + b"/caf\xe9.png", "wb") as f:
        f.write(source)
    open_and_wait(page, qtbot, images)
    grid = page.images.grid
    row = next(i for i, key in enumerate(grid.keys) if "caf" in key)
    assert grid.keys[row] == "cat/caf\\xE9.png"
    path = grid.thumb(row).path
    qtbot.waitUntil(lambda: page.loader.pixmap(path, 96) is not None, timeout=5000)


def test_shift_chooses_a_range_and_ctrl_adds(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    grid = page.images.grid

    def click(row, *modifiers):
        at = grid.visualRect(grid.model().index(row, 0)).center()
        flags = Qt.KeyboardModifier.NoModifier
        for each in modifiers:
            flags |= each
        qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, flags, at)

    click(grid.columns - 1)
    click(grid.columns, Qt.KeyboardModifier.ShiftModifier)  # the first tile of the next row
    assert grid.chosen_rows == [grid.columns - 1, grid.columns]
    click(0, Qt.KeyboardModifier.ControlModifier)
    assert grid.chosen_rows == [0, grid.columns - 1, grid.columns]
    qtbot.keyClick(grid, Qt.Key.Key_End)
    assert grid.current_row == len(grid.keys) - 1
    assert grid.viewport().rect().intersects(grid.visualRect(grid.currentIndex()))
    qtbot.keyClick(grid, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(grid.chosen_keys) == 52


def test_a_hundred_thousand_images_are_laid_out_at_once(qtbot, theme):
    from studio.gui.widgets.thumb import ThumbLoader
    from studio.gui.widgets.thumb_grid import Thumb, ThumbGrid

    grid = ThumbGrid(ThumbLoader(read=lambda path, side, reading: np.zeros((side, side, 3), np.uint8)))
    qtbot.addWidget(grid)
    grid.resize(600, 400)
    grid.show()
    keys = [f"{i}.png" for i in range(100_000)]
    made = []
    grid.set_keys(keys, lambda key: made.append(key) or Thumb(key, f"/{key}"))
    grid.verticalScrollBar().setValue(grid.verticalScrollBar().maximum())
    grid.grab()
    assert 0 < len(made) < 1000, "only what is seen is looked at"
    assert grid.indexAt(QPoint(5, 390)).row() >= 100_000 - 2 * grid.columns


def test_the_order_of_the_images_does_not_change_when_some_are_left_out(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    before = list(page.images.grid.keys)
    page.leave_out((before[5],))
    assert list(page.images.grid.keys) == before[:5] + before[6:]


def test_names_with_markup_and_line_breaks_stay_plain_text(page, qtbot, tmp_path):
    make_images(tmp_path / "odd", {"x": 8, "a & b": 8})
    Image.new("RGB", (30, 30), (9, 9, 9)).save(tmp_path / "odd" / "a & b" / "two\nlines.png")
    open_and_wait(page, qtbot, tmp_path / "odd")
    page.store.set({"data.relabelled": {f"x/{i:03}.png": "<b>x</b>" for i in range(8)}})
    wait_for_scan(page, qtbot)
    assert {r.name for r in page.class_list.rows} == {"<b>x</b>", "a & b"}
    for label in page.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText or not label.text(), label.text()
    row = next(i for i, k in enumerate(page.images.grid.keys) if "lines" in k)
    assert page.images.grid.model().index(row, 0).data() == "a & b/two\\u000Alines.png, a & b"
    tooltip = page.images.grid.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "<b>" not in tooltip
    page.show_large(row)
    assert "\n" not in page.large.name_label.text()
    page.grab()


# Issues


def test_an_image_in_both_parts_can_be_moved_to_train(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    dataset = page.store.dataset
    train = next(s for s in dataset.part("train") if s.label == "cat")
    for i in range(40):  # until one copy falls into validation
        (images / "cat" / f"copy{i}.png").write_bytes(Path(dataset.path_of(train)).read_bytes())
    page.context.scan.rescan()
    wait_for_scan(page, qtbot)
    card = next(c for c in page.issues.cards if c.finding.kind == "duplicates_across")
    next(b for b in card.findChildren(QPushButton) if b.text() == "Move to train").click()
    assert page.store.experiment.data.moved == dict(card.finding.moves)
    wait_for_scan(page, qtbot)
    assert all(c.finding.kind != "duplicates_across" for c in page.issues.cards)


def test_uneven_classes_are_weighted_at_one_click_and_undone(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, make_images(tmp_path / "pets", {"cat": 60, "dog": 8}))
    (card,) = [c for c in page.issues.cards if c.finding.kind == "imbalance"]
    qtbot.mouseClick(card.findChild(QPushButton, "data.issue.imbalance.repair"), Qt.MouseButton.LeftButton)
    assert page.store.experiment.training.class_weights == "balanced"
    (card,) = [c for c in page.issues.cards if c.finding.kind == "imbalance"]
    assert card.finding.severity is Severity.NOTE and card.finding.repair is None and "Chosen: weight classes." in card.finding.detail
    page.store.undo()
    (card,) = [c for c in page.issues.cards if c.finding.kind == "imbalance"]
    assert card.finding.severity is Severity.WARNING and card.finding.repair is not None


def test_one_image_of_each_class_can_be_trained_on_without_measuring(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, make_images(tmp_path / "pets", {"cat": 1, "dog": 1}))
    (card,) = [c for c in page.issues.cards if c.finding.repair is not None]
    assert card.finding.severity is Severity.ERROR
    qtbot.mouseClick(card.findChild(QPushButton, "data.issue.problem.repair"), Qt.MouseButton.LeftButton)
    wait_for_scan(page, qtbot)
    assert not [c for c in page.issues.cards if c.finding.severity is Severity.ERROR]
    assert page.context.runs.reason_not_to_train() == "" and len(page.store.dataset.part("train")) == 2


def test_no_issues_is_said_with_the_number_of_images(page, qtbot, tmp_path):
    make_images(tmp_path / "fine", {"a": 60, "b": 60})
    open_and_wait(page, qtbot, tmp_path / "fine")
    assert page.issues.cards == []
    assert page.issues.empty.sentence_label.text() == "No issues found in 120 images"


def test_findings_are_sorted_by_harm_and_say_nothing_twice():
    few = Issue("few_validation_images", Severity.WARNING, "2 classes with fewer than 5 validation images", "a (1)")
    problems = (
        warning("data.source", "2 classes have fewer than 5 validation images: a (1). Add images."),
        error("data.source", "There is only one class, “a”. A classifier needs two."),
    )
    found = findings(problems, (few,))
    assert [f.title for f in found] == ["There is only one class, “a”", "2 classes with fewer than 5 validation images"]


# Pixels


def test_pixel_statistics_show_and_the_choice_of_normalisation_is_written(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    assert page.pixels.hist.accessibleName().startswith("Pixel statistics: R 0.")
    page.pixels.findChild(QPushButton, "data.normalisation.editor.1") or page.pixels.findChildren(QPushButton)
    buttons = [b for b in page.pixels.findChildren(QPushButton) if b.text().startswith("Folder")]
    buttons[0].click()
    assert page.store.experiment.model.normalisation == "data"


# Without a window


def test_edits_only_name_what_changed():
    data = Data(left_out=("a",), relabelled={"b": "x"}, moved={"c": "test"})
    assert data_edit.leave_out(data, ["a", "d"]) == {"data.left_out": ("a", "d")}
    assert data_edit.take_back(data, ["a"]) == {"data.left_out": ()}
    assert data_edit.relabel(data, ["d"], "y") == {"data.relabelled": {"b": "x", "d": "y"}}
    assert data_edit.move(data, ["c"], "train") == {"data.moved": {"c": "train"}}


def test_a_view_shows_edits_before_the_scan_does(images):
    from studio.dataset.scan import scan

    dataset = scan(Data(source=str(images)))
    data = Data(left_out=("cat/000.png",), relabelled={"cat/001.png": "owl"}, left_out_classes=("fox",))
    now = data_edit.edited(dataset, data)
    assert now.classes == ("cat", "dog", "owl") and len(now.samples) == 39
    assert now.counts()["owl"] == {"train": 1, "validation": 0, "test": 0} or sum(now.counts()["owl"].values()) == 1
    assert [r.name for r in class_rows(now, ("fox",), "name")] == ["cat", "dog", "owl", "fox"]
    by_id = {s.id: s for s in now.samples}
    ids = ordered_ids(dataset, "mixed")
    assert passing(ids, by_id, Filter(ids=("dog/003.png", "cat/000.png", "dog/001.png"))) == ["dog/003.png", "dog/001.png"]
    assert passing(ids, by_id, Filter(classes=("owl",))) == ["cat/001.png"]


def test_a_label_given_to_files_that_are_gone_is_no_class(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    page.relabel(("cat/000.png",), "owl")
    page.relabel(("fox/000.png",), "hare")
    page.leave_out(("fox/000.png",))
    wait_for_scan(page, qtbot)
    assert {row.name: row.total for row in page.class_list.rows} == {"cat": 23, "dog": 16, "fox": 11, "owl": 1}
    os.rename(images / "cat", images / "kitten")
    page.rescan_button.click()
    wait_for_scan(page, qtbot)
    assert {row.name: row.total for row in page.class_list.rows} == {"kitten": 24, "dog": 16, "fox": 11}


def test_every_control_has_a_name_for_screen_readers(page, qtbot, images):
    open_and_wait(page, qtbot, images)
    nameless = [b.objectName() or b.text() for b in page.findChildren(QPushButton) if b.isVisible() and not b.accessibleName()]
    assert nameless == []


@pytest.mark.parametrize("size", [(860, 560), (930, 790)])
def test_nothing_on_the_page_is_cut_at_the_sizes_of_the_window(page, qtbot, images, size):
    open_and_wait(page, qtbot, images)
    page.resize(*size)
    page.grab()
    assert page.minimumSizeHint().width() <= size[0] and page.minimumSizeHint().height() <= size[1]
