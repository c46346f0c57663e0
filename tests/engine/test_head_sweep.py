"""Many heads side by side learn what each would learn alone."""

from __future__ import annotations

import os

import pytest
from engine_runs import of_kind, small_run, train_here

from studio.core.event import EpochFinished
from studio.core.head_sweep import peaks_around
from studio.core.problem import BadInput, error
from studio.dataset.dataset import Dataset
from studio.engine.failure import DataGone
from studio.engine.head_sweep import sweep_head

HEAD = {"model__input_size": 64, "model__train_stages": 0, "augment__preset": "none", "schedule__epochs": 3, "optimiser__clip_norm": 0.5}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = small_run(tmp_path_factory.mktemp("sweep"), **HEAD)
    return folder, folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes())


def test_a_head_of_the_sweep_is_the_head_of_a_run_with_its_peak(asked, tmp_path):
    folder, experiment, dataset = asked
    peaks = [1e-4, experiment.schedule.peak_lr, 1e-1]
    found = sweep_head(experiment, dataset, peaks, tmp_path)
    assert train_here(folder) == 0
    last = of_kind(folder, EpochFinished)[-1]
    assert found.heads[1].loss == pytest.approx(last.validation_loss, rel=2e-3)
    assert found.heads[1].top1 == pytest.approx(last.validation_top1)
    assert [head.peak for head in found.heads] == peaks and found.best in found.heads
    assert len({round(head.loss, 4) for head in found.heads}) == 3


def test_heads_begin_where_a_run_begins_that_starts_from_another(tmp_path):
    folder = small_run(tmp_path, **HEAD)
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    assert train_here(folder) == 0
    kept = min(of_kind(folder, EpochFinished), key=lambda e: (-e.validation_top1, e.validation_loss))
    again = folder.experiment().changed({"model.start_run": str(folder.path)})
    head = sweep_head(again, dataset, [1e-9], tmp_path / "scratch").heads[0]
    assert head.top1 == pytest.approx(kept.validation_top1)
    assert head.loss == pytest.approx(kept.validation_loss, rel=2e-3)


def test_what_keeps_a_run_from_starting_keeps_a_sweep_from_it_too(asked, tmp_path):
    _, experiment, dataset = asked
    with pytest.raises(BadInput, match="Only one class"):
        sweep_head(experiment, dataset.changed(problems=(error("data.source", "Only one class."),)), [1e-3], tmp_path)


def test_what_ends_a_sweep_is_said_in_words(asked, tmp_path, monkeypatch):
    def gone(*_, **__):
        raise DataGone("/photos")

    _, experiment, dataset = asked
    monkeypatch.setattr("studio.engine.prefix.Prefix.fill", gone)
    with pytest.raises(BadInput, match="/photos is not there any more"):
        sweep_head(experiment, dataset, [1e-3], tmp_path)


def test_a_head_of_several_layers_is_not_swept(asked, tmp_path):
    _, experiment, dataset = asked
    with pytest.raises(BadInput, match="one layer"):
        sweep_head(experiment.changed({"model.head": [{"kind": "hidden", "width": 8}]}), dataset, [1e-3], tmp_path)


def test_validation_images_that_cannot_be_read_are_left_out(tmp_path):
    folder = small_run(tmp_path, **HEAD)
    experiment, dataset = folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes())
    gone = dataset.part("validation")[0]
    os.unlink(dataset.path_of(gone))
    without = dataset.changed(samples=tuple(sample for sample in dataset.samples if sample != gone))
    found, expected = (sweep_head(experiment, some, [1e-3], tmp_path / "scratch").heads[0] for some in (dataset, without))
    assert tuple(found) == pytest.approx(tuple(expected), rel=1e-5)


def test_peaks_lie_around_the_one_asked_for():
    peaks = peaks_around(1e-3, 5)
    assert peaks == sorted(peaks) and peaks[2] == pytest.approx(1e-3) and peaks[-1] / peaks[0] == pytest.approx(1000)
