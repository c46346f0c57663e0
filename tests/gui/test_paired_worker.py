"""Two preview processes are one worker to those who ask."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QTimer

from studio.core.experiment import Experiment
from studio.gui.paired_worker import PairedWorker
from studio.gui.workers import WorkerClient
from studio.supervise.worker import Worker
from tests.builders import build_dataset
from tests.worker.conftest import Asker

NUM = 9


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    dataset = build_dataset(tmp_path_factory.mktemp("photos"), ("a", "b"), num_train=5, num_validation=1, size_px=40)
    return [{"path": dataset.path_of(s), "index": i, "epoch": 0} for i, s in enumerate(dataset.part("train"))][:NUM]


@pytest.fixture(scope="module")
def pair(qapp, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr("os.cpu_count", lambda: 2)
        pair = PairedWorker("preview")
        yield pair
        pair.close()
        QCoreApplication.processEvents()


def asked(photos, **values) -> dict:
    return {
        "experiment": Experiment().changed({"model.input_size": 24, "augment.preset": "medium"} | values).model_dump(mode="json"),
        "subjects": photos,
    }


def test_a_grid_that_two_processes_share_is_the_grid_of_one(qtbot, pair, photos):
    worker = Worker("preview")
    try:
        _, alone = Asker(worker).parts("tiles", **asked(photos))
    finally:
        worker.close(5)
    parts, results = [], []
    pair.call("tiles", asked(photos), results.append, on_part=parts.append)
    qtbot.waitUntil(lambda: bool(results), timeout=60_000)
    assert not pair.is_busy
    assert [result["count"] for result in results] == [NUM]
    assert results[0]["ms_per_image"] > 0
    shared = {part["tile"]: part for part in parts}
    assert len(parts) == NUM
    assert [shared[part["tile"]] for part in alone] == alone, "every tile with its pixels, its seed and what was drawn"


def test_of_a_grid_that_was_asked_anew_nothing_more_is_heard(qtbot, pair, photos):
    older, newer, results = [], [], []
    pair.call("tiles", asked(photos), lambda result: older.append("result"), on_part=older.append, key="grid")
    pair.call("tiles", asked(photos, **{"training.seed": 5}), results.append, on_part=newer.append, key="grid")
    qtbot.waitUntil(lambda: bool(results), timeout=60_000)
    assert older == []
    assert sorted(part["tile"] for part in newer) == list(range(NUM))


def test_where_the_second_process_cannot_live_the_first_does_its_half(qtbot, pair, photos, monkeypatch):
    second = pair._second._worker
    second.rest()
    qtbot.waitUntil(lambda: second.pid is None)
    monkeypatch.setattr(second, "_command", ["/nonexistent/python"])
    parts, results, faults = [], [], []
    pair.call("tiles", asked(photos), results.append, faults.append, on_part=parts.append, key="grid")
    qtbot.waitUntil(lambda: bool(results or faults), timeout=60_000)
    assert not faults and [result["count"] for result in results] == [NUM]
    assert sorted(part["tile"] for part in parts) == list(range(NUM))


def test_a_client_that_is_closed_is_asked_for_nothing(qapp):
    client = WorkerClient("preview")
    client.close()
    client.warm_up()
    client.rest()
    assert not client.is_busy


def test_a_grid_that_cannot_be_is_said_once(qtbot, pair, photos):
    faults = []
    wrong = asked(photos) | {
        "experiment": {"augment": {"preset": "custom", "transforms": [{"name": "GaussianBlur", "params": {"sigma_limit": [9, 1]}}]}}
    }
    pair.call("tiles", wrong, lambda result: faults.append("no fault"), faults.append, key="grid")
    qtbot.waitUntil(lambda: bool(faults) and not pair.is_busy, timeout=60_000)
    assert len(faults) == 1
    assert "sigma_limit" in faults[0].sentence or "GaussianBlur" in faults[0].sentence


def test_answers_without_end_leave_the_window_its_turns_and_keep_their_order(qtbot):
    """A callback that brings the next answer itself, as a worker does that is faster than the window, until a timer had its turn."""
    client, handled, turns = WorkerClient("preview"), [], []
    timer = QTimer(interval=1)
    timer.timeout.connect(lambda: turns.append(len(handled)))

    def bring(number: int) -> None:
        handled.append(number)
        if len(turns) < 3 and number < 1_000_000:
            client._post(lambda: bring(number + 1))

    timer.start()
    bring(0)
    qtbot.waitUntil(lambda: len(turns) >= 3 or handled[-1] == 1_000_000, timeout=60_000)
    timer.stop()
    client.close()
    assert handled[-1] < 1_000_000
    assert handled == list(range(len(handled)))
