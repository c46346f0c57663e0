"""Controls bound to a setting of the draft, made from the setting's own description: label, help, unit, bounds, choices."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from studio.core.experiment import bounds, choices, field_info
from studio.core.problem import BadInput, Problem, Severity
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets.button import Segmented, Toggle
from studio.gui.widgets.combo import ComboBox
from studio.gui.widgets.label import PlainLabel, plain_tooltip, set_plain_tooltip, takes_tag
from studio.gui.widgets.number import NumberField, parse_number
from studio.gui.widgets.slider import Slider, SliderField
from studio.gui.widgets.state import IconLabel

CHOICE_LABELS: dict[str, dict[Any, str]] = {
    "schedule.shape": {
        "one_cycle": "One-cycle", "multi_step": "Milestones", "inverse_sqrt": "Inverse root", "plateau": "On plateau", "points": "Free curve",
    },
    "optimiser.kind": {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD + momentum", "rmsprop": "RMSprop", "lamb": "LAMB", "lion": "Lion"},
    "model.head_init": {"he": "He", "xavier": "Xavier"},
    "training.precision": {"auto": "Auto", "fp32": "FP32", "bf16": "BF16", "fp16": "FP16"},
    "model.normalisation": {"backbone": "Backbone", "data": "Folder", "custom": "Custom"},
    "optimiser.weight_decay_course": {
        "constant": "Constant", "linear": "In a line", "cosine": "Half a cosine", "with the rate": "With the rate",
    },
    "model.source": {"bundled": "Bundled", "torchvision": "torchvision", "timm": "timm"},
}  # fmt: skip
# A slider covers the useful part of a field's allowed range; the number field beside it takes the rest.
SLIDER_RANGES: dict[str, tuple[float, float]] = {
    "schedule.peak_lr": (1e-5, 1e-1),
    "schedule.start_factor": (1e-3, 1.0),
    "schedule.final_factor": (1e-5, 1.0),
    "optimiser.weight_decay": (0.0, 1.0),
    "optimiser.clip_norm": (0.0, 10.0),
    "training.label_smoothing": (0.0, 0.5),
    "schedule.warmup_fraction": (0.0, 0.9),
    "schedule.cooldown_fraction": (0.0, 0.9),
    "schedule.step_factor": (0.0, 1.0),
    "schedule.cycle_decay": (0.0, 1.0),
    "schedule.power": (0.0, 4.0),
    "optimiser.stage_lr_factor": (0.05, 1.0),
    "optimiser.momentum": (0.0, 0.999),
    "model.dropout": (0.0, 0.9),
    "data.validation_fraction": (0.0, 0.5),
    "data.test_fraction": (0.0, 0.5),
}

PROBLEM_ICONS = {Severity.ERROR: ("warning-octagon", "bad"), Severity.WARNING: ("warning", "warn"), Severity.NOTE: ("info", "text2")}


def choice_label(path: str, value: Any) -> str:
    """How a choice reads on screen."""
    return CHOICE_LABELS.get(path, {}).get(value) or str(value).replace("_", " ").capitalize()


class FieldEditor(QWidget):
    """Edits one setting of the draft and follows it: undo, the palette and other pages show here at once.

    What is chosen: Toggle for yes or no, Segmented for up to `max_segments` choices, ComboBox above, SliderField for numbers with
    a useful range, NumberField for other numbers, a line of text for the rest. An entry that cannot be used is taken back;
    `rejected` carries the Problem.
    """

    rejected = Signal(object)

    def __init__(
        self, store: ExperimentStore, path: str, *, slider: bool = True, max_segments: int = 4, name: str = "",
        parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._store, self.path = store, path
        self.setObjectName(name or path)
        info = field_info(path)
        extra = info.json_schema_extra
        self._is_setting = False
        self.control = self._make_control(slider, max_segments)
        self.control.setObjectName(f"{self.objectName()}.editor")
        unit = f", {extra['unit']}" if extra["unit"] else ""
        for target in (self.control, getattr(self.control, "field", None), getattr(self.control, "slider", None)):
            if target is not None:
                target.setAccessibleName(f"{extra['label']}{unit}")
                target.setAccessibleDescription(info.description)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        is_wide = isinstance(self.control, (SliderField, QLineEdit)) and not isinstance(self.control, NumberField)
        row.addWidget(self.control, 1 if is_wide else 0)
        if extra["unit"]:
            row.addWidget(PlainLabel(extra["unit"], "caption"))
        if not is_wide:
            row.addStretch(1)
        self.setFocusProxy(self.control)
        store.experiment_changed.connect(self._on_store_experiment_changed)

    @property
    def number_field(self) -> NumberField | None:
        if isinstance(self.control, NumberField):
            return self.control
        return getattr(self.control, "field", None)

    def _make_control(self, slider: bool, max_segments: int) -> QWidget:
        path, store = self.path, self._store
        value, info = store.value(path), field_info(path)
        if isinstance(value, bool):
            toggle = Toggle(checked=value)
            toggle.clicked.connect(lambda on: self._set(bool(on)))
            return toggle
        if options := [(v, choice_label(path, v)) for v in choices(path)]:
            made = Segmented(options, value) if len(options) <= max_segments else ComboBox(options, value)
            made.value_changed.connect(self._set)
            return made
        if isinstance(value, (int, float)):
            return self._make_number(value, info, slider)
        text = QLineEdit(str(value))
        text.editingFinished.connect(lambda: self._set(text.text()) if text.isModified() else None)
        return text

    def _make_number(self, value: float, info: Any, slider: bool) -> QWidget:
        low, high = bounds(self.path)
        is_log = bool(info.json_schema_extra["log"])
        field = NumberField(
            value, low=low, high=high, integer=isinstance(value, int), log=is_log,
            low_open=any(getattr(r, "gt", None) is not None for r in info.metadata),
            high_open=any(getattr(r, "lt", None) is not None for r in info.metadata),
        )  # fmt: skip
        made: QWidget = field
        if slider and self.path in SLIDER_RANGES:
            first, last = SLIDER_RANGES[self.path]
            made = SliderField(Slider(first, last, value, log=is_log, integer=isinstance(value, int), default=info.default), field)
        made.value_changed.connect(self._set)
        field.refused.connect(self._on_field_refused)
        made.drag_started.connect(self._store.begin_drag)
        made.drag_ended.connect(self._store.end_drag)
        return made

    def _on_field_refused(self, typed: str) -> None:
        try:
            value = parse_number(typed)
        except ValueError:
            value = typed
        try:
            self._store.experiment.changed({self.path: value})
        except BadInput as exc:
            self.rejected.emit(exc.problems[0])

    def _set(self, value: Any) -> None:
        self._is_setting = True
        try:
            self._store.set({self.path: value}, burst=self.path if self._is_by_key() else "")
        except BadInput as exc:
            self.rejected.emit(exc.problems[0])
            self._show(self._store.value(self.path))
        finally:
            self._is_setting = False

    def _is_by_key(self) -> bool:
        """Whether the number changes by an arrow key: a burst of presses is one undo step."""
        slider, field = getattr(self.control, "slider", None), self.number_field
        return field is not None and field.is_stepping or slider is not None and slider.hasFocus() and not slider.isSliderDown()

    def _on_store_experiment_changed(self, old, new) -> None:
        if not self._is_setting:
            self._show(self._store.value(self.path))

    def _show(self, value: Any) -> None:
        if isinstance(self.control, Toggle):
            self.control.setChecked(value)
        elif isinstance(self.control, (Segmented, ComboBox, NumberField, SliderField)):
            self.control.set_value(value)
        elif self.control.text() != value:
            self.control.setText(value)


class FormRow(QWidget):
    """Label, control and (optionally) the tag that says when a change takes effect. The label drags a number sideways."""

    def __init__(
        self, store: ExperimentStore, path: str, *, label: str = "", label_width: int = 110, show_takes: bool = False, slider: bool = True,
        max_segments: int = 4, name: str = "", parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        info = field_info(path)
        self._problem: Problem | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        self.editor = FieldEditor(store, path, slider=slider, max_segments=max_segments, name=name or path)
        self.label = PlainLabel(label or info.json_schema_extra["label"], "label", elide=Qt.TextElideMode.ElideRight)
        self.label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.label.setFixedWidth(px(label_width))
        default = info.default
        note = "" if default in ("", (), {}) else f"\nDefault: {_shown_default(path, default)}."
        self._help = f"{info.description}{note}\nTakes effect: {_TAKES_WORDS[info.json_schema_extra['takes']]}."
        set_plain_tooltip(self.editor, self._help)
        self._problem_icon = IconLabel("warning", "warn", 12, parent=self)  # between label and control; it moves neither
        self._problem_icon.hide()
        if self.editor.number_field is not None:
            self.editor.number_field.make_draggable(self.label)
        self.label.setBuddy(self.editor.control)
        self.label.installEventFilter(self)
        row.addWidget(self.label)
        row.addWidget(self.editor, 1)
        if show_takes:
            row.addWidget(takes_tag(info.json_schema_extra["takes"]))
        self.setMinimumHeight(px(32))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._problem_icon.move(px(8) + self.label.width() - self._problem_icon.width(), (self.height() - self._problem_icon.height()) // 2)

    def show_problem(self, problem: Problem | None) -> None:
        """Mark the row: what is wrong stands in its tooltip and is read with its field; None takes the mark away."""
        if problem == self._problem:
            return
        self._problem = problem
        self._problem_icon.setVisible(problem is not None)
        words = f"{problem.sentence}\n\n{self._help}" if problem else self._help
        for widget in (self.editor, self._problem_icon):
            set_plain_tooltip(widget, words)
        if problem:
            self._problem_icon.set_icon(*PROBLEM_ICONS[problem.severity])
        self.label.set_tone("text2" if problem is None else PROBLEM_ICONS[problem.severity][1])
        description = field_info(self.editor.path).description
        for target in (self.editor.control, getattr(self.editor.control, "field", None), getattr(self.editor.control, "slider", None)):
            if target is not None:
                target.setAccessibleDescription(f"{problem.sentence} {description}" if problem else description)

    def eventFilter(self, watched, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip:
            words = f"{self._problem.sentence}\n\n{self._help}" if self._problem else self._help
            watched.setToolTip(plain_tooltip(words))  # an elided label keeps its own otherwise
        return super().eventFilter(watched, event)


_TAKES_WORDS = {"live": "at the next step", "next epoch": "at the next epoch", "new run": "with the next run"}


def field_editor(store: ExperimentStore, path: str, **more) -> FieldEditor:
    """The control for a setting, bound to the draft: field_editor(store, "optimiser.weight_decay")."""
    return FieldEditor(store, path, **more)


def _shown_default(path: str, default: Any) -> str:
    from studio.gui.store import show_value

    return choice_label(path, default) if choices(path) else show_value(default)
