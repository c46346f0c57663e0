"""What a run of the draft would write to the disk, against what is free there: told before Train is pressed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.place import cache_dir, runs_dir
from studio.core.problem import Repair
from studio.core.words import NBSP, num_bytes
from studio.gui.background import Background, Task
from studio.gui.estimate import Estimates
from studio.gui.runs import RunsController
from studio.gui.store import ExperimentStore

if TYPE_CHECKING:
    from studio.core.experiment import Experiment
    from studio.dataset.dataset import Dataset
    from studio.dataset.disk_use import DiskUse, Room

ASK_AFTER_MS = 200
_JOINER = "\N{WORD JOINER}"
_COMMAND = f"studio{NBSP}-{_JOINER}-{_JOINER}runs{NBSP}FOLDER"  # a line may break behind a hyphen
LOOK_AGAIN_MS = 5_000  # while room is short: whoever makes some sees the warning go


class DiskForecast(QObject):
    """Follows the draft and its network. Disks are asked in the background: one on another computer may not answer."""

    changed = Signal()

    def __init__(
        self, store: ExperimentStore, estimates: Estimates, runs: RunsController, background: Background, parent: QObject | None = None
    ):
        super().__init__(parent)
        self._store, self._estimates, self._background = store, estimates, background
        self.use: DiskUse | None = None  # None while it is not known
        self.rooms: tuple[Room, ...] = ()  # one for each disk
        self._question: tuple = ()
        self._dataset: Dataset | None = None  # of the question
        self._task: Task | None = None
        self._timer = QTimer(self, singleShot=True, interval=ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)
        self._again = QTimer(self, singleShot=True, interval=LOOK_AGAIN_MS)
        self._again.timeout.connect(self._ask)
        store.experiment_changed.connect(lambda old, new: self._follow())
        store.dataset_changed.connect(lambda _: self._follow())
        estimates.changed.connect(self._follow)
        runs.ended.connect(lambda _: self.look_again())

    @property
    def needed(self) -> int | None:
        """Bytes that the run writes at the most; None while not known."""
        return sum(room.needed for room in self.rooms) if self.rooms else None

    @property
    def sentence(self) -> str:
        """What is written and what is free, empty while not known; where that is too little, what to do."""
        return self._sentence(self.rooms)

    @property
    def is_short(self) -> bool:
        return _short(self.rooms) is not None

    def of_many(self, num_runs: int) -> tuple[str, bool]:
        """(sentence, is_short) of so many runs like the draft, one after the other: each keeps what it writes, and what is cached serves all."""
        if self.use is None or not self.rooms:
            return "", False
        first, *others = self.rooms
        rooms = (replace(first, needed=first.needed + (num_runs - 1) * self.use.in_runs, num_runs=num_runs), *others)
        return self._sentence(rooms), _short(rooms) is not None

    @property
    def repair(self) -> Repair | None:
        """A way out within the draft, where there is one: features only save time."""
        if not self.is_short or self.use is None or not self.use.features:
            return None
        *others, last = self.rooms  # features are on the last
        without = (*others, replace(last, needed=last.needed - self.use.features))
        return None if any(room.is_short for room in without) else Repair("Keep no features", {"training.feature_cache": "off"})

    def look_again(self) -> None:
        """The disks may have changed."""
        self._question = ()
        self._follow()

    def close(self) -> None:
        self._timer.stop()
        self._again.stop()

    @staticmethod
    def _sentence(rooms: tuple[Room, ...]) -> str:
        if not rooms:
            return ""
        runs, short = rooms[0], _short(rooms)
        if short is None:
            needed = sum(room.needed for room in rooms)
            return f"{runs.who} will write up to {num_bytes(needed)}; {num_bytes(runs.free)} are free on the disk with the runs."
        if short is runs:
            return f"{short.sentence} Free some space, or choose another folder for runs: {_COMMAND}."
        return f"{short.sentence} Free some space, or let kept features take less (Schedule, Feature cache)."

    def _follow(self) -> None:
        """Ask when something has changed on which the answer hangs."""
        e, dataset = self._store.experiment, self._store.dataset
        network = self._estimates.model.get("disk") if self._estimates.model else None
        if network is None or dataset is None:
            self._question = ()
            self._timer.stop()
            self._take(None, ())
            return
        question = network, e.training, e.augment, e.schedule.epochs, e.model.input_size, e.data.synthetic_fraction
        if dataset is not self._dataset or question != self._question:
            self._question, self._dataset = question, dataset
            self._timer.start()

    def _ask(self) -> None:
        network, e, dataset, runs, cache = (
            self._estimates.model["disk"],
            self._store.experiment,
            self._store.dataset,
            runs_dir(),
            cache_dir(),
        )
        if self._task is not None:
            self._task.cancel()
        self._task = self._background.run(
            lambda: _look(network, e, dataset, runs, cache), lambda found: self._take(*found), lambda error: self._take(None, ())
        )

    def _take(self, use: DiskUse | None, rooms: tuple[Room, ...]) -> None:
        if (use, rooms) != (self.use, self.rooms):
            self.use, self.rooms = use, rooms
            self.changed.emit()
        if self.is_short:
            self._again.start()
        else:
            self._again.stop()


def _short(rooms: tuple[Room, ...]) -> Room | None:
    return next((room for room in rooms if room.is_short), None)


def _look(network: dict, experiment: Experiment, dataset: Dataset, runs: Path, cache: Path) -> tuple[DiskUse, tuple[Room, ...]]:
    """Raises OSError where a disk does not answer."""
    from studio.dataset.disk_use import NetworkUse, disk_use, free_bytes, rooms

    use = disk_use(experiment, dataset, NetworkUse.of(network), free_bytes(cache))
    return use, rooms(use, runs, cache)
