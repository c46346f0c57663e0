"""The run bar: what the active run does, how far it is, and Pause and Stop. Stays after the end until it is dismissed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.core.outcome import Status
from studio.core.path_text import shown
from studio.gui import wording
from studio.gui.context import Context
from studio.gui.icon import icon, put_icon
from studio.gui.run_entry import RunEntry
from studio.gui.theme import px
from studio.gui.widgets import EpochProgress, PlainLabel, Sparkline, Spinner, button, icon_button, set_plain_tooltip
from studio.gui.widgets.label import SteadyLabel
from studio.gui.widgets.state import IconLabel

_END_ICON = {
    Status.FINISHED: ("check-circle", "good"),
    Status.STOPPED: ("stop-fill", "text2"),
    Status.FAILED: ("warning-octagon", "bad"),
    Status.CRASHED: ("warning-octagon", "bad"),
    Status.PAUSED: ("pause-fill", "warn"),
}
_GOING_ICON = ("lightning", "trains")
_PAUSE_TIP = "Pause, with everything kept in memory, or go on (Ctrl .)"
_STOP_TIP = "Stop and keep everything learnt so far (Ctrl Shift .)"
_END_TIP = "The run does not answer. End it at once; everything up to the last checkpoint is kept (Ctrl Shift .)"


class RunBar(QFrame):
    """Shows one run: the active one, or the last that ended while the window was open."""

    details_requested = Signal(object)  # RunEntry
    results_requested = Signal(object)  # RunEntry

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "runbar")
        self.setObjectName("shell.runbar")
        self.setAccessibleName("Run")
        self.setFixedHeight(px(56))
        self._context: Context | None = None
        self._entry: RunEntry | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(px(14), 1, px(12), 0)
        row.setSpacing(px(14))
        row.addLayout(self._make_title())
        row.addLayout(self._make_progress(), 1)
        row.addWidget(self._make_figures())
        self._actions = QHBoxLayout()
        self._actions.setSpacing(px(6))
        self._make_actions()
        row.addLayout(self._actions)
        self.hide()

    def attach(self, context: Context) -> None:
        self._context = context
        runs = context.runs
        runs.active_changed.connect(self._on_runs_active_changed)
        runs.state_changed.connect(self._on_runs_state_changed)
        runs.ended.connect(self._on_runs_ended)
        runs.entries_changed.connect(self._on_runs_entries_changed)
        self._on_runs_active_changed(runs.active)

    @property
    def entry(self) -> RunEntry | None:
        """The run shown; None while hidden."""
        return self._entry

    def dismiss(self) -> None:
        self._entry = None
        self.hide()

    def toggle_pause(self) -> None:
        entry = self._entry
        if entry is None or not entry.is_active:
            return
        if (waits := entry.state.waits_for) is not None:
            self._context.shell.toast(shown(f"{waits.sentence} {waits.fix}".strip()))
        elif entry.status is Status.PAUSED:
            self._context.runs.resume(entry)
        else:
            self._context.runs.pause(entry)
            self._title.setText(f"Pausing {entry.name}")

    def release(self) -> None:
        """Pause for long: the run is saved and its engine ends, so that the memory of computer and device is free."""
        if self._entry is not None and self._entry.is_active:
            self._stop_with("release")
            self._title.setText(f"Pausing {self._entry.name}")
            self._subtitle.setText("saves a checkpoint, then frees the memory")

    def stop(self) -> None:
        """Ask the run to stop; where it was asked before and did not answer, end it."""
        entry = self._entry
        if entry is not None and entry.is_active:
            if entry.is_deaf:
                self._context.runs.end_by_force(entry)
                self._title.setText(f"Ending {entry.name}")
                return
            self._context.runs.stop(entry)
            self._title.setText(f"Stopping {entry.name}")
            self._subtitle.setText("saves a checkpoint first")

    # Making

    def _make_title(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(px(10))
        self._marks = QStackedWidget()
        self._marks.setFixedSize(px(18), px(18))
        self._spinner = Spinner(18)
        self._mark = IconLabel("check-circle", "good", 18)
        self._marks.addWidget(self._spinner)
        self._marks.addWidget(self._mark)
        row.addWidget(self._marks)
        words = QWidget()
        words.setFixedWidth(px(176))
        column = QVBoxLayout(words)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addStretch(1)
        self._title = PlainLabel("", "panel", elide=Qt.TextElideMode.ElideRight)
        self._subtitle = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        column.addWidget(self._title)
        column.addWidget(self._subtitle)
        column.addStretch(1)
        row.addWidget(words)
        return row

    def _make_progress(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(px(5))
        column.addStretch(1)
        words = QHBoxLayout()
        words.setSpacing(px(8))
        self._epoch = SteadyLabel()
        self._step = SteadyLabel(tone="muted")
        self._elapsed = SteadyLabel(tone="muted")
        self._left = SteadyLabel()
        words.addWidget(self._epoch)
        words.addWidget(self._step)
        words.addStretch(1)
        words.addWidget(self._elapsed)
        words.addWidget(self._left)
        column.addLayout(words)
        self._bar = EpochProgress(7)
        column.addWidget(self._bar)
        column.addStretch(1)
        return column

    def _make_figures(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(px(4), 0, px(4), 0)
        row.setSpacing(px(18))
        self._speed = _Figure("Speed")
        self._memory = _Figure("Memory")
        self._load = _Figure("CPU", has_line=True)
        for part in (self._speed, self._memory, self._load):
            row.addWidget(part)
        self._figures = holder
        return holder

    def _make_actions(self) -> None:
        self._pause = button("Pause", "pause-fill", name="run.pause", tone="text", on_click=self.toggle_pause)
        self._pause_more = icon_button("caret-down", "Pause with or without its memory", name="run.pause.more")
        pauses = QMenu(self)
        self._pause_kept = pauses.addAction(icon("pause-fill"), "Pause and keep the memory", self.toggle_pause)
        pauses.addAction(icon("download-simple"), "Pause and release the memory", self.release)
        self._pause_more.setMenu(pauses)
        self._stop = button("Stop", "stop-fill", kind="danger", name="run.stop", on_click=self.stop)
        set_plain_tooltip(self._stop, _STOP_TIP)
        self._stop_more = icon_button("caret-down", "Save now, or other ways to stop", name="run.stop.more")
        menu = QMenu(self)
        menu.addAction(icon("download-simple"), "Save a checkpoint now", self._save_now)
        menu.addSeparator()
        menu.addAction(icon("stop-fill", "bad"), "Stop and keep the best", lambda: self._stop_with("stop"))
        menu.addAction(icon("flag"), "Stop at the end of this epoch", lambda: self._stop_with("stop_after_epoch"))
        menu.addAction(icon("trash"), "Stop and discard", lambda: self._stop_with("discard"))
        self._stop_more.setMenu(menu)
        self._resume = button("Resume", "play-fill", name="run.resume", on_click=self._on_resume_clicked)
        self._details = button("Details", name="run.details", on_click=lambda: self.details_requested.emit(self._entry))
        self._results = button("See results", "trophy", name="run.results", on_click=lambda: self.results_requested.emit(self._entry))
        self._close = icon_button("x", "Close the run bar", name="run.close", on_click=self.dismiss)
        for part in (self._pause, self._pause_more, self._stop, self._stop_more, self._resume, self._details, self._results, self._close):
            self._actions.addWidget(part)

    def _save_now(self) -> None:
        entry = self._entry
        if entry is not None and entry.is_active:
            self._context.runs.save_now(entry)

    def _stop_with(self, kind: str) -> None:
        if self._entry is not None:
            self._context.runs.stop(self._entry, kind)

    def _on_resume_clicked(self) -> None:
        if self._entry is not None:
            self._context.runs.continue_run(self._entry)

    # Following

    def _on_runs_active_changed(self, entry: RunEntry | None) -> None:
        if entry is not None:
            self._entry = entry
            self._refresh()
            self.show()

    def _on_runs_state_changed(self, entry: RunEntry) -> None:
        if entry is self._entry and self.isVisibleTo(self.parentWidget()):
            self._refresh()

    def _on_runs_ended(self, entry: RunEntry) -> None:
        if self._context.runs.active is None:
            self._entry = entry
            self._refresh()
            self.show()

    def _on_runs_entries_changed(self) -> None:
        if self._entry is not None and self._entry not in self._context.runs:
            self.dismiss()

    def _refresh(self) -> None:
        entry = self._entry
        is_going = entry.is_active and entry.status is not Status.PAUSED
        is_still = self._context.runs.shares_cores  # a run on the same cores waits for every turn of a spinner
        self._marks.setCurrentWidget(self._spinner if is_going and not is_still else self._mark)
        ended_as = Status.PAUSED if entry.state.is_released else entry.status
        self._mark.set_icon(*(_GOING_ICON if is_going else _END_ICON.get(ended_as, ("info", "text2"))))
        self._title.setText(_title(entry))
        self._subtitle.setText(_subtitle(entry))
        self._refresh_progress(entry)
        self._refresh_figures(entry)
        outcome = entry.outcome
        can_resume = outcome is not None and outcome.can_resume
        is_bad = entry.status in (Status.FAILED, Status.CRASHED)
        self._pause.setVisible(entry.is_active)
        self._pause_more.setVisible(entry.is_active)
        self._stop.setVisible(entry.is_active)
        self._stop_more.setVisible(entry.is_active)
        self._resume.setVisible(can_resume)
        self._details.setVisible(is_bad)
        self._results.setVisible(not entry.is_active and not is_bad and bool(entry.state.epochs))
        self._close.setVisible(not entry.is_active)
        is_paused = entry.status is Status.PAUSED
        self._pause_kept.setVisible(not is_paused)
        self._pause.setText("Resume" if is_paused else "Pause")
        waits = entry.state.waits_for
        self._pause.setEnabled(waits is None)
        set_plain_tooltip(self._pause, shown(waits.fix or waits.sentence) if waits else _PAUSE_TIP)
        put_icon(self._pause, "play-fill" if is_paused else "pause-fill", "text")
        self._pause.setAccessibleName(f"{'Resume' if is_paused else 'Pause'} {entry.name}")
        words = "End now" if entry.is_deaf else "Stop"
        self._stop.setText(words)
        self._stop.setAccessibleName(f"{words}: {entry.name}" if entry.is_deaf else f"Stop {entry.name}")
        set_plain_tooltip(self._stop, _END_TIP if entry.is_deaf else _STOP_TIP)

    def _refresh_progress(self, entry: RunEntry) -> None:
        state, described = entry.state, entry.state.description
        if not described:
            self._epoch.setText("")
            self._step.setText("")
            self._elapsed.setText(wording.clock(state.t) if entry.state.wall_time else "")
            self._left.setText("")
            self._bar.set_progress(0)
            return
        epoch = min(described.epochs, state.step // max(1, described.steps_per_epoch) + (1 if entry.is_active else 0))
        self._epoch.setText(f"epoch {epoch} / {described.epochs}")
        self._step.setText(f"step {wording.count(state.step)} / {wording.count(state.num_steps)}")
        self._elapsed.setText(f"elapsed {wording.clock(state.t)}")
        left = state.seconds_left
        self._left.setText(f"left {wording.clock(left)}" if left is not None else "")
        tips = tuple(
            f"Epoch {e.epoch + 1}: {wording.epoch_score(e)}"
            + (f", validation loss {e.validation_loss:.3f}" if e.validation_loss is not None else "")
            for e in state.epochs
        )
        token = {Status.FINISHED: "goodDot", Status.FAILED: "bad", Status.CRASHED: "bad", Status.PAUSED: "warnDot"}.get(
            entry.status, "trainsFill"
        )
        self._bar.set_progress(state.step / max(1, state.num_steps), described.epochs, token=token, tooltips=tips)

    def _refresh_figures(self, entry: RunEntry) -> None:
        state, system = entry.state, entry.state.system
        self._figures.setVisible(entry.is_active)
        self._speed.set(f"{wording.count(state.images_per_s)} img/s" if state.images_per_s else "…")
        if system is None:
            self._memory.set("…")
            self._load.set("…")
            return
        history = state.system_history
        if system.device_total_bytes:
            self._memory.set(f"{_gb(system.device_bytes or 0)} / {wording.num_bytes(system.device_total_bytes)}", "GPU memory")
            self._load.set(wording.percent(system.device_load_fraction, 0), "GPU load", [s.device_load_fraction for s in history])
        else:
            self._memory.set(wording.num_bytes(system.process_bytes), "Memory")
            self._load.set(wording.percent(system.cpu_fraction, 0), "CPU", [s.cpu_fraction for s in history])

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._memory.setVisible(event.size().width() > px(1150))


class _Figure(QWidget):
    def __init__(self, title: str, *, has_line: bool = False):
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        column = QVBoxLayout()
        column.setSpacing(px(1))
        column.addStretch(1)
        self._title = PlainLabel(title, "caption")
        self._value = SteadyLabel("…")
        column.addWidget(self._title)
        column.addWidget(self._value)
        column.addStretch(1)
        row.addLayout(column)
        self._line = Sparkline("series.0", low=0, high=1)
        self._line.setFixedSize(px(54), px(22))
        if not has_line:
            self._line.hide()
        row.addWidget(self._line)

    def set(self, value: str, title: str = "", course: list | None = None) -> None:
        self._value.setText(value)
        if title:
            self._title.setText(title)
        if course is not None:
            self._line.set_values(course)


def _gb(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f}"


def _title(entry: RunEntry) -> str:
    if entry.is_launching:
        return f"Starting {entry.name}"
    verbs = {"validating": "Validating", "saving": "Saving", "testing": "Testing", "waiting for disk": "Waiting for disk"}
    match entry.status:
        case Status.STARTING:
            return f"Starting {entry.name}"
        case Status.RUNNING:
            return f"{verbs.get(entry.state.phase, 'Training')} {entry.name}"
        case Status.PAUSED:
            return f"{entry.name.capitalize()} paused"
        case Status.FINISHED:
            return f"{entry.name.capitalize()} finished"
        case Status.STOPPED:
            return f"{entry.name.capitalize()} {'paused' if entry.state.is_released else 'stopped'}"
        case Status.FAILED | Status.CRASHED:
            return f"{entry.name.capitalize()} stopped unexpectedly"
    return entry.name.capitalize()


def _subtitle(entry: RunEntry) -> str:
    state = entry.state
    best = ""
    if state.best:
        measured = f"best {wording.percent(state.best.validation_top1)} at epoch {state.best.epoch + 1}"
        best = measured if state.is_measured else wording.epoch_score(state.best)
    match entry.status:
        case Status.STARTING:
            return state.phase_detail or state.phase or "waking the trainer"
        case Status.PAUSED if (waits_for := state.waits_for) and waits_for.code == "loader-hangs":
            return "no image comes; it goes on by itself"
        case Status.PAUSED:
            return f"safe at step {wording.count(state.checkpoints[-1].step if state.checkpoints else 0)}"
        case Status.STOPPED if state.is_released:
            return f"memory released, safe at step {wording.count(state.stopped.step)}"
        case Status.FAILED | Status.CRASHED:
            outcome = entry.outcome
            at = state.checkpoints[-1].step if state.checkpoints else None
            safe = f"safe to resume at step {wording.count(at)}" if at is not None and outcome and outcome.can_resume else ""
            return safe or (outcome.sentence if outcome else "")
    return best or (state.phase if entry.is_active else "")
