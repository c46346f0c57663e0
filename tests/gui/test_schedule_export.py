"""The Copy menu of the Schedule page: text and pictures of the draft, on the clipboard and in files."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication, QImage

from studio.catalog.schedules import lr
from studio.core.experiment_file import experiment_from_toml
from studio.gui.pages.schedule.page import SchedulePage

NAMES = ["stem", "stage 1", "stage 2", "head"]
STAGES = [{"name": name, "num_parameters": 1000, "output_shape": [8, 28, 28]} for name in NAMES]


@pytest.fixture
def page(qtbot, context) -> SchedulePage:
    context.probe.answer("describe_model", {"stages": STAGES, "num_parameters": 4000, "num_trainable": 4000})
    made = SchedulePage(context)
    qtbot.addWidget(made)
    made.resize(1000, 900)
    made.show()
    context.estimates.refresh()
    qtbot.waitUntil(lambda: context.estimates.model is not None)
    made.store.set({"schedule.epochs": 3, "schedule.shape": "cosine", "model.train_stages": 1, "model.thaw": {"stage 1": 2}})
    made.said = []
    context.shell.toast_requested.connect(lambda sentence, *_: made.said.append(sentence))
    QGuiApplication.clipboard().clear()
    return made


def choose(qtbot, page, title: str) -> None:
    action = next(a for a in page.export.menu.actions() if a.text() == title)
    before = len(page.said)
    action.trigger()
    qtbot.waitUntil(lambda: len(page.said) > before)


def test_the_copied_code_gives_the_rates_that_are_applied(qtbot, page):
    choose(qtbot, page, "Copy as PyTorch code")
    scope: dict = {}
    exec(QGuiApplication.clipboard().text(), scope)  # noqa: S102 - it is our own
    applied = lr(page.store.experiment, range(300), stages=NAMES, steps_per_epoch=100)
    written = np.array([[scope["lr"](step)[name] for name in NAMES] for step in range(300)])
    np.testing.assert_array_equal(written, applied)
    assert page.said[-1].startswith("The schedule is on the clipboard as PyTorch code, ")


def test_the_copied_schedulers_are_torchs_own(qtbot, page):
    choose(qtbot, page, "Copy as torch schedulers")
    assert "CosineAnnealingLR" in QGuiApplication.clipboard().text()


def test_the_copied_settings_are_an_experiment_file(qtbot, page):
    choose(qtbot, page, "Copy as TOML")
    read = experiment_from_toml(QGuiApplication.clipboard().text())
    assert read.schedule == page.store.experiment.schedule and read.model.thaw == {"stage 1": 2}


def test_the_copied_table_has_a_column_per_stage(qtbot, page):
    choose(qtbot, page, "Copy as CSV table")
    rows = list(csv.DictReader(io.StringIO(QGuiApplication.clipboard().text())))
    assert len(rows) == 300 and float(rows[199]["lr stage 1"]) == 0.0 and float(rows[200]["lr stage 1"]) > 0


def test_the_table_is_saved_and_a_place_that_cannot_be_written_is_told(qtbot, page, tmp_path):
    page.export.save_csv(str(tmp_path / "rates.csv"))
    qtbot.waitUntil(lambda: bool(page.said))
    assert page.said == ["The table is in rates.csv."]
    assert (tmp_path / "rates.csv").read_text().startswith("step,epoch,lr stem")
    (tmp_path / "file").write_text("")
    page.export.save_csv(str(tmp_path / "file" / "rates.csv"))
    qtbot.waitUntil(lambda: len(page.said) == 2)
    assert page.said[1].startswith("“rates.csv” cannot be written: ")


def test_the_picture_is_copied_and_saved(qtbot, page, tmp_path):
    choose(qtbot, page, "Copy as picture")
    assert not QGuiApplication.clipboard().image().isNull()
    page.said.clear()
    page.export.save_picture(str(tmp_path / "rates.png"))
    qtbot.waitUntil(lambda: bool(page.said))
    assert QImage(str(tmp_path / "rates.png")).width() == page.plot.grab().width()
