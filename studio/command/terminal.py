"""Writing to a terminal that may be closed, not UTF-8, or gone half-way."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from typing import Any

from studio.core.path_text import shown
from studio.core.place import state_dir
from studio.core.problem import Problem, Severity

PLAIN_INTERVAL_S = 5.0  # between two progress lines where there is no terminal

_WORDS = {Severity.ERROR: "Error", Severity.WARNING: "Warning", Severity.NOTE: "Note"}


class Failed(Exception):
    """The work could not be done though the input was fine; the message is a sentence for people. Exit code 1."""


def prepare() -> None:
    """Make both streams safe to write to: present, and able to show any name."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # started with the stream closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as the process
        with contextlib.suppress(AttributeError, ValueError):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def finish() -> None:
    """Flush; a reader that has gone away is no error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _mute(stream)


def safe(text: str) -> str:
    """A name from the command line or disk on one line, with no control characters or stray bytes."""
    return shown(text)


def say(text: str = "") -> bool:
    """Print a line to standard output. False when nobody reads any more."""
    return _write(sys.stdout, text)


def say_json(value: dict[str, Any]) -> None:
    say(json.dumps(value))


def complain(text: str) -> None:
    _write(sys.stderr, text if text.startswith(tuple(_WORDS.values())) else f"Error: {text}")


def note(text: str) -> None:
    """A line for people that is no result: standard error, so that it never mixes with output a program reads."""
    _write(sys.stderr, text)


def complain_all(problems: Iterable[Problem]) -> None:
    """One line each, errors first."""
    order = list(_WORDS)
    for problem in sorted(problems, key=lambda p: order.index(p.severity)):
        _write(sys.stderr, f"{_WORDS[problem.severity]}: {problem}")


def unexpected(exc: BaseException) -> str:
    """Keep the trace in a file and say so."""
    first = (str(exc).strip().splitlines() or [""])[0][:200]
    words = f"Something unexpected went wrong ({type(exc).__name__}{': ' + first if first else ''})."
    path = state_dir() / "logs" / "command-line.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as f:
            f.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(exc))}\n")
    except OSError:
        return words
    return f"{words} Send {path} with a report of what you did."


class Progress:
    """A callback `(done, total or None, what)` drawn as a bar on a terminal, as a line now and then elsewhere. Use in a `with`."""

    def __init__(self, unit: str = "images"):
        self._unit, self._bar, self._what, self._last = unit, None, "", time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __call__(self, done: int, total: int | None, what: str = "") -> None:
        if self._is_terminal:
            self._draw(done, total, what)
        elif time.monotonic() - self._last > PLAIN_INTERVAL_S:
            self._last = time.monotonic()
            note(f"{what or 'Working'}: {done:,}{f' of {total:,}' if total else ''} {self._unit}")

    def _draw(self, done: int, total: int | None, what: str) -> None:
        from tqdm import tqdm

        if self._bar is not None and what != self._what:
            self.__exit__()
        if self._bar is None:
            self._bar = tqdm(total=total, desc=what, unit=f" {self._unit}", leave=False, file=sys.stderr, dynamic_ncols=True)
            self._what = what
        self._bar.total = total
        self._bar.update(done - self._bar.n)


def _write(stream, text: str) -> bool:
    try:
        stream.write(text + "\n")
        stream.flush()
        return True
    except (OSError, ValueError):
        _mute(stream)
        return False


def _mute(stream) -> None:
    """The reader has gone: let the rest fall into nothing, the flush at exit included."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        fd = os.open(os.devnull, os.O_WRONLY)
        os.dup2(fd, stream.fileno())
        os.close(fd)
