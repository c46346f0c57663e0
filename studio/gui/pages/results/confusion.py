"""The confusion matrix: rows are true classes, columns what they were called. A cell filters the mistakes."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.gui.pages.results.confusion_model import MANY, ConfusionModel, cell_colour, readable_on
from studio.gui.pages.results.confusion_picture import ConfusionPicture
from studio.gui.pages.results.scores import Scores
from studio.gui.theme import colour, font, pen, px

_NAMES_PX = 84  # at most


class ConfusionMatrix(QWidget):
    """Arrow keys move, Enter or a click chooses a cell, Escape takes the choice back."""

    cell_chosen = Signal(object)  # (true class, predicted class) or None

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.model = ConfusionModel(self)
        self.table = _Table(self.model)
        self.names = _ColumnNames(self.table)
        self.picture = ConfusionPicture(self.model)
        grid = QWidget()
        column = QVBoxLayout(grid)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.table)
        column.addWidget(self.names)
        column.addStretch(1)
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.addWidget(grid)
        self._stack.addWidget(self.picture)
        self.table.chosen.connect(self._on_chosen)
        self.picture.chosen.connect(self._on_chosen)
        self.setMinimumSize(px(200), px(120))

    def set_scores(self, scores: Scores | None) -> None:
        self.model.set_scores(scores)
        is_large = len(self.model.classes) > MANY
        self._stack.setCurrentIndex(int(is_large))
        self.picture.refresh()
        self.table.chosen_cell = self.picture.chosen_cell = None
        self._fit()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """The table is as high as its rows, so that the names stand right under the last one."""
        self.names.fit()
        self.table.fit(self.width(), self.height() - self.names.height())
        self.names.update()

    def set_share(self, is_share: bool) -> None:
        self.model.set_share(is_share)

    def _on_chosen(self, place: tuple[int, int] | None) -> None:
        """From rows and columns to classes."""
        classes = self.model.scores.confused_classes
        self.cell_chosen.emit(place and (classes[place[0]], classes[place[1]]))

    def choose(self, cell: tuple[int, int] | None) -> None:
        """Show a cell, by its classes, as the chosen one, without a signal."""
        if cell is not None:
            classes = self.model.scores.confused_classes
            cell = (classes.index(cell[0]), classes.index(cell[1])) if {*cell} <= {*classes} else None
        self.table.chosen_cell = cell
        self.picture.chosen_cell = cell
        if cell is not None:
            self.table.setCurrentIndex(self.model.index(*cell))
        self.table.viewport().update()
        self.names.update()
        self.picture.update()


class _Table(QTableView):
    chosen = Signal(object)
    fitted = Signal()

    def __init__(self, model: ConfusionModel):
        super().__init__()
        self.setModel(model)
        self.chosen_cell: tuple[int, int] | None = None
        self.setObjectName("results.confusion")
        self.setAccessibleName("Confusion matrix: rows are true classes, columns what they were called")
        self.setItemDelegate(_Cell(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.horizontalHeader().hide()
        self.setVerticalHeader(_RowNames(self))
        for header in (self.horizontalHeader(), self.verticalHeader()):
            header.setMinimumSectionSize(1)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.clicked.connect(lambda index: self._toggle(index))
        self.horizontalScrollBar().valueChanged.connect(lambda _: self.fitted.emit())

    def fit(self, width: int, height: int) -> None:
        """Cells share the room that names leave; where they would get too small for figures, the matrix scrolls."""
        n = self.model().rowCount()
        if not n:
            return
        metrics = QFontMetrics(font("strong"))
        longest = max(metrics.horizontalAdvance(self.model().headerData(i, Qt.Orientation.Vertical)) for i in range(n))
        names = min(px(_NAMES_PX), longest + px(16))
        room_x, room_y = width - names - 2, height - 2
        row = max(px(17), min(px(52), room_y // n))
        self.horizontalHeader().setDefaultSectionSize(max(px(20), min(px(72), room_x // n)))
        self.verticalHeader().setDefaultSectionSize(row)
        self.verticalHeader().setFixedWidth(names)
        self.setFixedHeight(max(px(40), min(n * row + 2, height)))
        self.fitted.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.currentIndex().isValid():
            self._toggle(self.currentIndex())
        elif event.key() == Qt.Key.Key_Escape and self.chosen_cell is not None:
            self.chosen.emit(None)
        else:
            super().keyPressEvent(event)
            self.fitted.emit()

    def _toggle(self, index: QModelIndex) -> None:
        cell = (index.row(), index.column())
        self.chosen.emit(None if cell == self.chosen_cell else cell)


class _RowNames(QHeaderView):
    """True classes, right-aligned; the row of the chosen cell is bold."""

    def __init__(self, table: _Table):
        super().__init__(Qt.Orientation.Vertical, table)
        self.setSectionsClickable(False)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        table: _Table = self.parent()
        is_chosen = table.chosen_cell is not None and table.chosen_cell[0] == section
        painter.save()
        painter.setFont(font("strong" if is_chosen else "label"))
        painter.setPen(colour("text" if is_chosen else "text2"))
        words = QFontMetrics(painter.font()).elidedText(
            table.model().headerData(section, Qt.Orientation.Vertical), Qt.TextElideMode.ElideRight, rect.width() - px(8)
        )
        painter.drawText(rect.adjusted(0, 0, -px(6), 0), int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), words)
        painter.restore()


class _ColumnNames(QWidget):
    """What they were called, slanted under the columns."""

    def __init__(self, table: _Table):
        super().__init__()
        self._table = table
        table.fitted.connect(self.update)

    def fit(self) -> None:
        metrics = QFontMetrics(font("label"))
        model = self._table.model()
        names = [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]
        longest = max((metrics.horizontalAdvance(n) for n in names), default=0)
        self.setFixedHeight(min(px(64), int(longest * 0.6) + px(16)))

    def paintEvent(self, event: QPaintEvent) -> None:
        table, painter = self._table, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        model = table.model()
        left = table.verticalHeader().width()
        painter.setClipRect(0, 0, self.width(), self.height())
        for i in range(model.columnCount()):
            x = left + table.columnViewportPosition(i) + table.columnWidth(i) / 2
            if x < left or x > self.width():
                continue
            is_chosen = table.chosen_cell is not None and table.chosen_cell[1] == i
            painter.setFont(font("strong" if is_chosen else "label"))
            painter.setPen(colour("text" if is_chosen else "text2"))
            metrics = painter.fontMetrics()
            room = int((self.height() - px(8)) / 0.6)
            words = metrics.elidedText(model.headerData(i, Qt.Orientation.Horizontal), Qt.TextElideMode.ElideRight, room)
            painter.save()
            painter.translate(QPointF(x + px(4), px(6)))
            painter.rotate(-36)
            painter.drawText(QPointF(-metrics.horizontalAdvance(words), metrics.ascent() / 2), words)
            painter.restore()
        painter.end()


class _Cell(QStyledItemDelegate):
    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        table: _Table = self.parent()
        model: ConfusionModel = index.model()
        row, column = index.row(), index.column()
        box = QRectF(option.rect).adjusted(1, 1, -1, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(cell_colour(model, row, column) or colour("plot"))
        painter.drawRoundedRect(box, 3, 3)
        text = index.data(Qt.ItemDataRole.DisplayRole)
        if text:
            painter.setFont(font("tick"))
            if QFontMetrics(painter.font()).horizontalAdvance(text) <= box.width():
                painter.setPen(readable_on(cell_colour(model, row, column)))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        is_chosen = table.chosen_cell == (row, column)
        has_focus = bool(option.state & QStyle.StateFlag.State_HasFocus) and table.hasFocus()
        if is_chosen or has_focus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus" if has_focus else "accent", 2))
            painter.drawRoundedRect(box, 3, 3)
        painter.restore()
