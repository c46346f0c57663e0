"""What the network says to one picture: the best class in large, and a bar for each of the first six."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.gui.theme import colour, font, px
from studio.gui.widgets import PlainLabel, Tag
from studio.gui.wording import percent

NUM_SHOWN = 6


class PredictionBars(QWidget):
    """A row per class: name, bar, share."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("use.bars")
        self._rows: list[tuple[str, float]] = []
        self._is_unsure = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(px(24) * NUM_SHOWN)

    def sizeHint(self) -> QSize:
        return QSize(px(240), px(24) * NUM_SHOWN)

    def show_rows(self, rows: list[tuple[str, float]], is_unsure: bool) -> None:
        """Pairs of class name and probability, best first."""
        self._rows, self._is_unsure = rows[:NUM_SHOWN], is_unsure
        self.setAccessibleName("Probabilities: " + ", ".join(f"{shown(n)} {percent(p)}" for n, p in self._rows))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font("label"))
        name_width = min(
            self.width() * 0.42, max((painter.fontMetrics().horizontalAdvance(shown(n)) for n, _ in self._rows), default=0) + px(12)
        )
        number_width = px(52)
        for index, (name, share) in enumerate(self._rows):
            top, height = index * px(24), px(24)
            painter.setFont(font("strong" if index == 0 else "label"))
            painter.setPen(colour("text" if index == 0 else "text2"))
            text = painter.fontMetrics().elidedText(shown(name), Qt.TextElideMode.ElideRight, round(name_width - px(6)))
            painter.drawText(QRectF(0, top, name_width, height), Qt.AlignmentFlag.AlignVCenter, text)
            track = QRectF(name_width, top + px(7), self.width() - name_width - number_width, px(10))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("border"))
            painter.drawRoundedRect(track, 2, 2)
            token = ("warnDot" if self._is_unsure else "accent") if index == 0 else "accent"
            painter.setBrush(colour(token, 1.0 if index == 0 else 0.6))
            painter.drawRoundedRect(QRectF(track.left(), track.top(), max(2.0, track.width() * share), track.height()), 2, 2)
            painter.setFont(font("number"))
            painter.setPen(colour("text" if index == 0 else "text2"))
            painter.drawText(
                QRectF(self.width() - number_width, top, number_width, height),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                percent(share),
            )
        painter.end()


class Answer(QWidget):
    """Headline and bars; or the reason why there is none."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(6))
        top = QHBoxLayout()
        top.setSpacing(px(8))
        self.name_label = PlainLabel("", "title", elide=Qt.TextElideMode.ElideRight)
        self.share_label = PlainLabel("", "metric", "accent")
        self.unsure_tag = Tag("unsure", "warn")
        top.addWidget(self.name_label, 1)
        top.addWidget(self.unsure_tag)
        top.addWidget(self.share_label)
        column.addLayout(top)
        self.bars = PredictionBars()
        column.addWidget(self.bars)
        self.note_label = PlainLabel("", "label", "muted", wrap=True)
        column.addWidget(self.note_label)
        self.show_note("")

    def show_rows(self, rows: list[tuple[str, float]], threshold: float) -> None:
        """Pairs of class name and probability, best first; below `threshold` the best one counts as unsure."""
        name, share = rows[0]
        is_unsure = share < threshold
        self.name_label.setText(shown(name))
        self.share_label.setText(percent(share))
        self.share_label.set_tone("warn" if is_unsure else "accent")
        self.unsure_tag.setVisible(is_unsure)
        self.bars.show_rows(rows, is_unsure)
        for widget in (self.name_label, self.share_label, self.bars):
            widget.show()
        self.note_label.setText("")
        self.note_label.hide()

    def show_note(self, sentence: str, tone: str = "muted") -> None:
        """A sentence in place of an answer; empty leaves the place blank."""
        for widget in (self.name_label, self.share_label, self.unsure_tag, self.bars):
            widget.hide()
        self.note_label.setText(shown(sentence))
        self.note_label.set_tone(tone)
        self.note_label.setVisible(bool(sentence))
