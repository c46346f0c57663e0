"""What the probe says of the user's images and the network, over the real line: signal, first loss, domain shift, advice."""

from __future__ import annotations

import math
import shutil

import pytest
from builders import build_dataset

from studio.core.experiment import Experiment, parse_experiment
from studio.dataset.scan import scan
from studio.engine.network import Labels
from studio.engine.worker.model import BATCH, NUM_IMAGES
from studio.supervise.worker import Worker
from tests.worker.conftest import Asker

CLASSES = ("boot", "dress", "hat")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("looks-home")))
        worker = Worker("probe")
        yield Asker(worker)
        worker.close(5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("looks") / "images"
    build_dataset(folder, CLASSES, 4, 2, size_px=80)
    return str(folder)


def asked(data: str, **values):
    settings = {"data.source": data, "model.input_size": 64} | {key.replace("__", "."): value for key, value in values.items()}
    return Experiment().changed(settings).model_dump(mode="json")


def test_the_signal_and_the_first_loss_are_measured_on_the_images_of_the_folder(probe, data):
    hidden = ({"kind": "hidden", "width": 16},)
    found = probe.ask("signal", experiment=asked(data, model__head=hidden), whole=True)
    assert found["are_real_images"] and found["layers"][-1]["name"] == "head.linear"
    assert any(not layer["is_new"] for layer in found["layers"])
    zeros = probe.ask("first_loss", experiment=asked(data, model__head_init="zeros"))
    assert zeros["first_loss"] == pytest.approx(math.log(3), abs=1e-4), "nothing is known yet: the loss of a guess"
    he = probe.ask("first_loss", experiment=asked(data))
    assert he["are_real_images"] and 0 < he["first_loss"] < 20 and he["first_loss"] != pytest.approx(math.log(3), abs=1e-4)


def test_images_are_listed_anew_once_whoever_asks_has_done_so(probe, tmp_path):
    build_dataset(tmp_path, CLASSES, 4, 2, size_px=80)
    experiment = asked(str(tmp_path), model__head_init="zeros")

    def first_loss(number: int) -> float:
        return probe.ask("first_loss", experiment=experiment, list_number=number)["first_loss"]

    assert first_loss(1) == pytest.approx(math.log(3), abs=1e-4)
    shutil.rmtree(tmp_path / "class-0")
    assert first_loss(2) == pytest.approx(math.log(2), abs=1e-4)


def test_with_the_bias_at_the_class_prior_the_first_loss_is_that_of_all_images_whatever_the_few_are_that_it_is_measured_on(probe, tmp_path):
    build_dataset(tmp_path, CLASSES, 24, 2, size_px=80)
    for path in [path for name in ("class-1", "class-2") for path in sorted((tmp_path / name).iterdir())[4:]]:
        path.unlink()
    experiment = asked(str(tmp_path), model__head_init="zeros", model__head_bias="class prior")
    shares = Labels.of(scan(parse_experiment(experiment).data)).shares
    entropy = -sum(share * math.log(share) for share in shares)
    assert entropy < 0.9 < math.log(3)
    found = probe.ask("first_loss", experiment=experiment)
    assert found["are_real_images"] and found["first_loss"] == pytest.approx(entropy, abs=1e-4)
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    found = probe.ask("first_loss", experiment=experiment)
    assert not found["are_real_images"] and found["first_loss"] == pytest.approx(entropy, abs=1e-4), "on noise, with the same bias"


def test_the_shift_of_the_images_is_told_by_stage_with_progress_and_leads_to_advice(probe, data):
    probe.progress.clear()
    found = probe.ask("domain_shift", experiment=asked(data))
    assert found["num_images"] > BATCH and (BATCH, NUM_IMAGES, "images") in probe.progress
    distances = [row["bn_distance"] for row in found["stages"]]
    assert all(d is not None and d > 0 for d in distances) and found["sentence"]
    assert all(0 <= row["dead_fraction"] <= 1 for row in found["stages"] if row["dead_fraction"] is not None)
    untrained = probe.fail("domain_shift", experiment=asked(data, model__pretrained=False))
    assert "Random weights know no images" in untrained.sentence
    found["stages"][-1]["bn_distance"] = 3.5
    advised = probe.ask("advice", experiment=asked(data), images_per_class=[4, 4, 4], domain=found, has_gpu=False)["advice"]
    by_key = {each["key"]: each for each in advised}
    assert by_key["statistics"]["values"]["model.batch_norm"][found["stages"][-1]["name"]] == "adapt"
    assert "3.5 sigma" in by_key["statistics"]["reason"] and by_key["statistics"]["source"]
    assert by_key["head"]["is_followed"] and not by_key["statistics"]["is_followed"]


def test_a_size_that_is_refused_comes_with_the_nearest_as_a_repair(probe):
    model = {"source": "torchvision", "backbone": "alexnet", "input_size": 40}
    failed = probe.fail("describe_model", model=model, num_classes=3)
    assert failed.repair.label == "Use 63 px" and failed.repair.values == {"model.input_size": 63}
    assert probe.ask("describe_model", model=model | {"input_size": 63}, num_classes=3)["input_size"] == 63
