"""The confusion matrix: rows are true classes, columns what they were called. A cell filters the mistakes."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
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

from studio.core.path_text import shown
from studio.gui.pages.results_scores import Scores
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import plain_tooltip, set_plain_tooltip
from studio.gui.wording import counted, percent

MANY = 40  # classes above which cells are too small for figures: one picture, zoomed with the wheel
_NAMES_PX = 84


class ConfusionModel(QAbstractTableModel):
    """int64[C, C]; shares are of the row: of all images of the true class."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.scores: Scores | None = None
        self.is_share = False
        self._sums = np.empty(0)

    def set_scores(self, scores: Scores | None) -> None:
        self.beginResetModel()
        self.scores = scores
        self._sums = scores.confusion.sum(axis=1) if scores else np.empty(0)
        self.endResetModel()

    def set_share(self, is_share: bool) -> None:
        self.is_share = is_share
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.scores.classes if self.scores else ()

    def count(self, row: int, column: int) -> int:
        return int(self.scores.confusion[row, column])

    def share(self, row: int, column: int) -> float:
        return self.count(row, column) / self._sums[row] if self._sums[row] else 0.0

    def sentence(self, row: int, column: int) -> str:
        """ "fox called wolf: 7 images, 11 % of 62"."""
        true, called = shown(self.classes[row]), shown(self.classes[column])
        what = f"{true} called {true}, right" if row == column else f"{true} called {called}"
        return f"{what}: {counted(self.count(row, column), 'image')}, {percent(self.share(row, column), 0)} of {self._sums[row]:,}"

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.classes)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.classes)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row, column = index.row(), index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                n = self.count(row, column)
                return "" if not n else f"{self.share(row, column) * 100:.0f}" if self.is_share else str(n)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(self.sentence(row, column))
            case Qt.ItemDataRole.AccessibleTextRole:
                return self.sentence(row, column)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            name = shown(self.classes[section])
            return plain_tooltip(name) if role == Qt.ItemDataRole.ToolTipRole else name
        return None


def cell_colour(model: ConfusionModel, row: int, column: int) -> QColor | None:
    """Accent for right, bad for wrong, stronger for more; None for an empty cell."""
    n = model.count(row, column)
    if not n:
        return None
    if row == column:
        return colour("accent", 0.25 + 0.6 * model.share(row, column))
    off = model.scores.confusion
    most = max(1, int((off - np.diag(np.diag(off))).max()))
    return colour("bad", 0.22 + 0.48 * n / most)


def readable_on(fill: QColor) -> QColor:
    """White or the text colour, whichever stands out more from `fill` over the plot ground."""
    ground, share = colour("plot"), fill.alphaF()
    red, green, blue = (f * share + g * (1 - share) for f, g in zip(fill.getRgbF()[:3], ground.getRgbF()[:3]))

    def luminance(r: float, g: float, b: float) -> float:  # WCAG 2 relative luminance
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (r, g, b)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    under = luminance(red, green, blue)

    def contrast(candidate: QColor) -> float:
        over = luminance(*candidate.getRgbF()[:3])
        return (max(over, under) + 0.05) / (min(over, under) + 0.05)

    return max((colour("text"), colour("onAccent"), colour("window")), key=contrast)


class ConfusionMatrix(QWidget):
    """Arrow keys move, Enter or a click chooses a cell, Escape takes the choice back."""

    cell_chosen = Signal(object)  # (row, column) or None

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.model = ConfusionModel(self)
        self.table = _Table(self.model)
        self.names = _ColumnNames(self.table)
        self.picture = _Picture(self.model)
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
        self.table.chosen.connect(self.cell_chosen)
        self.picture.chosen.connect(self.cell_chosen)
        self.setMinimumSize(px(200), px(120))

    def set_scores(self, scores: Scores | None) -> None:
        self.model.set_scores(scores)
        is_large = scores is not None and len(scores.classes) > MANY
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

    def choose(self, cell: tuple[int, int] | None) -> None:
        """Show a cell as the chosen one, without a signal."""
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
        """Cells share the room; where they would get too small for figures, the matrix scrolls."""
        n = self.model().rowCount()
        if not n:
            return
        room_x, room_y = width - px(_NAMES_PX) - 2, height - 2
        row = max(px(17), min(px(52), room_y // n))
        self.horizontalHeader().setDefaultSectionSize(max(px(20), min(px(72), room_x // n)))
        self.verticalHeader().setDefaultSectionSize(row)
        self.verticalHeader().setFixedWidth(px(_NAMES_PX))
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
        words = QFontMetrics(painter.font()).elidedText(table.model().headerData(section, Qt.Orientation.Vertical), Qt.TextElideMode.ElideRight, rect.width() - px(8))
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


class _Picture(QWidget):
    """Very many classes: one pixel per cell, scaled; the wheel zooms about the pointer, drag moves."""

    chosen = Signal(object)

    def __init__(self, model: ConfusionModel):
        super().__init__()
        self._model = model
        self._image = QImage()
        self._zoom = 1.0
        self._origin = QPointF(0, 0)  # in cells, of the upper left corner
        self._drag: tuple[QPointF, QPointF, bool] | None = None
        self._cursor = (0, 0)
        self.chosen_cell: tuple[int, int] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix of many classes: arrow keys move, Enter chooses a cell")

    def refresh(self) -> None:
        model = self._model
        n = model.rowCount()
        self._zoom, self._origin, self._cursor = 1.0, QPointF(0, 0), (0, 0)
        if n <= MANY:
            self._image = QImage()
            return
        counts = model.scores.confusion
        base, right, wrong = (np.array(colour(t).getRgb()[:3], float) for t in ("plot", "accent", "bad"))
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        off = counts - np.diag(np.diag(counts))
        alpha = np.where(off > 0, 0.3 + 0.7 * off / max(1, off.max()), 0.0)[..., None]
        pixels = base * (1 - alpha) + wrong * alpha
        diagonal = np.arange(n)
        strength = (0.25 + 0.75 * share[diagonal, diagonal])[:, None]
        pixels[diagonal, diagonal] = base * (1 - strength) + right * strength
        content = np.ascontiguousarray(pixels.round().astype(np.uint8))
        self._image = QImage(content.data, n, n, 3 * n, QImage.Format.Format_RGB888).copy()
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.refresh()

    @property
    def _cell(self) -> float:
        n = max(1, self._model.rowCount())
        return min(self.width(), self.height()) / n * self._zoom

    def _at(self, pos: QPointF) -> tuple[int, int] | None:
        n = self._model.rowCount()
        column, row = int(self._origin.x() + pos.x() / self._cell), int(self._origin.y() + pos.y() / self._cell)
        return (row, column) if 0 <= row < n and 0 <= column < n else None

    def wheelEvent(self, event: QWheelEvent) -> None:
        pos, old = event.position(), self._cell
        under = self._origin + pos / old
        n = self._model.rowCount()
        self._zoom = min(max(1.0, n / 8), max(1.0, self._zoom * 1.0015 ** event.angleDelta().y()))
        self._move_to(under - pos / self._cell)
        event.accept()

    def _move_to(self, origin: QPointF) -> None:
        n = self._model.rowCount()
        most_x, most_y = max(0.0, n - self.width() / self._cell), max(0.0, n - self.height() / self._cell)
        self._origin = QPointF(min(most_x, max(0.0, origin.x())), min(most_y, max(0.0, origin.y())))
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag = (event.position(), self._origin, False)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag and event.buttons() & Qt.MouseButton.LeftButton:
            start, origin, moved = self._drag
            delta = event.position() - start
            if moved or delta.manhattanLength() > 4:
                self._drag = (start, origin, True)
                self._move_to(origin - delta / self._cell)
            return
        cell = self._at(event.position())
        set_plain_tooltip(self, self._model.sentence(*cell) if cell else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        cell = self._at(event.position())
        if self._drag and not self._drag[2] and cell:
            self._choose(cell)
        self._drag = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}.get(event.key())
        n = self._model.rowCount()
        if move and n:
            self._cursor = tuple(min(n - 1, max(0, a + b)) for a, b in zip(self._cursor, move))
            self.setAccessibleDescription(self._model.sentence(*self._cursor))
            set_plain_tooltip(self, self._model.sentence(*self._cursor))
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and n:
            self._choose(self._cursor)
        elif event.key() == Qt.Key.Key_Escape and self.chosen_cell is not None:
            self.chosen.emit(None)
        else:
            super().keyPressEvent(event)

    def _choose(self, cell: tuple[int, int]) -> None:
        self._cursor = cell
        self.chosen.emit(None if cell == self.chosen_cell else cell)

    def sizeHint(self) -> QSize:
        return QSize(px(300), px(300))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if not self._image.isNull():
            n, cell = self._image.width(), self._cell
            target = QRectF(-self._origin.x() * cell, -self._origin.y() * cell, n * cell, n * cell)
            painter.drawImage(target, self._image)
            marked = [(self.chosen_cell, "accent")] if self.chosen_cell else []
            if self.hasFocus():
                marked.append((self._cursor, "focus"))
            for (row, column), token in marked:
                painter.setPen(pen(token, 2))
                painter.drawRect(QRectF(target.left() + column * cell, target.top() + row * cell, cell, cell).adjusted(-1, -1, 1, 1))
        painter.end()
