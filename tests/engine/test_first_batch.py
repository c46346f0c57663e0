"""The first batch of a run may be made before there is a loader: it is the loader's own to the last bit, or it is not used."""

from __future__ import annotations

import dataclasses
import os
import weakref

import numpy as np
import pytest
from engine_runs import small_run

from studio.core.experiment import Experiment
from studio.dataset.dataset import Dataset
from studio.dataset.first_batch import first_samples
from studio.engine import loader as loader_module
from studio.engine.failure import CHANGED
from studio.engine.first_batch import FirstBatch
from studio.engine.loader import Loader, Source
from studio.engine.plan import training_requests

BATCH = 8


@dataclasses.dataclass
class Plan:
    experiment: Experiment
    dataset: Dataset

    def source(self) -> Source:
        """As a run has it."""
        from studio.engine.setup import source_for, view_for

        samples = (*self.dataset.part("train"), *self.dataset.part("validation"))
        source = source_for(self.experiment, self.dataset, samples, view_for(self.experiment, self.dataset), 42)
        return dataclasses.replace(source, stamps=tuple((s.num_bytes, s.mtime_ns) for s in samples))

    def requests(self):
        return training_requests(self.experiment.training.seed, 0, 42, BATCH)

    def first(self) -> FirstBatch:
        first = FirstBatch(self.experiment, first_samples(self.experiment, self.dataset))
        first.decode()
        first.make()
        first.wait(lambda seconds: None)
        return first

    def changed(self, values: dict) -> Plan:
        return Plan(self.experiment.changed(values), self.dataset)


@pytest.fixture
def plan(tmp_path) -> Plan:
    folder = small_run(tmp_path, augment__preset="medium")
    return Plan(folder.experiment(), Dataset.from_json(folder.dataset_path.read_bytes()))


def batches(plan: Plan, num_workers: int = 0, first: FirstBatch | None = None) -> list:
    with Loader(plan.source(), BATCH, num_workers, first) as loader:
        return [dataclasses.replace(batch, images_NHWC=batch.images_NHWC.copy()) for batch in loader.batches(plan.requests())]


def assert_same(found: list, wanted: list) -> None:
    assert len(found) == len(wanted) == 6
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(a.images_NHWC, b.images_NHWC) and np.array_equal(a.indices, b.indices) and a.refused == b.refused
        assert a.tally.num_images == b.tally.num_images


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_that_begins_with_it_is_the_same(plan, num_workers):
    first = plan.first()
    made = first._made.result().batch.images_NHWC
    with Loader(plan.source(), BATCH, num_workers, first) as loader:
        assert next(loader.batches(plan.requests())).images_NHWC is made
        assert_same(list(loader.batches(plan.requests())), batches(plan))
    assert_same(batches(plan, num_workers, plan.first()), batches(plan))


def test_worker_processes_begin_with_the_batches_after_it(plan):
    asked = iter(list(plan.requests()))
    with Loader(plan.source(), BATCH, 2, plan.first()) as loader:
        next(loader.batches(asked))
        assert len(list(asked)) <= 2, "of six, one was there and three or more are under way"


def test_its_pictures_are_not_decoded_again(plan, monkeypatch):
    first = plan.first()
    read, read_bytes = [], loader_module.read_bytes
    monkeypatch.setattr(loader_module, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    batches(plan, 0, first)
    assert len(read) == 42 - BATCH


def test_once_it_is_taken_its_pictures_are_the_loaders_alone(plan):
    first = plan.first()
    thread, picture = first._aside._thread, weakref.ref(next(iter(first._made.result().decoded.values())).pixels)
    made = first.take(plan.source(), next(plan.requests()), lambda seconds: None)
    assert made is not None and picture() is not None
    del made
    thread.join()
    assert picture() is None, "`first` is there as long as the run goes"


@pytest.mark.parametrize(
    "values",
    [{"training.seed": 1}, {"augment.preset": "strong"}, {"model.input_size": 32}, {"data.white": 4095}],
    ids=["seed", "augmentation", "size", "reading"],
)
def test_of_another_experiment_it_is_not_used(plan, values):
    other = plan.changed(values)
    first = plan.first()
    assert not first.is_for(other.experiment, first_samples(other.experiment, other.dataset))
    assert first.take(other.source(), next(other.requests()), lambda seconds: None) is None


def test_where_a_file_changes_after_it_was_made_the_loader_reads_it_and_says_so(plan):
    first = plan.first()
    index = first.request.indices[2]
    path = plan.source().paths[index]
    os.utime(path, ns=(1, 1))
    found = batches(plan, 0, first)
    assert found[0].refused == {index: CHANGED}


def test_where_a_picture_cannot_be_read_the_loader_takes_the_next_and_says_so(plan):
    path = plan.source().paths[next(plan.requests()).indices[0]]
    with open(path, "wb") as f:
        f.write(b"not an image")
    assert_same(batches(plan, 0, plan.first()), batches(plan))


def test_made_images_have_their_place_in_it(plan):
    real, made = plan.dataset.samples[:30], plan.dataset.samples[30:40]
    training = [dataclasses.replace(s, split="train") for s in real]
    dataset = plan.dataset.changed(samples=tuple(training), synthetic=tuple(dataclasses.replace(s, split="train") for s in made))
    samples = first_samples(plan.experiment, dataset)
    size = dataset.epoch_size(plan.experiment.data.synthetic_fraction)
    request = next(training_requests(0, 0, 30, BATCH, num_synthetic=10, num_taken=size - 30))
    everything = [*training, *made]
    assert samples["indices"] == list(request.indices)
    assert samples["ids"] == [everything[i].id for i in request.indices]
    assert FirstBatch(plan.experiment, samples).request == request
