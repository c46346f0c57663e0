"""What lies over the learning-rate curves: handles, upright lines, marks of problems, names of the curves. One item paints it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen, QPixmap

from studio.gui.icon import paint_icon
from studio.gui.pages.schedule.handles import Handle, Look
from studio.gui.picture import kept_picture
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.view_item import ViewItem

HIT_PX = 12  # from the middle of a handle
_RADIUS_PX = {"peak": 7.5, "point": 5.5, "mark": 5.5}
_TAB_PX = (10, 18)  # of the grip of an edge
_ROW_PX = 15


@dataclass(frozen=True)
class Name:
    """A row of the legend."""

    text: str
    pen: QPen


@dataclass(frozen=True)
class Mark:
    """Where in time a problem lies."""

    step: float
    token: str  # "warn", "bad"


class GripLayer(ViewItem):
    """Paints in pixels over the view it is added to. `to_y` turns a rate into the units of the axis."""

    def __init__(self, to_y: Callable[[float], float]):
        super().__init__()
        self.setZValue(20)
        self._to_y = to_y
        self.handles: tuple[Handle, ...] = ()
        self.active: str | None = None  # key of the handle that keys move
        self.hovered: str | None = None
        self.has_focus = False
        self.marks: tuple[Mark, ...] = ()
        self.names: tuple[Name, ...] = ()
        self._legend: QPixmap | None = None
        self.legend_size = (0.0, 0.0)
        self.corner = (1.0, 0.0)  # of the legend: share of the width from the left, of the height from the top
        self.note: tuple[float, str] | None = None  # a step, and words that stand right of it
        self.end_of_curve: tuple[float, float] | None = None  # step and rate; joined with a final handle that lies behind it

    def place(self, handle: Handle) -> QPointF:
        """The middle of a handle in pixels of the scene."""
        box = self.getViewBox()
        at = box.mapViewToScene(QPointF(handle.step, self._to_y(handle.rate)))
        if handle.look == "edge":
            return QPointF(at.x(), self._tab(box.sceneBoundingRect(), at.x(), handle).center().y())
        return at

    def handle_at(self, at: QPointF) -> Handle | None:
        """The handle under a place of the scene; the nearest of several."""
        distances = [(max(abs((p := self.place(h) - at).x()), abs(p.y())), h) for h in self.handles]
        distance, handle = min(distances, key=lambda pair: pair[0], default=(np.inf, None))
        return handle if distance <= px(HIT_PX) else None

    def show_names(self, names: tuple[Name, ...]) -> None:
        self.names, self._legend = names, None
        metrics = QFontMetricsF(font("caption"))
        width = max((metrics.horizontalAdvance(name.text) for name in names), default=0.0)
        self.legend_size = width + px(46), len(names) * px(_ROW_PX) + px(8)

    def paint(self, painter: QPainter, option, widget=None) -> None:
        to_px = painter.transform()
        box = to_px.mapRect(self.boundingRect())
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        places = [(handle, to_px.map(QPointF(handle.step, self._to_y(handle.rate)))) for handle in self.handles]
        for handle, at in places:
            if handle.look in ("mark", "edge"):
                painter.setPen(pen("accent" if handle.key == self.hovered else "outline", 1, dash=(2, 3)))
                painter.drawLine(QPointF(at.x(), box.top()), QPointF(at.x(), box.bottom()))
        for mark in self.marks:
            self._paint_mark(painter, box, to_px.map(QPointF(mark.step, 0)).x(), mark.token)
        self._paint_legend(painter, box, widget.devicePixelRatioF() if widget else 1.0)
        if self.note:
            self._paint_note(painter, box, to_px.map(QPointF(self.note[0], 0)).x(), self.note[1])
        for handle, at in sorted(places, key=lambda pair: pair[0].look != "edge"):  # a tab does not cover a handle of the curve
            if handle.look == "edge":
                self._paint_edge(painter, box, at.x(), handle)
            elif box.adjusted(-9, -9, 9, 9).contains(at):
                self._paint_grip(painter, at, handle, to_px)
        painter.restore()

    def _paint_grip(self, painter: QPainter, at: QPointF, handle: Handle, to_px) -> None:
        if handle.key == "final" and self.end_of_curve and self.end_of_curve[0] < handle.step:
            painter.setPen(pen("series.0", 1.4, dash=(2, 3)))
            painter.drawLine(to_px.map(QPointF(self.end_of_curve[0], self._to_y(self.end_of_curve[1]))), at)
        is_active, is_hovered = self.has_focus and handle.key == self.active, handle.key == self.hovered
        _put(
            painter,
            at,
            f"grip {handle.look} {is_active} {is_hovered}",
            32,
            32,
            lambda p: _paint_grip(p, handle.look, is_active, is_hovered),
        )

    def _tab(self, box: QRectF, x: float, handle: Handle) -> QRectF:
        """The grip of an edge: that of the cool-down under that of the end, as both may be at the same place."""
        width, height = px(_TAB_PX[0]), px(_TAB_PX[1])
        return QRectF(x - width / 2, box.top() + 2 + (height + 6 if handle.key == "cooldown" else 0), width, height)

    def _paint_edge(self, painter: QPainter, box: QRectF, x: float, handle: Handle) -> None:
        is_active, is_hovered = self.has_focus and handle.key == self.active, handle.key == self.hovered
        at = self._tab(box, x, handle).center()
        _put(painter, at, f"tab {handle.key} {is_active} {is_hovered}", 24, 32, lambda p: _paint_tab(p, handle.key, is_active, is_hovered))

    def _paint_mark(self, painter: QPainter, box: QRectF, x: float, token: str) -> None:
        side = px(16)
        painter.setPen(pen(token, 1.5, dash=(4, 3)))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom() - side - 4))
        left = min(max(box.left() + 1, x - side / 2), box.right() - side - 1)
        painter.fillRect(QRectF(left - 2, box.bottom() - side - 4, side + 4, side + 4), colour("plot"))
        paint_icon(painter, QRectF(left, box.bottom() - side - 2, side, side).toRect(), "warning", token)

    def _paint_note(self, painter: QPainter, box: QRectF, x: float, words: str) -> None:
        painter.setFont(font("caption"))
        metrics = QFontMetricsF(font("caption"))
        width = min(metrics.horizontalAdvance(words), box.width() - 16)
        left = min(max(box.left() + 8, x + 8), box.right() - width - 36)
        rect = QRectF(left - 4, box.top() + 3, width + 8, metrics.height() + 4)
        painter.fillRect(rect, colour("plot", 0.86))
        painter.setPen(colour("text2"))
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), metrics.elidedText(words, Qt.TextElideMode.ElideRight, width + 1))

    def _paint_legend(self, painter: QPainter, box: QRectF, ratio: float) -> None:
        if not self.names:
            return
        width, height = self.legend_size
        room = px(14)
        left = box.left() + room + self.corner[0] * (box.width() - width - 2 * room)
        top = box.top() + room + self.corner[1] * (box.height() - height - 2 * room)
        if self._legend is None or self._legend.devicePixelRatio() != ratio:
            self._legend = self._drawn_legend(width, height, ratio)
        painter.drawPixmap(QPointF(round(left), round(top)), self._legend)

    def _drawn_legend(self, width: float, height: float, ratio: float) -> QPixmap:
        """Kept, as words are dear to draw at every move of a drag."""
        drawn = QPixmap(round(width * ratio), round(height * ratio))
        drawn.setDevicePixelRatio(ratio)
        drawn.fill(colour("plot", 0.86))
        painter = QPainter(drawn)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font("caption"))
        for row, name in enumerate(self.names):
            middle = px(4) + (row + 0.5) * px(_ROW_PX)
            painter.setPen(name.pen)
            painter.drawLine(QPointF(px(6), middle), QPointF(px(30), middle))
            painter.setPen(colour("text2"))
            words = QRectF(px(38), middle - px(8), width, px(16))
            painter.drawText(words, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name.text)
        painter.end()
        return drawn


def _put(painter: QPainter, at: QPointF, key: str, width: float, height: float, paint: Callable[[QPainter], object]) -> None:
    """Something with its middle at a place, from a kept picture: round edges take ten times as long to paint."""
    width, height = px(width), px(height)

    def paint_in_middle(on: QPainter) -> None:
        on.translate(width / 2, height / 2)
        paint(on)

    picture = kept_picture(key, painter.device().devicePixelRatioF(), lambda: (width, height), paint_in_middle)
    painter.drawPixmap(at - QPointF(width / 2, height / 2), picture)


def _paint_grip(painter: QPainter, look: Look, is_active: bool, is_hovered: bool) -> None:
    radius, middle = px(_RADIUS_PX[look]) + (1 if is_hovered else 0), QPointF(0, 0)
    if is_active:
        painter.setPen(pen("focus", 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(middle, radius + 4, radius + 4)
    is_filled = look == "peak" or is_hovered
    painter.setPen(pen("text" if look == "peak" else "series.0", 2))
    painter.setBrush(colour("series.0") if is_filled else colour("plot"))
    if look == "peak":
        painter.drawPolygon([QPointF(*d) for d in ((0, -radius), (radius, 0), (0, radius), (-radius, 0))])
    elif look == "mark":
        painter.drawRect(QRectF(1 - radius, 1 - radius, 2 * radius - 2, 2 * radius - 2))
    else:
        painter.drawEllipse(middle, radius, radius)


def _paint_tab(painter: QPainter, key: str, is_active: bool, is_hovered: bool) -> None:
    tab = QRectF(-px(_TAB_PX[0]) / 2, -px(_TAB_PX[1]) / 2, px(_TAB_PX[0]), px(_TAB_PX[1]))
    if is_active:
        painter.setPen(pen("focus", 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(tab.adjusted(-3, -3, 3, 3), 5, 5)
    painter.setPen(pen("series.0" if is_hovered else "outline", 1))
    painter.setBrush(colour("series.0" if is_hovered else "pressed"))
    painter.drawRoundedRect(tab, 3, 3)
    painter.setPen(pen("plot" if is_hovered else "text2", 1.2))
    if key == "cooldown":  # a slope down
        painter.drawPolyline([QPointF(tab.left() + 2, -4), QPointF(0, -4), QPointF(tab.right() - 2, 4)])
    else:
        for dx in (-1.5, 1.5):
            painter.drawLine(QPointF(dx, tab.top() + 5), QPointF(dx, tab.bottom() - 5))
