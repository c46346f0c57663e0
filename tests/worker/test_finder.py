"""The range test over the real line: its curve comes in parts, it can be given up, and its process can be sent to rest."""

from __future__ import annotations

import queue
import threading

import pytest
from builders import build_dataset

from studio.core.experiment import Experiment
from studio.core.head_sweep import NUM_PEAKS, HeadSweep
from studio.core.rate_test import LOWEST, RateTest
from studio.dataset.dataset import Dataset
from studio.supervise.worker import Worker
from tests.worker.test_protocol import wait_until

SMALL = {
    "model.source": "timm", "model.backbone": "test_resnet", "model.pretrained": False, "model.train_stages": -1, "model.input_size": 64,
    "training.batch_size": 8, "training.device": "cpu", "training.precision": "fp32", "training.workers": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def request_params(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("data")
    dataset = build_dataset(folder / "images", ("boot", "dress", "hat"), 14, 4, size_px=80)
    listing = folder / "dataset.json"
    listing.write_bytes(dataset.to_json())
    experiment = Experiment().changed(SMALL | {"data.source": dataset.root})
    return {"experiment": experiment.model_dump(mode="json"), "dataset": str(listing)}


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("finder-home")))
        worker = Worker("finder")
        yield worker
        worker.close(5)


def start(
    finder: Worker, params: dict, gate: threading.Event | None = None, method: str = "find_rate"
) -> tuple[int, queue.SimpleQueue, list, list]:
    """With a `gate`, nothing is heard behind the first part until it is open: the test is under way as long as that takes."""
    answers, parts, progress = queue.SimpleQueue(), [], []

    def take(part: dict) -> None:
        parts.append(part)
        if gate:
            gate.wait()

    number = finder.call(
        method,
        params,
        lambda result: answers.put(("result", result)),
        lambda error: answers.put(("error", error)),
        lambda *step: progress.append(step),
        on_part=take,
    )
    return number, answers, parts, progress


def test_the_curve_grows_in_parts_and_is_that_of_the_result(finder, request_params):
    _, answers, parts, progress = start(finder, request_params)
    kind, result = answers.get(timeout=120)
    assert kind == "result", result
    test = RateTest.from_json(result["test"].encode())
    assert [part["first"] for part in parts] == list(range(len(parts))), "none is lost, none comes twice"
    assert tuple(rate for part in parts for rate in part["rates"]) == test.rates
    assert tuple(loss for part in parts for loss in part["losses"]) == test.losses
    assert test.rates[0] == pytest.approx(LOWEST) and test.changed_since(Experiment().changed(SMALL)) == ("data.source",)
    words = [what for _, _, what in progress]
    assert words[:2] == ["Loading torch", "Building the network"] and "Testing rates" in words
    assert progress[-1][0] == progress[-1][1] == test.num_steps


def test_a_test_that_is_given_up_falls_silent_and_the_next_one_is_whole(finder, request_params):
    gate = threading.Event()
    number, answers, parts, _ = start(finder, request_params, gate)
    wait_until(lambda: parts, timeout_s=120)
    finder.cancel(number)
    gate.set()
    _, second, _, _ = start(finder, request_params)
    assert second.get(timeout=120)[0] == "result"
    assert answers.empty() and len(parts) == 1


def test_bad_settings_come_back_as_a_sentence(finder, request_params):
    experiment = Experiment().changed(SMALL | {"training.batch_size": 512})
    _, answers, _, _ = start(finder, request_params | {"experiment": experiment.model_dump(mode="json")})
    kind, error = answers.get(timeout=120)
    assert kind == "error" and "Batch size 512" in error.sentence and not error.trace


def head_only(params: dict, **more) -> dict:
    draft = Experiment(**params["experiment"]).changed({"model.train_stages": 0, "schedule.epochs": 2} | more)
    return params | {"experiment": draft.model_dump(mode="json")}


def test_a_sweep_trains_every_peak_and_says_how_far_it_is(finder, request_params):
    params = head_only(request_params)
    _, answers, _, progress = start(finder, params, method="sweep_head")
    kind, result = answers.get(timeout=120)
    assert kind == "result", result
    sweep = HeadSweep.from_json(result["sweep"].encode())
    assert len(sweep.heads) == NUM_PEAKS and sweep.epochs == 2 and sweep.device == "cpu"
    assert len({head.loss for head in sweep.heads}) > NUM_PEAKS // 2, "they learn at different rates"
    assert sweep.changed_since(Experiment(**params["experiment"])) == ()
    words = [what for _, _, what in progress]
    assert words[:2] == ["Loading torch", "Building the network"] and "Making features" in words
    assert progress[-1] == (12, 12, f"Training {NUM_PEAKS} heads"), "42 images in batches of 8, twice"


def test_a_sweep_that_is_given_up_falls_silent_and_one_without_validation_images_is_refused_in_a_sentence(finder, request_params, tmp_path):
    number, silent, _, progress = start(finder, head_only(request_params, **{"schedule.epochs": 10_000}), method="sweep_head")
    wait_until(lambda: any("heads" in what for _, _, what in progress), timeout_s=120)
    finder.cancel(number)
    with open(request_params["dataset"], "rb") as file:
        dataset = Dataset.from_json(file.read())
    none_held_back = tmp_path / "list.json"
    none_held_back.write_bytes(dataset.changed(samples=tuple(s for s in dataset.samples if s.split == "train")).to_json())
    _, answers, _, _ = start(finder, head_only(request_params) | {"dataset": str(none_held_back)}, method="sweep_head")
    kind, error = answers.get(timeout=120)
    assert kind == "error" and "validation images" in error.sentence and silent.empty()


def test_a_list_of_images_that_is_gone_comes_back_as_a_sentence(finder, request_params):
    _, answers, _, _ = start(finder, request_params | {"dataset": "/nowhere/list.json"})
    kind, error = answers.get(timeout=120)
    assert kind == "error" and "No such file" in error.sentence


def test_at_rest_the_process_is_gone_and_the_next_test_starts_a_new_one(finder, request_params):
    start(finder, request_params)[1].get(timeout=120)
    before = finder.pid
    wait_until(lambda: not finder.is_busy)
    finder.rest()
    wait_until(lambda: finder.pid is None)
    _, answers, _, _ = start(finder, request_params)
    assert answers.get(timeout=120)[0] == "result" and finder.pid not in (None, before)


def test_a_process_at_work_is_not_sent_to_rest(finder, request_params):
    gate = threading.Event()
    _, answers, parts, _ = start(finder, request_params, gate)
    wait_until(lambda: parts, timeout_s=120)
    before = finder.pid
    finder.rest()
    gate.set()
    assert answers.get(timeout=120)[0] == "result" and finder.pid == before
