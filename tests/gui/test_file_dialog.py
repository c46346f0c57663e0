"""Pickers: where they start, what they write over, and what they say when nothing can be written."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from studio.gui.pages.data.open import pick_table
from studio.gui.widgets.curve_menu import curve_menu
from studio.gui.widgets.curve_plot import CurvePlot
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.file_dialog import pick_folder, pick_new_file


@pytest.fixture
def parent(qtbot, theme) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


def choose(dialog: QFileDialog, path) -> None:
    dialog.setDirectory(os.path.dirname(path))
    dialog.selectFile(str(path))
    dialog.accept()


def answer(parent: QWidget, words: str) -> str:
    """Press a button of the question that is open; what it asked."""
    box = next(box for box in parent.findChildren(QMessageBox, "file.question") if box.isVisible())
    asked = box.text()
    next(button for button in box.buttons() if button.text().replace("&", "") == words).click()
    return asked


def test_each_purpose_starts_in_the_folder_it_was_last_used_with(parent, tmp_path):
    (tmp_path / "pictures" / "birds").mkdir(parents=True)
    taken = []
    choose(pick_folder(parent, "images", "Open", taken.append, start=str(tmp_path)), tmp_path / "pictures" / "birds")
    assert taken == [str(tmp_path / "pictures" / "birds")]
    again, other = (pick_folder(parent, purpose, "Open", taken.append, start=str(tmp_path)) for purpose in ("images", "predict"))
    assert again.directory().path() == str(tmp_path / "pictures") and other.directory().path() == str(tmp_path)
    again.reject()
    other.reject()


def test_a_missing_ending_is_added_and_a_file_of_that_name_is_only_replaced_when_asked(parent, tmp_path):
    (tmp_path / "run.1.csv").write_text("old")
    written = []
    choose(pick_new_file(parent, "curves", "Save", "CSV table", "loss.csv", written.append), tmp_path / "run.1")
    assert answer(parent, "Cancel") == "“run.1.csv” is there already. Replace it?" and written == []
    choose(pick_new_file(parent, "curves", "Save", "CSV table", "loss.csv", written.append), tmp_path / "run.1")
    answer(parent, "Replace")
    choose(pick_new_file(parent, "curves", "Save", "CSV table", "loss.csv", written.append), tmp_path / "run")
    assert written == [str(tmp_path / "run.1.csv"), str(tmp_path / "run.csv")]


def test_a_picture_of_curves_that_cannot_be_written_is_said_and_saved_in_another_place(qtbot, theme, tmp_path):
    plot = CurvePlot("train.loss", "Loss")
    qtbot.addWidget(plot)
    plot.set_curve("loss", np.arange(3.0), np.array([0.3, 0.2, 0.1]), CurveStyle("loss", "series.0"))
    (tmp_path / "file").write_text("")
    next(action for action in curve_menu(plot).actions() if action.text() == "Save as PNG…").trigger()
    choose(plot.findChild(QFileDialog), tmp_path / "file.png")
    assert QImage(str(tmp_path / "file.png")).width() > 0
    next(action for action in curve_menu(plot).actions() if action.text() == "Save as PNG…").trigger()
    dialog = next(dialog for dialog in plot.findChildren(QFileDialog) if dialog.isVisible())
    assert dialog.directory().path() == str(tmp_path)
    dialog.fileSelected.emit(str(tmp_path / "file" / "loss.png"))  # a place that went while the dialog was open
    dialog.reject()
    assert answer(plot, "Choose another place…").startswith("“loss.png” cannot be written: ")
    choose(next(dialog for dialog in plot.findChildren(QFileDialog) if dialog.isVisible()), tmp_path / "other.png")
    assert QImage(str(tmp_path / "other.png")).width() > 0


def test_a_list_of_images_may_be_any_file_that_the_command_line_takes(parent):
    pick_table(parent, lambda path: None)
    dialog = parent.findChild(QFileDialog)
    assert [pattern in dialog.nameFilters()[0] for pattern in ("*.csv", "*.tsv", "*.txt", "*.toml")] == [True] * 4
    dialog.reject()
