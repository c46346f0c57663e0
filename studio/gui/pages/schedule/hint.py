"""A sentence in passing about a setting, and what can be done about it in one click each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from studio.gui.theme import px
from studio.gui.widgets import IconLabel, PlainLabel, button


class HintLine(QWidget):
    """Hidden until there is something to say."""

    def __init__(self, name: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, px(2), 0, px(2))
        row.setSpacing(px(6))
        row.addWidget(IconLabel("lightbulb", "warn", 14), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.label = PlainLabel("", "caption", "text2", wrap=True)
        words.addWidget(self.label)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(px(4))
        words.addLayout(self._buttons)
        row.addLayout(words, 1)
        self._shown: tuple = ()
        self.hide()

    def show_hint(self, sentence: str, actions: Sequence[tuple[str, str, Callable[[], object]]] = ()) -> None:
        """An empty sentence hides it. actions: label, tooltip, what it does; not made anew while sentence and labels stay."""
        self.setVisible(bool(sentence))
        shown = (sentence, [label for label, *_ in actions])
        if not sentence or shown == self._shown:
            return
        self._shown = shown
        self.label.setText(sentence)
        while self._buttons.count():
            item = self._buttons.takeAt(0)
            if item.widget():
                item.widget().deleteLater()
        for place, (label, tooltip, act) in enumerate(actions):
            self._buttons.addWidget(
                button(label, kind="link", small=True, name=f"{self.objectName()}.{place}", tooltip=tooltip, on_click=act)
            )
        self._buttons.addStretch(1)

    @property
    def buttons(self) -> list[QPushButton]:
        return [item for i in range(self._buttons.count()) if (item := self._buttons.itemAt(i).widget())]
