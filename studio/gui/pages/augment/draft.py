"""The pipeline of the draft as the page edits it: every edit is one named undo step, and makes a preset a pipeline of one's own."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from studio.catalog.augments import PRESETS, pipeline_of
from studio.core.experiment import Augment, Experiment, TransformSpec
from studio.gui.pages.augment import steps as change
from studio.gui.pages.augment.steps import Path, Steps, step_at
from studio.gui.pages.augment.words import lower_first, title_of
from studio.gui.store import ExperimentStore

Mix = Literal["mixup", "cutmix"]
Target = Path | Mix | None  # what is chosen: a step, a way of mixing batches, or nothing
MIXES: tuple[Mix, ...] = ("mixup", "cutmix")
MIX_TITLES = {"mixup": "MixUp", "cutmix": "CutMix"}
DEFAULT_MIX_P = 0.5
_SHOW_EVERY_MS = 60  # while a slider moves: every widget that is painted meanwhile holds up the pictures


class PipelineDraft(QObject):
    """Reads and writes the `augment` section. What is chosen and what is looked at alone belong to the view and are not undone."""

    changed = Signal()  # at once, for what pictures are asked for
    move_shown = Signal()  # the first picture of what `move_params` told is there
    settled = Signal()  # the same for all that says in words what the pipeline is: now and then while a slider moves
    current_changed = Signal()
    solo_changed = Signal()

    def __init__(self, store: ExperimentStore, parent: QObject | None = None):
        super().__init__(parent)
        self.store = store
        self._steps: Steps = pipeline_of(store.experiment.augment)
        self._moving: Steps | None = None  # what the steps are about to be, while a slider moves
        self._current: Target = None
        self._solo: Path | None = None
        self._last_p: dict[Mix, float] = {}
        self._later = QTimer(self, singleShot=True, interval=_SHOW_EVERY_MS)
        self._later.timeout.connect(self.settled)
        store.experiment_replaced.connect(self._on_store_experiment_replaced)

    # What there is

    @property
    def augment(self) -> Augment:
        return self.store.experiment.augment

    @property
    def steps(self) -> Steps:
        return self._steps

    @property
    def num_on(self) -> int:
        return sum(step.is_on and step.p > 0 for step in self._steps)

    @property
    def current(self) -> Target:
        return self._current

    @property
    def current_step(self) -> TransformSpec | None:
        return step_at(self._steps, self._current) if isinstance(self._current, tuple) else None

    @property
    def solo(self) -> Path | None:
        """The step that the preview shows alone."""
        return self._solo

    def shown_augment(self) -> Augment:
        """What the preview shows: the draft, or one step of it alone, on every image."""
        steps = self._steps if self._moving is None else self._moving
        step = step_at(steps, self._solo) if self._solo is not None else None
        if step is None:
            return self.augment if self._moving is None else self.augment.model_copy(update={"preset": "custom", "transforms": steps})
        alone = TransformSpec(name=step.name, p=1.0, params=step.params, of=step.of)
        return Augment(preset="custom", transforms=(alone,))

    def mix_p(self, mix: Mix) -> float:
        return self.augment.mixup_p if mix == "mixup" else self.augment.cutmix_p

    def choose(self, target: Target) -> None:
        if isinstance(target, tuple) and step_at(self._steps, target) is None:
            target = None
        if target != self._current:
            self._current = target
            self._moving = None  # a row that is gone tells nothing more
            self.current_changed.emit()

    def set_solo(self, path: Path | None) -> None:
        """Look at one step alone; the same one again ends it."""
        path = None if path == self._solo else path
        if path != self._solo:
            self._solo = path
            self.solo_changed.emit()

    # Edits

    def add(self, name: str, at: int | None = None) -> None:
        """Put a transform behind the chosen step, or at a position. MixUp and CutMix are switched on instead."""
        lower = name.lower()
        if lower in MIXES:
            self.set_mix_p(lower, self._last_p.get(lower, DEFAULT_MIX_P) if not self.mix_p(lower) else self.mix_p(lower))
            self.choose(lower)
            return
        step = change.new_step(name)
        if at is None:
            at = self._current[0] + 1 if isinstance(self._current, tuple) else len(self._steps)
        self._set(change.inserted(self._steps, (at,), step), f"add {lower_first(title_of(name))}")
        self._solo = None
        self._current = None
        self.choose((at,))

    def remove(self, path: Path) -> None:
        step = step_at(self._steps, path)
        if step is None:
            return
        self._set(change.replaced(self._steps, path), f"remove {lower_first(title_of(step.name))}")
        left = min(path[-1], self._num_beside(path) - 1)
        self._current = None
        self.choose((*path[:-1], left) if left >= 0 else path[:-1] or None)
        self.current_changed.emit()

    def duplicate(self, path: Path) -> None:
        step = step_at(self._steps, path)
        if step is not None:
            after = (*path[:-1], path[-1] + 1)
            self._set(change.inserted(self._steps, after, step), f"duplicate {lower_first(title_of(step.name))}")
            self.choose(after)

    def move(self, path: Path, to: int) -> None:
        """Put a step at another place among its neighbours."""
        step = step_at(self._steps, path)
        to = max(0, min(self._num_beside(path) - 1, to))
        if step is not None and to != path[-1]:
            self._set(change.moved(self._steps, path, to), f"move {lower_first(title_of(step.name))}")
            self._current = (*path[:-1], to)
            self.current_changed.emit()

    def set_on(self, path: Path, is_on: bool) -> None:
        step = step_at(self._steps, path)
        if step is not None:
            self._set(change.changed(self._steps, path, is_on=is_on), f"{lower_first(title_of(step.name))} {'on' if is_on else 'off'}")

    def toggle(self, target: Target) -> None:
        if isinstance(target, str):
            self.set_mix_p(target, 0.0 if self.mix_p(target) else self._last_p.get(target, DEFAULT_MIX_P))
        elif target is not None and (step := step_at(self._steps, target)):
            self.set_on(target, not step.is_on)

    def set_p(self, path: Path, p: float) -> None:
        step = step_at(self._steps, path)
        if step is not None:
            label = f"{lower_first(title_of(step.name))} to {p * 100:.0f} %"
            self._set(change.changed(self._steps, path, p=min(1.0, max(0.0, p))), label)

    def move_params(self, path: Path, params: dict[str, object]) -> None:
        """While a slider moves: pictures are asked for now, before the experiment and all that follows it hear by `set_params`."""
        self._moving = change.changed(self._steps, path, params=params)
        self.changed.emit()

    def show_move(self) -> None:
        """For the preview: a picture has come."""
        if self._moving is not None:
            self.move_shown.emit()

    def set_params(self, path: Path, params: dict[str, object], label: str) -> None:
        self._set(change.changed(self._steps, path, params=params), label)

    def set_choices(self, path: Path, of: Steps, label: str) -> None:
        self._set(change.changed(self._steps, path, of=of), label)

    def set_mix_p(self, mix: Mix, p: float) -> None:
        if self.mix_p(mix):
            self._last_p[mix] = self.mix_p(mix)
        words = f"{MIX_TITLES[mix]} to {p * 100:.0f} %" if p else f"{MIX_TITLES[mix]} off"
        self.store.set({f"augment.{mix}_p": min(1.0, max(0.0, p))}, words)

    def take_preset(self, key: str) -> None:
        if key == "custom":
            self._set(self._steps, "custom pipeline")
        else:
            title = next(p.title for p in PRESETS if p.key == key)
            self.store.set({"augment.preset": key}, f"strength to {lower_first(title)}")

    def take_steps(self, steps: Steps, label: str) -> None:
        """A whole pipeline, from a file or a preset of one's own."""
        self._set(steps, label)

    def take_augment(self, augment: Augment, label: str) -> None:
        """All of it, the mixing of batches too."""
        self.store.set({f"augment.{name}": value for name, value in augment.model_dump().items()}, label)

    def _set(self, steps: Steps, label: str) -> None:
        self._moving = None
        self.store.set({"augment.preset": "custom", "augment.transforms": steps}, label)

    def _num_beside(self, path: Path) -> int:
        return len(step_at(self._steps, path[:-1]).of) if len(path) > 1 else len(self._steps)

    def _on_store_experiment_replaced(self, old: Experiment, new: Experiment) -> None:
        if old.augment == new.augment:
            return
        self._moving = None
        self._steps = pipeline_of(new.augment)
        if self._solo is not None and step_at(self._steps, self._solo) is None:
            self._solo = None
            self.solo_changed.emit()
        self.changed.emit()
        if not self.store.is_dragging:
            self.settled.emit()
        elif not self._later.isActive():
            self._later.start()
        if isinstance(self._current, tuple) and step_at(self._steps, self._current) is None:
            self._current = (len(self._steps) - 1,) if self._steps else None
            self.current_changed.emit()
