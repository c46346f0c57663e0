"""A schedule to take along: Python code that stands alone, torch's own schedulers, TOML and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import numpy as np

from studio.catalog import schedules
from studio.core.experiment import Experiment
from studio.core.experiment_file import fields_to_toml
from studio.core.words import counted

MAX_ROWS = 100_000  # of a CSV file; a longer run is thinned evenly

_HELPERS = {
    "math": "import math\n",
    "cosine": '''
def cosine(start, end, share):
    """Half a cosine from start at share 0 to end at share 1."""
    value = end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
    return max(value, min(start, end))
''',
    "line": """
def line(start, end, share):
    return start * (1.0 - share) + end * share
""",
}


def as_python(experiment: Experiment, *, stages: Sequence[str], steps_per_epoch: int, partly: schedules.Partly = schedules.no_stage) -> str:
    """A module with lr(step) -> {stage: rate}, and momentum(step) and weight_decay(step) where they change. It needs nothing but Python.

    `stages` are names in execution order, the head last; `partly` as in `schedules.lr`. What depends on the run's own losses is in the shape's comment.
    """
    s, num_steps = experiment.schedule, experiment.schedule.epochs * steps_per_epoch
    parts = [_factor_code(experiment, steps_per_epoch), _lr_code(experiment, stages, steps_per_epoch, partly)]
    parts += [_momentum_code(experiment, steps_per_epoch)] if schedules.cycles_momentum(s) else []
    parts += [_decay_code(experiment, num_steps)] if experiment.optimiser.weight_decay_course != "constant" else []
    code = "\n\n".join(part.strip("\n") + "\n" for part in parts)
    helpers = [name for name in ("cosine", "line") if f"{name}(" in code]
    needs_math = "math." in code or "cosine" in helpers
    title = schedules.shape_of(s.shape).title
    head = (
        f'"""Learning rate by step: {title}, {counted(s.epochs, "epoch")} of {counted(steps_per_epoch, "step")}, {num_steps:,} steps."""\n'
    )
    blocks = [
        head,
        *([_HELPERS["math"]] if needs_math else []),
        *("\n" + _HELPERS[name].strip("\n") + "\n" for name in helpers),
        "\n" + code,
    ]
    return "\n".join(blocks)


def as_torch_schedulers(
    experiment: Experiment, *, stages: Sequence[str], steps_per_epoch: int, partly: schedules.Partly = schedules.no_stage
) -> str:
    """The nearest composition of torch.optim.lr_scheduler for the head's rate; stepped after every optimiser step.

    Where torch has no such shape it is a LambdaLR with the function of `as_python`, which is exact.
    """
    s = experiment.schedule
    body = schedules.body_of(s, steps_per_epoch)
    main = schedules.torch_call(s, body)
    is_open_loop = schedules.shape_of(s.shape).is_open_loop
    pieces = [] if main is None else _pieces(s, body, main)
    if not pieces:
        code = as_python(experiment, stages=stages, steps_per_epoch=steps_per_epoch, partly=partly)
        return "\n".join(
            [
                code,
                "",
                "from torch.optim.lr_scheduler import LambdaLR",
                "",
                f"# torch has no such scheduler; the optimizer's own rate is {s.peak_lr!r}, the peak",
                "scheduler = LambdaLR(optimizer, factor)",
                "",
            ]
        )
    names = sorted({call.split("(")[0] for call, _ in pieces} | ({"SequentialLR"} if len(pieces) > 1 else set()))
    lines = [f"from torch.optim.lr_scheduler import {', '.join(names)}", "", *_groups_comment(experiment, stages, partly)]
    if not is_open_loop:
        lines += ["# step it once after every epoch: scheduler.step(validation_loss)"]
        lines += [f"# torch chains no warm-up with it: for the first {body.first:,} steps use the line to the peak"] if body.first else []
    if len(pieces) == 1:
        lines += [f"scheduler = {pieces[0][0]}"]
    else:
        lines += ["scheduler = SequentialLR(", "    optimizer,", "    ["]
        lines += [f"        {call}," for call, _ in pieces]
        lines += ["    ],", f"    milestones={[start for _, start in pieces[1:]]},", ")"]
    return "\n".join(lines) + "\n"


def as_toml(experiment: Experiment) -> str:
    """The settings that make the curves, as they stand in an experiment file."""
    shape = schedules.shape_of(experiment.schedule.shape)
    paths = ["schedule.shape", "schedule.epochs", *(f"schedule.{name}" for name in shape.fields)]
    paths += [f"optimiser.{name}" for name in type(experiment.optimiser).model_fields]
    paths += ["model.train_stages", "model.thaw", "model.layers", "model.batch_norm", "training.batch_size", "training.accumulation"]
    return fields_to_toml(experiment, paths)


def as_csv(
    experiment: Experiment,
    *,
    stages: Sequence[str],
    steps_per_epoch: int,
    partly: schedules.Partly = schedules.no_stage,
    max_rows: int = MAX_ROWS,
) -> str:
    """step, epoch, the rate of every stage, momentum where it cycles and weight decay. First and last step are always there."""
    num_steps = experiment.schedule.epochs * steps_per_epoch
    steps = np.unique(np.linspace(0, num_steps - 1, min(num_steps, max_rows)).round().astype(np.int64))
    columns = {"step": steps, "epoch": steps / steps_per_epoch}
    rates = schedules.lr(experiment, steps, stages=stages, steps_per_epoch=steps_per_epoch, partly=partly)
    columns |= {f"lr {name}": rates[:, i] for i, name in enumerate(stages)}
    momenta = schedules.momentum(experiment, steps, steps_per_epoch=steps_per_epoch)
    columns |= {} if momenta is None else {"momentum": momenta}
    columns["weight decay"] = schedules.weight_decay(experiment, steps, steps_per_epoch=steps_per_epoch)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return text.getvalue()


def _factor_code(experiment: Experiment, steps_per_epoch: int) -> str:
    """factor(step): the head's rate as a share of the peak."""
    s = experiment.schedule
    body = schedules.body_of(s, steps_per_epoch)
    last = s.epochs * steps_per_epoch - 1
    lines = ["def shape(i):", *_indented(schedules.python_lines(s, body)), "", "", "def factor(step):"]
    lines += ['    """The rate as a share of its peak; steps count from 0."""', f"    step = min(max(step, 0), {last})"]
    if body.first:
        lines += [f"    if step < {body.first}:  # warm-up", f"        return line({s.start_factor!r}, 1.0, step / {body.first})"]
    if body.num_cooldown:
        end = body.first + body.num_steps
        top = f"shape({body.num_steps - 1})" if body.num_steps else "1.0"
        lines += [f"    if step >= {end}:  # cool-down"]
        lines += [f"        return line({top}, {s.final_factor!r}, (step - {end} + 1) / {body.num_cooldown})"]
    return "\n".join([*lines, f"    return shape(step - {body.first})" if body.first else "    return shape(step)"])


def _lr_code(experiment: Experiment, stages: Sequence[str], steps_per_epoch: int, partly: schedules.Partly) -> str:
    starts = schedules.rate_epochs(experiment.model, stages, partly)
    factors = schedules.stage_factors(experiment.optimiser, stages)
    rows = [
        f"    {json.dumps(name)}: ({factor!r}, {'None' if epoch is None else epoch * steps_per_epoch}),"
        for name, factor, epoch in zip(stages, factors, starts, strict=True)
    ]
    return "\n".join(
        [
            f"PEAK = {experiment.schedule.peak_lr!r}",
            "STAGES = {  # times the head's rate, trains from this step (None: frozen)",
            *rows,
            "}",
            "",
            "",
            "def lr(step):",
            '    """The learning rate of every stage; 0 where it is frozen."""',
            "    rate = PEAK * factor(step)",
            "    return {name: rate * times if start is not None and step >= start else 0.0 for name, (times, start) in STAGES.items()}",
        ]
    )


def _momentum_code(experiment: Experiment, steps_per_epoch: int) -> str:
    s = experiment.schedule
    body = schedules.body_of(s, steps_per_epoch)
    lines = schedules.momentum_lines(s, schedules.base_momentum(experiment), body)
    doc = '    """Momentum of SGD and RMSprop, beta 1 of the others."""'
    return "\n".join(["def momentum(step):", doc, f"    i = min(max(step - {body.first}, 0), {body.num_steps - 1})", *_indented(lines)])


def _decay_code(experiment: Experiment, num_steps: int) -> str:
    optimiser = experiment.optimiser
    first, last = optimiser.weight_decay, optimiser.weight_decay * optimiser.weight_decay_final
    share = f"min(max(step, 0), {num_steps - 1}) / {num_steps}"
    value = {
        "linear": f"line({first!r}, {last!r}, {share})",
        "cosine": f"cosine({first!r}, {last!r}, {share})",
        "with the rate": f"{first!r} * factor(step)",
    }[optimiser.weight_decay_course]
    return f"def weight_decay(step):\n    return {value}"


def _pieces(schedule, body, main: str) -> list[tuple[str, int]]:
    """(call, first step) of warm-up, shape and cool-down; empty where torch's LinearLR cannot do it."""
    if not schedules.shape_of(schedule.shape).is_open_loop:
        return [(main, 0)]
    found = []
    if body.first:
        if schedule.start_factor <= 0:
            return []
        found.append((f"LinearLR(optimizer, start_factor={schedule.start_factor!r}, total_iters={body.first})", 0))
    if body.num_steps:
        found.append((main, body.first))
    if body.num_cooldown:
        end = body.first + body.num_steps
        first, last = schedules.head_lr(schedule, [end, end + body.num_cooldown - 1], body.steps_per_epoch) / schedule.peak_lr
        if not 0 < first <= 1:
            return []
        call = (
            f"LinearLR(optimizer, start_factor={float(first)!r}, end_factor={float(last)!r}, total_iters={max(1, body.num_cooldown - 1)})"
        )
        found.append((call, end))
    return found


def _groups_comment(experiment: Experiment, stages: Sequence[str], partly: schedules.Partly) -> list[str]:
    """What the optimizer's groups must start with, since torch's schedulers multiply each group's own rate."""
    rates = np.array(schedules.stage_factors(experiment.optimiser, stages)) * experiment.schedule.peak_lr
    starts = schedules.rate_epochs(experiment.model, stages, partly)
    told = [f"#   {name}: {rate:.6g}" for name, rate, start in zip(stages, rates, starts, strict=True) if start is not None]
    late = [f"{name} from epoch {start}" for name, start in zip(stages, starts, strict=True) if start]
    thaw = [f"# torch thaws nothing by itself; requires_grad of {', '.join(late)}"] if late else []
    return ["# parameter groups of the optimizer and the rate of each", *told, *thaw]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
