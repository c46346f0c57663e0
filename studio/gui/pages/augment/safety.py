"""Label safety: whether a step leaves pictures closer to their own class than to another one, measured by the probe worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.experiment import Augment, TransformSpec
from studio.core.path_text import path_to_text
from studio.gui.context import Context
from studio.gui.pages.augment.draft import PipelineDraft, Target
from studio.gui.pages.augment.words import lower_first, title_of
from studio.gui.wording import percent
from studio.gui.workers import plain_experiment

_ASK_AFTER_MS = 1200  # after the last edit: a measurement takes seconds
_NUM_SAMPLES = 16
_MOST_CLASSES = 16


@dataclass(frozen=True)
class Verdict:
    """`ratio`: how far a step moves a picture, over the distance to the nearest picture of another class."""

    ratio: float
    verdict: str  # fine, look or flagged
    accuracy: float | None = None
    accuracy_before: float | None = None

    @property
    def sentence(self) -> str:
        words = {
            "fine": "Labels are safe",
            "look": "Look whether the class can still be told",
            "flagged": "Can change what the picture shows",
        }[self.verdict]
        text = f"{words}: moved by {percent(self.ratio, 0)} of the way to the nearest other class"
        if self.accuracy is not None and self.accuracy_before is not None:
            text += f", right answers {percent(self.accuracy_before, 0)} before, {percent(self.accuracy, 0)} after"
        return f"{text}."

    @property
    def fall(self) -> str:
        """What it does to the answers of a trained network, as a sentence with a space before it; empty without one, or where they stay."""
        if self.accuracy is None or self.accuracy_before is None or self.accuracy >= self.accuracy_before:
            return ""
        return f" Right answers fall from {percent(self.accuracy_before, 0)} to {percent(self.accuracy, 0)}."


class SafetyCheck(QObject):
    """Measures the steps that are on, each once as it is set, when the pipeline has been at rest; never while a run goes on."""

    changed = Signal()
    sweep_came = Signal(str, int, object)  # parameter, step of the strip, Verdict

    def __init__(self, context: Context, draft: PipelineDraft, parent: QObject | None = None):
        super().__init__(parent)
        self._context, self._draft = context, draft
        self._is_active = False
        self._known: dict[tuple, Verdict] = {}
        self._asked: tuple = ()
        self._network: str | None = None  # the run whose network measured what is known; None for the bundled one
        self.problem = ""  # why it could not be measured
        self._sweep: _Sweep | None = None
        self._sweep_request = 0
        self._follow_timer = QTimer(self, singleShot=True, interval=0)  # a step that is moved is another one for a moment
        self._follow_timer.timeout.connect(self._follow_sweep)
        draft.settled.connect(self._follow_timer.start)
        draft.current_changed.connect(self._follow_timer.start)
        self._timer = QTimer(self, singleShot=True, interval=_ASK_AFTER_MS)
        self._timer.timeout.connect(self.measure)
        draft.changed.connect(self._timer.start)
        context.store.dataset_changed.connect(lambda _: self._forget())
        context.runs.ended.connect(lambda _: self._timer.start())  # its network knows the classes

    def set_active(self, is_active: bool) -> None:
        self._is_active = is_active
        if is_active:
            self._timer.start()
        else:
            self._timer.stop()

    def verdict_of(self, step: TransformSpec) -> Verdict | None:
        return self._known.get(_key(step))

    def flagged(self) -> list[tuple[int, Verdict]]:
        """Steps that are on and can change the label, by their place."""
        found = [(i, self.verdict_of(step)) for i, step in enumerate(self._draft.steps) if step.is_on and step.p > 0]
        return [(i, verdict) for i, verdict in found if verdict is not None and verdict.verdict == "flagged"]

    def _forget(self) -> None:
        self._known.clear()
        if self._sweep is not None:
            self._end_sweep("the images are others now")
        self._asked, self.problem = (), ""
        self.changed.emit()
        self._timer.start()

    def samples(self) -> list[dict[str, str]]:
        """Training images of as many classes as fit, the same number of each."""
        dataset = self._context.store.dataset
        if dataset is None:
            return []
        by_class: dict[str, list] = {}
        for sample in dataset.part("train"):
            by_class.setdefault(sample.label, []).append(sample)
        classes = list(by_class)[:: max(1, len(by_class) // _MOST_CLASSES)][:_MOST_CLASSES]
        if len(classes) < 2:
            return []
        each = max(1, _NUM_SAMPLES // len(classes))
        chosen = [sample for name in classes for sample in by_class[name][:each]]
        return [{"path": path_to_text(dataset.path_of(s)), "label": s.label} for s in chosen]

    def _run(self) -> str | None:
        """The best run on the same images, whose network knows the classes better than the bundled one."""
        source = self._context.store.experiment.data.source
        scored = [e for e in self._context.runs.finished if e.summary.top1 is not None and e.summary.source == source]
        scored.sort(key=lambda e: e.summary.top1, reverse=True)
        best = next((e for e in scored if e.folder.has_checkpoint()), None)
        return path_to_text(best.folder.path) if best else None

    def measure(self) -> None:
        """Ask about the steps that are not known yet; about all of them where a run has ended whose network is better."""
        samples = self.samples()
        if not self._is_active or not samples or self._context.runs.active is not None:
            return
        run = self._run()
        if run != self._network:
            self._network, self._asked = run, ()
            self._known.clear()
            self.changed.emit()
        steps = tuple(s for s in self._draft.steps if s.is_on and s.p > 0 and _key(s) not in self._known)
        question = tuple(map(_key, steps))
        if steps and question != self._asked:
            self._ask(question, steps, samples, run)

    def _ask(self, question: tuple, steps: tuple[TransformSpec, ...], samples: list, run: str | None) -> None:
        self._asked = question
        self._context.probe.call(
            "label_safety",
            {"experiment": self._experiment(steps), "samples": samples, "run": run},
            lambda result: self._on_result(question),
            lambda error: self._on_error(question, steps, samples, run, error.sentence),
            on_part=lambda part: self._on_part(question, steps, part),
            key="augment.safety",
        )

    def _experiment(self, steps: tuple[TransformSpec, ...]) -> dict[str, Any]:
        return plain_experiment(self._context.store.experiment, Augment(preset="custom", transforms=steps))

    def _on_part(self, question: tuple, steps: tuple[TransformSpec, ...], part: dict[str, Any]) -> None:
        if "ratio" in part:
            self._known[_key(steps[part["step"]])] = _verdict(part)
            if question == self._asked:
                self.changed.emit()

    def _on_result(self, question: tuple) -> None:
        if question == self._asked:
            self.problem = ""
            self.changed.emit()

    def _on_error(self, question: tuple, steps: tuple, samples: list, run: str | None, sentence: str) -> None:
        if question != self._asked:
            return
        if run is not None:  # its network may be gone or know other classes: the bundled one can do it too
            self._ask(question, steps, samples, None)
            return
        self.problem = sentence
        self.changed.emit()

    # Every strength of a parameter

    def sweep(self, strips: dict[str, tuple[float, ...]]) -> None:
        """Measure the chosen step at all steps of its strips, one parameter after the other."""
        if self._draft.current_step is not None and (samples := self.samples()):
            self._measure_strips(list(strips.items()), samples, self._run())

    def _measure_strips(self, strips: list[tuple[str, tuple[float, ...]]], samples: list, run: str | None) -> None:
        if not strips:
            self._sweep = None
            return
        (param, values), *others = strips
        step = self._draft.current_step
        sweep = self._sweep = _Sweep(self._draft.current, step, param)

        def go_on(strips: list, run: str | None) -> None:
            if self._goes_on(sweep):
                self._measure_strips(strips, samples, run)

        self._sweep_request = self._context.probe.call(
            "label_safety",
            {
                "experiment": self._experiment((step,)), "samples": samples, "run": run,
                "sweep": {"step": 0, "param": param, "values": list(values)},
            },
            lambda result: go_on(others, run),
            lambda error: go_on(strips if run is not None else others, None),  # as in measure: then with the bundled network
            on_part=lambda part: self._on_sweep_part(sweep, values, part),
            key="augment.safety.sweep",
        )  # fmt: skip

    def _on_sweep_part(self, sweep: _Sweep, values: tuple[float, ...], part: dict[str, Any]) -> None:
        if self._goes_on(sweep) and "ratio" in part and part["value"] in values:
            self.sweep_came.emit(sweep.param, values.index(part["value"]), _verdict(part))

    def _goes_on(self, sweep: _Sweep) -> bool:
        """Whether this is being measured still, and of the step as it is; else it ends. The value of the parameter itself is swept over, so that
        it may change meanwhile."""
        if sweep is not self._sweep:
            return False
        current = self._draft.current_step
        if current is not None and sweep.holds_for(current):
            return True
        is_other = self._draft.current != sweep.path or current is None or current.name != sweep.step.name
        self._end_sweep("another step was chosen" if is_other else "the step was changed, and what was measured is of the step before")
        return False

    def _follow_sweep(self) -> None:
        if self._sweep is not None:
            self._goes_on(self._sweep)

    def _end_sweep(self, why: str) -> None:
        self._context.probe.cancel(self._sweep_request)
        title = title_of(self._sweep.step.name)
        self._sweep = None
        self._context.shell.mention(f"The strengths of {lower_first(title)} are measured no further: {why}.")


@dataclass(frozen=True, eq=False)
class _Sweep:
    """What is being measured: a step as it is set, and where it is, at all strengths of one parameter."""

    path: Target
    step: TransformSpec
    param: str

    def holds_for(self, step: TransformSpec) -> bool:
        return _key(step, without=self.param) == _key(self.step, without=self.param)


def _verdict(part: dict[str, Any]) -> Verdict:
    return Verdict(part["ratio"], part["verdict"], part["accuracy"], part["accuracy_before"])


def _key(step: TransformSpec, *, without: str = "") -> tuple:
    return step.name, repr(sorted((name, value) for name, value in step.params.items() if name != without)), repr(step.of)
