"""What about a schedule deserves a sentence: settings without effect, that do not fit the run, or that will disappoint.

The curve that is drawn is applied whatever it is, so only a batch that cannot be filled keeps a run from starting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from studio.catalog.optimisers import kind_of
from studio.catalog.schedules import body_of, head_lr
from studio.catalog.schedules._curve import TINY
from studio.core.experiment import Experiment, Schedule
from studio.core.problem import Problem, Repair, error, note, warning
from studio.core.words import format_number

USUAL_PEAKS = {  # of fine-tuning: lowest, highest, what to take
    "sgd": (1e-3, 0.5, 1e-2),
    "adamw": (1e-5, 0.02, 1e-3),
    "adam": (1e-5, 0.02, 1e-3),
    "rmsprop": (1e-5, 0.02, 1e-3),
    "lamb": (1e-4, 0.05, 5e-3),
    "lion": (1e-6, 2e-3, 1e-4),
}
_FINE = 1000  # steps per epoch for questions about time alone


def schedule_problems(experiment: Experiment, *, stages: Sequence[str] | None = None, num_train: int | None = None) -> list[Problem]:
    """All findings. `stages` are the names of the network's stages, `num_train` the number of training images, where they are known."""
    schedule = experiment.schedule
    found = _ends(schedule)
    found += _BY_SHAPE.get(schedule.shape, lambda _: [])(schedule)
    found += _peak(experiment)
    found += _patience(experiment)
    found += _stages(experiment, stages)
    found += _batch(experiment, num_train) if num_train else []
    return found


def _ends(schedule: Schedule) -> list[Problem]:
    """Warm-up and cool-down against the length of the run."""
    if schedule.shape in ("segments", "points"):
        return []
    if schedule.shape == "one_cycle":
        if schedule.warmup_fraction < 1:
            return []
        sentence = "The climb fills the whole run, so the rate never falls again."
        return [warning("schedule.warmup_fraction", sentence, _set("schedule.warmup_fraction", 0.3, "warm-up to 30 %"), 1.0)]
    warm, cool = schedule.warmup_fraction, schedule.cooldown_fraction
    if warm >= 1:
        sentence = "The warm-up is as long as the whole run, so the rate never gets past its peak."
        return [warning("schedule.warmup_fraction", sentence, _set("schedule.warmup_fraction", 0.1, "warm-up to 10 %"), 1.0)]
    if warm + cool > 1 + 1e-9:
        sentence = f"Warm-up ({warm:.0%}) and cool-down ({cool:.0%}) are longer than the run; the cool-down is cut to what is left."
        left = round(1 - warm, 6)
        return [warning("schedule.cooldown_fraction", sentence, _set("schedule.cooldown_fraction", left, f"cool-down to {left:.0%}"), warm)]
    if cool > 0:
        body = body_of(schedule, _FINE)
        before = head_lr(schedule, [body.first + body.num_steps - 1], _FINE)[0] if body.num_steps else schedule.peak_lr
        if schedule.final_factor * schedule.peak_lr > before * (1 + 1e-9):
            sentence = "The rate climbs in the cool-down: the final rate is above the one before it."
            lower = float(f"{before / schedule.peak_lr / 10:.1g}")
            repair = _set("schedule.final_factor", lower, f"final to {format_number(lower)}")
            return [warning("schedule.final_factor", sentence, repair, 1 - cool)]
    return []


def _restarts(schedule: Schedule) -> list[Problem]:
    room = schedule.epochs * max(0.0, 1 - schedule.warmup_fraction - schedule.cooldown_fraction)
    first, growth, path = schedule.cycle_epochs, schedule.cycle_growth, "schedule.cycle_epochs"
    if room < 1e-3:
        return []  # warm-up and cool-down fill the run
    lengths = [sum(growth**k for k in range(count)) for count in range(1, 9)]
    if first >= room * (1 - 1e-6):
        if first <= room * (1 + 1e-6) and schedule.epochs == 1:
            return []
        sentence = (
            f"The first cycle of {_epochs(first)} fills the {_epochs(room)} there are for it, so the rate never restarts: a plain cosine."
        )
        fitting = _up(room / lengths[1])
        return [note(path, sentence, _set(path, fitting, f"first cycle to {_epochs(fitting)}"), 1.0)]
    start, length = 0.0, first
    while start + length < room * (1 - 1e-6):
        start, length = start + length, length * growth
    done = (room - start) / length
    if done > 0.999:
        return []
    fitting = _up(min((room / total for total in lengths), key=lambda epochs: abs(epochs - first)))
    sentence = f"The last cycle is cut after {done:.0%} of its way, at a high rate: the run ends before it has come down."
    mark = schedule.warmup_fraction + start / schedule.epochs
    return [warning(path, sentence, _set(path, fitting, f"first cycle to {_epochs(fitting)}"), min(1.0, mark))]


def _steps(schedule: Schedule) -> list[Problem]:
    if schedule.step_epochs < schedule.epochs * (1 - schedule.cooldown_fraction):
        return []
    sentence = f"A drop every {_epochs(schedule.step_epochs)} never comes in a run of {_epochs(schedule.epochs)}; the rate stays constant."
    third = _short(schedule.epochs / 3)
    return [note("schedule.step_epochs", sentence, _set("schedule.step_epochs", third, f"a drop every {_epochs(third)}"), 1.0)]


def _milestones(schedule: Schedule) -> list[Problem]:
    path, end = "schedule.milestones", schedule.epochs * (1 - schedule.cooldown_fraction)
    within = tuple(sorted(epoch for epoch in schedule.milestones if epoch < end))
    if not within:
        halves = (_short(end * 0.5), _short(end * 0.75))
        sentence = f"No milestone lies within the run of {_epochs(schedule.epochs)}, so the rate never drops."
        return [warning(path, sentence, Repair(f"Drop after {format_number(halves[0])} and {_epochs(halves[1])}", {path: halves}), 1.0)]
    if len(within) < len(schedule.milestones):
        late = min(epoch for epoch in schedule.milestones if epoch >= end)
        sentence = f"The milestone at {_epochs(late)} comes after the end and has no effect."
        return [note(path, sentence, Repair("Remove what comes too late", {path: within}), 1.0)]
    return []


def _exponential(schedule: Schedule) -> list[Problem]:
    if schedule.final_factor > 0:
        return []
    sentence = "An exponential cannot come down to 0: the rate is 0 from the second step on, and nothing is learned."
    return [warning("schedule.final_factor", sentence, _set("schedule.final_factor", 1e-3, "final to 1e-3"), 0.0)]


def _plateau(schedule: Schedule) -> list[Problem]:
    if schedule.patience_epochs < schedule.epochs - 1:
        return []
    words = f"With a patience of {_epochs(schedule.patience_epochs)} the rate cannot drop in a run of {_epochs(schedule.epochs)}."
    shorter = schedule.epochs // 4
    return [note("schedule.patience_epochs", words, _set("schedule.patience_epochs", shorter, f"patience to {_epochs(shorter)}"), 1.0)]


def _segments(schedule: Schedule) -> list[Problem]:
    path, chain, found = "schedule.segments", schedule.segments, []
    ends = [segment.until for segment in chain]
    if ends != sorted(ends):
        late = next(i for i in range(1, len(ends)) if ends[i] < ends[i - 1])
        ordered = tuple(sorted(chain, key=lambda segment: segment.until))
        sentence = f"Piece {late + 1} ends before piece {late} does, so it is a jump."
        found.append(warning(path, sentence, Repair("Sort by time", {path: ordered}), ends[late]))
    value = schedule.start_factor
    for i, segment in enumerate(chain):
        if segment.kind == "exponential" and min(value, segment.to) < TINY:
            raised = tuple(s.model_copy(update={"to": s.to if s.to >= TINY else 1e-4}) for s in chain)
            values = {path: raised} | ({"schedule.start_factor": 1e-4} if schedule.start_factor < TINY else {})
            sentence = f"Piece {i + 1} cannot go to or from 0 exponentially; it is drawn as a line."
            found.append(warning(path, sentence, Repair("Use 0.0001 for 0", values), segment.until))
        value = value if segment.kind == "hold" else segment.to
    if max(schedule.start_factor, *(segment.to for segment in chain if segment.kind != "hold"), 0.0) <= 0:
        found.append(warning(path, "The rate is 0 throughout, so nothing is learned.", Repair("Start at the peak", {_START: 1.0}), 0.0))
    return found


def _points(schedule: Schedule) -> list[Problem]:
    path, found = "schedule.points", []
    times = [time for time, _ in schedule.points]
    if len(set(times)) < len(times):
        by_time = dict(sorted(schedule.points, key=lambda point: point[0]))
        twice = next(time for time in times if times.count(time) > 1)
        kept = tuple(by_time.items())
        repair = Repair("Keep the last of them", {path: kept}) if len(kept) >= 2 else None
        found.append(warning(path, f"Two points stand at {twice:.0%} of the run; the last of them counts.", repair, twice))
    top = max(factor for _, factor in schedule.points)
    if top <= 0:
        repair = Repair("Lift the first point to the peak", {path: ((schedule.points[0][0], 1.0), *schedule.points[1:])})
        found.append(warning(path, "The rate is 0 throughout, so nothing is learned.", repair, 0.0))
    return found


def _peak(experiment: Experiment) -> list[Problem]:
    kind, peak = experiment.optimiser.kind, experiment.schedule.peak_lr
    low, high, usual = USUAL_PEAKS[kind]
    if low <= peak <= high:
        return []
    range_words = f"{format_number(low)} to {format_number(high)} is usual in fine-tuning."
    sentence = f"A peak of {format_number(peak)} is {'high' if peak > high else 'low'} for {kind_of(kind).title}; {range_words}"
    return [note("schedule.peak_lr", sentence, _set("schedule.peak_lr", usual, f"peak to {format_number(usual)}"))]


def _patience(experiment: Experiment) -> list[Problem]:
    patience, epochs = experiment.training.early_stop_epochs, experiment.schedule.epochs
    if not 0 < epochs <= patience:
        return []
    sentence = f"Stopping early after {_epochs(patience)} without progress has no effect in a run of {_epochs(epochs)}."
    return [note("training.early_stop_epochs", sentence, Repair("Switch it off", {"training.early_stop_epochs": 0}))]


def _stages(experiment: Experiment, stages: Sequence[str] | None) -> list[Problem]:
    """Thaw epochs and multipliers against the run and the network."""
    thaw, epochs, found = experiment.model.thaw, experiment.schedule.epochs, []
    for name, epoch in thaw.items():
        if epoch >= epochs:
            last = max(0, epochs // 2)
            sentence = f"“{name}” would thaw after {_epochs(epoch)}, but the run ends after {epochs:,}: it never trains."
            found.append(
                warning("model.thaw", sentence, Repair(f"Thaw it after {_epochs(last)}", {"model.thaw": thaw | {name: last}}), 1.0)
            )
    if stages is None:
        return found
    for path, names in (("model.thaw", thaw), ("optimiser.stage_lr_factors", experiment.optimiser.stage_lr_factors)):
        unknown = [name for name in names if name not in stages]
        if unknown:
            sentence = f"This network has no stage “{unknown[0]}”, so its setting has no effect. It has: {', '.join(stages)}."
            kept = {name: value for name, value in names.items() if name in stages}
            found.append(warning(path, sentence, Repair("Remove the setting", {path: kept})))
    return found


def fitting_batch(num_train: int) -> int:
    """The largest batch, a power of two, that so many images fill."""
    return 1 << (num_train.bit_length() - 1)


def _batch(experiment: Experiment, num_train: int) -> list[Problem]:
    size, times = experiment.training.batch_size, experiment.training.accumulation
    if size > num_train:
        fitting = fitting_batch(num_train)
        has = f"{num_train:,} training images" if num_train != 1 else "one training image"
        sentence = f"Batch size {size:,} is larger than the {has}. Try {fitting:,}."
        return [error("training.batch_size", sentence, _set("training.batch_size", fitting, f"batch size to {fitting:,}"))]
    if size * times > num_train:
        fitting = num_train // size
        words = f"{times:,} batches of {size:,} are {size * times:,} images a step, more than the {num_train:,} training images."
        repair = _set("training.accumulation", fitting, f"accumulation to {fitting:,}")
        return [error("training.accumulation", f"{words} Try {fitting:,}.", repair)]
    return []


_START = "schedule.start_factor"
_BY_SHAPE = {
    "warm_restarts": _restarts,
    "step": _steps,
    "multi_step": _milestones,
    "exponential": _exponential,
    "plateau": _plateau,
    "segments": _segments,
    "points": _points,
}


def _set(path: str, value: float, words: str) -> Repair:
    return Repair(f"Set {words}", {path: value})


def _epochs(number: float) -> str:
    return "1 epoch" if number == 1 else f"{number:,.4g} epochs" if number < 1e4 else f"{number:,.0f} epochs"


def _short(value: float) -> float:
    """To four digits: what is short enough to read, rounded down, so that what fitted still fits."""
    return max(float(f"{value * (1 - 5e-4):.4g}") if f"{value:.4g}" != f"{value:.10g}" else value, 1e-4)


def _up(value: float) -> float:
    """To six digits behind the point, rounded up: a cycle that fills the run must not end before it."""
    return math.ceil(value * 1e6 - 1e-3) / 1e6
