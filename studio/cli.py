"""The `studio` command: alone it opens the window, with a word it does the same work without one.

Exit codes: 0 done, 1 failed, 2 bad input, 3 stopped before the end. An error is a sentence with a way out, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from importlib import import_module
from typing import NoReturn

DONE, FAILED, BAD_INPUT, STOPPED = range(4)

# Each is a module of studio.command (find-rate in find_rate.py) with `add_arguments(parser)` and `run(args) -> exit code`; only the chosen one is imported.
COMMANDS = {
    "train": "train a classifier on a folder of images",
    "sweep": "train with several values of one or two settings, and compare",
    "edit": "change settings of a run while it goes on",
    "tell": "pause, resume, save or stop a run that goes on",
    "find-rate": "try rising learning rates and suggest one",
    "init": "write an experiment file with all settings and their meaning",
    "evaluate": "score a trained run on labelled images",
    "predict": "say what is in new images",
    "export": "write a trained network as ONNX or safetensors",
    "runs": "list the runs",
    "doctor": "look at this computer: device, versions, disk, weights",
    "weights": "list and download pretrained weights",
    "sample": "write a sample data set and say where it is",
    "screenshots": "draw every page of the window into a folder",
}


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or (argv[0] in ("--data", "--runs") or argv[0] not in COMMANDS and os.path.exists(argv[0])):
        return _open_window(argv)
    from studio.command import terminal

    terminal.prepare()
    name, *rest = argv
    if name in ("-h", "--help", "help"):
        terminal.say(_overview())
        return DONE
    if name == "--version":
        from studio import __version__

        terminal.say(f"studio {__version__}")
        return DONE
    if name not in COMMANDS:
        terminal.complain(f"“{terminal.safe(name)}” is not a command. There are: {', '.join(COMMANDS)}; `studio` alone opens the window.")
        return BAD_INPUT
    return _run(name, rest)


def _open_window(argv: list[str]) -> int:
    """`studio`, `studio FOLDER`, `studio --data FOLDER --runs DIR`."""
    if argv:
        parser = argparse.ArgumentParser(prog="studio")
        parser.add_argument("path", nargs="?", help="a folder of images, a CSV or an experiment file to open")
        parser.add_argument("--data", help="the same")
        parser.add_argument("--runs", help="folder with the runs (default: your own)")
        args = parser.parse_args(argv)
        if args.runs:
            os.environ["STUDIO_RUNS"] = os.path.abspath(args.runs)
        argv = [p for p in (args.data or args.path,) if p]
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        from studio.command import terminal

        terminal.prepare()
        terminal.complain("There is no display here to open a window on. `studio --help` lists the commands that need none.")
        return FAILED
    from studio.gui.app import main as open_window

    return open_window(argv)


def _run(name: str, argv: list[str]) -> int:
    from studio.command import terminal
    from studio.core.problem import BadInput

    wants_json = "--json" in argv
    try:
        command = import_module(f"studio.command.{name.replace('-', '_')}")
        parser = _Parser(prog=f"studio {name}", description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_arguments(parser)
        with warnings.catch_warnings():
            if not sys.warnoptions:  # what libraries say to programmers is not for the terminal
                warnings.simplefilter("ignore")
            return command.run(parser.parse_args(argv))
    except BadInput as exc:
        terminal.complain_all(exc.problems)
        if wants_json:
            found = [{"field": p.field, "sentence": p.sentence, "severity": p.severity.value} for p in exc.problems]
            terminal.say_json({"status": "bad input", "problems": found})
        return BAD_INPUT
    except terminal.Failed as exc:
        terminal.complain(str(exc))
        if wants_json:
            terminal.say_json({"status": "failed", "problems": [{"field": "", "sentence": str(exc)}]})
        return FAILED
    except KeyboardInterrupt:
        terminal.complain("Stopped.")
        if wants_json:
            terminal.say_json({"status": "stopped", "problems": []})
        return STOPPED
    except Exception as exc:  # the outermost layer: the trace goes to a file, a sentence to the person
        terminal.complain(terminal.unexpected(exc))
        if wants_json:
            terminal.say_json({"status": "failed", "problems": [{"field": "", "sentence": f"{type(exc).__name__}: {exc}"}]})
        return FAILED
    finally:
        terminal.finish()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from studio.core.problem import BadInput

        if (meant := _setting_meant(message)) and any(action.dest == "set" for action in self._actions):
            raise BadInput(f"{message[0].upper()}{message[1:]}. Settings are written as --set {meant}=VALUE.")
        raise BadInput(f"{message[0].upper()}{message[1:]}. `{self.prog} --help` shows how it is used.")


def _setting_meant(message: str) -> str:
    """The setting that an unknown option names: schedule.epochs for --epochs; "" for none."""
    beginning, _, options = message.partition(": ")
    if beginning != "unrecognized arguments" or not options.startswith("--"):
        return ""
    from studio.core.experiment import SECTIONS, Experiment

    name = options.split()[0].removeprefix("--").partition("=")[0].replace("-", "_")
    return next((f"{part}.{name}" for part in SECTIONS if name in type(getattr(Experiment(), part)).model_fields), "")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  studio {name:<{width}}  {help_}" for name, help_ in COMMANDS.items()]
    return "\n".join(
        [
            "Fine-tune pretrained image classifiers.",
            "",
            f"  studio {'':<{width}}  open the window",
            *lines,
            "",
            "`studio COMMAND --help` says more.",
        ]
    )
