"""Recorded runs: run folders as an engine leaves them, in any state, from a handful of numbers.

`studio screenshots` and the tests of the pages draw them. The journal is a real one; its curves come from simulated
predictions on the data set that is given, so that epochs, confusion matrix and mistakes agree with each other.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from studio.catalog.schedules import head_lr, stage_factors
from studio.core import event as ev
from studio.core import head_sweep
from studio.core.experiment import Experiment
from studio.core.experiment_file import experiment_to_toml
from studio.core.file import write_atomically
from studio.core.head_sweep import Head, HeadSweep, peaks_around
from studio.core.outcome import Status
from studio.core.rate_test import NUM_STEPS, RateTest, digests, has_diverged, planned_rates
from studio.core.run_folder import RunFolder
from studio.core.top5 import worth_telling
from studio.dataset.dataset import Dataset

_STAGE_SIZES = (960, 9_200, 16_700, 46_900, 243_000, 543_000, 2_026_000, 717_000)  # the bundled backbone, stem first
_TILES, _TILE_PX = 12, 96
_GB = 2**30
_FLOW_STEPS = 5  # between two samples of the gradients


@dataclass(frozen=True)
class Recording:
    """What a recorded run looks like. Everything else follows from it and from the data set."""

    experiment: Experiment = Experiment()
    status: Status = Status.FINISHED
    nickname: str = "calm-otter"
    started: datetime = datetime(2026, 11, 23, 10, 15)
    epochs_done: float = 3.8  # for runs that have not reached their end
    skill: float = 0.92  # validation top-1 at the end of the run, roughly
    seconds_per_step: float = 0.25
    device: str = "cpu"
    seed: int = 4
    is_measured: bool = True  # False: as with no validation images


def record_run(runs: Path, recording: Recording, dataset: Dataset) -> RunFolder:
    """Write one run folder below `runs`: experiment, journal, results, log, checkpoints without weights."""
    folder = RunFolder(Path(runs) / f"{recording.started:%Y-%m-%d_%H%M%S}_{recording.nickname}")
    folder.checkpoints_path.mkdir(parents=True)
    folder.results_path.mkdir()
    write_atomically(folder.dataset_path, dataset.to_json())
    write_atomically(folder.experiment_path, experiment_to_toml(recording.experiment).encode())
    simulation = _Simulation(recording, dataset)
    if recording.status is not Status.QUEUED:
        events = list(recorded_events(recording, dataset))
        folder.journal_path.write_bytes(b"".join(ev.encode(e) for e in events))
        samples = [e for e in events if isinstance(e, ev.SamplesReported)]
        if samples:
            (folder.results_path / "batch.png").write_bytes(_strip(samples[-1].ids, dataset))
        for saved in (e for e in events if isinstance(e, ev.CheckpointSaved)):
            (folder.path / saved.path).mkdir(parents=True, exist_ok=True)
            (folder.path / saved.path / "manifest.json").write_text("{}", encoding="utf-8")
    if recording.status in (Status.FINISHED, Status.STOPPED):
        simulation.write_results(folder)
    folder.log_path.write_text(_LOGS.get(recording.status, "Training.\n"), encoding="utf-8")
    return folder


def recorded_rate_test(experiment: Experiment, *, falls: bool = True) -> RateTest:
    """A range test as one comes out on the bundled backbone; without `falls` the loss only ever climbs."""
    rates = planned_rates(NUM_STEPS)
    x = np.log10(rates)
    fall = 1.2 / (1 + np.exp(-2.6 * (x + 2.7))) if falls else 0.0
    noise = np.random.default_rng(3).normal(0, 0.07, len(x))
    losses = 2.45 - fall + np.where(x > -1.9, 2.4 * (x + 1.9) ** 2, 0.0) + noise
    end = next(i for i in range(2, len(x)) if has_diverged(rates[:i], losses[:i]))
    return RateTest(
        rates=tuple(rates[:end].tolist()),
        losses=tuple(losses[:end].tolist()),
        num_steps=NUM_STEPS,
        has_diverged=True,
        made_with=digests(experiment),
        batch_size=experiment.training.batch_size,
        passes=1.8,
        device="cpu",
        seconds=92.0,
    )


def recorded_head_sweep(experiment: Experiment) -> HeadSweep:
    """A sweep of peaks as one comes out on the bundled backbone: too careful to the left, unsteady to the right, one head beside itself."""
    peaks = peaks_around(experiment.schedule.peak_lr)
    x = np.log10(peaks) - np.log10(peaks[20])
    top1s = 0.936 - np.where(x < 0, 0.075, 0.16) * x**2 + np.random.default_rng(5).normal(0, 0.004, len(x))
    losses = 0.24 + np.where(x < 0, 0.3, 0.9) * x**2
    heads = [Head(peak, float(loss), float(top1)) for peak, loss, top1 in zip(peaks, losses, top1s, strict=True)]
    heads[-1] = Head(peaks[-1], None, 0.0)
    return HeadSweep(tuple(heads), experiment.schedule.epochs, 21.0, 1.6, head_sweep.digests(experiment), "cpu")


def recorded_events(recording: Recording, dataset: Dataset) -> Iterator[ev.Event]:
    """The journal of a recording, stamped with `seq` and the time that a run of its speed would have had."""
    for seq, (t, event) in enumerate(_Simulation(recording, dataset).events()):
        yield replace(event, seq=seq, t=round(t, 4))


@contextmanager
def held_alive(*folders: RunFolder) -> Iterator[None]:
    """While it lasts, a process holds the lock of each folder, as an engine does: readers see the runs as alive."""
    program = (
        "import os, sys\n"
        "for path in sys.argv[1:]:\n"
        "    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)\n"
        "    if os.name == 'nt':\n        import msvcrt; msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)\n"
        "    else:\n        import fcntl; fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "print('held', flush=True)\nsys.stdin.read()\n"
    )
    paths = [str(f.lock_path) for f in folders]
    command = [sys.executable, "-I", "-S", "-c", program, *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout and holder.stdout.readline(), "the locks of the recorded runs could not be taken"
            yield
        finally:
            holder.stdin.close()
            holder.wait(10)


def demo_recordings(dataset: Dataset, name: str = "Untitled") -> list[Recording]:
    """Four runs of one project, oldest first; the last is the one that is under way."""
    base = Experiment(name=name)
    plans = [
        ("keen-finch", Status.FINISHED, 0.87, {"model.train_stages": 0, "augment.preset": "none", "schedule.shape": "cosine"}),
        ("brave-heron", Status.STOPPED, 0.90, {"model.train_stages": 1, "schedule.epochs": 12, "schedule.peak_lr": 1e-3}),
        ("calm-otter", Status.FINISHED, 0.945, {"schedule.epochs": 12, "schedule.peak_lr": 5e-4, "augment.preset": "medium"}),
        ("quick-marten", Status.RUNNING, 0.955, {"schedule.epochs": 12, "schedule.peak_lr": 1e-3, "augment.preset": "medium"}),
    ]
    first = Recording().started
    return [
        Recording(
            base.changed({"data.source": dataset.root, **values}), status, nickname, first + timedelta(minutes=14 * i), 8.0 if i == 1 else 3.8,
            skill, seed=11 + i,
        )
        for i, (nickname, status, skill, values) in enumerate(plans)
    ]  # fmt: skip


class _Simulation:
    """The numbers of one recording. Logits of a validation image are noise plus a margin that grows with the epochs."""

    def __init__(self, recording: Recording, dataset: Dataset):
        self.recording, self.dataset = recording, dataset
        self.validation = dataset.part("validation") if recording.is_measured else ()
        self.labels = np.array([dataset.class_index[s.label] for s in self.validation], dtype=np.int64)
        self.num_classes = len(dataset.classes)
        self.num_train = len(dataset.part("train"))
        self.batch_size = recording.experiment.training.batch_size
        whole, rest = divmod(self.num_train, self.batch_size)
        self.steps_per_epoch = whole + (rest > 1 or whole == 0)  # as the engine counts
        self.epochs = recording.experiment.schedule.epochs
        is_whole = recording.status is Status.FINISHED
        self.num_steps = self.epochs * self.steps_per_epoch if is_whole else round(recording.epochs_done * self.steps_per_epoch)
        self.noise_NC = self._noise()
        self.top_margin = self._margin_for(recording.skill)
        num_epochs = self.num_steps // self.steps_per_epoch
        self.scores = [self._score(epoch) if recording.is_measured else _UNMEASURED for epoch in range(num_epochs)]
        losses = [s["loss"] for s in self.scores]
        self.best_epoch = (int(np.argmin(losses)) if recording.is_measured else num_epochs - 1) if losses else None

    def _noise(self) -> np.ndarray:
        """float64[N, C]: per image noise, hard classes and pairs of classes that look alike."""
        rng = np.random.default_rng(self.recording.seed % 3)  # runs of one project stumble over the same images
        n, c = len(self.labels), self.num_classes
        noise = rng.normal(0, 1.0, (n, c)) + 0.35 * np.random.default_rng(self.recording.seed).normal(0, 1.0, (n, c))
        noise += 0.7 * rng.gumbel(size=(n, 1)) * (np.arange(c) == self.labels[:, None])
        twin = (np.arange(c) + 1 + 2 * (np.arange(c) % 3)) % c
        noise[np.arange(n), twin[self.labels]] += 1.1
        return noise - 0.5 * rng.random(c)[self.labels][:, None] * (np.arange(c) == self.labels[:, None])

    def _logits(self, margin: float) -> np.ndarray:
        return self.noise_NC + margin * (np.arange(self.num_classes) == self.labels[:, None])

    def _margin_for(self, top1: float) -> float:
        low, high = 0.0, 40.0
        for _ in range(40):
            middle = (low + high) / 2
            right = np.mean(np.argmax(self._logits(middle), axis=1) == self.labels) if len(self.labels) else 1.0
            low, high = (middle, high) if right < top1 else (low, middle)
        return high

    def probabilities(self, epoch: int) -> np.ndarray:
        """float64[N, C] of the validation images after an epoch (0-based)."""
        done = (epoch + 1) / max(1, self.epochs)
        logits = 1.5 * self._logits(self.top_margin * (1 - np.exp(-5.0 * done)) / (1 - np.exp(-5.0)))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def _score(self, epoch: int) -> dict:
        """Everything results/validation.json holds, computed from the probabilities."""
        p_NC, c = self.probabilities(epoch), self.num_classes
        predicted = p_NC.argmax(axis=1)
        confusion = np.zeros((c, c), dtype=int)
        np.add.at(confusion, (self.labels, predicted), 1)
        true, right, called = confusion.sum(axis=1), np.diag(confusion), confusion.sum(axis=0)
        recall, precision = right / np.maximum(true, 1), right / np.maximum(called, 1)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        rank = (p_NC > p_NC[np.arange(len(p_NC)), self.labels][:, None]).sum(axis=1)
        return {
            "classes": list(self.dataset.classes),
            "confusion": confusion.tolist(),
            "per_class": [
                {"precision": float(precision[i]), "recall": float(recall[i]), "f1": float(f1[i]), "support": int(true[i])}
                for i in range(c)
            ],
            "top1": float(np.mean(rank < 1)),
            "top5": worth_telling(float(np.mean(rank < 5)), c),
            "loss": float(-np.log(np.maximum(p_NC[np.arange(len(p_NC)), self.labels], 1e-12)).mean()),
            "macro_f1": float(f1[true > 0].mean()),
            "num_images": len(self.labels),
        }

    def write_results(self, folder: RunFolder) -> None:
        if self.best_epoch is None or not self.recording.is_measured:
            return
        p_NC = self.probabilities(self.best_epoch)
        losses = -np.log(np.maximum(p_NC[np.arange(len(p_NC)), self.labels], 1e-12))
        write_atomically(folder.results_path / "validation.json", json.dumps(self.scores[self.best_epoch]).encode())
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            ids=np.array(json.dumps([s.id for s in self.validation])),
            labels=self.labels,
            log_p=np.log(np.maximum(p_NC, 1e-12)).astype(np.float16),
            losses=losses.astype(np.float32),
        )
        write_atomically(folder.results_path / "validation_predictions.npz", packed.getvalue())

    def events(self) -> Iterator[tuple[float, ev.Event]]:
        """(time, event) of the whole journal, unstamped."""
        r = self.recording
        yield 0.0, ev.RunStarted(wall_time=r.started.timestamp(), pid=4242, session=0)
        for t, phase, detail in (
            (0.0, "loading torch", ""), (1.4, "scanning images", ""), (1.7, "loading weights", r.experiment.model.backbone), (2.1, "first batch", ""),
        ):  # fmt: skip
            yield t, ev.PhaseStarted(phase=phase, detail=detail)
        if r.status is Status.STARTING:
            return
        yield 2.2, self._description()
        yield 2.6, ev.PhaseStarted(phase="training")
        t = 2.6
        for at, event in self._steps(t):
            t = at
            yield at, event
        yield from self._ending(t)

    def _steps(self, t: float) -> Iterator[tuple[float, ev.Event]]:
        r, rng = self.recording, np.random.default_rng(self.recording.seed)
        total = self.epochs * self.steps_per_epoch
        lrs = head_lr(r.experiment.schedule, np.arange(total), self.steps_per_epoch)
        floor = 0.55 * (1 - r.skill) * 6
        at = np.arange(self.num_steps)
        loss = floor + (np.log(self.num_classes) * 1.05 - floor) * np.exp(-at / (0.13 * total))
        loss *= np.exp(rng.normal(0, 0.22, self.num_steps))
        right = 1 - (1 - 1 / self.num_classes) * np.exp(-at / (0.1 * total)) - (1 - r.skill) * 0.6
        top1 = rng.binomial(self.batch_size, np.clip(right, 0, 1)) / self.batch_size
        norms = 1.2 + 2.5 * np.exp(-at / (0.1 * total)) + rng.gamma(2.0, 0.15, self.num_steps)
        group = max(1, round(0.12 / r.seconds_per_step))
        next_second = t
        for first in range(0, self.num_steps, group):
            epoch_end = (first // self.steps_per_epoch + 1) * self.steps_per_epoch
            for start, end in ((first, min(first + group, epoch_end)), (min(first + group, epoch_end), min(first + group, self.num_steps))):
                if start >= end:
                    continue
                part = slice(start, min(end, self.num_steps))
                t += (part.stop - part.start) * r.seconds_per_step
                yield t, ev.StepsReported(
                    first_step=start, losses=tuple(loss[part].round(5)), top1s=tuple(top1[part]), lrs=tuple(lrs[part]),
                    grad_norms=tuple(norms[part].round(4)), images_per_s=self.batch_size / r.seconds_per_step * rng.uniform(0.97, 1.02),
                    data_wait_fraction=float(rng.uniform(0.02, 0.06)),
                )  # fmt: skip
                if start // _FLOW_STEPS != part.stop // _FLOW_STEPS or not start:
                    yield t, self._flow(part.stop - 1, rng)
                if t >= next_second:
                    next_second = t + 1
                    yield t, self._system(rng)
                if part.stop % self.steps_per_epoch == 0:
                    yield t, ev.PhaseStarted(phase="validating")
                    t += len(self.labels) / self.batch_size * r.seconds_per_step * 0.4
                    yield from self._epoch(part.stop // self.steps_per_epoch - 1, part.stop, t, loss, top1)
                    if part.stop < self.num_steps or r.status is not Status.FINISHED:
                        yield t, ev.PhaseStarted(phase="training")
                if part.stop == max(1, round(0.1 * total)):
                    yield (
                        t,
                        ev.WarningRaised(
                            code="unreadable-image",
                            sentence="1 image could not be read and is left out of this run.",
                            fix="See it on the Data page.",
                        ),
                    )
        yield t, self._samples(rng)

    def _epoch(self, epoch: int, step: int, t: float, loss: np.ndarray, top1: np.ndarray) -> Iterator[tuple[float, ev.Event]]:
        score, part = self.scores[epoch], slice(step - self.steps_per_epoch, step)
        is_best = not self.recording.is_measured or all(score["loss"] < s["loss"] for s in self.scores[:epoch])
        recalls = tuple(c["recall"] if c["support"] else None for c in score["per_class"])
        yield t, ev.EpochFinished(
            epoch=epoch, step=step, train_loss=float(loss[part].mean()), train_top1=float(top1[part].mean()), validation_loss=score["loss"],
            validation_top1=score["top1"], validation_top5=score["top5"], macro_f1=score["macro_f1"], class_recalls=recalls, is_best=is_best,
            seconds=self.steps_per_epoch * self.recording.seconds_per_step * 1.1,
        )  # fmt: skip
        yield t, ev.FrozenChecked(step=step, epoch=epoch, num_tensors=12, fingerprint="5b1f0c7e")
        yield (
            t + 0.05,
            ev.CheckpointSaved(step=step, path=f"checkpoints/step-{step:08d}", num_bytes=14_200_000, is_best=is_best, seconds=0.05),
        )

    def _ending(self, t: float) -> Iterator[tuple[float, ev.Event]]:
        step, best = self.num_steps, self.scores[self.best_epoch] if self.best_epoch is not None else None
        match self.recording.status:
            case Status.PAUSED:
                yield t, ev.PauseChanged(is_paused=True, step=step)
            case Status.STOPPED:
                yield t, ev.RunStopped(step=step, checkpoint=f"checkpoints/step-{step:08d}")
            case Status.FAILED:
                yield t, ev.RunFailed(
                    step=step, sentence=f"The loss is not a finite number at step {step:,}.", can_resume=True,
                    fix="Lower the peak learning rate, for example to a tenth, and resume.",
                    trace="Traceback (most recent call last):\n  studio/engine/loop.py, in run_step\nNotFinite: training loss is nan\n",
                )  # fmt: skip
            case Status.FINISHED if best:
                yield t, ev.RunFinished(
                    step=step, epochs=self.epochs, best_epoch=self.best_epoch, top1=best["top1"], top5=best["top5"], loss=best["loss"],
                    macro_f1=best["macro_f1"], images_per_s=self.batch_size / self.recording.seconds_per_step, seconds=t,
                )  # fmt: skip

    def _description(self) -> ev.RunDescribed:
        r, e = self.recording, self.recording.experiment
        sizes = (*_STAGE_SIZES, 1281 * self.num_classes)
        num_frozen = 0 if e.model.train_stages < 0 else max(0, len(sizes) - 1 - e.model.train_stages)
        names = ("stem", *(f"stage {i}" for i in range(1, len(sizes) - 1)), "head")
        factors = stage_factors(e.optimiser, range(len(sizes)))
        stages = tuple(
            ev.StageDescribed(name=names[i], num_parameters=sizes[i], is_frozen=i < num_frozen, lr_factor=factors[i])
            for i in range(len(sizes))
        )
        return ev.RunDescribed(
            device=r.device, device_name="2 cores" if r.device == "cpu" else r.device, precision="fp32", channels_last=True,
            classes=self.dataset.classes, num_train=self.num_train, num_validation=len(self.validation), num_test=len(self.dataset.part("test")),
            batch_size=self.batch_size, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch, num_parameters=sum(sizes),
            num_trainable=sum(sizes[num_frozen:]), stages=stages,
        )  # fmt: skip

    def _flow(self, step: int, rng: np.random.Generator) -> ev.GradientsSampled:
        """Gradients by stage: less the farther from the head, falling as the run goes on; none where a stage is frozen."""
        stages = self._description().stages
        fall = np.exp(-1.2 * step / max(1, self.epochs * self.steps_per_epoch))
        norms = [
            0.0 if stage.is_frozen else float(2.0 * fall * 0.55 ** (len(stages) - 1 - i) * rng.lognormal(0, 0.2))
            for i, stage in enumerate(stages)
        ]
        return ev.GradientsSampled(step=step, norms=tuple(norms), ratios=tuple(n * 6e-4 for n in norms))

    def _system(self, rng: np.random.Generator) -> ev.SystemReported:
        on_device = self.recording.device != "cpu"
        return ev.SystemReported(
            process_bytes=int(rng.uniform(1.05, 1.12) * _GB), peak_bytes=int(1.2 * _GB),
            device_bytes=int(1.7 * _GB) if on_device else None, device_total_bytes=80 * _GB if on_device else None,
            device_load_fraction=float(rng.uniform(0.5, 0.6)) if on_device else None,
            cpu_fraction=float(rng.uniform(0.82, 0.96)), memory_bytes=int(rng.uniform(5.4, 5.6) * _GB), memory_total_bytes=16 * _GB,
        )  # fmt: skip

    def _samples(self, rng: np.random.Generator) -> ev.SamplesReported:
        train = self.dataset.part("train")
        picks = [train[i] for i in rng.choice(len(train), min(_TILES, len(train)), replace=False)]
        losses = np.round(rng.gamma(0.8, 0.2, len(picks)) + 0.02, 3)
        predictions = [s.label for s in picks]
        worst = int(np.argmax(losses))
        losses[worst] = 1.84
        predictions[worst] = self.dataset.classes[(self.dataset.class_index[picks[worst].label] + 1) % self.num_classes]
        return ev.SamplesReported(
            step=self.num_steps, image="results/batch.png", tile_px=_TILE_PX, ids=tuple(s.id for s in picks),
            labels=tuple(s.label for s in picks), predictions=tuple(predictions), losses=tuple(float(v) for v in losses),
        )  # fmt: skip


_UNMEASURED = {"loss": None, "top1": None, "top5": None, "macro_f1": None, "per_class": []}


def _strip(ids: tuple[str, ...], dataset: Dataset) -> bytes:
    """The images side by side as one PNG, each _TILE_PX square."""
    from PIL import Image, ImageOps

    from studio.dataset.image import read_image

    reading = dataset.reading if dataset.reading.bands else replace(dataset.reading, bands=(1, 2, 3))
    strip = Image.new("RGB", (len(ids) * _TILE_PX, _TILE_PX))
    for i, id_ in enumerate(ids):
        image = Image.fromarray(read_image(dataset.path_of(id_), reading))
        strip.paste(ImageOps.fit(image, (_TILE_PX, _TILE_PX)), (i * _TILE_PX, 0))
    packed = io.BytesIO()
    strip.save(packed, "PNG")
    return packed.getvalue()


_LOGS = {
    Status.CRASHED: "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f21 (most recent call first):\n"
    "  File \"torch/autograd/graph.py\", line 824 in _engine_run_backward\n  File \"studio/engine/loop.py\", line 131 in run_step\n",
    Status.FAILED: "NotFinite: training loss is nan\n",
}  # fmt: skip
