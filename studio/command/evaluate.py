"""Score a trained run on labelled images: folders named like the classes, train/val/test folders, or a CSV file."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from studio.cli import DONE
from studio.command import terminal
from studio.command.chosen import (
    add_device_argument,
    add_run_argument,
    add_test_time_argument,
    add_which_argument,
    source_text,
    trained_run,
)
from studio.core.experiment import READING, Data
from studio.core.file import write_atomically
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--data", metavar="DIR", required=True, help="labelled images: a folder or a CSV file")
    parser.add_argument("--part", choices=["all", "train", "validation", "test"], default="all", help="which part of them (default: all)")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="also write all scores as JSON")
    parser.add_argument("--force", action="store_true", help="write over an existing file")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON")
    parser.add_argument(
        "--compile", choices=["auto", "on", "off"], default="auto",
        help="compile the network for this pass: beside it where it is long (auto), before it (on), or not (default: auto)",
    )  # fmt: skip
    add_test_time_argument(parser)
    add_which_argument(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    folder = trained_run(args)
    if args.output and os.path.exists(args.output) and not args.force:
        raise BadInput(f"{args.output} exists already. Choose another name with -o, or write over it with --force.")
    if args.output and os.path.exists(args.output) and not os.path.isfile(args.output):
        raise BadInput(f"{args.output} is no file. Choose another name with -o.")
    from studio.engine.score_run import score_run

    with terminal.Progress() as progress:
        scores = score_run(
            folder, _data(folder, args.data), which=args.which, part=args.part, device=args.device, test_time=args.tta,
            compile_=args.compile, progress=progress,
        )  # fmt: skip
    if scores["unknown_classes"]:
        terminal.note(f"Warning: left out, since the run does not know them: {', '.join(map(shown, scores['unknown_classes']))}")
    for id_, reason in list(scores["unreadable"].items())[:10]:
        terminal.note(f"Warning: {shown(id_)} cannot be read: {reason}")
    if scores["note"]:
        terminal.note(f"Warning: {scores['note']}")
    if (speed := scores["speed"])["gain"] >= 1.05:
        terminal.note(f"The network ran {speed['form']}, {speed['gain']:.1f} times as fast as it is stored.")
    if speed["compiled"]:
        terminal.note(speed["compiled"])
    _print_table(scores)
    if args.output:
        try:
            write_atomically(args.output, (json.dumps(scores, indent=1) + "\n").encode())
        except OSError as exc:
            raise BadInput(f"{args.output} cannot be written: {exc.strerror}. Choose another place with -o.") from None
    if args.json:
        kept = {key: scores[key] for key in ("top1", "top5", "loss", "macro_f1", "num_images")}
        kept |= {
            "num_unreadable": len(scores["unreadable"]),
            "unreadable": [{"path": shown(id_), "reason": why} for id_, why in scores["unreadable"].items()],
        }
        kept |= {key: (scores["reliability"] or {}).get(key) for key in ("ece", "brier", "temperature")}
        terminal.say_json({"status": "done", "run": str(folder.path)} | kept)
    return DONE


def _data(folder: RunFolder, path: str) -> Data:
    """The run's own data with its split and its corrections when the path is that of the run, else the folder as it is, read as the run reads."""
    source, own = source_text(path), folder.experiment().data
    return own if own.source == source else Data(source=source, **own.model_dump(include=READING))


def _print_table(scores: dict) -> None:
    names = [shown(name)[:40] for name in scores["classes"]]
    width = max(map(len, [*names, "class"]))
    terminal.say(f"{'class':<{width}}  precision  recall      F1  images")
    for name, row in zip(names, scores["per_class"], strict=True):
        cells = "  ".join(f"{_percent(row[key]):>{w}}" for key, w in (("precision", 9), ("recall", 6), ("f1", 6)))
        terminal.say(f"{name:<{width}}  {cells}  {row['support']:>6,}")
    top5 = f"top-5 {scores['top5']:.2%}, " if scores["top5"] is not None else ""
    terminal.say(
        f"top-1 {scores['top1']:.2%}, {top5}loss {scores['loss']:.4f}, macro F1 {scores['macro_f1']:.2%} on {scores['num_images']:,} images"
    )
    if scores["reliability"]:
        terminal.say(_how_sure(scores["reliability"]))


def _how_sure(reliability: dict) -> str:
    """Calibration, and what answering only when sure comes to."""
    words = f"calibration error {reliability['ece']:.2%}, Brier score {reliability['brier']:.4f}"
    if reliability["temperature"] is not None:
        words += f"; with temperature {reliability['temperature']:.2f} the error is {reliability['ece_after']:.2%}"
    for row in reliability["answer_only_when_sure"]:
        if row["confidence"] is not None:
            words += f"\nwhere it is at least {row['confidence']:.2%} sure ({row['share']:.1%} of the images), {row['accuracy']:.0%} of its answers or more are right"
    return words


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
