"""One sentence at the lower right for six seconds, with at most one action."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QWidget
from shiboken6 import isValid

from studio.gui.shell.scrim import open_scrims
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, button, icon_button
from studio.gui.widgets.focus import step_focus

SHOWN_MS = 6000


class Toast(QFrame):
    """A child of the window, laid over it; one at a time, a new one replaces the old. Stays while the pointer or the keyboard is on it."""

    def __init__(self, host: QWidget):
        super().__init__(host)
        self.setProperty("frame", "toast")
        self.setObjectName("shell.toast")
        self._on_action: Callable[[], object] | None = None
        self._bottom = 0
        self._came_from: QWidget | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(px(14), px(8), px(8), px(8))
        row.setSpacing(px(10))
        self._label = PlainLabel("", "body", wrap=True)
        row.addWidget(self._label, 1)
        self._action = button("Undo", kind="link", name="toast.action", on_click=self._on_action_clicked)
        row.addWidget(self._action)
        self._close = icon_button("x", "Close", small=True, name="toast.close", on_click=self.hide)
        row.addWidget(self._close)
        self._timer = QTimer(self, singleShot=True, interval=SHOWN_MS)
        self._timer.timeout.connect(self._on_timer_timeout)
        self.hide()

    @property
    def text(self) -> str:
        return self._label.text()

    def show_message(self, sentence: str, action: str = "", on_action: Callable[[], object] | None = None) -> None:
        self._label.setText(sentence)
        self._on_action = on_action
        self._action.setText(action)
        self._action.setVisible(bool(action))
        self.setAccessibleName(sentence)
        width = self._label.fontMetrics().horizontalAdvance(sentence)
        self._label.setFixedWidth(min(px(380), width + px(4)))
        self._fit()
        self.show()
        self.raise_()
        self._timer.start()

    def mention(self, sentence: str) -> None:
        """Only where no action is on offer, which would be lost."""
        if self.isHidden() or self._on_action is None:
            self.show_message(sentence)

    def withdraw(self, action: Callable[[], object]) -> None:
        """Offer this action no longer: it would do something else than the sentence says."""
        if self._on_action == action:
            self._on_action = None
            self._action.hide()
            self._fit()

    def _fit(self) -> None:
        self.adjustSize()
        self.place(self._bottom)

    def place(self, bottom: int) -> None:
        """Keep `bottom` px free below: the run bar."""
        self._bottom = bottom
        host = self.parentWidget()
        self.move(host.width() - self.width() - px(16), host.height() - self.height() - bottom - px(16))

    @property
    def has_keyboard(self) -> bool:
        return self.isAncestorOf(QApplication.focusWidget())

    @property
    def came_from(self) -> QWidget | None:
        """What had the keyboard before; None where that is gone."""
        return self._came_from if self._came_from is not None and isValid(self._came_from) else None

    def take_keyboard(self) -> bool:
        """Go to the action, or the cross. False where the keyboard is there already, or nothing is said. `hide` gives it back."""
        if not self.isVisible() or self.has_keyboard:
            return False
        self._came_from = QApplication.focusWidget()
        (self._action if self._action.isVisible() else self._close).setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def hide(self) -> None:
        had_keyboard = self.has_keyboard
        super().hide()
        if had_keyboard and (before := self.came_from) is not None:
            before.setFocus(Qt.FocusReason.OtherFocusReason)
        self._came_from = None

    def _on_timer_timeout(self) -> None:
        if self.has_keyboard:
            self._timer.start()
        else:
            self.hide()

    def enterEvent(self, event) -> None:
        self._timer.stop()

    def leaveEvent(self, event) -> None:
        if self.isVisible():
            self._timer.start()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Under an open sheet Tab leads nowhere: it stays here until F6 or Esc."""
        return step_focus(self, forward) if open_scrims(self.parentWidget()) else super().focusNextPrevChild(forward)

    def _on_action_clicked(self) -> None:
        self.hide()
        if self._on_action is not None:
            self._on_action()

    def keyPressEvent(self, event) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)
