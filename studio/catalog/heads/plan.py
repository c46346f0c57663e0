"""A head step by step, with every shape and count, before anything is built. Needs no torch: the window and the command line ask too."""

from __future__ import annotations

from dataclasses import dataclass

from studio.catalog.heads.outlet import Outlet
from studio.core.head import Convolution, Dropout, Hidden, Pooling
from studio.core.problem import BadInput, error

MAX_WEIGHTS = 1_000_000_000  # of one layer: four gigabytes before it has a gradient

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One module of the head. `kind`: map, token, convolution, pooling, hidden, dropout, linear. Shapes are those of one image.

    `part` is the index of the part that asked for it; None for what is always there or goes without saying.
    """

    name: str  # of the module: "hidden1"
    kind: str
    title: str
    shape_in: Shape
    shape_out: Shape
    num_parameters: int
    part: int | None = None
    note: str = ""


def plan_head(parts: tuple, outlet: Outlet, num_classes: int, dropout: float = 0.0) -> tuple[Step, ...]:
    """The modules of a head in order; the last two are always "dropout" and "linear". Raises BadInput saying what does not fit."""
    if num_classes < 1:
        raise BadInput(error("data.source", f"A classifier needs at least one class; there are {num_classes}."))
    steps: list[Step] = []
    shape = outlet.shape
    is_vector = outlet.layout == "vector"
    is_map = outlet.layout == "map"
    counts: dict[str, int] = {}

    def add(kind: str, title: str, shape_out: Shape, num_parameters: int = 0, part: int | None = None, note: str = "", name: str = ""):
        nonlocal shape
        counts[kind] = counts.get(kind, 0) + 1
        steps.append(Step(name or f"{kind}{counts[kind]}", kind, title, shape, shape_out, num_parameters, part, note))
        shape = shape_out

    def as_map() -> None:
        nonlocal is_map
        if not is_map:
            note = "class tokens are left out" if outlet.num_prefix else ""
            add("map", "As a map", (outlet.channels, *outlet.places), note=note)
            is_map = True

    def as_vector() -> None:
        nonlocal is_vector
        if is_vector:
            return
        if outlet.is_read_by_token and not is_map:
            add("token", "Class token", (outlet.channels,))
        else:
            as_map()
            add("pooling", "Average", (shape[0],))
        is_vector = True

    for index, part in enumerate(parts):
        match part:
            case Convolution() | Pooling() if is_vector:
                what = "no map to run convolutions over" if isinstance(part, Convolution) else "nothing to pool"
                raise BadInput(
                    error("model.head", f"The network gives a vector of {shape[0]:,} values here, so there is {what}. Cut it earlier.")
                )
            case Convolution() if not (is_map or outlet.has_map):
                raise BadInput(
                    error(
                        "model.head", f"The {shape[0]:,} tokens here are no square map, so no convolution can run over them. Use pooling."
                    )
                )
            case Convolution():
                as_map()
                channels = part.channels or shape[0]
                count, note = _convolution(part, shape[0], channels)
                add("convolution", "Convolution block", (channels, *shape[1:]), count, index, note)
            case Pooling():
                as_map()
                is_flat = part.method == "flatten"
                title = {"average": "Average", "max": "Maximum", "gem": "GeM", "flatten": "Flatten"}[part.method]
                width = shape[0] * shape[1] * shape[2] if is_flat else shape[0]
                add("pooling", title, (width,), int(part.method == "gem"), index)
                is_vector = True
            case Hidden():
                as_vector()
                count = _linear(shape[0], part.width) + (2 * part.width if part.norm != "none" else 0)
                add("hidden", "Hidden layer", (part.width,), count, index)
            case Dropout():
                add("dropout", f"Dropout {part.share:g}", shape, 0, index)
    as_vector()
    add("dropout", f"Dropout {dropout:g}", shape, name="dropout")
    add("linear", "Linear", (num_classes,), _linear(shape[0], num_classes), name="linear")
    return tuple(steps)


def needs_map(parts: tuple) -> bool:
    """Whether a head begins with what the backbone gives before its own pooling."""
    return any(isinstance(part, (Convolution, Pooling)) for part in parts)


def _linear(num_in: int, num_out: int) -> int:
    if num_in * num_out > MAX_WEIGHTS:
        raise BadInput(
            error("model.head", f"A layer from {num_in:,} to {num_out:,} values is too large. Pool instead of flattening, or choose fewer.")
        )
    return num_in * num_out + num_out


def _convolution(part: Convolution, num_in: int, num_out: int) -> tuple[int, str]:
    """(parameters, what is worth saying). With a normalisation behind it a convolution has no bias."""
    has_norm = part.norm == "batch"
    beside = 2 * num_out if has_norm else num_out
    widths = [num_in, *(num_out for _ in range(part.depth))]
    count = sum(a * b * part.kernel**2 + beside for a, b in zip(widths, widths[1:], strict=False))
    if max(widths) ** 2 * part.kernel**2 > MAX_WEIGHTS:
        raise BadInput(error("model.head", f"A convolution over {max(widths):,} channels is too large. Choose fewer channels."))
    if not part.residual or num_in == num_out:
        return count, ""
    return count + num_in * num_out + beside, f"1 × 1 projection around it, since {num_in:,} channels become {num_out:,}"
