"""The classes: one row each with a stacked bar of its parts; a click filters the images."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QMenu, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.core.path_text import shown
from studio.gui.pages.data.row_ground import paint_row_ground
from studio.gui.pages.data.split import PART_ALPHA, PART_TITLES
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.label import plain_tooltip

NO_BREAK = "\u00a0"


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class. `index` is its class index, which also gives the colour of its dot; None when it is left out."""

    name: str
    index: int | None
    counts: dict[str, int]
    share: float

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_left_out(self) -> bool:
        return self.index is None


def class_rows(dataset, left_out: tuple[str, ...], order: str = "count") -> list[ClassRow]:
    """Rows by "count" (largest first) or "name" (class order); the left-out classes last."""
    total = max(1, len(dataset.samples))
    rows = [ClassRow(name, index, counts, sum(counts.values()) / total) for index, (name, counts) in enumerate(dataset.counts().items())]
    if order == "count":
        rows.sort(key=lambda row: -row.total)
    return rows + [ClassRow(name, None, dict.fromkeys(PART_ALPHA, 0), 0.0) for name in left_out]


class ClassList(QListView):
    """Class rows. `names_chosen` are the filter; the menu offers to leave a class out or to take it back."""

    choice_changed = Signal(object)  # tuple of names
    leave_out_wanted = Signal(object)  # tuple of names
    take_back_wanted = Signal(object)

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName("Classes")
        self._model = _Model(self)
        self.setModel(self._model)
        self.setItemDelegate(_RowDelegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self.selectionModel().selectionChanged.connect(lambda *_: self._on_selection_changed())
        self._is_setting = False

    @property
    def rows(self) -> list[ClassRow]:
        return self._model.rows

    @property
    def names_chosen(self) -> tuple[str, ...]:
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        return tuple(self.rows[row].name for row in rows)

    @property
    def name_width(self) -> int:
        """The room that the longest name needs, in pixels."""
        metrics = QFontMetrics(font("label"))
        longest = sorted((shown(row.name) for row in self.rows), key=len)[-8:]
        return max((metrics.horizontalAdvance(name) for name in longest), default=0) + 4

    @property
    def row_height(self) -> int:
        """24 px, down to 19 where that lets all rows be seen."""
        room = self.viewport().height()
        fitting = room // max(1, len(self.rows))
        return px(24) if fitting < px(19) and room >= px(240) else max(px(19), min(px(24), fitting))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    def set_rows(self, rows: list[ClassRow]) -> None:
        chosen = self.names_chosen
        self._is_setting = True
        self._model.set_rows(rows)
        self._is_setting = False
        self.choose(chosen)

    def choose(self, names: tuple[str, ...]) -> None:
        """Show these names as chosen, without a signal."""
        self._is_setting = True
        flags = self.selectionModel().SelectionFlag
        self.clearSelection()
        for row, each in enumerate(self.rows):
            if each.name in names:
                self.selectionModel().select(self._model.index(row), flags.Select)
        self._is_setting = False

    def mousePressEvent(self, event) -> None:
        """A click on the one chosen class takes the filter away again."""
        index = self.indexAt(event.position().toPoint())
        is_plain = event.button() == Qt.MouseButton.LeftButton and not event.modifiers()
        if is_plain and index.isValid() and self.names_chosen == (self.rows[index.row()].name,):
            self.clearSelection()
            return
        super().mousePressEvent(event)
        if is_plain and not index.isValid():
            self.clearSelection()

    def mouseDoubleClickEvent(self, event) -> None:
        """Two quick clicks are two clicks."""
        self.mousePressEvent(event)

    def _on_selection_changed(self) -> None:
        if not self._is_setting:
            self.choice_changed.emit(self.names_chosen)

    def _on_menu_requested(self, pos: QPoint) -> None:
        index = self.indexAt(pos)
        if not index.isValid():
            index = self.currentIndex()
        if not index.isValid():
            return
        rows = [row for row in self.rows if row.name in self.names_chosen]
        clicked = self.rows[index.row()]
        if clicked not in rows:
            rows = [clicked]
        self.class_menu(rows).popup(self.viewport().mapToGlobal(pos))

    def class_menu(self, rows: list[ClassRow]) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        used = tuple(row.name for row in rows if not row.is_left_out)
        gone = tuple(row.name for row in rows if row.is_left_out)
        if used:
            menu.addAction("Show only this class" if len(used) == 1 else f"Show only these {len(used)} classes").triggered.connect(
                lambda: (self.choose(used), self.choice_changed.emit(used))
            )
            words = "Leave out class" if len(used) == 1 else f"Leave out {len(used)} classes"
            menu.addAction(words).triggered.connect(lambda: self.leave_out_wanted.emit(used))
        if gone:
            words = "Take class back" if len(gone) == 1 else f"Take {len(gone)} classes back"
            menu.addAction(words).triggered.connect(lambda: self.take_back_wanted.emit(gone))
        return menu

    def keyPressEvent(self, event) -> None:
        rows = [row for row in self.rows if row.name in self.names_chosen]
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and rows:
            used = tuple(row.name for row in rows if not row.is_left_out)
            if used:
                self.leave_out_wanted.emit(used)
            return
        if event.key() == Qt.Key.Key_Escape and self.names_chosen:
            self.clearSelection()
            return
        super().keyPressEvent(event)


class _Model(QAbstractListModel):
    def __init__(self, parent):
        super().__init__(parent)
        self.rows: list[ClassRow] = []
        self.most = 1

    def set_rows(self, rows: list[ClassRow]) -> None:
        self.beginResetModel()
        self.rows = rows
        self.most = max((row.total for row in rows), default=1) or 1
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown(row.name)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return _in_words(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(_in_words(row))
        return None


def _in_words(row: ClassRow) -> str:
    if row.is_left_out:
        return f"{shown(row.name)}: left out"
    parts = ", ".join(f"{row.counts[p]:,} {PART_TITLES[p].lower()}" for p in PART_ALPHA if row.counts[p])
    return f"{shown(row.name)}: {row.total:,} images, {row.share:.1%} of all\n{parts}"


class _RowDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(px(200), self.parent().row_height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        view: ClassList = self.parent()
        row = view.rows[index.row()]
        rect = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_row_ground(painter, rect.adjusted(px(4), 0, -px(4), 0), option, self.parent().hasFocus())
        left, right = rect.left() + px(12), rect.right() - px(12)
        names = min(px(170), max(px(72), view.name_width))
        self._paint_dot(painter, row, left, rect)
        label, number = font("label"), font("number")
        painter.setFont(label)
        painter.setPen(colour("muted" if row.is_left_out else "text"))
        text_rect = QRectF(left + px(14), rect.top(), names, rect.height())
        words = QFontMetrics(label).elidedText(shown(row.name), Qt.TextElideMode.ElideRight, int(names))
        painter.drawText(text_rect, int(Qt.AlignmentFlag.AlignVCenter), words)
        metrics = QFontMetrics(number)
        share_width, count_width = metrics.horizontalAdvance("10.0 %"), metrics.horizontalAdvance(f"{view._model.most:,}")
        bar = QRectF(text_rect.right() + px(8), rect.top(), 0, rect.height())
        bar.setRight(right - share_width - count_width - px(16))
        painter.setFont(number)
        if row.is_left_out:
            painter.setFont(label)
            painter.drawText(QRectF(bar.left(), rect.top(), right - bar.left(), rect.height()), _RIGHT, "left out")
        else:
            painter.drawText(QRectF(bar.right(), rect.top(), count_width + px(8), rect.height()), _RIGHT, f"{row.total:,}")
            painter.setPen(colour("muted"))
            share = QRectF(right - share_width, rect.top(), share_width, rect.height())
            painter.drawText(share, _RIGHT, f"{row.share * 100:.1f}{NO_BREAK}%")
            self._paint_bar(painter, row, bar, view._model.most)
        painter.restore()

    def _paint_dot(self, painter: QPainter, row: ClassRow, left: float, rect: QRectF) -> None:
        dot = QRectF(left, rect.center().y() - px(4), px(8), px(8))
        if row.is_left_out:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("outline"))
            painter.drawRoundedRect(dot.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(f"series.{row.index % 10}"))
        painter.drawRoundedRect(dot, 2, 2)

    def _paint_bar(self, painter: QPainter, row: ClassRow, bar: QRectF, most: int) -> None:
        if bar.width() < 12:
            return
        height = max(4, min(px(14), bar.height() - px(6)))
        x, y = bar.left(), bar.center().y() - height / 2
        painter.setPen(Qt.PenStyle.NoPen)
        for part, alpha in PART_ALPHA.items():
            width = bar.width() * row.counts[part] / most
            if width <= 0:
                continue
            painter.setBrush(colour("accent", alpha))
            painter.drawRoundedRect(QRectF(x, y, max(1.5, width - 1), height), 2, 2)
            x += width


_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
