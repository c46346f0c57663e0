"""Gradient flow: how strongly each stage is pulled, as a heat map over steps. The head is on top; hatched means no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.fold import RunState
from studio.core.path_text import shown
from studio.gui.theme import colour, font, hatch, pen, px
from studio.gui.widgets.bubble import Bubble
from studio.gui.widgets.button import Segmented
from studio.gui.widgets.label import PlainLabel
from studio.gui.wording import count

WEAK_SHARE = 1e-3  # of the strongest stage: below it a stage that trains hardly learns
_LABEL_PX, _SCALE_PX, _FOOT_PX = 84, 46, 20


@dataclass(frozen=True)
class Flow:
    """`values_SC`: float64, stages in execution order by samples; NaN where a stage has no gradient. `steps_C` are their steps."""

    stages: tuple[str, ...]
    steps_C: np.ndarray
    values_SC: np.ndarray

    @property
    def weak(self) -> tuple[str, ...]:
        """Stages that train and get almost none, by the median of the last ten samples."""
        if not self.values_SC.size:
            return ()
        recent = self.values_SC[:, -10:]
        has_any = np.isfinite(recent).any(axis=1)
        medians = np.array([np.nanmedian(row) if ok else np.nan for row, ok in zip(recent, has_any, strict=True)])
        if not has_any.any():
            return ()
        top = np.nanmax(medians)
        return tuple(s for s, m in zip(self.stages, medians, strict=True) if np.isfinite(m) and m < WEAK_SHARE * top)


def flow_of(state: RunState, key: str) -> Flow | None:
    """`key`: norms or ratios. None before the first sample."""
    if not state.gradients or state.description is None:
        return None
    stages = tuple(stage.name for stage in state.description.stages)
    samples = [g for g in state.gradients if len(g.norms) == len(stages)]
    if not samples:
        return None
    norms = np.array([[np.nan if v is None else v for v in g.norms] for g in samples], float).T
    values = np.array([[np.nan if v is None else v for v in getattr(g, key)] for g in samples], float).T
    return Flow(stages, np.array([g.step for g in samples]), np.where(norms > 0, values, np.nan))


def levels_of(values_SC: np.ndarray) -> tuple[float, float]:
    """log10 of the least and greatest value that get colours of their own: the middle 98 %, one decade at least."""
    good = values_SC[np.isfinite(values_SC) & (values_SC > 0)]
    if not len(good):
        return -3.0, 0.0
    low, high = np.log10(np.percentile(good, [1, 99]))
    return (low, high) if high - low >= 1 else (high - 1, high)


def heat_pixels(values_SC: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    """uint8[stages reversed, samples, RGBA] in inferno; transparent where there is no gradient."""
    import pyqtgraph as pg

    table = pg.colormap.get("inferno").getLookupTable(0.0, 1.0, 256, alpha=False)
    low, high = levels
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (np.log10(values_SC) - low) / (high - low)
    known = np.isfinite(values_SC)
    level = np.clip(np.nan_to_num(share, nan=0.0, neginf=0.0, posinf=1.0) * 255, 0, 255).astype(np.uint8)
    pixels = np.zeros((*values_SC.shape, 4), np.uint8)
    pixels[..., :3] = table[level]
    pixels[..., 3] = np.where(known, 255, 0)
    return np.ascontiguousarray(pixels[::-1])


class _HeatMap(QWidget):
    """Paints a Flow; the pointer or the arrow keys read single values."""

    def __init__(self):
        super().__init__()
        self.setObjectName("train.flow")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(px(150), px(64))
        self._flow: Flow | None = None
        self._what = "gradient norm"
        self._steps_per_epoch = 1
        self._image: QImage | None = None
        self._pixels: np.ndarray | None = None  # the image's own memory
        self._levels = (-3.0, 0.0)
        self._at: tuple[int, int] | None = None  # row from the top, sample: what the keys read
        self._bubble: Bubble | None = None

    def show_flow(self, flow: Flow | None, what: str, steps_per_epoch: int) -> None:
        self._flow, self._what, self._steps_per_epoch = flow, what, max(1, steps_per_epoch)
        self._image = self._pixels = None
        if flow is not None:
            self._levels = levels_of(flow.values_SC)
            self._pixels = heat_pixels(flow.values_SC, self._levels)
            height, width = self._pixels.shape[:2]
            self._image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        self._say()
        self.update()

    def _say(self) -> None:
        flow = self._flow
        self.setAccessibleName("Gradient flow")
        if flow is None:
            self.setAccessibleDescription("Comes with the first steps.")
            return
        if self._at is not None:
            self.setAccessibleDescription(". ".join(self._words(*self._at)))
            return
        latest = flow.values_SC[:, -1]
        words = [f"{s} {v:.2g}" if np.isfinite(v) else f"{s} no gradient" for s, v in zip(flow.stages, latest, strict=True)]
        self.setAccessibleDescription(f"Latest {self._what}: {', '.join(words)}. Arrow keys read single values.")

    def sizeHint(self) -> QSize:
        return QSize(px(300), px(160))

    def _area(self) -> QRectF:
        return QRectF(
            px(_LABEL_PX), px(4), max(1, self.width() - px(_LABEL_PX) - px(_SCALE_PX)), max(1, self.height() - px(4) - px(_FOOT_PX))
        )

    def _cell(self, at: QPointF) -> tuple[int, int] | None:
        flow, area = self._flow, self._area()
        if flow is None or not area.contains(at):
            return None
        rows, columns = flow.values_SC.shape
        return min(rows - 1, int((at.y() - area.top()) / area.height() * rows)), min(
            columns - 1, int((at.x() - area.left()) / area.width() * columns)
        )

    def _words(self, row: int, column: int) -> tuple[str, str]:
        flow = self._flow
        stage = flow.stages[len(flow.stages) - 1 - row]
        value = flow.values_SC[len(flow.stages) - 1 - row, column]
        step = int(flow.steps_C[column])
        figure = f"{self._what} {value:.2e}" if np.isfinite(value) else "no gradient: it is frozen here"
        return f"{shown(stage)}, step {count(step + 1)}", figure

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self._cell(event.position())
        if cell is None:
            self._hide_bubble()
        else:
            self._show_bubble(cell, event.globalPosition().toPoint())

    def leaveEvent(self, event: QEvent) -> None:
        self._hide_bubble()

    def hideEvent(self, event) -> None:
        self._hide_bubble()
        super().hideEvent(event)

    def focusOutEvent(self, event) -> None:
        self._at = None
        self._hide_bubble()
        self._say()
        super().focusOutEvent(event)
        self.update()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            return True  # the bubble says it
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        move = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}.get(event.key())
        if move is None or self._flow is None:
            super().keyPressEvent(event)
            return
        rows, columns = self._flow.values_SC.shape
        row, column = self._at or (0, columns - 1)
        if self._at is not None:
            row, column = min(max(0, row + move[0]), rows - 1), min(max(0, column + move[1]), columns - 1)
        self._at = (row, column)
        area = self._area()
        place = QPointF(area.left() + (column + 0.5) * area.width() / columns, area.top() + (row + 0.5) * area.height() / rows)
        self._show_bubble(self._at, self.mapToGlobal(place.toPoint()))
        self._say()
        self.update()

    def _show_bubble(self, cell: tuple[int, int], at: QPoint) -> None:
        if self._bubble is None or self._bubble.parentWidget() is not self.window():
            self._bubble = Bubble(self.window())
        self._bubble.show_at(at, *self._words(*cell))

    def _hide_bubble(self) -> None:
        if self._bubble is not None:
            self._bubble.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = self._area()
        painter.fillRect(area, colour("plot"))
        painter.setFont(font("caption"))
        if self._flow is None or self._image is None:
            painter.setPen(colour("muted"))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), "Comes with the first steps")
            painter.end()
            return
        painter.fillRect(area, colour("frozenWash"))
        painter.fillRect(area, hatch(colour("frozenEdge", 0.5), step=8, width=1.4))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(area, self._image)
        self._paint_rows(painter, area)
        self._paint_steps(painter, area)
        self._paint_scale(painter, area)
        if self.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(area.adjusted(-1, -1, 1, 1))
        painter.end()

    def _paint_rows(self, painter: QPainter, area: QRectF) -> None:
        stages = self._flow.stages[::-1]
        weak = self._flow.weak
        height = area.height() / len(stages)
        every = max(1, round(px(13) / max(1.0, height) + 0.49))
        for row, name in enumerate(stages):
            y = area.top() + row * height
            if row:
                painter.fillRect(QRectF(area.left(), y - 0.5, area.width(), 1), colour("surface"))
            if row % every and name not in weak:
                continue
            painter.setPen(colour("warn" if name in weak else "text2"))
            words = painter.fontMetrics().elidedText(shown(name), Qt.TextElideMode.ElideRight, px(_LABEL_PX - 10))
            middle = QRectF(0, y + height / 2 - px(8), px(_LABEL_PX - 6), px(16))
            painter.drawText(middle, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), words)

    def _paint_steps(self, painter: QPainter, area: QRectF) -> None:
        painter.setFont(font("tick"))
        painter.setPen(colour("muted"))
        steps = self._flow.steps_C
        for share in (0.0, 0.5, 1.0):
            step = int(steps[round(share * (len(steps) - 1))])
            words = f"epoch {step / self._steps_per_epoch:.1f}"
            align = (
                Qt.AlignmentFlag.AlignLeft if share == 0 else Qt.AlignmentFlag.AlignRight if share == 1 else Qt.AlignmentFlag.AlignHCenter
            )
            painter.drawText(
                QRectF(area.left(), area.bottom() + 2, area.width(), px(_FOOT_PX - 2)), int(align | Qt.AlignmentFlag.AlignVCenter), words
            )

    def _paint_scale(self, painter: QPainter, area: QRectF) -> None:
        import pyqtgraph as pg

        table = pg.colormap.get("inferno").getLookupTable(0.0, 1.0, 64, alpha=False)
        bar = QRectF(area.right() + px(6), area.top(), px(8), area.height())
        strip = np.zeros((64, 1, 4), np.uint8)
        strip[:, 0, :3], strip[..., 3] = table[::-1], 255
        painter.drawImage(bar, QImage(np.ascontiguousarray(strip).data, 1, 64, 4, QImage.Format.Format_RGBA8888).copy())
        painter.setFont(font("tick"))
        painter.setPen(colour("muted"))
        for level, y in ((self._levels[1], bar.top()), (self._levels[0], bar.bottom() - px(14))):
            painter.drawText(
                QRectF(bar.right() + 3, y, px(34), px(14)),
                int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
                f"1e{level:.0f}",
            )


class FlowView(QWidget):
    """The heat map with the choice between gradient norm and size of the update, and a sentence when a stage gets almost none."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(px(6), 0, px(6), 0)
        column.setSpacing(px(3))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.which = Segmented([("norms", "Gradient"), ("ratios", "Update / weight")], "norms", name="train.flow.which")
        self.which.setAccessibleName("What the colours show")
        self.which.value_changed.connect(lambda _: self._draw())
        self.note_label = PlainLabel("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        row.addWidget(self.which)
        row.addWidget(self.note_label, 1)
        column.addLayout(row)
        self.map = _HeatMap()
        column.addWidget(self.map, 1)
        self._state = RunState()
        self._shown: tuple | None = None

    def show_state(self, state: RunState) -> None:
        self._state = state
        if self.isVisible():
            self._draw()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        """Only what is new: a heat map of a thousand columns takes milliseconds, ten times a second would be too many."""
        key = (self.which.value, len(self._state.gradients), self._state.gradients[-1].step if self._state.gradients else -1)
        if key == self._shown:
            return
        self._shown = key
        flow = flow_of(self._state, str(self.which.value))
        described = self._state.description
        words = "gradient norm" if self.which.value == "norms" else "update / weight"
        self.map.show_flow(flow, words, described.steps_per_epoch if described else 1)
        weak = flow.weak if flow is not None else ()
        self.note_label.set_tone("warn" if weak else "muted")
        self.note_label.setText(weak_words(weak) if weak else "hatched: frozen, no gradient")


def weak_words(stages: Sequence[str]) -> str:
    """ "stage 2 trains and gets almost no gradient"."""
    names = ", ".join(shown(s) for s in stages[:3]) + ("…" if len(stages) > 3 else "")
    return f"{names} {'trains' if len(stages) == 1 else 'train'} and {'gets' if len(stages) == 1 else 'get'} almost no gradient"
