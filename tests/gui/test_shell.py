"""The window as a whole: steps, undo, saving, palette, Train, keyboard."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QShortcut
from PySide6.QtWidgets import QLineEdit, QMenu, QPushButton, QWidget
from shiboken6 import delete

from studio.core.experiment import Experiment
from studio.core.outcome import Status
from studio.core.problem import BadInput
from studio.dataset.decoded import DecodedCache, budget, decoded_folder, used_bytes
from studio.gui.background import Background
from studio.gui.context import make_context
from studio.gui.monitor import RunUpdate
from studio.gui.pages import PAGES
from studio.gui.scan import ScanState
from studio.gui.shell.command import run_commands
from studio.gui.shell.decoded import DecodedSettings
from studio.gui.shell.sheet import Sheet
from studio.gui.shell.summary import summaries
from studio.gui.shell.window_commands import key_groups, palette_commands
from studio.gui.testing import FakeEngines, FakeWorker
from studio.gui.widgets import PlainLabel
from studio.gui.window import Window
from studio.gui.workers import WorkerClient
from tests.builders import build_dataset, build_run


@pytest.fixture
def window(context, qtbot) -> Window:
    made = Window()
    qtbot.addWidget(made)
    made.attach(context)
    made.show()
    return made


def with_data(context, tmp_path):
    """A context whose scan has found a small data set."""
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.scan.hold(ScanState(is_complete=True))
    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    return dataset


def press(qtbot, window, key, modifier=Qt.KeyboardModifier.ControlModifier):
    qtbot.keyClick(window, key, modifier)


def test_no_part_of_a_page_is_shown_as_a_window_of_its_own(context, qtbot, qapp):
    """It would flash up and take the keyboard away."""

    class Shown(QObject):
        names: list[str] = []

        def eventFilter(self, widget, event) -> bool:
            if event.type() == QEvent.Type.Show and widget.isWidgetType() and widget.isWindow() and not isinstance(widget, Window):
                self.names.append(f"{type(widget).__name__} {widget.objectName()}")
            return False

    shown = Shown()
    qapp.installEventFilter(shown)
    window = Window()
    qtbot.addWidget(window)
    window.attach(context)
    window.show()
    for slot in PAGES:
        window.show_page(slot.key)
    qapp.removeEventFilter(shown)
    assert shown.names == []


def test_ctrl_and_a_number_shows_each_step_and_the_rail_follows(window, qtbot):
    for index, slot in enumerate(PAGES):
        press(qtbot, window, Qt.Key(Qt.Key.Key_1 + index))
        assert window.current_page == slot.key
        assert window.rail.steps.currentIndex().row() == index


def test_every_key_that_is_bound_stands_on_the_keyboard_map_the_page_in_front_first(window):
    keys = set()
    for slot in PAGES:
        window.show_page(slot.key)
        keys |= {shortcut.key().toString() for shortcut in window.findChildren(QShortcut) if shortcut.isEnabled()}
    window.show_page("model")
    groups = key_groups(window)
    assert [title for title, _ in groups][:3] == ["Everywhere", "Model", "Model, backbones"]
    listed = {keys for _, pairs in groups for keys, _ in pairs}
    spoken = {each.replace("Return", "Enter").replace("+", " ") for each in keys} - {"Ctrl Shift >"}  # Shift and a full stop
    assert spoken - listed == set() and {"Alt ↑ ↓", "1 to 9", "Ins"} <= listed


def test_at_1440_pages_with_a_column_of_their_own_on_the_right_start_with_the_folded_inspector(window, context, tmp_path):
    with_data(context, tmp_path)
    window.resize(1440, 900)
    folded = {}
    for slot in PAGES:
        window.show_page(slot.key)
        folded[slot.key] = window.inspector.is_folded
    assert folded == {slot.key: slot.key not in ("data", "model") for slot in PAGES}
    window.show_page("augment")
    window.toggle_inspector()
    assert not window.inspector.is_folded, "who wants it there opens it"


def test_a_click_on_a_step_of_the_rail_shows_its_page(window):
    window.rail.steps.setCurrentIndex(window.rail.steps.model().index(3, 0))
    assert window.current_page == "schedule"


def test_undo_takes_back_one_step_and_redo_brings_it_again(window, context, qtbot):
    context.store.set({"schedule.epochs": 12})
    assert context.store.undo_label == "epochs to 12"
    assert "epochs to 12" in window.top_bar.undo.toolTip()
    press(qtbot, window, Qt.Key.Key_Z)
    assert context.store.experiment.schedule.epochs == Experiment().schedule.epochs
    window.top_bar.redo.click()
    assert context.store.experiment.schedule.epochs == 12


def test_one_drag_is_one_undo_step(context):
    store = context.store
    with store.one_step():
        for epochs in (9, 10, 11):
            store.set({"schedule.epochs": epochs})
    assert store.undo_label == "epochs to 11"
    store.undo()
    assert store.experiment == Experiment()
    assert store.undo_label == ""


def test_a_value_out_of_range_raises_and_leaves_the_draft(context):
    with pytest.raises(BadInput, match="at least 1"):
        context.store.set({"schedule.epochs": 0})
    assert context.store.experiment == Experiment()
    assert context.store.undo_label == ""


def test_the_draft_saves_itself_and_is_there_at_the_next_start(context, qtbot):
    context.store.set({"schedule.epochs": 31, "name": "Saved"})
    qtbot.waitUntil(lambda: context.projects.saved_text.startswith("Saved"), timeout=5000)
    next_start = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
    try:
        assert next_start.projects.recover()
        assert next_start.store.experiment.schedule.epochs == 31
        assert next_start.store.undo_label == ""
    finally:
        next_start.close()


def test_closing_the_window_saves_what_was_typed_last(window, context):
    context.store.set({"schedule.epochs": 77})
    window.close()
    next_start = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
    try:
        assert next_start.projects.recover()
        assert next_start.store.experiment.schedule.epochs == 77
    finally:
        next_start.close()


def test_a_closed_window_makes_no_more_pages_and_its_workers_are_asked_nothing(window, context):
    window.make_pages_ahead()
    made = len(window._pages)
    window.close()
    window.make_pages_ahead()
    assert len(window._pages) == made
    worker = WorkerClient("probe")
    worker.close()
    assert worker.call("describe_model", {}, pytest.fail, pytest.fail) == 0 and not worker.is_busy


def test_a_page_made_ahead_comes_in_pieces_and_is_whole_at_once_where_it_is_visited(window, qtbot):
    window.make_pages_ahead()
    coming = window._coming
    assert not coming.is_whole and coming.key not in window._pages
    window.show_page(coming.key)
    assert coming.is_whole and window.page(coming.key) is coming and window.current_page == coming.key
    qtbot.waitUntil(lambda: window._coming is not None)  # the next one
    ahead = window._coming
    qtbot.waitUntil(lambda: ahead.key in window._pages)
    assert ahead.is_whole and window.page(ahead.key) is ahead


def test_a_draft_that_cannot_be_read_is_kept_and_named(context):
    context.store.set({"schedule.epochs": 5})
    context.projects.save_now()
    context.projects.path.write_text("schema_version = 1\n[schedule]\nepochs = 'many'\n")
    next_start = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
    told = []
    next_start.projects.noticed.connect(told.append)
    try:
        assert not next_start.projects.recover()
        assert context.projects.path.name in told[0] and "cannot be read" in told[0]
        assert context.projects.path.exists()
        assert next_start.store.experiment == Experiment()
    finally:
        next_start.close()


def test_train_is_off_without_images_and_says_why(window):
    assert not window.top_bar.train.main.isEnabled()
    assert "Open a folder of images first" in window.top_bar.train.main.toolTip()


def test_train_writes_a_run_folder_and_starts_its_engine(window, context, qtbot, tmp_path):
    with_data(context, tmp_path)
    qtbot.waitUntil(window.top_bar.train.main.isEnabled)
    press(qtbot, window, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(context.engines.started) == 1)
    folder, resume = context.engines.started[0]
    assert folder.experiment() == context.store.experiment
    assert folder.dataset_path.is_file()
    assert not resume
    qtbot.waitUntil(lambda: window.current_page == "train")
    assert context.runs.active.status is Status.STARTING
    assert window.run_bar.isVisible()


def test_train_queues_while_a_run_is_active_and_starts_when_it_ends(window, context, qtbot, tmp_path):
    with_data(context, tmp_path)
    qtbot.waitUntil(window.top_bar.train.main.isEnabled)
    context.runs.train()
    qtbot.waitUntil(lambda: len(context.engines.started) == 1)
    context.runs.train()
    qtbot.waitUntil(lambda: len(context.runs.queued) == 1)
    assert len(context.engines.started) == 1
    context.engines.codes[context.engines.started[0][0]] = 0  # the first engine ends
    qtbot.waitUntil(lambda: len(context.engines.started) == 2, timeout=5000)
    assert context.runs.queued == ()


def test_an_engine_that_dies_before_its_first_word_is_a_failed_run(window, context, qtbot, tmp_path):
    with_data(context, tmp_path)
    context.runs.train()
    qtbot.waitUntil(lambda: len(context.engines.started) == 1)
    context.engines.codes[context.engines.started[0][0]] = -9
    qtbot.waitUntil(lambda: context.runs.entries[0].status is Status.FAILED, timeout=5000)
    assert "SIGKILL" in context.runs.entries[0].outcome.sentence
    assert context.runs.active is None


def test_rail_dots_say_how_each_step_stands(window, context, tmp_path):
    assert summaries(context)["data"].dot_word == "nothing yet"
    assert summaries(context)["train"].text == "needs images"
    dataset = with_data(context, tmp_path)
    assert summaries(context)["data"].text == f"{len(dataset.samples)} images · 6 classes"
    assert summaries(context)["train"].dot_word == "ready"
    context.store.set({"model.train_stages": 0, "model.layers": {"head": "frozen"}})
    assert summaries(context)["train"].text.startswith("Nothing trains") and summaries(context)["train"].dot_word == "look here"
    assert summaries(context)["model"].text.endswith("nothing trains") and summaries(context)["model"].dot_word == "has a problem"
    context.store.undo()
    run = build_run(tmp_path / "runs", dataset)
    context.runs.take((RunUpdate(run, run.read_state(), run.experiment()),))
    assert summaries(context)["results"].text.startswith("1 run · best")
    assert summaries(context)["use"].dot_word == "ready"


def test_the_palette_finds_a_setting_and_changes_it_in_its_row(window, context, qtbot):
    press(qtbot, window, Qt.Key.Key_K)
    palette = window.palette_view
    qtbot.keyClicks(palette.field, "weight de")
    assert palette.rows[0].setting == "optimiser.weight_decay"
    before = context.store.experiment.optimiser.weight_decay
    qtbot.keyClick(palette.field, Qt.Key.Key_Right)
    assert context.store.experiment.optimiser.weight_decay > before
    assert palette.isVisible()
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert not palette.isVisible()
    assert window.current_page == "schedule"


def test_the_palette_runs_commands_and_lists_every_page(window, qtbot):
    window.open_palette("> dark or")
    qtbot.keyClick(window.palette_view.field, Qt.Key.Key_Return)
    from studio.gui.theme import theme

    assert theme().mode == "light"
    window.open_palette()
    assert {c.title for c in window.palette_view.rows} >= {"Data", "Model"}


def test_a_run_in_the_palette_leads_to_where_it_can_be_seen(context, qtbot, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=3, num_validation=2)
    for status, waits, page in ((Status.FINISHED, False, "results"), (Status.QUEUED, False, "results"), (Status.QUEUED, True, "train")):
        run = build_run(tmp_path / "runs", dataset, status, nickname=f"{status}-{page}")
        context.runs.take((RunUpdate(run, run.read_state(), run.experiment()),))
        context.runs._change_queue(lambda _, run=run, waits=waits: [run.name] if waits else [])
        with qtbot.waitSignal(context.shell.page_requested) as asked:
            run_commands(context)[0].run()
        assert asked.args == [page, context.runs.entry(run)]


def test_every_setting_of_the_experiment_is_in_the_palette(window, context):
    from studio.core.experiment import SECTIONS
    from studio.gui.shell.command import _NOT_IN_ROWS, setting_commands

    listed = {c.setting for c in setting_commands(context)}
    every = {f"{s}.{n}" for s in SECTIONS for n in type(getattr(Experiment(), s)).model_fields}
    assert listed == every - _NOT_IN_ROWS


def test_a_dropped_folder_becomes_the_data(window, context, tmp_path):
    dataset = build_dataset(tmp_path / "wild life", num_train=3, num_validation=2)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "wild life"))])
    event = QDropEvent(QPointF(400, 300), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    window.dropEvent(event)
    assert context.store.experiment.data.source == dataset.root
    assert context.store.experiment.name == "Wild life"


def test_a_dropped_experiment_that_is_wrong_says_so_and_changes_nothing(window, context, tmp_path):
    bad = tmp_path / "experiment.toml"
    bad.write_text("[schedule]\nepoch = 3\n")
    window.open_path(str(bad))
    assert "not known" in window.toast.text
    assert context.store.experiment == Experiment()


def test_another_folder_opens_a_new_project_and_the_old_one_stays(context, tmp_path):
    context.scan.hold(ScanState())
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        context.projects.open_data(str(tmp_path / name))
    assert context.store.experiment.name == "Second"
    context.projects.save_now()
    assert {p.name for p in context.projects.recent()} == {"First", "Second"}


def test_f6_goes_round_the_parts_and_every_button_has_a_name(window, qtbot):
    seen = set()
    for _ in range(6):
        qtbot.keyClick(window, Qt.Key.Key_F6)
        focus = window.focusWidget()
        seen.add(next(p for p in ("topbar", "rail", "pages", "inspector") if _is_inside(window, focus, f"shell.{p}")))
    assert {"topbar", "rail", "pages"} <= seen
    nameless = [b for b in window.findChildren(QPushButton) if b.isVisible() and not b.accessibleName() and not b.text()]
    assert nameless == []


def test_f6_reaches_a_message_which_stays_meanwhile_and_gives_the_keyboard_back_and_nothing_under_a_sheet(window, context, qtbot):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.rail.steps.setFocus()
    done = []
    context.shell.toast("A run moved to the bin.", "Undo", lambda: done.append("undone"))
    qtbot.keyClick(window, Qt.Key.Key_F6)
    assert window.focusWidget().objectName() == "toast.action"
    window.toast._timer.timeout.emit()
    assert window.toast.isVisible(), "who is about to press it has the time"
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Space)
    assert done == ["undone"] and not window.toast.isVisible() and window.rail.steps.hasFocus()
    window.open_settings()
    sheet = next(sheet for sheet in window.findChildren(Sheet) if sheet.isVisible())
    for _ in range(3):
        qtbot.keyClick(window, Qt.Key.Key_F6)
        assert sheet.isAncestorOf(window.focusWidget())
    context.shell.toast("A run moved to the bin.", "Undo", lambda: None)
    qtbot.keyClick(window, Qt.Key.Key_F6)
    assert window.focusWidget().objectName() == "toast.action"
    for name in ("toast.close", "toast.action"):
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        assert window.focusWidget().objectName() == name, "the way to what lies under the sheet is closed"


def test_what_nobody_asked_for_takes_away_no_undo(window, context):
    context.shell.mention("Measured no further.")
    assert window.toast.text == "Measured no further."
    context.shell.toast("A run moved to the bin.", "Undo", context.store.undo)
    context.shell.mention("Measured no further.")
    assert window.toast.text == "A run moved to the bin." and [words for _, words in window._notices].count("Measured no further.") == 2
    window.toast.withdraw(context.store.undo)
    context.shell.mention("Measured no further.")
    assert window.toast.text == "Measured no further."


def test_f6_goes_on_from_a_message_also_where_what_had_the_keyboard_before_is_gone(window, context, qtbot):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    gone = QPushButton("rebuilt", window.rail)
    gone.show()
    gone.setFocus()
    context.shell.toast("A run moved to the bin.", "Undo", lambda: None)
    qtbot.keyClick(window, Qt.Key.Key_F6)
    delete(gone)
    qtbot.keyClick(window, Qt.Key.Key_F6)
    assert _is_inside(window, window.focusWidget(), "shell.topbar")


def test_a_waiting_run_in_the_rail_shows_and_keeps_the_keyboard_while_the_queue_changes(window, context, qtbot, tmp_path):
    with_data(context, tmp_path)
    window.resize(1440, 900)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    draft = context.store.experiment
    context.runs.sweep([draft.changed({"schedule.epochs": epochs}) for epochs in (2, 3, 4, 5)])
    qtbot.waitUntil(lambda: len(context.runs.queued) == 3)
    rows = window.rail.queue._rows

    def row(place: int):
        return rows.itemAt(place).widget()

    qtbot.waitUntil(lambda: rows.count() == 4 and row(1).isVisible())
    plain = row(1).grab().toImage()
    moved = row(1).entry
    row(1).setFocus(Qt.FocusReason.TabFocusReason)
    assert row(1).grab().toImage() != plain
    context.runs.move_in_queue(moved, 1)
    assert window.focusWidget() is row(2) and row(2).entry is moved
    context.runs.unqueue([moved])
    assert window.focusWidget() is row(2) and row(2).entry.number == 4, "the one that came to its place"
    other = QWidget()
    qtbot.addWidget(other)
    other.show()
    other.activateWindow()
    qtbot.waitUntil(lambda: not window.isActiveWindow())
    context.runs.unqueue([row(1).entry])
    assert window.focusWidget() is row(1) and row(1).entry.number == 4, "the user works elsewhere and comes back"


def test_a_waiting_run_is_edited_as_the_draft_of_this_project(window, context, qtbot, tmp_path):
    with_data(context, tmp_path)
    context.runs.sweep([context.store.experiment.changed({"name": f"sweep · {epochs}", "schedule.epochs": epochs}) for epochs in (2, 3)])
    qtbot.waitUntil(lambda: len(context.runs.queued) == 1)
    context.store.set({"name": "Mine"})
    row = next(row for row in window.rail.queue.findChildren(QWidget) if getattr(row, "entry", None) is context.runs.queued[0])
    row._on_context_menu_requested(row.rect().center())
    menu = row.findChild(QMenu)
    next(action for action in menu.actions() if action.text() == "Edit as draft").trigger()
    menu.close()
    assert (context.store.experiment.name, context.store.experiment.schedule.epochs) == ("Mine", 3)
    qtbot.waitUntil(lambda: "are the draft now" in window.toast.text)


def _is_inside(window, widget, name) -> bool:
    while widget is not None and widget is not window:
        if widget.objectName() == name:
            return True
        widget = widget.parentWidget()
    return False


def test_a_failed_run_offers_resume_and_its_log(window, context, qtbot, tmp_path):
    dataset = with_data(context, tmp_path)
    run = build_run(tmp_path / "runs", dataset, status=Status.RUNNING)
    state = run.read_state()
    assert state.status is Status.CRASHED  # nobody holds its lock
    context.runs.take((RunUpdate(run, replace(state, status=Status.RUNNING), run.experiment(), True),))
    assert window.run_bar.isVisible()
    context.runs.take((RunUpdate(run, state, None, False),))
    entry = context.runs.entries[0]
    assert window.run_bar._title.text().endswith("stopped unexpectedly")
    window.run_bar._resume.click()
    qtbot.waitUntil(lambda: context.engines.started == [(run, True)])
    assert entry.status is Status.STARTING


def test_pause_and_stop_reach_the_run_as_commands(window, context, tmp_path):
    from studio.core.run_folder import read_commands

    dataset = with_data(context, tmp_path)
    run = build_run(tmp_path / "runs", dataset, status=Status.RUNNING)
    state = replace(run.read_state(), status=Status.RUNNING)
    context.runs.take((RunUpdate(run, state, run.experiment(), True),))
    window.run_bar._pause.click()
    context.runs.take((RunUpdate(run, replace(state, status=Status.PAUSED), None, True),))
    window.run_bar._pause.click()
    window.run_bar._stop.click()
    assert [c.kind for c in read_commands(run.commands_path, 0)[0]] == ["pause", "resume", "stop"]


def test_a_run_that_waits_for_its_images_cannot_be_resumed_by_hand_and_the_bar_says_what_to_do(window, context, qtbot, tmp_path):
    from studio.core import event as ev
    from studio.core.fold import fold

    run = build_run(tmp_path / "runs", with_data(context, tmp_path), status=Status.RUNNING)
    state = replace(run.read_state(), status=Status.RUNNING)
    gone = [
        ev.WarningRaised(code="images-gone", sentence="The folder is gone; the run waits.", fix="Plug the drive in."),
        ev.PauseChanged(is_paused=True, step=3, reason="the images are gone"),
    ]
    waiting = fold(state, gone)
    context.runs.take((RunUpdate(run, waiting, run.experiment(), True),))
    bar = window.run_bar
    assert not bar._pause.isEnabled() and "Plug the drive in." in bar._pause.toolTip() and bar._stop.isEnabled()
    with qtbot.waitSignal(context.shell.toast_requested) as told:
        press(qtbot, window, Qt.Key.Key_Period)
    assert "Plug the drive in." in told.args[0] and not run.commands_path.exists()
    going = fold(waiting, [ev.PauseChanged(is_paused=False, step=3)])
    context.runs.take((RunUpdate(run, going, None, True),))
    assert bar._pause.isEnabled() and bar._pause.text() == "Pause"


def test_closing_a_sheet_leaves_the_rest_of_the_window_alive(window, qtbot):
    """PySide takes for deleted whatever the sheet's widgets refer to: once all of the window, whose run bar then failed at every word of a run."""
    import shiboken6

    window.open_messages()
    sheet = window.centralWidget().findChild(QWidget, "shell.messages")
    qtbot.waitUntil(sheet.hasFocus)
    with qtbot.waitSignal(sheet.destroyed):
        qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    bar = window.run_bar
    assert all(map(shiboken6.isValid, (bar._pause_kept, bar._pause_more.menu(), window.rail.steps.viewport())))
    bar._pause_kept.setVisible(True)


def test_a_pause_can_release_the_memory_and_resume_starts_the_engine_again_while_what_waits_goes_on_waiting(
    window, context, tmp_path, qtbot
):
    from studio.core.event import RunStopped
    from studio.core.fold import fold
    from studio.core.run_folder import read_commands

    dataset = with_data(context, tmp_path)
    run = build_run(tmp_path / "runs", dataset, status=Status.RUNNING)
    waiting = build_run(tmp_path / "runs", dataset, status=Status.QUEUED, nickname="keen-finch")
    state = replace(run.read_state(), status=Status.RUNNING)
    context.runs.take((RunUpdate(run, state, run.experiment(), True), RunUpdate(waiting, waiting.read_state(), waiting.experiment())))
    context.runs._change_queue(lambda _: [waiting.name])
    next(a for a in window.run_bar._pause_more.menu().actions() if "release" in a.text()).trigger()
    assert [c.kind for c in read_commands(run.commands_path, 0)[0]] == ["release"]
    context.runs.take((RunUpdate(run, fold(state, [RunStopped(step=3, checkpoint="c", is_pause=True)]), None, False),))
    assert "paused" in window.run_bar._title.text() and "memory released" in window.run_bar._subtitle.text()
    assert context.engines.started == []
    window.run_bar._resume.click()
    qtbot.waitUntil(lambda: context.engines.started == [(run, True)])


def test_a_class_or_project_name_with_markup_is_shown_as_it_stands(window, context):
    context.store.set({"name": "<img src=x><b>bold</b>"})
    label = window.top_bar.project._name
    assert label.text() == "<img src=x><b>bold</b>"
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert "&lt;img" in window.top_bar.undo.toolTip() or "<img" not in window.top_bar.undo.toolTip()


def test_a_chosen_gpu_that_is_not_there_keeps_train_off_with_the_reason(window, context, qtbot, tmp_path):
    from studio.core.device import cuda_state

    if len(cuda_state().gpus) > 7:
        pytest.skip("this machine has cuda:7")
    with_data(context, tmp_path)
    context.store.set({"training.device": "cuda:7"})
    qtbot.waitUntil(lambda: context.runs.reason_not_to_train() != "")
    assert "GPU" in context.runs.reason_not_to_train() or "cuda:7" in context.runs.reason_not_to_train()
    qtbot.waitUntil(lambda: not window.top_bar.train.main.isEnabled())


def test_a_live_run_is_picked_up_when_the_window_opens_with_all_its_points(context, qtbot, tmp_path, studio_home):
    from studio.gui.recorded import held_alive

    dataset = build_dataset(tmp_path / "images", num_train=4, num_validation=2)
    run = build_run(studio_home / "runs", dataset, status=Status.RUNNING)
    with held_alive(run):
        made = Window()
        qtbot.addWidget(made)
        made.attach(context)
        made.show()
        context.runs.start()
        qtbot.waitUntil(lambda: context.runs.active is not None, timeout=5000)
        state = context.runs.active.state
        assert list(state.train_loss.x) == list(range(state.step))
        assert made.run_bar.isVisible()
        assert summaries(context)["train"].dot_word == "running"
        context.runs.monitor.close()


def open_sheets(window) -> list[Sheet]:
    """The one in front is the last."""
    return [child for child in window.centralWidget().children() if isinstance(child, Sheet) and not child.isHidden()]


def test_undo_in_a_toast_takes_back_the_change_that_it_tells_of_or_is_gone(window, context):
    store, asked = context.store, []
    for path, value in (("training.seed", 3), ("schedule.epochs", 40)):
        store.set({path: value})
        context.shell.toast("It is changed.", "Undo", store.undo)
        assert window.toast._action.isVisible()
    window.toast._action.click()
    assert store.undo_label == "seed to 3"
    context.shell.toast("The seed is 3.", "Undo", store.undo)
    store.set({"schedule.epochs": 41})
    assert window.toast.isVisible() and not window.toast._action.isVisible()
    context.shell.toast("Something waits.", "Start", lambda: asked.append(True))
    store.undo()
    window.toast._action.click()
    assert asked and store.experiment.training.seed == 3


def test_a_sheet_asked_for_again_comes_to_the_front_with_what_was_begun_on_it(window, context, tmp_path):
    with_data(context, tmp_path)
    show_queue = next(command.run for command in palette_commands(window) if command.title == "Show the queue")
    window.top_bar.train.open_sweep()
    window.findChild(QLineEdit, "sweep.values0").setText("1e-4, 1e-2")
    for act in (show_queue, show_queue, window.open_messages, window.top_bar.train.open_sweep):
        act()
    assert [sheet.objectName() for sheet in open_sheets(window)] == ["shell.queue_sheet", "shell.messages", "shell.sweep"]
    assert open_sheets(window)[-1].rows[0][1].text() == "1e-4, 1e-2"
    context.shell.toast("Something happened.")
    window.open_messages()
    *_, front = open_sheets(window)
    assert any(label.text() == "Something happened." for label in front.findChildren(PlainLabel)), "news is not kept from who asks again"
    window.resize(1200, 700)
    assert all(sheet.geometry() == window.centralWidget().rect() for sheet in open_sheets(window))


def test_decoded_images_on_disk_are_counted_limited_and_cleared_in_the_settings(window, qtbot):
    import numpy as np

    DecodedCache(decoded_folder()).put(b"content", "view", np.zeros((100, 100, 3), np.uint8))
    window.open_settings()
    clear = window.findChild(QPushButton, "settings.decoded.clear")
    settings = clear.parentWidget()
    qtbot.waitUntil(lambda: settings.used_label.text().startswith("30"))
    settings.field.step(-1)
    qtbot.waitUntil(lambda: budget() == 3_500_000_000)
    qtbot.waitUntil(clear.isEnabled)
    clear.click()
    qtbot.waitUntil(lambda: settings.used_label.text() == "None kept")
    assert used_bytes() == 0 and not clear.isEnabled()


def test_a_limit_chosen_last_is_kept_though_the_settings_are_closed_while_an_older_one_is_on_its_way(qtbot):
    settings, gate, ended = DecodedSettings(background := Background(max_threads=1)), Event(), []
    settings.show()
    qtbot.waitUntil(lambda: settings.used_label.text() == "None kept")
    background.run(lambda: gate.wait(60))
    settings.field.step(-1)
    qtbot.waitUntil(lambda: settings._is_working)
    settings.field.step(-1)
    with qtbot.waitSignal(settings.destroyed):
        settings.hide()
        settings.deleteLater()
    gate.set()
    qtbot.waitUntil(lambda: budget() == 3_000_000_000)
    background.run(lambda: None, ended.append)
    qtbot.waitUntil(lambda: ended == [None])  # all that was to be shown has been
    background.close()


def test_the_menu_of_the_project_duplicates_renames_and_opens_recent_ones(window, context, tmp_path):
    context.scan.hold(ScanState())
    context.store.set({"name": "Beetles & bugs", "data.source": str(tmp_path)})
    context.projects.save_now()
    menu = window.top_bar.project.menu()

    def choose(words: str, among=None) -> None:
        menu.aboutToShow.emit()
        actions = among().actions() if among else menu.actions()
        next(action for action in actions if action.text() == words).trigger()

    choose("Duplicate")
    assert context.store.experiment.name == "Beetles & bugs copy"
    choose("Rename…")
    assert window.findChild(QLineEdit, "rename.name").text() == "Beetles & bugs copy"
    choose("Beetles && bugs", lambda: next(action.menu() for action in menu.actions() if action.text() == "Recent"))
    assert context.store.experiment.name == "Beetles & bugs"
