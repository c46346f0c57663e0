"""The list of backbones: filtering, sorting and naming. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studio.catalog.backbones import BackboneInfo
from studio.gui.wording import NBSP, num_bytes, parameters

SMALL_PARAMETERS = 30e6
GROUPS = ("ConvNeXt", "ResNet", "EfficientNet", "Mobile", "ViT", "Swin, MaxViT", "RegNet", "Other")
# The first group whose word is in the family's name; MobileViT is Mobile, MaxViT is not ViT.
_WORDS = (
    ("Mobile", ("mobile", "mnas", "shuffle", "squeeze", "ghost", "fbnet", "tinynet", "lcnet")),
    ("Swin, MaxViT", ("swin", "maxvit", "maxxvit")),
    ("ConvNeXt", ("convnext",)),
    ("EfficientNet", ("efficientnet",)),
    ("RegNet", ("regnet",)),
    ("ViT", ("vit", "vision transformer", "deit", "beit", "eva")),
    ("ResNet", ("resnet", "resnext", "res2net", "resnest")),
)
UNKNOWN = "–"


def group_of(info: BackboneInfo) -> str:
    """The group of families that a backbone is drawn with."""
    family = info.family.lower()
    return next((group for group, words in _WORDS if any(w in family for w in words)), "Other")


def family_words(info: BackboneInfo) -> str:
    """ "vision transformer" -> "Vision transformer"."""
    return info.family[:1].upper() + info.family[1:]


@dataclass(frozen=True)
class Filter:
    """What the table shows. An empty `sources` means all of them."""

    text: str = ""
    sources: frozenset[str] = frozenset()
    installed_only: bool = False
    small_only: bool = False

    @property
    def is_open(self) -> bool:
        return self == Filter()

    def accepts(self, info: BackboneInfo) -> bool:
        if self.sources and info.source not in self.sources or self.installed_only and not info.is_installed:
            return False
        if self.small_only and not (info.num_parameters is not None and info.num_parameters <= SMALL_PARAMETERS):
            return False
        haystack = f"{info.name} {info.title} {info.family} {info.source} {info.licence or ''}".lower()
        return all(word in haystack for word in self.text.lower().split())


@dataclass(frozen=True)
class Column:
    """A column of the table. `attribute` is what it sorts by."""

    title: str
    attribute: str
    is_number: bool
    help: str = ""


COLUMNS = (
    Column("Backbone", "title", False, "Filled mark: its weights are on this computer. Hollow: they can be downloaded."),
    Column("Params, M", "num_parameters", True, "Parameters in millions, with the library’s own classifier"),
    Column("GFLOPs", "gflops", True, "Multiply-adds of one image, in thousand millions, as papers count them"),
    Column("Top-1, %", "top1", True, "Share of ImageNet validation images it gets right"),
    Column("Input", "input_size", True, "Side of the square image it was made for, px"),
    Column("Size", "weights_bytes", True, "Size of its weights on disk, and of the download"),
    Column("Family", "family", False),
    Column("Source", "source", False, "The library it comes from"),
    Column("Licence", "licence", False, "Licence of the weights, where the library names one"),
)


def cell_words(info: BackboneInfo, column: int) -> str:
    """What stands in a cell."""
    match COLUMNS[column].attribute:
        case "title":
            return info.title
        case "num_parameters":
            return f"{info.num_parameters / 1e6:,.1f}" if info.num_parameters is not None else UNKNOWN
        case "gflops":
            return UNKNOWN if info.gflops is None else f"{info.gflops:,.{0 if info.gflops >= 100 else 1 if info.gflops >= 1 else 2}f}"
        case "top1":
            return UNKNOWN if info.top1 is None else f"{info.top1 * 100:.1f}"
        case "input_size":
            return str(info.input_size)
        case "weights_bytes":
            return num_bytes(info.weights_bytes) if info.weights_bytes is not None else UNKNOWN
        case "family":
            return family_words(info)
        case "licence":
            return info.licence or UNKNOWN
        case attribute:
            return str(getattr(info, attribute))


def arranged(infos: Sequence[BackboneInfo], wanted: Filter, column: int, is_descending: bool) -> list[BackboneInfo]:
    """Filtered and sorted: installed ones first whatever the order, unknown values last, then by name."""
    attribute = COLUMNS[column].attribute
    shown = sorted((i for i in infos if wanted.accepts(i)), key=lambda i: i.title.lower())
    known = [i for i in shown if getattr(i, attribute) is not None]
    known.sort(key=lambda i: _sort_value(getattr(i, attribute)), reverse=is_descending)
    unknown = [i for i in shown if getattr(i, attribute) is None]
    return sorted(known + unknown, key=lambda i: not i.is_installed)


def _sort_value(value):
    return value.lower() if isinstance(value, str) else value


def facts(info: BackboneInfo) -> str:
    """ "4.65 M · 0.39 GFLOPs at 224 px · top-1 74.8 %", with what is known of it."""
    parts = []
    if info.num_parameters is not None:
        parts.append(parameters(info.num_parameters))
    size = f"{info.input_size}{NBSP}px"
    parts.append(f"{info.gflops:.2g}{NBSP}GFLOPs at {size}" if info.gflops is not None else size)
    if info.top1 is not None:
        parts.append(f"top-1 {info.top1 * 100:.1f}{NBSP}%")
    return " · ".join(parts)


def best_for_cost(infos: Sequence[BackboneInfo]) -> list[tuple[float, float]]:
    """(GFLOPs, top-1) of the backbones that nothing cheaper beats, cheapest first."""
    points = sorted((i.gflops, i.top1) for i in infos if i.gflops and i.top1 is not None)
    front: list[tuple[float, float]] = []
    for gflops, top1 in points:
        if not front or top1 > front[-1][1]:
            front.append((gflops, top1))
    return front
