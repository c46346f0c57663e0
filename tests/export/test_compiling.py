"""A compiled network for long passes: the same answers, kept for the next pass; a pass never fails for want of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from studio.core.experiment import Data
from studio.core.path_text import path_to_text
from studio.core.place import cache_dir
from studio.dataset.dataset import Cancelled, Dataset
from studio.engine import compiling
from studio.engine.compiling import Compiling, Wanted, compiling_for
from studio.engine.fast_pass import FastPass
from studio.engine.network import load_trained
from studio.engine.score_run import score_run
from studio.engine.verdict import remember
from tests.export.conftest import make_run


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("tiny"), "timm", "test_resnet", is_pretrained=False)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AOT_INDUCTOR_COMPILE_WRAPPER_OPT_LEVEL", "O0")  # what calls the kernels, and takes most of the compiler's time


def test_a_compiled_network_gives_the_same_answers_and_the_next_pass_begins_with_it(tiny_run, monkeypatch):
    monkeypatch.setattr(compiling, "LEAST_GAIN", 0.0)  # taken whatever it gains: a network this small is all overhead
    dataset = Dataset.from_json(tiny_run.dataset_path.read_bytes())
    data = Data(source=dataset.root, relabelled={s.id: s.label for s in dataset.samples})
    plain = score_run(tiny_run, data, device="cpu", compile_="off")
    seen = []
    compiled = score_run(tiny_run, data, device="cpu", compile_="on", progress=lambda *words: seen.append(words))
    assert (plain["speed"]["form"], compiled["speed"]["form"]) == ("as it is", "compiled")
    assert "It was compiled in" in compiled["speed"]["compiled"] and seen[-1][2] == "Scoring"
    assert any("Compiling" in what for _, _, what in seen)
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-4) and compiled["confusion"] == plain["confusion"]
    assert [path.suffix for path in (cache_dir() / "compiled").iterdir()] == [".pt2"]  # and nothing else stays behind
    monkeypatch.setattr(compiling.subprocess, "Popen", None)
    trained = load_trained(tiny_run)
    fast = FastPass(trained.module, torch.device("cpu"), trained.input_size, is_long=True)
    again = compiling_for(tiny_run, "best", trained, fast, 9, "auto")
    assert fast.name == "compiled" and again.gain > 0
    images = torch.randn(fast.chunk + 3, 3, 64, 64)  # those left over go the ordinary way
    with torch.inference_mode():
        torch.testing.assert_close(fast(images), trained.module(images), rtol=1e-3, atol=1e-3)


def wanted_for(folder, **values) -> Wanted:
    asked = Wanted(path_to_text(folder.path), "best", "tiny", "0" * 64, "cpu", "this computer", 1, 4, "fp32")
    return replace(asked, **values)


@pytest.fixture
def fast(tiny_run):
    trained = load_trained(tiny_run)
    return FastPass(trained.module, torch.device("cpu"), trained.input_size, is_long=False)


def test_a_failed_compilation_is_said_in_a_sentence_and_stops_nothing(tiny_run, fast, monkeypatch):
    begun = Compiling(fast, wanted_for(tiny_run, run=path_to_text(tiny_run.path / "gone")), "on", 1.0)
    begun.wait_if_forced(None, None)
    assert begun.sentence.startswith("The network could not be compiled and runs as before: ") and fast.name == "as it is"
    broken = wanted_for(tiny_run).path
    broken.write_bytes(b"no library")
    with contextlib.closing(Compiling(fast, wanted_for(tiny_run), "auto", 1.0)) as begun:
        assert "could not be used" in begun.sentence and not broken.exists()


def test_cancelling_or_the_end_of_the_pass_ends_the_compiler(tiny_run, fast):
    with pytest.raises(Cancelled), contextlib.closing(Compiling(fast, wanted_for(tiny_run), "on", 1.0)) as begun:
        process = begun._process
        begun.wait_if_forced(None, lambda: True)
    assert process.poll() is not None and begun.sentence == "The pass was over before the network was compiled."
    assert list((cache_dir() / "compiled").iterdir()) == []


def test_only_long_passes_are_compiled_for_and_only_where_that_gained_something_before(tiny_run, fast, monkeypatch):
    asked = wanted_for(tiny_run)
    assert not Compiling(fast, asked, "auto", compiling.WORTH_S - 1).is_running
    remember(compiling.VERDICTS, asked.key, {"gain": 1.02})
    short = Compiling(fast, asked, "auto", compiling.WORTH_S)
    assert not short.is_running and "1.02 times" in short.sentence
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    missing = Compiling(fast, asked, "on", 1.0)
    assert not missing.is_running and missing.sentence == "Not compiled: that needs a C++ compiler, which is not installed."


def test_the_compiler_ends_with_the_process_that_wants_its_library(tiny_run, tmp_path):
    scratch = tmp_path / "work-1"
    scratch.mkdir()
    command = [sys.executable, "-m", "studio.engine.compiling", json.dumps(asdict(wanted_for(tiny_run))), str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        process.stdin.close()
        assert process.wait(60) != 0
    assert not scratch.exists()
