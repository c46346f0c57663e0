"""Small runs wait for nothing, and measure once what they measure on a computer. No engine outlives its test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from studio.core.run_folder import RunFolder


@pytest.fixture(scope="package", autouse=True)
def no_waiting():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)  # nothing cuts the power here, and a run waits for the drive forty times
        patch.setattr("studio.engine.precision.PROBE_SECONDS", 0.0)  # which form is faster does not matter here: three rounds will do
        patch.setattr("studio.engine.saving.SAVE_SHARE", 1e9)  # which epochs are saved does not hang on how long saving took here
        yield
    from engine_runs import close_nursery

    close_nursery()


@pytest.fixture(scope="package")
def measured_cache(tmp_path_factory, no_waiting) -> Path:
    """What runs of the small networks measure once on a computer, such as the memory layout: a third of what such a run takes."""
    from engine_runs import small_run, train_here

    home = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(home))
        for backbone, stages in (("test_resnet", -1), ("test_resnet", 1), ("test_resnet", 0), ("test_convnext", -1)):
            values = {"model__backbone": backbone, "model__train_stages": stages, "schedule__epochs": 1, "training__feature_cache": "off"}
            assert train_here(small_run(home / f"{backbone}{stages}", **values)) == 0
    return home / "cache"


@pytest.fixture
def measured(measured_cache, studio_home) -> None:
    """This test is about what comes after the measuring."""
    shutil.copytree(measured_cache, studio_home / "cache")


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory, measured_cache) -> RunFolder:
    """The small run as it is where nothing happens to it: to compare with, not to change."""
    from engine_runs import small_run, train_here

    home = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(measured_cache, home / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(home))
        folder = small_run(home)
        assert train_here(folder) == 0
    return folder


@pytest.fixture(autouse=True)
def no_engine_is_left():
    """One that a failed test left half-way would train on beside the next ones."""
    yield
    from engine_runs import end_started

    end_started()


@pytest.fixture
def bad_step(monkeypatch):
    """From now on the loss of one step is no number while the rate is above a limit."""

    def at(step: int, limit: float = 0.0) -> None:
        from studio.engine import update

        real = update._add_gradient

        def broken(s, batch, num_images):
            labels, losses, logits = real(s, batch, num_images)
            if s.progress.step == step and s.experiment.schedule.peak_lr > limit:
                losses = losses * float("nan")
            return labels, losses, logits

        monkeypatch.setattr(update, "_add_gradient", broken)

    return at
