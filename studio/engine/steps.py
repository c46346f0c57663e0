"""Figures of single steps, kept on the device and reported at most ten times a second whatever the speed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

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
        if ranks.is_alone:
            return
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


class StepBuffer:
    """Collects what the steps of one epoch gave. Reading figures from a GPU waits for it; this does so once per report."""

    def __init__(self, setup):
        self._s = setup
        self._figures: list[torch.Tensor] = []  # per step: mean loss, number correct, gradient norm
        self._sizes: list[int] = []
        self._rates: list[float] = []
        self._last: tuple[Batch, torch.Tensor, torch.Tensor] | None = None
        self._waited_s = 0.0
        self._tally = Tally()
        self._reported_at = time.perf_counter()

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
        self._s.reporter.unreadable({self._s.ids[i]: reason for i, reason in step.refused.items()})

    def is_due(self) -> bool:
        return time.perf_counter() - self._reported_at >= STEPS_EVERY_S

    def restart_clock(self) -> None:
        """Leave the time since the last report out of all figures."""
        self._reported_at, self._waited_s = time.perf_counter(), 0.0

    def report(self) -> None:
        """Book and tell the steps since the last report. Raises LossNotFinite; nothing of the bad step on is booked or told."""
        if not self._figures:
            return
        s, p = self._s, self._s.progress
        figures = torch.stack(self._figures).cpu().numpy().astype(np.float64)  # [steps, 3]
        first_step = p.step - len(figures)
        bad = ~np.isfinite(figures[:, 0]) if s.scaler.is_enabled() else ~np.isfinite(figures).all(1)
        if bad.any():
            raise LossNotFinite(first_step + int(bad.argmax()))
        for (loss, num_correct, _), size in zip(figures, self._sizes, strict=True):
            p.count_step(float(loss), int(num_correct), size)
        now = time.perf_counter()
        seconds = now - self._reported_at
        p.training_seconds += seconds
        p.epoch_seconds += seconds
        s.reporter.step = p.step
        s.reporter.tell(
            ev.StepsReported(
                first_step=first_step,
                losses=tuple(round(float(v), 6) for v in figures[:, 0]),
                top1s=tuple(round(float(c) / n, 4) for c, n in zip(figures[:, 1], self._sizes, strict=True)),
                lrs=tuple(self._rates),
                grad_norms=tuple(round(float(v), 5) for v in figures[:, 2]),
                images_per_s=round(sum(self._sizes) / seconds, 2),
                data_wait_fraction=round(min(1.0, self._waited_s / seconds), 4),
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
        s.feeding.after_steps(self._tally, sum(self._sizes), seconds, self._waited_s)
        self._figures, self._sizes, self._rates, self._tally = [], [], [], Tally()
        self._reported_at, self._waited_s = now, 0.0

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
