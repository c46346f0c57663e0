"""Experiments on disk: commented TOML with a schema version, and the migrations that read older files."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from studio.core.experiment import SCHEMA_VERSION, SECTIONS, Experiment, bounds, choices, field_info, parse_experiment
from studio.core.file import write_atomically
from studio.core.problem import BadInput, error

MAX_BYTES = 16 * 2**20  # a project with a million relabelled files stays below; anything larger is not an experiment

_FIRST = "# An experiment of Studio. Its last line is “# end”: without that, the file was cut short."
_LAST = "# end"

# MIGRATIONS[n] turns the plain data of schema n into that of schema n + 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def read_experiment(path: str | os.PathLike) -> Experiment:
    """Read and validate. Raises BadInput with every problem; nothing is half-loaded."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path} is larger than 16 MB: this is not an experiment file.")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}. Check the spelling; `studio init --data DIR` writes a new one.") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder. Give an experiment file, or use --data for a folder of images.") from None
    except UnicodeDecodeError as exc:
        raise BadInput(f"{path} is not a text file (byte {exc.start} is not UTF-8).") from None
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}.") from None
    if not text.strip("\0 \t\r\n"):
        raise BadInput(f"{path} is empty; its content was lost. Take an earlier copy, or `studio init` writes a new one.")
    try:
        return experiment_from_toml(text)
    except BadInput as exc:
        raise BadInput(*(error(p.field, f"{p.sentence} ({path.name}{_line_of(text, p.field)})") for p in exc.problems)) from None


def experiment_from_toml(text: str) -> Experiment:
    """Parse TOML text. Raises BadInput with line or field."""
    if text and _FIRST.startswith(text[: len(_FIRST)]) and f"\n{_LAST}" not in text:
        end = text.count("\n") + (not text.endswith("\n"))
        raise BadInput(
            f"The file ends at line {end}: it was cut short, and what it still says is not all that it said. Take an earlier copy."
        )
    try:
        raw = _by_lines(text) or tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as exc:
        raise BadInput(f"The file is not valid TOML: {exc}. Mend that line, or compare with what `studio init` writes.") from None
    version = raw.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version < 1:
        raise BadInput(error("schema_version", f"{version!r} is not a version number."))
    if version > SCHEMA_VERSION:
        raise BadInput(
            error(
                "schema_version",
                f"the file was written by a newer Studio (schema {version}, this one reads {SCHEMA_VERSION}). Update Studio to read it.",
            )
        )
    for step in range(version, SCHEMA_VERSION):
        raw = MIGRATIONS[step](raw)
    return parse_experiment(raw)


_HEADER = re.compile(r"\[(\w+)\]", re.ASCII)
_VALUE = re.compile(r"(\w+) = ", re.ASCII)
_LONG_LINE = 300  # characters; longer ones, with the files that a person relabelled, are not kept


def _by_lines(text: str) -> dict[str, Any] | None:
    """What `tomllib` makes of a file that `experiment_to_toml` wrote, at a tenth of its time: runs share most of their lines, and thousands are
    listed. Where each line is TOML by itself, the file is what its lines say; None where one is not, or says something twice. The values are
    shared by all callers."""
    raw: dict[str, Any] = {}
    part = raw
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line or line.startswith("#") and line.isprintable():
            continue
        if header := _HEADER.fullmatch(line):
            if header[1] in raw:
                return None
            part = raw[header[1]] = {}
            continue
        name = _VALUE.match(line)
        value = (_value_of(line) if len(line) <= _LONG_LINE else _parsed(line)) if name else None
        if value is None or name[1] in part:
            return None
        part[name[1]] = value[0]
    return raw


def _parsed(line: str) -> tuple[Any] | None:
    try:
        return tuple(tomllib.loads(line).values())
    except (ValueError, RecursionError):
        return None


_value_of = lru_cache(maxsize=2048)(_parsed)


def experiment_to_toml(experiment: Experiment) -> str:
    """TOML in which every setting carries its help, choices, bounds and unit as a comment. Linear in the number of edited files."""
    lines = [_FIRST, "", f"schema_version = {experiment.schema_version}", f"name = {_as_toml(experiment.name)}"]
    for section in SECTIONS:
        spec = getattr(experiment, section)
        lines += ["", f"[{section}]", f"# {type(spec).__doc__.strip().splitlines()[0]}"]
        for name in type(spec).model_fields:
            lines += ["", f"# {_comment(f'{section}.{name}')}", f"{name} = {_as_toml(getattr(spec, name))}"]
    return "\n".join([*lines, "", _LAST]) + "\n"


def fields_to_toml(experiment: Experiment, paths: Sequence[str]) -> str:
    """Some settings as a part of an experiment file, each section in its place."""
    lines = []
    for section in SECTIONS:
        names = [path.partition(".")[2] for path in paths if path.startswith(f"{section}.")]
        if names:
            spec = getattr(experiment, section)
            lines += ["", f"[{section}]", *(f"{name} = {_as_toml(getattr(spec, name))}" for name in names)]
    return "\n".join(lines[1:]) + "\n"


def write_experiment(experiment: Experiment, path: str | os.PathLike) -> None:
    """Write atomically: a reader sees the old file or the new one."""
    write_atomically(path, experiment_to_toml(experiment).encode())


def _as_toml(value: Any) -> str:
    """One value, on one line. A library that keeps comments takes minutes for the thousands of files that a person may relabel."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")  # JSON's strings are TOML's but for this character
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_toml(key)} = {_as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    return repr(value)


def _comment(path: str) -> str:
    info = field_info(path)
    facts = []
    if options := choices(path):
        facts.append("one of " + ", ".join(str(o) for o in options))
    low, high = bounds(path)
    if low is not None or high is not None:
        facts.append(f"{'' if low is None else format(low, 'g')} to {'' if high is None else format(high, 'g')}")
    if unit := info.json_schema_extra["unit"]:
        facts.append(unit)
    return info.description + (f" [{'; '.join(facts)}]" if facts else "")


def _line_of(text: str, field: str) -> str:
    """ ", line 12" for a field that stands in the text; empty when it cannot be found."""
    section, _, name = field.partition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.strip("[] ")
            if not name and current == section:
                return f", line {number}"
        key = stripped.partition("=")[0].strip().strip("\"'")
        if (current == section and name and key == name.split(".")[0]) or (not current and not name and key == section):
            return f", line {number}"
    return ""
