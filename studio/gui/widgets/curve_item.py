"""One curve of a plot, painted at a cost that depends on pixels alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen, QTransform

from studio.core.trace import Trace
from studio.gui.theme import SYMBOLS, colour

_SYMBOL_PX = 8
_STEEPEST = 2.5  # a steep line is drawn this many times as high as it is wide; beyond it peaks would swell
# A stroked line of n points takes n * 2 to n * 30 us, the more the rougher it is; columns of pixels take 0.3 ms whatever they show.
_PX_PER_STROKED_POINT = 3.0
_LEVELS = 16  # of softness at the edge of a line


class CurveItem(pg.GraphicsObject):
    """Draws what of a Trace lies in view. With room for it as a line through every point, else column by column of pixels, each from the
    least to the greatest of its points, so that no extreme is lost."""

    def __init__(self, trace: Trace, style):
        super().__init__()
        self.trace = trace
        self.style = style

    def boundingRect(self) -> QRectF:
        return self.getViewBox().viewRect() if self.getViewBox() else QRectF()

    def viewTransformChanged(self) -> None:
        self.prepareGeometryChange()

    def seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, least and greatest y in plot units, as they are painted."""
        view = self.boundingRect()
        return self.trace.seen(view.left(), view.right(), max(8, int(self.getViewBox().width())))

    def paint(self, painter: QPainter, option, widget=None) -> None:
        if not len(self.trace):
            return
        to_px = painter.transform()
        x, lows, highs = self.seen()
        x = x * to_px.m11() + to_px.dx()
        tops, bottoms = (np.clip(y * to_px.m22() + to_px.dy(), -1e5, 1e5) for y in (highs, lows))  # pixels count downwards
        box = to_px.mapRect(self.boundingRect())
        painter.save()
        painter.resetTransform()
        if len(x) * _PX_PER_STROKED_POINT <= box.width() or self.style.kind in ("marks", "ghost"):
            self._stroke(painter, x, tops, bottoms)
        else:
            ratio = widget.devicePixelRatioF() if widget else 1.0
            _paint_columns(painter, self.style.pen(), box, ratio, x, tops, bottoms)
        painter.restore()

    def _stroke(self, painter: QPainter, x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray) -> None:
        is_point = np.array_equal(tops, bottoms, equal_nan=True)
        y = tops if is_point else np.stack([tops, bottoms], axis=1).ravel()
        x = x if is_point else np.repeat(x, 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, self.style.kind != "raw")
        painter.setPen(self.style.pen())
        gaps = np.flatnonzero(np.isnan(y))
        for part_x, part_y in zip(np.split(x, gaps), np.split(y, gaps), strict=True):
            has_gap = len(part_y) and np.isnan(part_y[0])
            part_x, part_y = part_x[int(has_gap) :], part_y[int(has_gap) :]
            if len(part_x) > 1:
                painter.drawPolyline(pg.functions.arrayToQPolygonF(part_x, part_y))
            elif len(part_x) and self.style.kind != "marks":  # a value between two gaps
                painter.drawEllipse(QPointF(part_x[0], part_y[0]), 1.0, 1.0)
        if self.style.kind == "marks":
            self._paint_symbols(painter, x, y)

    def _paint_symbols(self, painter: QPainter, x: np.ndarray, y: np.ndarray) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(self.style.token))
        shape = QTransform.fromScale(_SYMBOL_PX, _SYMBOL_PX).map(
            pg.graphicsItems.ScatterPlotItem.Symbols[SYMBOLS[self.style.symbol % len(SYMBOLS)]]
        )
        for at_x, at_y in zip(x, y, strict=True):
            if np.isfinite(at_y):
                painter.drawPath(shape.translated(at_x, at_y))


def _paint_columns(painter: QPainter, pen: QPen, box: QRectF, ratio: float, x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray) -> None:
    """Fill each column of pixels of `box` from the top to the bottom of what lies in it and half a pen's width beyond, with soft ends."""
    width, height = max(1, round(box.width() * ratio)), max(1, round(box.height() * ratio))
    left, upper = round(box.left() * ratio), round(box.top() * ratio)  # whole pixels: an image between them is drawn slowly
    x, tops, bottoms = x * ratio - left, tops * ratio - upper, bottoms * ratio - upper
    top, bottom = column_spans(x, tops, bottoms, width, max(1.0, pen.widthF() * ratio))
    if pen.dashPattern() and pen.style() == Qt.PenStyle.CustomDashLine:
        lengths = np.array(pen.dashPattern()) * max(pen.widthF(), 1) * ratio
        at = np.arange(width) % lengths.sum()
        bottom[np.searchsorted(np.cumsum(lengths), at, side="right") % 2 == 1] = -np.inf
    is_drawn = bottom > top
    if not is_drawn.any():
        return
    first = int(min(height, max(0, np.floor(top[is_drawn].min()))))
    last = int(min(height, max(0, np.ceil(bottom[is_drawn].max()))))
    if last <= first:
        return
    count = last - first
    whole = np.int16 if _LEVELS * (count + 2) < 2**15 else np.int32  # half the time of 32 bits, a quarter of floats
    rows = (_LEVELS * np.arange(count, dtype=whole))[:, None]
    top, bottom = (np.clip(_LEVELS * (edge - first), -_LEVELS, _LEVELS * (count + 1)).astype(whole) for edge in (top, bottom))
    cover = np.minimum(rows + whole(_LEVELS), bottom)
    cover -= np.maximum(rows, top)
    np.clip(cover, 0, _LEVELS, out=cover)
    pixels = _shades(pen.color().rgba()).take(cover.astype(np.uint8))
    image = QImage(pixels.data, width, count, pixels.strides[0], QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    painter.drawImage(QPointF(left / ratio, (upper + first) / ratio), image)


def column_spans(x: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, width: int, pen_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Top and bottom of each of `width` columns, float32, counting downwards: of the line through the middles of the points and of the
    points in it. Where there is nothing, top is inf and bottom -inf."""
    middle = (tops + bottoms) / 2
    edges = np.interp(np.arange(width + 1), x, middle, left=np.nan, right=np.nan)
    top, bottom = np.fmin(edges[:-1], edges[1:]), np.fmax(edges[:-1], edges[1:])
    is_cut = np.isnan(edges[:-1]) & np.isnan(edges[1:])
    half = pen_px / 2 * np.sqrt(1 + np.fmin(np.abs(np.diff(edges)), _STEEPEST) ** 2)
    column = np.floor(x).astype(np.int64)
    inside = (column >= 0) & (column < width) & np.isfinite(tops)
    top[is_cut], bottom[is_cut] = np.inf, -np.inf
    np.fmin.at(top, column[inside], tops[inside])
    np.fmax.at(bottom, column[inside], bottoms[inside])
    return (top - half).astype(np.float32), (bottom + half).astype(np.float32)


@lru_cache(maxsize=64)
def _shades(rgba: int) -> np.ndarray:
    """A colour covering 0 to _LEVELS parts of a pixel, as premultiplied pixels: uint32[_LEVELS + 1]."""
    alpha = np.arange(_LEVELS + 1) * (rgba >> 24) / _LEVELS
    parts = [np.round(alpha * channel / 255).astype(np.uint32) for channel in (255, rgba >> 16 & 255, rgba >> 8 & 255, rgba & 255)]
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]
