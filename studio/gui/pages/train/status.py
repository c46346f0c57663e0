"""A run before its first step, and the banner above one that is paused, stopped, failed or crashed."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from studio.core.fold import RunState
from studio.core.outcome import Outcome, Status
from studio.core.path_text import shown
from studio.gui.theme import font, px
from studio.gui.widgets.button import button
from studio.gui.widgets.label import PlainLabel
from studio.gui.widgets.panel import Panel
from studio.gui.widgets.state import Banner, IconLabel, Spinner
from studio.gui.wording import NBSP, duration
from studio.supervise.engine import MEET_WITHIN_S

Actions = tuple[tuple[str, Callable[[], object]], ...]

PHASES: tuple[tuple[str, str], ...] = (
    ("loading torch", "Load the training library"),
    ("scanning images", "Find the images"),
    ("loading weights", "Load the pretrained weights"),
    ("first batch", "Read the first batch"),
    ("training", "Train"),
)


def phase_lines(state: RunState, now_t: float) -> tuple[tuple[str, str, str], ...]:
    """(what, how long, state) of each phase before training: "done", "now" or "later". `now_t` is the running time now, s."""
    begun = {p.phase: p for p in state.phases}
    times = sorted(p.t for p in state.phases)
    lines = []
    for key, title in PHASES[:-1]:
        if key not in begun:
            later_begun = any(k in begun for k, _ in PHASES[[k for k, _ in PHASES].index(key) + 1 :])
            lines.append((title, "", "skipped" if later_begun else "later"))
            continue
        start = begun[key].t
        end = next((t for t in times if t > start), None)
        detail = f" {shown(begun[key].detail)}" if begun[key].detail else ""
        is_over = end is not None or state.phases[-1].phase != key
        lines.append(
            (title + detail, seconds((end if end is not None else start if is_over else now_t) - start), "done" if is_over else "now")
        )
    return tuple(line for line in lines if line[2] != "skipped")


def seconds(s: float) -> str:
    """0.04 -> "0.0 s", 94 -> "1 min 34 s"."""
    return f"{s:.1f}{NBSP}s" if s < 10 else duration(s)


_STANDING = {
    "starting": "the training process begins", "joining": "waits for other machines", "waiting": "starts when its device is free",
    "not begun": "the menu of Results puts it into the queue",
}  # fmt: skip


class StartingView(QWidget):
    """The phases before the first step, each with its time; of a run that waits, those to come."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("train.starting")
        self._state, self._words = RunState(), ""
        self._timer = QTimer(self, interval=100)
        self._timer.timeout.connect(self._refresh)
        panel = Panel("Starting", name="train.starting.panel")
        panel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        panel.setFixedWidth(px(440))
        self._panel = panel
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(px(10))
        self._grid.setVerticalSpacing(px(8))
        self._grid.setColumnStretch(1, 1)
        self._rows = []
        for row in range(len(PHASES) - 1):
            spinner, mark = Spinner(16), IconLabel("check-circle", "good", 16)
            what, time_label = PlainLabel("", "body", elide=Qt.TextElideMode.ElideRight), PlainLabel("", "number", "muted")
            self._grid.addWidget(spinner, row, 0)
            self._grid.addWidget(mark, row, 0)
            self._grid.addWidget(what, row, 1)
            self._grid.addWidget(time_label, row, 2, Qt.AlignmentFlag.AlignRight)
            self._rows.append((spinner, mark, what, time_label))
        panel.body.addLayout(self._grid)
        self._hint = PlainLabel("Training goes on when this window is closed.", "caption")
        panel.body.addWidget(self._hint)
        column = QVBoxLayout(self)
        column.addStretch(2)
        column.addWidget(panel, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)

    def show_state(self, state: RunState, standing: str = "starting") -> None:
        """standing: "starting", "joining" while other machines are awaited, "waiting", or "not begun" of a run that does not wait either."""
        is_started = standing in ("starting", "joining")
        self._state = state
        self._panel.set_title("Starting" if is_started else standing.capitalize())
        self._words = _STANDING[standing]
        self._hint.setVisible(is_started)
        self._refresh()

    def texts(self) -> list[str]:
        return [f"{what.text()} {time_label.text()}".strip() for _, _, what, time_label in self._rows if not what.isHidden()]

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()

    def _refresh(self) -> None:
        state = self._state
        elapsed = max(0.0, time.time() - state.wall_time) if state.wall_time else 0.0
        # A recorded or a stalled run started long ago: then the last event is as much as is known.
        now_t = state.session_t + elapsed if elapsed < 3600 else state.t
        lines = phase_lines(state, max(now_t, state.t))
        self._panel.set_subtitle("" if lines and state.phases else self._words)
        for index, (spinner, mark, what, time_label) in enumerate(self._rows):
            has_line = index < len(lines)
            for widget in (what, time_label):
                widget.setVisible(has_line)
            spinner.setVisible(has_line and lines[index][2] == "now")
            mark.setVisible(has_line and lines[index][2] != "now")
            if has_line:
                text, words, how = lines[index]
                what.setText(text)
                what.set_tone("text" if how != "later" else "muted")
                mark.set_icon(*(("check-circle", "good") if how == "done" else ("circle", "muted")))
                time_label.setText(words)


def others_words(num_machines: int) -> tuple[str, str]:
    """What a run of several machines waits for before it begins, and what to do."""
    others = "the other machine" if num_machines == 2 else f"the {num_machines - 1} other machines"
    where = "there" if num_machines == 2 else "on each"
    limit = f"{MEET_WITHIN_S // 60} minutes"
    return (
        f"Waiting for {others}",
        f"Start the command below {where}, with Studio's Python. Training begins when all have joined; without them the run ends after {limit}.",
    )


class RunBanner(QWidget):
    """Says that a run waits for other machines, is paused or how it ended. Below it stands what to start on those machines, or unfolds with
    Details the end of the log."""

    details_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._is_command = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(6))
        self.banner = Banner(name="train.banner")
        column.addWidget(self.banner)
        self.details = QFrame()
        self.details.setProperty("frame", "panel")
        inside = QVBoxLayout(self.details)
        inside.setContentsMargins(px(12), px(6), px(8), px(8))
        head = QHBoxLayout()
        self._details_title = PlainLabel("", "panel")
        head.addWidget(self._details_title)
        head.addStretch(1)
        head.addWidget(button("Copy", "copy", small=True, name="train.details.copy", on_click=self.copy_details))
        self._close = button("Close", small=True, kind="quiet", name="train.details.close", on_click=lambda: self.set_details_open(False))
        head.addWidget(self._close)
        inside.addLayout(head)
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setObjectName("train.details.log")
        self.log.setFont(font("number"))
        self.fit(is_short=False)
        inside.addWidget(self.log)
        column.addWidget(self.details)
        self.details.hide()
        self.hide()
        self._key: object = None

    def show_awaited(self, num_machines: int, command: str) -> None:
        """What to start on the other machines, while the run waits for them."""
        if command == self._key:
            return
        self._key = command
        self.set_details_open(False)
        self._fill_details("On each of the other machines" if num_machines > 2 else "On the other machine", command, is_command=True)
        self.banner.show_message("info", *others_words(num_machines))
        self.set_details_open(True)
        self.show()

    def show_run(self, state: RunState, outcome: Outcome | None, *, on_resume: Callable[[], object], on_go_on: Callable[[], object],
                 on_results: Callable[[], object], on_move: Callable[[], object]) -> None:  # fmt: skip
        """Nothing while a run goes on or after it finished well, unless what was frozen has moved."""
        moved = next((w for w in reversed(state.warnings) if w.code == "frozen-changed"), None)
        last = next((n for n in reversed(state.notices) if n.kind == "pause"), None) if state.status is Status.PAUSED else None
        key = (state.status, outcome, state.failed, moved, last)
        if key == self._key:
            return
        self._key = key
        self.set_details_open(False)
        details: Actions = (("Details", lambda: self.set_details_open(self.details.isHidden())),) if outcome and outcome.log_tail else ()
        resume: Actions = (("Resume", on_resume),) if outcome and outcome.can_resume else ()
        if outcome and outcome.can_move:
            resume = (*resume, ("Resume on the processor", on_move))
        self._fill_details("End of the training log", outcome.log_tail if outcome else "", is_command=False)
        match state.status:
            case Status.PAUSED:
                if (why := state.waits_for) is not None:  # it goes on by itself; the user has to do something else
                    self.banner.show_message("warning", shown(why.sentence), shown(why.fix))
                else:
                    self.banner.show_message("info", last.sentence if last else "Paused", "", (("Go on", on_go_on),))
            case Status.FAILED | Status.CRASHED if outcome:
                self.banner.show_message("error", shown(outcome.sentence), shown(outcome.fix), (*resume, *details))
                self.set_details_open(bool(outcome.log_tail))  # nobody should have to ask what happened
            case Status.STOPPED if outcome:
                results: Actions = (("See results", on_results),) if state.epochs else ()
                self.banner.show_message(
                    "info", shown(outcome.sentence), shown(outcome.fix) if outcome.can_resume else "", (*resume, *results)
                )
            case _ if moved is not None:
                self.banner.show_message("error", shown(moved.sentence), shown(moved.fix))
            case _:
                self.hide()
                return
        self.show()

    def forget(self) -> None:
        """Another run comes."""
        self._key = None
        self.set_details_open(False)
        self.hide()

    def _fill_details(self, title: str, text: str, *, is_command: bool) -> None:
        """A command is shown whole; it stays open, since nothing else on the page leads back to it."""
        self._is_command = is_command
        self._details_title.setText(title)
        self._close.setHidden(is_command)
        self.log.setAccessibleName(title)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth if is_command else QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setPlainText(text)

    def fit(self, *, is_short: bool) -> None:
        """`is_short`: there is little height for details."""
        self.log.setFixedHeight(px(76 if self._is_command else 54 if is_short else 150))

    def set_details_open(self, is_open: bool) -> None:
        if is_open != self.details.isHidden():
            return
        self.details.setVisible(is_open)
        self.details_toggled.emit(is_open)
        if is_open:
            bar = self.log.verticalScrollBar()
            bar.setValue(bar.maximum())

    def copy_details(self) -> None:
        QGuiApplication.clipboard().setText(self.log.toPlainText())
