"""The methods of the finder worker, in a process of its own: a learning-rate range test, and a sweep of peaks for the head.

They train, so their memory must come back, and their random draws must not mix with those of other work.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from studio.core.experiment import Experiment, parse_experiment
from studio.core.head_sweep import peaks_around
from studio.dataset.dataset import Dataset
from studio.engine.worker.service import Call, Method


def find_rate(call: Call, experiment: dict[str, Any], dataset: str) -> dict[str, Any]:
    """{"test": JSON text of core.rate_test.RateTest}. `dataset` is a file as Dataset.to_json writes it.

    The curve comes ahead in parts: {"first": index, "rates": [...], "losses": [...]}.
    """
    asked, images = _read(call, experiment, dataset)
    from studio.engine.rate_test import find_rate as found

    test = found(
        asked,
        images,
        call.progress,
        lambda first, rates, losses: call.part({"first": first, "rates": rates, "losses": losses}),
    )
    return {"test": test.to_json().decode()}


def sweep_head(call: Call, experiment: dict[str, Any], dataset: str) -> dict[str, Any]:
    """{"sweep": JSON text of core.head_sweep.HeadSweep}. `dataset` as above."""
    asked, images = _read(call, experiment, dataset)
    from studio.engine.head_sweep import sweep_head as swept

    with tempfile.TemporaryDirectory() as scratch:
        found = swept(asked, images, peaks_around(asked.schedule.peak_lr), Path(scratch), call.progress)
    return {"sweep": found.to_json().decode()}


def _read(call: Call, experiment: dict[str, Any], dataset: str) -> tuple[Experiment, Dataset]:
    """What is asked for, with torch loaded and set up for it."""
    call.progress(0, None, "Loading torch")
    from studio.engine.main import be_a_good_neighbour, set_up_torch
    from studio.engine.no_compiler import load_torch

    be_a_good_neighbour()
    torch = load_torch()
    asked = parse_experiment(experiment)
    set_up_torch(torch, asked)
    with open(dataset, "rb") as file:
        return asked, Dataset.from_json(file.read())


METHODS = {"find_rate": Method(find_rate, "long"), "sweep_head": Method(sweep_head, "long")}
