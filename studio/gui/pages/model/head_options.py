"""The options of a part of the head, made from the part's own description: label, help, unit, bounds, choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.core.section import Section
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, NumberField, PlainLabel, Toggle, set_plain_tooltip

_WORDS = {"gem": "GeM", "gelu": "GELU", "silu": "SiLU", "relu": "ReLU", "tanh": "tanh"}


def part_options(part: Section, on_changed: Callable[[Section], object]) -> QWidget:
    """A row of controls; `on_changed` gets the part with one field replaced."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(px(6))
    for name, info in type(part).model_fields.items():
        if name == "kind":
            continue
        label = PlainLabel(info.json_schema_extra["label"], "label")
        set_plain_tooltip(label, info.description)
        control = _control(part, name, info, lambda value, name=name: on_changed(part.model_copy(update={name: value})))
        control.setObjectName(f"model.head.{name}")
        control.setAccessibleName(info.json_schema_extra["label"])
        control.setAccessibleDescription(info.description)
        set_plain_tooltip(control, info.description)
        row.addWidget(label)
        row.addWidget(control)
        row.addSpacing(px(4))
    row.addStretch(1)
    return made


def _control(part: Section, name: str, info: Any, take: Callable[[Any], object]) -> QWidget:
    value = getattr(part, name)
    if isinstance(value, bool):
        made = Toggle(checked=value)
        made.clicked.connect(lambda on: take(bool(on)))
        return made
    if get_origin(info.annotation) is Literal:
        options = [(v, _WORDS.get(v) or (str(v).capitalize() if isinstance(v, str) else str(v))) for v in get_args(info.annotation)]
        made = ComboBox(options, value)
        made.setProperty("dense", "true")
        made.value_changed.connect(take)
        return made
    low = next((rule.ge for rule in info.metadata if getattr(rule, "ge", None) is not None), None)
    high = next((rule.le for rule in info.metadata if getattr(rule, "le", None) is not None), None)
    made = NumberField(value, low=low, high=high, integer=isinstance(value, int))
    made.setFixedWidth(px(58))
    made.value_changed.connect(take)
    return made
