"""Accuracy against cost: a point per backbone whose library names both."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QRubberBand, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.gui.pages.model.listing import GROUPS, NO_COST, Cost, Key, best_for_cost, facts, group_of, key_of, value_of, value_words
from studio.gui.pages.model.rows import group_symbol, group_token, symbol_path
from studio.gui.theme import colour, font, pen, px, theme
from studio.gui.widgets import Bubble, PlainLabel
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, nice_step, set_axis_label

_PYQTGRAPH_SYMBOLS = {"o": "o", "s": "s", "t": "t1", "d": "d"}  # its t points down
_AXIS_PX = 44
_LEAST_DRAG_PX = 8
_CROWD, _CROWD_SCALE = 200, 0.7  # so many points on 340 px hide each other
AXES = {
    "gflops": ("GFLOPs", "GFLOPs per image (log)"),
    "num_parameters": ("Parameters", "parameters, M (log)"),
    "ms_per_image": ("Time here", "measured ms per image here (log)"),
}


class BackboneScatter(QWidget):
    """A cost (logarithmic) against top-1; a point's size is the number of parameters. The table holds the same figures.

    A click emits `picked`, a double-click `chosen`, and a box drawn over points `boxed` with their keys (empty: the box held none).
    """

    picked = Signal(object)  # BackboneInfo
    chosen = Signal(object)
    boxed = Signal(object)  # list[Key]

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAccessibleName("Accuracy against cost")
        self.axis = "gflops"
        self._all: list[BackboneInfo] = []
        self._infos: list[BackboneInfo] = []
        self._costs: Mapping[Key, Cost] = {}
        self._chosen: Key = ("", "")
        self._selected: Key | None = None
        self._bubble: Bubble | None = None
        self._pressed: QPoint | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        self.hint = PlainLabel("", "caption", "muted", wrap=True)
        self.hint.hide()
        column.addWidget(self.hint)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.graphics.ci.setContentsMargins(0, 2, 2, 0)
        self.graphics.setMinimumHeight(px(110))
        self.plot = QuietPlot(WordAxis("left", _percent_ticks), WordAxis("bottom", _cost_ticks))
        self.graphics.addItem(self.plot, 0, 0)
        self.graphics.viewport().installEventFilter(self)
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, self.graphics.viewport())
        column.addWidget(self.graphics, 1)
        self.legend = _Legend()
        column.addWidget(self.legend)
        self._front = self.plot.plot()
        self._front.setZValue(1)
        self._points = pg.ScatterPlotItem(hoverable=True, pxMode=True, tip=None)
        self._points.setZValue(3)
        self._rings = pg.ScatterPlotItem(pxMode=True)
        self._rings.setZValue(4)
        self.plot.addItem(self._points)
        self.plot.addItem(self._rings)
        self._points.sigClicked.connect(self._on_points_clicked)
        self._points.sigHovered.connect(self._on_points_hovered)
        theme().changed.connect(self.restyle)
        self.restyle()

    @property
    def drawn(self) -> list[BackboneInfo]:
        """Those with a point: their accuracy and cost are known."""
        return self._infos

    def set_infos(self, infos: list[BackboneInfo]) -> None:
        self._all = infos
        self._draw()

    def set_costs(self, costs: Mapping[Key, Cost]) -> None:
        """What is known of costs here; the plot is drawn anew where it shows them."""
        self._costs = costs
        if self.axis == "ms_per_image":
            self._draw()

    def set_axis(self, axis: str) -> None:
        """One of AXES: what lies along x."""
        self.axis = axis
        self.restyle()

    def _value(self, info: BackboneInfo) -> float | None:
        return value_of(info, self.axis, self._costs.get(key_of(info), NO_COST))

    def _x(self, info: BackboneInfo) -> float:
        value = self._value(info)
        return math.log10(value / 1e6 if self.axis == "num_parameters" else value)

    def _size(self, info: BackboneInfo) -> float:
        """Diameter in px: its square grows with the root of the parameters, so that the largest do not cover the rest. Smaller in a crowd."""
        scale = _CROWD_SCALE if len(self._infos) > _CROWD else 1.0
        return scale * min(17.0, max(6.0, 4.2 * ((info.num_parameters or 0) / 1e6) ** 0.25))

    def set_marks(self, chosen: Key, selected: Key | None) -> None:
        self._chosen, self._selected = chosen, selected
        self._draw_rings()

    def restyle(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        self.plot.getAxis("left").setWidth(_AXIS_PX)
        set_axis_label(self.plot, "left", "ImageNet top-1, %")
        set_axis_label(self.plot, "bottom", AXES[self.axis][1])
        self._draw()

    def _draw(self) -> None:
        self._infos = [i for i in self._all if i.top1 is not None and self._value(i)]
        spots = []
        for info in self._infos:
            group = group_of(info)
            token = group_token(group)
            spots.append(
                {
                    "pos": (self._x(info), info.top1 * 100), "data": info, "size": self._size(info),
                    "symbol": _PYQTGRAPH_SYMBOLS[group_symbol(group)], "pen": pen(token, 1.4),
                    "brush": colour(token) if info.is_installed else colour("plot"),
                }
            )  # fmt: skip
        self._points.setData(spots)
        scale = 1e6 if self.axis == "num_parameters" else 1.0
        front = best_for_cost(self._infos, self.axis, self._costs)
        self._front.setData([math.log10(g / scale) for g, _ in front], [t * 100 for _, t in front])
        self._front.setPen(pen("outline", 1, 0.8, (2, 3)))
        if self._infos:
            xs, ys = [self._x(i) for i in self._infos], [i.top1 * 100 for i in self._infos]
            room_x, room_y = max(0.15, (max(xs) - min(xs)) * 0.06), max(1.0, (max(ys) - min(ys)) * 0.08)
            self.plot.setXRange(min(xs) - room_x, max(xs) + room_x, padding=0)
            self.plot.setYRange(min(ys) - room_y, max(ys) + room_y, padding=0)
        self._draw_rings()
        self.hint.setVisible(bool(self._all) and not self._infos)
        name = AXES[self.axis][0]
        self.setAccessibleDescription(
            f"{len(self._infos)} backbones with known accuracy and {name}; the table below holds the figures."
            if self._infos
            else f"Of no backbone in the list are accuracy and {name} known."
        )
        missing = " Measure one, in its row’s menu." if self.axis == "ms_per_image" else ""
        self.hint.setText("" if self._infos else f"{self.accessibleDescription()}{missing}")

    def _draw_rings(self) -> None:
        spots = []
        for info in self._infos:
            key = key_of(info)
            if key in (self._chosen, self._selected):
                spots.append(
                    {
                        "pos": (self._x(info), info.top1 * 100), "size": self._size(info) + 10, "symbol": "o", "brush": None,
                        "pen": pen("accent" if key == self._chosen else "text", 2),
                    }
                )  # fmt: skip
        self._rings.setData(spots)

    # the hand

    def eventFilter(self, watched, event: QEvent) -> bool:
        """A drag over the plot boxes points; a click stays with them."""
        if isinstance(event, QMouseEvent):
            at = event.position().toPoint()
            if event.type() == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton:
                self._pressed = at
            elif event.type() == QEvent.Type.MouseMove and self._pressed is not None:
                if self._band.isVisible() or (at - self._pressed).manhattanLength() > _LEAST_DRAG_PX:
                    self._band.setGeometry(QRect(self._pressed, at).normalized().adjusted(0, 0, 1, 1))
                    self._band.show()
                    self._hide_bubble()
                    return True
            elif event.type() == QEvent.Type.MouseButtonRelease and self._pressed is not None:
                pressed, self._pressed = self._pressed, None
                if self._band.isVisible():
                    self._band.hide()
                    self.box(QRect(pressed, at).normalized())
        return super().eventFilter(watched, event)

    def box(self, rect: QRect) -> None:
        """Choose the points in a rectangle of the plot's view, px."""
        view = self.plot.getViewBox()
        corners = [view.mapSceneToView(self.graphics.mapToScene(p)) for p in (rect.topLeft(), rect.bottomRight())]
        (left, right), (low, high) = (sorted(getattr(c, name)() for c in corners) for name in ("x", "y"))
        self.boxed.emit([key_of(i) for i in self._infos if left <= self._x(i) <= right and low <= i.top1 * 100 <= high])

    def place_of(self, info: BackboneInfo) -> QPoint:
        """Where a point stands in the plot's view, px."""
        return self.graphics.mapFromScene(self.plot.getViewBox().mapViewToScene(QPointF(self._x(info), info.top1 * 100)))

    def _on_points_clicked(self, _item, points, event) -> None:
        if len(points):
            info = points[0].data()
            (self.chosen if event.double() else self.picked).emit(info)

    def _on_points_hovered(self, _item, points, event) -> None:
        if not len(points) or self._band.isVisible():
            self._hide_bubble()
            return
        info = points[0].data()
        if self._bubble is None:
            self._bubble = Bubble(self.window())
        at = event.screenPos()
        state = "installed" if info.is_installed else "to download"
        more = f", {len(points) - 1} more here" if len(points) > 1 else ""
        cost = self._costs.get(key_of(info), NO_COST)
        here = f" · {value_words(info, 'images_per_s', cost)} images/s here" if cost.images_per_s else ""
        self._bubble.show_at(QPoint(round(at.x()), round(at.y())), f"{info.title}  {state}{more}", facts(info) + here)

    def _hide_bubble(self) -> None:
        if self._bubble is not None:
            self._bubble.hide()

    def leaveEvent(self, event) -> None:
        self._hide_bubble()

    def hideEvent(self, event) -> None:
        self._hide_bubble()
        super().hideEvent(event)


class _Legend(QWidget):
    """The marks of the families, in as many rows as the width needs."""

    def __init__(self):
        super().__init__()
        self.setAccessibleName("Marks: " + ", ".join(GROUPS))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(px(120))
        self.setFixedHeight(px(36))

    def _places(self, width: int) -> list[tuple[str, float, float]]:
        metrics, found, x, y = QFontMetricsF(font("caption")), [], 0.0, 0.0
        for group in GROUPS:
            need = px(18) + metrics.horizontalAdvance(group) + px(12)
            if x and x + need - px(12) > width:
                x, y = 0.0, y + px(18)
            found.append((group, x, y))
            x += need
        return found

    def resizeEvent(self, event) -> None:
        self.setFixedHeight(round(self._places(self.width())[-1][2] + px(18)))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font("caption"))
        for group, x, y in self._places(self.width()):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour(group_token(group)))
            painter.drawPath(symbol_path(group_symbol(group), QPointF(x + px(6), y + px(9)), px(3.6)))
            painter.setPen(colour("text2"))
            painter.drawText(QPointF(x + px(16), y + px(13)), group)
        painter.end()


def _percent_ticks(low: float, high: float, pixels: float) -> list[tuple[float, str]]:
    step = max(1.0, nice_step(high - low, max(2, int(pixels / 34))))
    return [(k * step, f"{k * step:.0f}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _cost_ticks(low: float, high: float, pixels: float) -> list[tuple[float, str]]:
    marks = [(k + math.log10(m), f"{m * 10.0**k:g}") for k in range(math.floor(low), math.ceil(high) + 1) for m in (1, 3)]
    inside = [(p, w) for p, w in marks if low <= p <= high]
    return inside if len(inside) * px(34) <= pixels else [(p, w) for p, w in inside if abs(p - round(p)) < 1e-9]
