"""The original and its variants in a grid that fills its place."""

from __future__ import annotations

import math

from PySide6.QtCore import QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QRegion, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from studio.gui.icon import paint_icon
from studio.gui.pages.augment.variant import Variant
from studio.gui.theme import colour, pen, px
from studio.gui.widgets import plain_tooltip
from studio.gui.widgets.thumb import paint_cover
from studio.gui.widgets.thumb_grid import paint_badge

NUM_VARIANTS = 15  # with the original 16 tiles
NUM_TILES = NUM_VARIANTS + 1
_PAINT_EVERY_MS = 16  # while pictures come: each by itself would cost more to paint than to make
_SHARE_TOKENS = ("accent", "trains")  # the own label, the other one


class VariantGrid(QWidget):
    """Square tiles. Arrow keys move, Enter and click open one; while newer tiles are on their way these are muted."""

    opened = Signal(int)
    menu_wanted = Signal(int, object)  # tile, QPoint of the screen

    def __init__(self, *, num_tiles: int = NUM_TILES, name: str = "", what: str = "Preview", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self.num_tiles, self._what = num_tiles, what
        self.pinned: frozenset[int] = frozenset()  # tiles with a mark
        self.variants: list[Variant | None] = []  # None where the first picture has not come yet
        self._fresh: set[int] = set()  # tiles that answer the newest question
        self._faces: dict[int, QPixmap] = {}  # the pictures in the size of the tile
        self._corners: tuple[tuple, QPixmap] = ((), QPixmap())  # what makes a square tile round, for a size and a theme
        self._dirty = QRegion()
        self._paint_turn = QTimer(self, singleShot=True, interval=_PAINT_EVERY_MS, timerType=Qt.TimerType.PreciseTimer)
        self._paint_turn.timeout.connect(self._paint_dirty)
        self._current = 0
        self._hovered = -1
        self._is_stale = False
        self._layout: tuple[tuple[int, int, int], tuple[int, float, float, float]] = ((0, 0, 0), (1, 0.0, 0.0, 0.0))
        self._places: tuple[tuple, list[tuple[QRectF, QRect]]] = ((), [])  # of that layout
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # one tile is then painted without all that lies under it
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._describe()

    def sizeHint(self) -> QSize:
        return QSize(px(480), px(480))

    def minimumSizeHint(self) -> QSize:
        return QSize(px(140), px(140))

    @property
    def current(self) -> int:
        return self._current

    @property
    def is_stale(self) -> bool:
        return self._is_stale

    @property
    def num_wanted(self) -> int:
        """Tiles that the newest question is about."""
        return len(self.variants)

    def begin(self, num: int) -> None:
        """A new question about so many tiles: the pictures stay until newer ones replace them one by one."""
        self._fresh.clear()
        if num != len(self.variants):
            self.show_variants([*self.variants[:num], *[None] * (num - len(self.variants))])
            self._fresh.clear()

    def show_variants(self, variants: list[Variant | None]) -> None:
        self.variants = variants
        self._fresh = set(range(len(variants)))
        self._faces.clear()
        self._is_stale = False
        self._current = min(self._current, max(0, len(variants) - 1))
        self._describe()
        self.update()

    def show_original(self, picture: QPixmap) -> None:
        """The first tile. It answers every question, and stays as it is while only variants are new."""
        shown = self.variants[0] if self.variants else None
        if shown is None or shown.epoch is not None or shown.pixmap.cacheKey() != picture.cacheKey():
            self.show_variant(0, Variant(picture))
        self._fresh.add(0)

    def show_variant(self, index: int, variant: Variant) -> None:
        """Replace one tile, so that the first picture need not wait for the last. It is painted at once, or with those after it."""
        if not 0 <= index < len(self.variants):
            return
        self.variants[index] = variant
        self._fresh.add(index)
        self._faces.pop(index, None)
        if index == self._current:
            self._describe()
        self._dirty += self._tiles()[index][1]
        if not self._paint_turn.isActive() or len(self._fresh) == len(self.variants):
            self._paint_dirty()

    def _paint_dirty(self) -> None:
        if not self._dirty.isEmpty():
            dirty, self._dirty = self._dirty, QRegion()
            self._paint_turn.start()
            self.repaint(dirty)  # an update would wait for its turn in the event loop, behind pictures that came meanwhile

    def set_stale(self, is_stale: bool) -> None:
        if is_stale != self._is_stale:
            self._is_stale = is_stale
            self.update()

    def set_pinned(self, pinned: frozenset[int]) -> None:
        if pinned != self.pinned:
            self.pinned = pinned
            self.update()

    def set_current(self, index: int) -> None:
        self._current = max(0, min(len(self.variants) - 1, index))
        self._describe()
        self.update()

    def _describe(self) -> None:
        shown = [variant for variant in self.variants if variant is not None]
        num = sum(variant.epoch is not None for variant in shown)
        has_original = num < len(shown)
        self.setAccessibleName(f"{self._what}: the original and {num} variants" if has_original else f"{self._what}: {num} pictures")
        current = self.variants[self._current] if self.variants else None
        self.setAccessibleDescription(current.in_words if current is not None else "No picture yet")

    def layout_of(self, num: int) -> tuple[int, float, float, float]:
        """Columns, side, left and top (the tiles hang from the top) so that `num` square tiles are as large as possible."""
        asked = (num, self.width(), self.height())
        if self._layout[0] == asked:
            return self._layout[1]
        gap = px(6)
        best = (1, 0.0)
        for columns in range(1, num + 1):
            rows = math.ceil(num / columns)
            side = min((self.width() - gap * (columns - 1)) / columns, (self.height() - gap * (rows - 1)) / rows)
            if side > best[1] + 0.5 and rows * columns - num < columns:
                best = (columns, side)
        columns, side = best[0], float(max(1, int(best[1])))  # whole pixels: pictures are then painted as they are
        left = (self.width() - columns * side - gap * (columns - 1)) // 2
        self._layout = (asked, (columns, side, max(0.0, left), 0.0))
        return self._layout[1]

    @property
    def tile_px(self) -> int:
        """The side of a tile in pixels of the screen."""
        side = self.layout_of(max(len(self.variants), self.num_tiles))[1]
        return max(1, math.ceil(side * self.devicePixelRatioF()))

    def tile(self, index: int) -> QRectF:
        return QRectF(self._tiles()[index][0])

    def _tiles(self) -> list[tuple[QRectF, QRect]]:
        """The places of all tiles, also in whole pixels; not to be changed."""
        num = max(len(self.variants), self.num_tiles)
        columns, side, left, top = layout = self.layout_of(num)
        if self._places[0] is not layout:
            step = side + px(6)
            tiles = [QRectF(left + i % columns * step, top + i // columns * step, side, side) for i in range(num)]
            self._places = (layout, [(tile, tile.toAlignedRect()) for tile in tiles])
        return self._places[1]

    def index_at(self, pos) -> int:
        return next((i for i, v in enumerate(self.variants) if v is not None and self.tile(i).contains(pos)), -1)

    def _is_shown(self, index: int) -> bool:
        return 0 <= index < len(self.variants) and self.variants[index] is not None

    def set_num_tiles(self, num: int) -> None:
        """So many places, which are empty at first."""
        self.num_tiles = num
        self.show_variants([])
        self._limit_height()
        self.updateGeometry()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._faces.clear()
        self._limit_height()

    def _limit_height(self) -> None:
        """No higher than its four rows, so that what is below follows them; half as many tiles stand in two columns."""
        self.setMaximumHeight(max(self.minimumSizeHint().height(), self.width() * (1 if self.num_tiles == NUM_TILES else 2)))

    def _face(self, index: int, tile: QRectF) -> QPixmap:
        """A tile's picture, made when it is first painted; itself where it has the size already, as while a slider moves."""
        ratio = self.devicePixelRatioF()
        face, side = self._faces.get(index), round(tile.width() * ratio)
        if face is None or face.width() != side:
            face = QPixmap(self.variants[index].pixmap)
            if (face.width(), face.height()) != (side, side):
                expand, smooth = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
                face = face.scaled(side, side, expand, smooth)
                face = face.copy((face.width() - side) // 2, (face.height() - side) // 2, side, side)
            face.setDevicePixelRatio(ratio)
            self._faces[index] = face
        return face

    def _cover(self, side: int) -> QPixmap:
        """The ground around a tile with round corners, to be painted over a square picture of `side` pixels."""
        ratio, ground = self.devicePixelRatioF(), colour("surface")
        key = (side, ratio, ground.rgba())
        if self._corners[0] != key:
            cover = QPixmap(side, side)
            cover.fill(Qt.GlobalColor.transparent)
            painter = QPainter(cover)
            painter.fillRect(cover.rect(), ground)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationOut)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ground)
            painter.drawRoundedRect(QRectF(0, 0, side, side), 4 * ratio, 4 * ratio)
            painter.end()
            cover.setDevicePixelRatio(ratio)
            self._corners = (key, cover)
        return self._corners[1]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if index != self._hovered:
            self._hovered = index
            self.setCursor(Qt.CursorShape.PointingHandCursor if index >= 0 else Qt.CursorShape.ArrowCursor)
            words = plain_tooltip(self.variants[index].in_words) if index >= 0 else ""
            QToolTip.showText(event.globalPosition().toPoint(), words, self)
            self.update()

    def leaveEvent(self, event) -> None:
        self._hovered = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if index >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.set_current(index)
            self.opened.emit(index)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        is_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        index = self.index_at(event.pos()) if is_mouse else self._current
        if self._is_shown(index):
            self.set_current(index)
            self.menu_wanted.emit(index, event.globalPos() if is_mouse else self.mapToGlobal(self.tile(index).center().toPoint()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        columns = self.layout_of(max(len(self.variants), self.num_tiles))[0]
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -columns, Qt.Key.Key_Down: columns}.get(event.key())
        if move is not None and self.variants:
            self.set_current(self._current + move)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._is_shown(self._current):
            self.opened.emit(self._current)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(event.rect(), colour("surface"))
        region = event.region()
        for index, (tile, place) in enumerate(self._tiles()):
            if not region.intersects(place):
                continue
            variant = self.variants[index] if index < len(self.variants) else None
            if variant is not None:
                self._paint_tile(painter, index, variant, tile)
            elif not self.variants or index < len(self.variants):
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour("raised"))
                painter.drawRoundedRect(tile, 4, 4)
        painter.end()

    def _paint_tile(self, painter: QPainter, index: int, variant: Variant, tile: QRectF) -> None:
        painter.setOpacity(0.4 if self._is_stale and index not in self._fresh else 1.0)
        if variant.pixmap.isNull():
            paint_cover(painter, tile, None)  # not kept as a face: its ground is the theme's
        else:
            face = self._face(index, tile)
            painter.drawPixmap(tile.topLeft().toPoint(), face)
            painter.setOpacity(1.0)
            painter.drawPixmap(tile.topLeft().toPoint(), self._cover(face.width()))
        painter.setOpacity(1.0)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if variant.failure:
            painter.setPen(pen("bad", 2))
            painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)
            side = px(16)
            _paint_mark(painter, QRectF(tile.right() - side - 5, tile.top() + 5, side, side), "warning-octagon", "bad")
        elif variant.epoch is None:
            painter.setPen(pen("text2", 2))
            painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)
        elif index == self._hovered:
            painter.setPen(pen("outline"))
            painter.drawRoundedRect(tile.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if variant.epoch is None:
            paint_badge(painter, tile, "original")
        if index in self.pinned:
            _paint_mark(painter, QRectF(tile.left() + 5, tile.top() + 5, px(16), px(16)), "push-pin-fill", "accent")
        if variant.labels:
            _paint_shares(painter, tile, variant)
        if self.hasFocus() and index == self._current:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(tile.adjusted(1, 1, -1, -1), 4, 4)


def _paint_mark(painter: QPainter, place: QRectF, name: str, token: str) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("window", 0.84))
    painter.drawEllipse(place.adjusted(-2, -2, 2, 2))
    paint_icon(painter, place.toRect(), name, token)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _paint_shares(painter: QPainter, tile: QRectF, variant: Variant) -> None:
    """The label of a tile; mixed ones one above the other over a bar of their shares."""
    if len(variant.labels) == 1:
        paint_badge(painter, tile, variant.label_words)
        return
    bar = QRectF(tile.left() + 4, tile.bottom() - px(7), tile.width() - 8, px(4))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("window", 0.84))
    painter.drawRoundedRect(bar.adjusted(-1, -1, 1, 1), 3, 3)
    left = bar.left()
    for token, (_, share) in zip(_SHARE_TOKENS, variant.labels, strict=False):
        painter.setBrush(colour(token))
        painter.drawRect(QRectF(left, bar.top(), bar.width() * share, bar.height()))
        left += bar.width() * share
    above = QRectF(tile.left(), tile.top(), tile.width(), tile.height() - px(6))
    for (name, share), token in reversed(list(zip(variant.labels, _SHARE_TOKENS, strict=False))):
        paint_badge(painter, above, f"{share * 100:.0f} % {name}", token=token)
        above.setHeight(above.height() - px(18))
