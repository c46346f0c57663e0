"""Where a pretrained network can be cut, what it gives there, and a network that ends there.

A place to cut is the end of a stage: the last module of the stage that gives a feature map, tokens or a vector. It is found by one
forward pass with shapes only. A cut network is the library's own, name for name; it gives what that module gives, and the layers behind
it are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from studio.catalog.backbones.backbone import Stage
from studio.catalog.backbones.body import Body
from studio.catalog.backbones.passing import Given, before_the_next, last_output, pass_image
from studio.catalog.backbones.stage import make_stages
from studio.catalog.heads import Outlet
from studio.core.problem import BadInput, error

if TYPE_CHECKING:
    from torch import nn

_FULLY_CONNECTED = ("AlexNet", "VGG")  # networks whose layers behind the convolutions are known as FC6, FC7 and FC8


@dataclass(frozen=True, slots=True)
class CutPoint:
    """The end of a stage. Where it cannot be cut, `outlet` is None and `reason` says why.

    `module` is the last one that runs ("backbone.layer3"), `unused` are the modules that never run then.
    """

    stage: str
    title: str  # "after stage 3", "before FC7"
    outlet: Outlet | None
    reason: str = ""
    module: str = ""
    unused: tuple[str, ...] = ()


def cut_point(points: Sequence[CutPoint], stage: str) -> CutPoint:
    """The point behind a stage. Raises BadInput where there is none, or where the network cannot be cut there."""
    found = next((point for point in points if point.stage == stage), None)
    if found is None:
        names = ", ".join(point.stage for point in points)
        raise BadInput(error("model.cut", f"There is no stage “{stage}” to cut after. There are: {names}."))
    if found.outlet is None:
        raise BadInput(error("model.cut", f"The network cannot be cut after {stage}: {found.reason}."))
    return found


@lru_cache(maxsize=32)
def cut_points(source: str, name: str, input_size: int) -> tuple[CutPoint, ...]:
    """Every stage of a backbone but the head, in execution order. Raises BadInput for an unknown name or a size it does not take."""
    from torch import nn

    from studio.catalog.backbones.build import build_shapes, check_input_size
    from studio.catalog.backbones.sources import source_of

    origin = source_of(source)
    body = build_shapes(origin, name, input_size)
    network = nn.Sequential()
    network.add_module("backbone", body.module)
    stages = make_stages(body.module, nn.Sequential(), body.groups)[:-1]
    try:
        given = pass_image(network, stages, input_size)
    except Exception:  # libraries refuse a size with whatever error their first unfitting layer raises
        check_input_size(origin, name, input_size)
        raise
    return tuple(_point(body, stages, i, given) for i in range(len(stages)))


def end_at(network: nn.Module, point: CutPoint) -> None:
    """Make a backbone give out what `point.module` gives, and forget the layers behind it. Changes the network in place."""
    from torch import nn

    for name in point.unused:
        network.set_submodule(name.removeprefix("backbone."), nn.Identity())
    last = network.get_submodule(point.module.removeprefix("backbone."))
    if isinstance(last, nn.Dropout):
        last.p = 0.0  # the new head has its own
    network.last_module = point.module.removeprefix("backbone.")
    network.__class__ = _ending(type(network))


@cache
def _ending(kind: type) -> type:
    """The same class of network, which gives out what its last module gave. A wrapper around it would rename every parameter.

    The library's forward pass goes on to its end, over what is left there; leaving it by an exception would confuse torch.export. It may
    fail there, as the shapes are not those it was written for.
    """

    def forward(self, *args, **kwargs):
        given = []
        handle = self.get_submodule(self.last_module).register_forward_hook(lambda _module, _inputs, output: given.append(output))
        try:
            kind.forward(self, *args, **kwargs)
        except Exception:
            if not given:
                raise
        finally:
            handle.remove()
        return given[-1]

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})


def _point(body: Body, stages: Sequence[Stage], index: int, given: Sequence[Given]) -> CutPoint:
    stage = stages[index].name
    title = _title(type(body.module).__name__, [s.name for s in stages], index)
    mine = before_the_next(given, index)
    if not mine:
        return CutPoint(stage, title, None, "its layers run beside those of other stages")
    last = last_output(mine)
    if last is None:
        return CutPoint(stage, title, None, "it gives several feature maps at once")
    position, end = last
    before = {each.module for each in given[: position + 1]}
    unused = [each.module for each in given[position + 1 :] if each.module not in before]
    never_ran = [n for s in stages[index + 1 :] for n in s.module_names if n not in before]
    outlet = _outlet(body.module, tuple(end.output.shape[1:]))
    return CutPoint(stage, title, outlet, "", end.module, tuple(dict.fromkeys([*unused, *never_ran])))


def _title(kind: str, names: list[str], index: int) -> str:
    if kind in _FULLY_CONNECTED:
        behind = len([n for n in names[index + 1 :] if n.startswith("dense")])
        if index + 1 == len(names) or names[index + 1].startswith("dense"):
            return f"before FC{8 - behind}"
    return f"after {names[index]}"


def _outlet(network: nn.Module, shape: tuple[int, ...]) -> Outlet:
    if len(shape) == 1:
        return Outlet("vector", shape)
    if len(shape) == 2:
        has_token = hasattr(network, "class_token") or hasattr(network, "cls_token")
        num_prefix = getattr(network, "num_prefix_tokens", int(has_token))
        if _is_square(shape[0]) and not _is_square(shape[0] - num_prefix):
            num_prefix = 0  # class tokens that are added by a later stage
        own_pooling = getattr(network, "global_pool", "token")
        return Outlet("tokens", shape, num_prefix, num_prefix > 0 and own_pooling == "token")
    a, b, c = shape
    is_channels_last = a == b and (b != c or "Swin" in type(network).__name__)
    return Outlet("map, channels last" if is_channels_last else "map", shape)


def _is_square(count: int) -> bool:
    from math import isqrt

    return isqrt(count) ** 2 == count
