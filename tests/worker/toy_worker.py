"""A worker with toy methods on the real request loop, without torch."""

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from studio.core.problem import BadInput
from studio.engine.worker.service import Method, serve

_seen = []
_gate = threading.Event()


def echo(call, value):
    return {"value": value, "pid": os.getpid()}


def slow(call, value, steps=200, held=False):
    _seen.append(value)
    for i in range(steps):
        call.progress(i, steps, "counting")
        _gate.wait() if held else time.sleep(0.01)
    return {"value": value}


def let_go(call):
    _gate.set()
    return {}


def seen(call):
    return {"values": list(_seen)}


def bad(call):
    raise BadInput("The folder is empty.")


def broken(call):
    return {"value": 1 / 0}


def picture(call):
    return {"image": call.image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))}


def pictures(call, count):
    """Larger than the pipe, and of line ends throughout."""
    for i in range(count):
        call.progress(i, count, "drawing")
        call.part({"tile": i, "image": call.image(np.full((700, 700, 3), ord("\n"), np.uint8))})
    return {}


def say(call, words):
    print(words, file=sys.stderr, flush=True)
    return {}


def die(call):
    os.kill(os.getpid(), 9)


def die_once(call, marker):
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), 9)
    return {"value": "second life"}


METHODS = {f.__name__: Method(f) for f in (echo, let_go, say, bad, broken, picture, pictures, die, die_once)} | {
    "slow": Method(slow, "long"),
    "seen": Method(seen),
}

if __name__ == "__main__":
    serve(METHODS, sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)
