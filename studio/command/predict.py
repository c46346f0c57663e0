"""Say what is in new images. Files are taken as they are, folders are searched through.

Files that cannot be read are named and counted; only where not one can be read the command has failed.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys

from studio.cli import DONE, FAILED
from studio.command import terminal
from studio.command.chosen import add_device_argument, add_run_argument, add_test_time_argument, add_which_argument, trained_run
from studio.core.path_text import path_to_text, shown
from studio.core.unsure import unsure_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("paths", metavar="FILE_OR_DIR", nargs="+", help="images, or folders with images")
    parser.add_argument("--top", type=_count, default=3, metavar="N", help="classes per image (default: 3)")
    parser.add_argument(
        "--threshold", type=_share, default=None, metavar="P",
        help="say “unsure” where the best class is less likely (default: from where 95 %% of the run's validation answers are right, half at least)",
    )  # fmt: skip
    parser.add_argument("--csv", action="store_true", help="print CSV with the probability of every class")
    parser.add_argument("--json", action="store_true", help="end standard output with one line of JSON")
    add_test_time_argument(parser)
    add_which_argument(parser)
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    folder = trained_run(args)
    from studio.engine.device import choose_device
    from studio.engine.fast_pass import LONG_PASS, FastPass
    from studio.engine.network import load_trained
    from studio.engine.predict import Predictor, find_images

    files = find_images(args.paths)
    device = choose_device(args.device)
    trained = load_trained(folder, args.which)
    if trained.note:
        terminal.note(f"Warning: {trained.note}")
    is_long = len(files) >= LONG_PASS
    logits = FastPass(trained.module.to(device), device, trained.input_size, is_long=True) if is_long else None
    predictor = Predictor(trained, device, args.tta, logits)
    raw_classes, classes = predictor.trained.classes, [shown(name) for name in predictor.trained.classes]
    csv_classes = classes if sys.stdout.isatty() else raw_classes
    unsure = unsure_of(folder, args.which, args.threshold)
    terminal.note(unsure.sentence)
    if args.csv:
        terminal.say(_csv_row(["path", "label", "probability", "unsure", *csv_classes]))
    rows, refused = [], []
    with terminal.Progress() as progress:
        for prediction in predictor.predict(files, progress=progress):
            name = shown(path_to_text(prediction.path))
            path = os.fsencode(prediction.path).decode("utf-8", "backslashreplace")  # as it is, for programs
            if prediction.probabilities_C is None:
                terminal.note(f"Warning: {name} cannot be read: {prediction.reason}")
                refused.append({"path": path, "reason": prediction.reason})
                continue
            is_unsure = prediction.confidence < unsure.below
            top = prediction.top(args.top)
            if args.csv:
                row = [
                    name if sys.stdout.isatty() else path,
                    csv_classes[prediction.best],
                    f"{prediction.confidence:.6f}",
                    "yes" if is_unsure else "no",
                ]
                is_read = terminal.say(_csv_row(row + [f"{p:.6f}" for p in prediction.probabilities_C]))
            else:
                words = ", ".join(f"{classes[i]} {p:.1%}" for i, p in top)
                is_read = terminal.say(f"{name}: {'unsure: ' if is_unsure else ''}{words}")
            if not is_read:
                return DONE  # nobody reads any more
            rows.append({"path": path, "top": [[raw_classes[i], p] for i, p in top], "is_unsure": is_unsure})
    if refused:
        terminal.note(
            f"{len(refused):,} of {len(files):,} files could not be read. Supported are JPEG, PNG, WebP, AVIF, BMP, TIFF and GIF."
        )
    if args.json:
        found = {
            "run": str(folder.path),
            "unsure_below": unsure.below,
            "predictions": rows,
            "num_unreadable": len(refused),
            "unreadable": refused,
        }
        terminal.say_json({"status": "done" if rows else "failed"} | found)
    return DONE if rows else FAILED


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a number of classes, 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f"“{text}” is not a probability from 0 to 1")
    return share


def _csv_row(cells: list[str]) -> str:
    """One CSV line. A cell that a spreadsheet would take for a formula is marked as text."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([f"'{c}" if c[:1] in "=+-@" and not _is_number(c) else c for c in cells])
    return out.getvalue()


def _is_number(text: str) -> bool:
    try:
        float(text)
        return True
    except ValueError:
        return False
