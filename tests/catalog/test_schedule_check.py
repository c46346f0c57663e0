"""Every finding about a schedule has a sentence, a place, and a repair that mends it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.catalog.schedules import SHAPES, head_lr
from studio.catalog.schedules.check import schedule_problems
from studio.core.experiment import Experiment, parse_experiment
from studio.core.problem import BadInput

STAGES = ("stem", "body", "head")


def draft(**values):
    return Experiment().changed({path.replace("__", "."): value for path, value in values.items()})


BAD = {
    "schedule.warmup_fraction": [
        draft(schedule__warmup_fraction=1.0),
        draft(schedule__shape="cosine", schedule__warmup_fraction=1.0),
    ],
    "schedule.cooldown_fraction": [draft(schedule__shape="linear", schedule__warmup_fraction=0.6, schedule__cooldown_fraction=0.7)],
    "schedule.final_factor": [
        draft(schedule__shape="exponential", schedule__final_factor=0.0, schedule__warmup_fraction=0.0),
        draft(schedule__shape="step", schedule__cooldown_fraction=0.2, schedule__final_factor=0.5, schedule__warmup_fraction=0.0),
    ],
    "schedule.cycle_epochs": [
        draft(schedule__shape="warm_restarts", schedule__cycle_epochs=8, schedule__warmup_fraction=0.0),
        draft(schedule__shape="warm_restarts", schedule__cycle_epochs=3, schedule__warmup_fraction=0.0),
        draft(schedule__shape="warm_restarts", schedule__cycle_epochs=3, schedule__cycle_growth=1, schedule__warmup_fraction=0.1),
    ],
    "schedule.step_epochs": [draft(schedule__shape="step", schedule__step_epochs=8, schedule__warmup_fraction=0.0)],
    "schedule.milestones": [
        draft(schedule__shape="multi_step", schedule__milestones=()),
        draft(schedule__shape="multi_step", schedule__milestones=(3.0, 9.0)),
    ],
    "schedule.patience_epochs": [draft(schedule__shape="plateau", schedule__patience_epochs=8)],
    "schedule.segments": [
        draft(schedule__shape="segments", schedule__segments=({"until": 0.6, "to": 1.0}, {"until": 0.3, "to": 0.5})),
        draft(schedule__shape="segments", schedule__segments=({"kind": "exponential", "until": 1.0, "to": 0.0},)),
        draft(schedule__shape="segments", schedule__start_factor=0.0, schedule__segments=({"kind": "hold", "until": 1.0},)),
    ],
    "schedule.points": [
        draft(schedule__shape="points", schedule__points=((0.0, 0.1), (0.5, 1.0), (0.5, 0.4), (1.0, 0.0))),
        draft(schedule__shape="points", schedule__points=((0.0, 0.0), (1.0, 0.0))),
    ],
    "schedule.peak_lr": [draft(schedule__peak_lr=0.5), draft(optimiser__kind="lion", schedule__peak_lr=0.01)],
    "training.early_stop_epochs": [draft(training__early_stop_epochs=8)],
    "model.thaw": [draft(model__thaw={"body": 8}), draft(model__thaw={"layer4": 1})],
    "optimiser.stage_lr_factors": [draft(optimiser__stage_lr_factors={"layer4": 0.5})],
    "training.batch_size": [draft(training__batch_size=512)],
    "training.accumulation": [draft(training__accumulation=8)],
}


def findings(experiment):
    return {p.field: p for p in schedule_problems(experiment, stages=STAGES, num_train=200)}


@pytest.mark.parametrize(("field", "experiment"), [(field, e) for field, bad in BAD.items() for e in bad])
def test_each_is_found_and_its_repair_mends_it(field, experiment):
    problem = findings(experiment)[field]
    assert problem.sentence.endswith(".") and problem.repair.label
    assert field not in findings(experiment.changed(problem.repair.values))


@pytest.mark.parametrize("growth", [1, 2, 3])
@pytest.mark.parametrize("per_epoch", [62, 83, 400])
def test_cycles_that_were_made_to_fit_end_low(growth, per_epoch):
    for warm in (0.0, 0.1, 0.07):
        experiment = draft(
            schedule__shape="warm_restarts", schedule__epochs=13, schedule__cycle_epochs=1.7, schedule__cycle_growth=growth,
            schedule__warmup_fraction=warm,
        )  # fmt: skip
        mended = experiment.changed(findings(experiment)["schedule.cycle_epochs"].repair.values)
        last = head_lr(mended.schedule, [13 * per_epoch - 1], per_epoch)[0]
        assert last < 0.25 * mended.schedule.peak_lr


def test_the_default_and_every_shape_with_its_defaults_have_nothing_to_say():
    assert schedule_problems(Experiment(), stages=STAGES, num_train=2000) == []
    for shape in SHAPES:
        assert [str(p) for p in schedule_problems(draft(schedule__shape=shape.key, schedule__cycle_epochs=8 * 0.7 / 3))] == []


@pytest.mark.parametrize("shape", [shape.key for shape in SHAPES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_settings_are_too_odd_to_check_and_every_repair_can_be_taken(shape, data):
    some = data.draw(
        st.fixed_dictionaries(
            {
                "schedule.epochs": st.integers(1, 300),
                "schedule.warmup_fraction": st.floats(0, 1),
                "schedule.cooldown_fraction": st.floats(0, 1),
                "schedule.final_factor": st.floats(0, 1),
                "schedule.cycle_epochs": st.floats(0.01, 400),
                "schedule.cycle_growth": st.integers(1, 10),
                "schedule.step_epochs": st.floats(0.01, 400),
                "schedule.milestones": st.lists(st.floats(0.01, 400), max_size=4),
                "schedule.points": st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=5),
            }
        )
    )
    experiment = draft(schedule__shape=shape).changed(some)
    for problem in schedule_problems(experiment, stages=STAGES, num_train=50):
        assert problem.mark is None or 0 <= problem.mark <= 1
        if problem.repair:
            experiment.changed(problem.repair.values)


@pytest.mark.parametrize("value", [0, float("nan"), -1, 100])
def test_a_peak_that_cannot_be_is_told_with_a_repair(value):
    raw = Experiment().model_dump()
    raw["schedule"]["peak_lr"] = value
    with pytest.raises(BadInput) as caught:
        parse_experiment(raw)
    (problem,) = caught.value.problems
    assert problem.field == "schedule.peak_lr" and problem.repair.values == {"schedule.peak_lr": 2e-3}


def test_a_final_rate_above_the_peak_is_told_with_a_repair():
    with pytest.raises(BadInput) as caught:
        draft(schedule__final_factor=2.0)
    assert caught.value.problems[0].repair.values == {"schedule.final_factor": 1e-4}
