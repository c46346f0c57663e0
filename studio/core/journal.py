"""The append-only journal: one line per event, one write per line, whole lines only are read."""

from __future__ import annotations

import dataclasses
import os
import time
from itertools import groupby
from pathlib import Path

from studio.core import event as ev
from studio.core.event import EditsAnswered, Event, ExperimentEdited, RunStarted, decode, encode
from studio.core.step_columns import PREFIX, StepColumns, StepsPassed, decode_columns, decode_passed

_AT_ONCE = 256 << 10  # bytes that are decoded in one go, while which no other thread of the process gets its turn
_FREQUENT = tuple(
    b'{"event":"%s"' % kind.__name__.encode()
    for kind in (ev.StepsReported, ev.SystemReported, ev.GradientsSampled, ev.SamplesReported, ev.FrozenChecked)
)


class JournalWriter:
    """Appends events. One writer per run (the engine, holding the run's lock); safe from one thread only.

    A torn last line left by a crash is ended with a newline first, so that it can never swallow the next event.
    OSError (full disk) leaves the event unwritten; the caller pauses and tries again.
    """

    def __init__(self, path: str | os.PathLike):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        earlier = list(JournalReader(path).read())
        self._seq = earlier[-1].seq + 1 if earlier else 0
        self.num_sessions = sum(isinstance(event, RunStarted) for event in earlier)
        self.edits = tuple(event for event in earlier if isinstance(event, ExperimentEdited))  # of all sessions before
        self.num_answered = max((event.num_bytes for event in earlier if isinstance(event, EditsAnswered)), default=0)
        self._offset_s = (earlier[-1].t if earlier else 0.0) - time.monotonic()
        self._torn = ends_torn(path)

    def append(self, event: Event) -> Event:
        """Write one event, stamped with its position and time; returns the stamped event."""
        event = dataclasses.replace(event, seq=self._seq, t=round(self._offset_s + time.monotonic(), 4))
        line = encode(event)
        if self._torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        if written != len(line):  # a disk that filled in mid-line: end the fragment before the next line
            self._torn = True
            raise OSError(28, "No space left on device")
        self._torn = False
        self._seq += 1
        return event

    def sync(self) -> None:
        """Make everything written so far durable."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class JournalReader:
    """Reads a journal from a byte offset on. Cheap to poll; never blocks the writer. A missing file reads as empty."""

    def __init__(self, path: str | os.PathLike):
        self._path = Path(path)
        self._offset = 0

    def read(self, max_bytes: int = 1 << 30) -> list[Event]:
        """Events completed since the last call, in order. `max_bytes` bounds the work of one call."""
        return _events(self._whole_lines(max_bytes).splitlines())

    def read_columns(self, max_bytes: int = 1 << 30) -> list[Event | StepColumns]:
        """As `read`, for `fold`: reports of steps come as columns, at a sixth of the cost."""
        data = self._whole_lines(max_bytes)
        found: list[Event | StepColumns] = []
        start = 0
        while start < len(data):
            end = data.rfind(b"\n", start, start + _AT_ONCE) + 1 or data.index(b"\n", start) + 1
            found += _columns_of(data[start:end])
            start = end
        return found

    def read_rare(self, max_bytes: int = 1 << 30) -> list[Event | StepsPassed]:
        """As `read`, for `fold` and a digest, at a fraction of the cost: what an engine tells many times a minute is left out, but for the
        first and the last report of steps between two other events, which say how far the run was and whether it went back, and the last line."""
        found: list[Event | StepsPassed | None] = []
        for is_frequent, group in groupby(self._whole_lines(max_bytes).splitlines(), lambda line: line.startswith(_FREQUENT)):
            lines = list(group)
            if is_frequent:
                reports = [line for line in lines if line.startswith(PREFIX)]
                found += map(decode_passed, reports[:1] + reports[1:][-1:])
                lines = lines[-1:] if not lines[-1].startswith(PREFIX) else []
            found += map(decode, lines)
        return [event for event in found if event is not None]

    def _whole_lines(self, max_bytes: int) -> bytes:
        try:
            with open(self._path, "rb") as f:
                f.seek(self._offset)
                data = f.read(max_bytes)
        except FileNotFoundError:
            return b""
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end]


def _columns_of(data: bytes) -> list[Event | StepColumns]:
    if data.startswith(PREFIX) and data.count(b"\n" + PREFIX) == data.count(b"\n") - 1:  # nothing else in it
        columns = decode_columns(data)
        if columns is not None:
            return columns
    found: list[Event | StepColumns] = []
    for are_reports, group in groupby(data.splitlines(), lambda line: line.startswith(PREFIX)):
        lines = list(group)
        columns = decode_columns(b"\n".join(lines)) if are_reports else None
        found += _events(lines) if columns is None else columns
    return found


def _events(lines: list[bytes]) -> list[Event]:
    return [event for line in lines if line and (event := decode(line)) is not None]


def ends_torn(path: str | os.PathLike) -> bool:
    """Whether the last line of a file was cut short."""
    with open(path, "rb") as f:
        if f.seek(0, os.SEEK_END) == 0:
            return False
        f.seek(-1, os.SEEK_END)
        return f.read(1) != b"\n"
