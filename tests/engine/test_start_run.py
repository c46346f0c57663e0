"""A run can start from the weights of another, with more classes or fewer: what was learnt of a class goes with its name."""

from __future__ import annotations

import shutil

import pytest
import torch
from builders import build_dataset
from engine_runs import CLASSES, SMALL, of_kind, small_run, train_here
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.problem import BadInput
from studio.core.run_folder import create_run
from studio.engine.checkpoint import find_checkpoint
from studio.engine.main import FINISHED, STOPPED
from studio.engine.network import Labels, build_network
from studio.engine.setup import view_for

MORE = ("anorak", "boot", "dress", "scarf")  # other positions, two new, one gone


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = small_run(tmp_path_factory.mktemp("earlier"), schedule__epochs=1, model__normalisation="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(folder.path / "home"))
        assert train_here(folder) == 0
    return folder


def experiment_from(folder, **values) -> Experiment:
    settings = SMALL | {"model.start_run": str(folder.path), "schedule.epochs": 1} | {f"model.{k}": v for k, v in values.items()}
    return Experiment().changed(settings)


def test_rows_are_taken_over_by_class_name_and_new_classes_start_new(earlier):
    experiment = experiment_from(earlier)
    network = build_network(experiment, len(MORE), labels=Labels(MORE, (1, 1, 1, 1)))
    old = load_file(find_checkpoint(earlier, "best").weights_path)
    ours = network.module.state_dict()
    for name, tensor in ours.items():
        if not name.startswith("head.linear."):
            assert torch.equal(tensor, old[name])
    fresh = build_network(experiment.changed({"model.start_run": ""}), len(MORE)).module.state_dict()
    for part in ("head.linear.weight", "head.linear.bias"):
        for row, label in enumerate(MORE):
            expected = old[part][CLASSES.index(label)] if label in CLASSES else fresh[part][row]
            assert torch.equal(ours[part][row], expected)
    assert network.taken_over.sentence == "2 classes taken over, 2 new, 1 left behind"


def test_a_run_with_more_classes_starts_from_an_earlier_one_and_says_so(earlier, tmp_path):
    dataset = build_dataset(tmp_path / "images", MORE, 4, 2, size_px=80)
    folder = create_run(tmp_path / "runs", experiment_from(earlier).changed({"data.source": dataset.root}), dataset.to_json())
    assert train_here(folder) == 0
    assert "2 classes taken over, 2 new, 1 left behind" in [e.detail for e in of_kind(folder, ev.PhaseStarted)]
    views = [find_checkpoint(f, "last").state["view"] for f in (folder, earlier)]
    assert views[0]["mean"] == views[1]["mean"] == view_for(folder.experiment(), dataset)["mean"], "what its weights were trained with"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"backbone": "test_vit", "input_size": 160}, "has another backbone"),
        ({"cut": "stage 2"}, "has another cut after"),
        ({"head": [{"kind": "hidden"}]}, "has another head"),
        ({"start_run": "/nowhere"}, "There is no run in “/nowhere”"),
    ],
)
def test_a_run_of_another_network_is_refused_with_the_reason(earlier, values, words):
    with pytest.raises(BadInput, match=words):
        build_network(experiment_from(earlier, **values), 3)


@pytest.mark.parametrize("setting", ["start_run", "weights_file"])
def test_what_a_run_started_from_is_not_needed_when_it_goes_on(earlier, tmp_path, setting):
    source = tmp_path / "source.safetensors"
    if setting == "start_run":
        shutil.copytree(earlier.path, source)
    else:
        shutil.copy(find_checkpoint(earlier, "best").weights_path, source)
    folder = small_run(tmp_path, **{f"model__{setting}": str(source), "model__pretrained": setting == "weights_file"})
    folder.command("stop_after_epoch")
    assert train_here(folder) == STOPPED
    source.rename(tmp_path / "on another drive")
    assert train_here(folder, resume=True) == FINISHED
