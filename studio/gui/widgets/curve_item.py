"""One curve of a plot, painted at a cost that depends on pixels alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen

from studio.core.trace import Trace
from studio.gui.theme import colour
from studio.gui.widgets.view_item import ViewItem

_STEEPEST = 2.5  # a steep line is drawn this many times as high as it is wide; beyond it peaks would swell
# A stroked line of n points takes n * 2 to n * 30 us, the more the rougher it is; columns of pixels take 0.3 ms whatever they show.
_PX_PER_STROKED_POINT = 3.0
_EDGE_PX = 4.0  # of a line beside its points, with what is soft of it
_LEVELS = 16  # of softness at the edge of a line


class CurveItem(ViewItem):
    """Draws what of a Trace lies in view. With room for it as a line through every point, else column by column of pixels, each from the
    least to the greatest of its points, so that no extreme is lost."""

    def __init__(self, trace: Trace, style):
        super().__init__()
        self.trace = trace
        self.style = style
        self.is_in_hand = False  # it changes at every move of a drag: columns of pixels have hard ends then, in half the time
        self._kept: tuple[tuple, _Columns | None] = ((), None)  # what was painted in hand, with what for

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, least and greatest y in plot units, as they are painted."""
        view = self.boundingRect()
        return self.trace.seen(view.left(), view.right(), max(8, int(self.getViewBox().width())))

    def update_between(self, low: float, high: float) -> None:
        """Paint anew what has changed between two x, in plot units."""
        rect, box = QRectF(self.boundingRect()), self.getViewBox()
        room = _EDGE_PX * box.viewPixelSize()[0]
        rect.setLeft(max(rect.left(), low - room))
        if not (self.style.pen().dashPattern() and self._is_stroked(len(self.trace), box.width())):  # its dashes count from its first point
            rect.setRight(min(rect.right(), high + room))
        self.update(rect)

    def _is_stroked(self, num_points: int, width_px: float) -> bool:
        return num_points * _PX_PER_STROKED_POINT <= width_px or self.style.kind in ("marks", "ghost")

    def paint(self, painter: QPainter, option, widget=None) -> None:
        if not len(self.trace):
            return
        to_px = painter.transform()
        ratio = widget.devicePixelRatioF() if widget else 1.0
        kept_for = (self.trace, self.style, to_px, self.boundingRect(), ratio)
        if self.is_in_hand and self._kept[0] == kept_for:
            painter.save()
            painter.resetTransform()
            self._kept[1].paint(painter)
            painter.restore()
            return
        self._kept = ((), None)
        x, lows, highs = self.seen()
        x = x * to_px.m11() + to_px.dx()
        tops = np.clip(highs * to_px.m22() + to_px.dy(), -1e5, 1e5)  # pixels count downwards
        bottoms = tops if lows is highs else np.clip(lows * to_px.m22() + to_px.dy(), -1e5, 1e5)
        box = to_px.mapRect(self.boundingRect())
        painter.save()
        painter.resetTransform()
        if self._is_stroked(len(x), box.width()):
            self._stroke(painter, x, tops, bottoms)
        else:
            columns = _columns(self.style.pen(), box, ratio, x, tops, bottoms, is_soft=not self.is_in_hand)
            columns.paint(painter)
            if self.is_in_hand:
                self._kept = kept_for, columns
        painter.restore()

    def _stroke(self, painter: QPainter, x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray) -> None:
        is_point = tops is bottoms or np.array_equal(tops, bottoms, equal_nan=True)
        y = tops if is_point else np.stack([tops, bottoms], axis=1).ravel()
        x = x if is_point else np.repeat(x, 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, self.style.kind != "raw")
        painter.setPen(self.style.pen())
        for first, end in _between_gaps(y):
            if end - first > 1:
                painter.drawPolyline(pg.functions.arrayToQPolygonF(x[first:end], y[first:end]))
            elif self.style.kind != "marks":  # a value between two gaps
                painter.drawEllipse(QPointF(x[first], y[first]), 1.0, 1.0)
        if self.style.kind == "marks":
            self._paint_symbols(painter, x, y)

    def _paint_symbols(self, painter: QPainter, x: np.ndarray, y: np.ndarray) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(self.style.token))
        shape = self.style.point()
        for at_x, at_y in zip(x, y, strict=True):
            if np.isfinite(at_y):
                painter.drawPath(shape.translated(at_x, at_y))


def _between_gaps(y: np.ndarray) -> list[list[int]]:
    """First and end of each stretch of numbers."""
    is_gap = np.isnan(y)
    if not is_gap.any():
        return [[0, len(y)]]
    return np.flatnonzero(np.diff(is_gap, prepend=True, append=True)).reshape(-1, 2).tolist()


class _Columns:
    """A curve as a picture: premultiplied pixels, and where their upper left corner is."""

    def __init__(self, at: QPointF, ratio: float, pixels: np.ndarray | None):
        self._at, self._pixels, self._image = at, pixels, QImage()  # the image looks at the pixels
        if pixels is not None:
            height, width = pixels.shape
            self._image = QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_ARGB32_Premultiplied)
            self._image.setDevicePixelRatio(ratio)

    def paint(self, painter: QPainter) -> None:
        if self._pixels is not None:
            painter.drawImage(self._at, self._image)


def _columns(
    pen: QPen, box: QRectF, ratio: float, x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, *, is_soft: bool
) -> _Columns:  # fmt: skip
    """Fill each column of pixels of `box` from the top to the bottom of what lies in it and half a pen's width beyond."""
    width, height = max(1, round(box.width() * ratio)), max(1, round(box.height() * ratio))
    left, upper = round(box.left() * ratio), round(box.top() * ratio)  # whole pixels: an image between them is drawn slowly
    x, is_line = x * ratio - left, tops is bottoms
    tops = tops * ratio - upper
    bottoms = tops if is_line else bottoms * ratio - upper
    top, bottom = column_spans(x, tops, bottoms, width, max(1.0, pen.widthF() * ratio))
    if pen.dashPattern() and pen.style() == Qt.PenStyle.CustomDashLine:
        lengths = np.array(pen.dashPattern()) * max(pen.widthF(), 1) * ratio
        at = np.arange(width) % lengths.sum()
        bottom[np.searchsorted(np.cumsum(lengths), at, side="right") % 2 == 1] = -np.inf
    is_drawn = bottom > top
    nothing = _Columns(QPointF(), ratio, None)
    if not is_drawn.any():
        return nothing
    first = int(min(height, max(0, np.floor(top[is_drawn].min()))))
    last = int(min(height, max(0, np.ceil(bottom[is_drawn].max()))))
    if last <= first:
        return nothing
    count = last - first
    pixels = _soft_pixels(pen, top - first, bottom - first, count) if is_soft else _hard_pixels(pen, top - first, bottom - first, count)
    return _Columns(QPointF(left / ratio, (upper + first) / ratio), ratio, pixels)


def _hard_pixels(pen: QPen, top: np.ndarray, bottom: np.ndarray, count: int) -> np.ndarray:
    """uint32[count, len(top)], premultiplied: pixels whose middle lies between top and bottom."""
    rows = np.arange(count, dtype=np.int16)[:, None]
    top, bottom = (np.minimum(np.maximum(np.rint(edge), 0), count).astype(np.int16) for edge in (top, bottom))
    is_inside = rows >= top
    is_inside &= rows < bottom
    pixels = is_inside.astype(np.uint32)
    pixels *= _shades(pen.color().rgba())[-1]
    return pixels


def _soft_pixels(pen: QPen, top: np.ndarray, bottom: np.ndarray, count: int) -> np.ndarray:
    """uint32[count, len(top)], premultiplied: as much of each pixel as lies between top and bottom, in _LEVELS."""
    whole = np.int16 if _LEVELS * (count + 2) < 2**15 else np.int32  # half the time of 32 bits, a quarter of floats
    rows = (_LEVELS * np.arange(count, dtype=whole))[:, None]
    top, bottom = (np.clip(_LEVELS * edge, -_LEVELS, _LEVELS * (count + 1)).astype(whole) for edge in (top, bottom))
    cover = np.minimum(rows + whole(_LEVELS), bottom)
    cover -= np.maximum(rows, top)
    np.clip(cover, 0, _LEVELS, out=cover)
    return _shades(pen.color().rgba()).take(cover.astype(np.uint8))


def column_spans(x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, width: int, pen_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Top and bottom of each of `width` columns, float32, counting downwards: of the line through the middles of the points and of the
    points in it. Where there is nothing, top is inf and bottom -inf."""
    middle = tops if tops is bottoms else (tops + bottoms) / 2
    edges = np.interp(np.arange(width + 1), x, middle, left=np.nan, right=np.nan)
    top, bottom = np.fmin(edges[:-1], edges[1:]), np.fmax(edges[:-1], edges[1:])
    half = pen_px / 2 * np.sqrt(1 + np.fmin(np.abs(np.diff(edges)), _STEEPEST) ** 2)
    is_cut = np.isnan(top)
    top[is_cut], bottom[is_cut] = np.inf, -np.inf
    column = np.floor(x).astype(np.int64)
    inside = (column >= 0) & (column < width) & np.isfinite(tops)
    if not inside.all():
        column, tops, bottoms = column[inside], tops[inside], bottoms[inside]
    np.fmin.at(top, column, tops)
    np.fmax.at(bottom, column, bottoms)
    return (top - half).astype(np.float32), (bottom + half).astype(np.float32)


@lru_cache(maxsize=64)
def _shades(rgba: int) -> np.ndarray:
    """A colour covering 0 to _LEVELS parts of a pixel, as premultiplied pixels: uint32[_LEVELS + 1]."""
    alpha = np.arange(_LEVELS + 1) * (rgba >> 24) / _LEVELS
    parts = [np.round(alpha * channel / 255).astype(np.uint32) for channel in (255, rgba >> 16 & 255, rgba >> 8 & 255, rgba & 255)]
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]
