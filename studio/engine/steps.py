"""Figures of single steps, kept on the device and reported at most ten times a second whatever the speed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from studio.catalog.augments import Tally
from studio.core import event as ev
from studio.engine.control import StopAsked
from studio.engine.failure import DataGone, LossNotFinite, NoReadableImages
from studio.engine.loader import Batch, WorkerDied
from studio.engine.ranks import Ranks
from studio.engine.reporter import NUM_TILES, SAMPLES_EVERY_S, SAMPLES_OF_FEATURES_EVERY_S, STEPS_EVERY_S


class Step:
    """What one optimiser update saw, over all of its batches. Tensors stay on the device."""

    def __init__(self, rate: float):
        self.rate = rate  # of the head
        self.norm = torch.zeros(())  # of the gradient, before clipping
        self.num_images = 0
        self.refused: dict[int, str] = {}
        self.tally = Tally()  # of the augmentation
        self._losses: list[torch.Tensor] = []
        self._num_correct: list[torch.Tensor] = []
        self.last: tuple[Batch, torch.Tensor, torch.Tensor] | None = None  # batch, losses_N, logits_NC
        self._shared: torch.Tensor | None = None  # over all processes: mean loss, number of right answers

    def share(self, ranks: Ranks, weights: list[torch.nn.Parameter], num_images: int) -> None:
        """Add the gradients and figures of all processes. A process without images in this step adds nothing."""
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        device = weights[0].device
        losses, correct = sum(part.sum() for part in self._losses), sum(self._num_correct)
        self._shared = torch.stack([torch.as_tensor(figure, dtype=torch.float32, device=device) for figure in (losses, correct)])
        self._shared[0] /= num_images
        ranks.add([*(weight.grad for weight in weights), self._shared])
        self.num_images = num_images

    def add(self, batch: Batch, labels_N: torch.Tensor, losses_N: torch.Tensor, logits_NC: torch.Tensor) -> None:
        self.num_images += len(labels_N)
        self.refused |= batch.refused
        self.tally.add(batch.tally)
        self._losses.append(losses_N)
        self._num_correct.append((logits_NC.argmax(1) == labels_N).sum())
        self.last = batch, losses_N, logits_NC

    def loss(self) -> torch.Tensor:
        """Mean over all images."""
        if self._shared is not None:
            return self._shared[0]
        return torch.cat(self._losses).mean()

    def figures(self) -> torch.Tensor:
        """Mean loss, number of right answers, gradient norm."""
        loss = self.loss()
        num_correct = sum(self._num_correct) if self._shared is None else self._shared[1]
        return torch.stack([loss, num_correct.to(loss.dtype), self.norm.to(loss.device, loss.dtype)])


@dataclass(frozen=True)
class _Sent:
    """Steps whose figures are on their way from the device, and there when `arrived` says so."""

    first_step: int
    figures: list[torch.Tensor]  # each [steps, 3], on the CPU: mean loss, number correct, gradient norm
    arrived: torch.cuda.Event | None
    sizes: list[int]
    rates: list[float]
    tally: Tally
    waited_s: float
    seconds: float  # that the steps took

    def then(self, later: _Sent) -> _Sent:
        self.tally.add(later.tally)
        lists = self.figures + later.figures, later.arrived, self.sizes + later.sizes, self.rates + later.rates
        return _Sent(self.first_step, *lists, self.tally, self.waited_s + later.waited_s, self.seconds + later.seconds)


class StepBuffer:
    """Collects what the steps of one epoch gave, and reports it. A GPU is never kept waiting for that: figures are sent for at one report and
    read at the next, when the steps in between keep it busy. So it is also never more than two reports behind."""

    def __init__(self, setup):
        self._s = setup
        self._figures: list[torch.Tensor] = []  # per step: mean loss, number correct, gradient norm
        self._sizes: list[int] = []
        self._rates: list[float] = []
        self._last: tuple[Batch, torch.Tensor, torch.Tensor] | None = None
        self._waited_s = 0.0
        self._tally = Tally()
        self._sent: _Sent | None = None
        self._done: torch.cuda.Event | None = None  # when the device has done the last step
        self._sent_at = time.perf_counter()

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, with the time spent waiting for them booked. When no more can be had, the steps so far are reported first."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator, None)
            except (DataGone, NoReadableImages, StopAsked, WorkerDied):
                self.report()  # so that the numbers are complete when the run is saved here
                raise
            if self._done is None or self._done.query():  # while a GPU still computes, nothing waits for the batch
                self._waited_s += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def add(self, step: Step) -> None:
        self._figures.append(step.figures())
        self._sizes.append(step.num_images)
        self._rates.append(step.rate)
        self._last = step.last
        self._tally.add(step.tally)
        if self._s.device.type == "cuda":
            self._done = self._done or torch.cuda.Event()
            self._done.record()
        self._s.reporter.unreadable({self._s.ids[i]: reason for i, reason in step.refused.items()})

    def is_due(self) -> bool:
        return time.perf_counter() - self._sent_at >= STEPS_EVERY_S

    def restart_clock(self) -> None:
        """Leave the time since the last report out of all figures."""
        self._sent_at, self._waited_s = time.perf_counter(), 0.0

    def report(self) -> None:
        """Book and tell all steps since the last report. Raises LossNotFinite; nothing of the bad step on is booked or told."""
        if self._done is not None:
            self._done.synchronize()  # so that the time of the steps is whole
        sent = self._send()
        self._book(self._sent.then(sent) if self._sent and sent else self._sent or sent)
        self._sent = None

    def report_arrived(self) -> None:
        """As `report`, on a GPU without the steps since the last call, which it has not done yet."""
        if self._s.device.type != "cuda":
            return self.report()
        self._book(self._sent)
        self._sent = self._send()

    def _send(self) -> _Sent | None:
        if not self._figures:
            return None
        is_cuda = self._s.device.type == "cuda"
        figures, arrived = torch.stack(self._figures).to("cpu", non_blocking=is_cuda), None
        if is_cuda:
            arrived = torch.cuda.Event()
            arrived.record()
        first_step = self._s.progress.step - len(self._figures)
        now = time.perf_counter()
        seconds, self._sent_at = now - self._sent_at, now
        sent = _Sent(first_step, [figures], arrived, self._sizes, self._rates, self._tally, self._waited_s, seconds)
        self._figures, self._sizes, self._rates, self._tally, self._waited_s = [], [], [], Tally(), 0.0
        return sent

    def _book(self, sent: _Sent | None) -> None:
        if sent is None:
            return
        if sent.arrived is not None:
            sent.arrived.synchronize()
        s, p, first_step = self._s, self._s.progress, sent.first_step
        figures = torch.cat(sent.figures).numpy().astype(np.float64)
        bad = ~np.isfinite(figures[:, 0]) if s.scaler.is_enabled() else ~np.isfinite(figures).all(1)
        if bad.any():
            raise LossNotFinite(first_step + int(bad.argmax()))
        for (loss, num_correct, _), size in zip(figures, sent.sizes, strict=True):
            p.count_step(float(loss), int(num_correct), size)
        p.training_seconds += sent.seconds
        p.epoch_seconds += sent.seconds
        s.reporter.step = first_step + len(figures)
        s.reporter.tell(
            ev.StepsReported(
                first_step=first_step,
                losses=tuple(round(float(v), 6) for v in figures[:, 0]),
                top1s=tuple(round(float(c) / n, 4) for c, n in zip(figures[:, 1], sent.sizes, strict=True)),
                lrs=tuple(sent.rates),
                grad_norms=tuple(round(float(v), 5) for v in figures[:, 2]),
                images_per_s=round(sum(sent.sizes) / sent.seconds, 2),
                data_wait_fraction=round(min(1.0, sent.waited_s / sent.seconds), 4),
            )
        )
        if found := s.gradients.look(first_step, figures[:, 2].tolist()):
            step, norm, median = found
            s.reporter.warn(
                "gradient-exploding",
                f"The gradient exploded at step {step + 1:,}: its norm is {norm:.3g}, that of the steps before was {median:.3g}.",
                f"Clip gradients at {float(f'{2 * median:.1g}'):g}, or lower the learning rate. Both can be changed while the run goes on.",
            )
        if s.reporter.wants_samples(SAMPLES_OF_FEATURES_EVERY_S if self._last[0].features is not None else SAMPLES_EVERY_S):
            self._report_samples()
        s.feeding.after_steps(sent.tally, sum(sent.sizes), sent.seconds, sent.waited_s)

    def _report_samples(self) -> None:
        batch, losses_N, logits_NC = self._last
        s, shown = self._s, batch.indices[:NUM_TILES]
        classes = s.dataset.classes
        s.reporter.samples(
            s.progress.step,
            self._pictures(batch, shown),
            ids=[s.ids[i] for i in shown],
            labels=self._label_words(batch, shown),
            predictions=[classes[i] for i in logits_NC[:NUM_TILES].argmax(1).tolist()],
            losses=[round(v, 5) for v in losses_N[:NUM_TILES].tolist()],
        )

    def _pictures(self, batch: Batch, shown: np.ndarray) -> np.ndarray:
        """What the network was given, for people."""
        if batch.features is not None:
            return self._s.prefix.pictures_of(shown, self._s.progress.epoch)
        return batch.mix.pictures(batch.images_NHWC, len(shown)) if batch.mix else batch.images_NHWC

    def _label_words(self, batch: Batch, shown: np.ndarray) -> list[str]:
        """Class names; of blended pictures both, the larger share first."""
        names = [self._s.dataset.classes[i] for i in self._s.labels[batch.indices]]
        if not batch.mix:
            return names[: len(shown)]
        pairs = [(names[i], names[partner]) for i, partner in enumerate(batch.mix.partners_N[: len(shown)])]
        if batch.mix.share < 0.5:
            pairs = [(other, own) for own, other in pairs]
        return [own if own == other else f"{own} + {other}" for own, other in pairs]
