"""Curves over a shared x axis: the plots of the Train and Results pages. pyqtgraph behind one small interface.

Drag pans x, the wheel zooms x, Shift and wheel zoom y, a double-click fits. A legend entry hides its curve, a double-click on it
shows that curve alone. Every value can be read without the picture: "Read values" and "Save values as CSV" in the menu, and the accessible
description. From the keyboard: arrows move the cross-hair, + and - zoom, Page Up and Down pan, 0 fits, L is the log axis, Menu opens the menu.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QGraphicsItem, QVBoxLayout, QWidget

from studio.core.trace import Trace
from studio.gui.theme import pen, px, theme
from studio.gui.widgets.curve_item import CurveItem
from studio.gui.widgets.curve_legend import CurveLegend, ValueBubble
from studio.gui.widgets.curve_menu import curve_menu
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.curve_table import CurveTable, CurveTableDialog
from studio.gui.widgets.curve_view import CurveView
from studio.gui.widgets.plot_axis import LogAxis, PlainAxis
from studio.gui.widgets.plot_guides import PlotGuides
from studio.gui.widgets.plot_marks import Mark, PlotMarks
from studio.gui.widgets.plot_style import QuietPlot, set_axis_label


class CurvePlot(QWidget):
    """One plot. `set_curve` draws, `set_x_range` and `set_y_range` frame, `set_cross` shows values at an x."""

    hovered = Signal(object)  # x of the pointer, None when it leaves
    range_moved = Signal()  # by the user
    fit_requested = Signal()

    def __init__(self, name: str, title: str, *, left: pg.AxisItem | None = None, bottom: pg.AxisItem | None = None, left_label: str = "",
                 corner: str = "top right", axis_width: int = 54, parent: QWidget | None = None):  # fmt: skip
        super().__init__(parent)
        self.setObjectName(name)
        self.setAccessibleName(title)
        self.title = title
        self._styles: dict[str, CurveStyle] = {}
        self._traces: dict[str, Trace] = {}
        self._items: dict[str, CurveItem] = {}
        self._hidden: set[str] = set()
        self._y_frame = (0.0, 0.0)  # in plot units, as set_y_range left it
        self._left_label = left_label
        self._bottom_label = ""
        self._room_above = 0
        self._transform_y: Callable[[np.ndarray], np.ndarray] | None = getattr(left, "to_plot", None)
        self.show_x: Callable[[float], str] = lambda x: f"{x:,.4g}"
        left = left or PlainAxis("left")
        self._axis_of = {isinstance(left, LogAxis): left}  # by whether it is logarithmic; the other is made when it is asked for
        self.view = CurveView()
        self.view.moved.connect(self.range_moved)
        self.view.fit_wanted.connect(self.fit)
        self.view.menu_wanted.connect(self.open_menu)
        self.plot = QuietPlot(left, bottom or PlainAxis("bottom"), axis_width_px=px(axis_width), view=self.view)
        self.plot.layout.setContentsMargins(0, 6, 10, 0)
        self.widget = pg.PlotWidget(self, plotItem=self.plot, background=None)
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.widget.setFrameShape(self.widget.Shape.NoFrame)
        self.widget.setStyleSheet("background: transparent")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMinimumSize(px(150), px(64))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.widget)
        self._cross = pg.InfiniteLine(angle=90, movable=False)
        self._cross.setZValue(20)
        self._cross.hide()
        self.plot.addItem(self._cross, ignoreBounds=True)
        self._marks = PlotMarks(self.plot)
        self.guides = PlotGuides(self.plot)
        self.legend = CurveLegend(self, corner)
        self.view.sigResized.connect(self._on_view_resized)
        self._bubble = ValueBubble(self)
        self.widget.viewport().installEventFilter(self)
        self.widget.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.widget.viewport().setMouseTracking(True)
        self.widget.viewport().setCursor(Qt.CursorShape.CrossCursor)
        theme().changed.connect(self._restyle)
        self._restyle()

    # What is drawn

    def set_curve(self, key: str, x: np.ndarray, y: np.ndarray, style: CurveStyle) -> None:
        """Draw or replace a curve: float64[n] each, x ascending, y may hold nan. Keys keep the order of their first use."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        old = self._traces.get(key)
        if old is None or not (np.array_equal(old.x, x) and np.array_equal(old.y, y, equal_nan=True)):
            old = Trace(self._transform_y)
            old.extend(x, y)
        self.set_trace(key, old, style)

    def set_trace(self, key: str, trace: Trace, style: CurveStyle, *, has_grown: bool = False) -> None:
        """Draw a curve that its owner extends: in plot units of this plot from now on. has_grown: there is more of it than was drawn."""
        trace.set_units(self._transform_y)
        item = self._items.get(key)
        is_new = item is None or self._traces[key] is not trace
        is_new_style = self._styles.get(key) != style
        self._styles[key], self._traces[key] = style, trace
        if item is None:
            item = self._items[key] = CurveItem(trace, style)
            item.setZValue({"raw": 1, "ghost": 2, "planned": 3}.get(style.kind, 4))
            item.setVisible(key not in self._hidden)
            self.plot.addItem(item, ignoreBounds=True)
        item.trace, item.style = trace, style
        if is_new or is_new_style or has_grown:
            item.update()
        if is_new_style:
            self.legend.refresh()

    def remove_curve(self, key: str) -> None:
        if key in self._items:
            self.plot.removeItem(self._items.pop(key))
            del self._styles[key], self._traces[key]
            self.legend.refresh()

    def clear(self) -> None:
        for key in list(self._items):
            self.remove_curve(key)
        self.set_marks(())
        self.forget_frame()
        self.guides.clear()

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Vertical lines of what happened: (x, word, colour token)."""
        self._marks.set(marks)

    @property
    def marks(self) -> tuple[Mark, ...]:
        return self._marks.marks

    def mark_words(self) -> list[tuple[float, float]]:
        """Left and right edges, px, of the words that stand at the lower edge beside the marks."""
        return self._marks.shown_words()

    def set_guide(self, key: str, y: float | None, token: str = "outline", word: str = "") -> None:
        """A horizontal reference line at `y` in data units; None removes it."""
        self.guides.set(key, y, token, word, self._transform_y)

    def set_x_label(self, text: str) -> None:
        if text != self._bottom_label:
            self._bottom_label = text
            self._label_axes()

    def set_left_label(self, text: str) -> None:
        if text != self._left_label:
            self._left_label = text
            self._label_axes()

    def set_x_range(self, low: float, high: float) -> None:
        """Frame x with 1 % room so that the end labels stay."""
        if high > low:
            self.view.setXRange(low, high, padding=0.01)

    def set_y_range(self, low: float, high: float) -> None:
        """In data units."""
        if self._transform_y:
            low, high = (float(v) for v in self._transform_y(np.array([low, high])))
        if np.isfinite(low) and np.isfinite(high) and high > low:
            was_low, was_high = self._y_frame
            if was_low <= low and high <= was_high and was_high - was_low <= 1.25 * (high - low):
                return  # a frame that follows every step would draw the axes anew each time
            self._y_frame = (low, high)
            self.view.setYRange(low, high, padding=0.02)

    def fit(self) -> None:
        """Ask for the whole: whoever draws frames it."""
        self.forget_frame()
        self.fit_requested.emit()

    def forget_frame(self) -> None:
        """Let the next set_y_range frame anew, whatever the view shows."""
        self._y_frame = (0.0, 0.0)

    @property
    def is_log(self) -> bool:
        return self._transform_y is not None

    def set_log(self, is_log: bool) -> None:
        """Draw y on a logarithmic axis or a linear one; all curves are framed anew. What is not above 0 is a gap on a logarithmic axis."""
        if is_log == self.is_log:
            return
        if is_log not in self._axis_of:
            factor = self._axis_of[not is_log].factor
            self._axis_of[is_log] = LogAxis("left", factor=factor) if is_log else PlainAxis("left", factor=factor)
        low, high = self._frame_in_data_units()
        self.plot.setAxisItems({"left": self._axis_of[is_log]})
        self._transform_y = LogAxis.to_plot if is_log else None
        for key, trace in self._traces.items():
            trace.set_units(self._transform_y)
            self._items[key].update()
        self.guides.place(self._transform_y)
        if is_log and low <= 0:
            lows = [extent[0] for extent in map(self.curve_extent, self._traces) if np.isfinite(extent[0])]
            low = min(lows, default=high / 100)
        self.forget_frame()
        self.set_y_range(low, high)
        self._restyle()
        self.fit()

    def set_factor(self, factor: float) -> None:
        """What values are multiplied by on the axis: 100 for fractions shown in percent."""
        for axis in self._axis_of.values():
            axis.factor = factor
            axis.picture = None
            axis.update()

    def _frame_in_data_units(self) -> tuple[float, float]:
        low, high = self.view.viewRange()[1]
        return (10.0**low, 10.0**high) if self._transform_y else (low, high)

    # What is read

    def curve_data(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """All points of a curve, in data units: float64[n] each; empty for an unknown key."""
        trace = self._traces.get(key)
        return (trace.x, trace.y) if trace else (np.empty(0), np.empty(0))

    def curve_extent(self, key: str) -> np.ndarray:
        """Least and greatest y of a curve, in data units: float64[2], nan where there is none to draw."""
        trace = self._traces.get(key)
        extent = np.array(trace.extent() if trace else (np.nan, np.nan))
        return 10.0**extent if self._transform_y else extent

    def curve_seen(self, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is painted of a curve: x, least and greatest y, in plot units."""
        return self._items[key].seen()

    def curve_keys(self) -> tuple[str, ...]:
        return tuple(self._styles)

    def style_of(self, key: str) -> CurveStyle:
        return self._styles[key]

    def table(self) -> CurveTable:
        """All points of all curves, as they are now."""
        return CurveTable(self._bottom_label or "x", [(style.label, *self.curve_data(key)) for key, style in self._styles.items()])

    def values_text(self) -> str:
        """All points as CSV."""
        return self.table().as_csv()

    def read_values(self) -> CurveTableDialog:
        dialog = CurveTableDialog(f"{self.objectName()}.values", self.title, self.table(), self)
        dialog.show()
        return dialog

    def set_cross(self, x: float | None, *, with_bubble: bool = True) -> None:
        """A vertical line and the values of all curves at `x`; None takes it away."""
        if x is None:
            self._cross.hide()
            self._bubble.hide()
            return
        self._cross.setPos(x)
        self._cross.show()
        rows = [(self.show_x(x), "text")]
        for key, style in self._styles.items():
            if style.kind == "raw" or key in self._hidden:
                continue
            value = self._traces[key].value_at(x)
            if value is not None:
                rows.append((f"{style.label} {style.show(value)}", "text2" if style.kind == "ghost" else style.token))
        if with_bubble and len(rows) > 1:
            at = self.view.mapViewToScene(pg.Point(x, 0))
            box = self.view.sceneBoundingRect()
            if box.left() <= at.x() <= box.right():
                self._bubble.show_rows(rows, self.widget.mapFromScene(at).x(), box)
                return
        self._bubble.hide()

    def describe(self, sentence: str) -> None:
        """What the plot says, for those who do not see it: last, best, trend."""
        self.setAccessibleDescription(sentence)

    def set_room_above(self, height: int) -> None:
        """px above the axes, for a legend that finds no corner."""
        if height != self._room_above:  # each time, the axes are laid out anew
            self._room_above = height
            self.plot.layout.setContentsMargins(0, height + px(4) if height else 6, 10, 0)

    def _on_view_resized(self) -> None:
        self.legend.refresh()
        self.legend.settle_soon()

    # Visibility of curves

    def is_curve_hidden(self, key: str) -> bool:
        return key in self._hidden

    def set_curve_hidden(self, key: str, hidden: bool) -> None:
        (self._hidden.add if hidden else self._hidden.discard)(key)
        for other in self._items:  # a raw curve goes with the smoothed one of its colour
            if other == key or other == f"{key}.raw":
                self._items[other].setVisible(key not in self._hidden)
        self.legend.refresh()

    def show_alone(self, key: str) -> None:
        others = [k for k in self.legend_keys() if k != key]
        is_alone = all(k in self._hidden for k in others) and key not in self._hidden
        for other in others:
            self.set_curve_hidden(other, not is_alone)
        self.set_curve_hidden(key, False)

    def legend_keys(self) -> list[str]:
        return [key for key, style in self._styles.items() if style.kind != "raw"]

    # Menu, keys, pointer

    def open_menu(self, at: QPoint) -> None:
        menu = curve_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys of the module's first lines; Home and End move the cross-hair to the ends."""
        key = event.key()
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End):
            self._step_cross(key)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            about = self._cross.value() if self._cross.isVisible() else None
            self.view.zoom_x(1.25 if key == Qt.Key.Key_Minus else 0.8, about)
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.view.pan_x(-0.25 if key == Qt.Key.Key_PageUp else 0.25)
        elif key == Qt.Key.Key_0:
            self.fit()
        elif key == Qt.Key.Key_L:
            self.set_log(not self.is_log)
        elif key == Qt.Key.Key_Menu:
            self.open_menu(self.mapToGlobal(self.rect().center()))
        else:
            super().keyPressEvent(event)

    def _step_cross(self, key: Qt.Key) -> None:
        low, high = self.view.viewRange()[0]
        ends = [trace.x for trace in self._traces.values() if len(trace)]
        if not ends:
            return
        first, last = max(low, min(x[0] for x in ends)), min(high, max(x[-1] for x in ends))
        now = self._cross.value() if self._cross.isVisible() else last
        step = (high - low) / 50
        x = {Qt.Key.Key_Left: now - step, Qt.Key.Key_Right: now + step, Qt.Key.Key_Home: first, Qt.Key.Key_End: last}[key]
        self.hovered.emit(float(min(last, max(first, x))))

    def contextMenuEvent(self, event) -> None:
        if event.reason() == event.Reason.Keyboard:
            self.open_menu(self.mapToGlobal(self.rect().center()))

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        self.hovered.emit(None)
        self.update()

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
            painter.end()

    def eventFilter(self, watched, event: QEvent) -> bool:
        if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            at = self.widget.mapToScene(event.position().toPoint())
            inside = self.view.sceneBoundingRect().contains(at)
            self.hovered.emit(float(self.view.mapSceneToView(at).x()) if inside else None)
        elif event.type() == QEvent.Type.Leave:
            self.hovered.emit(None)
        return super().eventFilter(watched, event)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.legend.place()

    def sizeHint(self) -> QSize:
        return QSize(px(320), px(200))

    # Style

    def _restyle(self) -> None:
        self.plot.restyle()
        for side in ("left", "bottom"):  # played back, the axes take most of a repaint
            self.plot.getAxis(side).setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._label_axes()
        self._cross.setPen(pen("text2", 1))
        for item in self._items.values():
            item.update()
        self._marks.restyle()
        self.guides.restyle()
        self.legend.refresh()

    def _label_axes(self) -> None:
        if self._left_label:
            set_axis_label(self.plot, "left", f"{self._left_label} (log)" if self.is_log else self._left_label)
        if self._bottom_label:
            set_axis_label(self.plot, "bottom", self._bottom_label)
            self.plot.getAxis("bottom").setHeight(px(34))
