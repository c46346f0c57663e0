"""What is asked: one immutable experiment, from which forms, help texts, TOML comments and the reference page are made.

Editing replaces the object (`changed`); undo is the object before. An experiment is data: it can name entries of the
catalog and nothing else.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.core.problem import BadInput, Problem, error

SCHEMA_VERSION = 1

Takes = Literal["live", "next epoch", "new run"]


def _field(default: Any, label: str, help_: str, *, takes: Takes = "new run", unit: str = "", log: bool = False, **bounds):
    """A field whose label, help, unit, scale and moment of effect the forms and the reference page show."""
    extra = {"label": label, "unit": unit, "takes": takes, "log": log}
    return Field(default, description=help_, json_schema_extra=extra, **bounds)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


Layout = Literal["auto", "class folders", "split folders", "csv"]


class Data(_Section):
    """Where the images are and how they are divided. The folder is only ever read."""

    source: str = _field("", "Images", "A folder with one sub-folder per class, a folder with train/val/test folders, or a CSV file.")
    layout: Layout = _field("auto", "Layout", "How labels are found. Auto looks at the folder and decides.")
    path_column: str = _field("", "Path column", "CSV column with the file paths, relative to the CSV; empty finds it by name.")
    label_column: str = _field("", "Label column", "CSV column with the class names; empty finds it by name.")
    split_column: str = _field("", "Split column", "CSV column with train, val or test; empty finds it by name or splits by share.")
    validation_fraction: float = _field(
        0.15, "Validation share", "Share of each class held back to measure progress, where the folder does not say.", ge=0.01, le=0.5
    )
    test_fraction: float = _field(
        0.0, "Test share", "Share of each class kept unseen for one final figure, where the folder does not say.", ge=0.0, le=0.5
    )
    split_seed: int = _field(0, "Split seed", "Decides, with each file's path, which part it falls into.", ge=0, le=2**31 - 1)
    left_out: tuple[str, ...] = _field((), "Left out", "Files that are not used, as paths relative to the source.")
    relabelled: dict[str, str] = _field({}, "Relabelled", "Files with another class than their folder says: path to class name.")
    moved: dict[str, Literal["train", "validation", "test"]] = _field({}, "Moved", "Files put into a part by hand: path to part.")
    left_out_classes: tuple[str, ...] = _field((), "Left-out classes", "Classes that are not used.")
    max_megapixels: float = _field(80.0, "Largest image", "Images with more pixels are set aside.", unit="MP", gt=0, le=2000)


class Model(_Section):
    """The pretrained backbone, what of it trains, and the new head."""

    source: Literal["bundled", "torchvision", "timm"] = _field("bundled", "Source", "The library that the backbone comes from.")
    backbone: str = _field("tf_efficientnet_lite0", "Backbone", "The name of the network in its library.", min_length=1, max_length=200)
    pretrained: bool = _field(True, "Pretrained", "Start from ImageNet weights; off starts from random ones.")
    weights_file: str = _field("", "Weights file", "A .safetensors or .pth file to start from instead of the library's weights.")
    train_stages: int = _field(
        3,
        "Stages that train",
        "How many of the last stages train together with the new head; the stages before are frozen. "
        "0 trains the head only, −1 trains everything.",
        ge=-1,
        le=200,
    )
    dropout: float = _field(0.2, "Dropout", "Share of features dropped before the last layer in training.", ge=0.0, le=0.95)
    head_init: Literal["he", "xavier", "zeros"] = _field(
        "xavier", "Initialisation", "How the new layer starts. He: arXiv 1502.01852. Xavier: Glorot and Bengio 2010."
    )
    input_size: int = _field(224, "Input size", "Side of the square the network sees.", unit="px", ge=16, le=1024)
    normalisation: Literal["backbone", "data"] = _field(
        "backbone",
        "Normalise with",
        "Mean and standard deviation of each channel: those the backbone was trained with, or this training split's own.",
    )


class Augment(_Section):
    """What is done to training images, with new random values every epoch."""

    preset: Literal["none", "light", "medium", "strong"] = _field("light", "Strength", "How much the training images are varied.")
    horizontal_flip: bool = _field(
        True, "Mirror", "Flip left and right half of the time. Switch off when the side matters (text, left and right)."
    )


class Schedule(_Section):
    """The learning rate over time: the curve that is drawn is the curve that is applied."""

    shape: Literal["one_cycle", "cosine", "warm_restarts", "step", "constant"] = _field("one_cycle", "Shape", "The family of the curve.")
    epochs: int = _field(8, "Epochs", "How often every training image is seen.", ge=1, le=10_000)
    peak_lr: float = _field(2e-3, "Peak learning rate", "The highest learning rate, that of the head.", log=True, ge=1e-8, le=10.0)
    warmup_fraction: float = _field(0.3, "Warm-up", "Share of all steps in which the rate climbs to its peak.", ge=0.0, le=0.9)
    start_factor: float = _field(0.04, "Start", "First rate as a share of the peak.", log=True, ge=0.0, le=1.0)
    final_factor: float = _field(1e-4, "Final", "Last rate as a share of the peak.", log=True, ge=0.0, le=1.0)
    cycle_epochs: int = _field(2, "First cycle", "Epochs until the first restart (warm restarts).", unit="epochs", ge=1, le=10_000)
    cycle_growth: int = _field(2, "Cycle growth", "Each cycle is this many times as long as the one before (warm restarts).", ge=1, le=10)
    step_epochs: int = _field(3, "Step every", "Epochs between two drops (step).", unit="epochs", ge=1, le=10_000)
    step_factor: float = _field(0.1, "Step factor", "What the rate is multiplied by at each drop (step).", gt=0.0, le=1.0)


class Optimiser(_Section):
    """How a gradient becomes an update."""

    kind: Literal["adamw", "adam", "sgd"] = _field(
        "adamw", "Optimiser", "AdamW: arXiv 1711.05101. Adam: arXiv 1412.6980. SGD with momentum."
    )
    weight_decay: float = _field(
        0.02, "Weight decay", "Pulls weights towards zero; never applied to biases and normalisation layers.", log=True, ge=0.0, le=1.0
    )
    momentum: float = _field(0.9, "Momentum", "Share of the last update that is kept (SGD).", ge=0.0, lt=1.0)
    nesterov: bool = _field(True, "Nesterov", "Look ahead along the momentum (SGD).")
    beta1: float = _field(0.9, "Beta 1", "Decay of the gradient's running mean (Adam, AdamW).", ge=0.0, lt=1.0)
    beta2: float = _field(0.999, "Beta 2", "Decay of the squared gradient's running mean (Adam, AdamW).", ge=0.0, lt=1.0)
    clip_norm: float = _field(1.0, "Clip gradients", "Gradients longer than this are shortened to it; 0 is off.", ge=0.0, le=1000.0)
    stage_lr_factor: float = _field(
        0.5, "LR by depth", "Each stage before the head learns at this many times the rate of the one after it.", gt=0.0, le=1.0
    )


class Training(_Section):
    """How the run is carried out."""

    batch_size: int = _field(32, "Batch size", "Images per optimiser step.", unit="images", ge=1, le=65_536)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = _field(
        "auto", "Precision", "Auto measures on this device and takes the fastest that is safe."
    )
    label_smoothing: float = _field(
        0.1, "Label smoothing", "Share of the target spread over all classes. arXiv 1512.00567.", ge=0.0, le=0.9
    )
    early_stop_epochs: int = _field(
        0, "Stop early after", "Epochs without a better validation loss before the run ends; 0 is off.", unit="epochs", ge=0, le=10_000
    )
    checkpoint_seconds: float = _field(60.0, "Save every", "At most this much training is at risk.", unit="s", ge=1, le=86_400)
    seed: int = _field(0, "Seed", "Same seed, same run.", ge=0, le=2**31 - 1)
    device: str = _field(
        "auto", "Device", "auto, cpu, cuda, cuda:0, mps. Auto takes a GPU where there is one.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    workers: int = _field(-1, "Loader workers", "Processes that decode and augment; −1 decides by the number of cores.", ge=-1, le=128)


class Experiment(_Section):
    """Everything a run needs to know. Equal experiments give equal runs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = _field("Untitled", "Name", "What you call it.", max_length=200)
    data: Data = Data()
    model: Model = Model()
    augment: Augment = Augment()
    schedule: Schedule = Schedule()
    optimiser: Optimiser = Optimiser()
    training: Training = Training()

    def changed(self, values: dict[str, Any]) -> Experiment:
        """A copy with fields replaced: {"schedule.epochs": 12}. Raises BadInput with every problem found."""
        raw = self.model_dump()
        problems = []
        for path, value in values.items():
            section, _, name = path.rpartition(".")
            target = raw.get(section) if section else raw
            if not isinstance(target, dict) or name not in target or isinstance(target[name], dict) and not isinstance(value, dict):
                problems.append(error(path, f"there is no setting “{path}”; `studio init` lists them all."))
            else:
                target[name] = value
        if problems:
            raise BadInput(*problems)
        return parse_experiment(raw)


SECTIONS = ("data", "model", "augment", "schedule", "optimiser", "training")


def parse_experiment(raw: dict[str, Any]) -> Experiment:
    """An experiment from plain data. Raises BadInput carrying every problem, each with its field path."""
    try:
        return Experiment.model_validate(raw)
    except ValidationError as exc:
        raise BadInput(*(_as_problem(e) for e in exc.errors(include_url=False))) from None


def field_info(path: str):
    """The pydantic FieldInfo behind "section.name"; KeyError when there is none."""
    section, _, name = path.rpartition(".")
    model = Experiment.model_fields[section].annotation if section else Experiment
    return model.model_fields[name]


def bounds(path: str) -> tuple[float | None, float | None]:
    """The least and greatest value of a numeric field; None where open."""
    low = high = None
    for rule in field_info(path).metadata:
        low = getattr(rule, "ge", getattr(rule, "gt", None)) if low is None else low
        high = getattr(rule, "le", getattr(rule, "lt", None)) if high is None else high
    return low, high


def choices(path: str) -> tuple[Any, ...]:
    """The values of a choice field in order; empty for other fields."""
    annotation = field_info(path).annotation
    return get_args(annotation) if getattr(annotation, "__origin__", None) is Literal else ()


def differences(old: Experiment, new: Experiment) -> dict[str, tuple[Any, Any]]:
    """Changed fields only: {"schedule.epochs": (8, 12)}."""
    found = {}
    if old.name != new.name:
        found["name"] = (old.name, new.name)
    for section in SECTIONS:
        a, b = getattr(old, section), getattr(new, section)
        for name in type(a).model_fields:
            if getattr(a, name) != getattr(b, name):
                found[f"{section}.{name}"] = (getattr(a, name), getattr(b, name))
    return found


def _as_problem(e: dict[str, Any]) -> Problem:
    path = ".".join(str(part) for part in e["loc"])
    value, ctx = e.get("input"), e.get("ctx", {})
    shown = repr(value) if not isinstance(value, str) else f"“{value[:80]}”"
    match e["type"]:
        case "extra_forbidden":
            sentence = "this setting is not known; check its spelling or remove the line."
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
            key = next(k for k in words if k in ctx)
            sentence = f"{shown} is out of range; it must be {words[key]} {ctx[key]:g}."
        case "literal_error":
            sentence = f"{shown} is not one of {ctx['expected']}."
        case "finite_number":
            sentence = f"{shown} is not a finite number."
        case "string_pattern_mismatch":
            sentence = f"{shown} is not understood; {field_info(path).description}"
        case _:
            sentence = f"{shown[:80]} cannot be used: {e['msg'][0].lower()}{e['msg'][1:]}."
    return error(path, sentence)
