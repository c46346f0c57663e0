"""The Results page: what is stored is what is shown, every label edit can be undone, and nothing is lost by a click."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from builders import build_dataset, build_run
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QMenu, QWidget

from studio.core.experiment import Experiment
from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.core.predictions import read_predictions
from studio.core.run_digest import RunDigest
from studio.core.run_folder import find_runs
from studio.core.words import confidence_text
from studio.dataset.dataset import Dataset
from studio.gui.monitor import RunUpdate
from studio.gui.pages.results.classes import COLUMNS as SCORE_COLUMNS
from studio.gui.pages.results.classes import THRESHOLD, ClassTable
from studio.gui.pages.results.confusion import ConfusionMatrix
from studio.gui.pages.results.confusion_model import MANY
from studio.gui.pages.results.details import interval
from studio.gui.pages.results.difference import Side, compare
from studio.gui.pages.results.notebook import Notebook
from studio.gui.pages.results.notes import Notes, read_notes, tags_from_text, write_notes
from studio.gui.pages.results.page import ResultsPage
from studio.gui.pages.results.rows import BY_KEY, COLUMNS, RunRow, matches
from studio.gui.pages.results.scores import ClassScore, Scores, read_scores, worst_mistakes
from studio.gui.recorded import Recording, held_alive
from studio.gui.run_bin import BIN, move_to_bin, take_back
from studio.gui.theme import font, px
from studio.gui.widgets.form import field_editor
from studio.gui.wording import NBSP, percent

FIRST = Recording().started


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return build_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture
def three_runs(dataset):
    """Finished, stopped and failed; the first has the best figures."""
    base = Experiment().changed({"data.source": dataset.root})
    short = base.changed({"schedule.epochs": 6, "schedule.peak_lr": 5e-4})
    return [
        build_run(runs_dir(), dataset, Status.FINISHED, nickname="keen-finch", started=FIRST.replace(hour=8), skill=0.95, seed=1),
        build_run(
            runs_dir(), dataset, Status.STOPPED, nickname="brave-heron", started=FIRST.replace(hour=9), skill=0.85, seed=2, experiment=short
        ),
        build_run(runs_dir(), dataset, Status.FAILED, nickname="calm-otter", started=FIRST.replace(hour=10), seed=3),
    ]


@pytest.fixture
def open_page(qtbot, context, dataset):
    """open_page(folders) shows the page with these runs known and the draft on the same images."""

    def make(*folders, size=(1120, 800)) -> ResultsPage:
        context.store.reset_to(context.store.experiment.changed({"data.source": dataset.root}))
        context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), f.is_alive()) for f in folders))
        page = ResultsPage(context)
        qtbot.addWidget(page)
        page.resize(*size)
        page.show()
        page.activate()
        if folders:
            qtbot.waitUntil(lambda: page.answers.stored is not None, timeout=5000)
        return page

    return make


def names(page) -> list[str]:
    return [page.model.index(r, BY_KEY["run"]).data() for r in range(page.model.rowCount())]


def cell(page, row: int, key: str) -> str:
    return page.model.index(row, BY_KEY[key]).data()


# The table


def test_the_table_shows_the_best_epoch_of_every_run(open_page, three_runs):
    page = open_page(*three_runs)
    assert names(page) == ["run 3", "run 2", "run 1"]
    best = page.runs.entries[0].state.best
    assert cell(page, 2, "top1") == f"{best.validation_top1 * 100:.1f}"
    assert cell(page, 2, "f1") == f"{best.macro_f1:.3f}"
    assert cell(page, 1, "epochs") == "3 / 6"
    assert page.chosen.entry is page.runs.best


def test_figures_sort_by_value_and_not_by_text(open_page, three_runs):
    page = open_page(*three_runs)
    page.table.sortByColumn(BY_KEY["top1"], Qt.SortOrder.DescendingOrder)
    figures = [float(cell(page, r, "top1")) for r in range(3)]
    assert figures == sorted(figures, reverse=True)


def test_search_takes_words_and_comparisons(open_page, three_runs):
    page, num_found = open_page(*three_runs), {
        "": 3, "keen": 1, "top1>90": 1, "top1<=90 epochs>=3": 2, "lr<1e-3": 1, "is:failed": 1, "is:starred": 0, "tag:paper": 0, "lite0 heron": 1, "top1>x": 0,
    }  # fmt: skip
    for query, number in num_found.items():
        page.search.setText(query)
        assert page.model.rowCount() == number, query


def test_tags_and_stars_are_searched(context, three_runs):
    context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), False) for f in three_runs))
    row = RunRow(context.runs.entries[0], Notes(tags=("low LR", "paper"), is_starred=True, note="with flips"))
    assert matches(row, "tag:paper is:starred flips") and not matches(row, "tag:draft")


def test_a_star_a_name_tags_and_a_note_are_kept_in_the_run_folder(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.table.choose(page.runs.entries[0])
    page.toggle_star(page.chosen.entry)
    page.table.source.renamed.emit(page.chosen, "  the good one ")
    page.table.source.tagged.emit(page.chosen, "", "paper, low LR, paper")
    page.side.details.note_edited.emit(page.chosen, "mirrored images help")
    wanted = Notes("the good one", "mirrored images help", ("paper", "low LR"), True)
    qtbot.waitUntil(lambda: read_notes(three_runs[0]) == wanted)
    assert "the good one" in names(page)


def test_a_change_before_the_notes_are_read_keeps_them_and_the_last_of_many_changes_stays(qtbot, context, three_runs):
    write_notes(three_runs[0], Notes("a title", "a note"))
    notebook = Notebook(context.background)
    notebook.read(three_runs)
    for number in range(40):
        notebook.edit(three_runs[0], note=f"note {number}")
    context.background._pool.waitForDone()
    qtbot.waitUntil(lambda: not notebook._unread)
    assert read_notes(three_runs[0]) == notebook.of(three_runs[0]) == Notes("a title", "note 39")


def test_two_windows_that_write_of_one_run_keep_what_the_other_wrote(qtbot, open_page, context, three_runs):
    run, here = three_runs[0], open_page(*three_runs)
    there = Notebook(context.background)
    there.read([run])
    qtbot.waitUntil(lambda: not there._unread and not here.notebook._unread)
    there.edit(run, note="warm-up helps")
    qtbot.waitUntil(lambda: read_notes(run) == Notes(note="warm-up helps"))
    here.toggle_star(here.runs.entries[0])
    qtbot.waitUntil(lambda: here.notebook.of(run) == Notes(note="warm-up helps", is_starred=True))
    assert read_notes(run) == here.notebook.of(run)
    there.edit(run, tags=("paper",))
    qtbot.waitUntil(lambda: read_notes(run).tags == ("paper",))
    QApplication.sendEvent(here, QEvent(QEvent.Type.WindowActivate))
    qtbot.waitUntil(lambda: here.notebook.of(run) == Notes(note="warm-up helps", tags=("paper",), is_starred=True))
    write_notes(run, Notes(title="another", is_starred=True))
    here.deactivate()
    here.activate()
    qtbot.waitUntil(lambda: "another" in names(here))


def test_what_two_windows_confirm_and_count_adds_up(qtbot, context, three_runs):
    run = three_runs[0]
    write_notes(run, Notes(confirmed=("a", "b"), num_test_looks=1))
    windows = [Notebook(context.background), Notebook(context.background)]
    for window in windows:
        window.read([run])
    qtbot.waitUntil(lambda: all(window.of(run).num_test_looks == 1 for window in windows))
    for window, confirmed in zip(windows, (("b",), ("a", "b", "c"))):
        window.edit(run, confirmed=confirmed)
        window.edit(run, num_test_looks=2)
    context.background._pool.waitForDone()
    qtbot.waitUntil(lambda: not any(window._num_writing[run.name] for window in windows))
    assert read_notes(run) == Notes(confirmed=("b", "c"), num_test_looks=3)
    assert read_notes(run) in [window.of(run) for window in windows], "who came last has seen both"
    blind = Notebook(context.background)
    blind.read([run])
    blind.edit(run, confirmed=("d",))  # before anything is read
    blind.edit(run, num_test_looks=1)
    qtbot.waitUntil(lambda: blind.of(run) == Notes(confirmed=("b", "c", "d"), num_test_looks=4))
    assert read_notes(run) == blind.of(run)


def test_tags_of_two_windows_come_together(qtbot, open_page, context, three_runs):
    run = three_runs[0]
    write_notes(run, Notes(tags=("a", "b")))
    here, there = open_page(*three_runs), Notebook(context.background)
    details = here.side.details
    there.read([run])
    qtbot.waitUntil(lambda: there.of(run).tags == ("a", "b"))
    here.table.choose(here.runs.entries[0])
    here.edit_details()
    qtbot.waitUntil(lambda: details.tags.text() == "a, b")
    details.tags.selectAll()
    qtbot.keyClicks(details.tags, "b, mine")
    there.tag(run, "a, b", "a, b, theirs")
    qtbot.waitUntil(lambda: read_notes(run).tags == ("a", "b", "theirs"))
    QApplication.sendEvent(here, QEvent(QEvent.Type.WindowActivate))  # reads what was written there, while the field is typed in
    qtbot.waitUntil(lambda: "theirs" in here.notebook.of(run).tags)
    qtbot.keyClick(details.tags, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: read_notes(run).tags == ("b", "theirs", "mine"))
    there.tag(run, "a, b, theirs", "a, b, theirs, last")  # has not seen that
    qtbot.waitUntil(lambda: there.of(run).tags == read_notes(run).tags == ("b", "theirs", "mine", "last"))
    there.tag(run, "b, theirs, mine, last", "last, mine, b")
    qtbot.waitUntil(lambda: read_notes(run).tags == ("last", "mine", "b"))


def test_an_older_read_neither_hides_a_star_nor_drops_the_answer_of_a_newer_one(qtbot, context, three_runs, monkeypatch):
    run, gates, notebook, marks = three_runs[0], [threading.Event(), threading.Event()], Notebook(context.background), []
    write_notes(run, Notes("a title"))
    waiting = iter(gates)

    def read(folder):
        notes = read_notes(folder)
        next(waiting).wait(10)
        return notes

    monkeypatch.setattr("studio.gui.pages.results.notebook.read_notes", read)
    notebook.read([run])
    notebook.edit(run, is_starred=True)
    qtbot.waitUntil(lambda: notebook.of(run) == Notes("a title", is_starred=True))
    write_notes(run, Notes("another", is_starred=True))
    notebook.read_again([run])
    gates[0].set()
    context.background.run(lambda: None, marks.append)
    qtbot.waitUntil(lambda: len(marks) == 1)
    assert notebook.of(run).is_starred
    gates[1].set()
    qtbot.waitUntil(lambda: notebook.of(run) == Notes("another", is_starred=True))


def test_no_change_of_two_windows_that_write_at_once_is_lost(three_runs):
    write = """
import sys
from studio.core.run_folder import RunFolder
from studio.gui.pages.results.notes import Notes, change_notes
print("ready", flush=True)
input()
for i in range(20):
    change_notes(RunFolder(sys.argv[1]), [(Notes(), Notes(confirmed=(sys.argv[2] + str(i),), num_test_looks=1))])
"""
    command = [sys.executable, "-c", write, three_runs[0]]
    windows = [subprocess.Popen([*command, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for who in ("a", "b")]
    assert [window.stdout.readline() for window in windows] == [b"ready\n"] * 2
    for window in windows:
        window.stdin.write(b"\n")
        window.stdin.flush()
    for window in windows:
        window.communicate(timeout=60)
    notes = read_notes(three_runs[0])
    assert set(notes.confirmed) == {f"{who}{i}" for who in ("a", "b") for i in range(20)} and notes.num_test_looks == 40


def test_a_change_that_cannot_be_written_is_taken_back_and_said(qtbot, context, three_runs):
    write_notes(three_runs[0], Notes("a title"))
    notebook = Notebook(context.background)
    notebook.read(three_runs)
    qtbot.waitUntil(lambda: notebook.of(three_runs[0]) == Notes("a title"))
    move_to_bin(three_runs[0])
    with qtbot.waitSignal(notebook.failed) as failed:
        notebook.edit(three_runs[0], note="too late")
    assert failed.args[0].startswith("The note could not be saved")
    assert notebook.of(three_runs[0]) == Notes("a title")
    assert not three_runs[0].path.exists()


def test_a_note_is_written_though_the_window_closes_at_once(context, three_runs):
    context.background._pool.setMaxThreadCount(1)
    context.background.run(lambda: time.sleep(0.05))
    Notebook(context.background).edit(three_runs[0], note="the last word")
    context.background.close()
    assert read_notes(three_runs[0]).note == "the last word"


def test_notes_that_are_not_ours_are_read_as_none(three_runs):
    for content in (b"", b"[]", b'{"tags": 3}', b"\xff\xfe", b"null"):
        (three_runs[0].path / "notes.json").write_bytes(content)
        assert read_notes(three_runs[0]) == Notes()
    write_notes(three_runs[0], Notes("a"))
    assert read_notes(three_runs[0]).title == "a"
    assert tags_from_text(" a ,, b  c,a") == ("a", "b c")


def test_what_is_typed_when_another_run_is_shown_is_kept_of_the_run_it_was_typed_for(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    first, second, _ = page.runs.entries
    details = page.side.details
    page.edit_details()
    page.table.choose(first)
    for field in (details.title, details.tags, details.note):  # nobody leaves a field here
        field.selectAll()
        qtbot.keyClicks(field, f"typed {field.accessibleName()}")
    page.runs.state_changed.emit(first)  # it trains on
    page._refresh()
    assert details.note.toPlainText() == "typed Note of the run"
    page.show_argument(second)  # See results
    assert (details.title.text(), details.tags.text(), details.note.toPlainText()) == (second.name, "", "")
    wanted = Notes("typed Name of the run", "typed Note of the run", ("typed Tags of the run",))
    qtbot.waitUntil(lambda: read_notes(first.folder) == wanted)
    assert page.notebook.of(first.folder) == wanted and page.notebook.of(second.folder) == Notes()
    page.show_argument(first)
    assert details.note.toPlainText() == "typed Note of the run"


def test_f2_renames_in_place_by_keyboard_alone(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_F2)
    editor = page.table.findChild(QLineEdit)
    editor.setText("baseline")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.chosen.name == "baseline", timeout=2000)


def begin_to_type(qtbot, page, entry, text: str) -> QLineEdit:
    """The editor of a run's name, in which this was typed."""
    page.table.choose(entry)
    page.rename_chosen()
    editor = page.table.indexWidget(page.table.currentIndex())
    editor.selectAll()
    qtbot.keyClicks(editor, text)
    return editor


def test_a_name_that_is_typed_in_the_table_outlives_what_runs_do_and_is_given_to_its_run(qtbot, open_page, three_runs):
    page = open_page(*three_runs[1:])
    entry = page.runs.entries[0]
    page.table.setCurrentIndex(page.model.index(0, BY_KEY["top1"]))
    editor = begin_to_type(qtbot, page, entry, "baseline")
    page.model.set_rows(list(page._rows.values()))  # a run trains on
    update = RunUpdate(three_runs[0], three_runs[0].read_state(), three_runs[0].experiment(), False)
    page.runs.take((update,))  # another window's
    assert editor.text() == "baseline" and editor.isVisible()
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "baseline" in names(page) and page.model.rowCount() == 3)
    assert page.notebook.of(entry.folder).title == "baseline"
    qtbot.waitUntil(lambda: read_notes(entry.folder) == Notes("baseline"))


def test_a_name_is_kept_when_a_search_or_another_run_ends_its_typing(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    first, second, third = page.runs.entries
    begin_to_type(qtbot, page, first, "searched away")
    page.search.setText("heron")
    assert page.notebook.of(first.folder).title == "searched away"
    begin_to_type(qtbot, page, second, "left for another")
    page.show_argument(third)
    qtbot.waitUntil(lambda: page.model.rowCount() == 3 and page.chosen.entry is third)
    assert [page.notebook.of(entry.folder).title for entry in (first, second, third)] == ["searched away", "left for another", ""]


def test_x_puts_a_run_in_and_out_of_compare(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    name = page.chosen.entry.folder.name
    assert name in page.model.checked and name in page.compare.plot.curve_keys()
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_X)
    assert name not in page.model.checked and name not in page.compare.plot.curve_keys()
    page.clear_checks()
    assert page.compare.plot.curve_keys() == ()


def test_compare_draws_every_epoch_of_the_checked_runs(open_page, three_runs):
    page = open_page(*three_runs)
    for measure, field in (("top1", "validation_top1"), ("loss", "validation_loss"), ("f1", "macro_f1")):
        page.compare.measure.set_value(measure)
        page.compare._draw()
        for entry in page.runs.entries:
            x, y = page.compare.plot.curve_data(entry.folder.name)
            np.testing.assert_array_equal(x, [e.epoch + 1 for e in entry.state.epochs])
            np.testing.assert_array_equal(y, [getattr(e, field) for e in entry.state.epochs])


def test_eight_overlaid_runs_are_told_apart_and_the_legend_says_in_what_they_differ(open_page, dataset):
    base = Experiment().changed({"data.source": dataset.root})
    points = [{"schedule.peak_lr": rate, "training.seed": seed} for rate in (2e-4, 5e-4, 2e-3, 5e-3) for seed in (0, 1)]
    folders = [
        build_run(runs_dir(), dataset, nickname=f"run-{i}", started=FIRST.replace(hour=8 + i), experiment=base.changed(point), seed=i)
        for i, point in enumerate(points)
    ]
    page = open_page(*folders)
    for entry in page.runs.entries:
        if entry.folder.name not in page.model.checked:
            page.toggle_check(entry)
    keys = [folder.name for folder in folders]
    plot = page.compare.plot
    assert list(plot.curve_keys()) == plot.legend_keys() == keys
    styles = [plot.style_of(key) for key in keys]
    rates = ("2e-4", "5e-4", "2e-3", "5e-3")
    assert [style.label for style in styles] == [f"run {i + 1} · {rates[i // 2]}, seed {i % 2}" for i in range(8)]
    assert len({style.token for style in styles}) == 8 and len({(style.symbol, style.dash) for style in styles}) >= 6
    assert page.compare.plot.legend.isVisible() and page.compare.plot.rect().contains(page.compare.plot.legend.geometry())
    for folder, key in zip(folders, keys, strict=True):
        np.testing.assert_array_equal(plot.curve_data(key)[1], folder.read_state().validation_top1.y)
    assert "8 runs." in plot.accessibleDescription() and "They differ in Peak learning rate, Seed." in plot.accessibleDescription()


def test_the_runs_at_the_top_of_a_searched_list_are_compared_by_one_key(open_page, three_runs):
    page = open_page(*three_runs)
    page.clear_checks()
    page.search.setText("epochs<6")
    next(act for keys, _, act in page.shortcuts() if keys == "A")()
    assert page.model.checked == {row.entry.folder.name for row in page.model.rows} and len(page.model.checked) == 2
    assert set(page.compare.plot.curve_keys()) == page.model.checked


def test_a_setting_that_differs_is_highlighted_and_one_that_is_equal_is_not(open_page, three_runs):
    page = open_page(*three_runs)
    page.side.other.value_changed.emit(three_runs[1].name)
    page.side.equal_button.setChecked(True)
    table = page.side.difference
    picture = table.viewport().grab().toImage()

    def ground(kind: str) -> str:
        row = next(i for i, line in enumerate(table.lines.lines) if line.kind == kind)
        box = table.visualRect(table.lines.index(row, 2))
        return picture.pixelColor(box.right() - 2, box.top() + 2).name()

    assert ground("setting") != ground("equal")


def test_a_run_is_deleted_by_keys_alone_and_keep_keeps_it(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.table.setFocus()
    qtbot.waitUntil(page.table.hasFocus)
    folder = page.chosen.entry.folder
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    keep = page.banner.findChild(QAbstractButton, "results.banner.action1")
    qtbot.keyClick(keep, Qt.Key.Key_Space)
    assert not page.banner.isVisible() and folder.path.exists()
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    qtbot.keyClick(page.banner.findChild(QAbstractButton, "results.banner.action0"), Qt.Key.Key_Escape)
    assert not page.banner.isVisible() and page.table.hasFocus() and folder.path.exists()
    page.ask_to_delete()  # by the pointer: the keyboard is elsewhere
    page.search.setFocus()
    qtbot.keyClick(page.search, Qt.Key.Key_Escape)
    assert not page.banner.isVisible() and folder.path.exists()
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # the buttons of the question before
    answer = page.banner.findChild(QAbstractButton, "results.banner.action0")
    assert answer.hasFocus()
    qtbot.keyClick(answer, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not folder.path.exists())


def test_runs_are_sorted_by_keys_alone(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    header = page.table.horizontalHeader()
    keys = {key: act for key, _, act in page.shortcuts()}
    reached = set()
    for _ in COLUMNS:
        keys["S"]()
        reached.add(header.sortIndicatorSection())
    assert reached == {i for i, column in enumerate(COLUMNS) if column.title and not page.table.isColumnHidden(i)}
    for _ in COLUMNS:
        if header.sortIndicatorSection() != BY_KEY["top1"]:
            keys["S"]()
    figures = [float(cell(page, r, "top1")) for r in range(3)]
    assert figures == sorted(figures, reverse=True)
    keys["Shift+S"]()
    assert [float(cell(page, r, "top1")) for r in range(3)] == sorted(figures) and page.chosen.entry is page.runs.best


def test_columns_that_matter_less_go_first_in_a_narrow_window(open_page, three_runs):
    page = open_page(*three_runs, size=(944, 616))
    shown = {c.key for i, c in enumerate(COLUMNS) if not page.table.isColumnHidden(i)}
    assert {"check", "star", "run", "top1", "f1", "epochs"} <= shown and "tags" not in shown
    assert page.table.horizontalHeader().length() <= page.table.viewport().width()


# Scores


def test_the_matrix_shows_the_stored_counts_and_row_shares(open_page, three_runs):
    page = open_page(*three_runs)
    stored = json.loads((three_runs[0].results_path / "validation.json").read_text())
    model = page.confusion.matrix.model
    shown = [[model.index(r, c).data() or "0" for c in range(6)] for r in range(6)]
    assert [[int(v) for v in row] for row in shown] == stored["confusion"]
    page.confusion.matrix.set_share(True)
    assert model.index(0, 0).data() == f"{stored['confusion'][0][0] / sum(stored['confusion'][0]) * 100:.0f}"


def test_a_cell_chosen_by_keyboard_filters_the_mistakes_and_escape_shows_all(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    confusion = page.confusion.matrix.model.scores.confusion
    everything = page.mistakes.list.cards.rowCount()
    row, column = next((r, c) for r in range(6) for c in range(6) if r != c and confusion[r, c])
    table = page.confusion.matrix.table
    table.setFocus()
    table.setCurrentIndex(page.confusion.matrix.model.index(row, column))
    qtbot.keyClick(table, Qt.Key.Key_Return)
    cards = page.mistakes.list.cards.cards
    assert len(cards) == confusion[row, column] < everything
    assert {(c.mistake.label, c.mistake.predicted) for c in cards} == {(row, column)}
    assert page.mistakes.filter_chip.isVisible()
    qtbot.keyClick(table, Qt.Key.Key_Escape)
    assert page.mistakes.list.cards.rowCount() == everything and not page.mistakes.filter_chip.isVisible()


def test_a_cell_says_what_it_means(open_page, three_runs):
    page = open_page(*three_runs)
    counts = page.confusion.matrix.model.scores.confusion
    n = counts[0, 0]
    assert (
        page.confusion.matrix.model.sentence(0, 0)
        == f"boot called boot, right: {n} images, {n / counts[0].sum() * 100:.0f}\N{NO-BREAK SPACE}% of {counts[0].sum()}"
    )


def test_more_than_forty_classes_are_one_picture_that_keys_walk(qtbot, theme):
    n = MANY + 5
    counts = np.eye(n, dtype=int) * 7
    counts[3, 9] = 4
    rows = tuple(ClassScore(f"class {i}", 1, 1, 1, 7) for i in range(n))
    matrix = ConfusionMatrix()
    qtbot.addWidget(matrix)
    matrix.resize(300, 300)
    matrix.set_scores(Scores(tuple(r.name for r in rows), counts, rows, 0.9, 0.1, 0.9, int(counts.sum())))
    matrix.show()
    assert matrix.picture.isVisible() and not matrix.table.isVisible()
    for key in [Qt.Key.Key_Down] * 3 + [Qt.Key.Key_Right] * 9:
        qtbot.keyClick(matrix.picture, key)
    assert "class 3 called class 9: 4 images" in matrix.picture.accessibleDescription()
    with qtbot.waitSignal(matrix.cell_chosen) as chosen:
        qtbot.keyClick(matrix.picture, Qt.Key.Key_Return)
    assert chosen.args == [(3, 9)]


def test_class_scores_sort_by_number(open_page, three_runs):
    page = open_page(*three_runs)
    model = page.confusion.classes.model()
    for column in range(1, 5):
        page.confusion.classes.sortByColumn(column, Qt.SortOrder.AscendingOrder)
        values = [model.index(r, column).data(Qt.ItemDataRole.UserRole) for r in range(6)]
        assert values == sorted(values)


def test_a_run_that_was_not_scored_says_why(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.table.choose(page.runs.entries[2])
    qtbot.waitUntil(lambda: page.answers.stored is not None, timeout=3000)
    assert "ended before it was scored" in page.confusion.message.text()


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"classes": ["a"], "confusion": [[1, 2]]}', b"\xff"])
def test_damaged_scores_are_said_and_the_figures_stay(qtbot, open_page, dataset, damage):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    (folder.results_path / "validation.json").write_bytes(damage)
    assert read_scores(folder) is None
    page = open_page(folder)
    assert "missing or damaged" in page.confusion.message.text() and float(cell(page, 0, "top1")) > 0


def test_predictions_are_never_unpickled(dataset, tmp_path):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    trap = tmp_path / "trap"

    class Evil:
        def __reduce__(self):
            return trap.write_text, ("executed",)

    path = folder.results_path / "validation_predictions.npz"
    path.write_bytes(pickle.dumps(Evil()))
    assert read_predictions(folder) is None
    np.savez(path, ids=np.array([Evil()], dtype=object), labels=np.zeros(1), probabilities=np.zeros((1, 2)), losses=np.zeros(1))
    assert read_predictions(folder) is None
    assert not trap.exists()


@pytest.mark.parametrize(("width", "has_threshold"), [(238, False), (298, True), (500, True)])
def test_no_title_over_the_scores_per_class_is_cut(qtbot, theme, width, has_threshold):
    table = ClassTable()
    qtbot.addWidget(table)
    table.resize(width, 200)
    table.show()
    header, metrics = table.horizontalHeader(), QFontMetrics(font("caption"))
    assert table.isColumnHidden(THRESHOLD) != has_threshold
    for sorted_by in range(1, len(SCORE_COLUMNS)):
        table.sortByColumn(sorted_by, Qt.SortOrder.DescendingOrder)
        for column, title in enumerate(SCORE_COLUMNS):
            arrow = header.arrow_px if column == sorted_by else 0
            assert table.isColumnHidden(column) or header.sectionSize(column) >= metrics.horizontalAdvance(title) + arrow + px(6)
    assert header.length() <= table.viewport().width()


# How sure


@pytest.fixture
def sure(qtbot, open_page, dataset):
    """The page on a run that is far too sure: what it said is sharpened threefold."""
    folder = build_run(runs_dir(), dataset, Status.FINISHED, skill=0.6, seed=5)
    stored = read_predictions(folder)
    log_p = 3 * stored.log_p.astype(np.float32)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    ids, losses = np.array(json.dumps(stored.ids)), -log_p[np.arange(len(log_p)), stored.labels]
    for part in ("validation", "test"):
        path = folder.results_path / f"{part}_predictions.npz"
        np.savez(path, ids=ids, labels=stored.labels, log_p=log_p.astype(np.float16), losses=losses)
    page = open_page(folder)
    page.confusion.set_view("sure")
    return page


def test_a_run_that_is_too_sure_is_said_to_be_with_the_temperature_that_mends_it(sure):
    r = sure.answers.stored.sureness.validation
    assert sure.confusion.sure.isVisible() and r.temperature > 1.5
    assert f"on test {percent(r.error)}, with the temperature {percent(r.error_after)}" in sure.confusion.sure.figures.text()
    assert "over-confident" in sure.confusion.sure.words.text() and f"{r.temperature:.2f}" in sure.confusion.sure.words.text()


def test_holding_back_unsure_answers_says_at_once_what_it_comes_to(qtbot, sure):
    view, curve = sure.confusion.sure, sure.answers.stored.sureness.validation.answered
    accuracy, _ = curve.at(0)
    assert view.outcome.text().replace(NBSP, " ") == f"{accuracy:.1%} right, 100.0% answered".replace("%", " %")
    view.slider.setFocus()
    for _ in range(30):
        qtbot.keyClick(view.slider, Qt.Key.Key_Right)
    least = 1 - 1 / view.slider.number
    accuracy, share = curve.at(least)
    assert 0 < share < 1 and view.outcome.text().replace(NBSP, " ") == f"{accuracy:.1%} right, {share:.1%} answered".replace("%", " %")


def test_a_wanted_accuracy_sets_the_least_confidence_that_gives_it(qtbot, sure):
    view, curve = sure.confusion.sure, sure.answers.stored.sureness.validation.answered
    wanted = next(a for a, made in view.targets.items() if made.isEnabled())
    qtbot.mouseClick(view.targets[wanted], Qt.MouseButton.LeftButton)
    accuracy, share = curve.at(curve.confidence_for(wanted))
    assert accuracy >= wanted and f"{share:.1%}".replace("%", "") in view.outcome.text()


def test_the_bars_of_the_diagram_are_told_by_keys(qtbot, sure):
    diagram, bins = sure.confusion.sure.diagram, sure.answers.stored.sureness.validation.bins
    last = int(np.flatnonzero(bins.count_B)[-1])
    qtbot.keyClick(diagram, Qt.Key.Key_Left)
    assert diagram.accessibleDescription() == diagram.sentence(last) and f"{bins.count_B[last]} answer" in diagram.sentence(last)


def test_the_best_threshold_of_a_class_stands_in_its_row(sure):
    table, stored = sure.confusion.classes.source, sure.answers.stored
    threshold = stored.sureness.thresholds_C[2]
    assert table.index(2, 4).data(Qt.ItemDataRole.UserRole) == threshold
    assert table.index(2, 4).data() == confidence_text(threshold)


def test_answers_that_are_gone_are_said_and_the_matrix_stays(open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    (folder.results_path / "validation_predictions.npz").write_bytes(b"")
    page = open_page(folder)
    page.confusion.set_view("sure")
    assert "missing or damaged" in page.confusion.sure.words.text() and not page.confusion.sure.slider.isEnabled()


@pytest.mark.parametrize(
    ("confidence", "text"), [(0.834, "83 %"), (0.99, "99 %"), (0.9971, "99.7 %"), (0.99987, "99.98 %"), (1.0, "100 %")]
)
def test_a_confidence_has_as_many_places_as_keep_it_apart_from_certainty(confidence, text):
    assert confidence_text(confidence).replace(NBSP, " ") == text


def test_probabilities_stored_by_an_earlier_version_are_still_read(dataset):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    now = read_predictions(folder)
    half = now.probabilities.astype(np.float16)
    ids = np.array(json.dumps(now.ids))
    np.savez(folder.results_path / "validation_predictions.npz", ids=ids, labels=now.labels, losses=now.losses, probabilities=half)
    assert np.allclose(read_predictions(folder).probabilities, now.probabilities, atol=2e-3)


# Mistakes


def test_worst_mistakes_are_the_wrong_ones_highest_loss_first(dataset):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    stored = read_predictions(folder)
    mistakes = worst_mistakes(stored)
    called = stored.probabilities.argmax(axis=1)
    assert len(mistakes) == int((called != stored.labels).sum()) == read_scores(folder).num_mistakes
    assert [m.loss for m in mistakes] == sorted((m.loss for m in mistakes), reverse=True)
    first = mistakes[0]
    at = stored.ids.index(first.id)
    assert (first.label, first.predicted) == (stored.labels[at], called[at])
    assert first.confidence == pytest.approx(float(stored.probabilities[at].max()))


def test_a_mistake_is_a_picture_of_its_file(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    card = page.mistakes.list.cards.cards[0]
    qtbot.waitUntil(lambda: page.loader.pixmap(card.path, 256) is not None, timeout=5000)
    assert "called" in page.mistakes.list.cards.index(0).data() and "loss" in page.mistakes.list.cards.index(0).data()


def test_relabelling_edits_the_draft_and_can_be_undone(qtbot, open_page, three_runs, dataset):
    page = open_page(*three_runs)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in (find_runs(runs_dir())[0].path).rglob("*") if p.is_file())
    page.mistakes.next_mistake()
    card = page.mistakes.card
    page.mistakes.relabel_wanted.emit(card, card.predicted)
    assert page.store.experiment.data.relabelled == {card.mistake.id: card.predicted}
    qtbot.waitUntil(lambda: page.mistakes.card.state == f"now {card.predicted}", timeout=2000)
    assert "1 label changed" in page.mistakes.subtitle_label.text()
    page.store.undo()
    assert page.store.experiment.data.relabelled == {}
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in (find_runs(runs_dir())[0].path).rglob("*") if p.is_file())


def test_leaving_out_and_taking_back_by_keyboard(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.mistakes.next_mistake()
    id_ = page.mistakes.card.mistake.id
    qtbot.keyClick(page.mistakes.list, Qt.Key.Key_Delete)
    assert page.store.experiment.data.left_out == (id_,)
    qtbot.waitUntil(lambda: page.mistakes.card.state == "left out", timeout=2000)
    qtbot.keyClick(page.mistakes.list, Qt.Key.Key_Delete)
    assert page.store.experiment.data.left_out == ()


def test_a_label_found_right_is_remembered_and_the_next_mistake_comes(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.mistakes.next_mistake()
    card = page.mistakes.card
    page.mistakes.confirm_wanted.emit(card)
    qtbot.waitUntil(lambda: read_notes(three_runs[0]).confirmed == (card.mistake.id,), timeout=3000)
    assert page.mistakes.card.mistake.id != card.mistake.id
    assert page.mistakes.list.cards.cards[0].state == "label is right"


def test_labels_of_another_folder_cannot_be_edited(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.store.set({"data.source": "/somewhere/else"})
    qtbot.waitUntil(lambda: "another folder" in page.mistakes.relabel_button.toolTip(), timeout=2000)
    page.mistakes.next_mistake()
    assert not page.mistakes.relabel_button.isEnabled() and not page.mistakes.leave_out_button.isEnabled()
    qtbot.keyClick(page.mistakes.list, Qt.Key.Key_Delete)
    assert page.store.experiment.data.left_out == ()


def test_where_the_network_looked_is_asked_of_the_probe_and_drawn(qtbot, open_page, three_runs):
    page = open_page(*three_runs)

    def answer(params: dict) -> dict:
        view, heat = np.full((8, 8, 3), 90, np.uint8), np.linspace(0, 1, 64, dtype=np.float32)
        size = {"width": 8, "height": 8}
        return {"image": {"content": view.tobytes(), **size}, "heat": {"content": heat.tobytes(), **size}}

    page.context.probe.answer("explain", answer)
    page.mistakes.view.set_value(True)
    page.mistakes._on_view_value_changed(True)
    card = page.mistakes.list.cards.cards[0]
    qtbot.waitUntil(lambda: page.cams.cam(page.chosen.entry.folder, card.path, card.mistake.predicted) is not None, timeout=4000)
    asked = [params for method, params in page.context.probe.calls if method == "explain"]
    assert {"run": str(page.chosen.entry.folder.path), "path": card.path, "class_index": card.mistake.predicted} in asked


# Difference, restore, delete


def test_the_difference_lists_changed_settings_only_and_then_consequences(open_page, three_runs):
    page = open_page(*three_runs)
    first, second = page.runs.entries[0], page.runs.entries[1]
    lines = compare(Side("a", first.experiment, first.state), Side("b", second.experiment, second.state))
    settings = {x.label: (x.first, x.second) for x in lines if x.kind == "setting"}
    assert settings == {"Epochs": ("8", "6"), "Peak learning rate": ("2e-3", "5e-4")}
    consequences = {x.label: x for x in lines if x.kind == "consequence"}
    assert consequences["Best top-1"].tone == "bad" and consequences["Best top-1"].note.startswith("\N{MINUS SIGN}")


def test_the_run_compared_with_is_read_for_the_figures_that_its_digest_has_not(qtbot, open_page, three_runs, context):
    for folder in three_runs[:2]:
        experiment, state = folder.experiment(), folder.read_state()
        context.runs.take((RunUpdate(folder, None, experiment, False, 0, RunDigest.of(experiment, state)),))
    context.runs.start()
    page = open_page()

    def memory():
        return next((line for line in page.side.difference.lines.lines if line.label == "Memory, peak"), None)

    def has_both() -> bool:
        return memory() is not None and "–" not in (memory().first, memory().second)

    qtbot.waitUntil(lambda: page.answers.stored is not None and has_both(), timeout=10_000)
    for entry in page.runs.entries:
        entry.let_go()
    page.activate()
    assert not has_both()
    qtbot.waitUntil(has_both, timeout=10_000)


def test_one_run_is_compared_with_the_draft(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    assert page.side.difference.lines.names == ("run 1", "Draft")


def test_restore_makes_the_run_the_draft_and_keeps_the_name(open_page, three_runs):
    page = open_page(*three_runs)
    page.store.set({"name": "Mine"})
    page.table.choose(page.runs.entries[1])
    said = []
    page.context.shell.toast_requested.connect(lambda *args: said.append(args))
    for offered in ("Undo", ""):  # the second time nothing changes
        page.restore_chosen()
        assert said[-1][1] == offered
    assert page.store.experiment == page.runs.entries[1].experiment.changed({"name": "Mine"})
    page.store.undo()
    assert page.store.experiment.schedule.epochs == 8


def test_clone_with_changes_in_the_menu_leads_to_the_schedule_with_the_settings_of_the_run(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.store.set({"name": "Mine"})
    before, entry, asked = page.store.experiment, page.runs.entries[1], []
    page.context.shell.page_requested.connect(lambda *args: asked.append(args))
    page.table.choose(entry)
    qtbot.mouseClick(page.more_button, Qt.MouseButton.LeftButton)
    menu, clone = next((m, a) for m in page.findChildren(QMenu) for a in m.actions() if a.text() == "Clone with changes…")
    clone.trigger()
    menu.close()
    assert [key for key, _ in asked] == ["schedule"]
    assert page.store.experiment == entry.experiment.changed({"name": "Mine"})
    editor = field_editor(page.store, "schedule.epochs", slider=False)
    qtbot.addWidget(editor)
    assert editor.findChild(QLineEdit).text() == "6", "the Schedule page's own field has it"
    page.store.set({"schedule.epochs": 9})
    assert entry.experiment.schedule.epochs == 6, "the run itself stays as it was"
    page.store.undo()
    page.store.undo()
    assert page.store.experiment == before


def test_delete_asks_and_moves_the_folder_to_the_bin(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    said = []
    page.context.shell.toast_requested.connect(lambda *args: said.append(args))
    page.ask_to_delete()
    assert page.banner.isVisible() and three_runs[0].path.exists()
    qtbot.mouseClick(page.banner.findChild(QAbstractButton, "results.banner.action0"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(said), timeout=3000)
    assert not three_runs[0].path.exists()
    assert three_runs[0] not in find_runs(runs_dir())
    said[0][2]()  # Undo
    qtbot.waitUntil(lambda: three_runs[0].path.is_dir(), timeout=3000)


def test_a_deleted_run_comes_back_as_what_it_was(qtbot, open_page, three_runs, context):
    page, said = open_page(*three_runs), []
    context.shell.toast_requested.connect(lambda *args: said.append(args))
    with qtbot.waitSignal(context.runs.monitor.progressed, check_params_cb=lambda num_read, _: num_read == 3):
        context.runs.start()
    entry, checked = page.runs.entries[0], set(page.model.checked)
    before = entry.number, page.chosen.series, names(page)
    assert page.chosen.entry is entry and entry.folder.name in checked
    page._delete(page.chosen)
    qtbot.waitUntil(lambda: bool(said) and page.model.rowCount() == 2)
    said[0][2]()
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)
    page.table.choose(page.runs.entries[0])
    assert (page.chosen.entry.number, page.chosen.series, names(page)) == before
    assert page.model.checked == checked


@pytest.mark.parametrize("has_bin", [True, False])
def test_the_bin_never_overwrites_and_gives_back(dataset, studio_home, monkeypatch, has_bin):
    """With the system's bin, and beside the runs where there is none."""
    if not has_bin:
        monkeypatch.setattr("studio.gui.run_bin.QFile", lambda path: SimpleNamespace(moveToTrash=lambda: False))
    first = build_run(runs_dir(), dataset, Status.QUEUED)
    one = move_to_bin(first)
    second = build_run(runs_dir(), dataset, Status.QUEUED)
    two = move_to_bin(second)
    assert one != two and one.is_dir() and two.is_dir() and one.is_relative_to(studio_home)
    assert (one.parent == runs_dir() / BIN) is not has_bin
    take_back(one, first)
    assert first.experiment_path.is_file() and not list(studio_home.rglob(f"{one.name}.trashinfo"))
    with pytest.raises(FileExistsError):
        take_back(two, second)


def test_a_run_that_was_resumed_elsewhere_a_moment_ago_does_not_go_to_the_bin(qtbot, context, dataset):
    run, said = build_run(runs_dir(), dataset, Status.STOPPED), []
    context.runs.take((RunUpdate(run, run.read_state(), run.experiment(), False),))
    context.runs.failed_to_start.connect(said.append)
    with held_alive(run):
        context.runs.delete(context.runs.entries[0])
        qtbot.waitUntil(lambda: said == ["Run 1 could not be moved to the bin: it trains. Stop it first."])
    assert run.experiment_path.is_file()


def test_delete_of_a_run_that_was_resumed_meanwhile_says_that_it_trains(qtbot, open_page, three_runs):
    page = open_page(*three_runs)
    page.table.choose(page.runs.entry("brave-heron"))
    page.ask_to_delete()
    page.runs.continue_run(page.chosen.entry)
    with qtbot.waitSignal(page.context.shell.toast_requested) as toast:
        page.banner.findChild(QAbstractButton, "results.banner.action0").click()
    assert toast.args[0] == "Run 2 could not be moved to the bin: it trains. Stop it first."
    assert three_runs[1].experiment_path.is_file()


def test_details_show_the_best_epoch_and_the_interval_is_wilsons(open_page, three_runs):
    page = open_page(*three_runs)
    best = page.chosen.state.best
    assert f"Best epoch: {best.epoch + 1} of 8" in page.side.details.texts()
    assert interval(0.9, 100) == "6.0"  # 1.96 / 1.0384 * sqrt(0.0009 + 0.000096)


def test_go_to_results_with_a_run_chooses_it(open_page, three_runs):
    page = open_page(*three_runs)
    page.search.setText("keen")
    page.show_argument(page.runs.entries[1])
    assert page.chosen.entry is page.runs.entries[1]


# Manners


def test_without_runs_the_page_says_so(open_page):
    page = open_page()
    assert page.stack.currentWidget() is page.empty and page.empty.isVisible()


def test_names_from_outside_are_never_read_as_markup(qtbot, context, tmp_path):
    evil = ("<img src=file:///etc/passwd>", "<b>bold</b>", "a&b")
    data = build_dataset(tmp_path / "images", evil, 12, 12)
    folder = build_run(runs_dir(), data, Status.FINISHED, skill=0.6)
    write_notes(folder, Notes("<h1>title</h1>", "<a href=x>note</a>", ("<i>tag</i>",)))
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
    page = ResultsPage(context)
    qtbot.addWidget(page)
    page.activate()
    qtbot.waitUntil(lambda: page.answers.stored is not None and page.chosen.name == "<h1>title</h1>", timeout=5000)
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in page.findChildren(QLabel) if label.text())
    for model in (page.model, page.confusion.matrix.model, page.mistakes.list.cards):
        tips = [str(model.index(row, 0).data(Qt.ItemDataRole.ToolTipRole)) for row in range(model.rowCount())]
        assert not any("<b>bold" in tip or "<img" in tip for tip in tips)


def test_everything_that_takes_the_focus_has_a_name(open_page, three_runs):
    page = open_page(*three_runs)
    nameless = [
        w.objectName() or type(w).__name__
        for w in page.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and w.isVisible()
        and not w.accessibleName()
        and not isinstance(w.parentWidget(), QAbstractButton)
    ]
    assert nameless == []


def test_the_page_fits_the_least_window(open_page, three_runs, qtbot):
    page = open_page(*three_runs, size=(940, 600))
    qtbot.waitUntil(lambda: page.minimumSizeHint().height() <= 600)  # the splitter says what it needs in an event of its own
    assert page.minimumSizeHint().width() <= 940


def test_the_panels_fit_beside_one_another_in_the_least_window(open_page, three_runs):
    page = open_page(*three_runs)
    page.setMinimumWidth(1)  # the window gives what it has
    page.resize(798, 740)  # of 1100 px
    for _ in range(5):  # layouts in layouts, each after the one around it
        QApplication.processEvents()
    assert page.width() == 798
    places = [part.geometry() for part in (page.compare, page.confusion, page.side)]
    assert places[0].right() < places[1].left() and places[1].right() < places[2].left() and places[2].right() < page._middle.width()
