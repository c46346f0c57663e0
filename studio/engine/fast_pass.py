"""A network prepared for a long pass in which nothing trains: batch norms folded, and the number format and layout that win on this device.

bf16 answers differ from float32 in the third digit (99.4 % same answers on 1,000 photographs); it is taken only where a trial says that it is
clearly faster, and only where its answers on that trial agree.
"""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

from studio.engine.device import synchronise
from studio.engine.folding import Folding
from studio.engine.precision import Precision, candidates

TRIAL_BATCH = 4
TRIALS = 3
WINS_FROM = 0.8  # of the time of float32 that another format may take to be chosen: it must be worth its rounding
MOST_APART = 0.05  # difference of probabilities on the trial's pictures


class FastPass:
    """Call it with images_NCHW for logits_NC. `module` is what runs; the one given is left as it is. Short passes take it as it is."""

    def __init__(self, module: nn.Module, device: torch.device, input_size: int, *, is_long: bool):
        self.device = device
        self.precision = Precision("fp32", False)
        self.module = module
        if not is_long:
            return
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.inference_mode():
            torch.default_generator.manual_seed(0)
            images = torch.randn(TRIAL_BATCH, 3, input_size, input_size).to(device)
            self.module = Folding(module).fold(module, images) or copy.deepcopy(module).eval()
            options = [Precision("fp32", True), Precision("fp32", False)] if device.type != "mps" else [Precision("fp32", False)]
            halves = [p for p in candidates("auto", device) if p.name != "fp32"]
            self.precision = self._fastest([*options, *halves], images)
            self.module.to(memory_format=_layout(self.precision))

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        with self.precision.autocast(self.device):
            return self.module(images_NCHW.contiguous(memory_format=_layout(self.precision)))

    def _fastest(self, options: list[Precision], images: torch.Tensor) -> Precision:
        times: dict[Precision, float] = {}
        answers: dict[Precision, torch.Tensor] = {}
        for option in options:
            self.module.to(memory_format=_layout(option))
            self.precision = option
            answers[option] = self(images).float().softmax(1)
            for _ in range(TRIALS):
                start = time.perf_counter()
                self(images)
                synchronise(self.device)
                seconds = time.perf_counter() - start
                times[option] = min(seconds, times.get(option, seconds))
                if seconds > 2 * min(times.values()):
                    break  # bf16 without matrix units takes twelve times as long
        exact = min((o for o in options if o.name == "fp32"), key=times.get)
        agreeing = [o for o in options if o.name != "fp32" and (answers[o] - answers[exact]).abs().max() <= MOST_APART]
        best = min([exact, *agreeing], key=times.get)
        return best if times[best] <= WINS_FROM * times[exact] else exact


def _layout(precision: Precision) -> torch.memory_format:
    return torch.channels_last if precision.channels_last else torch.contiguous_format
