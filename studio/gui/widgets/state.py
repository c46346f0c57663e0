"""What a place shows when there is nothing, something wrong, or something to say in passing."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent, QPixmap, QPixmapCache, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.gui.icon import paint_icon
from studio.gui.theme import colour, px
from studio.gui.widgets.button import button, icon_button
from studio.gui.widgets.label import PlainLabel, restyle

_SEVERITY_ICON = {"error": ("warning-octagon", "bad"), "warning": ("warning", "warn"), "info": ("info", "text2")}


class IconLabel(QLabel):
    """An icon on its own, in the colour of a token."""

    def __init__(self, name: str, token: str = "text2", side: int = 16, parent: QWidget | None = None):
        super().__init__(parent)
        self._name, self._token, self._side = name, token, side
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedSize(px(side), px(side))

    def set_icon(self, name: str, token: str) -> None:
        if (name, token) != (self._name, self._token):
            self._name, self._token = name, token
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        paint_icon(painter, self.rect(), self._name, self._token if self.isEnabled() else "disabled")
        painter.end()


class EmptyState(QWidget):
    """Nothing here yet: an icon, a sentence, a hint, and what to do about it."""

    def __init__(
        self, icon_name: str, sentence: str, hint: str = "", action: str = "", on_action: Callable[[], object] | None = None, *,
        name: str = "", parent: QWidget | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self.setObjectName(name)
        column = QVBoxLayout(self)
        column.setContentsMargins(px(16), px(16), px(16), px(16))
        column.setSpacing(px(6))
        column.addStretch(1)
        self._icon = IconLabel(icon_name, "muted", 28)
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        self.sentence_label = PlainLabel(sentence, "panel", wrap=True)
        self.hint_label = PlainLabel(hint, "label", "muted", wrap=True)
        self.note_label = PlainLabel("", "label", "muted", wrap=True)
        for label in (self.sentence_label, self.hint_label, self.note_label):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
            label.setVisible(bool(label.text()))
        self.actions = QHBoxLayout()
        self.actions.setSpacing(px(8))
        self.actions.addStretch(1)
        self.action_button = button(action, kind="primary", name=f"{name}.action" if name else "", on_click=on_action)
        if not action:  # showing a widget that has no parent yet would open a window of its own
            self.action_button.hide()
        self.actions.addWidget(self.action_button)
        self.actions.addStretch(1)
        column.addSpacing(px(4))
        column.addLayout(self.actions)
        column.addStretch(1)

    def set_texts(self, sentence: str, hint: str = "", note: str = "", *, is_warning: bool = False) -> None:
        """The note stands below the hint; `is_warning` says that it is one."""
        self.sentence_label.setText(sentence)
        self.hint_label.setText(hint)
        self.note_label.setText(note)
        self.note_label.set_tone("warn" if is_warning else "muted")
        self.note_label.setVisible(bool(note))
        self.hint_label.setVisible(bool(hint))

    def add_action(
        self, text: str, on_action: Callable[[], object], *, name: str = "", kind: str = "plain", tooltip: str = ""
    ) -> QPushButton:  # fmt: skip
        """Another button beside the main one."""
        made = button(text, kind=kind, name=name, tooltip=tooltip, on_click=on_action)
        self.actions.insertWidget(self.actions.count() - 1, made)
        return made


class Banner(QFrame):
    """Something the user has to know, in place: severity error, warning or info, one sentence, a fix and actions. Hidden at first."""

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "banner")
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(12), px(8), px(8), px(8))
        row.setSpacing(px(10))
        self._icon = IconLabel("info", "text2", 18)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        self.title_label = PlainLabel("", "panel", wrap=True)
        self.detail_label = PlainLabel("", "label", wrap=True)
        words.addWidget(self.title_label)
        words.addWidget(self.detail_label)
        row.addLayout(words, 1)
        self._actions = QHBoxLayout()
        self._actions.setSpacing(px(6))
        row.addLayout(self._actions)
        self._laid_out = 0  # the width that the words were last laid out in
        self.hide()

    def sizeHint(self) -> QSize:
        """As high as the words need in the width that there is."""
        hint = super().sizeHint()
        return QSize(hint.width(), self.heightForWidth(self._laid_out)) if self._laid_out else hint

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != self._laid_out:
            self._laid_out = event.size().width()
            self.updateGeometry()

    def show_message(
        self, severity: str, title: str, detail: str = "", actions: tuple[tuple[str, Callable[[], object]], ...] = (),
        *, can_close: bool = False,
    ) -> None:  # fmt: skip
        """actions: pairs of label and what it does, the main one first."""
        self.setProperty("severity", severity)
        self._icon.set_icon(*_SEVERITY_ICON[severity])
        self.title_label.setText(title)
        self.detail_label.setText(detail)
        self.detail_label.setVisible(bool(detail))
        while self._actions.count():
            old = self._actions.takeAt(0).widget()
            old.setObjectName("")  # until it is gone, who looks for the button by its name finds the new one
            old.deleteLater()
        for index, (label, act) in enumerate(actions):
            self._actions.addWidget(button(label, small=True, name=f"{self.objectName()}.action{index}", on_click=act))
        if can_close:
            self._actions.addWidget(icon_button("x", "Close this message", small=True, on_click=self.hide))
        self.setAccessibleName(f"{title} {detail}")
        restyle(self)
        self.show()


class Spinner(QWidget):
    """Something is going on. Steps 8 times a second while visible."""

    def __init__(self, side: int = 16, token: str = "trains", parent: QWidget | None = None):
        super().__init__(parent)
        self._angle = 0
        self._token = token
        self.setFixedSize(QSize(px(side), px(side)))
        self._timer = QTimer(self, interval=125)
        self._timer.timeout.connect(self._on_timer_timeout)

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()

    def _on_timer_timeout(self) -> None:
        self._angle = (self._angle + 45) % 360
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        ratio = self.devicePixelRatioF()
        key = f"spinner {self.width()} {ratio} {self._angle} {colour(self._token).rgba()}"
        picture = QPixmap()
        if not QPixmapCache.find(key, picture):
            picture = self._picture(ratio)
            QPixmapCache.insert(key, picture)
        painter = QPainter(self)
        painter.drawPixmap(0, 0, picture)
        painter.end()

    def _picture(self, ratio: float) -> QPixmap:
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        centre = self.rect().center()
        painter.translate(centre.x() + 0.5, centre.y() + 0.5)
        painter.rotate(self._angle)
        painter.translate(-centre.x() - 0.5, -centre.y() - 0.5)
        paint_icon(painter, self.rect(), "spinner-gap", self._token)
        painter.end()
        return picture
