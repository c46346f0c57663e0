"""What is asked: one immutable experiment, from which forms, help texts, TOML comments and the reference page are made.

Editing replaces the object (`changed`); undo is the object before. An experiment is data: it can name entries of the
catalog and nothing else.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator

from studio.core.head import HeadPart, order_problem
from studio.core.problem import BadInput, Problem, Repair, error
from studio.core.reading import WHITE_16_BIT, Reading
from studio.core.section import Section as _Section
from studio.core.section import field as _field

SCHEMA_VERSION = 1

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Deviation = Annotated[float, Field(ge=0.001, le=1.0)]

Layout = Literal["auto", "class folders", "inner folders", "split folders", "csv"]


Encoding = Literal["auto", "utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "cp1251", "mac-roman", "shift-jis", "gb18030"]

READING = {"max_megapixels", "bands", "white"}  # the settings of `Data` that make its `reading`


class Data(_Section):
    """Where the images are and how they are divided. The folder is only ever read."""

    source: str = _field("", "Images", "A folder with one sub-folder per class, a folder with train/val/test folders, or a CSV file.")
    layout: Layout = _field("auto", "Layout", "How labels are found. Auto looks at the folder and decides.")
    path_column: str = _field(
        "", "Path column", "CSV column with the file paths, relative to the CSV, by its name or as “column 2”; empty finds it by name."
    )
    label_column: str = _field("", "Label column", "CSV column with the class names, by its name or as “column 2”; empty finds it by name.")
    split_column: str = _field(
        "", "Split column", "CSV column with train, val or test, by its name or as “column 2”; empty finds it by name or splits by share."
    )
    encoding: Encoding = _field(
        "auto", "Encoding", "How the letters of a CSV file are stored. Auto finds out, and says where it cannot be sure."
    )
    validation_fraction: float = _field(
        0.15, "Validation share",
        "Share of each class held back to measure progress, where the folder does not say. 0 trains on all images: nothing is measured, and the "
        "last epoch is kept.",
        ge=0.0, le=0.5,
    )  # fmt: skip
    test_fraction: float = _field(
        0.0, "Test share", "Share of each class kept unseen for one final figure, where the folder does not say.", ge=0.0, le=0.5
    )
    split_seed: int = _field(0, "Split seed", "Decides, with each file's path, which part it falls into.", ge=0, le=2**31 - 1)
    left_out: tuple[str, ...] = _field((), "Left out", "Files that are not used, as paths relative to the source.")
    relabelled: dict[str, str] = _field({}, "Relabelled", "Files with another class than their folder says: path to class name.")
    moved: dict[str, Literal["train", "validation", "test"]] = _field({}, "Moved", "Files put into a part by hand: path to part.")
    synthetic: tuple[str, ...] = _field(
        (), "Synthetic folders", "Folders of made images, one sub-folder per class, absolute or inside the source. Only ever used for training.",
        max_length=64,
    )  # fmt: skip
    synthetic_fraction: float = _field(
        0.3, "Synthetic share", "Share of the images of an epoch that come from the synthetic folders.", ge=0.0, le=0.9
    )
    outside_links: Literal["ask", "use", "leave out"] = _field(
        "ask",
        "Links to outside",
        "Files in the folder that are links to places outside it. Ask: they are used, and said until it is decided.",
    )
    empty_classes: Literal["ask", "keep", "leave out"] = _field(
        "ask",
        "Classes without images",
        "Keep: they have their place among the classes, which stays as it is when images come or go. Ask: they are left out, and said until it is "
        "decided.",
    )
    left_out_classes: tuple[str, ...] = _field((), "Left-out classes", "Classes that are not used.")
    max_megapixels: float = _field(80.0, "Largest image", "Images with more pixels are set aside.", unit="MP", gt=0, le=2000)
    bands: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = _field(
        (),
        "Bands",
        "Of images with more than three bands (multi-spectral TIFF): which are red, green and blue, such as [4, 3, 2], counted from 1.",
    )
    white: int = _field(
        WHITE_16_BIT, "White", "The value of 16-bit images that becomes white; larger values become white as well. 12-bit data: 4095.",
        ge=255, le=WHITE_16_BIT,
    )  # fmt: skip

    @field_validator("bands")
    @classmethod
    def _are_three(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
        if len(bands) not in (0, 3):
            raise ValueError("give three band numbers, for red, green and blue, such as [4, 3, 2]; or none, [].")
        return bands

    @property
    def reading(self) -> Reading:
        return Reading(self.max_megapixels, self.bands, self.white)


class Model(_Section):
    """The pretrained backbone, what of it trains, and the new head."""

    source: Literal["bundled", "torchvision", "timm"] = _field("bundled", "Source", "The library that the backbone comes from.")
    backbone: str = _field("tf_efficientnet_lite0", "Backbone", "The name of the network in its library.", min_length=1, max_length=200)
    pretrained: bool = _field(True, "Pretrained", "Start from ImageNet weights; off starts from random ones.")
    weights_file: str = _field("", "Weights file", "A .safetensors or .pth file to start from instead of the library's weights.")
    weights_sha256: str = _field(
        "",
        "Its SHA-256",
        "Of the weights file when it was chosen: a file that has changed since, if only by a bit, is refused. Empty looks at nothing.",
        pattern=r"^([0-9a-f]{64})?$",
    )
    train_stages: int = _field(
        3,
        "Stages that train",
        "How many of the last stages train together with the new head; the stages before are frozen. "
        "0 trains the head only, −1 trains everything.",
        ge=-1,
        le=200,
    )
    cut: str = _field(
        "",
        "Cut after",
        "The stage behind which the pretrained network ends and the new head begins; empty keeps all stages and replaces the classifier alone.",
        max_length=200,
    )
    thaw: dict[str, Annotated[int, Field(ge=-1, le=10_000)]] = _field(
        {},
        "Thaw",
        "Stage name to the epoch from which it trains: 0 from the start, −1 never. Stages not named follow “Stages that train”.",
        takes="live",
    )
    layers: dict[str, Literal["train", "frozen"]] = _field(
        {},
        "Single layers",
        "Modules and parameters that train from the start, or never, whatever their stage does, by their name in the network "
        "(“backbone.layer4.1” or “backbone.layer4.1.conv2.weight”); the longest name that fits decides.",
        takes="live",
    )
    batch_norm: dict[str, Literal["keep", "adapt", "train"]] = _field(
        {},
        "Batch normalisation",
        "Stage name to what its batch normalisation does. Keep: the stored mean and variance stay. Adapt: they follow the data, the weights "
        "are fixed (arXiv 1603.04779). Train: they follow the data and the weights train. Stages not named keep while they are frozen, "
        "and train once they train.",
        takes="live",
    )
    head: tuple[HeadPart, ...] = _field(
        (), "Head", "Parts between the backbone and the last layer, in order; none is one linear layer on the backbone's own pooling.",
        max_length=16,
    )  # fmt: skip
    dropout: float = _field(0.2, "Dropout", "Share of features dropped before the last layer in training.", ge=0.0, le=0.95)
    head_init: Literal["he", "xavier", "orthogonal", "truncated normal", "zeros"] = _field(
        "xavier",
        "Initialisation",
        "How new layers start. He: arXiv 1502.01852. Xavier: Glorot and Bengio 2010. Orthogonal: arXiv 1312.6120. "
        "Truncated normal: variance 1 / fan, cut at two sigma (LeCun et al. 1998). Zeros: to see that it sticks.",
    )
    head_init_fan: Literal["in", "out"] = _field(
        "in", "Fan", "Which side keeps its variance: in, the activations; out, the gradients (He, truncated normal)."
    )
    head_bias: Literal["zero", "class prior"] = _field(
        "zero",
        "Bias",
        "How the last layer's bias starts. Class prior: the logarithm of each class's share of the training images (arXiv 1708.02002, 4.1).",
    )
    start_run: str = _field(
        "",
        "Start from run",
        "The folder of a run whose best weights this one starts from. Rows of classes of the same name are taken over; other classes "
        "start new. Backbone, cut and head must be those of that run.",
    )
    input_size: int = _field(224, "Input size", "Side of the square the network sees.", unit="px", ge=16, le=1024)
    normalisation: Literal["backbone", "data", "custom"] = _field(
        "backbone",
        "Normalise with",
        "Mean and standard deviation of each channel: those the backbone was trained with, this training split's own, or custom ones.",
    )
    custom_mean: tuple[Share, Share, Share] = _field(
        (0.485, 0.456, 0.406), "Custom mean", "Mean of red, green and blue, each in 0 to 1 (custom)."
    )
    custom_std: tuple[Deviation, Deviation, Deviation] = _field(
        (0.229, 0.224, 0.225), "Custom deviation", "Standard deviation of red, green and blue, each in 0.001 to 1 (custom)."
    )

    @field_validator("head")
    @classmethod
    def _has_sensible_order(cls, parts: tuple[HeadPart, ...]) -> tuple[HeadPart, ...]:
        if sentence := order_problem(parts):
            raise ValueError(sentence)
        return parts


class TransformSpec(_Section):
    """One step of an augmentation pipeline, by its name in the catalogue. Parameters that are not named keep their defaults."""

    name: str = _field("HorizontalFlip", "Transform", "Its name in the catalogue.", pattern=r"^[A-Za-z][A-Za-z0-9]{0,63}$")
    is_on: bool = _field(True, "On", "Off leaves the step in the list and out of the pipeline.")
    p: float = _field(0.5, "Probability", "Share of the images that it is applied to.", ge=0.0, le=1.0)
    params: dict[str, Any] = _field(
        {}, "Parameters", "Name to value: numbers, words, switches, and lists or tables of them.", max_length=64
    )
    of: tuple[TransformSpec, ...] = _field((), "Choices", "The steps that One of, Some of and Sequence choose from or run.", max_length=32)

    @field_validator("params")
    @classmethod
    def _keep_plain(cls, params: dict[str, Any]) -> dict[str, Any]:
        return {name: plain_value(value) for name, value in params.items()}


def plain_value(value: Any, depth: int = 0) -> Any:
    """The same value with tuples for lists, so that it equals itself after TOML and JSON. Raises ValueError for anything but plain data."""
    if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple, dict)) and depth < 4 and len(value) <= 256:
        if isinstance(value, dict):
            return {str(name): plain_value(each, depth + 1) for name, each in value.items()}
        return tuple(plain_value(each, depth + 1) for each in value)
    raise ValueError("only finite numbers, words, switches, and short lists or tables of them can be parameters")


Strength = Literal[
    "none", "light", "medium", "strong", "photo robustness", "aerial", "document", "trivial augment", "rand augment", "augmix", "custom",
]  # fmt: skip


class Augment(_Section):
    """What is done to training images, with new random values every epoch."""

    preset: Strength = _field("light", "Strength", "How much the training images are varied; custom takes the transforms listed below.")
    horizontal_flip: bool = _field(
        True, "Mirror", "Flip left and right half of the time (presets). Switch off when the side matters (text, left and right)."
    )
    transforms: tuple[TransformSpec, ...] = _field(
        (), "Transforms", "The steps of the custom pipeline, in order; every one gets its own random values.", max_length=64
    )
    mixup_p: float = _field(
        0.0, "MixUp", "Share of the batches whose images and labels are blended in pairs; 0 is off. arXiv 1710.09412.", ge=0.0, le=1.0
    )
    mixup_alpha: float = _field(
        0.2, "MixUp alpha", "How even the blend is: Beta(alpha, alpha); small values keep one of the two images.", gt=0.0, le=10.0
    )
    cutmix_p: float = _field(
        0.0, "CutMix", "Share of the batches in which a rectangle of each image comes from another; labels by area. 0 is off. "
        "With MixUp, both shares shrink alike where they exceed 1 together. arXiv 1905.04899.", ge=0.0, le=1.0,
    )  # fmt: skip
    cutmix_alpha: float = _field(
        1.0, "CutMix alpha", "How large the rectangles are: the area is drawn from Beta(alpha, alpha).", gt=0.0, le=10.0
    )

    @property
    def mixes(self) -> bool:
        return self.mixup_p > 0 or self.cutmix_p > 0


class Segment(_Section):
    """One piece of a curve chained by hand: from where the piece before ended to `to`, in this way."""

    kind: Literal["hold", "linear", "cosine", "exponential"] = _field("linear", "Course", "How the rate gets to its end.")
    until: float = _field(1.0, "Until", "Where the piece ends, as a share of all steps.", gt=0.0, le=1.0)
    to: float = _field(1.0, "To", "The rate at its end, as a share of the peak. Hold keeps the rate.", ge=0.0, le=1.0)


Shape = Literal[
    "constant", "linear", "polynomial", "exponential", "step", "multi_step", "cosine", "warm_restarts", "one_cycle",
    "inverse_sqrt", "plateau", "segments", "points",
]  # fmt: skip


class Schedule(_Section):
    """The learning rate over time: the curve that is drawn is the curve that is applied."""

    shape: Shape = _field("one_cycle", "Shape", "The family of the curve.", takes="live")
    epochs: int = _field(8, "Epochs", "How often every training image is seen.", takes="live", ge=1, le=10_000)
    peak_lr: float = _field(
        2e-3, "Peak learning rate", "The highest learning rate, that of the head.", takes="live", log=True, ge=1e-8, le=10.0
    )
    warmup_fraction: float = _field(
        0.3, "Warm-up", "Share of all steps in which the rate climbs to its peak.", takes="live", ge=0.0, le=1.0
    )
    cooldown_fraction: float = _field(
        0.0,
        "Cool-down",
        "Share of all steps at the end in which the rate falls in a line to its final value.",
        takes="live",
        ge=0.0,
        le=1.0,
    )
    start_factor: float = _field(0.04, "Start", "First rate as a share of the peak.", takes="live", log=True, ge=0.0, le=1.0)
    final_factor: float = _field(1e-4, "Final", "Last rate as a share of the peak.", takes="live", log=True, ge=0.0, le=1.0)
    power: float = _field(2.0, "Power", "How fast it falls at first (polynomial); 1 is a line.", takes="live", gt=0.0, le=10.0)
    cycle_epochs: float = _field(
        2.0, "First cycle", "Epochs until the first restart (warm restarts).", takes="live", unit="epochs", gt=0.0, le=10_000
    )
    cycle_growth: int = _field(
        2, "Cycle growth", "Each cycle is this many times as long as the one before (warm restarts).", takes="live", ge=1, le=10
    )
    cycle_decay: float = _field(
        1.0, "Peak decay", "Each cycle's peak is this many times the one before (warm restarts).", takes="live", gt=0.0, le=1.0
    )
    step_epochs: float = _field(3.0, "Step every", "Epochs between two drops (step).", takes="live", unit="epochs", gt=0.0, le=10_000)
    step_factor: float = _field(
        0.1, "Step factor", "What the rate is multiplied by at each drop (step, milestones, plateau).", takes="live", gt=0.0, le=1.0
    )
    milestones: tuple[Annotated[float, Field(gt=0.0, le=10_000)], ...] = _field(
        (3.0, 6.0), "Milestones", "Epochs after which the rate drops (milestones).", takes="live", unit="epochs", max_length=1000
    )
    patience_epochs: int = _field(
        2,
        "Patience",
        "Epochs without a better validation loss before the rate drops (plateau).",
        takes="live",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    segments: tuple[Segment, ...] = _field(
        (Segment(kind="linear", until=0.2, to=1.0), Segment(kind="hold", until=0.5, to=1.0), Segment(kind="cosine", until=1.0, to=1e-4)),
        "Segments", "The pieces of a curve chained by hand, in order; the first starts at Start (segments).", takes="live",
        min_length=1, max_length=1000,
    )  # fmt: skip
    points: tuple[tuple[Share, Share], ...] = _field(
        ((0.0, 0.04), (0.3, 1.0), (0.6, 0.7), (1.0, 1e-4)),
        "Points", "(share of all steps, share of the peak) that a free curve goes through, monotone between them (points).", takes="live",
        min_length=2, max_length=1000,
    )  # fmt: skip


class Optimiser(_Section):
    """How a gradient becomes an update."""

    kind: Literal["adamw", "adam", "sgd", "rmsprop", "lamb", "lion"] = _field(
        "adamw",
        "Optimiser",
        "AdamW: arXiv 1711.05101. Adam: arXiv 1412.6980. SGD with momentum. LAMB: arXiv 1904.00962. Lion: arXiv 2302.06675.",
    )
    weight_decay: float = _field(
        0.02,
        "Weight decay",
        "Pulls weights towards zero; never applied to biases and normalisation layers.",
        takes="live",
        log=True,
        ge=0.0,
        le=1.0,
    )
    weight_decay_course: Literal["constant", "linear", "cosine", "with the rate"] = _field(
        "constant", "Decay over time", "How the weight decay gets to its final value.", takes="live"
    )
    weight_decay_final: float = _field(
        1.0, "Final decay", "Last weight decay as a share of the first (linear, cosine).", takes="live", ge=0.0, le=100.0
    )
    momentum: float = _field(0.9, "Momentum", "Share of the last update that is kept (SGD, RMSprop).", takes="live", ge=0.0, lt=1.0)
    nesterov: bool = _field(True, "Nesterov", "Look ahead along the momentum (SGD).")
    beta1: float = _field(0.9, "Beta 1", "Decay of the gradient's running mean (Adam, AdamW, LAMB, Lion).", takes="live", ge=0.0, lt=1.0)
    beta2: float = _field(
        0.999, "Beta 2", "Decay of the squared gradient's running mean (Adam, AdamW, LAMB, Lion, RMSprop).", takes="live", ge=0.0, lt=1.0
    )
    epsilon: float = _field(
        1e-8, "Epsilon", "Added to the denominator (Adam, AdamW, LAMB, RMSprop).", takes="live", log=True, gt=0.0, le=1.0
    )
    clip_norm: float = _field(
        1.0, "Clip gradients", "Gradients longer than this are shortened to it; 0 is off.", takes="live", ge=0.0, le=1000.0
    )
    ema_decay: float = _field(
        0.0,
        "Average weights",
        "EMA: the running mean of the weights that is validated and kept, with this decay; 0 is off. arXiv 2111.12763.",
        takes="live",
        ge=0.0,
        lt=1.0,
    )
    stage_lr_factor: float = _field(
        0.5,
        "LR by depth",
        "Each stage before the head learns at this many times the rate of the one after it.",
        takes="live",
        gt=0.0,
        le=1.0,
    )
    stage_lr_factors: dict[str, Annotated[float, Field(ge=0.0, le=100.0)]] = _field(
        {}, "LR of single stages", "Stage name to its share of the head's rate, instead of LR by depth.", takes="live"
    )


class Training(_Section):
    """How the run is carried out."""

    batch_size: int = _field(32, "Batch size", "Images per forward and backward pass.", unit="images", ge=1, le=65_536)
    accumulation: int = _field(
        1, "Accumulate", "Batches whose gradients are averaged before each optimiser step: the effective batch is this many times larger.",
        ge=1, le=4096,
    )  # fmt: skip
    precision: Literal["auto", "fp32", "bf16", "fp16"] = _field(
        "auto", "Precision", "Auto measures on this device and takes the fastest that is safe."
    )
    checkpointing: Literal["auto", "off", "on"] = _field(
        "auto",
        "Recompute",
        "Keep less of every step for its backward pass and compute the rest again: about half the memory of the images, for up to a third more "
        "time and the same bits. Auto: where a step would not fit into memory otherwise; and what batch norms give out, on a processor, where "
        "it takes no time. Off keeps everything. arXiv 1604.06174.",
    )
    compile: Literal["off", "auto", "on"] = _field(
        "off",
        "Compile",
        "Make a program of its own of the forward and backward pass before the first step, which takes half a minute or more; it is used where it "
        "measures faster, and its gain is told. Auto: on a GPU, in runs long enough to win the time back. A processor gains nothing. Needs a C++ "
        "compiler, on a GPU Triton too.",
    )
    exact: bool = _field(
        False,
        "Exact on a GPU",
        "A GPU adds in an order of its own, so a resumed run ends at slightly other weights. Exact takes the slower ways that give the same "
        "bits every time. A processor is always exact.",
    )
    feature_cache: Literal["off", "exact", "views", "auto"] = _field(
        "exact",
        "Feature cache",
        "Run the frozen start of the network once per picture and keep what it gives. Exact: where that changes nothing, which is "
        "validation, and training without augmentation. Views: training too, on a few augmented views of every image, in rotation. "
        "Auto: views where they make training at least 1.5 times faster, else exact.",
    )
    cached_views: int = _field(4, "Cached views", "Augmented views of every training image that are kept (views).", ge=1, le=64)
    cache_gigabytes: float = _field(
        8.0,
        "Cache at most",
        "Largest size on disk of all kept features; those not used for longest go first. Later runs find them again.",
        unit="GB",
        ge=0.0,
        le=10_000,
    )
    label_smoothing: float = _field(
        0.1, "Label smoothing", "Share of the target spread over all classes. arXiv 1512.00567.", takes="live", ge=0.0, le=0.9
    )
    class_weights: Literal["off", "balanced", "effective number"] = _field(
        "off",
        "Class weights",
        "How much the images of each class count in the loss. Balanced: the rarer its class the more, so that all classes count alike. "
        "Effective number: the same, but classes of some thousand images and more count alike. arXiv 1901.05555.",
    )
    early_stop_epochs: int = _field(
        0,
        "Stop early after",
        "Epochs without a better validation loss before the run ends; 0 is off.",
        takes="live",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    checkpoint_seconds: float = _field(
        60.0, "Save every", "At most this much training is at risk.", takes="live", unit="s", ge=1, le=86_400
    )
    not_finite: Literal["stop", "lower the rate", "go back"] = _field(
        "stop",
        "Loss is NaN",
        "What happens at a step whose loss or gradient is no number; it is never applied. Stop: the run ends and can be resumed. Lower the "
        "rate: the step is left out. Go back: to an earlier step. Both go on at half the rate, three times at most.",
        takes="live",
    )
    roll_back_steps: int = _field(
        50,
        "Go back by",
        "How many steps are taken back, counted from the one whose loss is no number; 0 goes back to the last checkpoint. Two copies of what "
        "trains are held in memory for it.",
        takes="live",
        unit="steps",
        ge=0,
        le=100_000,
    )
    seed: int = _field(0, "Seed", "Same seed, same run.", ge=0, le=2**31 - 1)
    device: str = _field(
        "auto", "Device", "auto, cpu, cuda, cuda:0, mps. Auto takes a GPU where there is one.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    processes: int = _field(
        1, "Processes", "Processes that train together on each machine, one for each GPU; the batch is divided among them.", ge=1, le=64
    )
    machines: int = _field(1, "Machines", "Machines that train together. All of them see the run folder and the images.", ge=1, le=64)
    rendezvous: str = _field(
        "", "Meeting point", "HOST:PORT of the machine at which the others meet (several machines).", pattern=r"^([\w.\-]+:\d{1,5})?$"
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
        """A copy with fields replaced: {"schedule.epochs": 12}. Raises BadInput with every problem found.

        Only what is given is checked, and sections without a change are shared with the copy: a slider that moves waits for this.
        """
        raw: dict[str, Any] = dict(self)
        problems = []
        for path, value in values.items():
            section, _, name = path.rpartition(".")
            if section in SECTIONS and isinstance(raw[section], _Section):
                raw[section] = dict(raw[section])
            target = raw if not section else raw.get(section)
            is_known = isinstance(target, dict) and name in target
            if not is_known or isinstance(target[name], (dict, _Section)) and not isinstance(value, dict):
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
        case "int_parsing" | "int_type" | "int_from_float":
            sentence = f"{shown[:80]} is not a whole number."
        case "float_parsing" | "float_type":
            sentence = f"{shown[:80]} is not a number."
        case "bool_parsing" | "bool_type":
            sentence = f"{shown[:80]} is neither true nor false."
        case "value_error":
            sentence = f"{str(ctx['error']).rstrip('.')}."
        case "string_pattern_mismatch":
            sentence = f"{shown} is not understood{_description(path)}"
        case _:
            sentence = f"{shown[:80]} cannot be used: {e['msg'][0].lower()}{e['msg'][1:]}."
    return error(path, sentence, repair=_back_to_default(path))


def _description(path: str) -> str:
    """What a field is, as the rest of a sentence; nothing more than its end for parts of a field."""
    try:
        return f"; {field_info(path).description}"
    except (KeyError, AttributeError):
        return "."


def _back_to_default(path: str) -> Repair | None:
    """What a field that cannot be used is set to at a click; nothing for parts of a field."""
    try:
        default = field_info(path).default
    except (KeyError, AttributeError):
        return None
    is_short = isinstance(default, (int, float, str)) and default != ""
    return Repair(f"Set to {default}" if is_short else "Set to the default", {path: default})
