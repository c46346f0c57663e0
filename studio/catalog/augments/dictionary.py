"""Pipelines as albumentations' own dictionaries, JSON or YAML: read as data. A name that is not in the catalogue is never looked up or run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from studio.catalog.augments.catalog import COMPOSITIONS, Param, Transform, catalog, left_out
from studio.catalog.augments.check import step_problems, value_problem
from studio.catalog.augments.default import SIZE_PARAMS, completed
from studio.core.experiment import TransformSpec, plain_value
from studio.core.problem import BadInput, error

MOST_BYTES = 1 << 20
MOST_NODES = 20_000  # a file with anchors can unfold to more than it holds
# What Studio does itself, after all steps: an import goes on without them.
OWN_STEPS = ("Normalize", "ToTensorV2", "ToFloat", "NoOp")
# The nearest to Studio's own rule of resizing: off by 0.05 of 255 levels on photographs, where area averaging with the cubic filter is off by 0.9.
_LINEAR = {"interpolation": 1, "area_for_downscale": None}
_COMPOSE_KEYS = {
    "transforms", "p", "bbox_params", "keypoint_params", "additional_targets", "is_check_shapes", "strict", "mask_interpolation", "seed",
    "save_applied_params",
}  # fmt: skip


@dataclass
class Imported:
    """The steps of a file, and in words what was left out of it because Studio does it anyway."""

    steps: tuple[TransformSpec, ...] = ()
    notes: list[str] = field(default_factory=list)


def import_dictionary(text: str, input_size: int = 224) -> Imported:
    """Steps from the JSON or YAML text of `albumentations.to_dict`. Raises BadInput with every problem, each with its line."""
    root = _parsed(text)
    found, problems = Imported(), []
    transform = root.get("transform", root) if isinstance(root, _Table) else None
    if not isinstance(transform, _Table) or "__class_fullname__" not in transform:
        raise BadInput("This is no pipeline of albumentations: there is no “transform” with a “__class_fullname__” in it.")
    for key in root if transform is not root else ():
        if key not in ("__version__", "transform"):
            problems.append(_at(root.lines[key], f"“{key}” is not known here."))
    name = _class_name(transform, problems)
    if name == "Compose":
        for key, value in transform.items():
            if key != "__class_fullname__" and key not in _COMPOSE_KEYS:
                problems.append(_at(transform.lines[key], f"Compose has no “{key}”."))
            elif key in ("bbox_params", "keypoint_params", "additional_targets") and value:
                problems.append(_at(transform.lines[key], f"{key} cannot be used: there are only images here."))
        if transform.get("p", 1.0) != 1.0:
            problems.append(_at(transform.lines["p"], "a pipeline with a probability of its own cannot be used; give it to its steps."))
        children = transform.get("transforms")
    else:
        children = _List([transform], [transform.line])
    found.steps = _steps(children, transform.line, input_size, found.notes, problems)
    if problems:
        raise BadInput(*problems)
    return found


def export_dictionary(steps: tuple[TransformSpec, ...], input_size: int) -> dict[str, Any]:
    """What `albumentations.from_dict` loads: the steps that are on. Raises BadInput for steps that albumentations does not have.

    A crop that resizes by Studio's own rule is written with the linear filter; only `pipeline_code` gives the very same pictures.
    """
    transforms = [_as_dictionary(step, input_size) for step in steps if step.is_on]
    compose = {"__class_fullname__": "Compose", "p": 1.0, "transforms": transforms, "bbox_params": None, "keypoint_params": None}
    return {"__version__": "2.0.8", "transform": compose | {"additional_targets": {}, "is_check_shapes": True}}


def export_text(steps: tuple[TransformSpec, ...], input_size: int, ending: str) -> str:
    """As JSON (".json") or YAML (".yaml", ".yml")."""
    raw = json.loads(json.dumps(export_dictionary(steps, input_size)))  # lists for tuples
    if ending.lower() == ".json":
        return json.dumps(raw, indent=2) + "\n"
    import yaml

    return yaml.safe_dump(raw, sort_keys=False)


def _as_dictionary(step: TransformSpec, input_size: int) -> dict[str, Any]:
    known = catalog().get(step.name)
    if known is None or known.group == "policies":
        raise BadInput(f"{step.name} is not a transform of albumentations. Export Python code instead, or remove it.")
    head = {"__class_fullname__": step.name, "p": step.p}
    if step.name in COMPOSITIONS:
        return head | step.params | {"transforms": [_as_dictionary(child, input_size) for child in step.of if child.is_on]}
    return head | completed(step.name, step.params, input_size) | (_LINEAR if reads_as_validation(step) else {})


def reads_as_validation(step: TransformSpec) -> bool:
    """Whether it resizes by Studio's own rule, which albumentations lacks (catalog.augments.view)."""
    return step.name == "RandomResizedCrop" and step.params.get("area_for_downscale") is not None


# Reading


class _Table(dict):
    """A mapping that knows its own line and those of its keys."""

    line = 1

    def __init__(self):
        super().__init__()
        self.lines: dict[str, int] = {}


class _List(list):
    def __init__(self, values, lines):
        super().__init__(values)
        self.lines = lines


def _at(line: int, sentence: str):
    return error("", f"Line {line}: {sentence}")


def _parsed(text: str) -> Any:
    """Plain data with lines. JSON is read as YAML, which it is but for some numbers. Raises BadInput."""
    import yaml

    if len(text) > MOST_BYTES:
        raise BadInput("The file is larger than 1 MB: this is no pipeline.")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return _plain(node, [0], 0)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"Line {mark.line + 1}: " if mark else ""
        raise BadInput(f"{where}this is neither JSON nor YAML ({getattr(exc, 'problem', '') or 'unreadable characters'}).") from None
    except (RecursionError, ValueError) as exc:
        raise BadInput(f"The file cannot be read: {exc}.") from None


def _plain(node: Any, count: list[int], depth: int) -> Any:
    import yaml

    count[0] += 1
    if node is None:
        return None
    line = node.start_mark.line + 1
    if count[0] > MOST_NODES or depth > 32:
        raise ValueError("it is nested too deep, or unfolds to too much")
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        raise BadInput(_at(line, f"“{node.tag.rpartition(':')[2][:60]}” names Python code, which is never run from a file."))
    if isinstance(node, yaml.MappingNode):
        table = _Table()
        table.line = line
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if key in table:
                raise BadInput(_at(key_node.start_mark.line + 1, f"“{key}” stands there twice."))
            table[key] = _plain(value_node, count, depth + 1)
            table.lines[key] = key_node.start_mark.line + 1
        return table
    if isinstance(node, yaml.SequenceNode):
        return _List([_plain(each, count, depth + 1) for each in node.value], [each.start_mark.line + 1 for each in node.value])
    value = yaml.SafeLoader("").construct_object(node, deep=True)
    if isinstance(value, str) and node.style is None:
        try:
            return float(value)  # 1e-05 is a number in JSON and a word in YAML 1.1
        except ValueError:
            return value
    return value


def _class_name(table: _Table, problems: list) -> str:
    raw = table.get("__class_fullname__")
    line = table.lines.get("__class_fullname__", table.line)
    if not isinstance(raw, str):
        problems.append(_at(line, "there is no “__class_fullname__” with the name of a transform."))
        return ""
    package, dot, name = raw.rpartition(".")
    if dot and package.partition(".")[0] != "albumentations":
        problems.append(_at(line, f"“{raw[:80]}” is a path to code. Only the transforms of the catalogue are read, by their names."))
        return ""
    return name


def _steps(children: Any, line: int, input_size: int, notes: list[str], problems: list) -> tuple[TransformSpec, ...]:
    if not isinstance(children, _List):
        problems.append(_at(line, "there is no list of “transforms”."))
        return ()
    found = []
    for table, where in zip(children, children.lines, strict=True):
        if not isinstance(table, _Table):
            problems.append(_at(where, "a transform with “__class_fullname__” was expected."))
        elif step := _step(table, input_size, notes, problems):
            found.append(step)
    return tuple(found)


def _step(table: _Table, input_size: int, notes: list[str], problems: list) -> TransformSpec | None:
    before = len(problems)
    name = _class_name(table, problems)
    if not name:
        return None
    line = table.lines["__class_fullname__"]
    if name in OWN_STEPS:
        notes.append(f"{name} (line {line}) is left out: {left_out().get(name, 'Studio does it itself')}.")
        return None
    known = catalog().get(name)
    if known is None:
        problems.append(_at(line, step_problems(TransformSpec.model_construct(name=name[:60]), "")[0].sentence))
        return None
    p = table.get("p", known.p)
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        problems.append(_at(table.lines["p"], f"the probability {p!r} of {name} is not between 0 and 1."))
    children: tuple[TransformSpec, ...] = ()
    if name in COMPOSITIONS:
        children = _steps(table.get("transforms"), line, input_size, notes, problems)
    params = {}
    for key, value in table.items():
        if key in ("__class_fullname__", "p", "strict") or key in known.unused or (key == "transforms" and name in COMPOSITIONS):
            continue
        param = known.param(key)
        if param is None:
            sentence = step_problems(TransformSpec(name=name, params={key: 0}, of=(TransformSpec(),) if children else ()), "")[0].sentence
            problems.append(_at(table.lines[key], sentence))
        elif value is not None:
            _take(known, param, value, table.lines[key], input_size, params, problems)
        elif param.default is not None:
            problems.append(_at(table.lines[key], f"{name}, {param.title.lower()}: it must have a value."))
    if len(problems) > before:
        return None
    step = TransformSpec(name=name, p=float(p), params=params, of=children)
    problems += [_at(line, problem.sentence) for problem in step_problems(step, "")]
    return step


def _take(known: Transform, param: Param, value: Any, line: int, input_size: int, params: dict[str, Any], problems: list) -> None:
    """Put the value among the parameters unless it is the default."""
    if param.kind == "range" and isinstance(value, _Table) and value.keys() <= {"x", "y"}:
        if value.get("x") != value.get("y"):
            problems.append(_at(line, f"{known.title}, {param.title.lower()}: different ranges for x and y are not offered."))
            return
        value = value["x"]
        if param.default is None and list(value) == [0, 0]:
            return  # how the library writes “not set”
    try:
        plain = plain_value(dict(value) if isinstance(value, _Table) else value)
    except ValueError as exc:
        problems.append(_at(line, f"{known.title}, {param.title.lower()}: {exc}."))
        return
    plain = _typed(param, plain)
    if param.kind == "range" and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        problems.append(_at(line, f"{known.title}, {param.title.lower()}: write the range as two numbers, [low, high]."))
    elif sentence := value_problem(param, plain):
        problems.append(_at(line, f"{known.title}, {param.title.lower()}: {sentence}"))
    elif not _is_default(known, param, plain, input_size):
        params[param.name] = plain


def _is_default(known: Transform, param: Param, value: Any, input_size: int) -> bool:
    if param.name in SIZE_PARAMS.get(known.name, ()):
        return value in (input_size, (input_size, input_size))
    return value == param.default and isinstance(value, bool) == isinstance(param.default, bool)


def _typed(param: Param, value: Any) -> Any:
    """Whole numbers where whole numbers are meant: 3.0 is 3."""
    if isinstance(value, tuple):
        return tuple(_typed(param, each) for each in value)
    return int(value) if param.is_whole and isinstance(value, float) and value == int(value) else value
