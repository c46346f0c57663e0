"""A picture as large as the page, over it. Not a dialog: Esc or Space closes it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.gui.theme import px
from studio.gui.widgets.button import icon_button
from studio.gui.widgets.focus import press_focused, step_focus
from studio.gui.widgets.label import PlainLabel

_STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}


class Cover(QFrame):
    """Covers its parent while open. Arrow keys ask for the neighbours, Enter presses the button that has the keyboard; other keys go to the
    caller.

    Subclasses put what they say into `head` before they call `finish_head`, and paint into `room`.
    """

    step_wanted = Signal(int)  # -1 or 1
    key_pressed = Signal(object)  # QKeyEvent of Delete, digits, ...
    closed = Signal()

    def __init__(self, parent: QWidget, *, name: str, what: str, hint: str):
        """what: "image", as the buttons' names say it."""
        super().__init__(parent)
        self.setObjectName(name)
        self.setProperty("frame", "panel")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._what = what
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(8), px(8), px(10))
        self.head = QHBoxLayout()
        self.head.setSpacing(px(8))
        column.addLayout(self.head)
        column.addStretch(1)
        column.addWidget(PlainLabel(hint, "caption"), 0, Qt.AlignmentFlag.AlignHCenter)
        self.hide()

    def finish_head(self) -> None:
        """Add the buttons at the right."""
        name = self.objectName()
        for icon, words, suffix, act in (
            ("caret-left", f"Show the {self._what} before", "back", lambda: self.step_wanted.emit(-1)),
            ("caret-right", f"Show the next {self._what}", "next", lambda: self.step_wanted.emit(1)),
            ("x", "Close the large view", "close", self.close_view),
        ):
            self.head.addWidget(icon_button(icon, words, name=f"{name}.{suffix}", on_click=act))

    @property
    def room(self) -> QRectF:
        """Where the picture goes: between the head and the hint."""
        return QRectF(self.rect()).adjusted(px(12), px(44), -px(12), -px(34))

    def open_view(self) -> None:
        self.setGeometry(self.parentWidget().rect())
        self.show()
        self.raise_()
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.update()

    def close_view(self) -> None:
        if self.isVisible():
            self.hide()
            self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Space):
            self.close_view()
        elif event.key() in _STEPS:
            self.step_wanted.emit(_STEPS[event.key()])
        elif not press_focused(event):
            event.ignore()
            self.key_pressed.emit(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab stays inside: what lies below is covered."""
        return step_focus(self, forward)

    def mousePressEvent(self, event) -> None:
        """A click beside the controls goes no further: the page lies below."""
