"""The flat veil over the window that the palette and the sheets lie on."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QFrame, QWidget

from studio.gui.theme import colour
from studio.gui.widgets.focus import press_focused, step_focus


def open_scrims(host: QWidget) -> list[Scrim]:
    """Those over a host, the last one in front."""
    return [child for child in host.children() if isinstance(child, Scrim) and child.isVisible()]


class Scrim(QWidget):
    """Covers its host with one box on it. Esc and a click beside the box call `dismiss`, Enter presses the button that has the keyboard;
    subclasses also place the box."""

    def __init__(self, host: QWidget):
        super().__init__(host)
        self._box = QFrame(self)
        self._box.setProperty("frame", "palette")

    def dismiss(self) -> None:
        """Close what is shown."""
        self.hide()

    def _place(self) -> None:
        """Size and move the box within the host."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.dismiss()
        elif not press_focused(event):
            super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab stays inside: what lies below is out of reach of the mouse, too."""
        return step_focus(self, forward)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if not self._box.geometry().contains(event.position().toPoint()):
            self.dismiss()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._place()

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), colour("window", 0.55))
        painter.end()
