"""What can be done with runs: start, queue, steer, change in flight, delete."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.device import has_mps, usable_gpus
from studio.core.edit import edit_problems
from studio.core.event import RunFailed
from studio.core.experiment import Experiment, differences, field_info
from studio.core.outcome import Status, describe_exit_code
from studio.core.place import runs_dir
from studio.core.problem import BadInput
from studio.core.run_folder import CommandKind, RunFolder, create_run
from studio.gui import run_entry
from studio.gui.background import Background
from studio.gui.readiness import Readiness
from studio.gui.run_bin import STILL_TRAINS, move_to_bin
from studio.gui.run_entry import RunEntry
from studio.gui.run_list import RunList
from studio.gui.store import ExperimentStore, describe_change

if TYPE_CHECKING:
    from studio.core.experiment import Training
    from studio.dataset.dataset import Dataset
    from studio.gui.attention import Attention
    from studio.gui.engine import Engines
    from studio.gui.workers import WorkerClient

QUICK_TEST_IMAGES = 20
START_AGAIN_MS = 60_000  # after a training process could not be started, most often because the memory was full


class RunsController(RunList):
    """Starts, steers and queues the runs of runs_dir(). GUI thread only; files are written in the background."""

    started = Signal(object)  # RunEntry: an engine was asked to run it
    ended = Signal(object)  # RunEntry: was active while this window was open
    failed_to_start = Signal(str)  # sentence

    def __init__(
        self, store: ExperimentStore, background: Background, engines: Engines, probe: WorkerClient, preview: WorkerClient,
        attention: Attention, parent: QObject | None = None, folder: Path | None = None,
    ):  # fmt: skip
        super().__init__(folder or runs_dir(), attention, parent)
        self._store, self._background, self._engines = store, background, engines
        self._is_creating = False
        self._left_before: tuple[RunEntry, ...] = ()  # those left over when the creating began
        self._launched: set[RunEntry] = set()  # whose engine this window started and may not have ended
        self.readiness = Readiness(store, background, probe, preview, self)
        self.readiness.changed.connect(self.entries_changed)
        self.came_to_end.connect(self._on_came_to_end)
        self._exit_timer = QTimer(self, interval=250)
        self._exit_timer.timeout.connect(self._on_exit_timer_timeout)

    # Settings in flight

    def edits_since(self, entry: RunEntry) -> dict[str, tuple]:
        """What the draft has changed against what counts in a run: {"schedule.epochs": (old, new)}."""
        changes = differences(entry.in_force, self._store.experiment)
        changes.pop("name", None)
        return changes

    def live_edits(self, entry: RunEntry) -> dict[str, Any]:
        """Those of `edits_since` that a run can take while it goes on, as plain data."""
        draft = self._store.experiment.model_dump(mode="json")
        found = {}
        for path in self.edits_since(entry):
            section, _, name = path.partition(".")
            if field_info(path).json_schema_extra["takes"] != "new run":
                found[path] = draft[section][name]
        return found

    def reason_not_to_edit(self, entry: RunEntry) -> str:
        """Why `edit` cannot work now; empty when it can."""
        described, values = entry.state.description, self.live_edits(entry)
        if not values:
            return "All of these edits need a new run."
        if not entry.is_active or described is None:
            return "The run has not begun yet." if entry.is_active else "The run has ended."
        begun = min(described.epochs, entry.state.step // max(1, described.steps_per_epoch) + 1)
        problems = edit_problems(entry.in_force, values, epochs_begun=begun, stages=[stage.name for stage in described.stages])
        return str(problems[0].sentence) if problems else ""

    def edit(self, entry: RunEntry) -> bool:
        """Ask a run to take the draft's `live_edits` at its next step. `edit_answered` tells how it went."""
        values = self.live_edits(entry)
        if self.reason_not_to_edit(entry):
            return False
        if self._command(entry, "edit", values):
            entry.wishes = values
            self.state_changed.emit(entry)
            return True
        return False

    def take_as_draft(self, entry: RunEntry, label: str) -> bool:
        """The settings of a run become the draft, in an undo step of this name; the project keeps its own. False where they are that already."""
        return self._store.replace(entry.experiment.changed({"name": self._store.experiment.name}), label)

    def reason_not_to_train(self) -> str:
        """Why Train cannot work now, and what to do; empty when it can."""
        return "A run is being prepared." if self._is_creating else self.readiness.reason()

    # Starting

    def train(self) -> None:
        """Start the draft as a run, or queue it while another one is active on its device."""
        self._create([self._store.experiment], start=self.in_the_way(self._store.experiment.training) is None)

    def train_now(self) -> None:
        """Start the draft at once, beside whatever is active."""
        self._create([self._store.experiment], start=True)

    def queue(self) -> None:
        """Put the draft at the end of the queue, which begins when nothing is active."""
        self._create([self._store.experiment], start=False)

    def quick_test(self) -> None:
        """One epoch on few images: does everything hold together?"""
        if reason := self.reason_not_to_train():
            self.failed_to_start.emit(reason)
            return
        few = _few(self._store.dataset, QUICK_TEST_IMAGES)
        batch_size = min(self._store.experiment.training.batch_size, len(few.part("train")))
        experiment = self._store.experiment.changed({"schedule.epochs": 1, "training.batch_size": batch_size})
        self._create([experiment], start=True, dataset=few)

    def train_seeds(self, count: int = 5) -> None:
        """The same draft with several seeds, one after the other, to see how much is chance."""
        draft = self._store.experiment
        seeds = [(draft.training.seed + offset) % 2**31 for offset in range(count)]
        self._create([draft.changed({"training.seed": seed}) for seed in seeds], start=self.in_the_way(draft.training) is None)

    def sweep(self, experiments: Sequence[Experiment], on_queued: Callable[[], object] = lambda: None) -> None:
        """Train several experiments one after the other, behind what waits already."""
        self._create(experiments, start=False, then=on_queued)

    def in_the_way(self, training: Training) -> RunEntry | None:
        """The newest active run on a device that such a run would take; None where it can start at once."""
        devices = _devices_for(training)
        return max((e for e in self.going if not _devices_of(e).isdisjoint(devices)), key=lambda e: e.number, default=None)

    def _taken(self) -> set[str]:
        """The devices on which runs are active."""
        return {device for entry in self.going for device in _devices_of(entry)}

    # Steering

    def pause(self, entry: RunEntry) -> None:
        self._command(entry, "pause")

    def resume(self, entry: RunEntry) -> None:
        """Go on after a pause, whether its memory was kept or released."""
        if entry.is_active:
            self._command(entry, "resume")
        else:
            self.continue_run(entry)

    def save_now(self, entry: RunEntry) -> None:
        """Save a checkpoint after the step that runs."""
        if self._command(entry, "save"):
            self.state_changed.emit(entry)

    def stop(self, entry: RunEntry, kind: CommandKind = "stop") -> None:
        """kind: stop (saves a checkpoint first), release (as stop, but meant as a pause: what waits does not start), stop_after_epoch, discard."""
        if entry.is_active and not entry.is_alive and not entry.is_launching:
            return
        self._command(entry, kind)
        if kind != "stop_after_epoch":
            entry.stop_asked_at = entry.stop_asked_at or time.monotonic()
            QTimer.singleShot(round(run_entry.STOP_ANSWER_S * 1000) + 50, self, lambda: self.state_changed.emit(entry))

    def end_by_force(self, entry: RunEntry) -> None:
        """Kill an engine that does not answer. Everything up to the last checkpoint is kept."""
        self._engines.end_by_force(entry.folder)

    def continue_run(self, entry: RunEntry) -> None:
        """Go on from the last checkpoint of a stopped, failed or crashed run."""
        if not entry.is_active:
            self._launch(entry, resume=True)

    def continue_on_processor(self, entry: RunEntry) -> None:
        """As `continue_run`, where the device is gone or broken."""
        try:
            entry.move_to("cpu")
        except (BadInput, OSError) as exc:
            self.failed_to_start.emit(f"The run cannot go on on the processor: {exc}")
        else:
            self.continue_run(entry)

    # The queue

    @property
    def left_over(self) -> tuple[RunEntry, ...]:
        """Runs that never began and do not wait either: they came with a copied folder, say, or their queue was lost."""
        if self._is_creating:  # what comes now is about to wait
            return tuple(e for e in self._left_before if e in self)
        queued = set(self.queued)
        return tuple(e for e in self.never_begun if e not in queued and not e.is_alive)

    @property
    def listed(self) -> tuple[RunEntry, ...]:
        """What a table of runs holds: all but those that wait."""
        return (*self.started_entries, *self.left_over)

    def start_now(self, entry: RunEntry) -> None:
        """Start a queued run out of turn."""
        self._change_queue(lambda names: [name for name in names if name != entry.folder.name])
        self._launch(entry, resume=False)

    def start_queue(self) -> None:
        """On every free device start the first run that waits for it. Of several windows, one does this."""
        if not self.queued or not self._queue.may_start():
            return
        taken = self._taken()
        for entry in self.queued:
            devices = _devices_for(entry.experiment.training)
            if devices.isdisjoint(taken) and not entry.folder.is_alive():
                self.start_now(entry)
            taken |= devices  # also of one that waits for several GPUs: nothing behind it takes one of them before it

    def enqueue(self, entry: RunEntry, place: int | None = None) -> None:
        """Put a run that never began into the queue, at its end where no place is given: one that was taken back from the bin, or came with a
        copied folder."""

        def put(names: list[str]) -> list[str]:
            names = [name for name in names if name != entry.folder.name]
            names.insert(len(names) if place is None else place, entry.folder.name)
            return names

        self._change_queue(put)
        self.start_queue()

    def unqueue(self, entries: Sequence[RunEntry]) -> None:
        """Take waiting runs out of the queue."""
        out = {entry.folder.name for entry in entries}
        self._change_queue(lambda names: [name for name in names if name not in out])

    def move_in_queue(self, entry: RunEntry, by: int) -> None:
        """Start earlier (by=-1) or later (by=1)."""
        order = list(self.queued)
        old = order.index(entry)
        order.insert(max(0, min(len(order) - 1, old + by)), order.pop(old))
        self.order_queue(order)

    def order_queue(self, order: Sequence[RunEntry]) -> None:
        """Start what waits in this order; what another window has started or queued meanwhile stays started or queued."""
        names = [entry.folder.name for entry in order]
        self._change_queue(lambda now: [*(n for n in names if n in now), *(n for n in now if n not in names)])

    def queue_note(self, entry: RunEntry) -> str:
        """What a waiting run changes against the one before it: "epochs to 12"."""
        before = next((e for e in reversed(self.entries) if e.number < entry.number), None)
        if before is None:
            return ""
        words = describe_change(before.experiment.changed({"name": entry.experiment.name}), entry.experiment, most=2)
        return "the same settings" if words == "nothing" else words

    def delete(
        self, entry: RunEntry, on_done: Callable[[Path | None], object] | None = None, on_error: Callable[[str], object] | None = None
    ) -> None:
        """Move a run's folder to the bin; `on_done` gets where it lies now, as `move_to_bin` does. An active run is left alone."""

        def moved(binned: Path | None) -> None:
            self.monitor.look_now()
            if on_done is not None:
                on_done(binned)

        def failed(exc: Exception) -> None:
            (on_error or self.failed_to_start.emit)(f"{entry.name.capitalize()} could not be moved to the bin: {exc}.")

        if entry.is_active:
            failed(BlockingIOError(STILL_TRAINS))
        else:
            self._background.run(lambda: move_to_bin(entry.folder), moved, failed, is_promised=True)

    def close(self) -> None:
        """Stop watching. Runs go on."""
        self._exit_timer.stop()
        super().close()

    # How

    def _create(
        self, experiments: Sequence[Experiment], *, start: bool, dataset: Dataset | None = None, then: Callable[[], object] = lambda: None
    ) -> None:
        """Write a run folder per experiment and put all into the queue, in the order given; then start the first, or what is its turn. What the
        window does not come to start waits for the next one."""
        if reason := self.reason_not_to_train():
            self.failed_to_start.emit(reason)
            return
        dataset = dataset or self._store.dataset
        self._left_before = self.left_over
        self._is_creating = True

        def make() -> list[RunFolder]:
            content, made = dataset.to_json(), []
            try:
                for experiment in experiments:
                    made.append(create_run(self._folder, experiment, content))
                self._queue.change(lambda names: [*names, *(folder.name for folder in made)])
            except (BadInput, OSError):
                for folder in made:
                    shutil.rmtree(folder.path, ignore_errors=True)  # all or none
                raise
            return made

        def created(folders: list[RunFolder]) -> None:
            self._on_created(folders, experiments, start)
            then()

        self._background.run(make, created, self._on_create_failed, is_promised=True)

    def _on_created(self, folders: list[RunFolder], experiments: Sequence[Experiment], start: bool) -> None:
        self._is_creating = False
        entries = [self._add(folder, experiment) for folder, experiment in zip(folders, experiments, strict=True)]
        for entry in entries:
            self._note(entry)
        if start and not (entries[0].is_active or entries[0].folder.is_alive()):  # another window may have been faster
            self.start_now(entries[0])
        else:
            self.start_queue()
        self.entries_changed.emit()
        self.monitor.look_now()

    def _on_create_failed(self, exc: Exception) -> None:
        self._is_creating = False
        words = exc.problems[0].sentence if isinstance(exc, BadInput) else _not_queued(exc) if isinstance(exc, OSError) else str(exc)
        self.failed_to_start.emit(words)

    def _launch(self, entry: RunEntry, *, resume: bool) -> None:
        self._launched.add(entry)
        entry.is_launching = True
        entry.exit_code = entry.stop_asked_at = None
        self._engines.start(
            entry.folder, resume, lambda: self._on_launched(entry), lambda sentence: self._on_launch_failed(entry, sentence)
        )
        self._note(entry)
        self.state_changed.emit(entry)
        self.started.emit(entry)

    def _on_launched(self, entry: RunEntry) -> None:
        self._exit_timer.start()
        self.monitor.look_now(entry.folder)

    def _on_launch_failed(self, entry: RunEntry, sentence: str) -> None:
        entry.is_launching = False
        self._note(entry)
        if entry.status is Status.QUEUED:  # it never began: it waits on, and is tried again
            self._change_queue(lambda names: [entry.folder.name, *names])
            QTimer.singleShot(START_AGAIN_MS, self, self.start_queue)
            sentence += f" {entry.name.capitalize()} stays first in the queue and is tried again in a minute."
        self.state_changed.emit(entry)
        self.failed_to_start.emit(sentence)

    def _command(self, entry: RunEntry, kind: CommandKind, values: dict[str, Any] | None = None) -> bool:
        try:
            entry.folder.command(kind, values)  # one short append; a full disk is the only thing that can go wrong
        except OSError as exc:
            self.failed_to_start.emit(f"The command did not reach {entry.name}: {exc.strerror}.")
            return False
        return True

    def _on_exit_timer_timeout(self) -> None:
        """Exit codes of engines this window started; an engine that died before its first word is a failed run."""
        for entry in tuple(self._launched):
            code = self._engines.exit_code(entry.folder)
            if code is None:
                if not entry.is_launching and not self._engines.is_running(entry.folder):
                    self._launched.discard(entry)
                continue
            self._launched.discard(entry)
            entry.exit_code = code
            self.monitor.look_now()  # its last words are there
            if entry.is_launching:
                entry.is_launching = False
                words = f"The training process {describe_exit_code(code)} before it began."
                failed = RunFailed(
                    step=0, sentence=words, fix="Train again. Details hold the end of its log.", trace=entry.folder.log_tail()
                )
                entry.state = replace(entry.state, status=Status.FAILED, failed=failed)
                self._note(entry)
                self.state_changed.emit(entry)
                self._on_came_to_end(entry)
        if not self._launched:
            self._exit_timer.stop()

    def _on_came_to_end(self, entry: RunEntry) -> None:
        code = self._engines.exit_code(entry.folder)
        entry.exit_code = code if code is not None else entry.exit_code
        self.ended.emit(entry)
        if not entry.state.is_released:  # the memory was wanted for something else
            self.start_queue()

    def _change_queue(self, edit: Callable[[list[str]], list[str]]) -> None:
        try:
            self._queue.change(edit)  # a short file beside the runs
        except OSError as exc:
            self.failed_to_start.emit(_not_queued(exc))
        self.entries_changed.emit()


def _not_queued(exc: OSError) -> str:
    return f"The queue could not be saved: {exc.strerror}."


def _device_key(device: str) -> str:
    """One name for one device: "auto" is the first GPU where there is one."""
    if device == "auto":
        device = "cuda:0" if usable_gpus() else "mps" if has_mps() else "cpu"
    return "cuda:0" if device == "cuda" else device


def _devices_for(training: Training, device: str = "") -> frozenset[str]:
    """What a run takes of this computer, by the device it asks for, or the one it was given: of several processes each takes a GPU of its own."""
    key = _device_key(device or training.device)
    if key.startswith("cuda") and training.processes > 1:
        return frozenset(f"cuda:{number}" for number in range(training.processes))
    return frozenset([key])


def _devices_of(entry: RunEntry) -> frozenset[str]:
    """Of an active run."""
    described = entry.state.description
    return _devices_for(entry.experiment.training, described.device if described else "")


def _few(dataset: Dataset, max_images: int) -> Dataset:
    """About `max_images` training images, as many for validation, all classes present."""
    taken: dict[tuple[str, str], int] = {}
    each = max(2, max_images // max(1, len(dataset.classes)))
    samples = []
    for sample in dataset.samples:
        key = (sample.label, sample.split)
        taken[key] = taken.get(key, 0) + 1
        if taken[key] <= each:
            samples.append(sample)
    return replace(dataset, samples=tuple(samples))
