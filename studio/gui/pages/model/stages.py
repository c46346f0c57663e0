"""The stages as a table: the same facts and the same freeze line as the strip, for the keyboard and for reading."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPainterPath
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from studio.gui.icon import paint_icon
from studio.gui.pages.model.network import Network
from studio.gui.pages.thaw_plan import Epoch, num_frozen_before, thaw_words
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import format_number, plain_tooltip
from studio.gui.wording import parameters

_COLUMNS = ("Stage", "State", "Trains from", "Parameters", "Output", "LR ×")
_HELP = (
    "",
    "Frozen stages keep their weights, and their batch normalisation keeps its statistics",
    "From which epoch it trains; the Schedule page sets it",
    "",
    "Shape of what the stage gives for one image",
    "Learning rate as a share of the head’s",
)
_IS_NUMBER = (False, False, False, True, True, True)


class StageModel(QAbstractTableModel):
    """Stages in execution order, the head last. UserRole says "frozen" or "trains"."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.network = Network(())
        self._epochs: Sequence[Epoch] = ()
        self._factors: Sequence[float] = ()

    @property
    def boundary(self) -> int:
        """How many stages at the beginning never train."""
        return num_frozen_before(self._epochs)

    def set_network(self, network: Network, epochs: Sequence[Epoch], factors: Sequence[float]) -> None:
        """Of all stages: the epoch from which each trains (0 from the start, None never), and the rate multipliers."""
        if network == self.network:
            self._epochs, self._factors = epochs, factors
            if network.stages:
                self.dataChanged.emit(self.index(0, 0), self.index(len(network.stages) - 1, len(_COLUMNS) - 1))
            return
        self.beginResetModel()
        self.network, self._epochs, self._factors = network, epochs, factors
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.network.stages)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row, column = index.row(), index.column()
        stage, epoch = self.network.stages[row], self._epochs[row]
        is_frozen = epoch is None
        when = "never" if is_frozen else f"epoch {epoch:,}" if epoch else "start"
        match role:
            case Qt.ItemDataRole.DisplayRole:
                name = "Head (new)" if row == len(self.network.stages) - 1 else stage.title
                factor = "–" if is_frozen else format_number(float(f"{self._factors[row]:.2g}"))
                return (name, "frozen" if is_frozen else "trains", when, parameters(stage.num_parameters), stage.shape_words, factor)[
                    column
                ]
            case Qt.ItemDataRole.UserRole:
                return "frozen" if is_frozen else "trains"
            case Qt.ItemDataRole.TextAlignmentRole:
                return (Qt.AlignmentFlag.AlignRight if _IS_NUMBER[column] else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.ToolTipRole:
                norm = "\nIts batch normalisation is fixed too." if is_frozen and stage.has_batch_norm else ""
                blocks = f", {stage.num_blocks} blocks" if stage.num_blocks > 1 else ""
                return plain_tooltip(
                    f"{stage.title}{blocks}: {'frozen' if is_frozen else f'trains {thaw_words(epoch)}'}.{norm}\nF or a click on the switch changes it."
                )
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        if role == Qt.ItemDataRole.ToolTipRole and _HELP[section]:
            return plain_tooltip(_HELP[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return (Qt.AlignmentFlag.AlignRight if _IS_NUMBER[section] else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        return None


class _StageDelegate(QStyledItemDelegate):
    """Draws the frozen/trains switch; a click on a half of it asks for that state."""

    wanted = Signal(int, bool)  # row, should it train

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), px(25))

    def _switch(self, rect) -> QRectF:
        return QRectF(rect.left() + px(6) + 0.5, rect.center().y() - px(8) + 0.5, px(46), px(17))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_selected:
            painter.fillRect(option.rect, colour("accentWash"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, colour("hover"))
        painter.fillRect(QRectF(option.rect.left(), option.rect.bottom(), option.rect.width(), 1), colour("border"))
        if is_selected and index.column() == 0:
            painter.fillRect(QRectF(option.rect.left(), option.rect.top(), 3, option.rect.height()), colour("accent"))
        if index.column() == 1:
            self._paint_switch(painter, self._switch(option.rect), index.data(Qt.ItemDataRole.UserRole))
        else:
            rect = QRectF(option.rect).adjusted(px(12 if index.column() == 0 else 6), 0, -px(8), 0)
            painter.setFont(font("number" if _IS_NUMBER[index.column()] else "label"))
            painter.setPen(colour("muted" if index.data() in ("–", "unknown", "never") or index.column() == 4 else "text"))
            text = painter.fontMetrics().elidedText(index.data(), Qt.TextElideMode.ElideRight, int(rect.width()))
            painter.drawText(rect, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), text)
        painter.restore()

    def _paint_switch(self, painter: QPainter, rect: QRectF, state: str) -> None:
        path = QPainterPath()
        path.addRoundedRect(rect, rect.height() / 2, rect.height() / 2)
        left = QRectF(rect.left(), rect.top(), rect.width() / 2, rect.height())
        right = left.translated(rect.width() / 2, 0)
        painter.setClipPath(path)
        painter.fillPath(path, colour("field"))
        is_frozen = state == "frozen"
        painter.fillRect(left if is_frozen else right, colour("frozenFill" if is_frozen else "trainsFill"))
        side = px(12)
        for half, name, token in (
            (left, "snowflake", "onFrozen" if is_frozen else "disabled"),
            (right, "flame", "disabled" if is_frozen else "onTrains"),
        ):
            middle = half.center()
            paint_icon(painter, QRect(round(middle.x() - side / 2), round(middle.y() - side / 2), side, side), name, token)
        painter.setClipping(False)
        painter.setPen(pen("frozenEdge" if is_frozen else "trainsEdge"))
        painter.drawPath(path)

    def editorEvent(self, event: QEvent, model, option: QStyleOptionViewItem, index: QModelIndex) -> bool:
        if index.column() == 1 and isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease:
            switch = self._switch(option.rect)
            if switch.adjusted(-4, -5, 4, 5).contains(event.position()):
                self.wanted.emit(index.row(), event.position().x() >= switch.center().x())
                return True
        return super().editorEvent(event, model, option, index)


class StageTable(QTableView):
    """`boundary_wanted` asks for another freeze line; F, Space and Enter switch the current row."""

    boundary_wanted = Signal(int)
    stage_selected = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("model.stages")
        self.setAccessibleName("Stages. F freezes or trains one")
        self.stages = StageModel(self)
        self.setModel(self.stages)
        delegate = _StageDelegate(self)
        delegate.wanted.connect(self._on_state_wanted)
        self.setItemDelegate(delegate)
        self.setShowGrid(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(px(25))
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 66), (2, 86), (3, 84), (4, 96), (5, 58)):
            self.setColumnWidth(column, px(width))
        self.selectionModel().currentRowChanged.connect(lambda now, _: self.stage_selected.emit(now.row()) if now.isValid() else None)

    def select(self, row: int) -> None:
        if 0 <= row < self.stages.rowCount() and row != self.currentIndex().row():
            self.setCurrentIndex(self.stages.index(row, 0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.currentIndex().row()
        if event.key() in (Qt.Key.Key_F, Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and row >= 0:
            self._on_state_wanted(row, row < self.stages.boundary)
        else:
            super().keyPressEvent(event)

    def _on_state_wanted(self, row: int, should_train: bool) -> None:
        """A stage that trains takes all after it along, a frozen one all before it. The head always trains."""
        is_training = row >= self.stages.boundary
        if row < self.stages.network.num_backbone_stages and should_train != is_training:
            self.boundary_wanted.emit(row if should_train else row + 1)
