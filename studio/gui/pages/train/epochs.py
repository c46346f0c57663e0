"""The epochs of a run as a table: every validation point in figures."""

from __future__ import annotations

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView, QWidget

from studio.core.event import EpochFinished
from studio.gui.theme import colour, font, px
from studio.gui.wording import clock

COLUMNS = ("Epoch", "Train", "Valid.", "Top-1", "Top-5", "F1", "Time")
HELP = (
    "Epoch; the best has a star", "Train loss, mean over the epoch", "Validation loss", "Validation top-1 accuracy, %", "Validation top-5 accuracy, %; it says nothing of five classes or fewer",
    "Macro F1 on validation images", "Time of the epoch, validation included",
)  # fmt: skip


def cells(epoch: EpochFinished, is_best: bool = False) -> tuple[str, ...]:
    if epoch.validation_top1 is None and not epoch.class_recalls:  # no images are held back
        return f"{epoch.epoch + 1}", _number(epoch.train_loss), "–", "–", "–", "–", clock(epoch.seconds)
    return (
        f"{'★ ' if is_best else ''}{epoch.epoch + 1}", _number(epoch.train_loss), _number(epoch.validation_loss), _number(epoch.validation_top1, 100, 1),
        "–" if epoch.validation_top5 is None else _number(epoch.validation_top5, 100, 1), _number(epoch.macro_f1), clock(epoch.seconds),
    )  # fmt: skip


def _number(value: float | None, factor: float = 1.0, places: int = 3) -> str:
    return "not finite" if value is None else f"{value * factor:.{places}f}"


class _Model(QAbstractTableModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.epochs: tuple[EpochFinished, ...] = ()

    def set_epochs(self, epochs: tuple[EpochFinished, ...]) -> None:
        old = self.epochs
        if epochs is old:
            return
        if len(epochs) > len(old) and epochs[: len(old)] == old:
            self.beginInsertRows(QModelIndex(), 0, len(epochs) - len(old) - 1)
            self.epochs = epochs
            self.endInsertRows()
        elif epochs != old:
            self.beginResetModel()
            self.epochs = epochs
            self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.epochs)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        epoch = self.epochs[len(self.epochs) - 1 - index.row()]  # newest first
        is_best = epoch is next((e for e in reversed(self.epochs) if e.is_best), None)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return cells(epoch, is_best)[index.column()]
            case Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.FontRole:
                return font("number")
            case Qt.ItemDataRole.ForegroundRole:
                return colour("good") if is_best and index.column() == 0 else colour("text2")
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{HELP[index.column()]}: {cells(epoch, is_best)[index.column()]}"
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
                return HELP[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class EpochTable(QTableView):
    """Newest epoch first; the best so far has a star."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.model_ = _Model(self)
        self.setModel(self.model_)
        self.setObjectName("train.epochs")
        self.setAccessibleName("Epochs of this run, newest first")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(px(24))
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setHighlightSections(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)

    def set_epochs(self, epochs: tuple[EpochFinished, ...]) -> None:
        self.model_.set_epochs(epochs)
