"""The whole road without a window: train, evaluate, predict, export, list, stop and resume, each in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio import cli
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder, find_runs
from studio.supervise.engine import wait_for_end
from tests.cli.conftest import QUICK, last_json, opened_terminal, snapshot, write_images


def test_training_ends_with_one_line_of_json_about_the_run(trained):
    home, done = trained
    found = last_json(done)
    assert found["status"] == "finished"
    assert Path(found["run"]).parent == home / "runs"
    assert (found["epochs"], found["best_epoch"] in (1, 2)) == (2, True)
    assert 0 <= found["top1"] <= 1 and found["top5"] is None  # of two classes
    assert found["loss"] > 0 and found["images_per_s"] > 0 and found["seconds"] > 0
    assert "Epoch 1" in done.stdout and "Epoch 2" in done.stdout


def test_training_never_writes_to_the_images(trained, images):
    assert {p.suffix for p in images.rglob("*") if p.is_file()} == {".png"}
    assert sum(1 for _ in images.rglob("*.png")) == 40


@pytest.fixture
def run_here(trained, monkeypatch, capsys):
    """Run a command in this process, where torch is loaded once: (exit code, output, errors)."""
    monkeypatch.setenv("STUDIO_HOME", str(trained[0]))

    def run(*args) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in args])
        return code, *capsys.readouterr()

    return run


def test_evaluating_on_the_validation_part_gives_the_figures_of_the_run(run_here, trained, images, tmp_path):
    scores = tmp_path / "scores.json"
    scores.write_text("mine")
    asked = ("evaluate", "last", "--data", images, "--part", "validation", "--json", "-o", scores)
    code, _, err = run_here(*asked)
    assert code == 2 and "exists already" in err and "--force" in err and scores.read_text() == "mine"
    code, _, err = run_here(*asked[:-1], tmp_path, "--force")
    assert code == 2 and "is no file" in err
    code, out, err = run_here(*asked, "--force")
    assert json.loads(scores.read_text())["top5"] is None
    found, expected = json.loads(out.splitlines()[-1]), last_json(trained[1])
    assert code == 0, err
    assert found["top1"] == pytest.approx(expected["top1"])
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    assert 0 <= found["ece"] <= 1 and 0 <= found["brier"] <= 2 and f"calibration error {found['ece']:.2%}" in out
    assert "top-1" in out and "top-5" not in out.rpartition("\n{")[0], "of two classes, the right one is always among the best five"


def test_evaluating_says_which_classes_the_run_does_not_know(run_here, tmp_path):
    write_images(tmp_path, ("blue square", "green star"), 3)
    code, out, err = run_here("evaluate", "last", "--data", tmp_path)
    assert code == 0 and "green star" in err and "3 images" in out
    (tmp_path / "blue square").rename(tmp_path / "something else")
    code, _, err = run_here("evaluate", "last", "--data", tmp_path)
    assert code == 2 and "None of the classes" in err


def test_predicting_prints_labels_and_survives_unreadable_and_oddly_named_files(run_here, images, tmp_path):
    shutil.copy(images / "red disc" / "00.png", os.path.join(os.fsencode(tmp_path), b"caf\xe9.png"))
    spaced = shutil.copy(images / "red disc" / "00.png", tmp_path / "at 9\u202fAM \\ noon.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    code, out, err = run_here("predict", "last", tmp_path, images / "blue square" / "01.png", "--json")
    *lines, last = out.splitlines()
    found = json.loads(last)
    assert (found["status"], len(found["predictions"]), found["num_unreadable"]) == ("done", 3, 1)
    assert str(spaced) in [each["path"] for each in found["predictions"]], "a program opens it by the name it is given"
    assert found["unreadable"][0]["path"].endswith("broken.jpg") and found["unreadable"][0]["reason"]
    assert code == 0 and len(lines) == 3
    assert any(r"caf\xE9.png: " in line and "red disc" in line for line in lines)
    assert any(r"at 9\u202FAM" in line for line in lines), "one line for people, without what they cannot see"
    assert re.search(r"01\.png: .*blue square \d+\.\d%", lines[-1])
    assert "broken.jpg cannot be read" in err and "1 of 4 files" in err
    assert re.search(r"Unsure below \d.*this run's \d+ validation images", err)


def test_predictions_as_csv_hold_the_probability_of_every_class(run_here, images):
    _, out, err = run_here("predict", "last", "--csv", "--threshold", "1", images / "red disc")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 20
    for row in rows:
        assert float(row["blue square"]) + float(row["red disc"]) == pytest.approx(1, abs=1e-4)
        assert row["label"] in ("blue square", "red disc") and (row["unsure"] == "yes" or float(row["probability"]) == 1)
    assert "Unsure below 100%: as was asked for." in err


def test_predicting_where_there_are_no_images_is_bad_input(run_here, tmp_path):
    assert "There is no file" in run_here("predict", "last", tmp_path / "x.png")[2]
    code, _, err = run_here("predict", "last", tmp_path)
    assert code == 2 and "no images" in err
    (tmp_path / "x.png").write_bytes(b"no picture")
    assert run_here("predict", "last", tmp_path / "x.png")[0] == 1, "not one could be predicted"


def test_an_export_is_compared_and_not_overwritten_unless_asked(run_here):
    code, out, err = run_here("export", "last", "--format", "safetensors", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0, err
    assert found["max_difference"] < 1e-3 and found["agreement"] == 1 and found["are_real_images"]
    assert (Path(found["folder"]) / "model.safetensors").is_file()
    before = snapshot(Path(found["folder"]))
    code, _, err = run_here("export", "last", "--format", "safetensors")
    assert code == 2 and "exists already" in err and "--force" in err
    assert snapshot(Path(found["folder"])) == before


@pytest.mark.parametrize("given", [("--format", "tflite"), ()])
def test_an_export_in_no_known_format_names_those_there_are(run_here, given):
    code, _, err = run_here("export", "last", *given)
    assert code == 2 and "onnx" in err and "safetensors" in err and "--help" not in err


def test_the_list_of_runs_shows_nickname_status_and_score(run_here, trained):
    nickname = Path(last_json(trained[1])["run"]).name.rpartition("_")[2]
    _, out, _ = run_here("runs")
    assert nickname in out and "finished" in out and "2/2" in out
    found = json.loads(run_here("runs", "--json")[1].splitlines()[-1])
    assert found["status"] == "done" and found["runs"][0]["status"] == "finished" and found["unreadable"] == []


BAR = re.compile(r"\r[^\r\n]*\d+%\|[^\r\n]*\|\s*\d+/\d+ ")  # redrawn in its line, with a share and a count
needs_terminals = pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")


@needs_terminals
@pytest.mark.parametrize("command", [("evaluate", "last", "--data"), ("predict", "last")], ids=lambda c: c[0])
def test_a_bar_is_drawn_on_a_terminal_and_json_still_ends_the_output(command, run_here, images, monkeypatch):
    with opened_terminal() as seen:
        monkeypatch.setattr(sys, "stderr", seen.stream)
        code, out, _ = run_here(*command, images, "--json")
    assert code == 0
    assert BAR.search(seen.text) and "images" in seen.text
    assert json.loads(out.splitlines()[-1])["status"] == "done" and "\r" not in out


@needs_terminals
def test_a_bar_is_drawn_while_a_run_trains_and_is_gone_at_its_end(images, studio_home, monkeypatch):
    small = ["model.source=timm", "model.backbone=test_resnet", "model.pretrained=false", "model.input_size=32", "schedule.epochs=1"]
    with opened_terminal() as seen:
        monkeypatch.setattr(sys, "stderr", seen.stream)
        monkeypatch.setattr(sys, "stdout", seen.stream)
        code = cli.main(["train", "--data", str(images), "--json", *(f"--set={s}" for s in (*small, "training.batch_size=8"))])
    assert code == 0
    assert BAR.search(seen.text) and "steps" in seen.text
    last = seen.text.rstrip("\r\n").rpartition("\n")[2]
    assert json.loads(last)["epochs"] == 1, "the bar does not run into the line that programs read"
    assert re.search(r"^Epoch 1: ", seen.text.replace("\r", "\n"), re.M)


def test_no_bar_is_drawn_where_nobody_sees_one(trained, run_here, images):
    code, out, err = run_here("predict", "last", images / "red disc" / "00.png")
    assert code == 0
    for text in (trained[1].stdout, trained[1].stderr, out, err):
        assert "\r" not in text and "%|" not in text


def test_a_reader_that_goes_away_ends_predicting_quietly(trained, images):
    home, _ = trained
    command = f'"{sys.executable}" -m studio predict last "{images}" --runs "{home / "runs"}" | head -n 1'
    env = os.environ | {"STUDIO_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=400)
    assert len(done.stdout.splitlines()) == 1
    assert "Error" not in done.stderr and "Traceback" not in done.stderr


def start(*args, home: Path) -> subprocess.Popen[str]:
    env = os.environ | {"STUDIO_HOME": str(home), "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "studio", *map(str, args)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    for line in process.stdout:
        if line.startswith(beginning):
            return
    pytest.fail(f"it ended before “{beginning}”: {process.stderr.read()}")


@pytest.mark.usefixtures("no_run_is_left")
def test_ctrl_c_stops_with_a_checkpoint_and_a_resumed_run_outlives_its_terminal(images, studio_home):
    process = start("train", "--data", images, "--json", *QUICK[:-1], "schedule.epochs=10000", home=studio_home)
    wait_for_line(process, "Epoch     1")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    stopped = json.loads(out.splitlines()[-1])
    assert process.returncode == 3, err
    assert stopped["status"] == "stopped" and 1 <= stopped["epochs"] < 10_000
    assert "Stopping" in err and "--resume" in err

    process = start("train", "--resume", "last", home=studio_home)
    wait_for_line(process, "Loading torch")
    process.kill()
    process.communicate()
    folder = find_runs(studio_home / "runs")[-1]
    end = time.monotonic() + 120
    while len((state := folder.read_state()).epochs) == stopped["epochs"]:
        assert time.monotonic() < end and state.status.is_active, state.status
        time.sleep(0.2)
    folder.command("stop")
    assert wait_for_end(folder, 120) and folder.read_state().status is Status.STOPPED


def test_a_finished_run_is_not_resumed(run_here):
    code, _, err = run_here("train", "--resume", "last")
    assert code == 2 and "finished" in err


def test_classes_are_added_to_a_finished_run_and_a_pattern_that_means_nothing_is_refused_first(trained, run_here, tmp_path):
    more = write_images(tmp_path / "shapes", classes=("blue square", "green", "red disc"), num=6)
    start = ["train", "--from", "last", "--data", more, "--json", "--set", "schedule.epochs=1", "--set", "data.validation_fraction=0.4"]
    code, _, err = run_here(*start, "--freeze", "blokcs.*")
    assert code == 2 and "“blokcs.*” matches no layer of this network" in err
    code, out, err = run_here(*start, "--freeze", "blocks.0")
    assert code == 0, err
    run = RunFolder(json.loads(out.splitlines()[-1])["run"])
    try:
        assert "2 classes taken over, 1 new" in out
        assert run.experiment().model.layers == {"backbone.blocks.0": "frozen"}
        assert run.experiment().model.start_run == last_json(trained[1])["run"]
    finally:
        shutil.rmtree(run.path)  # other tests count the runs


def test_the_doctor_says_how_this_computer_stands(run_here):
    code, out, _ = run_here("doctor")
    assert code == 0 and out.splitlines()[-1] == "Ready to train."
    code, out, _ = run_here("doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["status"] == "done" and {"title", "status", "detail", "fix"} <= found["findings"][0].keys()
