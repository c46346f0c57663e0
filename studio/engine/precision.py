"""Number format and memory layout: measured on this device with this network, never guessed.

The same choice is three times faster on one processor and twelve times slower on another (bf16 with and without matrix units), so
each candidate runs one small forward and backward pass. The verdict is kept, so that the next run starts at once.
"""

from __future__ import annotations

import contextlib
import copy
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from studio.core.experiment import Experiment
from studio.core.problem import BadInput, error
from studio.engine.depthwise import depthwise_layers, fast_backward, use_fast_backward
from studio.engine.device import device_key, synchronise
from studio.engine.network import Network
from studio.engine.verdict import remember, remembered

PROBE_BATCH = {"cpu": 4, "cuda": 32, "mps": 8}  # a GPU is not kept busy by less
PROBE_SECONDS = 1.2  # for all candidates together; a network that takes four times as long for its first passes is judged by them
VERDICTS = "precision-4"
HOPELESS = 5.0  # times the fastest: no other backward pass makes up for that
NEVER_BELOW = 0.98  # of the speed of a plain loop
MARGIN = 0.9  # within ten per cent of the fastest the earlier candidate wins, so that noise on a busy machine does not decide
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    name: str  # "fp32", "bf16" or "fp16"
    channels_last: bool
    fast_depthwise: bool = False  # studio.engine.depthwise computes the gradients of depthwise convolutions

    def place(self, module: nn.Module, device: torch.device) -> None:
        """Bring a module that is to train to the device and into this form."""
        module.to(device, memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)
        if self.fast_depthwise:
            use_fast_backward(module)

    def autocast(self, device: torch.device):
        """The context that forward passes run in."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=_DTYPES[self.name])

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Keeps fp16 gradients from vanishing; passes everything through in other precisions."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")


def candidates(asked: str, device: torch.device) -> list[Precision]:
    """What is worth trying on this device. Raises BadInput for a format the device does not have."""
    if device.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        if asked == "bf16" and not has_bf16:
            raise BadInput(error("training.precision", "This GPU does not compute in bf16. Set the precision to auto or fp16."))
        names = [asked] if asked != "auto" else ["bf16" if has_bf16 else "fp16", "fp32"]
        return [Precision(n, layout) for n in names for layout in (True, False)]
    if asked == "fp16" and device.type == "cpu":
        raise BadInput(error("training.precision", "fp16 needs a GPU. Set the precision to auto, fp32 or bf16."))
    if device.type == "mps":
        return [Precision("fp32" if asked == "auto" else asked, False)]
    everything = [Precision("fp32", True), Precision("fp32", False), Precision("bf16", True)]
    return [p for p in everything if asked in ("auto", p.name)]


def choose_precision(network: Network, experiment: Experiment, device: torch.device) -> Precision:
    """The fastest candidate. Changes no weight, no statistic and no random state."""
    options = candidates(experiment.training.precision, device)
    if device.type == "cpu" and depthwise_layers(network.module):
        options += [replace(option, fast_depthwise=True) for option in options if option.channels_last]
    if len(options) == 1:
        return options[0]
    key = trial_key(network, experiment, device)
    kept = remembered(VERDICTS, key)
    if isinstance(kept, dict) and set(kept) == {"name", "channels_last", "fast_depthwise"} and Precision(**kept) in options:
        return Precision(**kept)
    verdict = judge(options, _measured(network, options, experiment, device))
    remember(VERDICTS, key, asdict(verdict))
    return verdict


def trial_key(network: Network, experiment: Experiment, device: torch.device) -> str:
    """What the outcome of a trial with this network depends on."""
    model = experiment.model
    frozen = f"{sum(network.is_frozen)} frozen" + (f", cut after {model.cut}" if model.cut else "")
    return " | ".join([model.source, model.backbone, frozen, f"{model.input_size} px", experiment.training.precision, device_key(device)])


def judge(options: list[Precision], times: dict[Precision, float]) -> Precision:
    """The first within the margin of the fastest that is not slower than the plain loop, which is float32 with channels first."""
    most = min(times.values()) / MARGIN
    plain = times.get(Precision("fp32", False))
    if plain is not None:
        most = min(most, max(plain / NEVER_BELOW, min(times.values())))
    return next(option for option in options if times[option] <= most)


def _measured(network: Network, options: list[Precision], experiment: Experiment, device: torch.device) -> dict[Precision, float]:
    """As `measure`, with fewer images where those of a trial do not fit into the memory of a GPU."""
    count = min(PROBE_BATCH[device.type], max(4, experiment.training.batch_size))
    while True:
        try:
            return measure(network, options, experiment.model.input_size, device, count)
        except torch.OutOfMemoryError:
            if count <= 2:
                raise
        count //= 2
        torch.cuda.empty_cache()


def measure(
    network: Network, options: list[Precision], input_size: int, device: torch.device, num_images: int = 0
) -> dict[Precision, float]:
    """Seconds of one forward and backward pass of a small batch, per candidate."""
    trial = replace(network, module=copy.deepcopy(network.module).to(device))
    trial.train_mode()
    times: dict[Precision, float] = {}
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        images = torch.rand(num_images or PROBE_BATCH[device.type], 3, input_size, input_size, device=device)
        start = time.perf_counter()
        first: dict[Precision, float] = {}
        for option in options:  # also prepares the kernels
            without = first.get(replace(option, fast_depthwise=False))
            is_hopeless = option.fast_depthwise and without is not None and without > HOPELESS * min(first.values())
            first[option] = float("inf") if is_hopeless else _pass_seconds(trial.module, images, option, device)
        options = [option for option in options if first[option] < float("inf")]
        if device.type == "cuda":
            start = time.perf_counter()  # the first passes tried out kernels: they say nothing
            first = {option: float("inf") for option in first}
        elif time.perf_counter() - start > 4 * PROBE_SECONDS:
            return first
        while not times or time.perf_counter() - start < PROBE_SECONDS:
            for option in options:  # in turn, so that a busy moment of the machine hits all alike
                seconds = _pass_seconds(trial.module, images, option, device)
                times[option] = min(times.get(option, seconds), seconds)
    return first | times


def _pass_seconds(module: nn.Module, images_NCHW: torch.Tensor, option: Precision, device: torch.device) -> float:
    """On a processor in CPU seconds, over all threads: what neighbours take does not count."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    layout = torch.channels_last if option.channels_last else torch.contiguous_format
    module.to(memory_format=layout)
    images = images_NCHW.contiguous(memory_format=layout)
    with fast_backward(module) if option.fast_depthwise else contextlib.nullcontext():
        synchronise(device)
        start = clock()
        with option.autocast(device):
            logits = module(images)
        logits.float().logsumexp(1).mean().backward()
        synchronise(device)
        seconds = clock() - start
    module.zero_grad(set_to_none=True)
    return seconds
