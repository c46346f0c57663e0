"""`studio sweep`: what it would train, what it refuses, and two real runs side by side."""

from __future__ import annotations

import json

from studio import cli
from studio.core.run_folder import find_runs


def test_a_dry_run_lists_every_run_and_leaves_nothing(capsys, images, studio_home):
    args = ["sweep", "--data", str(images), "--over", "schedule.peak_lr=1e-4,1e-3", "--over", "schedule.epochs=1,2", "--dry-run"]
    assert cli.main([*args, "--json"]) == 0
    out = capsys.readouterr().out
    planned = json.loads(out.splitlines()[-1])
    assert planned["status"] == "planned" and planned["runs"][3]["name"].endswith("Peak learning rate 0.001, Epochs 2")
    assert "1 of 4" in out and "4 of 4" in out and "Peak learning rate 0.001, Epochs 2" in out
    assert find_runs(studio_home / "runs") == []


def test_values_that_cannot_be_are_refused_before_anything_is_written(capsys, images, studio_home):
    assert cli.main(["sweep", "--data", str(images), "--over", "schedule.epochs=0,1"]) == 2
    assert "at least 1" in capsys.readouterr().err
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
