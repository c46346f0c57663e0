"""From which confidence on an answer is taken: by the run's own answers, where they are those of the network that is used."""

from __future__ import annotations

import json

import numpy as np
import pytest

from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder, create_run
from studio.core.unsure import unsure_of


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return create_run(tmp_path, Experiment())


def store(folder: RunFolder, confidence: list[float], is_right: list[bool]) -> RunFolder:
    """Answers to images of class 0 of three, so sure of class 0 where they are right, else of class 1."""
    p = np.tile((1 - np.array(confidence)[:, None]) / 2, 3)
    p[np.arange(len(p)), np.where(is_right, 0, 1)] = confidence
    ids, labels = np.array(json.dumps([str(i) for i in range(len(p))])), np.zeros(len(p), np.int32)
    losses = -np.log(p[:, 0]).astype(np.float32)
    folder.results_path.mkdir(exist_ok=True)
    np.savez(folder.results_path / "validation_predictions.npz", ids=ids, labels=labels, log_p=np.log(p).astype(np.float16), losses=losses)
    return folder


def test_unsure_begins_where_95_percent_of_the_runs_own_answers_are_right(run):
    found = unsure_of(store(run, [0.98, 0.9, 0.8, 0.7, 0.6], [True, True, True, False, True]))
    assert found.below == pytest.approx(0.8, abs=1e-3)
    assert found.sentence.endswith("from there on 100.0% of the answers to this run's 5 validation images are right.")


def test_half_is_the_least_even_where_every_answer_is_right(run):
    assert unsure_of(store(run, [0.9, 0.7, 0.4], [True, True, True])).below == 0.5


@pytest.mark.parametrize(
    ("confidence", "is_right", "words"),
    [([0.9, 0.8], [False, True], "no confidence is high enough for 95% right answers"), (None, None, "no answers to validation images")],
    ids=["none is enough", "not measured"],
)
def test_half_stands_where_the_run_knows_no_better_and_why_is_said(run, confidence, is_right, words):
    found = unsure_of(store(run, confidence, is_right) if confidence else run)
    assert found.below == 0.5 and words in found.sentence


def test_answers_of_the_best_epoch_say_nothing_of_another_last_one(run):
    assert unsure_of(store(run, [0.9, 0.8], [True, True]), which="last").below == 0.5


def test_what_was_asked_for_stands(run):
    assert unsure_of(store(run, [0.98, 0.9], [True, True]), asked=0.25).sentence == "Unsure below 25%: as was asked for."
