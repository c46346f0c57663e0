"""From a name to a network with a new head, its stages, and its weights. Never touches the network or the global random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from studio.catalog.backbones.backbone import Built, WeightsReport
from studio.catalog.backbones.body import Body
from studio.catalog.backbones.stage import make_stages
from studio.core.problem import BadInput, error

if TYPE_CHECKING:
    from torch import nn

HeadInit = Literal["he", "xavier", "zeros"]


def build_backbone(
    source: str,
    name: str,
    *,
    num_classes: int,
    pretrained: bool,
    dropout: float = 0.0,
    weights_file: str = "",
    input_size: int | None = None,
    head_init: HeadInit = "xavier",
    seed: int = 0,
    device: str = "cpu",
) -> Built:
    """The network with a new head for `num_classes`. Equal arguments give equal weights.

    `weights_file` (text form of a path) takes the place of the library's weights. `input_size` in px; None is the backbone's own.
    On device "meta" the network has shapes and no values, and no weights are loaded.
    Raises BadInput for an unknown name, weights that are not on this computer, a file that cannot be used, a size it cannot take.
    """
    import torch

    from studio.catalog.backbones.sources import source_of
    from studio.catalog.backbones.weights_file import load_file

    origin = source_of(source)
    info = origin.info(name)
    size = input_size or info.input_size
    is_meta = str(device) == "meta"
    path = None
    if pretrained and not weights_file and not is_meta:
        path = origin.weights_path(info)
        if path is None:
            raise BadInput(error("model.backbone", _not_here(info)))
    if size != info.input_size:
        _check_input_size(origin, name, size)
    if is_meta:
        body = build_shapes(origin, name, size)
    else:
        with seeded(seed):
            body = origin.build(name, size, path)
    head = make_head(body.num_features, num_classes, dropout, head_init, seed, "meta" if is_meta else "cpu")
    network = torch.nn.Sequential()
    network.add_module("backbone", body.module)
    network.add_module("head", head)
    report = None
    if weights_file and not is_meta:
        report = load_file(network, body, weights_file)
    elif path is not None:
        report = WeightsReport(tuple(f"backbone.{key}" for key in body.module.state_dict()), (), (), (), ())
    stages = make_stages(body.module, head, body.groups)
    return Built(network.to(device), stages, report, body.num_features, size)


def make_head(num_features: int, num_classes: int, dropout: float, init: HeadInit, seed: int, device: str) -> nn.Module:
    """Dropout and one linear layer. He: arXiv 1502.01852; Xavier: Glorot and Bengio 2010; the bias starts at zero."""
    import torch
    from torch import nn

    if num_classes < 1:
        raise BadInput(error("data.source", f"A classifier needs at least one class; there are {num_classes}."))
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):  # its own first values are drawn and thrown away; `skip_init` would import sympy for a third of a second
        linear = nn.Linear(num_features, num_classes, device=device)
    if device != "meta":
        match init:
            case "he":
                nn.init.kaiming_normal_(linear.weight, generator=generator)
            case "xavier":
                nn.init.xavier_uniform_(linear.weight, generator=generator)
            case "zeros":
                nn.init.zeros_(linear.weight)
            case _:
                raise BadInput(error("model.head_init", f"“{init}” is not one of he, xavier, zeros."))
        nn.init.zeros_(linear.bias)
    head = nn.Sequential()
    head.add_module("dropout", nn.Dropout(dropout))
    head.add_module("linear", linear)
    return head


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the CPU's global generator starts from `seed`; after it, the generator is where it was."""
    import torch

    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Inside, new parameters have shapes and no values: any network builds in milliseconds.

    `torch.device("meta")` would also move the small tensors that constructors compute with (RegNet's widths) and break them.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    allocations = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full)

    class OnMeta(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            if func in allocations:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    with OnMeta():
        yield


def build_shapes(origin: ModuleType, name: str, input_size: int) -> Body:
    """The backbone with shapes and no values."""
    with seeded(0):
        try:
            with _parameters_on_meta():
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


def _check_input_size(origin: ModuleType, name: str, size: int) -> None:
    if _passes(origin, name, size):
        return
    info = origin.info(name)
    found: list[int] = []
    for step in (32, 14):  # what strides and patches divide
        near = sorted({info.input_size, *range(step, 1025, step)}, key=lambda s: abs(s - size))[:12]
        found = found or [s for s in near if s == info.input_size or _passes(origin, name, s)][:2]
    sizes = " or ".join(f"{s} px" for s in sorted(found))
    raise BadInput(error("model.input_size", f"{info.title} does not take {size} px images; take {sizes}."))


def _passes(origin: ModuleType, name: str, size: int) -> bool:
    import torch

    try:
        body = build_shapes(origin, name, size)
        with torch.no_grad():
            features = body.module.eval()(torch.empty(1, 3, size, size, device="meta"))
    except BadInput:
        raise
    except Exception:  # libraries refuse a size with whatever error their first unfitting layer raises
        return False
    return tuple(features.shape) == (1, body.num_features)


def _not_here(info) -> str:
    size = f" ({info.weights_bytes / 1e6:,.0f} MB)" if info.weights_bytes else ""
    if info.weights_url is None:
        return f"{info.title} has no pretrained weights to download. Choose another backbone, or switch Pretrained off."
    return (
        f"The weights of {info.title} are not on this computer yet{size}: download them on the Model page or with "
        f"`studio weights download {info.source}/{info.name}`."
    )
