"""Which photos the preview shows: one from the training part, one from anywhere, or several at once."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from studio.core.path_text import path_to_text, shown
from studio.gui.pages.augment.test_card import test_card_path
from studio.gui.store import ExperimentStore


@dataclass(frozen=True)
class Subject:
    """The photo. `index` is its place in the training part, which its random values depend on."""

    path: str  # as the system gives it
    name: str
    index: int = 0
    label: str = ""
    is_from_data: bool = False

    @property
    def path_text(self) -> str:
        """For a worker."""
        return path_to_text(self.path)


class Subjects(QObject):
    """A place in the training part, its classes mixed, or a file from anywhere; the test card where there is nothing."""

    changed = Signal()

    def __init__(self, store: ExperimentStore, parent: QObject | None = None):
        super().__init__(parent)
        self._store = store
        self._subject: Subject | None = None
        self._order: list[int] = []  # indices into the training part
        self._place = 0
        self.label = ""  # of the class that is looked at alone; empty for all
        store.dataset_changed.connect(self._on_store_dataset_changed)
        self._on_store_dataset_changed(store.dataset)

    @property
    def subject(self) -> Subject | None:
        """None where the test card is shown."""
        return self._subject

    @property
    def has_data(self) -> bool:
        return bool(self._order)

    @property
    def name(self) -> str:
        return shown(self._subject.name.rpartition("/")[2]) if self._subject else "test card"

    def one(self) -> Subject:
        """The photo, or the test card. Raises OSError when the card cannot be written."""
        return self._subject or Subject(test_card_path(), "test card")

    def several(self, num: int) -> tuple[Subject, ...]:
        """So many photos from the place on, each once; fewer where there are not so many. The one photo where there is no data."""
        if not self._order:
            return (self.one(),)
        places = range(self._place, self._place + min(num, len(self._order)))
        return tuple(self._from_data(self._order[place % len(self._order)]) for place in places)

    def partner(self) -> Subject | None:
        """Another photo of the data set, to be mixed with the one; None where there is no other."""
        return next((each for each in self.several(2) if each.is_from_data and each != self._subject), None)

    def step(self, by: int) -> None:
        """The next or previous photo of the data set, or of the chosen class."""
        if self._order:
            self._place = (self._place + by) % len(self._order)
            self._set(self._from_data(self._order[self._place]))

    def show_file(self, path: str) -> None:
        """A photo from anywhere, for instance dropped on the page."""
        self._set(Subject(path, os.path.basename(path)))

    def choose_class(self, label: str) -> None:
        self.label = label
        self._fill_order()
        self._place = 0
        self._set(self._from_data(self._order[0]) if self._order else None)

    def _from_data(self, index: int) -> Subject:
        dataset = self._store.dataset
        sample = dataset.part("train")[index]
        return Subject(dataset.path_of(sample), sample.id, index, sample.label, is_from_data=True)

    def _set(self, subject: Subject | None) -> None:
        self._subject = subject
        self.changed.emit()

    def _fill_order(self) -> None:
        dataset = self._store.dataset
        samples = dataset.part("train") if dataset is not None else ()
        chosen = [i for i, s in enumerate(samples) if not self.label or s.label == self.label]
        self._order = sorted(chosen, key=lambda i: zlib.crc32(samples[i].id.encode("utf-8", "surrogatepass")))

    def _on_store_dataset_changed(self, dataset) -> None:
        """Stay at the photo that is shown where it is still there."""
        if dataset is None or self.label not in dataset.classes:
            self.label = ""
        self._fill_order()
        subject = self._subject
        if dataset is None:
            if subject is not None and subject.is_from_data:
                subject = None
            self._set(subject)
        elif subject is None or subject.is_from_data or not os.path.exists(subject.path):
            samples = dataset.part("train")
            name = subject.name if subject else None
            self._place = next((i for i, at in enumerate(self._order) if samples[at].id == name), 0)
            self._set(self._from_data(self._order[self._place]) if self._order else None)
