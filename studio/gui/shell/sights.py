"""Four training images after augmentation, as the network sees them."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QWidget

from studio.gui.context import Context
from studio.gui.theme import colour, px
from studio.gui.workers import take_image

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
        chosen = [train[len(train) * i // COUNT] for i in range(COUNT)]
        question = (dataset.root, tuple(s.id for s in chosen), experiment.augment, experiment.model.input_size)
        if question == self._asked:
            return
        self._asked = question
        self._images = [QImage()] * COUNT
        for index, sample in enumerate(chosen):
            params = {
                "experiment": experiment.model_dump(mode="json"),
                "image_path": dataset.path_of(sample),
                "sample_index": len(train) * index // COUNT,
                "epoch": 0,
                "count": 1,
            }
            self._context.preview.call(
                "variants", params, lambda result, i=index, q=question: self._on_answer(i, q, result), key=f"inspector.{index}"
            )

    def _on_answer(self, index: int, question: tuple, result: dict) -> None:
        images = result.get("images") or result.get("variants") or []
        if not images:
            return
        first = images[0].get("image", images[0]) if isinstance(images[0], dict) else None
        try:
            image = take_image(first)
        except (OSError, KeyError, TypeError):
            return
        if question == self._asked:
            self._images[index] = image
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
