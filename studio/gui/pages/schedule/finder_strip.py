"""What the range test has to say, in a strip under the plot: how far it is, what it suggests, or why it could not be made."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.experiment import field_info
from studio.core.rate_test import RULES, RateTest, Rule
from studio.core.words import counted
from studio.gui.pages.schedule.finder_run import RateTestRun
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, MeterBar, PlainLabel, Spinner, button, icon_button, set_plain_tooltip
from studio.gui.wording import duration, rate


class FinderStrip(QFrame):
    """Follows a RateTestRun; hidden while that is idle."""

    use_wanted = Signal(str)  # key of a rule
    large_wanted = Signal()

    def __init__(self, run: RateTestRun, peak: Callable[[], float], parent: QWidget | None = None):
        """peak: the draft's peak learning rate now."""
        super().__init__(parent)
        self._run, self._peak = run, peak
        self.setObjectName("schedule.finder")
        self.setProperty("frame", "card")
        self.setAccessibleName("Learning-rate test")
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10), px(4), px(6), px(4))
        column.setSpacing(px(2))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        column.addLayout(row)
        self._spinner = Spinner(14)
        self._icon = IconLabel("check-circle", "good", 16)
        self.words_label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        self.note_label = PlainLabel("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)  # under the suggestions
        column.addWidget(self.note_label)
        self.meter = MeterBar(6)
        self.meter.setFixedWidth(px(140))
        self.cells = {rule.key: _SuggestionCell(rule, self.use_wanted.emit) for rule in RULES}
        self.cancel_button = button("Cancel", small=True, name="schedule.finder.cancel", on_click=run.cancel)
        self.again_button = button("Run again", small=True, name="schedule.finder.again", on_click=run.start)
        self.large_button = icon_button(
            "arrows-out-simple", "Show the test large", small=True, name="schedule.finder.large", on_click=self.large_wanted.emit
        )
        self.close_button = icon_button("x", "Forget the test", small=True, name="schedule.finder.close", on_click=self._on_close_clicked)
        row.addWidget(self._spinner)
        row.addWidget(self._icon)
        for cell in self.cells.values():
            row.addWidget(cell)
        row.addWidget(self.words_label, 1)
        row.addWidget(self.meter)
        for control in (self.cancel_button, self.again_button, self.large_button, self.close_button):
            row.addWidget(control)
        self.hide()

    def refresh(self) -> None:
        run = self._run
        is_running, is_failed, test = run.state == "running", run.state == "failed", run.test
        stale = "" if is_running or is_failed else stale_words(run.changed_settings)
        has_rates = run.state == "done" and bool(test.suggestions)
        self._spinner.setVisible(is_running)
        self._icon.setVisible(not is_running and not has_rates)
        self.meter.setVisible(is_running)
        self.cancel_button.setVisible(is_running)
        self.again_button.setVisible(not is_running and (is_failed or bool(stale) or not has_rates))
        self.again_button.setText("Try again" if is_failed else "Run again")
        self.large_button.setVisible(not is_failed and (run.state == "done" or bool(run.rates)))
        self.close_button.setVisible(not is_running)
        close_words = "Close this message" if is_failed else "Forget the test"
        set_plain_tooltip(self.close_button, close_words)
        self.close_button.setAccessibleName(close_words)
        for key, cell in self.cells.items():
            cell.setVisible(has_rates)
            if has_rates:
                value = test.suggestions[key]
                cell.show_rate(value, is_best=value == test.best, is_used=value == self._peak())
        if is_running:
            self.meter.set_parts([(run.done, "trainsFill")], run.total or 1)
            self._say(running_words(run), "text")
        elif is_failed:
            self._icon.set_icon("warning-octagon", "bad")
            self._say(f"{run.error.sentence} {run.error.fix}".strip(), "bad")
        elif has_rates:
            self._say("", "text")
            self.note_label.setText(stale or how_words(test))
            self.note_label.set_tone("warn" if stale else "muted")
        elif run.state == "done":
            self._icon.set_icon("warning", "warn")
            self._say("The loss fell at no rate. Check the labels and what trains.", "warn")
        self.note_label.setVisible(has_rates)
        self.setAccessibleDescription(self.note_label.text() if has_rates else self.words_label.text())
        self.setVisible(run.state != "idle" and self.parentWidget() is not None)

    def _say(self, words: str, tone: str) -> None:
        self.words_label.setText(words)
        self.words_label.set_tone(tone)

    def _on_close_clicked(self) -> None:
        if self._run.state == "failed":
            self._run.close_error()
        else:
            self._run.forget()


class _SuggestionCell(QWidget):
    """A rule, its rate, and "Use this"."""

    def __init__(self, rule: Rule, use):
        super().__init__()
        self._rule = rule
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, px(8), 0)
        row.setSpacing(px(6))
        words = QVBoxLayout()
        words.setSpacing(0)
        self.title_label = PlainLabel(rule.title, "caption", "muted")
        self.rate_label = PlainLabel("", "number")
        words.addWidget(self.title_label)
        words.addWidget(self.rate_label)
        row.addLayout(words)
        self.use_button = button("Use this", small=True, name=f"schedule.finder.use.{rule.key}", on_click=lambda: use(rule.key))
        row.addWidget(self.use_button, 0, Qt.AlignmentFlag.AlignVCenter)

    def show_rate(self, value: float, *, is_best: bool, is_used: bool) -> None:
        self.rate_label.setText(rate(value))
        self.rate_label.set_tone("good" if is_best else "text")
        middle = " The middle one of the three: take it when in doubt." if is_best else ""
        set_plain_tooltip(self, self._rule.words + middle)
        self.use_button.setText("In use" if is_used else "Use this")
        self.use_button.setEnabled(not is_used)
        self.use_button.setAccessibleName(f"Use {rate(value)} as peak learning rate, {self._rule.title}")
        self.use_button.setAccessibleDescription(self._rule.words + middle)
        set_plain_tooltip(self.use_button, f"Set the peak to {rate(value)}. {self._rule.words}{middle}")


def running_words(run: RateTestRun) -> str:
    if not run.total:
        return f"{run.what}…"
    at = f" · rate {rate(run.rates[-1])}, loss {run.losses[-1]:.2f}" if run.rates else ""
    return f"Step {run.done:,} of {run.total:,}{at}"


def how_words(test: RateTest) -> str:
    """ "70 steps of 32 images in 48 s on cpu, each training image 1.8 times; stopped at 0.8, where the loss ran away"."""
    end = f"stopped at {rate(test.rates[-1])}, where the loss ran away" if test.has_diverged else "the whole range was tried"
    work = f"{counted(len(test.rates), 'step')} of {counted(test.batch_size, 'image')} in {duration(test.seconds)} on {test.device}"
    return f"{work}, each training image {test.passes:.1f} times; {end}"


def stale_words(changed: tuple[str, ...]) -> str:
    """Which settings are others now: "Changed since: batch size, dropout"; empty where none is."""
    if not changed:
        return ""
    names = [_label(path) for path in changed]
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return f"Changed since: {', '.join(names[:2] if more else names)}{more}"


def _label(path: str) -> str:
    try:
        return field_info(path).json_schema_extra["label"].lower()
    except KeyError:  # a setting of another version
        return path
