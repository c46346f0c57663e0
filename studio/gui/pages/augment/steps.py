"""Changes of a pipeline: pure functions from steps to steps. No Qt.

A step is named by its path: (2,) is the third step, (2, 0) the first choice of the third step where that is a One of or the like.
"""

from __future__ import annotations

from studio.catalog.augments.catalog import COMPOSITIONS, catalog
from studio.core.experiment import TransformSpec

Path = tuple[int, ...]
Steps = tuple[TransformSpec, ...]


_FIRST_CHOICES = ("GaussianBlur", "GaussNoise")  # a group that is empty cannot run


def new_step(name: str) -> TransformSpec:
    """A step as it is added: at its defaults, a group with two choices. Raises KeyError for a name that is not in the catalogue."""
    children = _FIRST_CHOICES if name in COMPOSITIONS else ()
    return TransformSpec(name=name, p=catalog()[name].p, of=tuple(TransformSpec(name=each) for each in children))


def step_at(steps: Steps, path: Path) -> TransformSpec | None:
    """The step at a path; None where there is none."""
    found = None
    for index in path:
        if not 0 <= index < len(steps):
            return None
        found = steps[index]
        steps = found.of
    return found


def replaced(steps: Steps, path: Path, *new: TransformSpec) -> Steps:
    """The steps with the one at `path` replaced by none, one or several."""
    index = path[0]
    if len(path) > 1:
        new = (_with(steps[index], of=replaced(steps[index].of, path[1:], *new)),)
    return (*steps[:index], *new, *steps[index + 1 :])


def changed(steps: Steps, path: Path, **values) -> Steps:
    """The steps with fields of one of them changed: is_on, p, params or of."""
    return replaced(steps, path, _with(step_at(steps, path), **values))


def inserted(steps: Steps, path: Path, *new: TransformSpec) -> Steps:
    """The steps with others put in before `path`; a path one beyond the last step appends."""
    index = path[0]
    if len(path) > 1:
        return changed(steps, path[:1], of=inserted(steps[index].of, path[1:], *new))
    return (*steps[:index], *new, *steps[index:])


def moved(steps: Steps, path: Path, to: int) -> Steps:
    """The steps with the one at `path` at position `to` among its neighbours."""
    step = step_at(steps, path)
    rest = replaced(steps, path)
    return inserted(rest, (*path[:-1], to), step)


def with_param(step: TransformSpec, name: str, value: object, default: object) -> dict[str, object]:
    """The parameters of a step with one changed; a parameter at its default is left out."""
    params = {key: each for key, each in step.params.items() if key != name}
    if _plain(value) != _plain(default):
        params[name] = value
    return params


def _with(step: TransformSpec, **values) -> TransformSpec:
    return TransformSpec(**{"name": step.name, "is_on": step.is_on, "p": step.p, "params": step.params, "of": step.of} | values)


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return tuple(_plain(each) for each in value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return float(value)
