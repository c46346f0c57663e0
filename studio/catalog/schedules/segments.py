"""Pieces chained by hand: each goes from where the one before ended to its own end."""

from __future__ import annotations

import numpy as np

from studio.catalog.schedules._curve import TINY, Body, cosine_between, line_between, share_of
from studio.core.experiment import Schedule

TITLE = "Segments"
HELP = "Any curve from pieces: hold, line, cosine, exponential. Two ends at the same time make a jump. For plans such as hold and decay."
PAPER = "Warm-up, hold, decay: Hu et al., arXiv 2404.06395"
FIELDS = ("peak_lr", "start_factor", "segments")
HAS_WARMUP = HAS_COOLDOWN = False


def pieces(schedule: Schedule) -> list[tuple[str, float, float, float, float]]:
    """(course, from, until, first factor, last factor) of every piece in the order of time; an end before the last one moves up to it."""
    found, since, value = [], 0.0, schedule.start_factor
    for segment in schedule.segments:
        until = max(since, segment.until)
        to = value if segment.kind == "hold" else segment.to
        course = "linear" if segment.kind == "exponential" and min(value, to) < TINY else segment.kind  # no exponential reaches 0
        found.append((course, since, until, value, to))
        since, value = until, to
    return found


def factors(schedule: Schedule, steps: np.ndarray, body: Body) -> np.ndarray:
    """The end of a piece belongs to it; after the last one the rate stays."""
    time = share_of(steps, body)
    chain = pieces(schedule)
    number = np.searchsorted([until for _, _, until, _, _ in chain], time, side="left")
    values = np.full(len(steps), chain[-1][4])
    for i, (course, since, until, start, end) in enumerate(chain):
        at = number == i
        share = (time[at] - since) / (until - since) if until > since else np.ones(at.sum())
        match course:
            case "hold":
                values[at] = start
            case "linear":
                values[at] = line_between(start, end, share)
            case "cosine":
                values[at] = cosine_between(start, end, share)
            case "exponential":
                values[at] = start * (end / start) ** share
    return values


def jumps(schedule: Schedule, body: Body) -> np.ndarray:
    """The first step behind every piece of no length that changes the rate."""
    ends = np.array([until for _, since, until, start, end in pieces(schedule) if until == since and start != end])
    after = np.unique(np.floor(ends * max(1, body.num_steps - 1)).astype(np.int64) + 1)
    return after[after < body.num_steps]


def python_lines(schedule: Schedule, body: Body) -> list[str]:
    lines = [f"t = i / {max(1, body.num_steps - 1)}"]
    for course, since, until, start, end in pieces(schedule):
        share = f"(t - {since!r}) / {until - since!r}"
        value = {
            "hold": f"{start!r}",
            "linear": f"line({start!r}, {end!r}, {share})",
            "cosine": f"cosine({start!r}, {end!r}, {share})",
            "exponential": f"{start!r} * ({end!r} / {start!r}) ** ({share})",
        }[course]
        lines += [f"if t <= {until!r}:", f"    return {value if until > since else repr(end)}"]
    return [*lines, f"return {end!r}"]


def torch_call(schedule: Schedule, body: Body) -> str | None:
    return None
