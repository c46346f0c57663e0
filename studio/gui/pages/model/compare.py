"""Two backbones side by side, figure by figure; the better one of each is marked."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.pages.model.costs import Costs
from studio.gui.pages.model.listing import COLUMNS, NO_COST, UNKNOWN, key_of, value_of, value_words
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, PlainLabel, button, icon_button, line, scrolling, set_plain_tooltip

# +1: more is better, -1: less is better, 0: neither.
_BETTER = {"num_parameters": -1, "gflops": -1, "top1": 1, "memory_bytes": -1, "images_per_s": 1, "top5": 1, "weights_bytes": -1}


class ComparePanel(QFrame):
    """`use_wanted` takes one of the two; Esc or the cross closes."""

    use_wanted = Signal(object)  # BackboneInfo
    closed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "panel")
        self.setObjectName("model.compare")
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(8), px(8), px(10))
        head = QHBoxLayout()
        head.addWidget(PlainLabel("Compare", "panel"))
        head.addStretch(1)
        head.addWidget(icon_button("x", "Close the comparison", small=True, name="model.compare.close", on_click=self.close_view))
        column.addLayout(head)
        self._content = QWidget()
        self._grid = QGridLayout(self._content)
        self._grid.setContentsMargins(0, 0, px(8), 0)
        self._grid.setHorizontalSpacing(px(16))
        self._grid.setVerticalSpacing(px(3))
        column.addWidget(scrolling(self._content), 1)
        self._pair: tuple[BackboneInfo, BackboneInfo] | None = None
        self.hide()

    def show_pair(self, left: BackboneInfo, right: BackboneInfo, costs: Costs) -> None:
        self._pair = left, right
        self.refresh(costs)

    def refresh(self, costs: Costs) -> None:
        """The figures as they are known now."""
        if self._pair is None:
            return
        had_focus = self.isAncestorOf(self.focusWidget()) if self.focusWidget() else False
        while self._grid.count():
            self._grid.takeAt(0).widget().deleteLater()
        known = [costs.costs.get(key_of(info), NO_COST) for info in self._pair]
        for place, info in enumerate(self._pair):
            self._grid.addWidget(PlainLabel(shown(info.title), "strong", elide=Qt.TextElideMode.ElideRight), 0, place + 1)
        self._grid.addWidget(line(), 1, 0, 1, 3)
        for row, column in enumerate(COLUMNS[1:], start=2):
            self._grid.addWidget(label := PlainLabel(column.title, "label", "muted"), row, 0)
            set_plain_tooltip(label, column.help)
            best = better(column.attribute, *(value_of(i, column.attribute, c) for i, c in zip(self._pair, known, strict=True)))
            for place, (info, cost) in enumerate(zip(self._pair, known, strict=True)):
                words = value_words(info, column.attribute, cost)
                words = words if column.is_number else shown(words)
                if column.attribute == "memory_bytes" and cost.fit:
                    words += f", {cost.fit}"
                self._grid.addWidget(self._value(words, is_best=place == best), row, place + 1)
        last = self._grid.rowCount()
        for place, info in enumerate(self._pair):
            use = button(
                "Use", "check", small=True, name=f"model.compare.use{place}", on_click=lambda info=info: self.use_wanted.emit(info)
            )
            use.setAccessibleName(f"Use {shown(info.title)}")
            self._grid.addWidget(use, last, place + 1)
            if had_focus and place == 0:
                use.setFocus(Qt.FocusReason.OtherFocusReason)
        for part in (1, 2):
            self._grid.setColumnStretch(part, 1)

    def focus_first(self) -> None:
        self.findChild(QWidget, "model.compare.use0").setFocus(Qt.FocusReason.TabFocusReason)

    def close_view(self) -> None:
        self._pair = None
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close_view()
        else:
            super().keyPressEvent(event)

    @staticmethod
    def _value(words: str, *, is_best: bool) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(5))
        row.addWidget(PlainLabel(words, "number", "text" if is_best else "muted" if words == UNKNOWN else "text2"))
        if is_best:
            row.addWidget(IconLabel("check-circle", "good", 12))
            holder.setAccessibleName(f"{words}, better")
        row.addStretch(1)
        return holder


def better(attribute: str, left, right) -> int | None:
    """0 or 1, which of the two is better; None where neither is, or one is not known."""
    sign = _BETTER.get(attribute, 0)
    if not sign or left is None or right is None or left == right:
        return None
    return int(sign * right > sign * left)
