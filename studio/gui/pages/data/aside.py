"""The list of files that were set aside."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QFrame, QListView, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.core.path_text import shown
from studio.gui.pages.data.row_ground import paint_row_ground
from studio.gui.theme import colour, font, px
from studio.gui.widgets.label import plain_tooltip


class SetAsideList(QListView):
    """Files that cannot be used, each with its reason."""

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName("Files set aside")
        self._model = _AsideModel(self)
        self.setModel(self._model)
        self.setItemDelegate(_AsideDelegate(self))
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def set_files(self, files) -> None:
        """dataset.SetAside rows."""
        self._model.set_files(files)


class _AsideModel(QAbstractListModel):
    def __init__(self, parent):
        super().__init__(parent)
        self.files: tuple = ()

    def set_files(self, files) -> None:
        self.beginResetModel()
        self.files = tuple(files)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.files)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        file = self.files[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{shown(file.id)}: {file.reason}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(f"{shown(file.id)}\n{file.reason}")
        return None


class _AsideDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(px(200), px(26))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        file = index.model().files[index.row()]
        rect = QRectF(option.rect).adjusted(0, 1, -px(8), -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row_ground(painter, rect, option, self.parent().hasFocus())
        style = font("label")
        metrics = QFontMetrics(style)
        painter.setFont(style)
        half = rect.width() * 0.45
        painter.setPen(colour("text"))
        name = metrics.elidedText(shown(file.id), Qt.TextElideMode.ElideMiddle, int(half - px(12)))
        painter.drawText(rect.adjusted(px(6), 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), name)
        painter.setPen(colour("text2"))
        reason = metrics.elidedText(file.reason, Qt.TextElideMode.ElideRight, int(rect.width() - half - px(6)))
        painter.drawText(rect.adjusted(half, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), reason)
        painter.restore()
