"""Why a value was refused: one of pydantic's errors as a sentence with a way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.fields import FieldInfo

from studio.core.problem import Problem, Repair, error
from studio.core.words import MINUS, format_number


def problem_of(e: dict[str, Any], info: FieldInfo | None, known: Sequence[str]) -> Problem:
    """`e`: one of ValidationError.errors(); `info`: the setting that it stands at, None for parts of a setting; `known`: as `near_setting` takes it."""
    path = ".".join(str(part) for part in e["loc"])
    value, ctx = e.get("input"), e.get("ctx", {})
    shown = f"“{value[:80]}”" if isinstance(value, str) else _as_typed(value)
    match e["type"]:
        case "extra_forbidden":
            sentence = f"This setting is not known; check its spelling or remove the line.{near_setting(path, known)}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
            key = next(k for k in words if k in ctx)
            sentence = f"{shown} is out of range; it must be {words[key]} {format_number(ctx[key])}."
        case "literal_error":
            sentence = f"{shown} is not one of {ctx['expected']}."
        case "finite_number":
            sentence = f"{shown} is not a finite number."
        case "int_parsing" | "int_type" | "int_from_float":
            sentence = f"{shown[:80]} is not a whole number."
        case "float_parsing" | "float_type":
            sentence = f"{shown[:80]} is not a number."
        case "bool_parsing" | "bool_type":
            sentence = f"{shown[:80]} is neither true nor false."
        case "value_error":
            sentence = f"{str(ctx['error']).rstrip('.')}."
        case "string_pattern_mismatch":
            sentence = f"{shown} is not understood{_description(info)}"
        case _:
            sentence = f"{shown[:80]} cannot be used: {e['msg'][0].lower()}{e['msg'][1:]}."
    return error(path, sentence, repair=_back_to_default(path, info))


def _as_typed(value: Any) -> str:
    """A number as the window writes it, where that is the same number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return repr(value)
    words = format_number(value)
    is_same = float(words.replace(MINUS, "-").replace(",", "")) == value
    return words if is_same else repr(value).replace("-", MINUS, 1 if value < 0 else 0)


def near_setting(path: str, known: Sequence[str]) -> str:
    """ " Did you mean schedule.peak_lr?" for a setting or section that is misspelt or lacks its section; "" where nothing is near.

    `known`: all there are, "section.field".
    """
    import difflib  # where something is wrong only

    near = [setting for setting in known if setting.partition(".")[2] == path.rpartition(".")[2]]
    sections = {setting.partition(".")[0] for setting in known}
    near = near or difflib.get_close_matches(path, known if "." in path else sorted(sections), n=1, cutoff=0.75)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _description(info: FieldInfo | None) -> str:
    """What a setting is, as the rest of a sentence; nothing more than its end for parts of a setting."""
    return f"; {info.description}" if info is not None else "."


def _back_to_default(path: str, info: FieldInfo | None) -> Repair | None:
    """What a setting that cannot be used is set to at a click; nothing for parts of a setting."""
    if info is None:
        return None
    default = info.default
    is_short = isinstance(default, (int, float, str)) and default != ""
    words = default if isinstance(default, str) else _as_typed(default)
    return Repair(f"Set to {words}" if is_short else "Set to the default", {path: default})
