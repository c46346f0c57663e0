"""What the probe answers, over the real line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from engine_runs import train_here
from PIL import Image
from safetensors.numpy import save_file

from studio.core.experiment import Experiment, Model, TransformSpec
from studio.core.run_folder import create_run
from studio.dataset.dataset import Dataset
from studio.dataset.scan import scan
from studio.supervise.worker import Worker
from tests.cli.test_bad_input import Bomb
from tests.export.conftest import CLASSES, make_run
from tests.worker.conftest import Asker


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("probe-home")))
        patch.setenv("OMP_NUM_THREADS", "2")
        worker = Worker("probe")
        yield Asker(worker)
        worker.close(5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("probe-run"))


def test_a_model_is_described_as_the_engine_would_build_it(probe):
    from studio.engine.network import build_network

    model = Model(input_size=64, train_stages=2)
    found = probe.ask("describe_model", model=model.model_dump(), num_classes=3)
    assert any(what == "loading torch" for _, _, what in probe.progress), "the wait is explained"
    network = build_network(Experiment(model=model), 3)
    described = network.described()
    assert [(s["name"], s["num_parameters"], s["is_frozen"], s["lr_factor"]) for s in found["stages"]] == [
        (d.name, d.num_parameters, d.is_frozen, d.lr_factor) for d in described
    ]
    assert found["num_parameters"] == sum(p.numel() for p in network.module.parameters())
    assert found["num_trainable"] == sum(p.numel() for p in network.trainable())
    assert found["stages"][-1]["output_shape"] == [3]
    memory = found["memory"]
    assert memory["gradients"] <= 4 * found["num_trainable"] and memory["optimiser"] == 8 * found["num_trainable"]
    more = probe.ask("describe_model", model=model.model_dump() | {"train_stages": -1}, num_classes=3)
    assert more["num_trainable"] == more["num_parameters"] and more["memory"]["activations"] > memory["activations"]


def test_places_to_cut_come_with_what_the_head_begins_with(probe):
    from studio.catalog.heads import Outlet, plan_head

    found = probe.ask("cut_points", model=Model(input_size=64).model_dump(), num_classes=3)
    assert found["num_features"] == 1280 and [p["title"] for p in found["points"]][-2:] == ["after stage 4", "after stage 5"]
    outlet = Outlet(**found["points"][-1]["outlet"])
    assert plan_head((), outlet, 3)[-1].num_parameters == 1280 * 3 + 3


def test_an_input_size_the_network_cannot_take_is_a_sentence(probe):
    model = {"source": "torchvision", "backbone": "inception_v3", "input_size": 32}
    assert "inception" in probe.fail("describe_model", model=model, num_classes=3).sentence.casefold()


def test_a_weights_file_that_cannot_be_used_is_refused_in_words_and_nothing_in_it_runs(probe, tmp_path):
    """The line that the Model page shows before it applies anything."""
    executed, pickled, other = tmp_path / "executed", tmp_path / "evil.pth", tmp_path / "other.safetensors"
    pickled.write_bytes(pickle.dumps(Bomb(executed)))
    save_file({"layer1.weight": np.zeros((3, 3), np.float32)}, other)
    asked = {"model": Model(input_size=64).model_dump(), "num_classes": 3}
    assert "evil.pth" in probe.fail("check_weights_file", path=str(pickled), **asked).sentence and not executed.exists()
    assert "holds another network" in probe.fail("check_weights_file", path=str(other), **asked).sentence


def test_predictions_are_those_of_the_network_and_unreadable_files_have_a_reason(probe, run, tmp_path):
    from studio.engine.network import load_trained
    from studio.engine.predict import Predictor

    dataset = Dataset.from_json(run.dataset_path.read_bytes())
    path = dataset.path_of(dataset.samples[0])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = probe.ask("predict", run=str(run.path), paths=[path, str(tmp_path / "broken.png")])
    assert found["classes"] == list(CLASSES)
    good, bad = found["predictions"]
    expected = next(Predictor(load_trained(run)).predict([path]))
    assert good["top"][0][0] == expected.best
    assert good["top"][0][1] == pytest.approx(expected.confidence, abs=1e-4)
    assert bad["top"] == [] and bad["reason"]


def test_an_explanation_comes_with_its_view_and_where_that_lies_in_the_picture(probe, run):
    dataset = Dataset.from_json(run.dataset_path.read_bytes())
    found = probe.ask("explain", run=str(run.path), path=dataset.path_of(dataset.samples[0]), class_index=2)
    heat = np.frombuffer(found["heat"]["content"], np.float32).reshape(64, 64)
    assert heat.min() >= 0 and heat.max() <= 1 and found["class_index"] == 2
    assert len(found["image"]["content"]) == 64 * 64 * 3
    assert found["size"] == [80, 80] and found["box"] == [5, 5, 70]


def test_a_run_without_a_checkpoint_is_a_sentence(probe, tmp_path):
    empty = create_run(tmp_path, Experiment())
    assert "no checkpoint" in probe.fail("predict", run=str(empty.path), paths=["x.png"]).sentence


def test_a_step_is_timed(probe):
    found = probe.ask(
        "measure", model={"input_size": 32, "train_stages": 0}, num_classes=3, training={"batch_size": 4, "precision": "fp32"}
    )
    assert 0 < found["seconds_per_image"] < 10 and found["device"] in ("cpu", "cuda:0", "mps")
    described = probe.ask("describe_model", model={"input_size": 32}, num_classes=3)
    assert len(found["stage_seconds"]) == len(described["stages"]) and all(seconds > 0 for seconds in found["stage_seconds"])


def test_weights_and_plan_are_checked_before_a_run_exists(probe, tmp_path):
    good = probe.ask("check_model", model={}, num_classes=3)
    assert good["problems"] == []
    still = probe.ask("check_model", model={"train_stages": 0, "layers": {"head": "frozen"}}, num_classes=3)["problems"]
    assert still[0]["sentence"].startswith("Nothing trains") and still[0]["severity"] == "error"
    bad = probe.ask("check_model", model={"backbone": "nonsense"}, num_classes=3)["problems"]
    assert bad[0]["field"] == "model.backbone" and bad[0]["severity"] == "error"
    pickled, executed = tmp_path / "evil.pth", tmp_path / "executed"
    pickled.write_bytes(pickle.dumps(Bomb(executed)))
    evil = probe.ask("check_model", model={"weights_file": str(pickled)}, num_classes=3)["problems"]
    assert "evil.pth" in evil[0]["sentence"] and evil[0]["severity"] == "error" and not executed.exists()


def test_the_doctor_finds_this_computer_able_to_train(probe):
    findings = {f["title"]: f for f in probe.ask("doctor")["findings"]}
    assert findings["torch and torchvision"]["status"] == "good"
    assert findings["Weights"]["status"] == "good"
    assert {"Python", "Packages", "Device", "Disk", "Memory", "Window"} <= findings.keys()


# Label safety


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """(run, samples) of lying and standing stripes of 8 px, told apart by a real run of the bundled backbone with a new head."""
    root = tmp_path_factory.mktemp("stripes")
    draws = np.random.default_rng(0)
    for name in ("lying", "standing"):
        (root / "images" / name).mkdir(parents=True)
        for number in range(20):
            wave = 127 + 90 * np.sin((np.arange(80) + draws.uniform(0, 8)) * 2 * np.pi / 8)
            picture = np.broadcast_to(wave[:, None] if name == "lying" else wave[None, :], (80, 80))
            colour = draws.uniform(0.5, 1, 3)
            Image.fromarray((picture[..., None] * colour).astype(np.uint8)).save(root / "images" / name / f"{number:02}.png")
    experiment = Experiment().changed(
        {
            "data.source": str(root / "images"), "data.validation_fraction": 0.3, "model.input_size": 64, "model.train_stages": 0, "schedule.epochs": 8,
            "augment.preset": "none", "training.batch_size": 8, "training.precision": "fp32", "training.workers": 0, "training.device": "cpu",
        }
    )  # fmt: skip
    dataset = scan(experiment.data)
    folder = create_run(root / "runs", experiment, dataset.to_json())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(root / "home"))
        assert train_here(folder) == 0
    chosen = [s for name in dataset.classes for s in [s for s in dataset.part("train") if s.label == name][:8]]
    return folder, [{"path": dataset.path_of(s), "label": s.label} for s in chosen]


BLUR = TransformSpec(name="GaussianBlur", params={"sigma_limit": (9.0, 9.0)})
SHIFT = TransformSpec(name="Affine", params={"translate_percent": (-0.05, 0.05), "border_mode": 4})


def with_steps(*steps) -> dict:
    return Experiment().changed({"augment.preset": "custom", "augment.transforms": steps}).model_dump(mode="json")


def test_after_a_run_right_answers_fall_under_a_planted_heavy_blur_and_stay_under_a_small_shift(probe, stripes):
    run, samples = stripes
    _, (blur, shift) = probe.parts("label_safety", experiment=with_steps(BLUR, SHIFT), samples=samples, run=str(run.path))
    assert (blur["name"], shift["name"]) == ("GaussianBlur", "Affine")
    assert blur["accuracy_before"] >= 0.9 and shift["accuracy"] >= 0.9
    assert blur["accuracy"] <= 0.6, "of two classes that cannot be told apart any more"
    assert blur["verdict"] == "flagged" and shift["verdict"] == "fine"


def test_every_strength_of_a_blur_is_measured_and_a_class_that_the_run_does_not_know_has_no_right_answers(probe, stripes):
    run, samples = stripes
    sweep = {"step": 0, "param": "sigma_limit", "values": [0.1, 3.0, 9.0]}
    _, parts = probe.parts("label_safety", experiment=with_steps(BLUR), samples=samples, run=str(run.path), sweep=sweep)
    assert [part["value"] for part in parts] == sweep["values"]
    ratios, accuracies = ([part[key] for part in parts] for key in ("ratio", "accuracy"))
    assert ratios == sorted(ratios) and ratios[0] < 0.1 < 0.8 < ratios[-1]
    assert accuracies[0] >= 0.9 > 0.6 >= accuracies[-1]
    other = [sample | {"label": sample["label"].replace("lying", "leaning")} for sample in samples]
    for asked in ({"samples": other, "run": str(run.path)}, {"samples": samples}):
        _, (part,) = probe.parts("label_safety", experiment=with_steps(SHIFT), **asked)
        assert part["accuracy"] is None and part["accuracy_before"] is None and part["verdict"] == "fine"
