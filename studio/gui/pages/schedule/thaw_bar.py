"""The bar of one stage in the thaw timeline: frozen up to its mark, training behind it."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt, Signal, SignalInstance
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QWheelEvent
from PySide6.QtWidgets import QAbstractSlider, QSizePolicy, QWidget

from studio.core.words import format_number
from studio.gui.icon import paint_icon
from studio.gui.pages.schedule.curve import Length
from studio.gui.pages.schedule.thaw_plan import Epoch, thaw_words
from studio.gui.picture import kept_picture
from studio.gui.theme import colour, font, hatch, pen, px, theme
from studio.gui.wording import parameters

ROW_PX = 24
_MARK_PX = 9


class TimeScale:
    """Where the steps of a plot lie on the screen, for widgets that share its time axis without being part of it."""

    def __init__(self, plot: pg.PlotItem):
        self._plot = plot

    def on_changed(self, slot) -> None:
        """`slot` is called whenever steps may lie elsewhere."""
        box = self._plot.getViewBox()
        box.sigXRangeChanged.connect(lambda *_: slot())
        box.sigResized.connect(lambda *_: slot())

    def line(self, widget: QWidget) -> tuple[float, float]:
        """The place of step 0 in the coordinates of `widget` and the width of a step, px."""
        view, box = self._plot.scene().views()[0], self._plot.getViewBox()
        left = widget.mapFromGlobal(view.viewport().mapToGlobal(QPoint(0, 0))).x()
        at = view.mapFromScene(box.mapViewToScene(QPointF(0, 0)))
        return left + at.x(), 1 / box.viewPixelSize()[0]


@dataclass(frozen=True)
class Row:
    """One stage as the timeline shows it."""

    name: str
    title: str
    num_parameters: int
    epoch: Epoch
    factor: float
    is_head: bool = False
    has_own_rate: bool = False
    is_late: bool = False  # the run ends before its epoch
    is_partly: bool = False  # single layers train while the stage is frozen

    @property
    def words(self) -> str:
        """ "stage 4, thaws at epoch 3, × 0.5"."""
        when = {0: "trains from the start", None: "never trains"}.get(self.epoch, f"thaws {thaw_words(self.epoch)}")
        late = ", after the end of the run" if self.is_late else ""
        partly = " as a whole, single layers do" if self.is_partly else ""
        return f"{self.name}, {when}{late}{partly}, × {factor_words(self.factor)}"


class ThawBar(QAbstractSlider):
    """The bar of one stage: frozen up to its mark, training behind it. Its value is an epoch; one past the last means never.

    Drag the mark, double-click for from the start or never. Left and Right move by an epoch (Shift ten), Home is from the start,
    End never; Up and Down go to the next row. `moved` and `nudged` carry the wish, `moved` between `drag_started` and `drag_ended` while dragged.
    """

    moved = Signal(object)  # Epoch
    nudged = Signal(object)  # Epoch, by an arrow key: presses in a row belong together
    drag_started = Signal()
    drag_ended = Signal(bool)  # False when it was dropped: all is to be as before
    dragged_at = Signal(QPoint)  # global place of the pointer
    row_wanted = Signal(int)  # -1 the row above, 1 the row below
    hovered = Signal(bool)

    def __init__(self, scale: TimeScale, parent: QWidget | None = None):
        super().__init__(parent)
        self._scale, self._length, self._now = scale, Length(1, 1), None
        self._row = Row("", "", 0, 0, 1.0, is_head=True)
        self._picture, self._picture_of = QPixmap(), ()
        self.setFixedHeight(px(ROW_PX))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def row(self) -> Row:
        return self._row

    @property
    def epoch(self) -> Epoch:
        return self._row.epoch

    def show_row(self, row: Row, length: Length, now: int | None) -> None:
        self._row, self._length, self._now = row, length, now
        self.blockSignals(True)  # the value follows the draft; wishes go out as `moved`
        self.setRange(0, length.epochs)
        self.setPageStep(10)
        self.setValue(length.epochs if row.epoch is None else row.epoch)
        self.blockSignals(False)
        self.setAccessibleName(row.words)
        keys = "The head always trains." if row.is_head else "Left and Right move the mark by an epoch, Home from the start, End never."
        self.setAccessibleDescription(f"{parameters(row.num_parameters)} parameters. {keys}")
        self.update()

    # geometry

    def x_of(self, epoch: Epoch) -> float:
        """Where the mark of an epoch stands, px; never is the end of the run."""
        return self._places(epoch)[0]

    def _places(self, *epochs: Epoch) -> list[float]:
        origin, width = self._scale.line(self)
        last, per_epoch = self._length.epochs, self._length.steps_per_epoch
        return [origin + width * per_epoch * (last if epoch is None else min(epoch, last)) for epoch in epochs]

    def epoch_at(self, x: float) -> Epoch:
        """The nearest epoch; never from the end of the run on."""
        origin, width = self._scale.line(self)
        epoch = round((x - origin) / width / self._length.steps_per_epoch)
        return None if epoch >= self._length.epochs else max(0, epoch)

    def _is_on_mark(self, x: float) -> bool:
        return not self._row.is_head and abs(x - self.x_of(self._row.epoch)) <= px(12)

    # the hand

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._is_on_mark(event.position().x()):
            self.setSliderDown(True)
            self.drag_started.emit()
            self.dragged_at.emit(event.globalPosition().toPoint())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._want(self.epoch_at(event.position().x()))
            self.dragged_at.emit(event.globalPosition().toPoint())
            return
        self.setCursor(Qt.CursorShape.SplitHCursor if self._is_on_mark(event.position().x()) else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._end_drag()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._want(None if self._row.epoch == 0 else 0)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def enterEvent(self, event) -> None:
        super().enterEvent(event)
        self.hovered.emit(True)

    def leaveEvent(self, event) -> None:
        super().leaveEvent(event)
        self.hovered.emit(False)

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        self.hovered.emit(True)
        self.update()

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        self.hovered.emit(False)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        size = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        match event.key():
            case Qt.Key.Key_Left:
                self._step(-size)
            case Qt.Key.Key_Right:
                self._step(size)
            case Qt.Key.Key_Home:
                self._want(0)
            case Qt.Key.Key_End:
                self._want(None)
            case Qt.Key.Key_Up:
                self.row_wanted.emit(-1)
            case Qt.Key.Key_Down:
                self.row_wanted.emit(1)
            case Qt.Key.Key_Escape if self.isSliderDown():
                self._end_drag(is_kept=False)
            case _:
                event.ignore()

    def _step(self, by: int) -> None:
        epochs = self._length.epochs
        epoch = max(0, min(epochs if self._row.epoch is None else self._row.epoch, epochs) + by)
        self._want(None if epoch >= epochs else epoch, self.nudged)

    def _want(self, epoch: Epoch, signal: SignalInstance | None = None) -> None:
        if epoch != self._row.epoch and not self._row.is_head:
            (signal or self.moved).emit(epoch)

    def _end_drag(self, *, is_kept: bool = True) -> None:
        if self.isSliderDown():
            self.setSliderDown(False)
            self.drag_ended.emit(is_kept)

    # painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """From a picture that is kept: while a mark is dragged, the bubble beside the pointer lays the rows under it bare at every move."""
        ratio = self.devicePixelRatioF()
        left, right, cut = self._places(0, None, self._row.epoch)
        now = None if self._now is None else left + (right - left) * self._now / self._length.num_steps
        places = (left, right, cut, now)
        of = (self._row, places, self.size(), ratio, self.hasFocus(), theme().mode, theme().scale)
        if of != self._picture_of:
            self._picture_of = of
            self._picture = QPixmap(self.size() * ratio)
            self._picture.setDevicePixelRatio(ratio)
            self._picture.fill(Qt.GlobalColor.transparent)
            self._paint(QPainter(self._picture), *places)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        painter.end()

    def _paint(self, painter: QPainter, left: float, right: float, cut: float, now: float | None) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row = self._row
        bar = QRectF(round(left), 1, max(1, round(right) - round(left)), self.height() - 2)
        for state, first, end in (("frozen", bar.left(), round(cut)), ("trains", round(cut), bar.right())):
            if first < end:
                whole = self._ground(bar, state)
                ratio = whole.devicePixelRatio()
                source = QRectF((first - bar.left()) * ratio, 0, (end - first) * ratio, whole.height())
                painter.drawPixmap(QRectF(first, bar.top(), end - first, bar.height()), whole, source)
        self._paint_words(painter, bar, cut)
        if now is not None:
            painter.fillRect(QRectF(now - 1.5, 0, 3, self.height()), colour("surface"))
            painter.fillRect(QRectF(now - 0.75, 0, 1.5, self.height()), colour("trains"))
        if not row.is_head:
            self._paint_mark(painter, cut, "bad" if row.is_late else "text")
        if self.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(bar.adjusted(-2, 0, 2, 0), 5, 5)
        painter.end()

    def _ground(self, bar: QRectF, state: str) -> QPixmap:
        """The whole bar in one state, of which the part is shown that is in it."""
        rect = QRectF(0, 0, bar.width(), bar.height())

        def paint(painter: QPainter) -> None:
            painter.setPen(pen(f"{state}Edge"))
            painter.setBrush(colour(f"{state}Fill"))
            painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            if state == "frozen":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(hatch(colour("frozenEdge", 0.35), step=8, width=1.2))
                painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 4, 4)

        key = f"thaw bar {state} {rect.width()} {rect.height()}"
        return kept_picture(key, self.devicePixelRatioF(), lambda: (rect.width(), rect.height()), paint)

    def _paint_words(self, painter: QPainter, bar: QRectF, cut: float) -> None:
        """What each part is, in words with its icon, and at the end how many parameters; each where there is room."""
        row, room = self._row, px(10)
        frozen = "never" if row.epoch is None else f"epoch {row.epoch:,} is after the end" if row.is_late else "frozen"
        frozen += ", single layers train" if row.is_partly else ""
        trains = "always trains" if row.is_head else "from the start" if not row.epoch else f"from epoch {row.epoch:,}"
        for left, right, state, glyph, words in (
            (bar.left(), cut, "frozen", "snowflake", frozen),
            (cut, bar.right(), "trains", "flame", trains),
        ):
            inner = QRectF(left + room, bar.top(), right - left - 2 * room, bar.height())
            tag, sign = self._tag(state, glyph, words), self._tag(state, glyph, "")
            if tag.deviceIndependentSize().width() <= inner.width():
                painter.drawPixmap(QPointF(round(inner.left() - px(4)), inner.top()), tag)
                count = self._tag(state, "", parameters(row.num_parameters))
                needed = tag.deviceIndependentSize().width() + count.deviceIndependentSize().width() + room
                if right >= bar.right() - 1 and needed <= inner.width():
                    painter.drawPixmap(QPointF(round(inner.right() + px(4) - count.deviceIndependentSize().width()), inner.top()), count)
            elif sign.deviceIndependentSize().width() - 2 * px(4) <= inner.width():
                painter.drawPixmap(QPointF(round(inner.left() - px(4)), inner.top()), sign)

    def _tag(self, state: str, glyph: str, words: str) -> QPixmap:
        """An icon, words, or both, on a plain ground where the hatch would run through them; px(4) of it lie on either side."""
        height, side, edge, token = self.height() - 2, px(13), px(4), f"on{state.capitalize()}"
        start = edge + (px(18) if glyph and words else side if glyph else 0)

        def size() -> tuple[float, float]:
            return start + QFontMetricsF(font("caption")).horizontalAdvance(words) + edge, height

        def paint(painter: QPainter) -> None:
            if state == "frozen":
                painter.fillRect(QRectF(0, 3, size()[0], height - 6), colour("frozenFill"))
            if glyph:
                paint_icon(painter, QRect(edge, round((height - side) / 2), side, side), glyph, token)
            painter.setFont(font("caption"))
            painter.setPen(colour(token))
            painter.drawText(QRectF(start, 0, size()[0], height), int(Qt.AlignmentFlag.AlignVCenter), words)

        return kept_picture(f"thaw tag {state} {glyph} {words} {height}", self.devicePixelRatioF(), size, paint)

    def _paint_mark(self, painter: QPainter, x: float, token: str) -> None:
        grip = QRectF(x - px(_MARK_PX) / 2, 0.5, px(_MARK_PX), self.height() - 1)
        painter.setPen(pen("surface", 1))
        painter.setBrush(colour(token))
        painter.drawRoundedRect(grip, 3, 3)
        painter.setPen(pen("surface", 1.2))
        for dx in (-1.5, 1.5):
            painter.drawLine(QPointF(x + dx, grip.top() + px(7)), QPointF(x + dx, grip.bottom() - px(7)))


def factor_words(value: float) -> str:
    return format_number(float(f"{value:.2g}"))
