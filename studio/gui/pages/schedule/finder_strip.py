"""What the finder has to say, in a strip under the plot: how far it is, which rates there are to take, or why it found none."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.experiment import field_info
from studio.core.head_sweep import HeadSweep
from studio.core.rate_test import RULES, RateTest, Rule
from studio.core.words import counted
from studio.gui.pages.schedule.finder_peaks import head_words, loss_text
from studio.gui.pages.schedule.finder_run import FinderRun
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, MeterBar, PlainLabel, Spinner, button, icon_button, set_plain_tooltip
from studio.gui.wording import duration, percent, rate


class FinderStrip(QFrame):
    """Follows a FinderRun; hidden while that is idle."""

    use_wanted = Signal(str)  # key of a rule
    peak_wanted = Signal(object)  # float
    large_wanted = Signal()
    keyboard_left = Signal()  # what had it is gone, and here is nothing where another Space would do no harm

    def __init__(self, run: FinderRun, peak: Callable[[], float], obstacle: Callable[[], str], parent: QWidget | None = None):
        """peak: the draft's peak learning rate now. obstacle: why its heads cannot be compared, empty where they can."""
        super().__init__(parent)
        self._run, self._peak, self._obstacle = run, peak, obstacle
        self.setObjectName("schedule.finder")
        self.setProperty("frame", "card")
        self.setAccessibleName("Find learning rate")
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
        self.peak_cell = _PeakCell(run, self.peak_wanted.emit)
        self.cancel_button = button("Cancel", small=True, name="schedule.finder.cancel", on_click=run.cancel)
        self.again_button = button("Run again", small=True, name="schedule.finder.again", on_click=run.start_again)
        self.large_button = icon_button(
            "arrows-out-simple", "Show it large", small=True, name="schedule.finder.large", on_click=self.large_wanted.emit
        )
        self.close_button = icon_button("x", "Forget it", small=True, name="schedule.finder.close", on_click=self._on_close_clicked)
        row.addWidget(self._spinner)
        row.addWidget(self._icon)
        for cell in (*self.cells.values(), self.peak_cell):
            row.addWidget(cell)
        row.addWidget(self.words_label, 1)
        row.addWidget(self.meter)
        for control in (self.cancel_button, self.again_button, self.large_button, self.close_button):
            row.addWidget(control)
        self.hide()

    def refresh(self) -> None:
        pressed = QApplication.focusWidget()
        has_keyboard = pressed is not None and self.isAncestorOf(pressed)
        self._show_run()
        if has_keyboard and not (pressed.isVisible() and pressed.isEnabled()):  # the next button would take a suggestion, or start a test
            rest = next((each for each in (self.large_button, self.cancel_button) if each.isVisible()), None)
            if rest is not None:
                rest.setFocus(Qt.FocusReason.TabFocusReason)
            else:
                self.keyboard_left.emit()

    def _show_run(self) -> None:
        run = self._run
        is_running, is_failed, is_done, test, sweep = (
            run.state == "running",
            run.state == "failed",
            run.state == "done",
            run.test,
            run.sweep,
        )
        stale = "" if is_running or is_failed else stale_words(run.changed_settings)
        has_sweep = is_done and sweep is not None
        has_suggestions = is_done and test is not None and bool(test.suggestions)
        has_rates = has_sweep or has_suggestions
        self._spinner.setVisible(is_running)
        self._icon.setVisible(not is_running and not has_rates)
        self.meter.setVisible(is_running)
        self.cancel_button.setVisible(is_running)
        self._offer_again(not is_running and (is_failed or bool(stale) or not has_rates), "Try again" if is_failed else "Run again")
        self.large_button.setVisible(not is_failed and (is_done or bool(run.rates)))
        self.close_button.setVisible(not is_running)
        close_words = "Close this message" if is_failed else "Forget the comparison" if has_sweep else "Forget the test"
        set_plain_tooltip(self.close_button, close_words)
        self.close_button.setAccessibleName(close_words)
        for key, cell in self.cells.items():
            cell.setVisible(has_suggestions)
            if has_suggestions:
                value = test.suggestions[key]
                cell.show_rate(value, is_best=value == test.best, is_used=value == self._peak())
        self.peak_cell.setVisible(has_sweep)
        if has_sweep:
            self.peak_cell.show_head(sweep, run.chosen, self._peak())
        if is_running:
            self.meter.set_parts([(run.done, "trainsFill")], run.total or 1)
            self._say(running_words(run), "text")
        elif is_failed:
            self._icon.set_icon("warning-octagon", "bad")
            self._say(f"{run.error.sentence} {run.error.fix}".strip(), "bad")
        elif has_rates:
            self._say("", "text")
            self.note_label.setText(stale or (sweep_words(sweep) if has_sweep else how_words(test)))
            self.note_label.set_tone("warn" if stale else "muted")
        elif is_done:
            self._icon.set_icon("warning", "warn")
            self._say("The loss fell at no rate. Check the labels and what trains.", "warn")
        self.note_label.setVisible(has_rates)
        self.setAccessibleDescription(self.note_label.text() if has_rates else self.words_label.text())
        self.setVisible(run.state != "idle" and self.parentWidget() is not None)

    def _offer_again(self, is_offered: bool, words: str) -> None:
        self.again_button.setVisible(is_offered)
        if is_offered:
            reason = self._obstacle() if self._run.kind == "sweep" else ""
            self.again_button.setText(words)
            self.again_button.setEnabled(not reason)
            set_plain_tooltip(self.again_button, reason)
            self.again_button.setAccessibleDescription(reason)

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
        words = _Figure(rule.title)
        self.title_label, self.rate_label = words.title_label, words.number_label
        row.addWidget(words)
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


class _PeakCell(QWidget):
    """The chosen head of a sweep, steps to its neighbours, and "Use 3.2e-3". The steps stay enabled at either end: the keyboard would go from one
    that is disabled to "Use", and the next Space take the peak."""

    def __init__(self, run: FinderRun, use: Callable[[float], object]):
        super().__init__()
        self._run = run
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, px(8), 0)
        row.setSpacing(px(12))
        name = "schedule.finder.peak"
        self.lower_button = icon_button(
            "caret-left", "Choose the next lower peak", small=True, name=f"{name}.lower", on_click=lambda: run.choose(run.chosen - 1)
        )
        self.higher_button = icon_button(
            "caret-right", "Choose the next higher peak", small=True, name=f"{name}.higher", on_click=lambda: run.choose(run.chosen + 1)
        )
        self.use_button = button("Use", small=True, name=f"{name}.use", on_click=lambda: use(run.sweep.heads[run.chosen].peak))
        rate_words, top1_words, loss_words = _Figure("Peak"), _Figure("Validation top-1"), _Figure("Loss")
        self.title_label, self.rate_label = rate_words.title_label, rate_words.number_label
        self.top1_label, self.loss_label = top1_words.number_label, loss_words.number_label
        rate_words.setMinimumWidth(px(72))  # the arrows stay under the pointer
        for part in (self.lower_button, rate_words, self.higher_button, top1_words, loss_words, self.use_button):
            row.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)

    def show_head(self, sweep: HeadSweep, chosen: int, peak: float) -> None:
        """`peak` is the draft's now."""
        head = sweep.heads[chosen]
        is_best, is_used, num = head is sweep.best, head.peak == peak, len(sweep.heads)
        self.title_label.setText(f"Best of {num}" if is_best else f"{chosen + 1} of {num}")
        self.rate_label.setText(rate(head.peak))
        self.rate_label.set_tone("good" if is_best else "text")
        self.top1_label.setText(percent(head.top1))
        self.loss_label.setText(loss_text(head))
        words = f"{head_words(head)[:1].upper()}{head_words(head)[1:]}. Best: {head_words(sweep.best)}."
        set_plain_tooltip(self, words)
        self.use_button.setText("In use" if is_used else f"Use {rate(head.peak)}")
        self.use_button.setEnabled(not is_used)
        self.use_button.setAccessibleName(f"Use {rate(head.peak)} as peak learning rate")
        self.use_button.setAccessibleDescription(words)
        set_plain_tooltip(self.use_button, f"Set the peak to {rate(head.peak)}. {words}")


class _Figure(QWidget):
    """A number under its name."""

    def __init__(self, title: str):
        super().__init__()
        words = QVBoxLayout(self)
        words.setContentsMargins(0, 0, 0, 0)
        words.setSpacing(0)
        self.title_label = PlainLabel(title, "caption", "muted")
        self.number_label = PlainLabel("", "number")
        words.addWidget(self.title_label)
        words.addWidget(self.number_label)


def running_words(run: FinderRun) -> str:
    if not run.total:
        return f"{run.what}…"
    if run.kind == "sweep":
        return f"{run.what}: {run.done:,} of {run.total:,}"
    at = f" · rate {rate(run.rates[-1])}, loss {run.losses[-1]:.2f}" if run.rates else ""
    return f"Step {run.done:,} of {run.total:,}{at}"


def how_words(test: RateTest) -> str:
    """ "70 steps of 32 images in 48 s on cpu, each training image 1.8 times; stopped at 0.8, where the loss ran away"."""
    end = f"stopped at {rate(test.rates[-1])}, where the loss ran away" if test.has_diverged else "the whole range was tried"
    work = f"{counted(len(test.rates), 'step')} of {counted(test.batch_size, 'image')} in {duration(test.seconds)} on {test.device}"
    return f"{work}, each training image {test.passes:.1f} times; {end}"


def sweep_words(sweep: HeadSweep) -> str:
    """ "32 heads, 8 epochs, without augmentation, in 23 s on cpu, 2 s of that for all heads together"."""
    heads = f"{counted(len(sweep.heads), 'head')}, {counted(sweep.epochs, 'epoch')}, without augmentation"
    return f"{heads}, in {duration(sweep.seconds)} on {sweep.device}, {duration(sweep.head_seconds)} of that for all heads together"


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
