"""Look at this computer: device, driver, versions, disk, weights, window; and say what to do about what is missing."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from studio.cli import DONE, FAILED
from studio.command import terminal
from studio.core.words import counted

_MARKS = {"good": "ok", "warning": "look", "problem": "PROBLEM"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as one line of JSON")


def run(args: argparse.Namespace) -> int:
    from studio.engine.doctor import examine

    findings = examine()
    is_fine = all(f.status != "problem" for f in findings)
    if args.json:
        terminal.say_json({"status": "done" if is_fine else "failed", "findings": [asdict(f) for f in findings]})
        return DONE if is_fine else FAILED
    width = max(len(f.title) for f in findings)
    for finding in findings:
        terminal.say(f"{_MARKS[finding.status]:<8} {finding.title:<{width}}  {terminal.safe(finding.detail)}")
        if finding.fix:
            terminal.say(f"{'':<8} {'':<{width}}  -> {terminal.safe(finding.fix)}")
    num_problems = sum(f.status == "problem" for f in findings)
    terminal.say("Ready to train." if is_fine else f"{counted(num_problems, 'problem')} found; see the arrows above.")
    return DONE if is_fine else FAILED
