"""What is copied out of the program is what it draws: run as code, read as TOML and CSV."""

import csv
import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.catalog.schedules import SHAPES, head_lr, lr, momentum, weight_decay
from studio.catalog.schedules.export import as_csv, as_python, as_toml, as_torch_schedulers
from studio.core.experiment import Experiment, Model, Optimiser, Schedule, parse_experiment
from studio.core.experiment_file import experiment_from_toml

STAGES = ("stem", "layer 1", "layer 2", "head")
KEYS = [shape.key for shape in SHAPES]


def experiment_of(shape, **more):
    return Experiment(
        schedule=Schedule(shape=shape, epochs=6, warmup_fraction=0.1, cooldown_fraction=0.15, start_factor=0.1, final_factor=0.01, **more),
        model=Model(train_stages=1, thaw={"layer 1": 3}),
        optimiser=Optimiser(weight_decay_course="cosine", weight_decay_final=0.1),
    )


@pytest.mark.parametrize("shape", KEYS)
@settings(max_examples=15, deadline=None)
@given(
    warm=st.floats(0, 1), cool=st.floats(0, 1), final=st.floats(0, 1), per_epoch=st.integers(1, 12),
    course=st.sampled_from(["constant", "linear", "cosine", "with the rate"]),
)  # fmt: skip
def test_the_python_code_runs_alone_and_gives_the_same_rates(shape, warm, cool, final, per_epoch, course):
    experiment = experiment_of(shape).changed(
        {
            "schedule.warmup_fraction": warm, "schedule.cooldown_fraction": cool, "schedule.final_factor": final,
            "optimiser.weight_decay_course": course,
        }
    )  # fmt: skip
    space = {}
    exec(as_python(experiment, stages=STAGES, steps_per_epoch=per_epoch), space)  # noqa: S102
    steps = range(6 * per_epoch)
    rates = np.array([[space["lr"](step)[name] for name in STAGES] for step in steps])
    np.testing.assert_allclose(rates, lr(experiment, steps, stages=STAGES, steps_per_epoch=per_epoch), rtol=1e-12, atol=1e-18)
    momenta = momentum(experiment, steps, steps_per_epoch=per_epoch)
    assert ("momentum" in space) == (momenta is not None)
    if momenta is not None:
        np.testing.assert_allclose([space["momentum"](step) for step in steps], momenta, rtol=1e-12)
    decay = weight_decay(experiment, steps, steps_per_epoch=per_epoch)
    told = [space["weight_decay"](step) for step in steps] if "weight_decay" in space else experiment.optimiser.weight_decay
    np.testing.assert_allclose(decay, told, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("shape", [key for key in KEYS if key != "plateau"])
@pytest.mark.parametrize("more", [{}, {"warmup_fraction": 0.0, "cooldown_fraction": 0.0}, {"start_factor": 0.0}, {"cycle_decay": 0.5}])
def test_the_torch_schedulers_set_the_heads_rate(shape, more):
    base = experiment_of(shape)
    experiment = base.changed({f"schedule.{name}": value for name, value in more.items()})
    s = experiment.schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=s.peak_lr)
    space = {"optimizer": optimizer}
    exec(as_torch_schedulers(experiment, stages=STAGES, steps_per_epoch=10), space)  # noqa: S102
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about a way of its own SequentialLR
        for _ in range(60):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(found) < 60:
                space["scheduler"].step()
    np.testing.assert_allclose(found, head_lr(s, range(60), 10), rtol=1e-6, atol=1e-9 * s.peak_lr)


def test_torchs_own_scheduler_is_named_where_there_is_one():
    def named(shape, **more):
        return as_torch_schedulers(experiment_of(shape, **more), stages=STAGES, steps_per_epoch=10)

    assert "CosineAnnealingLR" in named("cosine") and "SequentialLR" in named("cosine")
    assert "OneCycleLR" in named("one_cycle")
    assert "LambdaLR" in named("points")
    assert "layer 1 from epoch 3" in named("linear")


def test_the_plateau_is_torchs_own_stepped_by_epoch():
    code = as_torch_schedulers(experiment_of("plateau"), stages=STAGES, steps_per_epoch=10)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    space = {"optimizer": optimizer}
    exec(code, space)  # noqa: S102
    for _ in range(4):
        space["scheduler"].step(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-4) and "after every epoch" in code


@pytest.mark.parametrize("shape", KEYS)
def test_the_toml_is_part_of_an_experiment_file(shape):
    experiment = experiment_of(shape)
    read = experiment_from_toml(as_toml(experiment))
    assert lr(read, range(60), stages=STAGES, steps_per_epoch=10).tolist() == lr(experiment, range(60), stages=STAGES, steps_per_epoch=10).tolist()  # fmt: skip


def test_code_and_table_have_the_rate_of_single_layers_in_a_frozen_stage():
    experiment, partly = experiment_of("cosine"), lambda _: STAGES[:1]
    expected = lr(experiment, range(60), stages=STAGES, steps_per_epoch=10, partly=partly)
    assert (expected > 0).all(axis=0).tolist() == [True, False, True, True]
    space = {}
    exec(as_python(experiment, stages=STAGES, steps_per_epoch=10, partly=partly), space)  # noqa: S102
    np.testing.assert_allclose([list(space["lr"](step).values()) for step in range(60)], expected, rtol=1e-12)
    rows = list(csv.reader(io.StringIO(as_csv(experiment, stages=STAGES, steps_per_epoch=10, partly=partly))))[1:]
    assert [[float(cell) for cell in row[2:6]] for row in rows] == expected.tolist()


def test_the_csv_holds_the_very_numbers_and_thins_out_long_runs():
    experiment = parse_experiment(experiment_of("one_cycle").model_dump())
    header, *rows = csv.reader(io.StringIO(as_csv(experiment, stages=STAGES, steps_per_epoch=10)))
    assert header == ["step", "epoch", *(f"lr {name}" for name in STAGES), "momentum", "weight decay"]
    rates = lr(experiment, range(60), stages=STAGES, steps_per_epoch=10)
    assert [[float(cell) for cell in row[2:6]] for row in rows] == rates.tolist()
    long = as_csv(experiment, stages=STAGES, steps_per_epoch=10_000, max_rows=100).splitlines()
    assert len(long) == 101 and long[-1].startswith("59999,")
