"""A network prepared for a long pass in which nothing trains: batch norms folded, activations fused, and the number format and layout that win
on this device.

Everything is tried beside the network as it is, so that the pass is never slower. bf16 answers differ from float32 in the third digit (99.4 %
same answers on 1,000 photographs); it is taken only where a trial says that it is clearly faster, and only where its answers on that trial agree.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from studio.engine.device import synchronise
from studio.engine.folding import Folding
from studio.engine.precision import Precision, candidates

GPU_BATCH = 32
LONG_PASS = 256  # images from which preparing the network pays: it takes some fifty of them
TRIALS = 3
WINS_FROM = 0.8  # of the time of float32 that another format may take to be chosen: it must be worth its rounding
MOST_APART = 0.05  # difference of probabilities on the trial's pictures


class _Form(NamedTuple):
    module: Callable[[torch.Tensor], torch.Tensor]
    precision: Precision
    name: str
    num_images: int = 0  # that it takes at once, always; 0 for any number


class FastPass:
    """Call it with images_NCHW for logits_NC. `module` is what runs; the one given is left as it is. Short passes take it as it is."""

    def __init__(self, module: nn.Module, device: torch.device, input_size: int, *, is_long: bool):
        self.device, self.is_long = device, is_long
        self._form = _Form(module, Precision("fp32", False), "as it is")
        self._compiled: _Form | None = None
        self.chunk = 4 * torch.get_num_threads() if device.type == "cpu" else GPU_BATCH
        self.image_seconds = 0.0  # of an image in a long pass, as the trial found it
        self.gain = 1.0  # over the network as it is
        if not is_long:
            return
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.inference_mode():
            torch.default_generator.manual_seed(0)
            self._images = torch.randn(self.chunk, 3, input_size, input_size).to(device)
            forms = _forms(module, device, self._images)
            times, answers = self._timed(forms)
            self._form = _chosen(forms, times, answers)
        self.gain = times[0] / (best := times[forms.index(self._form)])
        self.image_seconds = best / self.chunk / (torch.get_num_threads() if device.type == "cpu" else 1)

    @property
    def module(self) -> nn.Module:
        """What runs where nothing is compiled, and for the last images of a pass."""
        return self._form.module

    @property
    def precision(self) -> Precision:
        return self._form.precision

    @property
    def name(self) -> str:
        """What was done to the network, for people."""
        return (self._compiled or self._form).name

    def offer(self, compiled: Callable[[torch.Tensor], torch.Tensor], least_gain: float) -> float:
        """Try a compiled form, for exactly `chunk` channels-last images at once, beside what runs; it runs from now on where it is at least so many
        times as fast and its answers agree. How many times it is; 0 where they do not. Raises what it raises. Only after a long pass was asked for."""
        form = _Form(compiled, Precision("fp32", True), "compiled", self.chunk)
        with torch.inference_mode():
            times, answers = self._timed([self._form, form])
        if not _agree(*answers):
            return 0.0
        gain = times[0] / times[1]
        if gain >= least_gain:
            self._compiled, self.gain, self.image_seconds = form, self.gain * gain, self.image_seconds / gain
        return gain

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        if self._compiled is None and (self.device.type != "cpu" or self.name == "as it is"):
            return self._run(self._form, images_NCHW)
        return torch.cat([self._run(self._form_for(chunk), chunk) for chunk in images_NCHW.split(self.chunk)])

    def _form_for(self, images_NCHW: torch.Tensor) -> _Form:
        return self._compiled if self._compiled and len(images_NCHW) == self._compiled.num_images else self._form

    def _run(self, form: _Form, images_NCHW: torch.Tensor) -> torch.Tensor:
        with form.precision.autocast(self.device):
            return form.module(images_NCHW.contiguous(memory_format=_layout(form.precision)))

    def _timed(self, forms: list[_Form]) -> tuple[list[float], list[torch.Tensor]]:
        """(least seconds, probabilities_NC) of each for the images of the trial."""
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter  # what neighbours take does not count
        answers = [self._run(form, self._images).float().softmax(1) for form in forms]
        times = [float("inf")] * len(forms)
        for _ in range(TRIALS):
            for number, form in enumerate(forms):
                if times[number] > 2 * min(times) and times[number] < float("inf"):
                    continue  # bf16 without matrix units takes twelve times as long
                start = clock()
                self._run(form, self._images)
                synchronise(self.device)
                times[number] = min(clock() - start, times[number])
        return times, answers


def _chosen(forms: list[_Form], times: list[float], answers: list[torch.Tensor]) -> _Form:
    """The fastest in float32, unless another format is clearly faster and agrees with it."""
    order = sorted(range(len(forms)), key=times.__getitem__)
    exact = next(i for i in order if forms[i].precision.name == "fp32")
    best = next(i for i in order if i == exact or _agree(answers[i], answers[exact]))
    return forms[best] if times[best] <= WINS_FROM * times[exact] else forms[exact]


def _agree(some_NC: torch.Tensor, others_NC: torch.Tensor) -> bool:
    return bool((some_NC - others_NC).abs().max() <= MOST_APART)


def _forms(module: nn.Module, device: torch.device, images: torch.Tensor) -> list[_Form]:
    """What is worth trying; all answer alike but for rounding."""
    last, first = Precision("fp32", True), Precision("fp32", False)
    forms = [_Form(module.eval(), first, "as it is")]
    folded = Folding(module).fold(module, images) or copy.deepcopy(module).eval()
    if device.type == "mps":
        return [*forms, _Form(folded, first, "with batch norms folded")]
    in_last = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    forms += [_Form(folded, first, "with batch norms folded"), _Form(in_last, last, "with batch norms folded")]
    fusing = Folding(module, fuses=True)
    fused = fusing.fold(module, images)
    if fused is not None and device.type == "cpu":
        forms.append(_Form(fused, last, "with batch norms folded and activations fused"))
    return forms + [
        _Form(in_last, p, "with batch norms folded") for p in candidates("auto", device) if p.name != "fp32" and p.channels_last
    ]


def _layout(precision: Precision) -> torch.memory_format:
    return torch.channels_last if precision.channels_last else torch.contiguous_format
