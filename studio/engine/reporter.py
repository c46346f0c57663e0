"""Everything the engine tells the world, through the journal and nothing else. Outlives a full disk by waiting for room."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from studio.core import event as ev
from studio.core.file import write_atomically
from studio.core.journal import JournalWriter
from studio.core.path_text import path_to_text, shown
from studio.core.run_folder import RunFolder
from studio.engine.control import Control, StopAsked
from studio.engine.failure import CHANGED, NO_SPACE
from studio.engine.sleep import SleepWatch

T = TypeVar("T")

STEPS_EVERY_S = 0.1
SYSTEM_EVERY_S = 1.0
SAMPLES_EVERY_S = 2.0
SAMPLES_OF_FEATURES_EVERY_S = 10.0  # their pictures have to be read again for it, which takes longer than some epochs
TILE_PX = 96
NUM_TILES = 12
RESERVE_BYTES = 256 * 1024  # freed when the disk is full, so that the journal can still say so
RETRY_S = 1.0  # between two tries to write on a full disk
POLL_S = 0.2  # meanwhile it listens
NUM_NAMED = 20  # unreadable files that get a sentence of their own


class Reporter:
    """The engine's voice. Used from one thread."""

    def __init__(self, folder: RunFolder, control: Control, is_alone: bool = True):
        """`is_alone`: no other process waits for this one."""
        self.folder = folder
        self._control, self._is_alone = control, is_alone
        self._journal = JournalWriter(folder.journal_path)
        self._live = folder.path / "live"
        self._live.mkdir(exist_ok=True)
        self._last_system = 0.0
        self._last_samples = 0.0
        self._peak_bytes = 0
        self._last_t = 0.0
        self._system = None
        self._unreadable: set[str] = set()  # ids of samples
        self._num_told = 0
        self._num_changed = 0
        self._sleep = SleepWatch()
        self._phase: ev.PhaseStarted | None = None  # the last one told
        self._pause = ev.PauseChanged(is_paused=False, step=0)  # likewise
        self._hidden_phase: ev.PhaseStarted | None = None  # by a wait for room, and not told again yet
        self._is_held = False  # a pause for want of room was told, and not yet how it stands since
        self._is_finished = False
        self.step = 0  # steps done, for events that happen outside the loop
        self.saved_step = -1  # of the newest checkpoint
        self._reserve()

    @property
    def num_sessions(self) -> int:
        """Engine sessions of this run before this one, until `RunStarted` of this one is told."""
        return self._journal.num_sessions

    @property
    def earlier_edits(self) -> tuple[ev.ExperimentEdited, ...]:
        """The edits of all sessions before this one."""
        return self._journal.edits

    @property
    def num_answered(self) -> int:
        """Bytes of the commands in which those sessions have answered all edits."""
        return self._journal.num_answered

    def tell(self, event: ev.Event) -> ev.Event:
        """Append an event; waits for room on a full disk. When the user stops while it waits, raises StopAsked, or goes on where other processes
        have to hear of the stop first: all do so at their next look at wishes."""
        match event:
            case ev.PhaseStarted():
                self._phase = event
            case ev.PauseChanged():
                self._pause = event
            case ev.RunFinished():
                self._is_finished = True
        try:
            told = self.with_room(lambda: self._append(event))
        except StopAsked:
            if self._is_alone:
                raise
            with contextlib.suppress(OSError):
                self._append(event)
            return event
        self._last_t = told.t
        return told

    def running_seconds(self) -> float:
        """Running time of this run over all sessions so far, s."""
        return round(self._last_t, 3)

    def tell_last(self, event: ev.Event) -> None:
        """Append an event as the last word of a session: tried with the reserve, then given up."""
        try:
            self._journal.append(event)
        except OSError:
            self._give_up_reserve()
            with contextlib.suppress(OSError):
                self._journal.append(event)
        with contextlib.suppress(OSError):
            self._journal.sync()

    def warn(self, code: str, sentence: str, fix: str = "") -> None:
        self.tell(ev.WarningRaised(code=code, sentence=sentence, fix=fix))

    def damaged(self, names: Sequence[str], instead: str) -> None:
        """Say that checkpoints were found damaged, and what is done instead."""
        for name in names:
            self.warn("checkpoint-damaged", f"The checkpoint {name} is damaged and was passed over; {instead}.", "Check the drive.")

    def unreadable(self, reasons: dict[str, str]) -> None:
        """Say that files cannot be read any more: sample id to reason. Only the first are named, so that the journal stays readable."""
        for id_, reason in reasons.items():
            if reason == CHANGED:
                self._say_changed(id_)
                continue
            if id_ in self._unreadable:
                continue
            self._unreadable.add(id_)
            if len(self._unreadable) > NUM_NAMED:
                continue
            self._num_told += 1
            sentence = f"{shown(id_)} cannot be read any more ({reason}); the run goes on without it."
            self.warn("unreadable-image", sentence, "Put the file back, or leave it out on the Data page.")

    def _say_changed(self, id_: str) -> None:
        self._num_changed += 1
        if self._num_changed <= NUM_NAMED:
            more = "" if self._num_changed < NUM_NAMED else " More of them are not named."
            self.warn(
                "image-changed",
                f"{shown(id_)} was changed since the run began; it is used as it is now.{more}",
                "The run can no longer be repeated bit for bit.",
            )

    def unreadable_in_all(self) -> None:
        """How many files cannot be read any more, once they are more than those named."""
        if len(self._unreadable) > self._num_told:
            self._num_told = len(self._unreadable)
            sentence = f"{self._num_told:,} images in all cannot be read any more; the run goes on without them."
            self.warn(
                "unreadable-image", sentence, f"Put the files back, or leave them out on the Data page. The first {NUM_NAMED} were named."
            )

    def phase(self, phase: str, detail: str = "") -> None:
        self.tell(ev.PhaseStarted(phase=phase, detail=detail))

    def with_room(self, write: Callable[[], T]) -> T:
        """What `write` returns. While the disk is full the run is paused, says so, and tries again until there is room."""
        try:
            return write()
        except OSError as exc:
            if exc.errno not in NO_SPACE:
                raise
        self._give_up_reserve()
        self._try(
            ev.WarningRaised(
                code="disk-full",
                sentence=f"The disk with {shown(path_to_text(self.folder.path))} is full; the run waits.",
                fix="Free some space. The run goes on by itself.",
            )
        )
        self._try(ev.PauseChanged(is_paused=True, step=max(0, self.saved_step), reason="disk full"))
        self._try(ev.PhaseStarted(phase="waiting for disk"))
        self._hidden_phase, self._is_held = self._phase, True
        while True:
            again_at = time.monotonic() + RETRY_S
            while time.monotonic() < again_at:
                time.sleep(POLL_S)
                self._control.poll()
                if self._control.stop:
                    raise StopAsked(keep=False)  # there is no room for a checkpoint
            try:
                result = write()
                break
            except OSError as exc:
                if exc.errno not in NO_SPACE:
                    raise
        self._reserve()
        self._say_how_it_stands()
        return result

    def _say_how_it_stands(self) -> None:
        """After a wait for room: the phase that goes on and whether the run was paused before, unless what had to wait was to tell that."""
        if self._is_held and not self._is_finished:  # else its last word is written
            with contextlib.suppress(OSError):
                self._append(self._pause if self._pause.is_paused else ev.PauseChanged(is_paused=False, step=self.step))

    def _append(self, event: ev.Event) -> ev.Event:
        """Write an event; a pause, or its end, behind the phase that a wait for room has hidden, as a phase counts as running."""
        if isinstance(event, ev.PauseChanged) and self._hidden_phase:
            self._journal.append(self._hidden_phase)
            self._hidden_phase = None
        told = self._journal.append(event)
        match event:
            case ev.PhaseStarted():
                self._hidden_phase = None
            case ev.PauseChanged():
                self._is_held = False
        return told

    def _try(self, event: ev.Event) -> None:
        with contextlib.suppress(OSError):
            self._journal.append(event)

    def _reserve(self) -> None:
        with contextlib.suppress(OSError):
            write_atomically(self._live / "reserve", b"\0" * RESERVE_BYTES, is_durable=False)  # after a power cut it is of no use

    def _give_up_reserve(self) -> None:
        with contextlib.suppress(OSError):
            (self._live / "reserve").unlink()

    def close(self) -> None:
        self._give_up_reserve()
        with contextlib.suppress(OSError):
            self._journal.sync()
        self._journal.close()

    def system(self, device=None) -> None:
        """Memory and load of machine and device, at most once a second."""
        now = time.monotonic()
        if now - self._last_system < SYSTEM_EVERY_S:
            return
        self._last_system = now
        if slept_s := self._sleep.slept_s():
            self.warn("slept", f"The computer slept for {slept_s / 60:,.0f} min; the run went on where it was.")
        import psutil

        if self._system is None:
            self._system = psutil.Process()
            psutil.cpu_percent()
        process_bytes = self._system.memory_info().rss
        for child in self._system.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process_bytes += child.memory_info().rss
        self._peak_bytes = max(self._peak_bytes, process_bytes)
        memory = psutil.virtual_memory()
        self.tell(
            ev.SystemReported(
                process_bytes=process_bytes,
                peak_bytes=self._peak_bytes,
                cpu_fraction=psutil.cpu_percent() / 100,
                memory_bytes=memory.total - memory.available,
                memory_total_bytes=memory.total,
                **_device_load(device),
            )
        )

    def wants_samples(self, every_s: float = SAMPLES_EVERY_S) -> bool:
        return time.monotonic() - self._last_samples >= every_s

    def samples(
        self, step: int, images_NHWC: np.ndarray, ids: list[str], labels: list[str], predictions: list[str], losses: list[float]
    ) -> None:
        """Some pictures of a batch, as uint8, with what the network made of them."""
        self._last_samples = time.monotonic()
        path = self._live / "batch.png"
        content = _strip_png(images_NHWC[:NUM_TILES])
        try:
            write_atomically(path, content, is_durable=False)
        except OSError:
            return  # a picture is not worth waiting for; the next event will say that the disk is full
        n = len(ids[:NUM_TILES])
        self.tell(
            ev.SamplesReported(
                step=step,
                image=str(Path("live") / path.name),
                tile_px=TILE_PX,
                ids=tuple(ids[:n]),
                labels=tuple(labels[:n]),
                predictions=tuple(predictions[:n]),
                losses=tuple(losses[:n]),
            )
        )


def _strip_png(images_NHWC: np.ndarray) -> bytes:
    import cv2

    tiles = [cv2.resize(image, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for image in images_NHWC]
    strip = np.concatenate(tiles, axis=1)
    stored = [cv2.IMWRITE_PNG_COMPRESSION, 0]  # 4 ms instead of 10 every other second; the file is replaced each time
    return cv2.imencode(".png", strip[:, :, ::-1], stored)[1].tobytes()


def _device_load(device) -> dict:
    if device is None or device.type != "cuda":
        return {}
    import torch

    free, total = torch.cuda.mem_get_info(device)
    load = None
    with contextlib.suppress(Exception):  # needs NVIDIA's management library, which not every machine has
        load = torch.cuda.utilization(device) / 100
    return {"device_bytes": total - free, "device_total_bytes": total, "device_load_fraction": load}
