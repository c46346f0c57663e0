"""What a run of the draft would write to the disk, with those that wait and that train, against what is free: told before Train is pressed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.place import cache_dir, runs_dir
from studio.core.problem import Repair
from studio.core.trim import total_bytes
from studio.core.words import NBSP, num_bytes
from studio.gui.background import Background, Task
from studio.gui.backlog import Backlog, Counted
from studio.gui.estimate import Estimates
from studio.gui.runs import RunsController
from studio.gui.store import ExperimentStore

if TYPE_CHECKING:
    from studio.core.experiment import Experiment
    from studio.dataset.dataset import Dataset
    from studio.dataset.disk_use import DiskUse, Others, Room

ASK_AFTER_MS = 200
_JOINER = "\N{WORD JOINER}"
_COMMAND = f"studio{NBSP}-{_JOINER}-{_JOINER}runs{NBSP}FOLDER"  # a line may break behind a hyphen
LOOK_AGAIN_MS = 5_000  # while room is short: whoever makes some sees the warning go


class DiskForecast(QObject):
    """Follows the draft and its network. Disks are asked in the background: one on another computer may not answer."""

    changed = Signal()

    def __init__(
        self, store: ExperimentStore, estimates: Estimates, runs: RunsController, backlog: Backlog, background: Background,
        parent: QObject | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._store, self._estimates, self._backlog, self._background = store, estimates, backlog, background
        self.use: DiskUse | None = None  # of the draft; None while it is not known
        self.rooms: tuple[Room, ...] = ()  # one for each disk
        self._bare_rooms: tuple[Room, ...] = ()  # where the draft kept no features
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
        backlog.changed.connect(self._follow)
        runs.ended.connect(lambda _: self.look_again())

    @property
    def needed(self) -> int | None:
        """Bytes that a run of the draft alone writes at the most; None while not known."""
        return self.use.in_runs + self.use.in_cache if self.use else None

    @property
    def others(self) -> Others | None:
        """The runs that write on the same disks and are counted, too; None where there is none."""
        return self.rooms[0].others if self.rooms and self.rooms[0].others.words else None

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
        is_way_out = self.is_short and _short(self._bare_rooms) is None
        return Repair("Keep no features", {"training.feature_cache": "off"}) if is_way_out else None

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
        """Ask when something has changed on which the answer hangs. While the draft's network is being described the answer stays that was
        given of the same stages; of another network none is."""
        e, dataset, described = self._store.experiment, self._store.dataset, self._estimates.draft_model
        network = described.get("disk") if described else None
        if network is None or dataset is None:
            self._question = ()
            self._timer.stop()
            self._stop_asking()
            self._take(None)
            return
        if self._estimates.is_stale:
            self._question = ()
            self._timer.stop()
            return
        settings = e.model, e.training, e.augment, e.schedule.epochs, e.data
        question = network, settings, self._backlog.waiting, self._backlog.training
        if dataset is not self._dataset or question != self._question:
            self._question, self._dataset = question, dataset
            self._timer.start()

    def _ask(self) -> None:
        if not self._question:  # what is described meanwhile asks
            return
        network, _, waiting, training = self._question
        e, dataset, runs, cache = self._store.experiment, self._store.dataset, runs_dir(), cache_dir()
        self._stop_asking()
        self._task = self._background.run(
            lambda: _look(network, e, dataset, runs, cache, waiting, training),
            lambda found: self._take(*found),
            lambda error: self._take(None),
        )

    def _stop_asking(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _take(self, use: DiskUse | None, rooms: tuple[Room, ...] = (), bare_rooms: tuple[Room, ...] = ()) -> None:
        if (use, rooms) != (self.use, self.rooms):
            self.use, self.rooms, self._bare_rooms = use, rooms, bare_rooms
            self.changed.emit()
        if self.is_short:
            self._again.start()
        else:
            self._again.stop()


def _short(rooms: tuple[Room, ...]) -> Room | None:
    return next((room for room in rooms if room.is_short), None)


def _look(
    network: dict, e: Experiment, dataset: Dataset, runs: Path, cache: Path, waiting: tuple[Counted, ...], training: tuple[Counted, ...]
) -> tuple[DiskUse, tuple[Room, ...], tuple[Room, ...]]:
    """What it writes, the disks, and the disks where it kept no features. Raises OSError where a disk does not answer."""
    from studio.dataset.disk_use import NetworkUse, disk_use, free_bytes, others_of, rooms

    free = free_bytes(cache)
    use = disk_use(e, dataset, NetworkUse.of(network), free)
    wait = [(each.experiment, each.use) for each in waiting]
    train = [(each.use, total_bytes(each.folder.checkpoints_path.glob("*/*"))) for each in training]
    found = [rooms(own, runs, cache, others_of((e, own), wait, train, free)) for own in (use, replace(use, features=0))]
    return use, found[0], found[1]
