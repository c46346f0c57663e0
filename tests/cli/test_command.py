"""What does not need torch: help, settings, experiment files, streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from studio import cli
from studio.command.chosen import parse_settings
from studio.command.follow import _Screen, start_and_follow
from studio.command.train import planned
from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.experiment_file import read_experiment
from studio.core.fold import RunState, fold
from studio.core.problem import BadInput
from studio.core.run_folder import create_run
from tests.cli.conftest import studio, write_images


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"studio {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"studio {name}" in out for name in cli.COMMANDS)


def test_settings_are_toml_or_plain_text():
    found = parse_settings(
        [
            "schedule.epochs=3",
            "schedule.peak_lr=1e-3",
            "training.device=cuda:0",
            "augment.horizontal_flip=false",
            'name="7"',
            "name=7",
            "data.left_out=['a.png']",
        ]
    )
    assert found == {
        "schedule.epochs": 3,
        "schedule.peak_lr": 1e-3,
        "training.device": "cuda:0",
        "augment.horizontal_flip": False,
        "name": "7",
        "data.left_out": ["a.png"],
    }


def test_a_setting_without_a_value_is_refused():
    with pytest.raises(BadInput, match="section.field=value"):
        parse_settings(["schedule.epochs"])


def test_init_writes_the_defaults_and_train_reads_them_back(images, tmp_path, capsys):
    file = tmp_path / "experiment.toml"
    assert cli.main(["init", "--data", str(images), "-o", str(file), "--set", "schedule.epochs=3"]) == 0
    raw = tomllib.loads(file.read_text())
    assert raw["data"]["source"] == str(images)
    assert "# " in file.read_text()
    expected = Experiment().changed({"data.source": str(images), "schedule.epochs": 3, "name": "shapes"})
    assert planned(file, None, []) == expected
    capsys.readouterr()
    assert cli.main(["init", "--data", str(images), "-o", str(tmp_path / "second.toml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["status"] == "done" and told["experiment"] == str(tmp_path / "second.toml") and told["images"] > told["classes"] > 1


def test_settings_win_over_the_file_and_data_over_its_source(images, tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text('name = "mine"\n[data]\nsource = "relative"\n[schedule]\nepochs = 5\n')
    assert planned(file, None, []).data.source == str(tmp_path / "relative")
    found = planned(file, str(images), ["schedule.epochs=7"])
    assert (found.data.source, found.schedule.epochs, found.name) == (str(images), 7, "mine")


def test_init_can_print_instead(images, capsys):
    assert cli.main(["init", "--data", str(images), "-o", "-"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["schedule"]["epochs"] == Experiment().schedule.epochs


def test_the_command_line_starts_without_any_heavy_module(tmp_path):
    code = (
        "import sys; from studio import cli; cli.main(['runs']); "
        "bad = [m for m in ('torch', 'torchvision', 'timm', 'albumentations', 'cv2', 'PySide6', 'sklearn') if m in sys.modules]; sys.exit(str(bad) if bad else 0)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_sample_command_prints_the_folder_it_prepared(studio_home):
    done = studio("sample", "digits-small", home=studio_home)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert len(list(folder.rglob("*.png"))) == 200


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "> /dev/full"])
def test_closed_and_full_streams_are_no_error(streams, studio_home):
    command = f'"{sys.executable}" -m studio runs {streams}'
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_names_are_printed_safely_where_the_terminal_knows_ascii_only(tmp_path, studio_home):
    from tests.cli.conftest import write_images

    root = write_images(tmp_path / "größe", num=5)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "studio", "init", "--data", str(root), "-o", "-"], env=env, capture_output=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert rb"gr\xf6\xdfe" in done.stdout


def test_the_unexpected_becomes_a_sentence_and_its_trace_goes_to_a_file(monkeypatch, capsys, studio_home):
    import studio.command.runs as runs

    monkeypatch.setattr(runs, "read_digests", lambda *_, **__: 1 / 0)
    assert cli.main(["runs"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and "Traceback" not in err
    assert "Traceback" in (studio_home / "state" / "logs" / "command-line.log").read_text()


def test_a_training_process_that_dies_before_its_first_word_is_said(tmp_path, capsys):
    class Killed:
        def poll(self) -> int:
            return -9

    folder = create_run(tmp_path, Experiment())
    assert start_and_follow(folder, lambda folder, resume: Killed(), resume=False, wants_json=True) == cli.FAILED
    out, err = capsys.readouterr()
    assert "SIGKILL" in err and str(folder.log_path) in err
    assert json.loads(out.splitlines()[-1])["status"] == "failed"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_the_window_without_a_display_is_a_sentence(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    done = studio(home=tmp_path)
    assert done.returncode == 1 and "no display" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_before_a_run_begins_still_ends_with_json(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("studio.dataset.scan.scan", interrupted)
    assert cli.main(["train", "--data", str(tmp_path), "--json"]) == cli.STOPPED
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "stopped"


def test_init_refuses_images_that_no_run_can_use_and_writes_nothing(tmp_path, capsys):
    write_images(tmp_path / "data", ("only",), 3)
    assert cli.main(["init", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "e.toml")]) == cli.BAD_INPUT
    assert "only one class" in (err := capsys.readouterr().err) and "Batch size" not in err
    assert not (tmp_path / "e.toml").exists()


def test_few_images_take_a_smaller_batch_unless_one_was_chosen(tmp_path, capsys):
    write_images(tmp_path / "data", ("a", "b"), 10)
    assert cli.main(["init", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "e.toml")]) == cli.DONE
    assert read_experiment(tmp_path / "e.toml").training.batch_size == 16
    chosen = ["--set", "training.batch_size=64", "--runs", str(tmp_path / "runs")]
    assert cli.main(["train", "--data", str(tmp_path / "data"), *chosen]) == cli.BAD_INPUT
    assert "Batch size 64 is larger" in capsys.readouterr().err and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("option", "value", "words"), [("--top", "-1", "1 or more"), ("--threshold", "9", "from 0 to 1")])
def test_predict_refuses_numbers_that_mean_nothing(option, value, words, capsys):
    assert cli.main(["predict", "last", "picture.png", option, value]) == cli.BAD_INPUT
    assert words in capsys.readouterr().err


def test_a_run_that_waits_for_a_full_disk_says_so_and_what_to_do(capsys):
    happened = (
        ev.WarningRaised(code="disk-full", sentence="The disk with /runs is full; the run waits.", fix="Free some space."),
        ev.PauseChanged(is_paused=True, step=1040, reason="disk full"),
        ev.PauseChanged(is_paused=False, step=1040),
    )
    with _Screen() as screen:
        screen.show(list(happened), fold(RunState(), happened))
    assert capsys.readouterr().out.splitlines() == [
        "Warning: The disk with /runs is full; the run waits. Free some space.", "Paused: disk full, safe at step 1,040", "Going on",
    ]  # fmt: skip


def test_a_validation_loss_that_is_not_finite_is_told_like_any_other(capsys):
    """As after an overflow in half precision, which some images alone may meet."""
    scores = {"validation_top1": 0.5, "validation_top5": 1.0, "macro_f1": 0.5, "class_recalls": (1.0, 0.0)}
    epoch = ev.EpochFinished(
        epoch=0, step=6, train_loss=0.7, train_top1=0.5, validation_loss=float("inf"), is_best=True, seconds=2.0, **scores
    )
    happened = (ev.decode(ev.encode(epoch)),)
    with _Screen() as screen:
        screen.show(list(happened), fold(RunState(), happened))
    assert capsys.readouterr().out.strip() == "Epoch 1: loss 0.700, validation loss not finite, top-1 50.0%, 2.0 s  best so far"
