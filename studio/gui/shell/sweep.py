"""The sheet that fills the queue: one draft with several values of one or two settings, and seeds."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, get_args

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QHBoxLayout, QLineEdit, QWidget

from studio.core.edit import label_of
from studio.core.experiment import SECTIONS, Experiment, choices
from studio.core.path_text import shown
from studio.core.problem import BadInput, errors_in
from studio.core.sweep import MOST_RUNS, Axis, parse_axis, plan_sweep
from studio.core.words import counted
from studio.gui import wording
from studio.gui.background import Task
from studio.gui.context import Context
from studio.gui.shell.sheet import Sheet
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, NumberField, PlainLabel, Segmented, button

if TYPE_CHECKING:
    from studio.dataset.dataset import Dataset

NONE = ""
FIRST = "schedule.peak_lr"
SUGGESTED = {
    "schedule.peak_lr": "5e-4, 1e-3, 2e-3, 4e-3", "model.train_stages": "0, 1, 2", "optimiser.weight_decay": "0.01, 0.02, 0.05",
    "training.batch_size": "16, 32, 64", "schedule.epochs": "4, 8, 16",
}  # fmt: skip
_NUM_LISTED = 6


@cache
def sweepable() -> tuple[str, ...]:
    """Settings that are one number or one choice, those of the schedule first; not what says where things are."""
    found = []
    for section in sorted((s for s in SECTIONS if s != "data"), key=("schedule", "optimiser", "model", "augment", "training").index):
        for name, info in type(getattr(Experiment(), section)).model_fields.items():
            path = f"{section}.{name}"
            is_plain = info.annotation in (int, float, bool) or bool(choices(path)) and bool(get_args(info.annotation))
            if is_plain and path not in ("training.seed", "training.workers", "model.source", "training.checkpoint_seconds"):
                found.append(path)
    return tuple(found)


class SweepSheet(Sheet):
    """Edits nothing until Queue: the draft stays as it is. Whether the runs can run is asked in the background, of one plan at a time and then
    of the newest: what they start from may lie on a disk that takes long to answer."""

    def __init__(self, host: QWidget, context: Context):
        super().__init__(host, "Train with several values", name="shell.sweep", width=620, has_input=True)
        self._context = context
        self.experiments: list[Experiment] = []
        self._check: Task | None = None  # until the plan is known to be fine, or why not
        self._is_wanted = False  # Queue was pressed, and waits for that
        self._is_dropped = False  # it was, and the plan is another one now
        self._is_left = threading.Event()  # from here on nothing is checked or queued
        self.destroyed.connect(self._is_left.set)
        options = [(path, f"{label_of(path)}  ({path.partition('.')[0]})") for path in sweepable()]
        self.rows = [self._make_row(0, options, FIRST), self._make_row(1, [(NONE, "No second setting"), *options], NONE)]
        self.way = Segmented([("grid", "Every combination"), ("random", "Random draws")], "grid", name="sweep.way")
        self.way.setAccessibleName("Which combinations")
        self.draws = NumberField(8, low=1, high=MOST_RUNS, integer=True, name="sweep.draws")
        self.draws.setAccessibleName("Number of random draws")
        self.seeds = NumberField(1, low=1, high=20, integer=True, name="sweep.seeds")
        self.seeds.setAccessibleName("Seeds for each")
        for field in (self.draws, self.seeds):
            field.setFixedWidth(px(64))
            field.value_changed.connect(lambda _: self._plan())
        self.way.value_changed.connect(lambda _: self._plan())
        line = QHBoxLayout()
        line.setSpacing(px(8))
        line.addWidget(self.way)
        line.addWidget(self.draws)
        line.addStretch(1)
        line.addWidget(PlainLabel("Seeds for each", "label"))
        line.addWidget(self.seeds)
        self.body.addLayout(line)
        self.hint = PlainLabel("", "caption", wrap=True)
        self.body.addWidget(self.hint)
        self.summary = PlainLabel("", "panel", wrap=True)
        self.body.addWidget(self.summary)
        self.disk = PlainLabel("", "caption", wrap=True)
        self.body.addWidget(self.disk)
        self.listing = PlainLabel("", "number", "text2", wrap=True)
        self.body.addWidget(self.listing)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(button("Cancel", kind="quiet", name="sweep.cancel", on_click=self.dismiss))
        self.queue_button = button("Queue", "queue", kind="primary", name="sweep.queue", on_click=self.queue)
        buttons.addWidget(self.queue_button)
        self.body.addLayout(buttons)
        self.setFocusProxy(self.rows[0][1])
        context.disk.changed.connect(self._tell_disk)
        context.store.experiment_changed.connect(self._plan)  # the window behind the sheet still takes keys
        context.store.dataset_changed.connect(self._plan)
        self._plan()

    def _make_row(self, number: int, options: list[tuple[str, str]], chosen: str) -> tuple[ComboBox, QLineEdit]:
        setting = ComboBox(options, chosen, name=f"sweep.setting{number}")
        setting.setAccessibleName(f"Setting {number + 1}")
        setting.setMaxVisibleItems(18)
        setting.setFixedWidth(px(250))
        values = QLineEdit(SUGGESTED.get(chosen, ""))
        values.setObjectName(f"sweep.values{number}")
        values.setAccessibleName(f"Values of setting {number + 1}, with commas between them")
        values.setPlaceholderText("1, 2, 3")
        values.setEnabled(bool(chosen))

        def choose(path: object) -> None:
            values.setEnabled(bool(path))
            values.setText(SUGGESTED.get(str(path), ", ".join(map(str, choices(str(path)))) if path else ""))
            self._plan()

        setting.value_changed.connect(choose)
        values.textChanged.connect(lambda _: self._plan())
        line = QHBoxLayout()
        line.setSpacing(px(8))
        line.addWidget(setting)
        line.addWidget(values, 1)
        self.body.addLayout(line)
        return setting, values

    def _axes(self) -> list[Axis]:
        return [parse_axis(f"{setting.value}={values.text()}") for setting, values in self.rows if setting.value]

    def _plan(self, *_) -> None:
        self._is_dropped, self._is_wanted = self._is_dropped or self._is_wanted, False
        is_random = self.way.value == "random"
        self.draws.setEnabled(is_random)
        self.hint.setText(
            "Values with commas between them, or a range such as 1e-4..1e-2 that is drawn from, evenly on a log scale for rates."
            if is_random
            else "Values with commas between them. Each run is the draft with these values; the draft itself stays as it is."
        )
        try:
            num_random, num_seeds = int(self.draws.value) if is_random else 0, int(self.seeds.value)
            self.experiments = plan_sweep(self._context.store.experiment, self._axes(), num_random=num_random, num_seeds=num_seeds)
        except BadInput as exc:
            problem = exc.problems[0]
            field = f"{label_of(problem.field)}: " if problem.field else ""
            self._refuse(f"{field}{problem.sentence}")
        else:
            time = self._context.estimates.time
            seconds = sum(time.seconds_per_epoch * e.schedule.epochs for e in self.experiments) if time else None
            about = f", about {wording.duration(seconds)} in all" if seconds else ""
            dropped = ". They changed while they were being checked: queue them again." if self._is_dropped else ""
            self.summary.setText(f"{counted(len(self.experiments), 'run')}{about}{dropped}")
            names = [e.name.rpartition(" · ")[2] for e in self.experiments]
            more = [f"and {len(names) - _NUM_LISTED:,} more"] if len(names) > _NUM_LISTED else []
            self.listing.setText("\n".join([shown(name) for name in names[:_NUM_LISTED]] + more))
            self._tell_number()
            self._ask()

    def _refuse(self, words: str) -> None:
        self.experiments, self._is_wanted = [], False
        self.summary.setText(shown(words))
        self.listing.setText("")
        self._tell_number()

    def _tell_number(self) -> None:
        if self._is_wanted and self.queue_button.hasFocus():
            self.setFocus(Qt.FocusReason.OtherFocusReason)  # else the keyboard goes on to Close
        self.queue_button.setEnabled(bool(self.experiments) and not self._is_wanted)
        self.queue_button.setText(f"Queue {counted(len(self.experiments), 'run')}" if self.experiments else "Queue")
        self._tell_disk()

    def _tell_disk(self) -> None:
        words, is_short = self._context.disk.of_many(len(self.experiments)) if self.experiments else ("", False)
        self.disk.setText(words)
        self.disk.set_tone("warn" if is_short else "")
        self.disk.setVisible(bool(words))
        if self.isVisible():
            self._place()

    def _ask(self) -> None:
        """Whether the plan can run; the answer about an older one asks again."""
        draft, dataset, asked = self._context.store.experiment, self._context.store.dataset, self.experiments
        if self._check is not None or dataset is None or not asked:
            return
        is_left = self._is_left

        def answer(refusal: str) -> None:
            if is_left.is_set():  # it may be deleted
                return
            self._check = None
            if asked is not self.experiments:
                self._ask()
            elif refusal:
                self._refuse(refusal)
            if self._is_wanted and self._check is None:
                self._is_wanted = False
                self._tell_number()
                self.queue()

        def fail(error: Exception) -> None:
            traceback.print_exception(error)
            answer(f"Whether these runs can run could not be found out ({type(error).__name__}: {error}). Change a value to try again.")

        self._check = self._context.background.run(lambda: _refusal(draft, asked, dataset, is_left.is_set), answer, fail, may_hang=True)

    def queue(self) -> None:
        """Put them behind what waits already; the first begins when its device is free. Before the plan is checked this waits for the answer."""
        self._is_dropped = False
        if self._check is not None:
            self._is_wanted = True
            self.summary.setText("Checking whether they can run…")
            self._tell_number()
            return
        runs, toast = self._context.runs, self._context.shell.toast
        if reason := runs.reason_not_to_train():
            self.summary.setText(reason)
            return
        words = f"{counted(len(self.experiments), 'run')} queued. The Results page lists them side by side."
        runs.sweep(self.experiments, lambda: toast(words))
        self.dismiss()

    def dismiss(self) -> None:
        self._is_left.set()
        super().dismiss()

    def keyPressEvent(self, event) -> None:
        is_enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if is_enter and self.experiments and not isinstance(QApplication.focusWidget(), QAbstractButton):
            self.queue()
        else:
            super().keyPressEvent(event)


def _refusal(draft: Experiment, experiments: list[Experiment], dataset: Dataset, is_cancelled: Callable[[], bool]) -> str:
    """Which one cannot run, and why; empty where all can, or it was cancelled. What keeps the draft itself from training is said when they
    are queued."""
    from studio.dataset.plan_check import check_run

    known = {problem.sentence for problem in errors_in(check_run(draft, dataset))}
    for experiment in experiments:
        if is_cancelled():
            break
        if new := [p for p in errors_in(check_run(experiment, dataset)) if p.sentence not in known]:
            return f"{experiment.name.rpartition(' · ')[2]} cannot run: {new[0].sentence}"
    return ""
