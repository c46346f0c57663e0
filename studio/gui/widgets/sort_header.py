"""A table header whose sort arrow never lies on the title."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHeaderView, QWidget

from studio.gui.icon import paint_icon
from studio.gui.theme import colour, font, pen, px

_ARROW_PX, _GAP_PX = 11, 3


class SortHeader(QHeaderView):
    """Horizontal. Titles stand over their values; the arrow of the sorted column is on the free side."""

    def __init__(self, parent: QWidget, side: int = 6):
        """side: room left and right of a title, px."""
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._side = px(side)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setFixedHeight(px(28))

    @property
    def arrow_px(self) -> int:
        """What the arrow takes beside the title."""
        return px(_ARROW_PX) + px(_GAP_PX)

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), px(28))

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        model = self.model()
        text = model.headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.DisplayRole) or ""
        align = Qt.AlignmentFlag(
            model.headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole) or Qt.AlignmentFlag.AlignLeft
        )
        is_right = bool(align & Qt.AlignmentFlag.AlignRight)
        is_sorted = self.isSortIndicatorShown() and self.sortIndicatorSection() == section and bool(text)
        painter.save()
        painter.setPen(pen("border"))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        painter.setFont(font("caption"))
        painter.setPen(colour("text" if is_sorted else "muted"))
        side, gap = px(_ARROW_PX), px(_GAP_PX)
        box = rect.adjusted(self._side, 0, -self._side, 0)
        words = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, box.width() - (side + gap if is_sorted else 0))
        width = painter.fontMetrics().horizontalAdvance(words)
        painter.drawText(
            box, int((Qt.AlignmentFlag.AlignRight if is_right else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter), words
        )
        if is_sorted:
            x = box.right() - width - gap - side if is_right else box.left() + width + gap
            name = "caret-up" if self.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder else "caret-down"
            paint_icon(painter, QRect(x, rect.center().y() - side // 2, side, side), name, "text2")
        painter.restore()
