"""How long a training step takes here, measured in two seconds on pictures of noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from studio.catalog.backbones import build_model
from studio.catalog.optimisers import build_optimiser
from studio.core.experiment import Experiment
from studio.engine.device import choose_device, device_name, synchronise
from studio.engine.network import Network, frozen_as_asked
from studio.engine.precision import choose_precision

SECONDS = 2.0
LEAST_STEPS = 3
ROUNDS = 3  # of forward passes for the share of every stage
MAX_BATCH = 16  # on the processor: the time per image hardly depends on it, the wait does


def measure_training(experiment: Experiment, num_classes: int, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """{"seconds_per_image", "images_per_s", "batch_size", "device", "device_name", "precision"} of forward, backward and update, and
    "stage_seconds": per stage those of the forward pass of an image.

    Loading images is not in it. `check` is called between steps and may raise. Raises BadInput for a network or device that is not there.
    """
    device = choose_device(experiment.training.device)
    model = experiment.model
    built = build_model(model, num_classes, with_weights=False)
    network = frozen_as_asked(built.module, built.stages, experiment)
    precision = choose_precision(network, experiment, device)
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    precision.place(network.module, device)
    network.train_mode()
    groups, _ = network.parameter_groups(experiment.optimiser.weight_decay)
    optimiser = build_optimiser(experiment.optimiser, groups)
    for group in optimiser.param_groups:
        group["lr"] = 1e-6
    size = experiment.training.batch_size if device.type == "cuda" else min(MAX_BATCH, experiment.training.batch_size)
    size = max(2, size)  # batch norm cannot learn from a single image
    images = torch.rand(size, 3, model.input_size, model.input_size, device=device).to(memory_format=layout)
    labels = torch.zeros(size, dtype=torch.long, device=device)

    def step() -> None:
        check()
        with precision.autocast(device):
            loss = nn.functional.cross_entropy(network.module(images).float(), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(2):  # prepare kernels and memory
        step()
    synchronise(device)
    start, times = time.perf_counter(), []
    while len(times) < LEAST_STEPS or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        step()
        synchronise(device)
        times.append(time.perf_counter() - before)
    seconds = statistics.median_low(times) / size
    with precision.autocast(device):
        stage_seconds = _stage_seconds(network, images, device)
    return {
        "stage_seconds": stage_seconds,
        "seconds_per_image": seconds,
        "images_per_s": 1 / seconds,
        "batch_size": size,
        "device": str(device),
        "device_name": device_name(device),
        "precision": precision.name,
    }


def _stage_seconds(network: Network, images_NCHW: torch.Tensor, device: torch.device) -> list[float]:
    """Per image and stage, the median of three forward passes. A stage's time is that of its outermost modules."""
    owner = {network.module.get_submodule(name): i for i, stage in enumerate(network.stages) for name in stage.module_names}
    rounds: list[list[float]] = []
    started: dict[nn.Module, float] = {}

    def enter(part, _inputs) -> None:
        synchronise(device)
        started[part] = time.perf_counter()

    def leave(part, _inputs, _output) -> None:
        synchronise(device)
        rounds[-1][owner[part]] += time.perf_counter() - started.pop(part)

    handles = [h for part in owner for h in (part.register_forward_pre_hook(enter), part.register_forward_hook(leave))]
    try:
        with torch.no_grad():
            for _ in range(ROUNDS):
                rounds.append([0.0] * len(network.stages))
                network.module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
    return [sorted(seconds)[ROUNDS // 2] / len(images_NCHW) for seconds in zip(*rounds, strict=True)]
