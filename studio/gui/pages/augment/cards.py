"""Cards of the pipeline: one step, one way of mixing batches, and the steps that are always there."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.experiment import TransformSpec
from studio.gui.icon import paint_icon
from studio.gui.pages.augment.words import detail_of, title_of
from studio.gui.theme import colour, px
from studio.gui.widgets import IconLabel, PlainLabel, Slider, Toggle, icon_button, restyle, set_plain_tooltip
from studio.gui.widgets.dashed import DashedFrame
from studio.gui.wording import NBSP

SAFETY_TOKENS = {"fine": "good", "look": "warn", "flagged": "bad"}


class DragGrip(QWidget):
    """Six dots: here a card is taken by the mouse."""

    def __init__(self):
        super().__init__()
        self.setFixedSize(px(14), px(24))
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        set_plain_tooltip(self, "Drag to another place (Alt Up, Alt Down)")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        paint_icon(painter, self.rect(), "dots-six-vertical", "muted")
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.ignore()  # the card's


class SafetyBar(QWidget):
    """How far a step moves pictures against how far apart the classes are: filled to the share, in the colour of the verdict."""

    def __init__(self):
        super().__init__()
        self._share, self._token = 0.0, "good"
        self.setFixedSize(px(34), px(6))
        self.hide()

    @property
    def share(self) -> float:
        return self._share

    def show_verdict(self, share: float, verdict: str, sentence: str) -> None:
        """share: distance over class spread; from 1 on the bar is full."""
        self._share, self._token = share, SAFETY_TOKENS[verdict]
        self.setAccessibleName(sentence)
        set_plain_tooltip(self, sentence)
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
        painter.setBrush(colour(self._token))
        painter.drawRoundedRect(QRectF(0, 0, max(self.height(), self.width() * min(1.0, self._share)), self.height()), 3, 3)
        painter.end()


class Card(QFrame):
    """What step cards and mixing cards share: title, one line of detail, a switch and a probability."""

    chosen = Signal()
    toggled = Signal(bool)
    p_changed = Signal(float)
    p_drag_started = Signal()
    p_drag_ended = Signal()
    dragged = Signal(QPoint)  # global position, from the first real movement on
    dropped = Signal(QPoint)
    menu_wanted = Signal(QPoint)

    def __init__(self, title: str, *, name: str, is_movable: bool):
        super().__init__()
        self.setObjectName(name)
        self.setProperty("frame", "step")
        self.setProperty("active", "false")
        self._press: QPoint | None = None
        self._is_dragging = False
        row = QHBoxLayout(self)
        row.setContentsMargins(px(5), px(4), px(7), px(3))
        row.setSpacing(px(6))
        self.grip = DragGrip()
        if not is_movable:
            self.grip.hide()
        self._is_movable = is_movable
        row.addWidget(self.grip, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(0)
        row.addLayout(column, 1)
        self._top = QHBoxLayout()
        self._top.setSpacing(px(6))
        self.title_label = PlainLabel(title, "strong", elide=Qt.TextElideMode.ElideRight)
        self.mark = IconLabel("eye", "accent", 14)
        self.mark.hide()
        self.fault = IconLabel("warning-octagon", "bad", 14)
        self.fault.hide()
        self.safety = SafetyBar()
        self.toggle = Toggle(name=f"{name}.on")
        self.toggle.setAccessibleName(f"{title} on")
        self.toggle.clicked.connect(self.toggled)
        self._top.addWidget(self.title_label, 1)
        for widget in (self.fault, self.mark, self.toggle):
            self._top.addWidget(widget)
        column.addLayout(self._top)
        self.detail_label = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        middle = QHBoxLayout()
        middle.setSpacing(px(6))
        middle.addWidget(self.detail_label, 1)
        middle.addWidget(self.safety)
        column.addLayout(middle)
        self._bottom = QHBoxLayout()
        self._bottom.setSpacing(px(6))
        self.slider = Slider(0.0, 1.0, 0.5, default=0.5, name=f"{name}.p")
        self.slider.setProperty("dense", "true")
        self.slider.setAccessibleName(f"Probability of {title}")
        self.slider.value_changed.connect(self.p_changed)
        self.slider.drag_started.connect(self.p_drag_started)
        self.slider.drag_ended.connect(self.p_drag_ended)
        self.p_label = PlainLabel("", "number")
        self.p_label.setFixedWidth(self.p_label.fontMetrics().horizontalAdvance(f"100{NBSP}%") + 2)
        self.p_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._bottom.addWidget(self.slider, 1)
        self._bottom.addWidget(self.p_label, 0, Qt.AlignmentFlag.AlignVCenter)
        column.addLayout(self._bottom)

    def show_p(self, p: float, *, is_on: bool) -> None:
        self.slider.set_number(p)
        self.slider.setEnabled(is_on)
        self.p_label.setText(f"{p * 100:.0f}{NBSP}%")
        self.toggle.setChecked(is_on)
        for label in (self.title_label, self.detail_label, self.p_label):
            label.setEnabled(is_on)

    def set_active(self, is_active: bool, *, has_focus: bool = False) -> None:
        """Chosen, and whether the list has the keyboard."""
        wanted = "focus" if is_active and has_focus else "true" if is_active else "false"
        if self.property("active") != wanted:
            self.setProperty("active", wanted)
            restyle(self)
        for control in (self.toggle, self.slider):
            control.setFocusPolicy(Qt.FocusPolicy.TabFocus if is_active else Qt.FocusPolicy.NoFocus)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._press = event.globalPosition().toPoint()
            self.chosen.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.globalPosition().toPoint()
        if self._press is None or not self._is_movable:
            return
        if not self._is_dragging and (at - self._press).manhattanLength() < QApplication.startDragDistance():
            return
        self._is_dragging = True
        self.grip.setCursor(Qt.CursorShape.ClosedHandCursor)
        self.dragged.emit(at)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        was_dragging, self._is_dragging, self._press = self._is_dragging, False, None
        self.grip.setCursor(Qt.CursorShape.OpenHandCursor)
        if was_dragging:
            self.dropped.emit(event.globalPosition().toPoint())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.chosen.emit()
        self.menu_wanted.emit(event.globalPos())


class StepCard(Card):
    """One step. A click chooses it; the menu button has what keys and the right button have too."""

    def __init__(self, step: TransformSpec, *, name: str):
        super().__init__(title_of(step.name), name=name, is_movable=True)
        self.step_name = step.name
        self._shown: TransformSpec | None = None
        self.menu_button = icon_button("dots-three", f"More for {title_of(step.name)}", small=True, name=f"{name}.menu")
        self.menu_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.menu_button.clicked.connect(lambda: self.menu_wanted.emit(self.menu_button.mapToGlobal(QPoint(0, self.menu_button.height()))))
        self._top.insertWidget(self._top.count() - 1, self.menu_button)
        self.show_step(step)

    def show_step(self, step: TransformSpec) -> None:
        if step == self._shown:
            return
        self._shown = step
        self.detail_label.setText(detail_of(step))
        self.show_p(step.p, is_on=step.is_on)
        is_on = "" if step.is_on else ", off"
        self.setAccessibleName(f"{self.title_label.text()}, {step.p * 100:.0f} % of the images{is_on}")
        self.setAccessibleDescription(self.detail_label.text())

    def set_active(self, is_active: bool, *, has_focus: bool = False) -> None:
        super().set_active(is_active, has_focus=has_focus)
        if self.menu_button.isHidden() == is_active:
            self.menu_button.setVisible(is_active)

    def show_fault(self, sentence: str) -> None:
        """Why the step failed on the picture that is shown; empty when it did not."""
        self.fault.setVisible(bool(sentence))
        set_plain_tooltip(self.fault, sentence)

    def show_solo(self, is_solo: bool) -> None:
        self.mark.setVisible(is_solo)
        set_plain_tooltip(self.mark, "The preview shows this step alone (S)")


class LockCard(DashedFrame):
    """A step that is always there; a click leads to where it is set."""

    clicked = Signal()

    def __init__(self, icon_name: str, title: str, fact: str, tooltip: str = ""):
        super().__init__(edge="border2", radius=6)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(8), px(3), px(10), px(3))
        row.setSpacing(px(8))
        row.addWidget(IconLabel(icon_name, "muted", 16))
        row.addWidget(PlainLabel(title, "label"))
        row.addStretch(1)
        self.fact_label = PlainLabel(fact, "number", "muted")
        row.addWidget(self.fact_label)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._title = title
        set_plain_tooltip(self, tooltip)
        self.show_fact(fact)

    def show_fact(self, fact: str) -> None:
        self.fact_label.setText(fact)
        self.setAccessibleName(f"{self._title}: {fact}")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit()

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), px(28))
