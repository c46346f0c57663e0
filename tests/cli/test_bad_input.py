"""Each bad input gives exit code 2 and sentences with a way out, and leaves nothing behind."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from studio import cli
from studio.core.experiment import Experiment
from studio.core.run_folder import create_run
from tests.cli.conftest import snapshot, write_images


@pytest.fixture
def refused(capsys, studio_home, tmp_path, monkeypatch):
    """Run a command that must be refused; what it wrote to standard error."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(*args) -> str:
        before = snapshot(studio_home, tmp_path)
        code = cli.main([str(a) for a in args])
        err = capsys.readouterr().err
        assert code == 2, err
        assert snapshot(studio_home, tmp_path) == before, "something was written"
        assert "Traceback" not in err and err.startswith("Error: ")
        return err

    return run


def test_no_folder(refused, tmp_path):
    assert "There is no folder" in refused("train", "--data", tmp_path / "nowhere")


def test_nothing_to_train_on(refused):
    assert "--data DIR" in refused("train")


def test_an_empty_folder(refused, tmp_path):
    assert "one sub-folder per class" in refused("train", "--data", tmp_path)


def test_one_class(refused, tmp_path):
    write_images(tmp_path, ("only",), 4)
    assert "class" in refused("train", "--data", tmp_path)


def test_one_image_per_class(refused, tmp_path):
    write_images(tmp_path, num=1)
    assert "image" in refused("train", "--data", tmp_path)


def test_only_broken_files(refused, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(b"no picture")
    assert "can be read" in refused("train", "--data", tmp_path)


def test_class_folders_that_differ_between_train_and_val(refused, tmp_path):
    write_images(tmp_path / "train", ("cat", "dog"), 4)
    write_images(tmp_path / "val", ("cat", "fox"), 4)
    err = refused("train", "--data", tmp_path)
    assert "fox" in err and "dog" in err


def test_a_table_without_labels(refused, tmp_path):
    write_images(tmp_path / "images", num=2)
    table = tmp_path / "labels.csv"
    table.write_text("file,width\nimages/red disc/00.png,64\n")
    assert "label" in refused("train", "--data", table)


def test_a_table_of_missing_files(refused, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nhere.png,a\nthere.png,b\n")
    assert "no such file: rows 2 and 3" in refused("train", "--data", table)


def test_images_of_more_bands_than_colours(refused, tmp_path):
    for name in ("crop", "water"):
        for number in range(6):
            path = tmp_path / "fields" / name / f"{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.zeros((20, 20, 13), np.uint16), photometric="minisblack", planarconfig="contig")
    err = refused("train", "--data", tmp_path / "fields")
    assert "12 images have 13 bands. Choose which three are red, green and blue" in err and "--set data.bands=[4,3,2]" in err
    assert "Give three band numbers" in refused("train", "--data", tmp_path / "fields", "--set", "data.bands=[4,3]")
    assert "band 14 is chosen. Choose three of 13" in refused("train", "--data", tmp_path / "fields", "--set", "data.bands=[14,3,2]")


def test_a_batch_larger_than_the_data(refused, images):
    err = refused("train", "--data", images, "--set", "training.batch_size=4096")
    assert "4,096" in err and "Try 32" in err


def test_a_gpu_that_is_not_there(refused, images):
    err = refused("train", "--data", images, "--set", "training.device=cuda")
    assert "training.device: " in err and "Set the device to cpu" in err


def test_resuming_on_a_gpu_that_is_gone(refused, studio_home):
    create_run(studio_home / "runs", Experiment().changed({"training.device": "cuda"}))
    assert "was begun on “cuda”" in refused("train", "--resume", "last")


def test_an_unknown_setting_and_a_value_out_of_range(refused, images):
    assert "schedule.epoch" in refused("train", "--data", images, "--set", "schedule.epoch=3")
    assert "at least 1" in refused("train", "--data", images, "--set", "schedule.epochs=0")
    assert "section.field=value" in refused("train", "--data", images, "--set", "epochs")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("schedule.epoch", "schedule.epochs"), ("epochs", "schedule.epochs"), ("schedule.batch_size", "training.batch_size")],
)
def test_a_setting_that_is_nearly_right_is_named(refused, images, written, meant):
    assert f"Did you mean {meant}?" in refused("train", "--data", images, "--set", f"{written}=3")
    assert f"Did you mean {meant}?" in refused("sweep", "--data", images, "--over", f"{written}=3,4")


def test_a_setting_like_no_other_is_not_guessed_at(refused, images):
    assert "Did you mean" not in refused("train", "--data", images, "--set", "schedule.zzz=3")


def test_misspelt_lines_of_an_experiment_file_are_told_what_was_meant(refused, images, tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(f'[data]\nsource = "{images}"\n[schedule]\npeek_lr = 1\n[trainng]\nseed = 0\n')
    err = refused("train", file)
    assert "Did you mean schedule.peak_lr? (experiment.toml, line 4)" in err and "Did you mean training? (experiment.toml, line 5)" in err


def test_all_problems_of_an_experiment_file_at_once_with_their_lines(refused, images, tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(f'[data]\nsource = "{images}"\n\n[schedule]\nepochs = -1\nspeed = 3\n\n[training]\nbatch_size = "many"\n')
    err = refused("train", file)
    assert "schedule.epochs" in err and "line 5" in err
    assert "schedule.speed" in err and "line 6" in err
    assert "training.batch_size" in err and "line 9" in err
    assert len(err.splitlines()) == 3


def test_a_transform_that_there_is_not_and_a_parameter_that_cannot_be(refused, images):
    asked = ["train", "--data", images, "--set", "augment.preset=custom", "--set"]
    assert "augment.transforms.0" in (err := refused(*asked, 'augment.transforms=[{name="Blurr"}]')) and "Did you mean Blur" in err
    assert "Exchange the two" in refused(*asked, 'augment.transforms=[{name="Blur", params={blur_limit=[9, 3]}}]')
    assert "cannot be made" in refused(*asked, 'augment.transforms=[{name="PadIfNeeded", params={pad_height_divisor=8}}]')


def test_a_file_that_is_no_experiment(refused, tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text("[data\n")
    assert "not valid TOML" in refused("train", file)


def test_problems_of_device_and_data_come_together(refused, tmp_path):
    err = refused("train", "--data", tmp_path, "--set", "training.device=cuda:7")
    assert "training.device" in err and "data.source" in err


def test_a_weights_file_of_another_architecture(refused, images, tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"layer1.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    err = refused("train", "--data", images, "--set", f"model.weights_file={tmp_path / 'other.safetensors'}")
    assert "holds another network" in err and "Choose the backbone" in err


class Bomb:
    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


def test_a_pickle_with_code_is_refused_and_nothing_in_it_runs(refused, images, tmp_path):
    target = tmp_path / "executed"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Bomb(target)))
    err = refused("train", "--data", images, "--set", f"model.weights_file={tmp_path / 'evil.pth'}")
    assert not target.exists()
    assert "evil.pth" in err


def test_an_unknown_backbone_names_those_that_are_near(refused, images):
    err = refused("train", "--data", images, "--set", "model.source=torchvision", "--set", "model.backbone=resnet19")
    assert "resnet18" in err


def test_a_backbone_of_another_source_names_that_source(refused, images):
    err = refused("train", "--data", images, "--set", "model.backbone=resnet18")
    assert "Bundled has no backbone “resnet18”" in err and "torchvision and timm have it" in err and "--set model.source=torchvision" in err


def test_an_unknown_run(refused):
    assert "There is no run" in refused("predict", "calm-otter", "x.png")
    assert "There is no run" in refused("train", "--resume", "calm-otter")


@pytest.mark.parametrize("name", ["shut/run", "x" * 300])
def test_a_run_that_cannot_be_looked_at_is_an_unknown_one(name, capsys, open_folder, as_ordinary_user):
    (open_folder / "shut").mkdir(mode=0)
    with as_ordinary_user:
        assert cli.main(["tell", str(open_folder / name), "pause"]) == 2
    assert "Error: There is no run" in capsys.readouterr().err


def test_resume_takes_no_other_settings(refused, images):
    assert "Start a new run" in refused("train", "--resume", "last", "--data", images)


def test_init_does_not_write_over_a_file(refused, images, tmp_path):
    (tmp_path / "experiment.toml").write_text("mine")
    assert "--force" in refused("init", "--data", images, "-o", tmp_path / "experiment.toml")


def test_an_unknown_option_or_command_says_where_help_is(refused, capsys):
    assert "studio train --help" in refused("train", "--fast")
    assert "--set training.batch_size=VALUE" in refused("train", "--data", "x", "--batch-size", "8")
    assert cli.main(["trian"]) == 2
    assert "train" in capsys.readouterr().err


def test_bad_input_with_json_ends_with_one_line_of_json(capsys, tmp_path):
    import json

    assert cli.main(["train", "--data", str(tmp_path), "--json"]) == 2
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["status"] == "bad input" and found["problems"][0]["field"] == "data.source"


def test_a_read_only_place_for_runs_is_bad_input(capsys, images, tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    assert cli.main(["train", "--data", str(images), "--runs", str(tmp_path / "runs")]) == 2
    assert "Choose another place" in capsys.readouterr().err


def test_names_that_are_not_utf8_and_names_with_html_are_fine(capsys, tmp_path):
    root = write_images(tmp_path / "data", ("a", "b"), 10)
    os.rename(root / "a", os.path.join(os.fsencode(root), b"caf\xe9"))
    os.rename(root / "b", root / "<b>bold")
    assert cli.main(["init", "--data", str(root), "-o", str(tmp_path / "e.toml")]) == 0
    assert "2 classes, 20 images" in capsys.readouterr().out
    shutil.rmtree(os.fsencode(root))
