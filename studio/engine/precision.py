"""Number format and memory layout: measured on this device with this network, never guessed.

The same choice is three times faster on one processor and twelve times slower on another (bf16 with and without matrix units), so
each candidate runs one small forward and backward pass. The verdict is kept, so that the next run starts at once.
"""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from studio.catalog.augments import cached_views
from studio.core.experiment import Experiment
from studio.core.problem import BadInput, error
from studio.engine.conv_gradients import depthwise_layers, own_gradients, use_own_gradients, wide_layers
from studio.engine.device import device_key, synchronise
from studio.engine.freezing import is_still
from studio.engine.network import Network
from studio.engine.verdict import remember, remembered

PROBE_BATCH = {"cpu": 4, "cuda": 32, "mps": 8}  # a GPU is not kept busy by less
PROBE_SECONDS = 1.2  # for all candidates together
LEAST_ROUNDS = 3  # all the same, unless they would take longer than
MOST_ROUNDS = 9  # while it is not clear whether a candidate is as fast as the plain loop, again unless they would take longer than
MOST_SECONDS = 6.0
VERDICTS = "precision-8"
HOPELESS = 3.0  # times the fastest: nothing else makes up for that
MARGIN = 0.9  # within ten per cent of the fastest the earlier candidate wins, so that noise on a busy machine does not decide
OWN_MARGIN = 0.97  # the same form with our own gradients has to be that much faster: the two differ in nothing else
UNPREPARED_MARGIN = 0.7  # where there was time for the first passes alone, which also prepare kernels
NUM_GLANCES = 3
TIE = 1.02  # times the plain loop: as fast, as far as that can be told
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    name: str  # "fp32", "bf16" or "fp16"
    channels_last: bool
    own_gradients: bool = False  # studio.engine.conv_gradients computes those of convolutions

    def place(self, module: nn.Module, device: torch.device) -> None:
        """Bring a module that is to train to the device and into this form."""
        module.to(device)
        self.lay_out(module)
        if self.own_gradients:
            use_own_gradients(module, wide=self.has_wide)

    @property
    def has_wide(self) -> bool:
        """Whether its own gradients are those of wide layers too; in half precision torch is slow with depthwise ones alone."""
        return self.name == "fp32"

    def lay_out(self, module: nn.Module) -> None:
        """Bring its weights into this order in memory, from whatever order: torch chooses its kernels by that of axes of length one too."""
        module.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)
        if not self.channels_last:
            for weight in module.parameters():
                if weight.ndim == 4 and weight.stride(1) != weight.shape[2] * weight.shape[3]:
                    weight.data = weight.data.clone(memory_format=torch.contiguous_format)

    def autocast(self, device: torch.device):
        """The context that forward passes run in."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=_DTYPES[self.name])

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Keeps fp16 gradients from vanishing; passes everything through in other precisions."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")


PLAIN = Precision("fp32", False)  # what a loop has that does not choose
Times = dict[Precision, list[float]]  # seconds, round by round; fewer of a candidate that was hopeless


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
    if device.type == "cpu":
        options += _with_own_gradients(options, network.module)
    key = trial_key(network, experiment, device)
    if device.type == "cpu" and _trains_on_features(network, experiment):
        options = _worth_a_pass([option for option in options if option.channels_last and not option.own_gradients])
        key += " | one pass"
    if len(options) == 1:
        return options[0]
    kept = remembered(VERDICTS, key)
    if isinstance(kept, dict) and set(kept) == {"name", "channels_last", "own_gradients"} and Precision(**kept) in options:
        return Precision(**kept)
    verdict = judge(options, _measured(network, options, experiment, device))
    remember(VERDICTS, key, asdict(verdict))
    return verdict


def _trains_on_features(network: Network, experiment: Experiment) -> bool:
    """Whether the network runs once over the pictures, by fused convolutions (engine.fusing), which are channels last, and then only its head trains."""
    last = network.last_plan(experiment.model)
    return all(is_still(stage, last) for stage in network.stages[:-1]) and cached_views(experiment, 1.0) > 0


def _with_own_gradients(options: list[Precision], module: nn.Module) -> list[Precision]:
    has_depthwise, has_wide = bool(depthwise_layers(module)), any(layer.weight.requires_grad for layer in wide_layers(module))
    likely = [option for option in options if option.channels_last and (has_depthwise or has_wide and option.has_wide)]
    return [replace(option, own_gradients=True) for option in likely]


def trial_key(network: Network, experiment: Experiment, device: torch.device) -> str:
    """What the outcome of a trial with this network depends on."""
    model = experiment.model
    frozen = f"{sum(network.is_frozen)} frozen" + (f", cut after {model.cut}" if model.cut else "")
    return " | ".join([model.source, model.backbone, frozen, f"{model.input_size} px", experiment.training.precision, device_key(device)])


def judge(options: list[Precision], times: Times) -> Precision:
    """The first candidate that is within the margin of the fastest, and as fast as the plain loop. Where channels last is, it is taken: its kernels
    take less memory for themselves. Then our own gradients, where they gain something.

    Each is compared with the plain loop, or the first, in the rounds that both ran in: a busy moment hits neighbours alike, and the median does
    not care for the round that it hit alone.
    """
    reference = PLAIN if PLAIN in times else next(iter(times))
    margin, own_margin = (MARGIN, OWN_MARGIN) if len(times[reference]) > 1 else (UNPREPARED_MARGIN, UNPREPARED_MARGIN)
    shares = {
        option: statistics.median(some / other for some, other in zip(seconds, times[reference], strict=False))
        for option, seconds in times.items()
    }
    most = min(shares.values()) / margin
    if reference == PLAIN:
        most = min(most, TIE)
    found = next(option for option in options if shares.get(option, most + 1) <= most)
    own = replace(found, own_gradients=True)
    return own if shares.get(own, most + 1) <= own_margin * shares[found] else found


def _measured(network: Network, options: list[Precision], experiment: Experiment, device: torch.device) -> Times:
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


def measure(network: Network, options: list[Precision], input_size: int, device: torch.device, num_images: int = 0) -> Times:
    """Seconds of forward and backward passes of a small batch."""
    trial = replace(network, module=copy.deepcopy(network.module).to(device))
    trial.train_mode()
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        images = torch.rand(num_images or PROBE_BATCH[device.type], 3, input_size, input_size, device=device)
        running = _worth_a_pass(options) if device.type == "cpu" else options
        start, first = time.perf_counter(), {}
        for option in running:  # prepares the kernels
            without = first.get(replace(option, own_gradients=False), 0.0)
            if not option.own_gradients or without <= HOPELESS * min(first.values()):
                first[option] = _pass_seconds(trial.module, images, option, device)
        if device.type != "cuda" and time.perf_counter() - start > MOST_SECONDS:
            return {option: [seconds] for option, seconds in first.items()}
        times: Times = {option: [] for option in first}
        start, running = time.perf_counter(), list(first)
        while (taken := time.perf_counter() - start) < PROBE_SECONDS or (_is_open(times) and taken < MOST_SECONDS):
            for option in running if len(times[running[0]]) % 2 == 0 else running[::-1]:  # in turn, so that a busy moment hits all alike
                times[option].append(_pass_seconds(trial.module, images, option, device))
            fastest = min(times[option][-1] for option in running)
            running = [option for option in running if option == PLAIN or times[option][-1] <= HOPELESS * fastest]
    return times


def _is_open(times: Times) -> bool:
    """Whether more rounds may change the verdict: some found a candidate as fast as the plain loop, and some did not."""
    plain = times.get(PLAIN, next(iter(times.values())))
    if not LEAST_ROUNDS <= len(plain) < MOST_ROUNDS:
        return len(plain) < LEAST_ROUNDS
    shares = (
        [some / other for some, other in zip(seconds, plain, strict=False)] for seconds in times.values() if len(seconds) == len(plain)
    )
    return any(min(found) <= TIE < max(found) for found in shares)


def _worth_a_pass(options: list[Precision]) -> list[Precision]:
    """Without half precision where a single layer shows that this processor has no units for it: a whole pass would take ten times as long."""
    names = {option.name for option in options}
    if "bf16" not in names or "fp32" not in names:
        return options
    images = torch.rand(2, 64, 28, 28).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    cpu, seconds = torch.device("cpu"), {}
    for name in names:
        form = Precision(name, True)
        seconds[name] = min(_pass_seconds(layer, images, form, cpu) for _ in range(NUM_GLANCES))
    return [option for option in options if seconds[option.name] <= HOPELESS * seconds["fp32"]]


def _pass_seconds(module: nn.Module, images_NCHW: torch.Tensor, option: Precision, device: torch.device) -> float:
    """On a processor in CPU seconds, over all threads: what neighbours take does not count."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    layout = torch.channels_last if option.channels_last else torch.contiguous_format
    module.to(memory_format=layout)
    images = images_NCHW.contiguous(memory_format=layout)
    with own_gradients(module, wide=option.has_wide) if option.own_gradients else contextlib.nullcontext():
        synchronise(device)
        start = clock()
        with option.autocast(device):
            logits = module(images)
        logits.float().logsumexp(1).mean().backward()
        synchronise(device)
        seconds = clock() - start
    module.zero_grad(set_to_none=True)
    return seconds
