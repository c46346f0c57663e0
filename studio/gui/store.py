"""The draft that all pages edit: one immutable experiment, its undo history, and the data set it leads to."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from studio.core.experiment import Data, Experiment, differences, field_info
from studio.core.problem import Problem
from studio.core.words import format_number

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset

BURST_S = 1.0  # a pause between two presses of a key that begins another undo step


class ExperimentStore(QObject):
    """Owns the draft. Editing replaces the experiment; undo is the experiment before. GUI thread only."""

    experiment_replaced = Signal(object, object)  # old, new: ahead of all else, for what is asked of other processes
    experiment_changed = Signal(object, object)  # old, new
    history_changed = Signal()  # undo and redo: what they would do
    dataset_changed = Signal(object)  # Dataset | None
    problems_changed = Signal()

    def __init__(self, experiment: Experiment | None = None, parent: QObject | None = None):
        super().__init__(parent)
        self._experiment = experiment or Experiment()
        self._dataset: Dataset | None = None
        self._dataset_data: Data | None = None  # the settings that the data set was read with
        self._num_datasets = 0
        self._problems: tuple[Problem, ...] = ()
        self._undo: list[tuple[str, Experiment]] = []  # label of the step, experiment before it
        self._redo: list[tuple[str, Experiment]] = []  # label of the step, experiment after it
        self._redo_before: list[tuple[str, Experiment]] = []  # the step that goes on: what it took from redo
        self._drag_depth = 0
        self._is_drag_recorded = False
        self._burst: tuple[str, float] = ("", 0.0)  # what the last change belongs to, and when it came

    @property
    def experiment(self) -> Experiment:
        return self._experiment

    @property
    def dataset(self) -> Dataset | None:
        """What the scan of experiment.data found; None before one succeeded."""
        return self._dataset

    @property
    def dataset_number(self) -> int:
        """Another one for every data set that a scan has found: tells workers, which list the images for themselves, when to do so anew."""
        return self._num_datasets

    @property
    def is_dataset_current(self) -> bool:
        """False while a data set is shown that was read before the last change of experiment.data."""
        return self._dataset is not None and self._dataset_data == self._experiment.data

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the draft's data, errors first as the scan gave them."""
        return self._problems

    def value(self, path: str) -> Any:
        """The value of a setting: value("schedule.epochs")."""
        target: Any = self._experiment
        for part in path.split("."):
            target = getattr(target, part)
        return target

    def set(self, values: dict[str, Any], label: str = "", *, burst: str = "") -> bool:
        """Change settings: set({"schedule.epochs": 12}). One undo step, named `label` or after the settings; False where nothing is another.

        Raises BadInput with every problem; the draft is then as it was. Within a drag all calls make one step, and so do those of one
        `burst`, as the presses of a key on one handle, that follow each other within BURST_S.
        """
        return self._replace(self._experiment.changed(values), label, burst)

    def end_burst(self) -> None:
        """What comes next is another undo step, however soon."""
        self._burst = ("", 0.0)

    def replace(self, experiment: Experiment, label: str) -> bool:
        """Take a whole experiment as the draft (restored from a run); can be undone. False where it is that already."""
        return self._replace(experiment, label)

    def reset_to(self, experiment: Experiment) -> None:
        """Another project: the history starts anew."""
        self._undo.clear()
        self._redo.clear()
        self._drag_depth = 0
        self.end_burst()
        self._tell(experiment)

    def begin_drag(self) -> None:
        """From here to `end_drag` all changes are one undo step."""
        if self._drag_depth == 0:
            self._is_drag_recorded = False
        self._drag_depth += 1

    @property
    def is_dragging(self) -> bool:
        """Between begin_drag and end_drag: the next change is a few milliseconds away."""
        return self._drag_depth > 0

    def end_drag(self) -> None:
        self._drag_depth = max(0, self._drag_depth - 1)

    @contextmanager
    def one_step(self):
        """`with store.one_step():` as begin_drag and end_drag."""
        self.begin_drag()
        try:
            yield
        finally:
            self.end_drag()

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty when there is nothing."""
        return self._undo[-1][0] if self._undo else ""

    @property
    def redo_label(self) -> str:
        return self._redo[-1][0] if self._redo else ""

    def undo(self) -> None:
        self._travel(self._undo, self._redo)

    def redo(self) -> None:
        self._travel(self._redo, self._undo)

    def set_dataset(self, dataset: Dataset | None, problems: tuple[Problem, ...] = (), data: Data | None = None) -> None:
        """For the scan: what it found with `data` (the draft's where not given), or None and why."""
        self._problems = problems
        self._dataset_data = data or self._experiment.data
        if dataset is not self._dataset:
            self._dataset = dataset
            self._num_datasets += 1
            self.dataset_changed.emit(dataset)
        self.problems_changed.emit()

    def _replace(self, new: Experiment, label: str, burst: str = "") -> bool:
        old = self._experiment
        if new == old:
            return False
        if self._drag_depth:  # a step of its own, however soon after a press of a key
            burst = ""
        now = time.monotonic()
        is_burst = bool(burst) and burst == self._burst[0] and now - self._burst[1] <= BURST_S
        goes_on = self._is_drag_recorded if self._drag_depth else is_burst
        self._burst = burst, now
        if goes_on and new == self._undo[-1][1]:  # back where it began: as if nothing had been
            self._undo.pop()
            self._redo[:] = self._redo_before
            self._is_drag_recorded = False
            self.end_burst()
        elif goes_on:
            self._undo[-1] = (label or describe_change(self._undo[-1][1], new), self._undo[-1][1])
        else:
            self._undo.append((label or describe_change(old, new), old))
            self._redo_before = list(self._redo)
            self._redo.clear()
            self._is_drag_recorded = True
        self._tell(new)
        return True

    def cancel_drag(self) -> None:
        """Put the draft back to what it was when the drag began; nothing of it stays to be undone."""
        if self._drag_depth and self._is_drag_recorded:
            _, experiment = self._undo.pop()
            self._redo[:] = self._redo_before
            self._is_drag_recorded = False
            self._tell(experiment)

    def _travel(self, source: list, target: list) -> None:
        if not source:
            return
        label, experiment = source.pop()
        target.append((label, self._experiment))
        self._drag_depth = 0
        self.end_burst()
        self._tell(experiment)

    def _tell(self, new: Experiment) -> None:
        old, self._experiment = self._experiment, new
        self.experiment_replaced.emit(old, new)
        self.history_changed.emit()
        self.experiment_changed.emit(old, new)


def describe_change(old: Experiment, new: Experiment, most: int = 1) -> str:
    """The step in words: "epochs to 12", "3 settings" where there are more than `most`."""
    changes = differences(old, new)
    if not changes:
        return "nothing"
    if len(changes) > most:
        return f"{len(changes)} settings"
    return ", ".join(_describe(path, value) for path, (_, value) in changes.items())


def _describe(path: str, value: Any) -> str:
    name = field_info(path).json_schema_extra["label"].lower()
    return f"{name} to {show_value(value)}" if isinstance(value, (str, int, float, bool)) else name


def show_value(value: Any) -> str:
    """A setting's value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return format_number(value)
    if isinstance(value, str):
        return value.replace("_", " ") if value else "none"
    if isinstance(value, tuple) and 0 < len(value) <= 4 and all(isinstance(each, (int, float)) for each in value):
        return ", ".join(format_number(each) for each in value)
    return f"{len(value):,}" if hasattr(value, "__len__") else str(value)
