"""The settings of what is chosen in the pipeline, generated from the catalogue: one row per parameter, with its strip of pictures."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.catalog.augments.catalog import COMPOSITIONS, catalog
from studio.catalog.augments.check import step_problems
from studio.core.experiment import TransformSpec
from studio.core.problem import BadInput
from studio.gui.pages.augment.draft import MIX_TITLES, PipelineDraft
from studio.gui.pages.augment.param import NumberEditor, ParamEditor, RangeEditor, make_editor
from studio.gui.pages.augment.steps import Path, with_param
from studio.gui.pages.augment.strip import StrengthStrip, strip_values
from studio.gui.pages.augment.words import lower_first, title_of, value_in_words
from studio.gui.theme import px
from studio.gui.widgets import (
    Banner,
    ComboBox,
    EmptyState,
    NumberField,
    Panel,
    PlainLabel,
    Toggle,
    button,
    icon_button,
    line,
    scrolling,
    set_plain_tooltip,
)
from studio.gui.widgets.form import FieldEditor

_TELL_AFTER_MS = 8  # half a frame, where no picture comes before


class ParamRow(QWidget):
    """Label, editor and reset; the slider and the strip below. A dot before the label says that it is not the default.

    While a slider is dragged `moved` tells of a value at once, and `changed` when the first picture of it is there or half a frame has passed;
    then the row shows it too. All that follows from a change takes as long as a picture, which would have to wait where the processor is busy.
    """

    moved = Signal(object)
    changed = Signal(object)

    def __init__(self, param: Any, value: Any, name: str):
        super().__init__()
        self.param = param
        self.shown: Any = None  # the value that the row stands at
        self._problem = ""
        self.editor: ParamEditor = make_editor(param, value, name)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(2), 0, px(2))
        column.setSpacing(px(2))
        top = QHBoxLayout()
        top.setSpacing(px(4))
        self.dot = PlainLabel("•", "strong", "accent")
        self.dot.setFixedWidth(px(8))
        self.label = PlainLabel(param.title, "label", elide=Qt.TextElideMode.ElideRight)
        set_plain_tooltip(self.label, self._help())
        self.reset_button = icon_button(
            "arrow-counter-clockwise", f"Reset {lower_first(param.title)} to {value_in_words(param.default)}", small=True, name=f"{name}.reset",
            on_click=self.reset,
        )  # fmt: skip
        policy = self.reset_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset_button.setSizePolicy(policy)
        top.addWidget(self.dot)
        top.addWidget(self.label, 1)
        self.given: Toggle | None = None
        if param.is_optional and param.default is None:  # not given is a value of its own
            self.given = Toggle(name=f"{name}.given")
            self.given.setAccessibleName(f"Give {lower_first(param.title)}")
            set_plain_tooltip(self.given, "Off: left to the transform.")
            self.given.clicked.connect(self._on_given_clicked)
            top.addWidget(self.given)
        is_below = param.kind == "choice" and self.given is not None
        if not is_below:
            top.addWidget(self.editor, 2 if param.kind == "choice" else 0)
        top.addWidget(self.reset_button)
        column.addLayout(top)
        self.strip: StrengthStrip | None = None
        indented = QVBoxLayout()
        indented.setContentsMargins(px(12), 0, px(4), 0)
        indented.setSpacing(px(2))
        if is_below:
            indented.addWidget(self.editor)
        if self.editor.long is not None:
            indented.addWidget(self.editor.long)
        if isinstance(self.editor, (RangeEditor, NumberEditor)):
            low, high = param.slider
            self.strip = StrengthStrip(strip_values(low, high, is_whole=param.is_whole), name=f"{name}.strip")
            self.strip.setAccessibleName(f"{param.title}, five steps")
            self.strip.step_chosen.connect(self.take_step)
            indented.addWidget(self.strip)
        column.addLayout(indented)
        self._is_dragged = False
        self._due: Any = None  # a value that only `moved` has told
        self._tell_due = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._tell_due.timeout.connect(self._on_tell_due_timeout)
        self.editor.drag_started.connect(self._on_editor_drag_started)
        self.editor.drag_ended.connect(self._on_editor_drag_ended)
        self.editor.value_changed.connect(self._on_editor_value_changed)
        self._mark(value)

    def _help(self) -> str:
        param = self.param
        ends = ""
        low, high = param.low, param.high
        if low is not None or high is not None:
            ends = (
                f"From {value_in_words(low)} to {value_in_words(high)}."
                if low is not None and high is not None
                else f"At least {value_in_words(low)}."
                if low is not None
                else f"At most {value_in_words(high)}."
            )
        return "\n".join(part for part in (param.help, ends, f"Default: {value_in_words(param.default)}. Name: {param.name}.") if part)

    def set_value(self, value: Any) -> None:
        self.editor.set_value(value)
        self._mark(value)

    def show_problem(self, sentence: str) -> None:
        """What is wrong with the value; empty when nothing is."""
        if sentence == self._problem:
            return
        self._problem = sentence
        self.label.set_tone("bad" if sentence else "")
        set_plain_tooltip(self.label, sentence or self._help())

    def _on_given_clicked(self, is_given: bool) -> None:
        value = self.editor.value if is_given else None
        self._mark(value)
        self.changed.emit(value)

    def reset(self) -> None:
        self.set_value(self.param.default)
        self.changed.emit(self.param.default)

    def take_step(self, index: int) -> None:
        """A click on the strip sets the end of the range that is nearer; a single value becomes the step's."""
        value = self.strip.values[index]
        if isinstance(self.editor, RangeEditor):
            low, high = self.editor.value
            is_low = value <= low or value < high and abs(value - low) < abs(value - high)
            value = (value, high) if is_low else (low, value)
        self.set_value(value)
        self.changed.emit(value)

    def _on_editor_value_changed(self, value: Any) -> None:
        if not self._is_dragged:
            self.changed.emit(value)
            self.set_value(value)
            return
        self._due = value
        if self.editor.long is not None:
            self.editor.long.setUpdatesEnabled(False)
        if not self._tell_due.isActive():
            self._tell_due.start(_TELL_AFTER_MS)
        self.moved.emit(value)

    def tell_soon(self) -> None:
        """What is due, in the next turn of the event loop."""
        if self._tell_due.isActive():
            self._tell_due.start(0)

    def let_go(self) -> None:
        """Tell nothing more: another step is shown."""
        self._tell_due.stop()

    def _on_editor_drag_started(self) -> None:
        self._is_dragged = True

    def _on_editor_drag_ended(self) -> None:
        self._is_dragged = False
        if self._tell_due.isActive():
            self._tell_due.stop()
            self._on_tell_due_timeout()

    def _on_tell_due_timeout(self) -> None:
        self.changed.emit(self._due)
        self.set_value(self._due)
        if self.editor.long is not None:
            self.editor.long.setUpdatesEnabled(True)

    def _mark(self, value: Any) -> None:
        self.shown = value
        is_changed = bool(with_param(TransformSpec(), self.param.name, value, self.param.default))
        self.dot.setText("•" if is_changed else "")
        self.reset_button.setVisible(is_changed)
        words = "changed" if is_changed else "default"
        self.label.setAccessibleName(f"{self.param.title}, {words}")
        if self.given is not None:
            self.given.setChecked(value is not None)
            for part in (self.editor, self.editor.long, self.strip):
                if part is not None:
                    part.setVisible(value is not None)
        if self.strip is not None:
            low, high = self.editor.value if isinstance(self.editor, RangeEditor) else (self.editor.value,) * 2
            self.strip.show_range(low, high)


class TransformForm(Panel):
    """Follows what is chosen. `strips_wanted` says that the strips of the shown step need pictures."""

    strips_wanted = Signal()
    sweep_wanted = Signal()

    def __init__(self, draft: PipelineDraft, parent: QWidget | None = None):
        super().__init__("Settings", name="augment.form", margins=False, parent=parent)
        self._draft = draft
        self.setMinimumWidth(px(232))
        self.rows: dict[str, ParamRow] = {}
        self._shown: tuple | None = None
        self._refusal: tuple[TransformSpec | None, str] = (None, "")
        self.back_button = icon_button("caret-left", "Back to the group", small=True, name="augment.form.back", on_click=self._go_back)
        self.head.insertWidget(0, self.back_button)
        self.reset_button = button(
            "Reset", small=True, kind="quiet", name="augment.form.reset", tooltip="Back to the defaults", on_click=self.reset
        )
        self.sweep_button = icon_button(
            "scales", "Measure at which strength labels change\nOn some images, by the distance to other classes", small=True,
            name="augment.form.sweep", on_click=self.sweep_wanted.emit,
        )  # fmt: skip
        self.head.addWidget(self.sweep_button)
        self.head.addWidget(self.reset_button)
        self.banner = Banner(name="augment.form.problem")
        holder = QVBoxLayout()
        holder.setContentsMargins(px(10), 0, px(10), 0)
        holder.addWidget(self.banner)
        self.body.addLayout(holder)
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(px(10), px(2), px(6), px(10))
        self._column.setSpacing(px(4))
        self.body.addWidget(scrolling(self._content, name="augment.form.rows"), 1)
        draft.settled.connect(self.show_current)
        draft.current_changed.connect(self.show_current)
        draft.move_shown.connect(self._on_draft_move_shown)
        self.show_current()

    # What is shown

    def show_current(self) -> None:
        current, step = self._draft.current, self._draft.current_step
        shape = (current, step.name, tuple(child.name for child in step.of)) if step is not None else (current, "", ())
        if shape != self._shown:
            self._shown = shape
            self._rebuild()
        elif step is not None:
            for name, row in self.rows.items():
                value = step.params.get(name, row.param.default)
                if value != row.shown:
                    row.set_value(value)
            self._show_children(step)
        self._check()
        self.sweep_button.setVisible(bool(self.strips()) and self._draft.store.dataset is not None)
        self.reset_button.setVisible(step is not None and bool(self.rows))
        self.reset_button.setEnabled(step is not None and bool(step.params))

    def _rebuild(self) -> None:
        while self._column.count():
            item = self._column.takeAt(0)
            if item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        for row in self.rows.values():
            row.let_go()
        self.rows, self._children = {}, []
        self.banner.hide()
        current, step = self._draft.current, self._draft.current_step
        self.back_button.setVisible(isinstance(current, tuple) and len(current) > 1)
        if isinstance(current, str):
            self._make_mix(current)
        elif step is not None:
            self._make_step(current, step)
        else:
            self.set_title("Settings")
            is_empty = not self._draft.steps
            self._column.addWidget(
                EmptyState(
                    "sliders-horizontal",
                    "Nothing is chosen",
                    "Add a transform from the row below." if is_empty else "Click a step to see and change its settings.",
                )
            )
        self._column.addStretch(1)
        self.strips_wanted.emit()

    def _make_step(self, path: Path, step: TransformSpec) -> None:
        title = title_of(step.name)
        self.set_title(title)
        entry = catalog().get(step.name)
        set_plain_tooltip(self.title_label, f"{entry.help}\n{step.name}" if entry is not None else step.name)
        if entry is None:
            self._column.addWidget(PlainLabel(f"“{step.name}” is not in the catalogue; remove it.", "label", "bad", wrap=True))
            return
        if entry.help:
            self._column.addWidget(PlainLabel(_first_sentence(entry.help), "caption", wrap=True))
        for param in entry.params:
            if param.kind == "input size":
                continue  # follows the network
            name = f"augment.param.{param.name}"
            row = ParamRow(param, step.params.get(param.name, param.default), name)
            row.moved.connect(lambda value, param=param: self._move(param, value))
            row.changed.connect(lambda value, param=param: self._set(param, value))
            row.editor.drag_started.connect(self._draft.store.begin_drag)
            row.editor.drag_ended.connect(self._draft.store.end_drag)
            row.editor.refused.connect(lambda sentence: self.show_problem(sentence))
            self.rows[param.name] = row
            self._column.addWidget(row)
            self._column.addWidget(line())
        if not self.rows and step.name not in COMPOSITIONS:
            self._column.addWidget(PlainLabel("Nothing to set but how often it is applied.", "label", "muted", wrap=True))
        if step.name in COMPOSITIONS:
            self._make_children(path, step)

    def _make_children(self, path: Path, step: TransformSpec) -> None:
        """The steps that One of and its like choose from: on, name, weight, remove; and one more."""
        self._column.addWidget(PlainLabel("Chooses from" if step.name != "Sequential" else "Runs in order", "label"))
        for index, child in enumerate(step.of):
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(px(6))
            at, title = (*path, index), title_of(child.name)
            toggle = Toggle(checked=child.is_on, name=f"augment.choice.{index}.on")
            toggle.setAccessibleName(f"{title} on")
            toggle.clicked.connect(lambda on, at=at: self._draft.set_on(at, on))
            weight = NumberField(child.p, low=0.0, high=1.0, step=0.05, name=f"augment.choice.{index}.weight")
            weight.setProperty("dense", "true")
            weight.setFixedWidth(px(52))
            weight.setAccessibleName(f"Weight of {title}")
            set_plain_tooltip(weight, "How likely it is chosen, against the others.")
            weight.value_changed.connect(lambda p, at=at: self._draft.set_p(at, p))
            row.addWidget(toggle)
            row.addWidget(
                button(title, kind="link", name=f"augment.choice.{index}", on_click=lambda at=at: self._draft.choose(at), tooltip="Its settings"), 1,
            )  # fmt: skip
            row.addStretch(1)
            row.addWidget(weight)
            row.addWidget(
                icon_button(
                    "x", f"Remove {title}", small=True, name=f"augment.choice.{index}.remove", on_click=lambda at=at: self._remove_child(at)
                )
            )
            self._children.append((toggle, weight))
            self._column.addWidget(holder)
        names = [entry for entry in catalog().values() if entry.group not in ("combine", "policies")]
        more = ComboBox([("", "Add a choice…"), *((entry.name, entry.title) for entry in names)], "", name="augment.choice.add")
        more.setAccessibleName("Add a choice")
        more.value_changed.connect(lambda name: self._add_child(path, name) if name else None)
        self._column.addWidget(more)

    def _add_child(self, path: Path, name: str) -> None:
        of = (*self._draft.current_step.of, TransformSpec(name=name, p=0.5))
        self._draft.set_choices(path, of, f"add {lower_first(title_of(name))}")

    def _remove_child(self, at: Path) -> None:
        of = self._draft.current_step.of
        label = f"remove {lower_first(title_of(of[at[-1]].name))}"
        self._draft.set_choices(at[:-1], (*of[: at[-1]], *of[at[-1] + 1 :]), label)

    def _show_children(self, step: TransformSpec) -> None:
        for (toggle, weight), child in zip(self._children, step.of, strict=True):
            toggle.setChecked(child.is_on)
            weight.set_value(child.p)

    def _make_mix(self, mix: str) -> None:
        self.set_title(MIX_TITLES[mix])
        words = {
            "mixup": "Two images are laid over each other, and their labels are mixed in the same shares. Helps against overconfidence; needs longer runs.",
            "cutmix": "A rectangle of one image is put into another; labels are mixed by area. Keeps edges and textures as they are.",
        }[mix]  # fmt: skip
        self._column.addWidget(PlainLabel(words, "caption", wrap=True))
        for field, label, help_ in (
            (f"augment.{mix}_p", "Share of batches", "Of all batches of an epoch. With both on, one of the two is drawn for a batch."),
            (f"augment.{mix}_alpha", "Evenness (alpha)", "Small: mostly one image. Large: about half and half."),
        ):
            row = QWidget()
            layout = QHBoxLayout(row)
            layout.setContentsMargins(0, px(2), 0, px(2))
            title = PlainLabel(label, "label")
            set_plain_tooltip(title, help_)
            layout.addWidget(title, 1)
            layout.addWidget(FieldEditor(self._draft.store, field, slider=False))
            self._column.addWidget(row)
        self._column.addWidget(PlainLabel("The Batch view shows mixed pictures with their labels.", "label", "muted", wrap=True))

    # Edits

    def _on_draft_move_shown(self) -> None:
        for row in self.rows.values():
            row.tell_soon()

    def _move(self, param: Any, value: Any) -> None:
        step = self._draft.current_step
        if step is not None:
            self._draft.move_params(self._draft.current, with_param(step, param.name, value, param.default))

    def _set(self, param: Any, value: Any) -> None:
        step = self._draft.current_step
        if step is None:
            return
        label = f"{lower_first(param.title)} to {value_in_words(value)}"
        params = with_param(step, param.name, value, param.default)
        try:
            self._draft.set_params(self._draft.current, params, label)
        except BadInput as exc:
            self.show_problem(exc.problems[0].sentence)

    def reset(self) -> None:
        step = self._draft.current_step
        if step is not None and step.params:
            self._draft.set_params(self._draft.current, {}, f"reset {lower_first(title_of(step.name))}")

    def _check(self) -> None:
        """Say what is wrong with the shown step: what the catalogue finds, else what the library has said of it."""
        step = self._draft.current_step
        found = {problem.field.rpartition(".")[2]: problem.sentence for problem in step_problems(step, "")} if step is not None else {}
        for name, row in self.rows.items():
            row.show_problem(found.get(name, ""))
        self.show_problem(next(iter(found.values()), self._refusal[1] if step == self._refusal[0] else ""))

    def show_refusal(self, step: TransformSpec, sentence: str) -> None:
        """What the library says of a step as it is set; empty when it can be made."""
        self._refusal = (step, sentence)
        self._check()

    def show_problem(self, sentence: str) -> None:
        """What is wrong with the shown step; empty when nothing is."""
        if sentence:
            self.banner.show_message("error", sentence)
        else:
            self.banner.hide()

    def _go_back(self) -> None:
        self._draft.choose(self._draft.current[:-1])

    def focus_first(self) -> None:
        """Take the keyboard to the first control."""
        for row in self.rows.values():
            if row.editor.isVisibleTo(row):
                row.editor.setFocus(Qt.FocusReason.TabFocusReason)
                return
        first = next((w for w in self._content.findChildren(QWidget) if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible()), None)
        if first is not None:
            first.setFocus(Qt.FocusReason.TabFocusReason)

    # Strips

    def strips(self) -> dict[str, tuple[float, ...]]:
        """The values of the strips of the shown step, by parameter."""
        return {name: row.strip.values for name, row in self.rows.items() if row.strip is not None}

    def show_strip_picture(self, param: str, index: int, picture: QPixmap | None, failure: str = "") -> None:
        row = self.rows.get(param)
        if row is not None and row.strip is not None:
            row.strip.show_picture(index, picture, failure)


def _first_sentence(text: str) -> str:
    head, dot, _ = text.partition(". ")
    return head + ("." if dot and not head.endswith(".") else "")
