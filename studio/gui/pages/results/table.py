"""The table of runs: sort, search, star, check for Compare, rename in place."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPolygonF
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from studio.core.outcome import Status
from studio.core.path_text import shown
from studio.core.run_digest import MAX_LOSSES
from studio.gui.icon import paint_icon
from studio.gui.pages.results.notes import tags_to_text
from studio.gui.pages.results.rows import BY_KEY, COLUMNS, RunRow, matches
from studio.gui.run_entry import RunEntry
from studio.gui.theme import colour, font, pen, px, series_pen
from studio.gui.widgets.focus import paint_focus
from studio.gui.widgets.label import plain_tooltip
from studio.gui.widgets.sort_header import SortHeader

ROW_PX = 32
_EDITABLE = ("run", "tags")
_STATUS_TAG = {
    Status.STARTING: ("starting", "trains"), Status.RUNNING: ("live", "trains"), Status.PAUSED: ("paused", "warn"), Status.FAILED: ("failed", "bad"),
    Status.CRASHED: ("crashed", "bad"), Status.STOPPED: ("stopped", "text2"), Status.QUEUED: ("not begun", "text2"),
}  # fmt: skip


class RunsModel(QAbstractTableModel):
    """The runs that fit the search, in order. Edits of names and tags are signals: the page writes them.

    It sorts and searches by itself: a proxy asks Python for every comparison, which takes a second for 10,000 runs; keys take some ms.
    """

    renamed = Signal(object, str)  # RunRow, title
    tagged = Signal(object, str, str)  # RunRow, the tags that stood there before, those now

    def __init__(self, parent=None):
        super().__init__(parent)
        self.rows: list[RunRow] = []  # as shown
        self.checked: set[str] = set()  # folder names
        self.best_name = ""
        self._all: list[RunRow] = []
        self._row_of: dict[RunEntry, int] = {}
        self._query = ""
        self._column, self._order = BY_KEY["run"], Qt.SortOrder.DescendingOrder

    def set_rows(self, rows: list[RunRow]) -> None:
        self._all = rows
        self._arrange()

    def set_query(self, query: str) -> None:
        self._query = query
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._column, self._order = column, order
        self._arrange()

    def row_of(self, entry: RunEntry) -> int | None:
        """Where a run stands; None where the search hides it."""
        return self._row_of.get(entry)

    def _arrange(self) -> None:
        key = COLUMNS[self._column].sort_key
        rows = [row for row in self._all if matches(row, self._query)] if self._query.strip() else self._all
        rows = sorted(rows, key=lambda r: (key(r), r.entry.number), reverse=self._order == Qt.SortOrder.DescendingOrder)
        row_of = {row.entry: i for i, row in enumerate(rows)}
        if row_of == self._row_of:
            self.rows = rows
            self.refresh()
        elif row_of.keys() == self._row_of.keys():  # another order: the chosen run stays the chosen one
            self.layoutAboutToBeChanged.emit()
            old = self.persistentIndexList()
            new = [self.index(row_of[self.rows[index.row()].entry], index.column()) for index in old]
            self.rows, self._row_of = rows, row_of
            self.changePersistentIndexList(old, new)
            self.layoutChanged.emit()
        else:
            self.beginResetModel()
            self.rows, self._row_of = rows, row_of
            self.endResetModel()

    def refresh(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return len(COLUMNS)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        key = COLUMNS[index.column()].key
        if key in _EDITABLE:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.text(row)
            case Qt.ItemDataRole.EditRole:
                return row.name if column.key == "run" else tags_to_text(row.notes.tags)
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(row, column.key, column.text(row))
            case Qt.ItemDataRole.ToolTipRole:
                if column.key == "run":
                    note = f"\n{shown(row.notes.note)}" if row.notes.note else ""
                    return plain_tooltip(f"{shown(row.entry.title)}, {row.entry.status.value}{note}")
                return plain_tooltip(column.help if column.key in ("check", "star") else column.text(row))
        return None

    def _spoken(self, row: RunRow, key: str, text: str) -> str:
        match key:
            case "check":
                return "in Compare" if row.entry.folder.name in self.checked else "not in Compare"
            case "star":
                return "starred" if row.notes.is_starred else "no star"
            case "run":
                best = ", best" if row.entry.folder.name == self.best_name else ""
                return f"{row.name}, {row.entry.status.value}{best}"
            case "spark":
                return (
                    f"validation loss {row.loss:.3f}"
                    if row.loss is not None
                    else "nothing measured"
                    if row.summary.epochs_done
                    else "no epoch yet"
                )
        return f"{COLUMNS[BY_KEY[key]].title} {text}"

    def setData(self, index: QModelIndex, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row, key = self.rows[index.row()], COLUMNS[index.column()].key
        if key == "run":
            self.renamed.emit(row, str(value))
        elif key == "tags":
            self.tagged.emit(row, tags_to_text(row.notes.tags), str(value))  # the row stays as it is while its editor is open
        return True

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.title
            case Qt.ItemDataRole.ToolTipRole:
                return column.help or column.title
            case Qt.ItemDataRole.TextAlignmentRole:
                return (Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
        return None


class RunsTable(QTableView):
    """`chosen_changed` follows the current row; checks and stars are told to the page, which keeps them."""

    chosen_changed = Signal(object)  # RunEntry | None
    check_toggled = Signal(object)  # RunRow
    star_toggled = Signal(object)  # RunRow
    menu_wanted = Signal(object, QPoint)  # RunRow, global position
    opened = Signal(object)  # RunRow: Enter
    delete_wanted = Signal()  # of the chosen run: Delete
    editor_closed = Signal()

    def __init__(self, model: RunsModel, parent: QWidget | None = None):
        super().__init__(parent)
        self.source = model
        self.setModel(model)
        model.modelAboutToBeReset.connect(self._finish_editing)  # which drops the editor
        self.setObjectName("results.runs")
        self.setAccessibleName("Runs")
        self.setItemDelegate(_RowDelegate(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(px(ROW_PX))
        header = SortHeader(self)
        self.setHorizontalHeader(header)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(px(24))
        self.setSortingEnabled(True)
        self.hidden_keys: set[str] = set()
        self.sortByColumn(BY_KEY["run"], Qt.SortOrder.DescendingOrder)
        self.selectionModel().currentRowChanged.connect(lambda *_: self.chosen_changed.emit(self.chosen and self.chosen.entry))

    @property
    def is_editing(self) -> bool:
        return self.state() == QAbstractItemView.State.EditingState

    @property
    def chosen(self) -> RunRow | None:
        index = self.currentIndex()
        return self.source.rows[index.row()] if index.isValid() and index.row() < len(self.source.rows) else None

    def choose(self, entry: RunEntry, *, scroll: bool = True) -> None:
        """Make a run the current one; a search that hides it is cleared by the page."""
        row = self.source.row_of(entry)
        if row is not None:
            at, hold = self.source.index(row, BY_KEY["run"]), self.verticalScrollBar().value()
            self.setCurrentIndex(at)
            if scroll:
                self.scrollTo(at)
            else:
                self.verticalScrollBar().setValue(hold)

    def rename(self) -> None:
        """Begin to edit the name of the current run."""
        index = self.currentIndex()
        if index.isValid():
            if COLUMNS[index.column()].key not in _EDITABLE:
                index = index.siblingAtColumn(BY_KEY["run"])
                self.setCurrentIndex(index)
            self.edit(index)

    def sort_by_next(self) -> None:
        """By the next column in view that has a title, in the same order; after the last one by the first."""
        shown_columns = [i for i, column in enumerate(COLUMNS) if column.title and not self.isColumnHidden(i)]
        header = self.horizontalHeader()
        now = header.sortIndicatorSection()
        self.sortByColumn(next((i for i in shown_columns if i > now), shown_columns[0]), header.sortIndicatorOrder())
        self.scrollTo(self.currentIndex())

    def turn_order(self) -> None:
        header = self.horizontalHeader()
        ascending, descending = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
        self.sortByColumn(header.sortIndicatorSection(), descending if header.sortIndicatorOrder() == ascending else ascending)
        self.scrollTo(self.currentIndex())

    def closeEditor(self, editor: QWidget, hint: QStyledItemDelegate.EndEditHint) -> None:
        super().closeEditor(editor, hint)
        self.editor_closed.emit()

    def _finish_editing(self) -> None:
        if self.is_editing and (editor := self.indexWidget(self.currentIndex())) is not None:
            self.commitData(editor)
            self.closeEditor(editor, QStyledItemDelegate.EndEditHint.NoHint)

    def sizeHint(self) -> QSize:
        return QSize(px(800), self.horizontalHeader().height() + px(ROW_PX) * max(1, self.source.rowCount()))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """Hide what matters least until the rest fits; the first word columns share what is left."""
        room = self.viewport().width()
        shown_keys = [c for c in COLUMNS if c.key not in self.hidden_keys]
        while sum(px(c.width) for c in shown_keys) > room and any(c.priority for c in shown_keys):
            shown_keys.remove(max(shown_keys, key=lambda c: c.priority))
        spare = room - sum(px(c.width) for c in shown_keys)
        growing = [c.key for c in shown_keys if c.key in ("run", "backbone", "schedule", "spark", "tags")]
        for i, column in enumerate(COLUMNS):
            self.setColumnHidden(i, column not in shown_keys)
            extra = spare // len(growing) if spare > 0 and column.key in growing else 0
            self.setColumnWidth(i, px(column.width) + extra)

    def set_column_hidden(self, key: str, hidden: bool) -> None:
        (self.hidden_keys.add if hidden else self.hidden_keys.discard)(key)
        self._fit_columns()

    # Keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.chosen
        if row is not None and event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.ShiftModifier,
            Qt.KeyboardModifier.KeypadModifier,
        ):
            if event.key() == Qt.Key.Key_F2:
                self.rename()
                return
            if event.key() == Qt.Key.Key_Space or event.text() in ("x", "X") and event.modifiers() == Qt.KeyboardModifier.NoModifier:
                self.check_toggled.emit(row)
                return
            if event.key() == Qt.Key.Key_Delete:
                self.delete_wanted.emit()
                return
            if event.text() == "*":
                self.star_toggled.emit(row)
                return
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.is_editing:
                self.opened.emit(row)
                return
        super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are commands here."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            key = COLUMNS[index.column()].key
            if key in ("check", "star"):
                row = self.source.rows[index.row()]
                (self.check_toggled if key == "check" else self.star_toggled).emit(row)
                return
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and COLUMNS[index.column()].key in _EDITABLE:
            self.edit(index)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and hasattr(self, "hidden_keys"):
            self._fit_columns()

    def _on_menu_requested(self, pos: QPoint) -> None:
        index = self.indexAt(pos)
        if index.isValid():
            self.setCurrentIndex(index)
            self.menu_wanted.emit(self.chosen, self.viewport().mapToGlobal(pos))


class _RowDelegate(QStyledItemDelegate):
    """Paints a cell by the key of its column."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        table: RunsTable = self.parent()
        row = table.source.rows[index.row()]
        column = COLUMNS[index.column()]
        rect = option.rect
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if is_chosen:
            painter.fillRect(rect, colour("accentWash"))
            if index.column() == 0:
                painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), colour("accent"))
        elif table.indexAt(table.viewport().mapFromGlobal(table.cursor().pos())).row() == index.row() and table.underMouse():
            painter.fillRect(rect, colour("hover"))
        painter.setPen(pen("border"))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        match column.key:
            case "check":
                self._check(painter, rect, row, row.entry.folder.name in table.source.checked)
            case "star":
                on = row.notes.is_starred
                paint_icon(painter, _centred(rect, px(15)), "star-fill" if on else "star", "warnDot" if on else "muted")
            case "run":
                self._name(painter, rect, row, row.entry.folder.name == table.source.best_name)
            case "spark":
                _spark(painter, QRectF(rect).adjusted(px(8), px(7), -px(10), -px(7)), row)
            case "tags":
                _tags(painter, rect, row.notes.tags)
            case _:
                painter.setFont(font("number" if column.is_number or column.key == "schedule" else "label"))
                painter.setFont(font("number" if column.is_number else "label"))
                painter.setPen(colour("text" if column.key in ("top1", "f1") else "text2"))
                align = Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft
                box = rect.adjusted(px(6), 0, -px(6), 0)
                words = QFontMetrics(painter.font()).elidedText(column.text(row), Qt.TextElideMode.ElideRight, box.width())
                painter.drawText(box, int(align | Qt.AlignmentFlag.AlignVCenter), words)
        if option.state & QStyle.StateFlag.State_HasFocus and table.hasFocus():
            paint_focus(painter, rect)
        painter.restore()

    @staticmethod
    def _check(painter: QPainter, rect: QRect, row: RunRow, is_on: bool) -> None:
        box = QRectF(_centred(rect, px(15)))
        painter.setPen(pen(f"series.{row.series}" if is_on else "outline"))
        painter.setBrush(colour(f"series.{row.series}") if is_on else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if is_on:
            paint_icon(painter, box.toRect().adjusted(2, 2, -2, -2), "check-bold", "surface")

    @staticmethod
    def _name(painter: QPainter, rect: QRect, row: RunRow, is_best: bool) -> None:
        painter.setFont(font("strong"))
        painter.setPen(colour("text"))
        metrics = QFontMetrics(painter.font())
        left = rect.left() + px(6)
        status = Status.PAUSED if row.summary.is_released else row.entry.status
        word, token = ("best", "good") if is_best else _STATUS_TAG.get(status, ("", ""))
        caption = QFontMetrics(font("caption"))
        tag_width = caption.horizontalAdvance(word) + px(12) if word else 0
        name = metrics.elidedText(row.name, Qt.TextElideMode.ElideRight, rect.width() - px(14) - tag_width)
        painter.drawText(QRect(left, rect.top(), rect.width(), rect.height()), int(Qt.AlignmentFlag.AlignVCenter), name)
        if word:
            x = left + metrics.horizontalAdvance(name) + px(6)
            box = QRectF(x, rect.center().y() - px(8), tag_width - px(2), px(17))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(
                colour({"good": "goodWash", "trains": "trainsWash", "warn": "warnWash", "bad": "badWash"}.get(token, "pressed"))
            )
            painter.drawRoundedRect(box, 4, 4)
            painter.setFont(font("caption"))
            painter.setPen(colour(token))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, word)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget:
        from PySide6.QtWidgets import QLineEdit

        editor = QLineEdit(parent)
        editor.setProperty("dense", "true")
        editor.setAccessibleName("Name of the run" if COLUMNS[index.column()].key == "run" else "Tags, separated by commas")
        return editor

    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Not over what was typed: any change of the model comes here."""
        if not editor.isModified():
            super().setEditorData(editor, index)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        height = editor.sizeHint().height()
        editor.setGeometry(option.rect.left() + 2, option.rect.center().y() - height // 2, max(option.rect.width() - 4, px(110)), height)


def _centred(rect: QRect, side: int) -> QRect:
    box = QRect(0, 0, side, side)
    box.moveCenter(rect.center())
    return box


def _spark(painter: QPainter, box: QRectF, row: RunRow) -> None:
    values = [v for v in row.summary.losses if v == v]
    if not values:
        return
    painter.setPen(series_pen(row.series, 1.5))
    if len(values) == 1:
        painter.drawEllipse(QPointF(box.left() + 2, box.center().y()), 2, 2)
        return
    low, high = min(values), max(values)
    planned = max(len(values), min(MAX_LOSSES, row.summary.epochs_planned))
    span = (high - low) or 1.0
    step = box.width() / max(1, planned - 1)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(
        QPolygonF([QPointF(box.left() + i * step, box.top() + box.height() * (high - v) / span) for i, v in enumerate(values)])
    )


def _tags(painter: QPainter, rect: QRect, tags: tuple[str, ...]) -> None:
    x = rect.left() + px(4)
    metrics = QFontMetrics(font("caption"))
    painter.setFont(font("caption"))
    for tag in tags:
        room = rect.right() - x - px(14)
        if room < px(20):
            break
        text = metrics.elidedText(shown(tag), Qt.TextElideMode.ElideRight, room)
        box = QRectF(x, rect.center().y() - px(8), metrics.horizontalAdvance(text) + px(10), px(17))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("pressed"))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(colour("text2"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        x = int(box.right()) + px(4)
