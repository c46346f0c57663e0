"""The layer tree: every stage, block, layer and parameter with its state; the same plan as the strip, for the keyboard and for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTreeView, QWidget

from studio.core.words import format_number
from studio.gui.pages.model.layers import LayerPlan, LayerTree, Node
from studio.gui.pages.model.tree_paint import LayerDelegate
from studio.gui.pages.schedule.thaw_plan import Epoch, thaw_words
from studio.gui.theme import colour, font, px
from studio.gui.widgets import plain_tooltip
from studio.gui.wording import count, parameters

LAYER, STATE, PARAMETERS, OUTPUT, RATE, THAW, NORM = range(7)
_COLUMNS = (
    ("Layer", "", False, 0),
    ("State", "Frozen parts keep their weights; dropout and drop-path in them are off. F or a click on the switch changes it", False, 60),
    ("Parameters", "", True, 76),
    ("Output", "Shape of what it gives for one image; of a parameter, its own", True, 88),
    ("LR ×", "Learning rate as a share of the head’s. L or a double-click edits it", True, 48),
    ("Trains from", "From the start, from an epoch, or never. T or a double-click edits it", False, 78),
    ("Norm", "What batch normalisation does with its mean and variance. B or a click changes it", False, 54),
)
NORM_MODES = {
    "keep": ("Keep", "The stored mean and variance stay. Safe with small batches, and where the images are like those of the pretraining."),
    "adapt": ("Adapt", "Mean and variance follow your images, the weights stay. For images that look different: arXiv 1603.04779."),
    "train": ("Train", "Mean and variance follow your images, and its scale and shift train. Needs batches of 16 or more."),
}


@dataclass(frozen=True)
class _Item:
    node: Node
    parent: int  # index of the item above; -1 for a stage
    row: int
    stage: int
    children: tuple[int, ...]


class LayerModel(QAbstractItemModel):
    """Stages at the top, their nodes below. UserRole gives "frozen", "trains", "later" or "mixed"."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.plan: LayerPlan | None = None
        self._factors: Sequence[float] = ()
        self._num_epochs = 1
        self._items: list[_Item] = []
        self._tops: tuple[int, ...] = ()
        self._tree: LayerTree | None = None

    def set_plan(self, plan: LayerPlan, factors: Sequence[float], num_epochs: int) -> bool:
        """The tree under a draft; `factors` are the stages' rate multipliers. True when the tree itself is another one."""
        self.plan, self._factors, self._num_epochs = plan, tuple(factors), num_epochs
        if plan.tree is self._tree:
            if self._items:
                self._refresh(QModelIndex())
            return False
        self.beginResetModel()
        self._tree, self._items = plan.tree, []
        self._tops = tuple(self._add(stage, -1, i, i) for i, stage in enumerate(plan.tree.stages))
        self.endResetModel()
        return True

    def _add(self, node: Node, parent: int, row: int, stage: int) -> int:
        number = len(self._items)
        self._items.append(_Item(node, parent, row, stage, ()))
        children = tuple(self._add(child, number, i, stage) for i, child in enumerate(node.children))
        self._items[number] = _Item(node, parent, row, stage, children)
        return number

    def _refresh(self, parent: QModelIndex) -> None:
        rows = self.rowCount(parent)
        if rows:
            self.dataChanged.emit(self.index(0, 0, parent), self.index(rows - 1, NORM, parent))
            for row in range(rows):
                self._refresh(self.index(row, 0, parent))

    # where things are

    def item(self, index: QModelIndex) -> _Item:
        return self._items[index.internalId()]

    def node(self, index: QModelIndex) -> Node:
        return self.item(index).node

    def stage_index(self, stage: int) -> QModelIndex:
        return self.index(stage, 0, QModelIndex())

    def index_of(self, name: str) -> QModelIndex:
        number = next((i for i, item in enumerate(self._items) if item.node.name == name), -1)
        return self.createIndex(self._items[number].row, 0, number) if number >= 0 else QModelIndex()

    def index(self, row: int, column: int, parent: QModelIndex = QModelIndex()) -> QModelIndex:  # noqa: B008 - Qt's signature
        numbers = self.item(parent).children if parent.isValid() else self._tops
        return self.createIndex(row, column, numbers[row]) if 0 <= row < len(numbers) and 0 <= column <= NORM else QModelIndex()

    def parent(self, index: QModelIndex) -> QModelIndex:
        above = self.item(index).parent if index.isValid() else -1
        return self.createIndex(self._items[above].row, 0, above) if above >= 0 else QModelIndex()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        if parent.isValid() and parent.column():
            return 0
        return len(self.item(parent).children if parent.isValid() else self._tops)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return NORM + 1

    def is_stage(self, index: QModelIndex) -> bool:
        return index.isValid() and self.item(index).parent < 0

    def is_head(self, index: QModelIndex) -> bool:
        return self.item(index).stage == len(self._tops) - 1

    # what stands there

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self.is_stage(index) and not self.is_head(index) and index.column() in (RATE, THAW):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def epoch(self, index: QModelIndex) -> Epoch:
        return self.plan.state(self.node(index)).epoch

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        item = self.item(index)
        state = self.plan.state(item.node)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._words(index, item)
            case Qt.ItemDataRole.EditRole:
                return _epoch_words(self.epoch(index)) if index.column() == THAW else self._words(index, item)
            case Qt.ItemDataRole.UserRole:
                return state.word
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if _COLUMNS[index.column()][2] else Qt.AlignmentFlag.AlignLeft
                return side | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(self._tip(index, item))
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{_COLUMNS[index.column()][0]} {state.word if index.column() == STATE else self._words(index, item) or 'none'}"
        return None

    def _words(self, index: QModelIndex, item: _Item) -> str:
        node, is_stage = item.node, item.parent < 0
        state = self.plan.state(node)
        match index.column():
            case 0:
                return ("Head (new)" if self.is_head(index) else node.label[:1].upper() + node.label[1:]) if is_stage else node.label
            case 1:
                return state.word
            case 2:
                return parameters(node.num_parameters) if node.num_parameters else "–"
            case 3:
                return node.shape_words or ""
            case 4:
                never = state.epoch is None and not state.is_mixed
                return "–" if never or item.stage >= len(self._factors) else format_number(float(f"{self._factors[item.stage]:.2g}"))
            case 5:
                return "mixed" if state.is_mixed else _epoch_words(state.epoch)
        has_norm = is_stage and node.has_batch_norm and not self.is_head(index)
        return self.plan.norm_mode(item.stage) if has_norm else "–" if is_stage else ""

    def _tip(self, index: QModelIndex, item: _Item) -> str:
        node = item.node
        state = self.plan.state(node)
        if index.column() == NORM and item.parent < 0:
            return norm_words(self.plan, item.stage)
        kind = f"{node.kind}\n" if node.kind else ""
        what = (
            "Parts of it are frozen, others train."
            if state.is_mixed
            else "Frozen: it never trains."
            if state.epoch is None
            else f"Trains {thaw_words(state.epoch)}."
        )
        return f"{node.name}\n{kind}{what}{drop_words(self.plan, node)}\nF or a click on the switch changes it."

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation != Qt.Orientation.Horizontal:
            return None
        title, help_, is_number, _ = _COLUMNS[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return title
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(help_) if help_ else None
            case Qt.ItemDataRole.TextAlignmentRole:
                return (Qt.AlignmentFlag.AlignRight if is_number else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        return None

    @property
    def num_epochs(self) -> int:
        return self._num_epochs


class LayerTreeView(QTreeView):
    """Wishes go out as signals; the page turns them into one undo step each. F, Space: freeze or train what is selected."""

    state_wanted = Signal(object, bool)  # list[Node], should they train
    rate_wanted = Signal(int, object)  # stage, factor; None takes LR by depth
    epoch_wanted = Signal(int, object)  # stage, Epoch
    norm_wanted = Signal(int, str)  # stage, keep | adapt | train; "" by itself
    stage_selected = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("model.layers")
        self.setAccessibleName("Layers. F freezes or trains, L edits the rate, T the epoch, B the batch norm")
        self._opened_by_search: list[str] = []
        self.hint = ""  # what stands there while there are no layers
        self.layers = LayerModel(self)
        self.setModel(self.layers)
        delegate = LayerDelegate(self)
        delegate.state_wanted.connect(self._on_switch)
        delegate.norm_clicked.connect(lambda index: self.open_norm_menu(index))
        delegate.committed.connect(self._on_committed)
        self.setItemDelegate(delegate)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        self.setUniformRowHeights(True)
        self.setIndentation(px(14))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setExpandsOnDoubleClick(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        header = self.header()
        header.setStretchLastSection(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(px(30))
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, (_, _, _, width) in enumerate(_COLUMNS):
            if width:
                header.resizeSection(column, px(width))
        self.selectionModel().currentRowChanged.connect(
            lambda now, _: self.stage_selected.emit(self.layers.item(now).stage) if now.isValid() else None
        )

    # what is shown

    def set_plan(self, plan: LayerPlan, factors: Sequence[float], num_epochs: int) -> None:
        """What was open and current stays so, also over another tree of the same names."""
        opened = {self.layers.node(i).name for i in self._indices() if self.isExpanded(i)}
        current = self.layers.node(self.currentIndex()).name if self.currentIndex().isValid() else ""
        if self.layers.set_plan(plan, factors, num_epochs):
            for name in opened:
                self.expand(self.layers.index_of(name))
            if current and (index := self.layers.index_of(current)).isValid():
                self.setCurrentIndex(index)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.hint and not self.layers.rowCount():
            painter = QPainter(self.viewport())
            painter.setFont(font("label"))
            painter.setPen(colour("muted"))
            painter.drawText(self.viewport().rect(), int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self.hint)
            painter.end()

    def _indices(self, parent: QModelIndex = QModelIndex()):  # noqa: B008 - an invalid index is the root
        for row in range(self.layers.rowCount(parent)):
            index = self.layers.index(row, 0, parent)
            yield index
            if self.isExpanded(index):
                yield from self._indices(index)

    def select_stage(self, stage: int) -> None:
        index = self.currentIndex()
        if 0 <= stage < self.layers.rowCount() and not (index.isValid() and self.layers.item(index).stage == stage):
            self.setCurrentIndex(self.layers.stage_index(stage))

    def show_only(self, names: set[str] | None) -> None:
        """Hide what is neither one of these nodes, above one, nor below one; None shows all again. What this opened, it closes."""
        for name in self._opened_by_search:
            self.collapse(self.layers.index_of(name))
        self._opened_by_search = []

        def apply(parent: QModelIndex, is_below: bool) -> bool:
            any_shown = False
            for row in range(self.layers.rowCount(parent)):
                index = self.layers.index(row, 0, parent)
                hit = is_below or names is None or self.layers.node(index).name in names
                keep = apply(index, hit) or hit
                self.setRowHidden(row, parent, not keep)
                if names and keep and not hit and not self.isExpanded(index):
                    self.expand(index)
                    self._opened_by_search.append(self.layers.node(index).name)
                any_shown |= keep
            return any_shown

        apply(QModelIndex(), False)

    # the hand

    def selected_nodes(self) -> list[Node]:
        return [self.layers.node(index) for index in self.selectionModel().selectedRows()]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        if not index.isValid():
            super().keyPressEvent(event)
            return
        match event.key():
            case Qt.Key.Key_F | Qt.Key.Key_Space:
                self.toggle_selected()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self.state() != QAbstractItemView.State.EditingState:
                self.setExpanded(index.siblingAtColumn(0), not self.isExpanded(index.siblingAtColumn(0)))
            case Qt.Key.Key_L:
                self._edit(RATE)
            case Qt.Key.Key_T:
                self._edit(THAW)
            case Qt.Key.Key_B:
                self.open_norm_menu(index)
            case _:
                super().keyPressEvent(event)

    def toggle_selected(self) -> None:
        """What is frozen or mixed trains, what trains or will train freezes."""
        nodes = self.selected_nodes()
        if nodes:
            words = {self.layers.plan.state(node).word for node in nodes}
            self.state_wanted.emit(nodes, bool(words & {"frozen", "mixed"}))

    def _edit(self, column: int) -> None:
        """Of the stage of the current row."""
        index = self.layers.index(self.layers.item(self.currentIndex()).stage, column)
        if self.layers.flags(index) & Qt.ItemFlag.ItemIsEditable:
            self.edit(index)

    def _on_switch(self, index: QModelIndex, should_train: bool) -> None:
        nodes = self.selected_nodes()
        node = self.layers.node(index)
        self.state_wanted.emit(nodes if node in nodes else [node], should_train)

    def _on_committed(self, index: QModelIndex, value: object) -> None:
        stage = self.layers.item(index).stage
        (self.rate_wanted if index.column() == RATE else self.epoch_wanted).emit(stage, value)

    # menus

    def open_norm_menu(self, index: QModelIndex) -> None:
        item = self.layers.item(index)
        if item.node.has_batch_norm or self.layers.node(self.layers.stage_index(item.stage)).has_batch_norm:
            place = self.visualRect(self.layers.index(item.stage, NORM)).bottomLeft()
            self.norm_menu(item.stage).popup(self.viewport().mapToGlobal(place))

    def norm_menu(self, stage: int) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        self._fill_norm_menu(menu, stage)
        return menu

    def _fill_norm_menu(self, menu: QMenu, stage: int) -> None:
        plan = self.layers.plan
        for key, (title, help_) in NORM_MODES.items():
            action = menu.addAction(f"{title}: {help_.partition('. ')[0].rstrip('.')}", lambda key=key: self.norm_wanted.emit(stage, key))
            action.setToolTip(plain_tooltip(help_))
            action.setCheckable(True)
            action.setChecked(plan.norm_mode(stage) == key)
        menu.addSeparator()
        by_itself = menu.addAction("By itself: keep while frozen, train when it trains", lambda: self.norm_wanted.emit(stage, ""))
        by_itself.setCheckable(True)
        by_itself.setChecked(plan.names[stage] not in plan.model.batch_norm)

    def _on_menu_requested(self, at: QPoint) -> None:
        index = self.indexAt(at)
        index = index if index.isValid() else self.currentIndex()
        if index.isValid():
            self.row_menu(index).popup(self.viewport().mapToGlobal(at))

    def row_menu(self, index: QModelIndex) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        nodes = self.selected_nodes() or [self.layers.node(index)]
        menu.addAction("Freeze", lambda: self.state_wanted.emit(nodes, False))
        menu.addAction("Train", lambda: self.state_wanted.emit(nodes, True))
        stage = self.layers.item(index).stage
        if not self.layers.is_head(index):
            menu.addSeparator()
            menu.addAction("Train from an epoch…", lambda: self._edit(THAW))
            menu.addAction("Learning rate…", lambda: self._edit(RATE))
            menu.addAction("Learning rate by depth", lambda: self.rate_wanted.emit(stage, None))
            if self.layers.plan.tree.stages[stage].has_batch_norm:
                self._fill_norm_menu(menu.addMenu("Batch normalisation"), stage)
        return menu


def drop_words(plan: LayerPlan, node: Node) -> str:
    """What its dropout and drop-path do; "" where it has none."""
    if not node.num_drops:
        return ""
    off = plan.num_drops_off(node)
    state = "off, as it is frozen" if off == node.num_drops else f"off where it is frozen: {off}" if off else "on in training"
    return f"\nDropout and drop-path in it ({node.num_drops}) are {state}."


def norm_words(plan: LayerPlan, stage: int) -> str:
    """What a stage's batch norm does and what follows from it."""
    node = plan.tree.stages[stage]
    if not node.has_batch_norm:
        return "It has no batch normalisation."
    mode = plan.norm_mode(stage)
    values = f"{count(node.num_buffers)} running values"
    return f"{NORM_MODES[mode][0]}. {NORM_MODES[mode][1]}\n{values} {'stay' if mode == 'keep' else 'follow your images'}."


def _epoch_words(epoch: Epoch) -> str:
    return "never" if epoch is None else "start" if epoch == 0 else f"epoch {epoch:,}"


def parse_epoch(text: str) -> Epoch:
    """ "never", "start", "3", "epoch 3". ValueError for anything else."""
    words = text.strip().lower().removeprefix("epoch").replace(",", "").strip()
    if words in ("never", "-1", "−1"):
        return None
    if words in ("start", "from the start", ""):
        return 0
    epoch = int(words)
    if not 0 <= epoch <= 10_000:
        raise ValueError(words)
    return epoch
