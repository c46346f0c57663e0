"""Every transform, shown as what it does to the photo in view. Drag one into the pipeline, double-click it or press Enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QByteArray, QMimeData, QModelIndex, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QDrag, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPixmap, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QSizePolicy,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QVBoxLayout,
    QWidget,
)

from studio.gui.icon import icon as make_icon
from studio.gui.icon import paint_icon
from studio.gui.setting import Settings
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import Panel, PlainLabel, plain_tooltip
from studio.gui.widgets.chip_row import ChipRow
from studio.gui.widgets.thumb import paint_cover

_MIME = "application/x-studio-transform"
FAVOURITES = "Favourites"
TILE_PX = 60  # pictures are asked for at this size, times the screen's ratio
_ASK_AFTER_MS = 30
# What a picture cannot show, and what it takes a second photo for.
_ICONS = {
    "MixUp": "intersect", "CutMix": "selection-plus", "OneOf": "shuffle", "SomeOf": "circles-three-plus", "Sequential": "list-numbers",
}  # fmt: skip
_AHEAD = 6  # tiles beyond the ones in view


def dragged_transform(mime: QMimeData) -> str:
    """The name of the transform that is being dragged; empty for anything else."""
    return bytes(mime.data(_MIME)).decode() if mime.hasFormat(_MIME) else ""


@dataclass(frozen=True)
class GalleryItem:
    name: str
    title: str
    group: str
    help: str = ""


class GalleryModel(QAbstractListModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.items: list[GalleryItem] = []
        self.pixmaps: dict[str, QPixmap] = {}
        self.failed: dict[str, str] = {}  # why a transform cannot be shown on this photo
        self.in_use: frozenset[str] = frozenset()
        self.favourites: set[str] = set()

    def set_items(self, items: Sequence[GalleryItem]) -> None:
        if list(items) != self.items:
            self.beginResetModel()
            self.items = list(items)
            self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if not index.isValid():
            return None
        item = self.items[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return item.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            facts = [
                item.title,
                *(["in use"] if item.name in self.in_use else []),
                *(["favourite"] if item.name in self.favourites else []),
            ]
            return ", ".join(facts)
        if role == Qt.ItemDataRole.ToolTipRole:
            why = self.failed.get(item.name)
            return plain_tooltip("\n".join([item.title, item.help, *([f"On this photo: {why}"] if why else [])]))
        return None

    def flags(self, index: QModelIndex):
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def row_of(self, name: str) -> int:
        return next((row for row, item in enumerate(self.items) if item.name == name), -1)


class GalleryView(QListView):
    """One row of tiles that the wheel moves sideways."""

    add_wanted = Signal(str)
    star_wanted = Signal(str)

    def __init__(self, model: GalleryModel, *, name: str):
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName("Transforms to add")
        self.setModel(model)
        self.setItemDelegate(_TileDelegate(self))
        self.setViewMode(QListView.ViewMode.ListMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setDragEnabled(True)
        self.setMouseTracking(True)
        self.horizontalScrollBar().setSingleStep(px(40))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(tile_height() + px(10))

    def wheelEvent(self, event: QWheelEvent) -> None:
        by = event.angleDelta().x() or event.angleDelta().y()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - by)
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton:
            self.add_wanted.emit(self.model().items[index.row()].name)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pos = event.position().toPoint()
        index = self.indexAt(pos)
        if index.isValid() and event.button() == Qt.MouseButton.LeftButton and star_place(self.visualRect(index)).contains(pos):
            self.star_wanted.emit(self.model().items[index.row()].name)
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        key, is_plain = event.key(), not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if index.isValid() and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.add_wanted.emit(self.model().items[index.row()].name)
        elif index.isValid() and key == Qt.Key.Key_Asterisk or is_plain and key == Qt.Key.Key_F and index.isValid():
            self.star_wanted.emit(self.model().items[index.row()].name)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End) and self.model().rowCount():
            last = self.model().rowCount() - 1
            row = {Qt.Key.Key_Left: index.row() - 1, Qt.Key.Key_Right: index.row() + 1, Qt.Key.Key_Home: 0, Qt.Key.Key_End: last}[key]
            self.setCurrentIndex(self.model().index(max(0, min(last, row))))
        else:
            event.ignore()

    def focusInEvent(self, event) -> None:
        if not self.currentIndex().isValid() and self.model().rowCount():
            self.setCurrentIndex(self.model().index(0))
        super().focusInEvent(event)

    def startDrag(self, actions) -> None:
        index = self.currentIndex()
        if not index.isValid():
            return
        item = self.model().items[index.row()]
        mime = QMimeData()
        mime.setData(_MIME, QByteArray(item.name.encode()))
        drag = QDrag(self)
        drag.setMimeData(mime)
        picture = self.model().pixmaps.get(item.name)
        if picture is not None:
            drag.setPixmap(picture)
            drag.setHotSpot(QPoint(picture.width() // 2, picture.height() // 2))
        drag.exec(Qt.DropAction.CopyAction)

    def rows_in_view(self) -> range:
        """The tiles in view and a few beyond."""
        num, width = self.model().rowCount(), max(1, tile_width())
        first = max(0, self.horizontalOffset() // width - 1)
        return range(min(first, num), min(num, (self.horizontalOffset() + self.viewport().width()) // width + 1 + _AHEAD))


def tile_width() -> int:
    return px(TILE_PX + 16)


def tile_height() -> int:
    return px(TILE_PX + 8) + QFontMetrics(font("caption")).height()


def star_place(cell: QRect) -> QRect:
    """Where the star of a tile is."""
    return QRect(cell.left() + px(10), cell.top() + px(5), px(18), px(18))


class _TileDelegate(QStyledItemDelegate):
    def sizeHint(self, option, index: QModelIndex) -> QSize:
        return QSize(tile_width(), tile_height())

    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        model: GalleryModel = index.model()
        item = model.items[index.row()]
        cell = option.rect
        tile = QRectF(cell.left() + px(8), cell.top() + px(3), px(TILE_PX), px(TILE_PX))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_cover(painter, tile, model.pixmaps.get(item.name))
        is_used = item.name in model.in_use
        view: GalleryView = option.widget
        is_current = bool(option.state & QStyle.StateFlag.State_Selected)
        is_hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if (icon_name := _ICONS.get(item.name)) and item.name not in model.pixmaps:
            paint_icon(painter, _centred(tile, 24), icon_name, "text2")
        if model.failed.get(item.name):
            paint_icon(painter, _centred(tile, 20), "prohibit", "bad")
            painter.setPen(pen("bad", 1.5))
            painter.drawRoundedRect(tile, 4, 4)
        if is_current and view.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(tile.adjusted(-1, -1, 1, 1), 5, 5)
        elif is_used:
            painter.setPen(pen("accent", 2))
            painter.drawRoundedRect(tile, 4, 4)
        elif is_hovered:
            painter.setPen(pen("outline"))
            painter.drawRoundedRect(tile, 4, 4)
        if is_used:
            mark = QRectF(tile.right() - px(17), tile.top() + px(3), px(14), px(14))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accentFill"))
            painter.drawEllipse(mark)
            paint_icon(painter, mark.adjusted(2, 2, -2, -2).toRect(), "check", "onAccent")
        is_favourite = item.name in model.favourites
        if is_favourite or is_hovered:
            star = star_place(cell)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("window", 0.7))
            painter.drawEllipse(star)
            paint_icon(painter, star.adjusted(3, 3, -3, -3), "star-fill" if is_favourite else "star", "warn" if is_favourite else "text")
        style = font("caption")
        painter.setFont(style)
        painter.setPen(colour("text" if is_used else "text2"))
        words = QFontMetrics(style).elidedText(item.title, Qt.TextElideMode.ElideRight, cell.width() - 4)
        place = QRectF(cell.left() + 2, tile.bottom() + px(2), cell.width() - 4, cell.bottom() - tile.bottom() - px(2))
        painter.drawText(place, int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop), words)
        painter.restore()


def _centred(tile: QRectF, side: int) -> QRect:
    place = QRect(0, 0, px(side), px(side))
    place.moveCenter(tile.center().toPoint())
    return place


class Gallery(Panel):
    """Groups, search and favourites over the row of tiles. `pictures_wanted` names the tiles in view that have no picture yet."""

    add_wanted = Signal(str)
    pictures_wanted = Signal(object)  # tuple of names

    def __init__(self, items: Sequence[GalleryItem], settings: Settings, parent: QWidget | None = None):
        super().__init__("Add", name="augment.gallery", margins=False, parent=parent)
        self._settings, self._all = settings, list(items)
        self._stale: set[str] = set()  # tiles that show the photo before
        self.model = GalleryModel(self)
        self.model.favourites = set(settings.names("augment/favourites"))
        self.groups = ChipRow(name="augment.groups")
        self.groups.set_names((*dict.fromkeys(item.group for item in self._all), FAVOURITES))
        self.groups.choice_changed.connect(lambda _: self._filter())
        self.search = QLineEdit()
        self.search.setObjectName("augment.search")
        self.search.setProperty("dense", "true")
        self.search.setPlaceholderText(f"Search {len(self._all)}")
        self.search.setAccessibleName("Search transforms")
        self.search.addAction(make_icon("magnifying-glass", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(px(132))
        self.search.textChanged.connect(lambda _: self._filter())
        self.search.returnPressed.connect(self._on_search_returned)
        self.subtitle_label.hide()
        self.head.takeAt(self.head.count() - 1)
        self.head.addWidget(self.groups, 1)
        self.head.addWidget(self.search)
        self.view = GalleryView(self.model, name="augment.tiles")
        self.view.add_wanted.connect(self.add_wanted)
        self.view.star_wanted.connect(self.toggle_favourite)
        self.nothing = PlainLabel("", "label", "muted")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        holder = QWidget()
        holder.setFixedHeight(self.view.height())
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.view)
        self._stack.addWidget(self.nothing)
        row = QHBoxLayout()
        row.setContentsMargins(px(4), 0, px(4), px(4))
        row.addWidget(holder)
        column = QVBoxLayout()
        column.addLayout(row)
        self.body.addLayout(column)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._asking = QTimer(self, singleShot=True, interval=_ASK_AFTER_MS)
        self._asking.timeout.connect(self._ask)
        self.view.horizontalScrollBar().valueChanged.connect(lambda _: self._asking.start())
        self._filter()

    # What is shown

    @property
    def names(self) -> list[str]:
        return [item.name for item in self.model.items]

    def show_in_use(self, names: frozenset[str]) -> None:
        if names != self.model.in_use:
            self.model.in_use = names
            self.view.viewport().update()

    def forget_pictures(self) -> None:
        """Another photo: the pictures that are shown stay until the new ones are there."""
        self._stale = set(self.model.pixmaps) | set(self.model.failed)
        self._asking.start()

    def show_picture(self, name: str, picture: QPixmap | None, failure: str = "") -> None:
        self._stale = self._stale - {name}
        self.model.pixmaps.pop(name, None)
        self.model.failed.pop(name, None)
        if picture is not None:
            self.model.pixmaps[name] = picture
        if failure or picture is None:
            self.model.failed[name] = failure
        row = self.model.row_of(name)
        if row >= 0:
            self.view.update(self.model.index(row))

    def wanted(self) -> tuple[str, ...]:
        """Tiles in view without a picture of the present photo."""
        known = self.model.pixmaps.keys() | self.model.failed.keys()
        names = (self.model.items[row].name for row in self.view.rows_in_view())
        return tuple(name for name in names if name not in known or name in self._stale)

    def ask_again(self) -> None:
        """After an answer: tiles may have come into view meanwhile."""
        self._asking.start()

    def _ask(self) -> None:
        if names := self.wanted():
            self.pictures_wanted.emit(names)

    def _filter(self) -> None:
        words = self.search.text().lower().split()
        groups = self.groups.chosen
        found = [
            item
            for item in self._all
            if (not groups or item.group in groups or FAVOURITES in groups and item.name in self.model.favourites)
            and all(word in f"{item.title} {item.name} {item.group}".lower() for word in words)
        ]
        self.model.set_items(found)
        if found:
            self._stack.setCurrentIndex(0)
        else:
            is_starless = FAVOURITES in groups and not words and not self.model.favourites
            self.nothing.setText(
                "No favourites yet. Point at a tile and click its star, or press F on it."
                if is_starless
                else "No transform is called that. Clear the search to see all."
            )
            self._stack.setCurrentIndex(1)
        self._asking.start()

    def toggle_favourite(self, name: str) -> None:
        self.model.favourites ^= {name}
        self._settings.set("augment/favourites", sorted(self.model.favourites))
        self.view.viewport().update()
        if FAVOURITES in self.groups.chosen:
            self._filter()

    def _on_search_returned(self) -> None:
        if self.model.items:
            self.view.setCurrentIndex(self.model.index(0))
            self.view.setFocus(Qt.FocusReason.TabFocusReason)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._asking.start()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._asking.start()
