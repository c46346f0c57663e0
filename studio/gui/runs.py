"""All runs as the window knows them, the one that is active, and what can be done with them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.device import has_mps, usable_gpus
from studio.core.edit import Edit, edit_problems, edited
from studio.core.event import RunFailed
from studio.core.experiment import Experiment, differences, field_info
from studio.core.fold import RunState
from studio.core.outcome import Outcome, Status, describe_exit_code
from studio.core.place import runs_dir
from studio.core.problem import BadInput
from studio.core.queue import RunQueue
from studio.core.run_digest import RunDigest, RunSummary, summarise
from studio.core.run_folder import CommandKind, RunFolder, create_run
from studio.gui.background import Background
from studio.gui.monitor import RunMonitor, RunUpdate
from studio.gui.readiness import Readiness
from studio.gui.run_bin import move_to_bin
from studio.gui.store import ExperimentStore, describe_change

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset
    from studio.gui.engine import Engines
    from studio.gui.workers import WorkerClient

QUICK_TEST_IMAGES = 20
COMING_S = 0.3
STOP_ANSWER_S = 10.0
MAX_WHOLE = 64  # runs that were looked at and are held with all their points
UNREADABLE = "Unreadable"


class RunEntry:
    """One run. The object stays the same while the window is open; `state` is replaced as the run goes on.

    Of runs that are over and that nobody looks at only the digest is held: `summary` costs nothing, `experiment` and `state` are unpacked when
    they are asked for, and the state has its curves once `RunsController.read_whole` was called.
    """

    def __init__(
        self, folder: RunFolder, number: int, experiment: Experiment | None = None, state: RunState | None = None,
        digest: RunDigest | None = None, *, is_launching: bool = False,
    ):  # fmt: skip
        self.folder, self.number = folder, number
        self.is_alive = False
        self.is_launching = is_launching  # asked for; no word from the engine yet
        self.exit_code: int | None = None
        self.stop_asked_at: float | None = None  # time.monotonic(); None when no stop is under way
        self.wishes: dict[str, Any] = {}  # settings asked for in flight that the run has not answered yet
        self._experiment, self._digest = experiment, digest
        self._state = state if digest is not None else state or RunState()
        self._summary: RunSummary | None = None

    @property
    def experiment(self) -> Experiment:
        if self._experiment is None:
            self._experiment = _unpacked_experiment(self.folder, self._digest)
        return self._experiment

    @property
    def state(self) -> RunState:
        if self._state is None:
            self._state = self._digest.state()
        return self._state

    @state.setter
    def state(self, state: RunState) -> None:
        self._state, self._digest, self._summary = state, None, None

    @property
    def summary(self) -> RunSummary:
        """What stands in a list."""
        if self._digest is not None:
            return self._digest.summary
        if self._summary is None:
            self._summary = summarise(self.experiment, self.state)
        return self._summary

    @property
    def is_whole(self) -> bool:
        """Whether the state has its curves over steps."""
        return self._state is not None and self._state.is_whole

    def take(self, state: RunState | None, digest: RunDigest | None) -> None:
        """What the monitor found; at least one of the two."""
        self._state, self._digest, self._summary = state, digest, None

    def let_go(self) -> None:
        """Hold the digest alone."""
        if self._digest is not None:
            self._state = None

    @property
    def name(self) -> str:
        """ "run 4"."""
        return f"run {self.number}"

    @property
    def title(self) -> str:
        """ "Run 4 · calm-otter"."""
        return f"Run {self.number} · {self.folder.nickname}"

    @property
    def status(self) -> Status:
        return Status.STARTING if self.is_launching else self.summary.status

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The changes in flight that the run has taken, as `core.edit` counts them."""
        try:
            return edited(self.experiment, self.state.edits)
        except BadInput:  # of a newer version, with settings that are not known here
            return ()

    @property
    def in_force(self) -> Experiment:
        """The experiment with all changes that were made in flight."""
        edits = self.edits
        return edits[-1].experiment if edits else self.experiment

    @property
    def is_active(self) -> bool:
        return self.is_launching or self.summary.status.is_active

    @property
    def is_deaf(self) -> bool:
        """Whether it was asked to stop and still goes on, so that only force is left."""
        return self.is_active and self.stop_asked_at is not None and time.monotonic() - self.stop_asked_at >= STOP_ANSWER_S

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, in words; None while active or queued. Reads the end of the log of a crashed run."""
        return None if self.is_active else self.folder.outcome(self.state, self.exit_code)


class RunsController(QObject):
    """Knows the runs of runs_dir() and starts, steers and queues them. GUI thread only; files are written in the background."""

    entries_changed = Signal()  # runs came, went, or the queue changed
    state_changed = Signal(object)  # RunEntry
    active_changed = Signal(object)  # RunEntry | None
    started = Signal(object)  # RunEntry: an engine was asked to run it
    ended = Signal(object)  # RunEntry: was active while this window was open
    failed_to_start = Signal(str)  # sentence
    edit_answered = Signal(object, str)  # RunEntry, sentence: it took a change in flight, or not

    def __init__(
        self, store: ExperimentStore, background: Background, engines: Engines, probe: WorkerClient,
        parent: QObject | None = None, folder: Path | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._store, self._background, self._engines = store, background, engines
        self._folder = folder or runs_dir()
        self._entries: dict[Path, RunEntry] = {}
        self._num_seen = 0
        self._looked_at: dict[RunEntry, None] = {}  # the last one last
        self._ordered: tuple[RunEntry, ...] | None = None  # of _entries, until one comes or goes
        self._queue_shown: tuple[str, ...] = ()
        self._queue = RunQueue(self._folder)
        self._active: RunEntry | None = None
        self._sharing: set[Path] = set()
        self._is_creating = False
        self.readiness = Readiness(store, background, probe, self)
        self.readiness.changed.connect(self.entries_changed)
        self.is_loaded = False
        self._new_at = -COMING_S
        self.monitor = RunMonitor(self._folder, self)
        self.monitor.updated.connect(self.take)
        self.monitor.removed.connect(self._on_monitor_removed)
        self._exit_timer = QTimer(self, interval=250)
        self._exit_timer.timeout.connect(self._on_exit_timer_timeout)

    # What there is

    @property
    def entries(self) -> tuple[RunEntry, ...]:
        """All runs, oldest first, queued ones included."""
        if self._ordered is None:
            self._ordered = tuple(sorted(self._entries.values(), key=lambda entry: entry.number))
        return self._ordered

    @property
    def active(self) -> RunEntry | None:
        """The run that is going on; the newest one should there be several."""
        return self._active

    @property
    def shares_cores(self) -> bool:
        """Whether some run computes on the window's own cores now."""
        return bool(self._sharing)

    @property
    def latest(self) -> RunEntry | None:
        """The newest run that was started."""
        return next((e for e in reversed(self.entries) if e.status is not Status.QUEUED), None)

    @property
    def finished(self) -> tuple[RunEntry, ...]:
        """Runs with at least one finished epoch."""
        return tuple(e for e in self.entries if e.summary.epochs_done)

    @property
    def best(self) -> RunEntry | None:
        """The run with the highest validation top-1."""
        scored = [e for e in self.entries if e.summary.top1 is not None]
        return max(scored, key=lambda e: e.summary.top1, default=None)

    @property
    def queued(self) -> tuple[RunEntry, ...]:
        """Waiting runs in the order in which they will start."""
        by_name = {e.folder.name: e for e in self.entries if e.status is Status.QUEUED}
        return tuple(by_name[name] for name in self._queue.names if name in by_name)

    def entry(self, which: RunFolder | Path | str) -> RunEntry | None:
        """A run by folder, path, folder name or nickname."""
        path = which.path if isinstance(which, RunFolder) else Path(which)
        found = self._entries.get(path)
        return found or next((e for e in self.entries if str(which) in (e.folder.name, e.folder.nickname)), None)

    def read_whole(self, *entries: RunEntry) -> None:
        """Have the curves of runs that somebody looks at; `state_changed` follows where they were not there. Of those looked at before, the
        last ones are kept."""
        for entry in entries:
            self._looked_at.pop(entry, None)
            self._looked_at[entry] = None
            if not entry.is_whole and not entry.is_active:
                self.monitor.read_whole(entry.folder)
        for old in list(self._looked_at)[:-MAX_WHOLE]:
            del self._looked_at[old]
            old.let_go()

    def dataset_of(self, entry: RunEntry) -> Dataset | None:
        """The data set that a run was given; reads its file, so call it in the background for large ones."""
        from studio.dataset.dataset import Dataset

        try:
            return Dataset.from_json(entry.folder.dataset_path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None

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

    def reason_not_to_train(self) -> str:
        """Why Train cannot work now, and what to do; empty when it can."""
        return "A run is being prepared." if self._is_creating else self.readiness.reason()

    # What can be done

    def start(self) -> None:
        """Begin to watch the run folders."""
        self.monitor.start()

    def train(self) -> None:
        """Start the draft as a run, or queue it while another one is active on its device."""
        self._create([self._store.experiment], start=self.is_free(self._store.experiment.training.device))

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
        self._create([draft.changed({"training.seed": seed}) for seed in seeds], start=self.is_free(draft.training.device))

    def sweep(self, experiments: Sequence[Experiment]) -> None:
        """Train several experiments one after the other, behind what waits already."""
        self._create(experiments, start=False)

    def is_free(self, device: str) -> bool:
        """Whether no run is active on a device, by its name in the settings."""
        return _device_key(device) not in {_device_of(entry) for entry in self.entries if entry.is_active}

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
            QTimer.singleShot(round(STOP_ANSWER_S * 1000) + 50, self, lambda: self.state_changed.emit(entry))

    def end_by_force(self, entry: RunEntry) -> None:
        """Kill an engine that does not answer. Everything up to the last checkpoint is kept."""
        self._engines.end_by_force(entry.folder)

    def continue_run(self, entry: RunEntry) -> None:
        """Go on from the last checkpoint of a stopped, failed or crashed run."""
        if not entry.is_active:
            self._launch(entry, resume=True)

    def start_now(self, entry: RunEntry) -> None:
        """Start a queued run out of turn."""
        self._change_queue(lambda names: [name for name in names if name != entry.folder.name])
        self._launch(entry, resume=False)

    def start_queue(self) -> None:
        """On every free device start the first run that waits for it. Of several windows, one does this."""
        if not self.queued or not self._queue.may_start():
            return
        for entry in self.queued:
            if self.is_free(entry.experiment.training.device) and not entry.folder.is_alive():
                self.start_now(entry)

    def unqueue(self, entry: RunEntry) -> None:
        """Take a waiting run out of the queue; its folder goes to the bin."""
        self._change_queue(lambda names: [name for name in names if name != entry.folder.name])
        self.delete(entry)

    def delete(
        self, entry: RunEntry, on_done: Callable[[Path], object] | None = None, on_error: Callable[[str], object] | None = None
    ) -> None:
        """Move a run's folder to the bin beside the runs; `on_done` gets where it lies now. An active run is left alone."""
        if entry.is_active:
            return

        def moved(binned: Path) -> None:
            self.monitor.look_now()
            if on_done is not None:
                on_done(binned)

        def failed(exc: Exception) -> None:
            (on_error or self.failed_to_start.emit)(f"{entry.name.capitalize()} could not be moved to the bin: {exc}.")

        self._background.run(lambda: move_to_bin(entry.folder), moved, failed)

    def close(self) -> None:
        """Stop watching. Runs go on."""
        self._exit_timer.stop()
        self.monitor.close()
        self._queue.close()

    # How

    def _create(self, experiments: Sequence[Experiment], *, start: bool, dataset: Dataset | None = None) -> None:
        """Write a run folder per experiment, then start the first or queue it; the others wait in the order given."""
        if reason := self.reason_not_to_train():
            self.failed_to_start.emit(reason)
            return
        dataset = dataset or self._store.dataset
        self._is_creating = True

        def make() -> list[RunFolder]:
            content, made = dataset.to_json(), []
            try:
                for experiment in experiments:
                    made.append(create_run(self._folder, experiment, content))
            except BadInput:
                for folder in made:
                    shutil.rmtree(folder.path, ignore_errors=True)  # all or none
                raise
            return made

        self._background.run(make, lambda folders: self._on_created(folders, experiments, start), self._on_create_failed)

    def _on_created(self, folders: list[RunFolder], experiments: Sequence[Experiment], start: bool) -> None:
        self._is_creating = False
        entries = [self._add(folder, experiment) for folder, experiment in zip(folders, experiments, strict=True)]
        waiting = entries[1:] if start else entries
        self._change_queue(lambda names: [*names, *(entry.folder.name for entry in waiting)])
        if start:
            self._launch(entries[0], resume=False)
        else:
            self.start_queue()
        self.entries_changed.emit()
        self.monitor.look_now()

    def _on_create_failed(self, exc: Exception) -> None:
        self._is_creating = False
        words = exc.problems[0].sentence if isinstance(exc, BadInput) else str(exc)
        self.failed_to_start.emit(words)

    def _launch(self, entry: RunEntry, *, resume: bool) -> None:
        entry.is_launching = True
        entry.exit_code = entry.stop_asked_at = None
        self._engines.start(
            entry.folder, resume, lambda: self._on_launched(entry), lambda sentence: self._on_launch_failed(entry, sentence)
        )
        self._find_active()
        self.state_changed.emit(entry)
        self.started.emit(entry)

    def _on_launched(self, entry: RunEntry) -> None:
        self._exit_timer.start()
        self.monitor.look_now(entry.folder)

    def _on_launch_failed(self, entry: RunEntry, sentence: str) -> None:
        entry.is_launching = False
        self._find_active()
        self.state_changed.emit(entry)
        self.failed_to_start.emit(sentence)

    def _command(self, entry: RunEntry, kind: CommandKind, values: dict[str, Any] | None = None) -> bool:
        try:
            entry.folder.command(kind, values)  # one short append; a full disk is the only thing that can go wrong
        except OSError as exc:
            self.failed_to_start.emit(f"The command did not reach {entry.name}: {exc.strerror}.")
            return False
        return True

    def _add(self, folder: RunFolder, experiment: Experiment | None, number: int = 0, digest: RunDigest | None = None) -> RunEntry:
        """`number` is its place among all runs where that is known; the newest are told first."""
        if folder.path not in self._entries:
            number = number or self._num_seen + 1
            self._num_seen = max(self._num_seen, number)
            experiment = experiment or (None if digest else Experiment(name=UNREADABLE))
            self._entries[folder.path] = RunEntry(folder, number, experiment, digest=digest)
            self._ordered = None
        return self._entries[folder.path]

    @property
    def are_coming(self) -> bool:
        """Whether runs were added a moment ago, so that more may follow."""
        return time.monotonic() - self._new_at < COMING_S

    def take(self, updates: tuple[RunUpdate, ...]) -> None:
        """What the monitor found, in one batch."""
        has_new = not self.is_loaded
        self.is_loaded = True
        touched = []
        new: set[int] = set()
        for update in updates:
            is_new = update.folder.path not in self._entries
            has_new |= is_new
            entry = self._add(update.folder, update.experiment, update.number, update.digest)
            was_active, before = entry.is_active, entry.state if entry.is_launching or entry.wishes else None
            # Not at the sight of the lock: the engine holds it before its first word, and the journal still says queued or stopped.
            if entry.is_launching and update.state is not None and _is_newer(update.state, before):
                entry.is_launching = False
            if not is_new or update.state is not None:
                entry.take(update.state, update.digest)
            entry.is_alive = update.is_alive
            shares_cores = entry.is_active and entry.state.shares_cores
            (self._sharing.add if shares_cores else self._sharing.discard)(entry.folder.path)
            if entry.wishes:
                self._answer_wishes(entry, before)
            entry.stop_asked_at = entry.stop_asked_at if entry.is_active else None
            touched.append((entry, was_active))
            if is_new:
                new.add(entry.number)
        if new:
            self._new_at = time.monotonic()
        self._find_active()
        if has_new or self._queue.names != self._queue_shown:  # another window may have changed the queue
            self._queue_shown = self._queue.names
            self.entries_changed.emit()
        for entry, was_active in touched:
            if entry.number not in new or entry.is_active:  # of those that are over and new, entries_changed has told
                self.state_changed.emit(entry)
            if was_active and not entry.is_active:
                self._on_run_ended(entry)

    def _answer_wishes(self, entry: RunEntry, before: RunState) -> None:
        """A change that was asked for has been made, refused, or come too late."""
        state = entry.state
        told = [n.sentence for n in state.notices if n.kind == "edit"] if len(state.edits) > len(before.edits) else []
        refused = [w.sentence for w in state.warnings if w.code == "edit-refused" and w not in before.warnings]
        if told or refused or not entry.is_active:
            entry.wishes = {}
            self.edit_answered.emit(entry, (refused or told or ["it ended before the change could count."])[-1])

    def _on_monitor_removed(self, folders: tuple[RunFolder, ...]) -> None:
        for folder in folders:
            if (entry := self._entries.pop(folder.path, None)) is not None:
                self._looked_at.pop(entry, None)
            self._sharing.discard(folder.path)
        self._ordered = None
        self._find_active()
        self.entries_changed.emit()

    def _on_exit_timer_timeout(self) -> None:
        """Exit codes of engines this window started; an engine that died before its first word is a failed run."""
        is_any_running = False
        for entry in self.entries:
            code = self._engines.exit_code(entry.folder)
            if code is None:
                is_any_running |= self._engines.is_running(entry.folder)
                continue
            entry.exit_code = code
            if entry.is_launching:
                entry.is_launching = False
                words = f"The training process {describe_exit_code(code)} before it began."
                failed = RunFailed(
                    step=0, sentence=words, fix="Train again. Details hold the end of its log.", trace=entry.folder.log_tail()
                )
                entry.state = replace(entry.state, status=Status.FAILED, failed=failed)
                self._find_active()
                self.state_changed.emit(entry)
                self._on_run_ended(entry)
        if not is_any_running:
            self._exit_timer.stop()

    def _on_run_ended(self, entry: RunEntry) -> None:
        code = self._engines.exit_code(entry.folder)
        entry.exit_code = code if code is not None else entry.exit_code
        self.ended.emit(entry)
        if not entry.state.is_released:  # the memory was wanted for something else
            self.start_queue()

    def _find_active(self) -> None:
        active = next((e for e in reversed(self.entries) if e.is_active), None)
        if active is not self._active:
            self._active = active
            self.active_changed.emit(active)

    def _change_queue(self, edit: Callable[[list[str]], list[str]]) -> None:
        try:
            self._queue.change(edit)  # a short file beside the runs
        except OSError as exc:
            self.failed_to_start.emit(f"The queue could not be saved: {exc.strerror}.")
        self.entries_changed.emit()

    def move_in_queue(self, entry: RunEntry, by: int) -> None:
        """Start earlier (by=-1) or later (by=1)."""
        names = [e.folder.name for e in self.queued]
        old = names.index(entry.folder.name)
        names.insert(max(0, min(len(names) - 1, old + by)), names.pop(old))
        self._change_queue(lambda now: [*names, *(name for name in now if name not in names)])

    def queue_note(self, entry: RunEntry) -> str:
        """What a waiting run changes against the one before it: "epochs to 12"."""
        earlier = [e for e in self.entries if e.number < entry.number]
        return describe_change(earlier[-1].experiment, entry.experiment) if earlier else ""


def _unpacked_experiment(folder: RunFolder, digest: RunDigest | None) -> Experiment:
    """Of the digest, or of the run itself where that is of another version."""
    with contextlib.suppress(ValueError):
        if digest is not None:
            return digest.experiment()
    try:
        return folder.experiment()
    except BadInput:
        return Experiment(name=UNREADABLE)


def _is_newer(new: RunState, old: RunState) -> bool:
    """Whether an engine has spoken since: it began (a clock may be set back, so any other time will do) or ended before it could."""
    ends = (new.failed, new.stopped, new.finished) != (old.failed, old.stopped, old.finished)
    return new.wall_time not in (0.0, old.wall_time) or ends


def _device_key(device: str) -> str:
    """One name for one device: "auto" is the first GPU where there is one."""
    if device == "auto":
        device = "cuda:0" if usable_gpus() else "mps" if has_mps() else "cpu"
    return "cuda:0" if device == "cuda" else device


def _device_of(entry: RunEntry) -> str:
    """Of an active run."""
    described = entry.state.description
    return _device_key(described.device if described else entry.experiment.training.device)


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
