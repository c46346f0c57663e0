"""One line and one dot per step, computed from the draft, the scan and the runs."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.outcome import Status
from studio.core.problem import Severity, errors_in
from studio.core.words import counted
from studio.gui import wording
from studio.gui.context import Context
from studio.gui.widgets.form import choice_label

HOLLOW, READY, LOOK, RUNNING, BAD = "outline", "goodDot", "warnDot", "trainsFill", "bad"


@dataclass(frozen=True)
class Summary:
    """text: under the step's name; dot: a colour token (outline is drawn hollow), dot_word says it; progress in [0, 1] or None."""

    text: str
    dot: str = HOLLOW
    progress: float | None = None

    @property
    def dot_word(self) -> str:
        return {HOLLOW: "nothing yet", READY: "ready", LOOK: "look here", RUNNING: "running", BAD: "has a problem"}[self.dot]


def summaries(context: Context) -> dict[str, Summary]:
    """For every step of the rail."""
    return {
        "data": _data(context),
        "model": _model(context),
        "augment": _augment(context),
        "schedule": _schedule(context),
        "train": _train(context),
        "results": _results(context),
        "use": Summary("try & export", READY) if context.runs.finished else Summary("needs a run"),
    }


def _data(context: Context) -> Summary:
    store, scan = context.store, context.scan
    if not store.experiment.data.source:
        return Summary("open a folder to begin")
    if scan.error is not None:
        return Summary("cannot be used", BAD)
    if store.dataset is None:
        done, total, _ = scan.progress
        return Summary(f"reading {wording.count(done)}" + (f" / {wording.count(total)}" if total else ""), RUNNING)
    dataset = store.dataset
    text = f"{counted(len(dataset.samples), 'image')} · {counted(len(dataset.classes), 'class', 'classes')}"
    if errors_in(store.problems):
        return Summary(text, BAD)
    needs_look = any(issue.severity is not Severity.NOTE for issue in scan.issues) or any(
        problem.severity is Severity.WARNING for problem in store.problems
    )
    return Summary(text, LOOK if needs_look else READY)


def _model(context: Context) -> Summary:
    model = context.store.experiment.model
    stages = context.estimates.stages
    if model.layers:
        from studio.dataset.plan_check import trains_nothing  # not for the window's first picture: it comes with all it checks

        if trains_nothing(model):
            return Summary(f"{context.estimates.backbone_title} · nothing trains", BAD)
    if model.thaw and (not stages or context.estimates.is_stale):
        part = "stages thaw in time"
    elif model.thaw:
        later = sum(bool(stage.get("thaw_epoch")) for stage in stages)
        trains = sum(not stage.get("is_frozen") for stage in stages) + later
        part = f"{trains} of {len(stages)} train" + (f", {later} later" if later else "")
    elif model.train_stages == 0:
        part = "head only"
    elif model.train_stages < 0:
        part = "everything trains"
    elif stages and not context.estimates.is_stale:
        part = f"{min(len(stages), model.train_stages + 1)} of {len(stages)} train"
    else:
        part = f"last {model.train_stages + 1} train"
    return Summary(f"{context.estimates.backbone_title} · {part}", BAD if context.estimates.problem else READY)


def _augment(context: Context) -> Summary:
    from studio.catalog.augments import pipeline_of

    augment = context.store.experiment.augment
    steps = sum(step.is_on for step in pipeline_of(augment))
    if not steps:
        return Summary("none", READY)
    return Summary(f"{counted(steps, 'transform')} · {augment.preset}", READY)


def _schedule(context: Context) -> Summary:
    schedule = context.store.experiment.schedule
    shape = choice_label("schedule.shape", schedule.shape)
    return Summary(f"{shape} · {wording.rate(schedule.peak_lr)} · {counted(schedule.epochs, 'epoch')}", READY)


def _train(context: Context) -> Summary:
    run = context.runs.active
    if run is None:
        if reason := context.runs.reason_not_to_train():
            return Summary(reason, LOOK) if context.store.is_dataset_current else Summary("needs images")
        latest = context.runs.latest
        if latest is not None and latest.status in (Status.FAILED, Status.CRASHED):
            return Summary(f"{latest.name} failed", BAD)
        if context.disk.is_short:
            return Summary("little room on the disk", LOOK)
        return Summary("ready to train", READY)
    state, described = run.state, run.state.description
    if not described:
        return Summary(state.phase or "starting", RUNNING, 0.0)
    epoch = min(described.epochs, state.step // max(1, described.steps_per_epoch) + 1)
    best = f" · {wording.percent(state.best.validation_top1)}" if state.best and state.is_measured else ""
    words = "paused" if run.status is Status.PAUSED else f"epoch {epoch}/{described.epochs}"
    return Summary(words + best, RUNNING, round(state.step / max(1, state.num_steps), 3))  # finer than the bar shows would paint it anew


def _results(context: Context) -> Summary:
    done = context.runs.finished
    if not done:
        return Summary("no runs yet")
    best = context.runs.best
    return Summary(f"{counted(len(done), 'run')}" + (f" · best {wording.percent(best.summary.top1)}" if best else ""), READY)
