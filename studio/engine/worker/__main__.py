"""`python -m studio.engine.worker preview|probe|finder`: answers requests until its stdin closes."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from importlib import import_module

from studio.engine.loading import begin_loading, end_loading


def main() -> None:
    parser = argparse.ArgumentParser(prog="studio worker")
    parser.add_argument("kind", choices=["preview", "probe", "finder"])
    args = parser.parse_args()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # a running training goes first
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to the log, not between the answers
    begin_loading()
    methods = import_module(f"studio.engine.worker.{args.kind}").METHODS
    from studio.engine.worker.service import serve

    end_loading()

    try:
        serve(methods, sys.stdin.buffer, stdout)
    finally:
        os._exit(0)  # threads deep in a library call do not hold the exit


main()
