"""Rows of settings in the narrow columns of the Schedule page."""

from __future__ import annotations

from PySide6.QtWidgets import QSizePolicy

from studio.gui.theme import px
from studio.gui.widgets import SliderField
from studio.gui.widgets.form import FormRow

LABEL_PX = 98  # of the right-hand column


def narrow(row: FormRow) -> FormRow:
    """The row with a number field that leaves room for its slider in a column of 290 px."""
    if row.editor.number_field is not None:
        row.editor.number_field.setFixedWidth(px(72))
    return row


def shrinking(row: FormRow) -> FormRow:
    """The narrow row, whose slider asks for no width of its own."""
    if isinstance(row.editor.control, SliderField):
        row.editor.control.slider.setMinimumWidth(1)
        row.editor.control.slider.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return narrow(row)
