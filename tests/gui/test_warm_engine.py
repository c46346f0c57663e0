"""The waiting engine is told what would be trained now, when nothing has changed for a moment, and only where it matters to it."""

from __future__ import annotations

import pytest

from studio.core.experiment import Experiment
from studio.core.run_folder import create_run
from studio.dataset.first_batch import first_samples
from studio.gui import engine as engine_module
from studio.gui.engine import Engines
from studio.supervise import engine as supervise
from tests.builders import build_dataset


class Waiting:
    """A waiting engine that notes what it is told."""

    def __init__(self):
        self.told, self.started, self.is_closed = [], [], False

    def prepare(self, experiment, num_classes, first) -> None:
        self.told.append((experiment, num_classes, first))

    def start(self, folder, resume, commands_from) -> None:
        self.started.append((folder, resume, commands_from))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def engines(context, monkeypatch):
    monkeypatch.setattr(engine_module, "SETTLED_MS", 0)
    made = Engines(context.background)
    made._standby = Waiting()
    yield made
    made.close()


def test_it_is_told_the_newest_of_a_burst_and_again_where_the_beginning_of_a_run_is_another(engines, qtbot, tmp_path):
    dataset, waiting = build_dataset(tmp_path / "images", num_train=6, num_validation=2), engines._standby
    drafts = [Experiment().changed({"model.dropout": value / 10}) for value in range(4)]
    for draft in drafts:
        engines.prepare(draft, dataset)
    qtbot.waitUntil(lambda: len(waiting.told) == 1)
    assert waiting.told[0] == (drafts[-1], len(dataset.classes), first_samples(drafts[-1], dataset))
    engines.prepare(drafts[-1].changed({"schedule.epochs": 77}), dataset)
    qtbot.waitUntil(lambda: not engines._settled.isActive())
    other = drafts[-1].changed({"training.seed": 5})
    engines.prepare(other, dataset)
    qtbot.waitUntil(lambda: len(waiting.told) == 2)
    assert waiting.told[1][0] == other, "the number of epochs changes nothing of how a run begins"


def test_one_that_cannot_be_told_is_forgotten_and_ended(engines, qtbot, tmp_path):
    def prepare(*_):
        raise BrokenPipeError

    waiting = engines._standby
    waiting.prepare = prepare
    engines.prepare(Experiment(), build_dataset(tmp_path / "images", num_train=6, num_validation=2))
    qtbot.waitUntil(lambda: engines._standby is None and waiting.is_closed)


@pytest.mark.parametrize("is_warm", [True, False])
def test_what_is_wished_between_resume_and_the_start_of_a_process_is_for_that_process(engines, tmp_path, monkeypatch, is_warm):
    run = create_run(tmp_path, Experiment())
    run.command("stop")
    before, later = run.commands_size(), []
    waiting = engines._standby if is_warm else None
    started = waiting.started if is_warm else []
    engines._standby = waiting
    monkeypatch.setattr(supervise, "start_engine", lambda *asked: started.append(asked))
    monkeypatch.setattr(engines._background, "run", lambda work, *_, **_more: later.append(work))
    engines.start(run, True, lambda: None, lambda sentence: None)
    run.command("pause")
    later.pop()()
    assert started == [(run, True, before)]
