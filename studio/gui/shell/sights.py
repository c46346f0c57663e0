"""Four training images after augmentation, as the network sees them."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.core.path_text import path_to_text
from studio.gui.context import Context
from studio.gui.theme import colour, px
from studio.gui.workers import plain_experiment, take_image

COUNT = 4
ASK_AFTER_MS = 300


class Sights(QWidget):
    """Asks the preview worker when images or augmentation change. Until it answers, tiles stay plain."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._context: Context | None = None
        self._images: list[QImage] = []
        self._asked: tuple | None = None
        self._is_active = True
        self.setFixedHeight(px(54))
        self.setAccessibleName("Training images after augmentation")
        self._timer = QTimer(self, singleShot=True, interval=ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)

    def attach(self, context: Context) -> None:
        self._context = context
        context.store.experiment_changed.connect(
            lambda old, new: self._timer.start() if (old.augment, old.model) != (new.augment, new.model) else None
        )
        context.store.dataset_changed.connect(lambda _: self._timer.start())
        self._timer.start()

    def set_active(self, active: bool) -> None:
        self._is_active = active
        if active:
            self._timer.start()

    def _ask(self) -> None:
        dataset, experiment = self._context.store.dataset, self._context.store.experiment
        if dataset is None or not self._is_active:
            if dataset is None:
                self._images, self._asked = [], None
                self.update()
            return
        train = dataset.part("train")
        if not train:
            return
        places = [len(train) * i // COUNT for i in range(COUNT)]
        question = (
            dataset.root,
            tuple(train[place].id for place in places),
            experiment.augment,
            experiment.model,
            experiment.training.seed,
        )
        if question == self._asked:
            return
        self._asked = question
        self._images = [QImage()] * COUNT
        subjects = [{"path": path_to_text(dataset.path_of(train[place])), "index": place, "epoch": 0} for place in places]
        self._context.preview.call(
            "tiles",
            {"experiment": plain_experiment(experiment, experiment.augment), "subjects": subjects},
            lambda result: None,
            on_part=lambda part: self._on_part(question, part),
            key="inspector",
        )

    def _on_part(self, question: tuple, part: dict) -> None:
        if question == self._asked and "image" in part:
            self._images[part["tile"]] = take_image(part["image"])
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        gap = px(5)
        side = min(self.height(), (self.width() - gap * (COUNT - 1)) / COUNT)
        for index in range(COUNT):
            rect = QRectF(index * (side + gap), 0, side, side)
            path = QPainterPath()
            path.addRoundedRect(rect, 4, 4)
            image = self._images[index] if index < len(self._images) else QImage()
            if image.isNull():
                painter.fillPath(path, colour("raised"))
            else:
                painter.setClipPath(path)
                painter.drawImage(rect, image)
                painter.setClipping(False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.end()
