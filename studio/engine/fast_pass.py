"""A network prepared for a long pass in which nothing trains: batch norms folded, activations fused, and the number format and layout that win
on this device.

Everything is tried beside the network as it is, so that the pass is never slower. bf16 answers differ from float32 in the third digit (99.4 %
same answers on 1,000 photographs); it is taken only where a trial says that it is clearly faster, and only where its answers on that trial agree.
"""

from __future__ import annotations

import copy
import time
from typing import NamedTuple

import torch
from torch import nn

from studio.engine.device import synchronise
from studio.engine.folding import Folding
from studio.engine.precision import Precision, candidates

GPU_BATCH = 32
TRIALS = 3
WINS_FROM = 0.8  # of the time of float32 that another format may take to be chosen: it must be worth its rounding
MOST_APART = 0.05  # difference of probabilities on the trial's pictures


class _Form(NamedTuple):
    module: nn.Module
    precision: Precision
    name: str


class FastPass:
    """Call it with images_NCHW for logits_NC. `module` is what runs; the one given is left as it is. Short passes take it as it is."""

    def __init__(self, module: nn.Module, device: torch.device, input_size: int, *, is_long: bool):
        self.device = device
        self._form = _Form(module, Precision("fp32", False), "as it is")
        self._chunk = 4 * torch.get_num_threads() if device.type == "cpu" else GPU_BATCH
        if not is_long:
            return
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.inference_mode():
            torch.default_generator.manual_seed(0)
            images = torch.randn(self._chunk, 3, input_size, input_size).to(device)
            self._form = self._fastest(_forms(module, device, images), images)

    @property
    def module(self) -> nn.Module:
        return self._form.module

    @property
    def precision(self) -> Precision:
        return self._form.precision

    @property
    def name(self) -> str:
        """What was done to the network, for people."""
        return self._form.name

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        chunks = images_NCHW.split(self._chunk) if self.device.type == "cpu" and self.name != "as it is" else (images_NCHW,)
        return torch.cat([self._run(self._form, chunk) for chunk in chunks])

    def _run(self, form: _Form, images_NCHW: torch.Tensor) -> torch.Tensor:
        with form.precision.autocast(self.device):
            return form.module(images_NCHW.contiguous(memory_format=_layout(form.precision)))

    def _fastest(self, forms: list[_Form], images: torch.Tensor) -> _Form:
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter  # what neighbours take does not count
        answers = [self._run(form, images).float().softmax(1) for form in forms]
        times = [float("inf")] * len(forms)
        for _ in range(TRIALS):
            for number, form in enumerate(forms):
                if times[number] > 2 * min(times) and times[number] < float("inf"):
                    continue  # bf16 without matrix units takes twelve times as long
                start = clock()
                self._run(form, images)
                synchronise(self.device)
                times[number] = min(clock() - start, times[number])
        order = sorted(range(len(forms)), key=times.__getitem__)
        exact = next(i for i in order if forms[i].precision.name == "fp32")
        best = next(i for i in order if i == exact or (answers[i] - answers[exact]).abs().max() <= MOST_APART)
        return forms[best] if times[best] <= WINS_FROM * times[exact] else forms[exact]


def _forms(module: nn.Module, device: torch.device, images: torch.Tensor) -> list[_Form]:
    """What is worth trying; all answer alike but for rounding."""
    last, first = Precision("fp32", True), Precision("fp32", False)
    forms = [_Form(module.eval(), first, "as it is")]
    folded = Folding(module).fold(module, images) or copy.deepcopy(module).eval()
    if device.type == "mps":
        return [*forms, _Form(folded, first, "batch norms folded")]
    in_last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    forms += [_Form(folded, first, "batch norms folded"), _Form(in_last, last, "batch norms folded")]
    fusing = Folding(module, fuses=True)
    fused = fusing.fold(module, images)
    if fused is not None and device.type == "cpu":
        forms.append(_Form(fused, last, "batch norms folded, activations fused"))
    return forms + [_Form(in_last, p, "batch norms folded") for p in candidates("auto", device) if p.name != "fp32" and p.channels_last]


def _layout(precision: Precision) -> torch.memory_format:
    return torch.channels_last if precision.channels_last else torch.contiguous_format
