"""The ground of a row in the lists of the Data page."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

from studio.gui.theme import colour, pen


def paint_row_ground(painter: QPainter, ground: QRectF, option: QStyleOptionViewItem, has_focus: bool) -> None:
    """Chosen, under the pointer, and with the ring while its list `has_focus`."""
    is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
    if is_chosen or option.state & QStyle.StateFlag.State_MouseOver:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("accentWash" if is_chosen else "hover"))
        painter.drawRoundedRect(ground, 4, 4)
    if option.state & QStyle.StateFlag.State_HasFocus and has_focus:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(pen("focus", 2))
        painter.drawRoundedRect(ground.adjusted(1, 1, -1, -1), 4, 4)
