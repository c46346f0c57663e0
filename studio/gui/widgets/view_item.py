"""An item of a plot that may paint anywhere in its view."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QRectF


class ViewItem(pg.GraphicsObject):
    """Its bounds are the view's. They are kept until the view moves: Qt asks five times a repaint, and each answer of pyqtgraph's takes 20 us."""

    def __init__(self) -> None:
        super().__init__()
        self._bounds: QRectF | None = None

    def boundingRect(self) -> QRectF:
        if self._bounds is None:
            box = self.getViewBox()
            if box is None:
                return QRectF()
            self._bounds = box.viewRect()
        return self._bounds

    def viewRangeChanged(self) -> None:
        self._forget_bounds()

    def viewTransformChanged(self) -> None:
        self._forget_bounds()

    def viewChanged(self, view, old_view) -> None:
        self._forget_bounds()

    def _forget_bounds(self) -> None:
        self.prepareGeometryChange()
        self._bounds = None
