"""`studio sweep`: what it would train, what it refuses, and two real runs side by side."""

from __future__ import annotations

import json

import pytest

from studio import cli
from studio.core.run_folder import find_runs
from tests.cli.conftest import write_images


def test_a_dry_run_lists_every_run_and_leaves_nothing(capsys, images, studio_home):
    args = ["sweep", "--data", str(images), "--over", "schedule.peak_lr=1e-4,1e-3", "--over", "schedule.epochs=1,2", "--dry-run"]
    assert cli.main([*args, "--json"]) == 0
    out = capsys.readouterr().out
    planned = json.loads(out.splitlines()[-1])
    assert planned["status"] == "planned" and planned["runs"][3]["name"].endswith("Peak learning rate 1e-3, Epochs 2")
    assert "1 of 4" in out and "4 of 4" in out and "Peak learning rate 1e-3, Epochs 2" in out
    assert find_runs(studio_home / "runs") == []


def test_values_that_cannot_be_are_refused_before_anything_is_written(capsys, images, studio_home):
    assert cli.main(["sweep", "--data", str(images), "--over", "schedule.epochs=0,1"]) == 2
    assert "at least 1" in capsys.readouterr().err
    assert find_runs(studio_home / "runs") == []


def test_few_images_take_a_smaller_batch_as_in_train(capsys, tmp_path):
    write_images(tmp_path, ("a", "b"), 10)
    args = ["sweep", "--data", str(tmp_path), "--over", "schedule.peak_lr=1e-4,1e-3", "--dry-run"]
    assert cli.main(args) == 0 and "2 of 2" in capsys.readouterr().out
    assert cli.main([*args, "--set", "training.batch_size=64"]) == 2
    assert "Batch size 64 is larger" in capsys.readouterr().err


def test_ctrl_c_ends_the_sweep_though_its_run_came_to_its_end_and_what_was_done_is_listed(capsys, images, monkeypatch):
    followed = []

    def finish(folder, start, *, on_interrupt, **_):
        followed.append(folder)
        if len(followed) == 2:
            on_interrupt()
        return 0

    monkeypatch.setattr("studio.command.sweep.start_and_follow", finish)
    args = ["sweep", "--data", str(images), "--over", "schedule.epochs=1,2,3", "--json"]
    assert cli.main(args) == 3 and len(followed) == 2
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["status"] == "stopped" and len(found["runs"]) == 2

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("studio.command.sweep.create_run", interrupted)
    assert cli.main(args) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"status": "stopped", "runs": []}


@pytest.mark.parametrize("option", ["--seeds", "--random"])
def test_a_number_of_runs_that_means_none_is_refused(option, capsys, images):
    assert cli.main(["sweep", "--data", str(images), "--over", "schedule.epochs=1..9", option, "0", "--dry-run"]) == 2
    assert "“0” is not a whole number, 1 or more" in capsys.readouterr().err


def test_a_range_without_a_number_of_draws_names_the_option(capsys, images):
    assert cli.main(["sweep", "--data", str(images), "--over", "schedule.epochs=1..9", "--dry-run"]) == 2
    assert "--random N" in capsys.readouterr().err


def test_every_network_is_looked_at_before_the_first_run_begins(capsys, images, studio_home):
    over = "model.backbone=tf_efficientnet_lite0,resnet18"
    assert cli.main(["sweep", "--data", str(images), "--over", over]) == 2
    assert "no backbone “resnet18”" in capsys.readouterr().err
    assert find_runs(studio_home / "runs") == []


def test_runs_follow_one_another_and_are_listed_best_first(capsys, images, studio_home, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settings = ("model.source=timm", "model.backbone=test_resnet", "model.pretrained=false", "model.input_size=32", "schedule.epochs=1")
    sets = [f"--set={s}" for s in (*settings, "training.batch_size=8")]
    assert cli.main(["sweep", "--data", str(images), "--seeds", "2", *sets, "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    lines = [line for line in out if line.startswith("top-1")]
    assert len(lines) == 2 and {"Seed 0", "Seed 1"} == {line.rpartition(" · ")[2] for line in lines}
    figures = [float(line.split()[1].rstrip("%,")) for line in lines]
    assert figures == sorted(figures, reverse=True)
    assert len(find_runs(studio_home / "runs")) == 2
    told = json.loads(out[-1])
    assert told["status"] == "done" and [run["status"] for run in told["runs"]] == ["finished", "finished"]
    assert told["runs"][0]["top1"] >= told["runs"][1]["top1"] and {run["name"].rpartition(" · ")[2] for run in told["runs"]} == {
        "Seed 0",
        "Seed 1",
    }
