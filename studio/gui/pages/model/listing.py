"""The list of backbones: filtering, sorting and naming. No widgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from studio.catalog.backbones import BackboneInfo
from studio.gui.wording import NBSP, num_bytes, parameters

Key = tuple[str, str]  # source, name

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


def key_of(info: BackboneInfo) -> Key:
    return info.source, info.name


@dataclass(frozen=True)
class Cost:
    """What training a backbone takes here with the draft's plan; None where it is not known yet."""

    memory_bytes: int | None = None
    images_per_s: float | None = None
    fit: str = ""  # "fits", "tight", "will not fit"
    problem: str = ""  # why the network cannot be made

    @property
    def ms_per_image(self) -> float | None:
        return 1000 / self.images_per_s if self.images_per_s else None


NO_COST = Cost()
TIGHT_SHARE = 0.9  # of the device's memory: allocators round up, and the display takes some


def fit_of(memory_bytes: int | None, device_bytes: int | None) -> str:
    """ "fits", "tight" or "will not fit"; empty where one of the two is not known."""
    if not memory_bytes or not device_bytes:
        return ""
    share = memory_bytes / device_bytes
    return "will not fit" if share > 1 else "tight" if share > TIGHT_SHARE else "fits"


@dataclass(frozen=True)
class Filter:
    """What the table shows. An empty `sources` means all of them; `only` None means no list of names."""

    text: str = ""
    sources: frozenset[str] = frozenset()
    installed_only: bool = False
    small_only: bool = False
    only: frozenset[Key] | None = None  # favourites, the short list, or a box in the plot

    @property
    def is_open(self) -> bool:
        return self == Filter()

    def accepts(self, info: BackboneInfo) -> bool:
        if self.sources and info.source not in self.sources or self.installed_only and not info.is_installed:
            return False
        if self.only is not None and key_of(info) not in self.only:
            return False
        if self.small_only and not (info.num_parameters is not None and info.num_parameters <= SMALL_PARAMETERS):
            return False
        haystack = f"{info.name} {info.title} {info.family} {info.source} {info.licence or ''}".lower()
        return all(word in haystack for word in self.text.lower().split())


@dataclass(frozen=True)
class Column:
    """A column of the table. `attribute` is what it sorts by, of BackboneInfo or of Cost."""

    title: str
    attribute: str
    is_number: bool
    help: str = ""
    width: int = 84  # px


COLUMNS = (
    Column("Backbone", "title", False, "Filled mark: its weights are on this computer. Hollow: they can be downloaded.", 150),
    Column("Params, M", "num_parameters", True, "Parameters in millions, with the library’s own classifier; timm’s with that of ImageNet’s 1,000 classes where it has one", 68),
    Column("GFLOPs", "gflops", True, "Multiply-adds of one image, in thousand millions, as papers count them", 56),
    Column("Top-1, %", "top1", True, "Share of ImageNet validation images it gets right; timm’s at the size that timm tests with", 72),
    Column("Memory here", "memory_bytes", True, "Estimated for training with the present plan, batch size and precision, and whether it fits this device", 128),
    Column("Images/s here", "images_per_s", True, "Measured on this device with the present plan: by a run, or by Measure", 96),
    Column("Top-5, %", "top5", True, "Share of ImageNet validation images with the right class among its first five", 64),
    Column("Input", "input_size", True, "Side of the square image it was made for, px", 50),
    Column("Size", "weights_bytes", True, "Size of its weights on disk, and of the download", 70),
    Column("Year", "year", True, "Year of its paper", 48),
    Column("Paper", "paper", False, "The paper that describes the network, or how these weights were trained", 128),
    Column("Family", "family", False, "", 120),
    Column("Source", "source", False, "The library it comes from", 84),
    Column("Licence", "licence", False, "Licence of the weights, where the library names one", 104),
)  # fmt: skip
BY_ATTRIBUTE = {column.attribute: index for index, column in enumerate(COLUMNS)}
_OF_COST = ("memory_bytes", "images_per_s", "ms_per_image")
_WHY_UNKNOWN = {
    "num_parameters": "Not known: its library states none, and Studio has not counted it",
    "gflops": "Not known: its library states none, and Studio has not counted it",
    "top1": "Not known: its library states no accuracy. timm’s are known where timm has published a result for these weights",
    "top5": "Not known: its library states no accuracy. timm’s are known where timm has published a result for these weights",
    "memory_bytes": "Estimated a moment after the row has come into view",
    "images_per_s": "Not measured yet: Measure is in the menu of the row, and below once it is selected",
    "weights_bytes": "Not known before the download: neither size nor parameters are stated",
    "year": "Not known: its library names no paper for it",
    "paper": "Its library names no paper for it",
    "licence": "Its library names no licence for these weights",
}


def value_of(info: BackboneInfo, attribute: str, cost: Cost = NO_COST):
    if attribute == "weights_bytes":
        return info.likely_bytes
    return getattr(cost if attribute in _OF_COST else info, attribute)


def value_words(info: BackboneInfo, attribute: str, cost: Cost = NO_COST) -> str:
    """What stands in a cell."""
    value = value_of(info, attribute, cost)
    if value is None:
        return UNKNOWN
    match attribute:
        case "num_parameters":
            return f"{value / 1e6:,.1f}"
        case "gflops":
            return f"{value:,.{0 if value >= 100 else 1 if value >= 1 else 2}f}"
        case "top1" | "top5":
            return f"{value * 100:.1f}"
        case "images_per_s":
            return f"{value:,.{0 if value >= 10 else 1}f}"
        case "weights_bytes":
            return num_bytes(value) if info.weights_bytes else f"≈{NBSP}{num_bytes(value)}"
        case "memory_bytes":
            return num_bytes(value)
        case "family":
            return family_words(info)
    return str(value)


def why_unknown(info: BackboneInfo, column: int, cost: Cost = NO_COST) -> str:
    """Why a cell is empty; "" where it is not."""
    attribute = COLUMNS[column].attribute
    return _WHY_UNKNOWN.get(attribute, "") if value_of(info, attribute, cost) is None else ""


def origin_words(info: BackboneInfo, column: int) -> str:
    """Where a figure comes from that its library does not state itself; "" for others."""
    attribute = COLUMNS[column].attribute
    if attribute == "weights_bytes" and not info.weights_bytes and info.num_parameters:
        return (
            "Estimated, four bytes for each parameter: the library does not state it. More where it was trained on more than 1,000 classes"
        )
    if info.source != "timm":
        return ""
    match attribute:
        case "gflops" if info.gflops is not None:
            return f"Counted by Studio, layer by layer, for one image of {info.input_size}{NBSP}px: multiply-adds. timm states none"
        case "num_parameters" if info.num_parameters is not None:
            return "Counted by Studio: timm states none"
        case "top1" | "top5" if info.top1 is not None:
            return "From timm’s published results, at the size that timm tests with"
    return ""


def cell_words(info: BackboneInfo, column: int, cost: Cost = NO_COST) -> str:
    return value_words(info, COLUMNS[column].attribute, cost)


def arranged(
    infos: Sequence[BackboneInfo], wanted: Filter, column: int, is_descending: bool, costs: Mapping[Key, Cost] | None = None
) -> list[BackboneInfo]:
    """Filtered and sorted: installed ones first whatever the order, unknown values last, then by name."""
    attribute, costs = COLUMNS[column].attribute, costs or {}

    def value(info: BackboneInfo):
        return value_of(info, attribute, costs.get(key_of(info), NO_COST))

    shown = sorted((i for i in infos if wanted.accepts(i)), key=lambda i: i.title.lower())
    known = [i for i in shown if value(i) is not None]
    known.sort(key=lambda i: _sort_value(value(i)), reverse=is_descending)
    unknown = [i for i in shown if value(i) is None]
    return sorted(known + unknown, key=lambda i: not i.is_installed)


def _sort_value(value):
    return value.lower() if isinstance(value, str) else value


def facts(info: BackboneInfo, drawn_size: int | None = None) -> str:
    """ "4.65 M · 0.39 GFLOPs at 224 px · top-1 74.8 %", with what is known of it. Beside its drawing, which says its parameters and the size of
    the images, without these."""
    parts = []
    if info.num_parameters is not None and drawn_size is None:
        parts.append(parameters(info.num_parameters))
    size = "" if info.input_size == drawn_size else f"{info.input_size}{NBSP}px"
    work = f"{info.gflops:.2g}{NBSP}GFLOPs" if info.gflops is not None else ""
    parts += [f"{work} at {size}" if work and size else work or size] if work or size else []
    if info.top1 is not None:
        parts.append(f"top-1 {info.top1 * 100:.1f}{NBSP}%")
    return " · ".join(parts)


def best_for_cost(
    infos: Sequence[BackboneInfo], attribute: str = "gflops", costs: Mapping[Key, Cost] | None = None
) -> list[tuple[float, float]]:
    """(cost, top-1) of the backbones that nothing cheaper beats, cheapest first."""
    costs = costs or {}
    points = ((value_of(i, attribute, costs.get(key_of(i), NO_COST)), i.top1) for i in infos if i.top1 is not None)
    front: list[tuple[float, float]] = []
    for cost, top1 in sorted(((c, t) for c, t in points if c), key=lambda p: (p[0], -p[1])):
        if not front or top1 > front[-1][1]:
            front.append((cost, top1))
    return front


@dataclass(frozen=True)
class Budget:
    """How large a backbone may be for the short list. More images carry more parameters; a GPU carries more work per image."""

    num_parameters: float
    gflops: float

    @property
    def words(self) -> str:
        return f"at most {parameters(self.num_parameters)} parameters and {self.gflops:g}{NBSP}GFLOPs"


SHORT_LIST = 8


def budget_for(num_images: int, *, has_gpu: bool) -> Budget:
    """Rule of thumb: about as many parameters as 4,000 per training image, within 6 and 90 M; 1 GFLOPs on a processor, 10 on a GPU."""
    return Budget(min(90e6, max(6e6, 4_000 * num_images)), 10.0 if has_gpu else 1.0)


def short_list(infos: Sequence[BackboneInfo], budget: Budget) -> list[BackboneInfo]:
    """ "Small and good": within the budget, the most accurate for their cost; installed ones among them always stay. Best first."""
    within = [
        i for i in infos
        if i.top1 is not None and i.gflops and i.num_parameters and i.num_parameters <= budget.num_parameters and i.gflops <= budget.gflops
    ]  # fmt: skip
    front = set(best_for_cost(within))
    good = [i for i in within if (i.gflops, i.top1) in front or i.is_installed]
    good.sort(key=lambda i: (i.is_installed, i.top1), reverse=True)
    return sorted(good[:SHORT_LIST], key=lambda i: -i.top1)


def marked(favourites: Collection[str]) -> frozenset[Key]:
    """Favourites as they are remembered ("timm/resnet50") as keys."""
    pairs = (entry.partition("/") for entry in favourites)
    return frozenset((source, name) for source, _, name in pairs if source and name)
