"""A CSV file on the Data page: how it was read is shown, and where a column is missing or its letters are unsure, it is asked with its rows beside it."""

from __future__ import annotations

from PySide6.QtCore import Qt

from tests.gui.test_data_page import make_images, open_and_wait, page, wait_for_scan

__all__ = ["page"]  # the fixture


def table_of(tmp_path, header: str, separator: str = ",", encoding: str = "utf-8", label: str = "cat"):
    images = make_images(tmp_path / "pets", {"a": 8, "b": 8})
    rows = [separator.join([f"{folder}/{i:03}.png", word]) for folder, word in (("a", label), ("b", "dog")) for i in range(8)]
    (images / "labels.csv").write_bytes("\n".join([header.replace(",", separator), *rows]).encode(encoding))
    return images / "labels.csv"


def wait_for_table(page, qtbot):
    qtbot.waitUntil(lambda: page.table.isVisible())
    return page.table


def test_what_was_found_is_shown_with_its_rows_at_a_click(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, table_of(tmp_path, "path,label", separator=";"))
    panel = wait_for_table(page, qtbot)
    assert panel.title_label.text() == "labels.csv: 16 rows, separated by semicolons, UTF-8" and panel.grid.isHidden()
    qtbot.mouseClick(panel.rows_button, Qt.MouseButton.LeftButton)
    assert panel.grid.isVisible() and panel.grid.item(0, 0).text() == "a/000.png" and panel.grid.horizontalHeaderItem(1).text() == "label"


def test_its_rows_push_no_panel_over_another_in_a_low_window(page, qtbot, tmp_path):
    page.resize(780, 600)
    open_and_wait(page, qtbot, table_of(tmp_path, "path,label"))
    qtbot.mouseClick(wait_for_table(page, qtbot).rows_button, Qt.MouseButton.LeftButton)
    classes, images = page.class_list.parentWidget(), page.images
    bottom = lambda: classes.mapTo(page, classes.rect().bottomLeft()).y()  # noqa: E731
    qtbot.waitUntil(lambda: page.full.verticalScrollBar().maximum() > 0)
    qtbot.waitUntil(lambda: bottom() < images.mapTo(page, images.rect().topLeft()).y())


def test_columns_are_chosen_beside_the_rows_where_their_names_say_nothing(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, table_of(tmp_path, "wo,was"))
    panel, store = wait_for_table(page, qtbot), page.context.store
    store.set({"training.batch_size": 4})  # fits: no step of the undo history is made for it later
    assert page.stack.currentWidget() is page.trouble and "--set" not in page.trouble.detail_label.text()
    assert panel.grid.isVisible() and not page.trouble.layouts.isVisible()
    for field in ("data.path_column", "data.label_column"):
        combo = panel.combos[field]
        combo.setFocus()
        for _ in range(1 + list(panel.combos).index(field)):
            qtbot.keyClick(combo, Qt.Key.Key_Down)
        wait_for_scan(page, qtbot)
    assert (store.experiment.data.path_column, store.experiment.data.label_column) == ("wo", "was")
    assert page.stack.currentWidget() is page.full and len(store.dataset.samples) == 16
    store.undo()
    wait_for_scan(page, qtbot)
    assert page.stack.currentWidget() is page.trouble


def test_two_columns_of_one_name_are_told_apart_by_their_place(page, qtbot, tmp_path):
    source = table_of(tmp_path, "path,path")
    open_and_wait(page, qtbot, source)
    panel = wait_for_table(page, qtbot)
    assert [panel.combos["data.label_column"].itemText(i) for i in range(3)] == ["By its name", "column 1", "column 2"]
    page.context.store.set({"data.path_column": "column 1", "data.label_column": "column 2"})
    wait_for_scan(page, qtbot)
    assert page.context.store.dataset.classes == ("cat", "dog")


def test_letters_that_are_not_sure_are_asked_about_until_it_is_said(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, table_of(tmp_path, "path,label", encoding="cp1251", label="кошка"))
    panel, store = wait_for_table(page, qtbot), page.context.store
    assert "not sure" in panel.title_label.text() and panel.grid.isVisible() and store.dataset.classes[-1] != "кошка"
    assert [c for c in page.issues.cards if "not UTF-8" in c.finding.title]
    combo = panel.combos["data.encoding"]
    combo.setFocus()
    for _ in range(6):
        qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert store.experiment.data.encoding == "cp1251"
    wait_for_scan(page, qtbot)
    qtbot.waitUntil(lambda: panel.grid.item(0, 1).text() == "кошка")
    assert store.dataset.classes == ("dog", "кошка") and not [c for c in page.issues.cards if "UTF-8" in c.finding.title]


def test_folders_have_no_table(page, qtbot, tmp_path):
    open_and_wait(page, qtbot, make_images(tmp_path / "pets", {"cat": 4, "dog": 4}))
    assert page.table.isHidden()
