"""Buttons of every kind, the segmented choice and the toggle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Property, QEasingCurve, QPropertyAnimation, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QFrame, QHBoxLayout, QPushButton, QSizePolicy, QStyle, QWidget

from studio.gui.icon import icon as make_icon
from studio.gui.theme import colour, pen, px
from studio.gui.widgets.label import plain_tooltip, restyle, set_plain_tooltip, tell_size

_ICON_GAP_PX = 5  # beside Qt's own 4, which are too tight
_ICON_TONE = {"primary": "onAccent", "trainleft": "onAccent", "trainright": "onAccent", "danger": "bad", "link": "accent"}


def button(
    text: str = "", icon: str = "", *, kind: str = "plain", small: bool = False, name: str = "", tooltip: str = "", tone: str = "",
    on_click: Callable[[], object] | None = None, checkable: bool = False, icon_last: bool = False, parent: QWidget | None = None,
) -> QPushButton:  # fmt: skip
    """A push button. kind: plain, primary, danger, quiet, link, chip. `name` is its objectName ("train.stop"). `icon_last`: behind the words.

    A mouse click does not take the focus, so that the ring shows for the keyboard only.
    """
    made = _Button(parent)
    made.setProperty("kind", kind)
    if small:
        made.setProperty("dense", "true")  # not "size", which every QWidget has already
    if icon:
        made.setIcon(make_icon(icon, tone or _ICON_TONE.get(kind, "text2"), is_last=icon_last))
        side = px(14) if small or kind == "chip" else px(16)
        made.setIconSize(QSize(side, side))
    if icon_last:
        made.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    made.setText(text.replace("&", "&&"))
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.setCheckable(checkable)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    made.setObjectName(name)
    made.setAccessibleName(text or tooltip)
    set_plain_tooltip(made, tooltip)
    if on_click is not None:
        made.clicked.connect(lambda *_: on_click())
    return made


def icon_button(icon: str, tooltip: str, *, small: bool = False, **more) -> QPushButton:
    """A button of an icon alone; its tooltip (verb and object) is its accessible name."""
    made = button("", icon, kind="icon", small=small, tooltip=tooltip, **more)
    made.setAccessibleName(tooltip.partition("\n")[0])
    return made


class _Button(QPushButton):
    """Whatever its words become, they keep their distance from the icon, and an icon without words stands in the middle."""

    def setText(self, text: str) -> None:
        super().setText(text)
        if not self.icon().isNull():
            side = self.iconSize().height()
            self.setIconSize(QSize(side + (px(_ICON_GAP_PX) if text else 0), side))


class Chip(QPushButton):
    """A round filter or choice that can be on or off."""

    def __init__(self, text: str, *, checked: bool = False, name: str = "", parent: QWidget | None = None):
        super().__init__(text.replace("&", "&&"), parent)
        self.setProperty("kind", "chip")
        self.setCheckable(True)
        self.setChecked(checked)
        self.setObjectName(name)
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)


class Segmented(QFrame):
    """One of a few choices, side by side. Arrow keys move; `value_changed` fires for the user's choice only."""

    value_changed = Signal(object)

    def __init__(self, options: Sequence[tuple[object, str]], value: object = None, *, name: str = "", parent: QWidget | None = None):
        """options: pairs of value and label."""
        super().__init__(parent)
        self.setProperty("frame", "segmented")
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._values = [v for v, _ in options]
        self._tips: dict[object, str] = {}
        self._whole_px = 0  # what its words need, where it is to fill a width
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        row.setSpacing(2)
        for index, (_, label) in enumerate(options):
            part = button(label, kind="segment", checkable=True, name=f"{name}.{index}" if name else "")
            part.installEventFilter(self)
            self._group.addButton(part, index)
            row.addWidget(part)
        self._group.idClicked.connect(lambda index: self.value_changed.emit(self._values[index]))
        self.set_value(self._values[0] if value is None else value)

    def stretch(self) -> Segmented:
        """Fill the width, all parts equal, and closer where that is less than the words need."""
        self._whole_px = self.sizeHint().width()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for part in self._group.buttons():
            part.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        return self

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._whole_px:
            self.set_dense(self.width() < self._whole_px)

    def set_dense(self, is_dense: bool) -> None:
        """Less room around the words, where there is little."""
        for part in self._group.buttons():
            if bool(part.property("dense")) != is_dense:
                part.setProperty("dense", is_dense)
                restyle(part)
                tell_size(part)

    def set_text(self, value: object, label: str) -> None:
        part = self._group.button(self._values.index(value))
        if part.text() != label:
            part.setText(label)
            part.setAccessibleName(label)
            tell_size(part)

    @property
    def value(self) -> object:
        checked = self._group.checkedId()
        return self._values[checked] if checked >= 0 else None

    def set_value(self, value: object) -> None:
        if value in self._values:
            self._group.button(self._values.index(value)).setChecked(True)
        for part in self._group.buttons():
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus if part.isChecked() else Qt.FocusPolicy.NoFocus)

    def set_none(self, is_none: bool) -> None:
        """Show no part as chosen: the value is another one than those offered here."""
        if is_none and self._group.checkedId() >= 0:
            self._group.setExclusive(False)
            self._group.checkedButton().setChecked(False)
            self._group.setExclusive(True)
            self._group.buttons()[0].setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def set_option_enabled(self, value: object, enabled: bool, reason: str = "") -> None:
        """What a part says in its tooltip comes back when it can be chosen again."""
        part = self._group.button(self._values.index(value))
        if part.isEnabledTo(self):  # whatever is around it
            self._tips[value] = part.toolTip()
        part.setEnabled(enabled)
        part.setToolTip(self._tips[value] if enabled else plain_tooltip(reason))

    def eventFilter(self, watched, event) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
            move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}.get(event.key())
            if move is not None:
                self._move(move)
                return True
        return super().eventFilter(watched, event)

    def _move(self, by: int) -> None:
        index = self._group.checkedId()
        while 0 <= index + by < len(self._values):
            index += by
            part = self._group.button(index)
            if part.isEnabled():
                self.set_value(self._values[index])
                part.setFocus(Qt.FocusReason.TabFocusReason)
                self.value_changed.emit(self._values[index])
                return


class Toggle(QCheckBox):
    """A switch, 30 x 16, with an optional label to its right."""

    def __init__(self, text: str = "", *, checked: bool = False, name: str = "", parent: QWidget | None = None):
        super().__init__(text.replace("&", "&&"), parent)
        self._position = 1.0 if checked else 0.0
        self.setChecked(checked)
        self.setObjectName(name)
        self.setAccessibleName(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._slide = QPropertyAnimation(self, b"knob", self)
        self._slide.setDuration(120)
        self._slide.setEasingCurve(QEasingCurve.Type.OutCubic)
        self.toggled.connect(self._on_toggled)

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text().replace("&&", "&"))
        return QSize(px(34) + (px(8) + words if words else 0), px(24))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def hitButton(self, pos) -> bool:
        return self.rect().contains(pos)

    def _on_toggled(self, on: bool) -> None:
        target = 1.0 if on else 0.0
        still = not self.isVisible() or self.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration, None, self) == 0
        if still:
            self._slide.stop()
            self._set_knob(target)
        else:
            self._slide.setStartValue(self._position)
            self._slide.setEndValue(target)
            self._slide.start()

    def _get_knob(self) -> float:
        return self._position

    def _set_knob(self, position: float) -> None:
        self._position = position
        self.update()

    knob = Property(float, _get_knob, _set_knob)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = px(30), px(16)
        track = QRectF(2.5, (self.height() - height) / 2 + 0.5, width - 1, height - 1)
        is_on = self._position > 0.5
        if self.hasFocus():
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(track.adjusted(-2, -2, 2, 2), height / 2 + 2, height / 2 + 2)
        if self.isEnabled():
            painter.setPen(pen("accentFill" if is_on else "outline"))
            painter.setBrush(colour("accentFill") if is_on else colour("field"))
        else:
            painter.setPen(pen("border2"))
            painter.setBrush(colour("border2") if is_on else colour("field"))
        painter.drawRoundedRect(track, height / 2, height / 2)
        radius = height / 2 - px(3)
        x = track.left() + height / 2 + self._position * (width - height) - 0.5
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("onAccent" if is_on else "outline") if self.isEnabled() else colour("disabled"))
        painter.drawEllipse(QRectF(x - radius, track.center().y() - radius, 2 * radius, 2 * radius))
        if self.text():
            painter.setFont(self.font())
            painter.setPen(colour("text2" if self.isEnabled() else "disabled"))
            painter.drawText(
                self.rect().adjusted(width + px(10), 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), self.text().replace("&&", "&")
            )
        painter.end()
