"""The places where a learning-rate curve can be taken hold of, and the settings that put one of them elsewhere. No Qt.

A handle sets what it stands for: the peak its level and the end of the warm-up, a restart the length of the cycles and the decay of
their peaks. `settings_at` is a pure function of the schedule at the start of a drag, so a drag that comes back has changed nothing.
Segments and points are shares of the peak: whoever is moved above all others becomes the peak, and the others keep their rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from studio.catalog.schedules import Body, body_of, jumps, shape_of
from studio.core.experiment import Schedule, Segment, bounds
from studio.core.words import counted
from studio.gui.pages.schedule.curve import Length
from studio.gui.wording import rate

Axes = Literal["both", "time", "rate"]
Look = Literal["peak", "point", "mark", "edge"]  # an edge has no rate: it is a grip at the end of its upright line

MAX_MARKS = 12  # with more drops or restarts only the first is a handle; it moves them all
_FALLS_TO_FINAL = ("linear", "polynomial", "exponential", "cosine", "warm_restarts", "one_cycle")  # without a cool-down, too
_TIMES = ("warmup_fraction", "cycle_epochs", "step_epochs", "milestones")
_LEVELS = ("peak_lr", "step_factor", "cycle_decay")


@dataclass(frozen=True)
class Handle:
    """One handle: where it is, in steps and as a rate, and what it may do."""

    key: str  # "peak", "point 2"
    label: str
    step: float
    rate: float
    axes: Axes = "both"
    look: Look = "point"
    sets: str = ""  # in words: "level and end of the warm-up"
    index: int = 0  # of the mark, segment or point, in the order of time

    def words(self, length: Length) -> str:
        """ "Peak 2e-3 at epoch 3.4"; what a screen reader says and a bubble shows."""
        at = f"epoch {self.step / length.steps_per_epoch:.3g}"
        match self.key:
            case "end":
                return f"{counted(length.epochs, 'epoch')}, {counted(length.num_steps, 'step')}"
            case "cooldown":
                share = 1 - self.step / max(1, length.num_steps)
                return f"Cool-down from {at}, {share:.3g} of the run" if share > 0 else "No cool-down"
        return f"{self.label} {rate(_digits(self.rate))}" + ("" if self.axes == "rate" else f" at {at}")


def handles_of(schedule: Schedule, length: Length) -> tuple[Handle, ...]:
    """The handles that the shape has, in the order of time, those of the whole run last."""
    fields, n = shape_of(schedule.shape).fields, length.num_steps
    body, peak = body_of(schedule, length.steps_per_epoch), schedule.peak_lr
    found: list[Handle] = []
    if "start_factor" in fields and (schedule.shape == "segments" or _climb_end(schedule, body) > 0):
        found.append(Handle("start", "Start", 0, peak * schedule.start_factor, "rate", sets="first rate"))
    match schedule.shape:
        case "segments":
            found += _segment_handles(schedule, n)
        case "points":
            found += _point_handles(schedule, n)
        case _:
            found.append(Handle("peak", "Peak", _climb_end(schedule, body), peak, look="peak", sets="peak and the end of the warm-up"))
            found += _marks(schedule, body)
    if "power" in fields and body.num_steps > 2:
        middle = body.num_steps // 2
        final = schedule.final_factor
        level = peak * (final + (1 - final) * (1 - middle / body.num_steps) ** schedule.power)
        found.append(Handle("power", "Half-way", body.first + middle, level, "rate", sets="power"))
    found.sort(key=lambda handle: handle.step)
    if "final_factor" in fields and (schedule.shape in _FALLS_TO_FINAL or body.num_cooldown):
        at = n - 1 if body.num_cooldown or schedule.shape == "one_cycle" else n  # the others would get there one step after the end
        found.append(Handle("final", "Final", at, peak * schedule.final_factor, "rate", sets="last rate"))
    if "cooldown_fraction" in fields:
        found.append(Handle("cooldown", "Cool-down", n - body.num_cooldown, peak, "time", "edge", "start of the cool-down"))
    found.append(Handle("end", "End", n, peak, "time", "edge", "number of epochs"))
    return tuple(found)


def settings_at(schedule: Schedule, length: Length, handle: Handle, step: float, rate: float) -> dict[str, Any]:
    """The settings that put `handle` at a place, as near as its bounds and neighbours allow: {"schedule.peak_lr": 1e-3}.

    Steps become the shortest number that is near enough; whole epochs are met to the step. Rates have three digits. What is not moved
    keeps its setting to the last digit.
    """
    step = handle.step if handle.axes == "rate" else min(max(0.0, step), 1e9)
    rate = handle.rate if handle.axes == "time" else max(0.0, rate)
    settings = _settings(schedule, length, handle, step, rate)
    still = (*(_TIMES if step == handle.step else ()), *(_LEVELS if rate == handle.rate else ()))
    if {"schedule.points", "schedule.segments"} & settings.keys():  # these moved only what moves, and the peak goes with them
        return settings
    return {path: value for path, value in settings.items() if path.removeprefix("schedule.") not in still}


def _settings(schedule: Schedule, length: Length, handle: Handle, step: float, rate: float) -> dict[str, Any]:
    n, per_epoch, peak = length.num_steps, length.steps_per_epoch, schedule.peak_lr
    match handle.key.split()[0]:
        case "end":
            return {"schedule.epochs": int(_within("schedule.epochs", round(step / per_epoch)))}
        case "cooldown":
            body = body_of(schedule, per_epoch)
            return {"schedule.cooldown_fraction": _share(n - max(step, body.first), n, per_epoch)}
        case "start" if schedule.shape == "segments":
            return {} if rate == handle.rate else _with_rate(schedule, 0, rate)
        case "start":
            return {"schedule.start_factor": _within("schedule.start_factor", _digits(rate / peak))}
        case "final":
            return {"schedule.final_factor": _within("schedule.final_factor", _digits(rate / peak))}
        case "peak":
            return _peak_settings(schedule, length, step, rate)
        case "power":
            body, final = body_of(schedule, per_epoch), schedule.final_factor
            level = min(max((rate / peak - final) / max(1e-12, 1 - final), 1e-9), 1 - 1e-9)
            power = math.log(level) / math.log(1 - (handle.step - body.first) / body.num_steps)
            return {"schedule.power": _within("schedule.power", max(0.01, _digits(power)))}
        case "mark":
            return _mark_settings(schedule, length, handle, step, rate)
        case "segment":
            return _segment_settings(schedule, n, handle, step, rate)
        case _:
            return _point_settings(schedule, n, handle, step, rate)


def added_at(schedule: Schedule, length: Length, step: float, rate: float) -> dict[str, Any] | None:
    """The settings with one point, milestone or segment more, at a place; None where the shape has no such list or it is full there."""
    n = length.num_steps
    time = min(max(0.0, step), n - 1) / max(1, n - 1)
    match schedule.shape:
        case "points":
            points = sorted(schedule.points)
            if len(points) >= 1000 or any(abs(time - at) < 1 / max(1, n) for at, _ in points):
                return None
            index = sum(at < time for at, _ in points)
            points.insert(index, (_short_time(time, n), 0.0))
            return _with_rate(schedule.model_copy(update={"points": tuple(points)}), index, rate)
        case "multi_step":
            body, epoch = body_of(schedule, length.steps_per_epoch), _epochs(step, length)
            drops = {body.to_steps(m) for m in schedule.milestones}
            if len(drops) >= 1000 or round(step) in drops or not 0 < round(step) < n:
                return None
            return {"schedule.milestones": tuple(sorted((*schedule.milestones, epoch)))}
        case "segments":
            ends = [s.until for s in schedule.segments]
            if len(ends) >= 1000 or time <= 0 or time >= max(ends):
                return None
            index = sum(end < time for end in ends)
            kind = schedule.segments[index].kind
            new = Segment(kind="linear" if kind == "hold" else kind, until=_short_time(time, n), to=0.0)
            segments = (*schedule.segments[:index], new, *schedule.segments[index:])
            return _with_rate(schedule.model_copy(update={"segments": segments}), index + 1, rate)
    return None


def removed(schedule: Schedule, handle: Handle) -> dict[str, Any] | None:
    """The settings without the point, milestone or segment of a handle; None where it has to stay."""
    if handle.key.startswith("point") and len(schedule.points) > 2:
        return {"schedule.points": _without(sorted(schedule.points), handle.index)}
    if handle.key.startswith("segment") and len(schedule.segments) > 1:
        return {"schedule.segments": _without(schedule.segments, handle.index)}
    if handle.key.startswith("mark") and schedule.shape == "multi_step":
        return {"schedule.milestones": _without(sorted(schedule.milestones), handle.index)}
    return None


# the kinds of handles


def _climb_end(schedule: Schedule, body: Body) -> float:
    """The step at which the rate has reached its peak."""
    return max(schedule.warmup_fraction * body.num_steps - 1.0, 0.0) if schedule.shape == "one_cycle" else body.first


def _peak_settings(schedule: Schedule, length: Length, step: float, rate: float) -> dict[str, Any]:
    n, per_epoch = length.num_steps, length.steps_per_epoch
    settings = {"schedule.peak_lr": _within("schedule.peak_lr", _digits(rate))}
    if schedule.shape == "one_cycle":
        settings["schedule.warmup_fraction"] = _share(step + 1 if step > 0 else 0, n, per_epoch, wanted=step)
    else:
        body = body_of(schedule, per_epoch)
        settings["schedule.warmup_fraction"] = _share(min(step, n - max(1, body.num_cooldown)), n, per_epoch)
    return settings


def _marks(schedule: Schedule, body: Body) -> list[Handle]:
    """Drops and restarts within the shape's part of the run."""
    peak, end = schedule.peak_lr, body.first + body.num_steps
    match schedule.shape:
        case "step":
            every = body.to_steps(schedule.step_epochs)
            steps = [every * (k + 1) for k in range(min(MAX_MARKS + 1, (end - 1) // every))]
            name, share, sets = "Drop", schedule.step_factor, "time between drops and their factor"
        case "multi_step":
            steps = [s for s in sorted(body.to_steps(m) for m in schedule.milestones) if s < end]
            name, share, sets = "Drop", schedule.step_factor, "time of this drop and the factor of all"
        case "warm_restarts":
            steps = jumps(schedule, body.steps_per_epoch)[: MAX_MARKS + 1].tolist()
            name, share, sets = "Restart", schedule.cycle_decay, "length of the cycles and the decay of their peaks"
        case _:
            return []
    if len(steps) > MAX_MARKS and schedule.shape != "multi_step":
        steps = steps[:1]
    return [
        Handle(f"mark {i + 1}", f"{name} {i + 1}", step, peak * share ** (i + 1), look="mark", sets=sets, index=i)
        for i, step in enumerate(steps)
    ]


def _mark_settings(schedule: Schedule, length: Length, handle: Handle, step: float, rate: float) -> dict[str, Any]:
    body, number = body_of(schedule, length.steps_per_epoch), handle.index + 1
    share = _digits((max(rate, 1e-12) / schedule.peak_lr) ** (1 / number))
    share = min(1.0, max(1e-6, share))
    step = min(step, length.num_steps - 1)
    match schedule.shape:
        case "step":
            settings = {"schedule.step_epochs": _epochs(max(1.0, step / number), length), "schedule.step_factor": share}
        case "warm_restarts":
            cycle = (step - body.first) / _cycles(number, schedule.cycle_growth)
            settings = {"schedule.cycle_epochs": _epochs(max(1.0, cycle), length), "schedule.cycle_decay": share}
        case _:
            milestones = sorted(schedule.milestones)
            steps = [body.to_steps(m) for m in milestones]
            low = steps[handle.index - 1] + 1 if handle.index else 1
            high = steps[handle.index + 1] - 1 if handle.index + 1 < len(steps) else length.num_steps - 1
            milestones[handle.index] = _epochs(min(max(step, low), max(low, high)), length)
            settings = {"schedule.milestones": tuple(milestones), "schedule.step_factor": share}
    return settings


def _segment_handles(schedule: Schedule, n: int) -> list[Handle]:
    found, since, level = [], 0.0, schedule.start_factor
    for i, segment in enumerate(schedule.segments):
        since = max(since, segment.until)
        level = level if segment.kind == "hold" else segment.to
        is_hold = segment.kind == "hold"
        found.append(
            Handle(
                f"segment {i + 1}", f"End of piece {i + 1}", since * max(1, n - 1), schedule.peak_lr * level, "time" if is_hold else "both",
                sets="end of the hold" if is_hold else "end of the piece and its rate", index=i,
            )
        )  # fmt: skip
    return found


def _segment_settings(schedule: Schedule, n: int, handle: Handle, step: float, rate: float) -> dict[str, Any]:
    segments, i = list(schedule.segments), handle.index
    step = step if step != handle.step else segments[i].until * max(1, n - 1)
    low = max((s.until for s in segments[:i]), default=1 / max(2, n))
    high = min((s.until for s in segments[i + 1 :]), default=1.0)
    time = min(max(_short_time(step / max(1, n - 1), n), low), max(low, high))
    segments[i] = segments[i].model_copy(update={"until": time})
    moved = schedule.model_copy(update={"segments": tuple(segments)})
    return {"schedule.segments": tuple(segments)} if rate == handle.rate else _with_rate(moved, i + 1, rate)


def _point_handles(schedule: Schedule, n: int) -> list[Handle]:
    return [
        Handle(
            f"point {i + 1}",
            f"Point {i + 1}",
            time * max(1, n - 1),
            schedule.peak_lr * level,
            sets="time and the rate of the point",
            index=i,
        )
        for i, (time, level) in enumerate(sorted(schedule.points))
    ]


def _point_settings(schedule: Schedule, n: int, handle: Handle, step: float, rate: float) -> dict[str, Any]:
    points, i = sorted(schedule.points), handle.index
    gap = 1 / max(2, n)
    low = points[i - 1][0] + gap if i else 0.0
    high = points[i + 1][0] - gap if i + 1 < len(points) else 1.0
    if step != handle.step and low <= high:
        points[i] = (min(max(_short_time(step / max(1, n - 1), n), low), high), points[i][1])
    moved = schedule.model_copy(update={"points": tuple(points)})
    return {"schedule.points": tuple(points)} if rate == handle.rate else _with_rate(moved, i, rate)


def _with_rate(schedule: Schedule, index: int, rate: float) -> dict[str, Any]:
    """Segments (0 is the start) or points with one level at `rate`: the peak becomes the highest of all, the others keep their rates."""
    is_points = schedule.shape == "points"
    levels = [level for _, level in sorted(schedule.points)] if is_points else [schedule.start_factor, *(s.to for s in schedule.segments)]
    is_free = [True] * len(levels) if is_points else [True, *(s.kind != "hold" for s in schedule.segments)]
    low, high = bounds("schedule.peak_lr")
    rates = [level * schedule.peak_lr for level in levels]
    rates[index] = min(_digits(rate), high)
    top = max(value for value, free in zip(rates, is_free, strict=True) if free)
    peak = max(low, float(f"{top:.6g}")) if top > 0 else schedule.peak_lr
    new = [min(1.0, float(f"{value / peak:.6g}")) if free else old for value, old, free in zip(rates, levels, is_free, strict=True)]
    if is_points:
        times = [time for time, _ in sorted(schedule.points)]
        return {"schedule.peak_lr": peak, "schedule.points": tuple(zip(times, new, strict=True))}
    segments = tuple(s.model_copy(update={"to": level}) for s, level in zip(schedule.segments, new[1:], strict=True))
    return {"schedule.peak_lr": peak, "schedule.start_factor": new[0], "schedule.segments": segments}


# numbers


def _cycles(count: int, growth: int) -> int:
    """How many first cycles as long as `count` cycles are."""
    return count if growth == 1 else (growth**count - 1) // (growth - 1)


def _share(steps: float, n: int, per_epoch: int, wanted: float | None = None) -> float:
    """Steps as a share of the run."""
    steps = min(max(0.0, steps), n)
    return _shortest(steps / max(1, n), n, _tolerance(steps if wanted is None else wanted, n, per_epoch))


def _short_time(time: float, n: int) -> float:
    """A time in [0, 1] without more digits than steps can tell apart."""
    return round(min(max(0.0, time), 1.0), max(4, math.ceil(math.log10(max(2, n))) + 2))


def _epochs(steps: float, length: Length) -> float:
    """Steps as epochs."""
    per_epoch = length.steps_per_epoch
    value = _shortest(steps / per_epoch, per_epoch, _tolerance(steps, length.num_steps, per_epoch))
    return float(min(max(value, 1e-6), 10_000))


def _tolerance(steps: float, n: int, per_epoch: int) -> float:
    """How far off a time may be for the sake of a short number; a whole epoch is meant to the step."""
    is_whole = abs(steps - round(steps / per_epoch) * per_epoch) < 1e-6
    return 0.25 if is_whole else max(0.5, n / 2000)


def _shortest(value: float, scale: float, tolerance: float) -> float:
    """The number of fewest decimals that is `value` to within `tolerance` / `scale`."""
    for digits in range(2, 12):
        short = round(value, digits)
        if abs(short - value) * scale <= tolerance:
            return short
    return value


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def _within(path: str, value: float) -> float:
    low, high = bounds(path)
    return float(min(high, max(low, value)))


def _without(items: Sequence[Any], index: int) -> tuple[Any, ...]:
    return (*items[:index], *items[index + 1 :])
