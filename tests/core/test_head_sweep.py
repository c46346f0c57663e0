"""A sweep of peaks names its best head, says when it no longer fits, and comes back from the disk as it was."""

from __future__ import annotations

import json

import pytest

from studio.core.experiment import Experiment
from studio.core.head_sweep import NUM_PEAKS, Head, HeadSweep, digests, peaks_around
from studio.core.problem import BadInput


def built(*heads: Head) -> HeadSweep:
    return HeadSweep(
        heads or (Head(1e-3, 0.4, 0.8), Head(2e-3, 0.3, 0.9), Head(4e-3, None, 0.0)), 3, 2.0, 0.5, digests(Experiment()), "cpu"
    )


def test_the_best_has_most_right_answers_then_the_least_loss_and_a_loss_at_all():
    assert built(Head(1e-3, 0.3, 0.8), Head(2e-3, 0.5, 0.9), Head(4e-3, 0.4, 0.9), Head(1.0, None, 1.0)).best.peak == 4e-3


def test_peaks_are_rounded_lie_around_the_one_asked_for_and_stay_where_a_setting_takes_them():
    for peak in (1e-8, 1e-3, 2e-3, 10.0):
        peaks = peaks_around(peak)
        assert len(set(peaks)) == NUM_PEAKS and peaks == sorted(peaks)
        assert peaks[0] <= peak <= peaks[-1]
        for rate in peaks:
            assert Experiment().changed({"schedule.peak_lr": rate}).schedule.peak_lr == rate == float(f"{rate:.1e}")


def test_a_sweep_comes_back_as_it_was():
    assert HeadSweep.from_json(built().to_json()) == built()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"heads": []},
        {"heads": [[1e-3, 0.4, 0.8], [1e-3, 0.3, 0.9]]},
        {"heads": [[0.0, 0.4, 0.8]]},
        {"heads": [[1e-3, 0.4]]},
        {"made_with": "x"},
        {"rates": []},
    ],
)
def test_a_file_that_is_no_sweep_is_refused_with_a_way_out(change):
    with pytest.raises(BadInput, match="Run it again"):
        HeadSweep.from_json(json.dumps(json.loads(built().to_json()) | change).encode())


@pytest.mark.parametrize(
    "values",
    [
        {"schedule.epochs": 3},
        {"schedule.shape": "cosine"},
        {"training.batch_size": 64},
        {"training.accumulation": 2},
        {"optimiser.weight_decay": 0.3},
        {"model.dropout": 0.5},
        {"model.train_stages": 1},
        {"data.left_out": ["a.png"]},
    ],
)
def test_a_changed_setting_that_the_heads_depend_on_is_named(values):
    assert built().changed_since(Experiment().changed(values)) == tuple(values)


def test_the_peak_itself_and_what_has_no_part_in_the_sweep_may_change():
    values = {
        "schedule.peak_lr": 1e-4,
        "augment.preset": "strong",
        "training.seed": 3,
        "training.device": "cpu",
        "optimiser.stage_lr_factor": 0.5,
    }
    assert built().changed_since(Experiment().changed(values)) == ()
