"""What several commands have in common: finding a run, reading `--set`, the place of the runs."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.command import terminal
from studio.core.experiment import field_info
from studio.core.path_text import path_to_text, text_to_path
from studio.core.place import runs_dir
from studio.core.problem import BadInput
from studio.core.run_folder import CommandKind, RunFolder, find_run


def add_runs_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", metavar="DIR", type=Path, default=None, help="folder with the runs (default: your own)")


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run: its folder, its name, the last two words of it, or “last”")
    add_runs_argument(parser)


def add_test_time_argument(parser: argparse.ArgumentParser) -> None:
    from studio.catalog.augments.test_time import TEST_TIMES

    keys = [choice.key.replace(" ", "-") for choice in TEST_TIMES]
    parser.add_argument(
        "--tta", choices=keys, type=str, default="off", action=_WithSpaces,
        help="test-time augmentation: average the answers to several views of each image (default: off)",
    )  # fmt: skip


class _WithSpaces(argparse.Action):
    """Typed with hyphens, kept as the key of the choice."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, values.replace("-", " "))


def whole_number(least: int) -> Callable[[str], int]:
    """For `type=` of an argument: a whole number, `least` or more."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"“{text}” is not a whole number, {least} or more")
        return int(text)

    return parse


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:0, mps (default: auto)")


def add_which_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--which", choices=["best", "last"], default="best", help="the best epoch by validation, or the last state")


def chosen_runs(args: argparse.Namespace) -> Path:
    return args.runs or runs_dir()


def chosen_run(args: argparse.Namespace) -> RunFolder:
    """The run that was named. Raises BadInput naming the latest ones."""
    return find_run(chosen_runs(args), args.run)


def command(folder: RunFolder, kind: CommandKind, values: dict[str, Any] | None = None) -> None:
    """Tell the run. Raises Failed where that cannot be written."""
    try:
        folder.command(kind, values)
    except OSError as exc:
        raise terminal.Failed(f"The command did not reach {folder.nickname}: {exc.strerror}.") from None


def trained_run(args: argparse.Namespace) -> RunFolder:
    """The run that was named, which must have something to load. Raises BadInput."""
    folder = chosen_run(args)
    if not folder.has_checkpoint():
        raise BadInput(f"{folder.nickname} has no checkpoint yet: there is nothing to load. Train it first, or choose another run.")
    return folder


def source_text(path: str, base: str | os.PathLike = ".") -> str:
    """An absolute path in text form, from one in text form or as the system gives it; relative paths start at `base`."""
    candidates = [os.path.abspath(os.path.join(base, p)) for p in (text_to_path(path), path)]
    found = next((p for p in candidates if os.path.exists(p)), candidates[0])
    return path_to_text(found)


def parse_settings(assignments: list[str]) -> dict[str, Any]:
    """{"schedule.epochs": 12} from ["schedule.epochs=12"]: values are TOML, or text where they are not. Raises BadInput."""
    values = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise BadInput(f"“{assignment}” is not a setting. Write it as --set section.field=value, for example --set schedule.epochs=12.")
        values[path.strip()] = _value(path.strip(), text.strip())
    return values


def _value(path: str, text: str) -> Any:
    try:
        is_text = field_info(path).annotation is str
    except (KeyError, AttributeError):
        is_text = False  # an unknown setting is reported by the experiment, with all other problems
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, KeyError, ValueError, RecursionError):
        return text
    return text if is_text and not isinstance(value, str) else value
