"""`studio find-rate` prints what the range test suggests; it makes no run and writes nothing beside the images."""

from __future__ import annotations

import pytest

from studio import cli
from studio.core.rate_test import RULES
from tests.cli.conftest import QUICK, last_json, snapshot, studio


@pytest.fixture(scope="module")
def found(tmp_path_factory, images):
    home = tmp_path_factory.mktemp("home")
    before = snapshot(images)
    network = ["--set=model.source=timm", "--set=model.backbone=test_resnet", "--set=model.pretrained=false", "--set=model.train_stages=-1"]
    done = studio("find-rate", "--data", images, "--json", *QUICK, *network, "--steps", "60", home=home)
    return home, done, before == snapshot(images)


def test_three_suggestions_with_their_rules_are_printed(found):
    _, done, _ = found
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    for rule in RULES:
        line = next(line for line in lines if line.startswith(rule.title))
        assert rule.words in line and f"{last_json(done)['suggestions'][rule.key]:g}" in line
    assert "60 steps of 8 images" in lines[0]
    assert f"schedule.peak_lr={last_json(done)['best']:g}" in done.stdout


def test_the_json_holds_the_curve(found):
    result = last_json(found[1])
    assert result["status"] == "done" and set(result["suggestions"]) == {rule.key for rule in RULES}
    assert len(result["rates"]) == len(result["losses"]) == len(result["smoothed"]) >= 12


def test_no_run_is_made_and_the_images_are_left_alone(found):
    home, _, is_untouched = found
    assert is_untouched and not list(home.glob("**/journal.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Nothing to train on"),
        (["--data", "."], ""),
        (["--data", "images", "--steps", "3"], "3 steps make no curve"),
        (["--data", "images", "--set", "optimiser.kind=newton"], "newton"),
        (["--data", "images", "--set", "training.batch_size=5000"], "Batch size 5,000"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(arguments, words, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = cli.main(["find-rate", *[str(images) if a == "images" else a for a in arguments]])
    error = capsys.readouterr().err
    assert code == 2 and error and words in error and "Traceback" not in error
