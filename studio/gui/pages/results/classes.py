"""Precision, recall, F1 and the best threshold of every class, sortable."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QStyle, QStyledItemDelegate, QTableView, QWidget

from studio.core.path_text import shown
from studio.core.words import confidence_text
from studio.gui.pages.results.scores import ClassScore, Scores
from studio.gui.sureness import Sureness
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import plain_tooltip
from studio.gui.widgets.sort_header import SortHeader

COLUMNS = ("Class", "Precision", "Recall", "F1", "From", "Images")
THRESHOLD = 4
_WIDEST = ("", "0.000", "0.000", "0.000", "99.9 %", "1,000")  # what a column of figures holds whole
_CLASS_PX = 48  # where six columns stand side by side
_SIDE_PX = 3
HELP = (
    "Class", "Precision: share of the images called so that truly are", "Recall: share of the images of the class that were found",
    "F1: harmonic mean of precision and recall", "The probability from which on this class against the rest has the best F1", "Validation images of the class",
)  # fmt: skip


class ClassModel(QAbstractTableModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.rows: tuple[ClassScore, ...] = ()
        self._sureness: Sureness | None = None

    def set_scores(self, scores: Scores | None, sureness: Sureness | None = None) -> None:
        self.beginResetModel()
        self._sureness = sureness
        self.rows = scores.per_class if scores else ()
        self.endResetModel()

    def values(self, row: int) -> tuple:
        r = self.rows[row]
        threshold = float(self._sureness.thresholds_C[row]) if self._sureness and r.support else -1.0
        return (r.name, r.precision, r.recall, r.f1, threshold, r.support)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        value = self.values(index.row())[index.column()]
        text = self._text(index.column(), value)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return text
            case Qt.ItemDataRole.UserRole:
                return value
            case Qt.ItemDataRole.ToolTipRole:
                name = shown(self.rows[index.row()].name)
                return plain_tooltip(name if index.column() == 0 else f"{name}\n{HELP[index.column()]}: {text}{self._more(index)}")
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{COLUMNS[index.column()]} {text}"
        return None

    def _text(self, column: int, value: str | int | float) -> str:
        if column == THRESHOLD:
            return confidence_text(value) if value >= 0 else "–"
        return shown(value) if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"

    def _more(self, index: QModelIndex) -> str:
        """What F1 is at the threshold."""
        threshold = self.values(index.row())[THRESHOLD]
        if index.column() not in (3, THRESHOLD) or not threshold >= 0:
            return ""
        at = "" if index.column() == THRESHOLD else f"The class against the rest: best from {confidence_text(threshold)} on. "
        return f"\n{at}F1 is {self._sureness.threshold_f1_C[index.row()]:.3f} there, on the images it was chosen by."

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            case Qt.ItemDataRole.ToolTipRole:
                return HELP[section]
            case Qt.ItemDataRole.TextAlignmentRole:
                return (Qt.AlignmentFlag.AlignLeft if section == 0 else Qt.AlignmentFlag.AlignRight) | Qt.AlignmentFlag.AlignVCenter
        return None


class ClassTable(QTableView):
    """Enter or a double-click on a class shows its mistakes."""

    class_chosen = Signal(int)  # class index

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.source = ClassModel(self)
        proxy = QSortFilterProxyModel(self)
        proxy.setSourceModel(self.source)
        proxy.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(proxy)
        self.setObjectName("results.classes")
        self.setAccessibleName("Scores per class")
        self.setItemDelegate(_Bar(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(px(26))
        header = SortHeader(self, _SIDE_PX)
        self.setHorizontalHeader(header)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(px(30))
        self.setSortingEnabled(True)
        self.sortByColumn(3, Qt.SortOrder.AscendingOrder)
        header.sortIndicatorChanged.connect(self._fit_columns)
        self.doubleClicked.connect(self._choose)

    def set_scores(self, scores: Scores | None, sureness: Sureness | None = None) -> None:
        self.source.set_scores(scores, sureness)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """No title and no figure is cut: what is left goes to all alike. Where six columns are too many, the threshold stands in the tooltip of F1 alone."""
        header, room = self.horizontalHeader(), self.viewport().width()
        titles, figures = QFontMetrics(font("caption")), QFontMetrics(font("number"))
        least = {0: px(_CLASS_PX)}
        for column in range(1, len(COLUMNS)):
            words = max(titles.horizontalAdvance(COLUMNS[column]), figures.horizontalAdvance(_WIDEST[column]))
            least[column] = words + 2 * px(_SIDE_PX) + 1
        is_cut = sum(least.values()) > room
        self.setColumnHidden(THRESHOLD, is_cut)
        if is_cut:
            del least[THRESHOLD]
        if (sorted_by := header.sortIndicatorSection()) in least and sorted_by:
            title = titles.horizontalAdvance(COLUMNS[sorted_by]) + header.arrow_px + 2 * px(_SIDE_PX) + 1
            least[sorted_by] = max(least[sorted_by], title)
        more, rest = divmod(room - sum(least.values()), len(least))
        if more < 0:  # names of classes have tooltips
            more, rest = 0, room - sum(least.values())
        for column, width in least.items():
            header.resizeSection(column, width + more + (rest if column == 0 else 0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self._choose(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _choose(self, index: QModelIndex) -> None:
        self.class_chosen.emit(self.model().mapToSource(index).row())


class _Bar(QStyledItemDelegate):
    """Figures over a thin bar of their size."""

    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        rect, column = option.rect, index.column()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, colour("accentWash"))
        painter.setPen(pen("border"))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        box = rect.adjusted(px(_SIDE_PX), 0, -px(_SIDE_PX), 0)
        value = index.data(Qt.ItemDataRole.UserRole)
        if 1 <= column <= 3:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("border2"))
            track = QRectF(box.left(), box.bottom() - 5, box.width(), 3)
            painter.drawRoundedRect(track, 1.5, 1.5)
            painter.setBrush(colour("accent" if value >= 0.5 else "warnDot"))
            painter.drawRoundedRect(QRectF(track.left(), track.top(), max(2.0, track.width() * value), 3), 1.5, 1.5)
            box = box.adjusted(0, 0, 0, -3)
        painter.setFont(font("label" if column == 0 else "number"))
        painter.setPen(colour("text" if column in (0, 3) else "text2"))
        align = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        words = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, int(align | Qt.AlignmentFlag.AlignVCenter), words)
        if option.state & QStyle.StateFlag.State_HasFocus and self.parent().hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 4, 4)
        painter.restore()
