"""Each bad input in the window: one clear sentence on the Data page, Train off with the reason, nothing changed on disk.

The same inputs on the command line: tests/cli/test_bad_input.py.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from studio.core.place import runs_dir
from studio.gui.shell.sheet import Sheet
from studio.gui.window import Window
from tests.cli.conftest import snapshot, write_images


@pytest.fixture
def window(context, qtbot) -> Window:
    made = Window()
    qtbot.addWidget(made)
    made.resize(1440, 900)
    made.attach(context)
    made.show()
    return made


def nothing(folder: Path) -> Path:
    return folder / "gone"


def empty_folder(folder: Path) -> Path:
    return folder


def one_class(folder: Path) -> Path:
    return write_images(folder, ("only",), 6)


def one_image_per_class(folder: Path) -> Path:
    return write_images(folder, num=1)


def broken_files(folder: Path) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "x.jpg").write_bytes(b"no picture")
    return folder


def different_parts(folder: Path) -> Path:
    write_images(folder / "train", ("cat", "dog"), 6)
    write_images(folder / "val", ("cat", "fox"), 6)
    return folder


def table(folder: Path, text: str) -> Path:
    write_images(folder, num=6)
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def table_without_labels(folder: Path) -> Path:
    return table(folder, "path,width\nred disc/00.png,64\n")


def table_of_missing_files(folder: Path) -> Path:
    return table(folder, "path,label\nhere.png,a\nthere.png,b\n")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (nothing, "There is no folder or file"),
        (empty_folder, "It is empty"),
        (one_class, "only one class"),
        (one_image_per_class, "one image"),
        (broken_files, "None of the 2 images can be read"),
        (different_parts, "fox"),
        (table_without_labels, "label"),
        (table_of_missing_files, "no such file: rows 2 and 3"),
    ],
)
def test_data_that_cannot_be_trained_on_is_told_in_a_sentence_and_keeps_train_off(window, context, qtbot, tmp_path, make, sentence):
    folder = tmp_path / "images"
    folder.mkdir()
    source = make(folder)
    before = snapshot(folder)
    if source.exists():
        window.open_path(str(source))
    else:  # a project whose images were moved away
        context.store.set({"data.source": str(source)})
    qtbot.waitUntil(lambda: not context.scan.is_running and (context.scan.error is not None or context.store.dataset is not None))
    qtbot.waitUntil(lambda: sentence in seen(window))
    reason, train = context.runs.reason_not_to_train(), window.top_bar.train.main
    assert reason
    qtbot.waitUntil(lambda: not train.isEnabled() and escape(reason) in train.toolTip())
    context.runs.train()
    assert snapshot(folder) == before and not list(runs_dir().glob("*"))


def seen(window: Window) -> str:
    page = window.page("data")
    return "\n".join(label.text().replace("\u200b", "") for label in page.findChildren(QLabel) if label.isVisibleTo(page))


def test_an_experiment_file_with_many_faults_names_them_all_with_their_lines_and_changes_nothing(window, context, tmp_path, qtbot):
    file, before = tmp_path / "experiment.toml", context.store.experiment
    file.write_text('[schedule]\nepochs = -1\nspeed = 3\n\n[training]\nbatch_size = "many"\n')
    window.open_path(str(file))
    sheet = window.findChild(Sheet, "shell.problems")
    words = "\n".join(label.text() for label in sheet.findChildren(QLabel))
    assert sheet.isVisible() and "“experiment.toml” cannot be opened" in words and "Nothing was changed" in words
    for field, line in (("schedule.epochs", 2), ("schedule.speed", 3), ("training.batch_size", 6)):
        assert field in words and f"line {line}" in words
    assert context.store.experiment is before
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()
