"""Steps played from a recording of the GPU's work. Recording itself needs a GPU (benchmarks/gpu.py); what is done about it does not."""

from __future__ import annotations

import contextlib

import pytest
from engine_runs import metrics, of_kind, small_run, train_here

from studio.core import event as ev
from studio.engine import recorded_step
from studio.engine.main import FINISHED

pytestmark = pytest.mark.usefixtures("measured")

THAW = {
    "model__thaw": {"stem": -1, "stage 1": -1, "stage 2": -1, "stage 3": 1},
    "model__train_stages": 1,
    "schedule__epochs": 2,
    "training__feature_cache": "off",
}


@pytest.fixture
def recorder(monkeypatch):
    """Everything but the GPU: what would be recorded is called instead."""
    shapes = []

    def record(network, _precision, inputs):
        shapes.append(inputs.shape)
        return network

    monkeypatch.setattr(recorded_step, "record", record)
    monkeypatch.setattr(recorded_step, "LEAST_STEPS", 1)
    monkeypatch.setattr(recorded_step, "LEAST_GAIN", 0.01)
    monkeypatch.setattr(recorded_step, "_errors_for_waiting", contextlib.nullcontext)
    monkeypatch.setattr(recorded_step, "_has_queue", lambda device: True)
    return shapes


@pytest.fixture(scope="module")
def plain(tmp_path_factory, measured_cache):
    folder = small_run(tmp_path_factory.mktemp("plain"), **THAW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(measured_cache.parent))
        assert train_here(folder) == FINISHED
    return folder


def test_on_a_processor_nothing_is_recorded(plain):
    assert of_kind(plain, ev.StepCompiled) == []


def test_steps_are_recorded_anew_when_other_layers_train_and_the_run_ends_at_the_same_bits(recorder, plain, tmp_path):
    folder = small_run(tmp_path, **THAW)
    assert train_here(folder) == FINISHED
    assert [e.is_used for e in of_kind(folder, ev.StepCompiled)] == [True, True] and len(recorder) == 2
    assert metrics(folder)["state_sha256"] == metrics(plain)["state_sha256"]


def test_a_step_that_cannot_be_recorded_goes_on_as_it_is_and_says_so(recorder, plain, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorded_step, "record", refuse)
    folder = small_run(tmp_path, **THAW)
    assert train_here(folder) == FINISHED
    assert all("not permitted" in e.sentence and not e.is_used for e in of_kind(folder, ev.StepCompiled))
    assert metrics(folder)["state_sha256"] == metrics(plain)["state_sha256"]


@pytest.mark.parametrize("settings", [{"training__accumulation": 2}, {"training__exact": True}, {"training__checkpointing": "on"}])
def test_nothing_is_recorded_where_a_recording_would_not_be_right(recorder, tmp_path, settings):
    folder = small_run(tmp_path, **(THAW | {"schedule__epochs": 1, "model__thaw": {}} | settings))
    assert train_here(folder) == FINISHED
    assert of_kind(folder, ev.StepCompiled) == [] and not recorder
