"""Pixel statistics: how bright the images are per channel, beside what the backbone was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.gui.context import Context
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import EmptyState, Panel, PlainLabel, set_plain_tooltip
from studio.gui.widgets.form import field_editor

_CHANNELS = (("R", "bad", "bad"), ("G", "good", "good"), ("B", "series.4", "frozen"))  # letter, fill, token of the letter
_FAR_STDS = 0.5  # means that differ by more than this many standard deviations are worth a word
_DENSE_PX = 260  # panel width under which the choice of normalisation stands closer
_HELP = (
    "How often each brightness occurs in the training images, per colour channel (0 is black, 1 is full colour).\n"
    "The dashed curve is what the backbone was trained on. Where both are alike, its own normalisation fits."
)


@dataclass(frozen=True)
class Reference:
    """Mean and standard deviation per channel that a backbone was trained with, in [0, 1]."""

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ChannelHist(QWidget):
    """Three histograms above each other over [0, 1], each with its mean and the backbone's mean and spread."""

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self._statistics = None
        self._reference: Reference | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(px(220), px(240))

    def minimumSizeHint(self) -> QSize:
        return QSize(px(150), px(102))

    def set_state(self, statistics, reference: Reference | None) -> None:
        """statistics: dataset.statistics.PixelStatistics or None."""
        self._statistics, self._reference = statistics, reference
        if statistics is not None:
            words = []
            for i, (letter, _, _) in enumerate(_CHANNELS):
                words.append(f"{letter} {_figure(statistics.mean[i], statistics.std[i])}")
                if reference is not None:
                    words[-1] += f", backbone {_figure(reference.mean[i], reference.std[i])}"
            self.setAccessibleName("Pixel statistics: " + "; ".join(words))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._statistics is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tick = font("tick")
        axis = QFontMetrics(tick).height() + 2
        height = (self.height() - axis) / 3
        left, width = px(14), self.width() - px(16)
        for index in range(3):
            self._paint_channel(painter, index, QRectF(left, index * height, width, height))
        painter.setFont(tick)
        painter.setPen(colour("muted"))
        bottom = QRectF(left - px(10), self.height() - axis, width + px(20), axis)
        for text, align in (("0", Qt.AlignmentFlag.AlignLeft), ("0.5", Qt.AlignmentFlag.AlignHCenter), ("1", Qt.AlignmentFlag.AlignRight)):
            inset = px(7) if text != "0.5" else 0
            painter.drawText(bottom.adjusted(inset, 0, -inset, 0), int(align | Qt.AlignmentFlag.AlignBottom), text)
        painter.end()

    def _paint_channel(self, painter: QPainter, index: int, rect: QRectF) -> None:
        letter, fill, tone = _CHANNELS[index]
        statistics, reference = self._statistics, self._reference
        number = font("number")
        line_height = QFontMetrics(number).height()
        head = QRectF(0, rect.top(), self.width(), line_height)
        painter.setFont(font("strong"))
        painter.setPen(colour(tone))
        painter.drawText(head, int(Qt.AlignmentFlag.AlignLeft), letter)
        painter.setFont(number)
        painter.setPen(colour("text"))
        own = _figure(statistics.mean[index], statistics.std[index])
        painter.drawText(head.adjusted(px(18), 0, 0, 0), int(Qt.AlignmentFlag.AlignLeft), own)
        if reference is not None:
            theirs = _figure(reference.mean[index], reference.std[index])
            metrics = QFontMetrics(number)
            if metrics.horizontalAdvance(own + theirs) + px(30) < head.width():
                painter.setPen(colour("muted"))
                painter.drawText(head, int(Qt.AlignmentFlag.AlignRight), theirs)
        plot = rect.adjusted(0, line_height + 2, 0, -2)
        if plot.height() < 8:
            return
        bins = [float(v) for v in statistics.histograms[index]]
        # Pure black and white often stand out by far; the scale follows the rest, and a spike is cut.
        inner = sorted(bins[1:-1])
        peak = max(inner[-1] if inner else 0, 1e-9)
        bell = self._bell(index, len(bins))
        top = max(peak, max(bell, default=0.0)) * 1.06
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(fill, 0.4))
        painter.drawPolygon(QPolygonF(_curve(plot, [min(b, top) for b in bins], top, closed=True)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if bell:
            dashes = pen("text2", 1.2, dash=(4, 3))
            dashes.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(dashes)
            painter.drawPolyline(QPolygonF(_curve(plot, bell, top)))
            x = plot.left() + reference.mean[index] * plot.width()
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        painter.setPen(pen(tone, 2))
        x = plot.left() + statistics.mean[index] * plot.width()
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        painter.setPen(pen("border2"))
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())

    def _bell(self, index: int, num_bins: int) -> list[float]:
        """The normal distribution with the backbone's mean and spread, as shares per bin."""
        if self._reference is None:
            return []
        mean, std = self._reference.mean[index], max(1e-3, self._reference.std[index])
        scale = 1 / (num_bins * std * math.sqrt(2 * math.pi))
        return [scale * math.exp(-0.5 * (((i + 0.5) / num_bins - mean) / std) ** 2) for i in range(num_bins)]


def _curve(plot: QRectF, values: list[float], top: float, *, closed: bool = False) -> list[QPointF]:
    points = [
        QPointF(plot.left() + (i + 0.5) / len(values) * plot.width(), plot.bottom() - v / top * plot.height()) for i, v in enumerate(values)
    ]
    if closed:
        first, last = points[0], points[-1]
        points = [plot.bottomLeft(), QPointF(plot.left(), first.y()), *points, QPointF(plot.right(), last.y()), plot.bottomRight()]
    return points


def _figure(mean: float, std: float) -> str:
    return f"{mean:.3f} ± {std:.3f}"


def far_channels(statistics, reference: Reference) -> list[str]:
    """The letters of the channels whose means lie more than half a standard deviation from the backbone's."""
    return [
        letter
        for i, (letter, _, _) in enumerate(_CHANNELS)
        if abs(statistics.mean[i] - reference.mean[i]) > _FAR_STDS * max(1e-3, reference.std[i])
    ]


def backbone_reference(source: str, name: str) -> Reference | None:
    """What the chosen backbone normalises with, from what is known without loading torch."""
    from studio.catalog.backbones import cached_backbones

    info = next((b for b in cached_backbones() or () if (b.source, b.name) == (source, name)), None)
    return None if info is None else Reference(info.title, tuple(info.mean), tuple(info.std))


class PixelPanel(Panel):
    """The histograms of what the scan measured, and the choice of whose mean and spread normalise the images."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__("Pixel statistics", name="data.pixels", parent=parent)
        self._store, self._scan = context.store, context.scan
        self.hist = ChannelHist(name="data.pixels.histograms")
        legend = QHBoxLayout()
        legend.setSpacing(px(6))
        legend.addWidget(_Key("fill"))
        legend.addWidget(PlainLabel("these images", "caption", "text2"))
        legend.addStretch(1)
        legend.addWidget(_Key("dash"))
        self._reference_label = PlainLabel("backbone’s", "caption", "text2")
        legend.addWidget(self._reference_label)
        measured = QWidget()
        column = QVBoxLayout(measured)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addLayout(legend)
        column.addWidget(self.hist, 1)
        self._note = PlainLabel("", "caption", "warn", wrap=True)
        column.addWidget(self._note)
        self._empty = EmptyState("chart-bar", "Measuring pixels", name="data.pixels.empty")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(measured)
        self.body.setSpacing(px(6))
        self.body.addWidget(self._stack, 1)
        self.body.addWidget(PlainLabel("Normalise with", "label"))
        editor = self._normalisation = field_editor(self._store, "model.normalisation", name="data.normalisation")
        editor.control.stretch()
        editor.layout().setStretch(0, 1)
        editor.layout().setStretch(1, 0)
        self.body.addWidget(editor)
        set_plain_tooltip(self.hist, _HELP)
        self._store.experiment_changed.connect(self._on_store_experiment_changed)
        self._store.dataset_changed.connect(lambda _: self.show_scan())
        self._scan.changed.connect(self.show_scan)
        self.show_scan()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._normalisation.control.set_dense(self.width() < px(_DENSE_PX))

    def _on_store_experiment_changed(self, old, new) -> None:
        if (old.model.source, old.model.backbone) != (new.model.source, new.model.backbone):
            self.show_scan()

    def show_scan(self) -> None:
        statistics = self._scan.statistics
        self._stack.setCurrentIndex(0 if statistics is None else 1)
        if statistics is None:
            self.set_subtitle("")
            if self._scan.is_running:
                self._empty.set_texts("Measuring pixels", "A sample of the training images, in the background.")
            else:
                banded = self._store.dataset is not None and self._store.dataset.banded and not self._store.experiment.data.bands
                hint = "Choose the bands first." if banded else "Rescan to measure the training images."
                self._empty.set_texts("Nothing measured", hint)
            return
        model = self._store.experiment.model
        reference = backbone_reference(model.source, model.backbone)
        self.hist.set_state(statistics, reference)
        self._reference_label.setText("backbone’s" if reference else "backbone’s: not known yet")
        far = far_channels(statistics, reference) if reference else []
        # Neither choice is always better; the sentence says what is seen and leaves the choice where it is.
        verb = "differs" if len(far) == 1 else "differ"
        self._note.setText(f"{' and '.join(far)} {verb} clearly from what the backbone was trained on." if far else "")
        self._note.setVisible(bool(far))
        self.set_subtitle(f"{statistics.num_images:,} images")


class _Key(QWidget):
    """A legend's sample: a filled patch or a dashed line."""

    def __init__(self, kind: str):
        super().__init__()
        self._kind = kind
        self.setFixedSize(px(14), px(12))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._kind == "fill":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("outline"))
            painter.drawRoundedRect(QRectF(0, self.height() / 2 - 4, self.width(), 8), 2, 2)
        else:
            dashes = pen("text2", 1.4, dash=(4, 3))
            dashes.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(dashes)
            painter.drawLine(0, self.height() // 2, self.width(), self.height() // 2)
        painter.end()
