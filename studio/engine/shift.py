"""How far images lie from what a pretrained network knows, stage by stage, before anything is trained.

Batch norms have stored the mean and variance of what they saw; the data's own are measured on a sample and compared in units of the
stored standard deviation, as the mean over channels of the layer that is farthest. Units of an activation that give nothing out for any
image are dead; those at the end of a bounded function are saturated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from studio.core.experiment import Model
from studio.engine.freezing import has_statistics
from studio.engine.network import Network

FAR, NEAR = 1.0, 0.5  # sigmas
_BOUNDED = {"ReLU6": (None, 6.0), "Sigmoid": (0.01, 0.99), "Hardsigmoid": (0.0, 1.0), "Tanh": (-0.99, 0.99), "Hardtanh": (None, 1.0)}
_ACTIVATIONS = ("ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Hardswish", "PReLU", *_BOUNDED)
_DEAD = 1e-6


@dataclass
class _Norm:
    """Sums of what one batch norm is given, per channel."""

    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0


@dataclass
class _Layout:
    """Where the layer that ran last has the channels: a convolution before height and width, a linear one behind (Swin, ConvNeXt)."""

    axis: int = 1

    def take(self, axis: int) -> None:
        self.axis = axis


@dataclass
class _Stage:
    norms: dict[str, _Norm] = field(default_factory=dict)
    peaks: dict[tuple[str, int], torch.Tensor] = field(default_factory=dict)  # largest value of every unit so far, by activation and width
    num_saturated: int = 0
    num_bounded: int = 0
    low: float = float("inf")
    high: float = float("-inf")


def measure_shift(network: Network, batches: Iterable[torch.Tensor], model: Model, done: Callable[[int], None]) -> dict[str, Any]:
    """{"sentence", "stages": [{"name", "bn_distance" (sigma) or None, "input_words", "dead_fraction", "saturated_fraction", "sentence",
    "remedies": [{"label", "values"}]}]} of the backbone's stages. `batches` are normalised images_NCHW; `done` gets the number of images."""
    module, stages = network.module.eval(), network.stages[:-1]
    found = [_Stage() for _ in stages]
    layout = _Layout()
    handles = [h for stage, state in zip(stages, found, strict=True) for h in _watch(module, stage.module_names, state, layout)]
    count = 0
    try:
        with torch.inference_mode():
            for images in batches:
                module(images)
                count += len(images)
                done(count)
    finally:
        for handle in handles:
            handle.remove()
    rows = [_row(module, stage.name, state, model) for stage, state in zip(stages, found, strict=True)]
    return {"stages": rows, "sentence": _sentence(rows), "num_images": count}


def _watch(module: nn.Module, names: Iterable[str], state: _Stage, layout: _Layout) -> list:
    handles, is_first = [], True
    for name in names:
        top = module.get_submodule(name)
        if is_first:
            handles.append(top.register_forward_pre_hook(lambda _m, inputs: _range(state, inputs)))
            is_first = False
        for key, part in top.named_modules():
            full = f"{name}.{key}".rstrip(".")
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                axis = 3 if isinstance(part, nn.Linear) else 1
                handles.append(part.register_forward_pre_hook(lambda _m, _i, axis=axis: layout.take(axis)))
            if has_statistics(part):
                handles.append(part.register_forward_pre_hook(lambda _m, inputs, full=full: _sum(state, full, inputs[0])))
            if type(part).__name__ in _ACTIVATIONS:
                handles.append(
                    part.register_forward_hook(lambda m, _i, output, full=full: _activate(state, full, type(m).__name__, output, layout))
                )
    return handles


def _range(state: _Stage, inputs: tuple) -> None:
    if inputs and isinstance(inputs[0], torch.Tensor):
        values = inputs[0].float().flatten()
        values = values[:: max(1, len(values) // 100_000)]
        low, high = torch.quantile(values, torch.tensor([0.005, 0.995])).tolist()
        state.low, state.high = min(state.low, low), max(state.high, high)


def _sum(state: _Stage, name: str, values: torch.Tensor) -> None:
    norm = state.norms.setdefault(name, _Norm())
    axes = [axis for axis in range(values.ndim) if axis != 1]
    norm.count += values.numel() // values.shape[1]
    norm.total = norm.total + values.double().sum(axes)
    norm.squares = norm.squares + values.double().square().sum(axes)


def _activate(state: _Stage, name: str, kind: str, output: torch.Tensor, layout: _Layout) -> None:
    axis = _channel_axis(output.shape, layout)
    peak = output.abs().amax([a for a in range(output.ndim) if a != axis])
    key = name, len(peak)  # torchvision's blocks use one activation behind layers of several widths
    state.peaks[key] = torch.maximum(state.peaks[key], peak) if key in state.peaks else peak
    if kind in _BOUNDED:
        low, high = _BOUNDED[kind]
        at_end = output >= high if low is None else (output >= high) | (output <= low)
        state.num_saturated += int(at_end.sum())
        state.num_bounded += output.numel()


def _channel_axis(shape: torch.Size, layout: _Layout) -> int:
    """Two equal sides are height and width; three say nothing, so the layer before does."""
    if len(shape) == 4 and shape[1] == shape[2] == shape[3]:
        return layout.axis
    return 1 if len(shape) == 4 and shape[1] != shape[2] else len(shape) - 1


def _distance(module: nn.Module, name: str, norm: _Norm) -> float:
    """Mean over channels of |mean of the data - stored mean| in stored standard deviations."""
    part = module.get_submodule(name)
    mean = norm.total / norm.count
    known = part.running_var.double().clamp(min=1e-8).sqrt()
    return float(((mean - part.running_mean.double()).abs() / known).mean())


def _row(module: nn.Module, name: str, state: _Stage, model: Model) -> dict[str, Any]:
    distances = [_distance(module, key, norm) for key, norm in state.norms.items()]
    farthest = max(distances, default=None)
    units = sum(peak.numel() for peak in state.peaks.values())
    dead = sum(int((peak <= _DEAD).sum()) for peak in state.peaks.values())
    words = f"{state.low:.1f} to {state.high:.1f}".replace("-", "−") if state.high >= state.low else ""
    first = next(iter(state.norms), None)
    if words and first:
        part = module.get_submodule(first)
        spread = float((part.running_var.sqrt() * 2).mean())
        words += f", its first norm knows ±{spread:.1f}"
    sentence, remedies = _verdict(name, farthest, model)
    return {
        "name": name,
        "bn_distance": None if farthest is None else round(farthest, 3),
        "input_words": words,
        "dead_fraction": round(dead / units, 4) if units else None,
        "saturated_fraction": round(state.num_saturated / state.num_bounded, 4) if state.num_bounded else None,
        "sentence": sentence,
        "remedies": remedies,
    }


def _verdict(name: str, sigmas: float | None, model: Model) -> tuple[str, list[dict[str, Any]]]:
    if sigmas is None:
        return "", []
    if sigmas < FAR:
        how = "as it knows them" if sigmas < NEAR else f"{sigmas:.1f} sigma from what it knows, which is near enough"
        return f"{name[0].upper()}{name[1:]} sees values {how}.", []
    remedies = [
        {"label": "Adapt its statistics", "values": {"model.batch_norm": model.batch_norm | {name: "adapt"}}},
        {"label": "Train it", "values": {"model.thaw": model.thaw | {name: 0}}},
    ]
    words = f"{name[0].upper()}{name[1:]} sees values {sigmas:.1f} sigma from what it knows: adapt its statistics or train it."
    return words, remedies


def _sentence(rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if row["bn_distance"] is not None]
    if not known:
        return "This network has no batch normalisation, so it stores nothing that the images could be compared with."
    far = [row for row in known if row["bn_distance"] >= FAR]
    if not far:
        return "These images look to the network like those it was trained on."
    worst = max(far, key=lambda row: row["bn_distance"])
    return f"{len(far)} of {len(known)} stages see values far from what they know, {worst['name']} most: {worst['bn_distance']:.1f} sigma."
