"""A side of a benchmark in a process of its own, with the C library and threads as that side has them, which works when it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def side(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Callable[..., dict]]:
    """`python -m module arguments`, which calls `serve`. Asked first without a number it gives its facts, then with a number of steps their "wall"
    and "cpu" seconds."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, env=dict(environment or os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(steps: int | None = None) -> dict:
            if steps is not None:
                process.stdin.write(f"{steps}\n")
                process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise SystemExit(f"{' '.join(command[2:])} ended.")
            return json.loads(line)

        try:
            yield ask
        finally:
            process.stdin.close()


def serve(prepare: Callable[[], tuple[Callable[[], object], dict]]) -> None:
    """`prepare` gives a step and the facts. What libraries print goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    step, facts = prepare()
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:

        def steps(count: int = int(line)) -> None:
            for _ in range(count):
                step()

        print(json.dumps(timed(steps)), file=out, flush=True)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of a call: "wall", and "cpu" of this process and of those that have ended meanwhile."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": _cpu_seconds() - cpu}


def _cpu_seconds() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
