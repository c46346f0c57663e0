"""Filter chips with counts, one of them on; those that do not fit stand in a menu behind "+5"."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from studio.gui.theme import px
from studio.gui.widgets.button import Chip
from studio.gui.wording import count

_LONGEST = 20  # characters of a name on a chip


class CountChips(QWidget):
    """`chosen` carries the key of the user's choice."""

    chosen = Signal(object)

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(px(24))
        self.key: object = None
        self._entries: list[tuple[object, str, int]] = []
        self._chips: list[Chip] = []
        self._num_shown = 0
        self._more = Chip("+0", name=f"{name}.more", parent=self)
        self._more.clicked.connect(self._on_more_clicked)
        self._more.hide()

    def clear(self) -> None:
        self.key = None
        self.show_counts([])

    def show_counts(self, entries: Sequence[tuple[object, str, int]]) -> None:
        """Triples of key, name and count, the most wanted first. The choice stays."""
        self._entries = list(entries)
        while len(self._chips) < min(len(self._entries), 24):  # no row shows more
            index = len(self._chips)
            chip = Chip("", parent=self)
            chip.clicked.connect(lambda *_, index=index: self._take(self._entries[index][0]))
            self._chips.append(chip)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()

    def _take(self, key: object) -> None:
        self.key = key
        self._arrange()
        self.chosen.emit(key)

    def _arrange(self) -> None:
        gap, x, room = px(6), 0, self.width()
        self._num_shown = 0
        is_full = False
        for index, chip in enumerate(self._chips):
            if index >= len(self._entries) or is_full:
                chip.hide()
                continue
            key, name, number = self._entries[index]
            words = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
            chip.setText(f"{words}  {count(number)}".replace("&", "&&"))
            chip.setAccessibleName(f"{name}, {count(number)}")
            chip.setChecked(key == self.key)
            width = chip.sizeHint().width()
            left = len(self._entries) - index - 1
            self._more.setText(f"+{left}")
            reserve = self._more.sizeHint().width() + gap if left else 0
            if x + width + reserve > room:
                chip.hide()
                is_full = True
                continue
            chip.setGeometry(x, (self.height() - chip.sizeHint().height()) // 2, width, chip.sizeHint().height())
            chip.show()
            x += width + gap
            self._num_shown = index + 1
        hidden = self._entries[self._num_shown :]
        self._more.setVisible(bool(hidden))
        if hidden:
            self._more.setText(f"+{len(hidden)}")
            self._more.setAccessibleName(f"{len(hidden)} more filters")
            self._more.setChecked(any(key == self.key for key, _, _ in hidden))
            hint = self._more.sizeHint()
            self._more.setGeometry(x, (self.height() - hint.height()) // 2, hint.width(), hint.height())

    def _on_more_clicked(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key, name, number in self._entries[self._num_shown :]:
            action = menu.addAction(f"{name}  {count(number)}".replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(key == self.key)
            action.triggered.connect(lambda *_, key=key: self._take(key))
        self._arrange()
        menu.popup(self._more.mapToGlobal(QPoint(0, self._more.height() + 2)))
