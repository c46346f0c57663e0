"""Steps in words: what a transform is called, and what its parameters come to in one line. No Qt."""

from __future__ import annotations

from studio.catalog.augments.catalog import catalog
from studio.core.experiment import TransformSpec
from studio.core.path_text import shown
from studio.core.words import format_number

_NAMES = ("Gaussian", "Planckian")  # of people


def title_of(name: str) -> str:
    """What a transform is called; its own name where the catalogue does not have it."""
    entry = catalog().get(name)
    return entry.title if entry is not None else shown(name)


def value_in_words(value: object) -> str:
    """A parameter's value as short as it reads well."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return format_number(value if isinstance(value, int) else float(f"{value:.3g}"))
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
            low, high = value
            if low == high:
                return value_in_words(low)
            if low == -high and high > 0:
                return f"±{value_in_words(high)}"
            return f"{value_in_words(low)} to {value_in_words(high)}"
        return ", ".join(value_in_words(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {value_in_words(each)}" for key, each in value.items())
    return "none" if value is None else str(value).replace("_", " ")


def detail_of(step: TransformSpec) -> str:
    """One line under a step's title: what was set, or that it is as it comes."""
    if step.of:
        return ", ".join(lower_first(title_of(each.name)) for each in step.of if each.is_on) or "nothing to choose from"
    entry = catalog().get(step.name)
    if entry is None:
        return "not in the catalogue"
    parts = []
    for param in entry.params:
        value = step.params.get(param.name, param.default)
        is_set = param.name in step.params
        if param.kind in ("range", "number") and value is not None and (is_set or not step.params and param.kind == "range"):
            unit = f"\N{NO-BREAK SPACE}{param.unit}" if param.unit not in ("", "°") else param.unit
            parts.append(f"{lower_first(param.title)} {value_in_words(value)}{unit}")
    return ", ".join(parts) or lower_first(entry.help.partition(". ")[0].rstrip("."))


def lower_first(title: str) -> str:
    """A title inside a sentence: "Colour jitter" -> "colour jitter", but "CLAHE", "ISO noise", "MixUp"."""
    first = title.partition(" ")[0]
    return title if first[1:] != first[1:].lower() or first in _NAMES else title[:1].lower() + title[1:]
