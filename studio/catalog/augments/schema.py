"""Makes resources/augments.json from the schemas and docstrings of the installed albumentations: `python -m studio.catalog.augments.schema`.

The window reads that file, so that the page is there at once without the library; a test sees to it that the two are equal.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import types
import warnings
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from studio.catalog.augments.default import OUR_DEFAULTS, SIZE_PARAMS, completed
from studio.catalog.augments.schema_help import HELPS
from studio.catalog.augments.schema_words import (
    BOUNDS,
    CHOICE_TITLES,
    GROUPS,
    LEFT_OUT,
    PARAM_TITLES,
    POLICY_TEXTS,
    SOFT,
    TITLES,
    UNITS,
    UNUSED_PARAMS,
)  # fmt: skip


def build_catalog() -> dict[str, Any]:
    """The whole catalogue as plain data."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as alb

    classes = {}
    for name in sorted(vars(alb)):
        found = getattr(alb, name)
        if inspect.isclass(found) and issubclass(found, (alb.ImageOnlyTransform, alb.DualTransform)):
            classes[name] = found
    abstract = {"DualTransform", "ImageOnlyTransform"}
    transforms = [_transform(name, cls) for name, cls in classes.items() if name not in abstract and name not in LEFT_OUT]
    transforms += [_composition(name, *texts) for name, texts in POLICY_TEXTS["compositions"].items()]
    transforms += [_policy(name, *texts) for name, texts in POLICY_TEXTS["policies"].items()]
    left_out = {name: LEFT_OUT[name] for name in classes if name in LEFT_OUT}
    return {"albumentations": alb.__version__, "transforms": transforms, "left_out": left_out}


def _transform(name: str, cls: type) -> dict[str, Any]:
    schema, signature = cls.InitSchema, inspect.signature(cls.__init__)
    document = inspect.getdoc(cls) or ""
    helps = _argument_helps(document)
    defaults = _defaults(name, cls, signature)
    params, unused = [], _leftovers(name, cls)
    for field, info in schema.model_fields.items():
        if field in ("p", "strict"):
            continue
        if field in UNUSED_PARAMS or f"{name}.{field}" in UNUSED_PARAMS:
            unused.append(field)
            continue
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        params.append(_param(name, field, annotation, defaults[field], helps.get(field, ""), field in SIZE_PARAMS.get(name, ())))
    return {
        "name": name,
        "title": TITLES.get(name) or _spaced(name),
        "group": _group(name, cls),
        "help": HELPS.get(name) or _first_paragraph(document),
        "p": 1.0 if name in SIZE_PARAMS else 0.5,
        "params": params,
        "unused": unused,
    }


def _composition(name: str, title: str, help_: str, params: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "title": title, "group": "combine", "help": help_, "p": 0.5, "params": params, "unused": []}


def _policy(name: str, title: str, help_: str, params: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "title": title, "group": "policies", "help": help_, "p": 1.0, "params": params, "unused": []}


def _defaults(name: str, cls: type, signature: inspect.Signature) -> dict[str, Any]:
    """Every default; a scalar that stands for a range is the range that the schema makes of it, if the schema takes that for the same."""
    given = {key: p.default for key, p in signature.parameters.items() if key != "self" and p.default is not inspect.Parameter.empty}
    given |= OUR_DEFAULTS.get(name, {}) | {"strict": True}
    for size in SIZE_PARAMS.get(name, ()):
        given[size] = (224, 224) if size == "size" else 224
    given = {key: value for key, value in given.items() if key in cls.InitSchema.model_fields}
    made = cls.InitSchema(**given).model_dump()
    ranges = {key: made[key] for key, value in given.items() if isinstance(value, (int, float)) and isinstance(made[key], tuple)}
    if cls.InitSchema(**(given | ranges)).model_dump() != made:
        raise ValueError(f"the ranges of {name} mean something else: {ranges}")
    return given | ranges


def _leftovers(name: str, cls: type) -> list[str]:
    """What the library writes into its dictionaries beside the parameters: arguments of base classes that have no effect."""
    with warnings.catch_warnings(action="ignore"):
        written = cls(**completed(name, {}, 64)).to_dict()["transform"]
    return sorted(written.keys() - cls.InitSchema.model_fields.keys() - {"__class_fullname__", "p"})


def _param(owner: str, name: str, annotation: Any, default: Any, help_: str, is_input_size: bool) -> dict[str, Any]:
    types_, bounds, checks = _flat(annotation)
    is_optional = type(None) in types_
    types_ = [t for t in types_ if t is not type(None)]
    found: dict[str, Any] = {"name": name, "title": PARAM_TITLES.get(name) or _param_title(name), "help": help_, "default": _plain(default)}
    key = f"{owner}.{name}"
    found["title"] = PARAM_TITLES.get(key, found["title"])
    literals = [value for t in types_ if get_origin(t) is Literal for value in get_args(t)]
    if literals:
        is_optional = is_optional or None in literals
        literals = [value for value in literals if value is not None]
    if is_input_size:
        found |= {"kind": "input size"}
    elif name in ("fill", "drop_value", "color", "drop_color", "src_color"):
        words = [{"value": v, "title": CHOICE_TITLES.get(v, str(v))} for v in literals]
        found |= {"kind": "colour", "choices": words, "low": 0, "high": 255}
    elif literals and all(get_origin(t) is Literal for t in types_):
        found |= {
            "kind": "choice",
            "choices": [{"value": v, "title": CHOICE_TITLES.get((key, v)) or _choice_title(name, v)} for v in literals],
        }
    elif name == "interpolation_pair":
        pairs = [{"downscale": d, "upscale": u} for d, u in ((0, 0), (3, 1), (3, 2), (1, 1))]
        found |= {"kind": "choice", "choices": [{"value": p, "title": f"{_choice_title('interpolation', p['downscale'])}, then "
                  f"{_choice_title('interpolation', p['upscale']).lower()}"} for p in pairs]}  # fmt: skip
    elif bool in types_:
        found |= {"kind": "switch"}
    else:
        found |= _numbers(key, types_, bounds, checks, found["default"])
    found["is_optional"] = bool(is_optional)
    found["unit"] = UNITS.get(key, UNITS.get(name, ""))
    if is_optional and name in ("translate_percent", "translate_px", "px"):
        found |= {"kind": "range"}
    return found


def _numbers(key: str, types_: list[Any], bounds: dict[str, float], checks: set[str], default: Any) -> dict[str, Any]:
    tuples = [t for t in types_ if get_origin(t) is tuple]
    if int in types_ and any(len(get_args(t)) == 4 for t in tuples):
        tuples = []  # one number for all four sides says it
    is_long = any(len(get_args(t)) == 4 for t in tuples) and not any(len(get_args(t)) == 2 for t in tuples)
    name = key.partition(".")[2]
    is_range = bool(tuples) and (
        int in types_
        or float in types_
        or "nondecreasing" in checks
        or re.search("range|limit|scale|ratio|alpha|strength|lightness|amount", name) is not None
    )
    is_range = is_range or name in ("cutoff", "salt_vs_pepper", "intensity", "color_shift", "p_replace", "num_bits", "nb_rows", "nb_cols")
    kind = "box" if is_long else "range" if is_range and tuples else "pair" if tuples else "number"
    is_whole = not any(float in (t, *get_args(t)) for t in types_) or "float2int" in checks
    if key in ("HueSaturationValue.hue_shift_limit",):
        is_whole = False
    low, high = BOUNDS.get(key, (bounds.get("low"), bounds.get("high")))
    if "process_non_negative_range" in checks or "convert_to_0plus_range" in checks:
        low = low or 0
    if "convert_to_1plus_range" in checks:
        low = max(1, low or 1)
    soft_low, soft_high = SOFT.get(key, SOFT.get(name, _soft(default, low, high, is_whole)))
    if bounds.get("low_open") and soft_low == low:
        soft_low = low + 1 if is_whole else round(low + (soft_high - low) / 100, 6)
    return {
        "kind": kind, "is_whole": is_whole, "low": low, "high": high, "is_low_open": bool(bounds.get("low_open")),
        "is_high_open": bool(bounds.get("high_open")), "slider": [soft_low, soft_high],
    }  # fmt: skip


def _soft(default: Any, low: float | None, high: float | None, is_whole: bool) -> tuple[float, float]:
    """Where a slider ends: the bounds, or three times the default."""
    values = [abs(v) for v in (default if isinstance(default, (list, tuple)) else [default]) if isinstance(v, (int, float))]
    reach = 3 * max(values, default=1) or 1
    has_negative = any(v < 0 for v in (default if isinstance(default, (list, tuple)) else [default]) if isinstance(v, (int, float)))
    ends = (-reach if has_negative else 0) if low is None else low, round(reach, 6) if high is None else high
    return tuple(int(e) if is_whole else float(e) for e in ends)


def _flat(annotation: Any) -> tuple[list[Any], dict[str, float], set[str]]:
    """The types of a union, the bounds that hold for the numbers, and the names of the validators."""
    types_: list[Any] = []
    bounds: dict[str, float] = {}
    checks: set[str] = set()
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *rules = get_args(annotation)
        types_, bounds, checks = _flat(base)
        for rule in rules:
            for rule_name, key, is_open in (("ge", "low", False), ("gt", "low", True), ("le", "high", False), ("lt", "high", True)):
                if hasattr(rule, rule_name):
                    bounds |= {key: getattr(rule, rule_name)} | ({f"{key}_open": True} if is_open else {})
            function = getattr(rule, "func", None)
            if function is not None:
                checks.add(function.__name__)
                if function.__qualname__.startswith("check_range_bounds"):
                    cells = inspect.getclosurevars(function).nonlocals
                    bounds |= {"low": cells["min_val"]} | ({} if cells.get("max_val") is None else {"high": cells["max_val"]})
                    bounds |= ({} if cells["min_inclusive"] else {"low_open": True}) | (
                        {} if cells.get("max_inclusive", True) else {"high_open": True}
                    )
    elif origin in (Union, types.UnionType):
        for each in get_args(annotation):
            more, more_bounds, more_checks = _flat(each)
            types_ += more
            bounds |= more_bounds
            checks |= more_checks
    else:
        types_ = [annotation]
    return types_, bounds, checks


# Words


def _argument_helps(document: str) -> dict[str, str]:
    """The first sentences of every argument in the Args section of a docstring in Google's style."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", document, re.S | re.M)
    found: dict[str, str] = {}
    if section:
        for match in re.finditer(r"^    (\w+)\s*(?:\(.*?\))?:\s*(.*?)(?=^    \w|\Z)", section[1], re.S | re.M):
            found[match[1]] = _sentences(match[2])
    return found


def _sentences(text: str) -> str:
    """Plain words of at most some 300 letters: no lists nor what announces them, no quotes of code."""
    text = re.split(r"\n\s*(?:[-*]|\d\.)\s", text)[0]
    text = re.sub(r"(?<=[.])\s+(?:Options|Can be|For example|Should contain)[^.]*:\s*$", "", text)
    text = re.sub(r"\s+", " ", text).replace("`", "").replace("*", "").strip()
    text = re.sub(r"\s*(?:Default(?:s to|:)|Should be one of).*$", "", text).strip()
    found = ""
    for sentence in re.split(r"(?<=[.])\s+", text):
        if found and len(found) + len(sentence) > 300:
            break
        found = f"{found} {sentence}".strip()
    return f"{found.rstrip(':. ')}." if found else ""


def _first_paragraph(document: str) -> str:
    return _sentences(re.split(r"\n\s*\n|\nArgs:", document)[0])


def _spaced(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).split()
    return " ".join([words[0], *(w if w.isupper() and len(w) > 1 else w.lower() for w in words[1:])])


def _param_title(name: str) -> str:
    words = re.sub(r"_(limit|range|prob|coef|coefficient)$", "", name).replace("_", " ")
    return words[:1].upper() + words[1:]


def _choice_title(param: str, value: Any) -> str:
    if param.endswith("interpolation") or param == "border_mode":
        return CHOICE_TITLES.get((param.rpartition("mask_")[2], value), str(value))
    return CHOICE_TITLES.get(value) or (str(value).replace("_", " ").capitalize() if isinstance(value, str) else str(value))


def _group(name: str, cls: type) -> str:
    if name in GROUPS:
        return GROUPS[name]
    module = cls.__module__.partition("augmentations.")[2]
    for start, group in (("blur", "blur and noise"), ("crops", "geometry"), ("geometric", "geometry"), ("dropout", "occlusion")):
        if module.startswith(start):
            return group
    return "colour"


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(getattr(key, "value", key)): _plain(each) for key, each in value.items()}
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    raise TypeError(f"{value!r} is no plain value")


def main() -> None:
    sys.stdout.write(json.dumps(build_catalog(), indent=1) + "\n")


if __name__ == "__main__":
    main()
