"""What the runs that wait, and those that train, write to the disk: counted beside the draft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from studio.core.place import cache_dir
from studio.gui.background import Background
from studio.gui.estimate import Estimates
from studio.gui.run_entry import RunEntry
from studio.gui.runs import RunsController
from studio.gui.store import ExperimentStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studio.core.experiment import Experiment
    from studio.core.run_folder import RunFolder
    from studio.dataset.dataset import Dataset
    from studio.dataset.disk_use import DiskUse


@dataclass(frozen=True)
class Counted:
    """A run, and what it writes at the most."""

    folder: RunFolder
    experiment: Experiment
    use: DiskUse


class Backlog(QObject):
    """Looks once at each run, since what it was asked is frozen, and at one after the other: the probe has a user to answer, too. A run whose
    network cannot be made, or whose list of images is missing or damaged, will write nothing. What fails otherwise, as with a disk that does not
    answer, is tried again when the runs have changed."""

    changed = Signal()

    def __init__(
        self, store: ExperimentStore, estimates: Estimates, runs: RunsController, background: Background, parent: QObject | None = None
    ):
        super().__init__(parent)
        self._store, self._estimates, self._runs, self._background = store, estimates, runs, background
        self._counted: dict[RunFolder, Counted | None] = {}  # None where nothing can be counted
        self._failed: set[RunFolder] = set()  # since the runs changed
        self._looked_at: RunEntry | None = None
        self._dataset: Dataset | None = None  # of the last one, held while there are others
        runs.entries_changed.connect(self._follow)
        runs.active_changed.connect(lambda _: self._follow())

    @property
    def waiting(self) -> tuple[Counted, ...]:
        """Those that are counted so far."""
        return self._known(self._runs.queued)

    @property
    def training(self) -> tuple[Counted, ...]:
        return self._known(sorted(self._runs.going, key=lambda entry: entry.number))

    def _known(self, entries: Iterable[RunEntry]) -> tuple[Counted, ...]:
        return tuple(found for entry in entries if (found := self._counted.get(entry.folder)) is not None)

    def _follow(self) -> None:
        there = {entry.folder for entry in self._all()}
        self._counted = {folder: found for folder, found in self._counted.items() if folder in there}
        self._failed.clear()
        self.changed.emit()
        self._look_at_next()

    def _all(self) -> tuple[RunEntry, ...]:
        return *self._runs.going, *self._runs.queued

    def _look_at_next(self) -> None:
        entry = next((each for each in self._all() if each.folder not in self._counted and each.folder not in self._failed), None)
        if self._looked_at is not None:
            return
        if entry is None:
            self._dataset = None
            return
        self._looked_at = entry
        if self._store.is_dataset_current and entry.experiment.data == self._store.experiment.data:
            self._describe(entry, self._store.dataset)
        else:
            self._background.run(
                lambda: self._runs.dataset_of(entry), lambda dataset: self._describe(entry, dataset), lambda _: self._give_up(entry)
            )

    def _describe(self, entry: RunEntry, dataset: Dataset | None) -> None:
        self._dataset = dataset
        if dataset is None:
            self._take(entry, None)
        else:
            self._estimates.find_disk_use(
                entry.experiment,
                len(dataset.classes),
                lambda network: self._count(entry, dataset, network) if network else self._take(entry, None),
                lambda _: self._give_up(entry),
            )

    def _count(self, entry: RunEntry, dataset: Dataset, network: dict) -> None:
        folder, experiment, cache = entry.folder, entry.experiment, cache_dir()

        def count() -> Counted:
            from studio.dataset.disk_use import NetworkUse, disk_use, free_bytes

            return Counted(folder, experiment, disk_use(experiment, dataset, NetworkUse.of(network), free_bytes(cache)))

        self._background.run(count, lambda found: self._take(entry, found), lambda _: self._give_up(entry))

    def _take(self, entry: RunEntry, found: Counted | None) -> None:
        self._looked_at = None
        if any(each.folder == entry.folder for each in self._all()):
            self._counted[entry.folder] = found
            if found is not None:
                self.changed.emit()
        self._look_at_next()

    def _give_up(self, entry: RunEntry) -> None:
        self._looked_at = None
        self._failed.add(entry.folder)
        self._look_at_next()
