"""What the Data page shows while there is nothing to show yet: reading, stopped, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from studio.gui.theme import colour, px
from studio.gui.widgets import IconLabel, Panel, PlainLabel, button
from studio.gui.wording import count

LAYOUTS = (
    ("One folder per class", "photos\n├ cat   1.jpg 2.jpg\n└ dog   3.jpg 4.jpg"),
    ("Train and validation folders", "photos\n├ train   cat  dog\n└ val     cat  dog"),
    ("A CSV file", "path,label\na/1.jpg,cat\nb/3.jpg,dog"),
)


def reading_words(done: int, total: int | None, what: str) -> str:
    """ "Reading images 1,204 / 3,783"."""
    what = what or "Looking for images"
    if total:
        return f"{what} {count(done)} / {count(total)}"
    return f"{what}, {count(done)} so far" if done else f"{what}…"


class Loading(Panel):
    """The first scan of a folder: how far it is, and Stop."""

    def __init__(self, on_stop: Callable[[], object], parent: QWidget | None = None):
        super().__init__(name="data.loading", parent=parent)
        self.body.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(px(10))
        column.addWidget(_Skeleton(), 0, Qt.AlignmentFlag.AlignHCenter)
        self.words_label = PlainLabel("", "panel")
        self.words_label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.words_label)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(px(320))
        self.bar.setAccessibleName("Progress of reading")
        column.addWidget(self.bar, 0, Qt.AlignmentFlag.AlignHCenter)
        stop = button("Stop", "stop-fill", kind="danger", tone="bad", name="data.stop", on_click=on_stop)
        column.addWidget(stop, 0, Qt.AlignmentFlag.AlignHCenter)
        self.body.addLayout(column)
        self.body.addStretch(1)

    def show_progress(self, done: int, total: int | None, what: str) -> None:
        self.words_label.setText(reading_words(done, total, what))
        self.bar.setRange(0, total or 0)
        self.bar.setValue(done if total else 0)


class _Skeleton(QWidget):
    """Where the pictures will be."""

    def __init__(self):
        super().__init__()
        self.setFixedSize(px(320), px(132))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        gap, columns, rows = px(6), 5, 2
        side = (self.width() - gap * (columns - 1)) / columns
        for row in range(rows):
            for column in range(columns):
                painter.setBrush(colour("raised", 1.0 if row == 0 else 0.55))
                painter.drawRoundedRect(QRectF(column * (side + gap), row * (side + gap), side, side), 4, 4)
        painter.end()


class Trouble(Panel):
    """Why the images cannot be used: the sentences, what to do, and what a folder should look like."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(name="data.trouble", parent=parent)
        self._said: tuple = ()
        self.body.addStretch(1)
        self._icon = IconLabel("warning-octagon", "bad", 32)
        self.body.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        self.title_label = PlainLabel("", "page", wrap=True)
        self.detail_label = PlainLabel("", "body", "text2", wrap=True)
        for label in (self.title_label, self.detail_label):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            row = QHBoxLayout()
            row.addStretch(1)
            row.addWidget(label, 6)
            row.addStretch(1)
            self.body.addLayout(row)
        self.body.addSpacing(px(6))
        self._actions = QHBoxLayout()
        self._actions.setSpacing(px(8))
        self._actions.addStretch(1)
        self._actions.addStretch(1)
        self.body.addLayout(self._actions)
        self.body.addSpacing(px(18))
        self.layouts = LayoutSketches()
        self.body.addWidget(self.layouts, 0, Qt.AlignmentFlag.AlignHCenter)
        self.body.addStretch(1)

    def show_trouble(
        self,
        title: str,
        detail: str,
        actions: tuple[tuple[str, str, Callable[[], object]], ...],
        *,
        with_layouts: bool,
        is_error: bool = True,
    ) -> None:
        """actions: name, label and what it does, the main one first."""
        said = (title, detail, with_layouts, tuple(name for name, _, _ in actions))
        if said == self._said:
            return
        self._said = said
        self._icon.set_icon("warning-octagon" if is_error else "pause", "bad" if is_error else "muted")
        self.title_label.setText(title)
        self.detail_label.setText(detail)
        self.detail_label.setVisible(bool(detail))
        while self._actions.count() > 2:
            widget = self._actions.takeAt(1).widget()
            widget.hide()
            widget.deleteLater()
        for index, (name, label, act) in enumerate(actions):
            made = button(label, kind="primary" if index == 0 else "plain", name=name, on_click=act)
            self._actions.insertWidget(self._actions.count() - 1, made)
        self.layouts.setVisible(with_layouts)
        self.setAccessibleName(f"{title}. {detail}")


class LayoutSketches(QWidget):
    """The three ways in which labels are found, as small pictures in text."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(12))
        for title, sketch in LAYOUTS:
            card = QFrame()
            card.setProperty("frame", "raised")
            column = QVBoxLayout(card)
            column.setContentsMargins(px(12), px(10), px(12), px(10))
            column.setSpacing(px(6))
            column.addWidget(PlainLabel(title, "strong"))
            column.addWidget(PlainLabel(sketch, "number", "text2"))
            column.addStretch(1)
            row.addWidget(card)
