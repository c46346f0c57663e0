"""The section `schedule`: the shape and the numbers of the learning-rate curve. The curve itself is `studio.catalog.schedules`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.section import Section, Share, field

Shape = Literal[
    "constant", "linear", "polynomial", "exponential", "step", "multi_step", "cosine", "warm_restarts", "one_cycle",
    "inverse_sqrt", "plateau", "segments", "points",
]  # fmt: skip


class Segment(Section):
    """One piece of a curve chained by hand: from where the piece before ended to `to`, in this way."""

    kind: Literal["hold", "linear", "cosine", "exponential"] = field("linear", "Course", "How the rate gets to its end.")
    until: float = field(1.0, "Until", "Where the piece ends, as a share of all steps.", gt=0.0, le=1.0)
    to: float = field(1.0, "To", "The rate at its end, as a share of the peak. Hold keeps the rate.", ge=0.0, le=1.0)


class Schedule(Section):
    """The learning rate over time: the curve that is drawn is the curve that is applied."""

    shape: Shape = field("one_cycle", "Shape", "The family of the curve.", takes="live")
    epochs: int = field(8, "Epochs", "How often every training image is seen.", takes="live", ge=1, le=10_000)
    peak_lr: float = field(
        2e-3, "Peak learning rate", "The highest learning rate, that of the head.", takes="live", log=True, ge=1e-8, le=10.0
    )
    warmup_fraction: float = field(0.3, "Warm-up", "Share of all steps in which the rate climbs to its peak.", takes="live", ge=0.0, le=1.0)
    cooldown_fraction: float = field(
        0.0,
        "Cool-down",
        "Share of all steps at the end in which the rate falls in a line to its final value.",
        takes="live",
        ge=0.0,
        le=1.0,
    )
    start_factor: float = field(0.04, "Start", "First rate as a share of the peak.", takes="live", log=True, ge=0.0, le=1.0)
    final_factor: float = field(1e-4, "Final", "Last rate as a share of the peak.", takes="live", log=True, ge=0.0, le=1.0)
    power: float = field(2.0, "Power", "How fast it falls at first (polynomial); 1 is a line.", takes="live", gt=0.0, le=10.0)
    cycle_epochs: float = field(
        2.0, "First cycle", "Epochs until the first restart (warm restarts).", takes="live", unit="epochs", gt=0.0, le=10_000
    )
    cycle_growth: int = field(
        2, "Cycle growth", "Each cycle is this many times as long as the one before (warm restarts).", takes="live", ge=1, le=10
    )
    cycle_decay: float = field(
        1.0, "Peak decay", "Each cycle's peak is this many times the one before (warm restarts).", takes="live", gt=0.0, le=1.0
    )
    step_epochs: float = field(3.0, "Step every", "Epochs between two drops (step).", takes="live", unit="epochs", gt=0.0, le=10_000)
    step_factor: float = field(
        0.1, "Step factor", "What the rate is multiplied by at each drop (step, milestones, plateau).", takes="live", gt=0.0, le=1.0
    )
    milestones: tuple[Annotated[float, Field(gt=0.0, le=10_000)], ...] = field(
        (3.0, 6.0), "Milestones", "Epochs after which the rate drops (milestones).", takes="live", unit="epochs", max_length=1000
    )
    patience_epochs: int = field(
        2,
        "Patience",
        "Epochs without a better validation loss before the rate drops (plateau).",
        takes="live",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    segments: tuple[Segment, ...] = field(
        (Segment(kind="linear", until=0.2, to=1.0), Segment(kind="hold", until=0.5, to=1.0), Segment(kind="cosine", until=1.0, to=1e-4)),
        "Segments", "The pieces of a curve chained by hand, in order; the first starts at Start (segments).", takes="live",
        min_length=1, max_length=1000,
    )  # fmt: skip
    points: tuple[tuple[Share, Share], ...] = field(
        ((0.0, 0.04), (0.3, 1.0), (0.6, 0.7), (1.0, 1e-4)),
        "Points", "(share of all steps, share of the peak) that a free curve goes through, monotone between them (points).", takes="live",
        min_length=2, max_length=1000,
    )  # fmt: skip
