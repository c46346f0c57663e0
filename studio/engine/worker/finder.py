"""The method of the finder worker: a learning-rate range test, in a process of its own.

It trains, so its memory must come back, and its random draws must not mix with those of other work.
"""

from __future__ import annotations

from typing import Any

from studio.core.experiment import parse_experiment
from studio.dataset.dataset import Dataset
from studio.engine.worker.service import Call, Method


def find_rate(call: Call, experiment: dict[str, Any], dataset: str) -> dict[str, Any]:
    """{"test": JSON text of core.rate_test.RateTest}. `dataset` is a file as Dataset.to_json writes it.

    The curve comes ahead in parts: {"first": index, "rates": [...], "losses": [...]}.
    """
    call.progress(0, None, "Loading torch")
    from studio.engine.main import be_a_good_neighbour, set_up_torch
    from studio.engine.no_compiler import load_torch

    be_a_good_neighbour()
    torch = load_torch()
    from studio.engine.rate_test import find_rate as found

    asked = parse_experiment(experiment)
    set_up_torch(torch, asked)
    with open(dataset, "rb") as file:
        images = Dataset.from_json(file.read())
    test = found(
        asked,
        images,
        call.progress,
        lambda first, rates, losses: call.part({"first": first, "rates": rates, "losses": losses}),
    )
    return {"test": test.to_json().decode()}


METHODS = {"find_rate": Method(find_rate, "long")}
