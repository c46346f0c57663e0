"""The mouse on the learning-rate plot: it takes handles and drags them, reads values, and adds a handle at a double-click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent

from studio.gui.pages.schedule.hand import Drag
from studio.gui.pages.schedule.handles import Handle, added_at, settings_at
from studio.gui.widgets import Bubble

if TYPE_CHECKING:
    from studio.gui.pages.schedule.plot import RatePlot

_GRAB = {"both": Qt.CursorShape.OpenHandCursor, "time": Qt.CursorShape.SplitHCursor, "rate": Qt.CursorShape.SplitVCursor}


class PlotPointer(QObject):
    """Ctrl snaps to epochs, Shift locks the other axis, Alt moves finely. Places are in the plot's scene, px."""

    def __init__(self, plot: RatePlot):
        super().__init__(plot)
        self._plot = plot
        self.drag: Drag | None = None
        self._bubble: Bubble | None = None
        viewport = plot.graphics.viewport()
        viewport.setMouseTracking(True)
        viewport.setCursor(Qt.CursorShape.CrossCursor)
        viewport.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QMouseEvent) or self._plot.shown is None:
            if event.type() == QEvent.Type.Leave and self.drag is None:
                self._hover(None, None)
            return False
        at = self._plot.graphics.mapToScene(event.position().toPoint())
        match event.type():
            case QEvent.Type.MouseButtonPress if event.button() == Qt.MouseButton.LeftButton:
                handle = self._plot.grips.handle_at(at)
                if handle is not None:
                    self.take(handle, at)
                    return True
            case QEvent.Type.MouseMove if self.drag is not None:
                self.drag_to(at, event.modifiers(), event.globalPosition().toPoint())
                return True
            case QEvent.Type.MouseMove:
                self._hover(self._plot.grips.handle_at(at), at)
            case QEvent.Type.MouseButtonRelease if self.drag is not None and event.button() == Qt.MouseButton.LeftButton:
                self.release()
                return True
            case QEvent.Type.MouseButtonDblClick if event.button() == Qt.MouseButton.LeftButton:
                return self._add(at)
        return False

    def take(self, handle: Handle, at: QPointF) -> None:
        """Begin a drag."""
        plot = self._plot
        plot.setFocus(Qt.FocusReason.MouseFocusReason)
        plot.grips.has_focus = False  # the ring is for keys
        plot.grips.active = plot.grips.hovered = handle.key
        box = plot.plot.getViewBox()
        inverse = box.childGroup.sceneTransform().inverted()[0]
        offset = box.mapViewToScene(QPointF(handle.step, float(plot.to_y(handle.rate)))) - at
        if handle.look == "edge":
            offset.setY(0)
        self.drag = Drag(handle, plot.shown.schedule, plot.shown.length, plot.scale, at, inverse, plot.bottom, offset, at, at)
        plot.graphics.viewport().setCursor(Qt.CursorShape.ClosedHandCursor if handle.axes == "both" else _GRAB[handle.axes])
        if self._bubble is None or self._bubble.parentWidget() is not plot.window():
            self._bubble = Bubble(plot.window(), second="caption")
        plot.drag_started.emit()
        plot.hovered.emit("Ctrl: epochs · Shift: one axis · Alt: fine · Esc: back")
        plot.grips.update()

    def drag_to(self, at: QPointF, mods: Qt.KeyboardModifier, place: QPoint) -> None:
        """Ask for the dragged handle to be where the pointer is. `place`: on the screen, for the bubble."""
        drag = self.drag
        self._plot.ask(settings_at(drag.schedule, drag.length, drag.handle, *drag.moved_to(at, mods)))
        handle = next((h for h in self._plot.handles if h.key == drag.handle.key), None)
        if handle is not None:
            self._bubble.show_at(place, handle.words(self._plot.shown.length), f"sets the {handle.sets}", beside=self._plot)

    def release(self, *, is_kept: bool = True) -> None:
        """End the drag; dropped unless it is kept."""
        plot = self._plot
        self.drag = None
        plot.graphics.viewport().setCursor(Qt.CursorShape.CrossCursor)
        self._bubble.hide()
        plot.drag_ended.emit(is_kept)
        plot.draw()
        if plot.active_handle:
            plot.announce(plot.active_handle.words(plot.shown.length))

    @property
    def is_bubble_shown(self) -> bool:
        return self._bubble is not None and self._bubble.isVisible()

    def _hover(self, handle: Handle | None, at: QPointF | None) -> None:
        plot, grips = self._plot, self._plot.grips
        key = handle.key if handle else None
        if key != grips.hovered:
            grips.hovered = key
            grips.update()
            plot.graphics.viewport().setCursor(_GRAB[handle.axes] if handle else Qt.CursorShape.CrossCursor)
        if handle is not None:
            plot.hovered.emit(f"{handle.words(plot.shown.length)}: sets the {handle.sets}")
        elif at is not None and plot.plot.getViewBox().sceneBoundingRect().contains(at):
            plot.hovered.emit(self._words_at(at))
        else:
            plot.hovered.emit("")

    def _words_at(self, at: QPointF) -> str:
        """The head's rate there, and that of another stage whose curve is under the pointer."""
        length, curves = self._plot.shown.length, self._plot.shown.curves
        box = self._plot.plot.getViewBox()
        place = box.mapSceneToView(at)
        step = round(min(max(0.0, place.x()), length.num_steps - 1))
        near = min(int(np.searchsorted(curves.steps, step)), len(curves.steps) - 1)
        words = f"epoch {step / length.steps_per_epoch:.2f}, step {step:,}: {curves.head[near]:.2e}"
        away = np.abs(self._plot.to_y(np.nan_to_num(curves.rates[near])) - place.y()) / box.viewPixelSize()[1]
        stage = int(np.argmin(away))
        if stage < len(curves.stages) - 1 and away[stage] < 6:
            words += f", {curves.stages[stage]} {curves.rates[near, stage]:.2e}"
        if more := self._plot.also_words_at(step):
            words += f"; {more}"
        return words

    def _add(self, at: QPointF) -> bool:
        """A point, milestone or piece more, where the pointer is."""
        plot, box = self._plot, self._plot.plot.getViewBox()
        if not box.sceneBoundingRect().contains(at):  # another plot, which shares the scene
            return False
        place = box.mapSceneToView(at)
        rate = 10 ** place.y() if plot.scale == "log" else max(0.0, place.y())
        settings = added_at(plot.shown.schedule, plot.shown.length, place.x(), rate)
        if settings is None or plot.grips.handle_at(at) is not None:
            return False
        plot.ask(settings)
        plot.keys.choose_nearest(place.x())
        return True
