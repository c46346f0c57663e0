"""Pictures of what a run says when something goes wrong: one state per fault, the sentences as the engine writes them (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile

import numpy as np

from studio.core import event as ev
from studio.core.curve import Curve
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate

_STEP = 40  # at which it happens
_TRACE = "Traceback (most recent call last):\n  File \"studio/engine/main.py\", line 139, in _session\n    train(setup)\n"  # fmt: skip


def _warned(code: str, sentence: str, fix: str = "", *more: ev.Event) -> tuple[ev.Event, ...]:
    return (ev.WarningRaised(code=code, sentence=sentence, fix=fix), *more)


def _failed(sentence: str, fix: str, trace: str = _TRACE, *, is_device: bool = False) -> tuple[ev.Event, ...]:
    return (ev.RunFailed(step=_STEP, sentence=sentence, fix=fix, trace=trace, can_resume=True, is_device=is_device),)


def _paused(reason: str) -> ev.Event:
    return ev.PauseChanged(is_paused=True, step=_STEP, reason=reason)


FAULTS: dict[str, tuple[ev.Event, ...]] = {
    "memory_halved": _warned(
        "out-of-memory", "64 images at once do not fit into memory; from here on 32 go through the network at once. A step still sees 64.",
        "Close other programs, freeze more of the network, or choose a smaller batch."),
    "memory": _failed("Batch size 64 does not fit into memory (2.4 GB more were needed).", "Try 32.", f"{_TRACE}torch.OutOfMemoryError: CUDA out of memory.\n"),
    "loss": _failed("The loss stopped being a number at step 41; that step was not applied.", "Lower the peak learning rate, for example to 0.0002, or clip gradients at 1."),
    "loss_lowered": _warned(
        "loss-not-finite", "The loss stopped being a number at step 41; that step was left out and goes on at half the rate, 5.0e-04 at its peak.",
        "If it happens again, clip gradients at 1 or start with a lower rate."),
    "gradient": _warned(
        "gradient-exploding", "The gradient exploded at step 41: its norm is 3.1e+04, that of the steps before was 1.42.",
        "Clip gradients at 3, or lower the learning rate. Both can be changed while the run goes on."),
    "loader_died": _warned(
        "loader-died", "A process that loads images ended by itself, most often because the memory ran out; it was started again.",
        "If it happens again, use fewer loader workers or a smaller batch."),
    "drive_hangs": _warned("loader-hangs", "No image has come for 25 s: a drive or a network does not answer.", "The run goes on by itself when it does. Stop works meanwhile.", _paused("no image comes")),
    "image_gone": _warned("unreadable-image", "cat/0012.jpg cannot be read any more (No such file or directory); the run goes on without it.", "Put the file back, or leave it out on the Data page."),
    "image_changed": _warned("image-changed", "cat/0012.jpg was changed since the run began; it is used as it is now.", "The run can no longer be repeated bit for bit."),
    "images_gone": _warned(
        "images-gone", "The folder /media/camera/birds is not there any more; the run waits for it.",
        "Bring it back, for instance by plugging the drive in. The run goes on by itself.", _paused("the images are gone")),
    "disk_full": _warned("disk-full", "The disk with /home/ada/runs is full; the run waits.", "Free some space. The run goes on by itself.", _paused("disk full")),
    "checkpoint": _warned("checkpoint-damaged", "The checkpoint step-00000040 is damaged and was passed over; the run goes on from step 20.", "Check the drive."),
    "gpu_gone": _failed("The GPU is not there any more.", "Resume when it is back, after a restart of the computer if need be. Its checkpoints are whole.",
        f"{_TRACE}torch.AcceleratorError: CUDA error: no CUDA-capable device is detected\n", is_device=True),
    "driver": _failed("The GPU's driver and the installed torch do not fit together.", "Update the driver, or run `studio doctor` for the torch that fits. The device cpu works meanwhile.", is_device=True),
    "slept": _warned("slept", "The computer slept for 120 min; the run went on where it was."),
    "rank": _warned("ranks-restarted", "A process of the run ended; all 2 were started again, from step 20."),
    "released": (ev.RunStopped(step=_STEP, checkpoint="checkpoints/step-00000040", is_pause=True),),
    "killed": (),
}  # fmt: skip
_ON_GPU = ("memory", "memory_halved", "gpu_gone", "driver")


def _shower(name: str) -> Callable:
    def show(page) -> None:
        """The newest run, as it was at step 40, with this fault as the last that happened."""
        entry = next(e for e in reversed(page.runs.entries) if e.status is not Status.QUEUED)
        events = JournalReader(entry.folder.journal_path).read()
        state = fold(RunState(), takewhile(lambda event: getattr(event, "first_step", getattr(event, "step", 0) - 1) < _STEP, events))
        batch = [replace(event, step=_STEP) for event in events if isinstance(event, ev.SamplesReported)]
        state = fold(state, [replace(event, t=state.t) for event in (*batch, *FAULTS[name])])
        if name in _ON_GPU and state.description:
            on_gpu = replace(state.description, device="cuda:0", device_name="NVIDIA GeForce RTX 4070", precision="bf16")
            state = replace(state, description=on_gpu)
        if name == "killed":
            state = replace(state, status=Status.CRASHED)
        entry.exit_code = -9 if name == "killed" else None
        page.runs.take((RunUpdate(entry.folder, state, None, state.status.is_active),))
        page.show_argument(entry)
        page._pace.draw_now()

    return show


FAULT_STATES = {f"fault_{name}": _shower(name) for name in FAULTS}


def show_marks(page) -> None:
    """A run in which much happened within an epoch, and that is good from the start, so that its curves run along the upper edge."""
    run, e = page.entry, ev.ExperimentEdited
    per_epoch = run.state.description.steps_per_epoch
    at = run.state.step
    happened = (
        e(step=at - 2, values={"optimiser.clip_norm": 0.5}), e(step=at - 1, values={"optimiser.weight_decay": 0.1}),
        ev.StagesThawed(step=at, epoch=at // per_epoch, stages=("stage 5",), num_trainable=10**6),
        ev.WarningRaised(code="gradient-exploding", sentence="The gradient exploded.", fix="Clip gradients at 3."),
    )  # fmt: skip
    state = fold(run.state, [replace(event, t=run.state.t) for event in happened])
    good = Curve().extended(state.train_top1.x, 1 - 0.12 * np.linspace(1, 0, len(state.train_top1)) ** 2)
    ends = Curve().extended(state.validation_top1.x, 0.9 + 0.09 * np.linspace(0, 1, len(state.validation_top1)))
    five = Curve().extended(state.validation_top5.x, 0.975 + 0.02 * np.linspace(0, 1, len(state.validation_top5)))
    state = replace(state, train_top1=good, validation_top1=ends, validation_top5=five)
    page.runs.take((RunUpdate(run.folder, state, None, state.status.is_active),))
    page._pace.draw_now()
