"""Questions to the preview worker: which pictures a grid shows. The newest question wins; pictures are shown one by one as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import QElapsedTimer, QObject, QTimer, Signal
from PySide6.QtGui import QPixmap

from studio.core.experiment import Augment, Model
from studio.core.reading import Reading
from studio.gui.pages.augment.subject import Subject
from studio.gui.pages.augment.variant import Drawn, Variant
from studio.gui.workers import WorkerClient, take_pixmap
from studio.supervise.worker import WorkerError

TURN_MS, LONGEST_TURN_MS = 33, 150  # two frames, about what a grid takes; on a busy machine as long as the one before took
Mode = Literal["photo", "photos", "batch"]


@dataclass(frozen=True)
class Question:
    """All that the pictures of a grid depend on, and no more. `num` pictures: epochs of one photo, or one epoch of so many photos."""

    mode: Mode
    subjects: tuple[Subject, ...]
    epoch: int
    num: int
    augment: Augment
    model: Model
    seed: int
    reading: Reading
    size_px: int | None = None  # no larger than a tile needs; None: as the network gets them
    is_normalised: bool = False
    measured: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # mean and deviation of the images, where these normalise
    step: int = 0  # of a batch: the step in the run
    batch: int = 0  # and its place within that
    epochs: tuple[int, ...] = ()  # one for each subject, in place of `epoch`

    def epoch_of(self, index: int) -> int:
        """Of a picture, counted without the original."""
        return self.epochs[index] if self.epochs else self.epoch + (index if self.mode == "photo" else 0)

    @property
    def first(self) -> int:
        """The tile of the first picture: the original stands before variants of one photo."""
        return 1 if self.mode == "photo" else 0


class Asker(QObject):
    """One grid's line to the worker."""

    picture_came = Signal(int, object)  # tile, Variant
    finished = Signal(object)  # the worker's result
    failed = Signal(str, str)  # sentence, fix
    loading = Signal()  # the worker reads its libraries first

    def __init__(self, worker: WorkerClient, key: str, parent: QObject | None = None):
        super().__init__(parent)
        self._worker, self._key = worker, key
        self.question: Question | None = None  # the newest
        self._sent: Question | None = None  # whose pictures come
        self._waiting: tuple[Question, dict[str, Any]] | None = None
        self._since_sent = QElapsedTimer()
        self._turn_ms = TURN_MS
        self._turn = QTimer(self, singleShot=True)
        self._turn.timeout.connect(self._send_waiting)

    def ask(self, question: Question, experiment: dict[str, Any], *, is_dragging: bool = False) -> bool:
        """False when these pictures are shown or asked for already.

        While a slider is dragged the pictures on their way get a turn before the newest question takes their place: asked anew with every
        move, the worker would never come beyond the first tiles. Questions never queue: one waits at most, the newest.
        """
        if question == self.question:
            return False
        self.question = question
        self._waiting = (question, experiment)
        left = self._turn_ms - self._since_sent.elapsed() if is_dragging and self._sent is not None and self._since_sent.isValid() else 0
        if left > 0:
            self._turn.start(left)
        else:
            self._send_waiting()
        return True

    def _send_waiting(self) -> None:
        if self._waiting is None:
            return
        (question, experiment), self._waiting = self._waiting, None
        self._turn.stop()
        if self._sent is not None:  # its turn was too short
            self._turn_ms = min(LONGEST_TURN_MS, self._turn_ms * 3 // 2)
        self._sent = question
        self._since_sent.start()
        is_photo = question.mode == "photo"
        photos = [{"path": s.path_text, "index": s.index, "label": s.label} for s in question.subjects]
        raw = [photo | {"epoch": question.epoch_of(i)} for i, photo in enumerate(photos * question.num if is_photo else photos)]
        params: dict[str, Any] = {"experiment": experiment, "subjects": raw}
        if question.size_px:
            params["size_px"] = question.size_px
        if question.is_normalised:
            params |= {"is_normalised": True, "measured": question.measured}
        if question.mode == "batch":
            params |= {"step": question.step, "batch": question.batch, "count": question.num}
        self._worker.call(
            "batch" if question.mode == "batch" else "tiles",
            params,
            lambda result: self._on_result(question, result),
            lambda error: self._on_error(question, error),
            lambda done, total, what: self._on_progress(question, what),
            on_part=lambda part: self._on_part(question, part),
            key=self._key,
        )

    def forget(self) -> None:
        """The same question may be asked again; pictures on their way are not wanted any more."""
        self.question = self._sent = self._waiting = None

    def _on_part(self, question: Question, part: dict[str, Any]) -> None:
        if question is not self._sent:
            return
        picture = take_pixmap(part["image"]) if "image" in part else QPixmap()
        index, subjects, is_photo = part["tile"], question.subjects, question.mode == "photo"
        variant = Variant(
            picture,
            question.epoch_of(index),
            part.get("seed"),
            "" if is_photo else subjects[index].name,
            tuple(drawn_from(each) for each in part.get("drawn", ())),
            tuple((name, share) for name, share in part.get("labels", ())),
            part.get("error", ""),
            subjects[0 if is_photo else index],
        )
        self.picture_came.emit(question.first + index, variant)

    def _on_result(self, question: Question, result: dict[str, Any]) -> None:
        if question is not self._sent:
            return
        self._sent = None
        self._turn_ms = max(TURN_MS, min(LONGEST_TURN_MS, self._since_sent.elapsed()))
        if question == self.question:
            self.finished.emit(result)
        else:
            self._send_waiting()

    def _on_error(self, question: Question, error: WorkerError) -> None:
        if question is not self._sent:
            return
        self._sent = None
        if question == self.question:
            self.question = None
            self.failed.emit(error.sentence, error.fix)
        else:
            self._send_waiting()

    def _on_progress(self, question: Question, what: str) -> None:
        if question is self._sent and what.startswith("loading"):
            self.loading.emit()


def drawn_from(raw: dict[str, Any]) -> Drawn:
    return Drawn(raw["step"], raw["name"], tuple((name, text) for name, text in raw.get("values", ())), raw.get("failure") or "")
