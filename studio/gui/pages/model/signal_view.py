"""Whether the signal survives: the variance of activations and of gradients, layer by layer, on one batch of the user's images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.gui.context import Context
from studio.gui.store import ExperimentStore
from studio.gui.theme import colour, pen, px, series_pen, theme
from studio.gui.widgets import PlainLabel, Segmented, Spinner
from studio.gui.widgets.plot_style import QuietPlot, WordAxis, set_axis_label

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset

_ASK_AFTER_MS = 400
_LEAST = 1e-12  # what is drawn for a variance of zero
_ASKED = (
    "source",
    "backbone",
    "pretrained",
    "weights_file",
    "start_run",
    "cut",
    "head",
    "dropout",
    "head_init",
    "head_init_fan",
    "head_bias",
    "input_size",
    "normalisation",
    "custom_mean",
    "custom_std",
)


def start_of(store: ExperimentStore) -> tuple:
    """What decides how the network starts on the user's images: an answer of the probe holds while this stays equal."""
    model, dataset = store.experiment.model, store.dataset
    return images_of(dataset), *(getattr(model, name) for name in _ASKED)


def images_of(dataset: Dataset | None) -> tuple:
    """What decides which pictures the probe looks at: equal after a scan that has found nothing new. Who finds it equal keeps the newer one: of
    the same tuple of samples no hundred thousand are compared."""
    return (dataset.root, dataset.reading, dataset.classes, dataset.samples) if dataset else ()


class SignalView(QWidget):
    """Asks while it is in front and the head, its initialisation or the network has changed."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self._context = context
        self._asked: tuple | None = None
        self._layers: list[dict] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(px(8), 0, px(8), 0)
        column.setSpacing(px(4))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.scope = Segmented([(False, "New layers"), (True, "Whole network")], False, name="model.signal.scope")
        self.scope.setAccessibleName("Which layers are drawn")
        self.scope.value_changed.connect(lambda _: self._timer.start())
        row.addWidget(self.scope)
        self.spinner = Spinner()
        self.spinner.hide()
        row.addWidget(self.spinner)
        self.sentence_label = PlainLabel("", "label", "text2", wrap=True)
        self.sentence_label.setObjectName("model.signal.sentence")
        row.addStretch(1)
        for key, words in ((0, "activations"), (1, "gradients")):
            row.addWidget(_Key(key))
            row.addWidget(PlainLabel(words, "caption", "text2"))
        column.addLayout(row)
        column.addWidget(self.sentence_label)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.graphics.ci.setContentsMargins(0, 2, 8, 4)
        self.graphics.setMinimumHeight(px(70))
        self.graphics.setAccessibleName("Variance by layer")
        self.plot = QuietPlot(WordAxis("left", _power_ticks), WordAxis("bottom", self._layer_ticks))
        self.graphics.addItem(self.plot, 0, 0)
        column.addWidget(self.graphics, 1)
        self._curves = [self.plot.plot(), self.plot.plot()]
        self._timer = QTimer(self, singleShot=True, interval=_ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)
        context.store.experiment_changed.connect(
            lambda old, new: self._timer.start() if old.model != new.model and self.isVisible() else None
        )
        context.store.dataset_changed.connect(lambda _: self._timer.start() if self.isVisible() else None)
        theme().changed.connect(self.restyle)
        self.restyle()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._timer.start()

    def restyle(self) -> None:
        self.graphics.setBackground(colour("surface"))
        self.plot.restyle()
        set_axis_label(self.plot, "left", "variance (log)")
        self._draw()

    def _question(self) -> tuple:
        return bool(self.scope.value), *start_of(self._context.store)

    def _ask(self) -> None:
        if not self.isVisible():
            return
        question = self._question()
        if question == self._asked:
            self._asked = question
            return
        experiment = self._context.store.experiment
        self._asked = question
        self.spinner.show()
        number = self._context.store.dataset_number
        params = {"experiment": experiment.model_dump(mode="json"), "whole": question[0], "list_number": number}
        self._context.probe.call(
            "signal", params, lambda result: self._on_answer(question, result), lambda error: self._on_failed(question, error), key="model.signal"
        )  # fmt: skip

    def _on_answer(self, question: tuple, result: dict) -> None:
        if question == self._asked:
            self.spinner.hide()
            self._layers = list(result["layers"])
            self.sentence_label.setText(shown(result.get("sentence") or ""))
            self._draw()

    def _on_failed(self, question: tuple, error) -> None:
        if question == self._asked:
            self.spinner.hide()
            self._asked, self._layers = None, []
            self.sentence_label.setText(shown(f"{error.sentence} {error.fix}".strip()))
            self._draw()

    def _draw(self) -> None:
        for index, key in enumerate(("activation_variance", "gradient_variance")):
            points = [(i, layer[key]) for i, layer in enumerate(self._layers) if layer.get(key) is not None]
            self._curves[index].setData(
                [i for i, _ in points], [math.log10(max(v, _LEAST)) for _, v in points], pen=series_pen(index),
                symbol="o" if len(points) <= 40 else None, symbolSize=6, symbolBrush=colour(f"series.{index}"), symbolPen=pen("plot"),
            )  # fmt: skip
        if self._layers:
            values = [layer[k] for layer in self._layers for k in ("activation_variance", "gradient_variance") if layer.get(k) is not None]
            logs = [math.log10(max(v, _LEAST)) for v in values] or [0.0]
            self.plot.setYRange(min(logs) - 0.5, max(logs) + 0.5, padding=0)
            self.plot.setXRange(-0.4, len(self._layers) - 0.6, padding=0)
        self.graphics.setAccessibleDescription("; ".join(_spoken(layer) for layer in self._layers[:40]))

    def _layer_ticks(self, low: float, high: float, pixels: float) -> list[tuple[float, str]]:
        step = max(1, math.ceil((high - low) * px(72) / max(1.0, pixels)))
        word = _place if step > 1 else _last_part
        return [(float(i), shown(word(str(layer["name"])))) for i, layer in enumerate(self._layers) if i % step == 0]


def _last_part(name: str) -> str:
    """ "head.linear" -> "linear"."""
    return name.rpartition(".")[2]


def _place(name: str) -> str:
    """ "backbone.blocks.3.1.conv_pw" -> "blocks.3.1": where many layers have the same last name."""
    return name.removeprefix("backbone.").rpartition(".")[0] or _last_part(name)


def _spoken(layer: dict) -> str:
    values = (layer.get("activation_variance"), layer.get("gradient_variance"))
    words = ["none" if v is None else f"{v:.2g}" for v in values]
    return f"{layer['name']}: activations {words[0]}, gradients {words[1]}"


def _power_ticks(low: float, high: float, pixels: float) -> Sequence[tuple[float, str]]:
    step = max(1, math.ceil((high - low) * px(18) / max(1.0, pixels)))
    return [(float(k), "0" if k <= math.log10(_LEAST) else f"1e{k}") for k in range(math.ceil(low), math.floor(high) + 1, step)]


class _Key(QWidget):
    def __init__(self, series: int):
        super().__init__()
        self._series = series
        self.setFixedSize(px(16), px(12))

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setPen(series_pen(self._series))
        painter.drawLine(0, self.height() // 2, self.width(), self.height() // 2)
        painter.end()
