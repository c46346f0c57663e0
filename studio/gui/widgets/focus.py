"""Where the keyboard is: the ring of painted parts, and keeping it, and Enter, inside what lies over the window."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from studio.gui.theme import pen


def paint_focus(painter: QPainter, rect: QRect) -> None:
    """The ring inside a row that has the keyboard."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen("focus", 2))
    painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 4, 4)
    painter.restore()


def step_focus(inside: QWidget, forward: bool) -> bool:
    """What Tab and Shift+Tab do in an overlay: the next control inside it, and after the last one the first again. False where it has none."""
    # Not by nextInFocusChain: PySide has each widget refer to the next then, and with the overlay all of the window's are taken for deleted.
    stops = [widget for widget in inside.findChildren(QWidget) if _is_stop(widget, inside)]
    if not stops:
        return False
    now = QApplication.focusWidget()
    place = stops.index(now) if now in stops else (-1 if forward else 0)
    reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
    stops[(place + (1 if forward else -1)) % len(stops)].setFocus(reason)
    return True


def press_focused(event: QKeyEvent) -> bool:
    """What Enter does in an overlay: press the button that has the keyboard, which on most platforms ignores it outside dialogs. False where
    none has it, or of another key."""
    pressed = QApplication.focusWidget()
    if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter) or not isinstance(pressed, QAbstractButton):
        return False
    pressed.click()
    return True


def _is_stop(widget: QWidget, inside: QWidget) -> bool:
    takes_tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None
    return bool(takes_tab) and inside.isAncestorOf(widget) and widget.isEnabled() and widget.isVisibleTo(inside)
