"""From a name to a network with a new head, its stages, and its weights. Never touches the network or the global random state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from studio.catalog.backbones.backbone import Built, WeightsReport
from studio.catalog.backbones.body import Body
from studio.catalog.backbones.cutting import CutPoint, cut_point, cut_points, end_at
from studio.catalog.backbones.shapes import parameters_on_meta, shapes_alone
from studio.catalog.backbones.stage import make_stages
from studio.catalog.heads import Outlet, build_head, needs_map
from studio.catalog.heads.build import seeded
from studio.core.experiment import Model
from studio.core.problem import BadInput, Repair, error

MOST_TRIED = 100_000_000  # parameters; an image takes seconds through larger networks


def build_model(
    model: Model,
    num_classes: int,
    *,
    with_weights: bool = True,
    class_shares: Sequence[float] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Built:
    """The network that a `Model` asks for, see `build_backbone`; a run that it starts from is not looked at."""
    return build_backbone(
        model.source,
        model.backbone,
        num_classes=num_classes,
        pretrained=model.pretrained and with_weights,
        cut=model.cut,
        head=model.head,
        dropout=model.dropout,
        weights_file=model.weights_file if with_weights else "",
        weights_sha256=model.weights_sha256,
        input_size=model.input_size,
        head_init=model.head_init,
        head_init_fan=model.head_init_fan,
        class_shares=class_shares if model.head_bias == "class prior" else None,
        seed=seed,
        device=device,
    )


def build_backbone(
    source: str,
    name: str,
    *,
    num_classes: int,
    pretrained: bool,
    cut: str = "",
    head: tuple = (),
    dropout: float = 0.0,
    weights_file: str = "",
    weights_sha256: str = "",
    input_size: int | None = None,
    head_init: str = "xavier",
    head_init_fan: str = "in",
    class_shares: Sequence[float] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Built:
    """The network with a new head for `num_classes`. Equal arguments give equal weights.

    `cut` is the last stage that is kept, `head` the parts between it and the last layer; see `studio.core.experiment.Model`.
    `weights_file` (text form of a path) takes the place of the library's weights, and must have `weights_sha256` where that is given.
    `input_size` in px; None is the backbone's own.
    On device "meta" the network has shapes and no values, and no weights are loaded.
    Raises BadInput for an unknown name, weights that are not on this computer, a file that cannot be used, a size it cannot take, a
    place where it cannot be cut, a head that does not fit there.
    """
    import torch

    from studio.catalog.backbones.sources import source_of
    from studio.catalog.backbones.weights_file import WeightsFile

    origin = source_of(source)
    info = origin.info(name)
    size = input_size or info.input_size
    is_meta = str(device) == "meta"
    path = None
    if pretrained and not weights_file and not is_meta:
        path = origin.weights_path(info)
        if path is None:
            raise BadInput(error("model.backbone", _not_here(info)))
    is_small = (info.num_parameters or 0) < MOST_TRIED
    is_tried = size < info.input_size and is_small and not (is_meta or cut or needs_map(head))
    if size != info.input_size and not is_tried:
        check_input_size(origin, name, size)
    point = _cut(source, name, size, cut, head)
    if is_meta:
        body = build_shapes(origin, name, size)
    else:
        with seeded(seed):
            body = _build_and_try(origin, name, size, path) if is_tried else origin.build(name, size, path)
    outlet = point.outlet if point else Outlet("vector", (body.num_features,))
    new_head = build_head(
        head, outlet, num_classes, dropout=dropout, init=head_init, fan=head_init_fan, class_shares=class_shares, seed=seed,
        device="meta" if is_meta else "cpu",
    )  # fmt: skip
    network = torch.nn.Sequential()
    network.add_module("backbone", body.module)
    network.add_module("head", new_head)
    report = None
    file = WeightsFile(weights_file, weights_sha256) if weights_file and not is_meta else None
    if file and not file.is_own:
        report = file.load(network, body)
    elif path is not None:
        report = WeightsReport(tuple(f"backbone.{key}" for key in body.module.state_dict()), (), (), (), ())
    if point:
        end_at(body.module, point)
    if file and file.is_own:  # made by Studio: of the network as it is cut
        report = file.load(network, body)
    stages = make_stages(body.module, new_head, body.groups)
    return Built(network.to(device), stages, report, outlet.channels, size, outlet)


def _build_and_try(origin: ModuleType, name: str, size: int, weights: Path | None) -> Body:
    """The backbone, after an image of `size` passed through it: on a new process that is a second less than torch takes to load shapes alone."""
    import torch

    try:
        body = origin.build(name, size, weights)
        with torch.no_grad():
            fits = _gives_features(body, torch.zeros(1, 3, size, size))
    except Exception:  # as in `_passes`
        check_input_size(origin, name, size)
        raise
    if not fits:
        check_input_size(origin, name, size)
    return body


def _gives_features(body: Body, images) -> bool:
    was_training = body.module.training
    features = body.module.eval()(images)
    body.module.train(was_training)
    return tuple(features.shape) == (1, body.num_features)


def _cut(source: str, name: str, size: int, cut: str, head: tuple) -> CutPoint | None:
    """Where the network ends; None where it keeps its own end: all its stages and its own pooling."""
    if not (cut or needs_map(head)):
        return None
    points = cut_points(source, name, size)
    return cut_point(points, cut or points[-1].stage)


def build_shapes(origin: ModuleType, name: str, input_size: int) -> Body:
    """The backbone with shapes and no values."""
    import torch._meta_registrations  # noqa: F401 - see studio.engine.no_compiler

    with seeded(0):
        try:
            with parameters_on_meta():
                body = origin.build(name, input_size)
        except RuntimeError:  # a constructor that computes with its new parameters (ViT with mixed rotary embeddings)
            body = origin.build(name, input_size)
    body.module.to("meta")
    return body


def takes_input_size(source: str, name: str, size: int) -> bool:
    """Whether an image of `size` × `size` px passes through the network; tried with shapes only."""
    from studio.catalog.backbones.sources import source_of

    return _passes(source_of(source), name, size)


def accepted_input_sizes(source: str, name: str, among: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Those of `among` (default: 32 to 512 px in steps of 32, and the backbone's own) that the network takes."""
    from studio.catalog.backbones.sources import source_of

    origin = source_of(source)
    own = origin.info(name).input_size
    return tuple(s for s in among or sorted({*range(32, 513, 32), own}) if s == own or _passes(origin, name, s))


def check_input_size(origin: ModuleType, name: str, size: int) -> None:
    if _passes(origin, name, size):
        return
    info = origin.info(name)
    found: list[int] = []
    for step in (32, 14):  # what strides and patches divide
        near = sorted({info.input_size, *range(step, 1025, step)}, key=lambda s: abs(s - size))[:12]
        found = found or [s for s in near if s == info.input_size or _passes(origin, name, s)][:2]
    nearest = _nearer(origin, name, size, min(found, key=lambda s: abs(s - size)))
    sizes = " or ".join(f"{s} px" for s in sorted({nearest, *found}, key=lambda s: (abs(s - size), s))[:2])
    raise BadInput(
        error(
            "model.input_size", f"{info.title} does not take {size} px images; take {sizes}.",
            Repair(f"Use {nearest} px", {"model.input_size": nearest}),
        )
    )  # fmt: skip


def _nearer(origin: ModuleType, name: str, refused: int, taken: int) -> int:
    """A size that is taken, at least as near to the refused one: halving finds the least (or largest) size of networks that have one."""
    while abs(taken - refused) > 1:
        middle = (taken + refused) // 2
        if _passes(origin, name, middle):
            taken = middle
        else:
            refused = middle
    return taken


@lru_cache(maxsize=1024)  # a run asks, its description asks, and the forms ask again with every edit
def _passes(origin: ModuleType, name: str, size: int) -> bool:
    import torch

    try:
        body = build_shapes(origin, name, size)
        with torch.no_grad(), shapes_alone():
            return _gives_features(body, torch.empty(1, 3, size, size, device="meta"))
    except BadInput:
        raise
    except Exception:  # libraries refuse a size with whatever error their first unfitting layer raises
        return False


def _not_here(info) -> str:
    size = f" ({info.weights_bytes / 1e6:,.0f} MB)" if info.weights_bytes else ""
    if info.weights_url is None:
        return f"{info.title} has no pretrained weights to download. Choose another backbone, or switch Pretrained off."
    return (
        f"The weights of {info.title} are not on this computer yet{size}: download them on the Model page or with "
        f"`studio weights download {info.source}/{info.name}`."
    )
