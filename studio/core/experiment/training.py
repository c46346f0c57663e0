"""The section `training`: how a run is carried out, on what, and what it does when something goes wrong."""

from __future__ import annotations

from typing import Literal

from studio.core.section import Section, field


class Training(Section):
    """How the run is carried out."""

    batch_size: int = field(32, "Batch size", "Images per forward and backward pass.", unit="images", ge=1, le=65_536)
    accumulation: int = field(
        1, "Accumulate", "Batches whose gradients are averaged before each optimiser step: the effective batch is this many times larger.",
        ge=1, le=4096,
    )  # fmt: skip
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        "auto", "Precision", "Auto measures on this device and takes the fastest that is safe."
    )
    checkpointing: Literal["auto", "off", "on"] = field(
        "auto",
        "Recompute",
        "Keep less of every step for its backward pass and compute the rest again: about half the memory of the images, for up to a third more "
        "time and the same bits. Auto: where a step would not fit into memory otherwise; and what batch norms give out, on a processor, where "
        "it takes no time. Off keeps everything. arXiv 1604.06174.",
    )
    compile: Literal["off", "auto", "on"] = field(
        "off",
        "Compile",
        "Make a program of its own of the forward and backward pass before the first step, which takes half a minute or more; it is used where it "
        "measures faster, and its gain is told. Auto: on a GPU, in runs long enough to win the time back. A processor gains nothing. Needs a C++ "
        "compiler, on a GPU Triton too.",
    )
    exact: bool = field(
        False,
        "Exact on a GPU",
        "A GPU adds in an order of its own, so a resumed run ends at slightly other weights. Exact takes the slower ways that give the same "
        "bits every time. A processor is always exact.",
    )
    feature_cache: Literal["off", "exact", "views", "auto"] = field(
        "exact",
        "Feature cache",
        "Run the frozen start of the network once per picture and keep what it gives. Exact: where that changes nothing, which is "
        "validation, and training without augmentation. Views: training too, on a few augmented views of every image, in rotation. "
        "Auto: views where they make training at least 1.5 times faster, else exact.",
    )
    cached_views: int = field(4, "Cached views", "Augmented views of every training image that are kept (views).", ge=1, le=64)
    cache_gigabytes: float = field(
        8.0,
        "Cache at most",
        "Largest size on disk of all kept features; those not used for longest go first. Later runs find them again.",
        unit="GB",
        ge=0.0,
        le=10_000,
    )
    label_smoothing: float = field(
        0.1, "Label smoothing", "Share of the target spread over all classes. arXiv 1512.00567.", takes="live", ge=0.0, le=0.9
    )
    class_weights: Literal["off", "balanced", "effective number"] = field(
        "off",
        "Class weights",
        "How much the images of each class count in the loss. Balanced: the rarer its class the more, so that all classes count alike. "
        "Effective number: the same, but classes of some thousand images and more count alike. arXiv 1901.05555.",
    )
    early_stop_epochs: int = field(
        0,
        "Stop early after",
        "Epochs without a better validation loss before the run ends; 0 is off.",
        takes="live",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    checkpoint_seconds: float = field(
        60.0,
        "Save every",
        "At most this much training is at risk; more only where saving that often would take over 2 % of the time.",
        takes="live",
        unit="s",
        ge=1,
        le=86_400,
    )
    not_finite: Literal["stop", "lower the rate", "go back"] = field(
        "stop",
        "Loss is NaN",
        "What happens at a step whose loss or gradient is no number; it is never applied. Stop: the run ends and can be resumed. Lower the "
        "rate: the step is left out. Go back: to an earlier step. Both go on at half the rate, three times at most.",
        takes="live",
    )
    roll_back_steps: int = field(
        50,
        "Go back by",
        "How many steps are taken back, counted from the one whose loss is no number; 0 goes back to the last checkpoint. Two copies of what "
        "trains are held in memory for it.",
        takes="live",
        unit="steps",
        ge=0,
        le=100_000,
    )
    seed: int = field(0, "Seed", "Same seed, same run.", ge=0, le=2**31 - 1)
    device: str = field(
        "auto", "Device", "auto, cpu, cuda, cuda:0, mps. Auto takes a GPU where there is one.", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    processes: int = field(
        1, "Processes", "Processes that train together on each machine, one for each GPU; the batch is divided among them.", ge=1, le=64
    )
    machines: int = field(1, "Machines", "Machines that train together. All of them see the run folder and the images.", ge=1, le=64)
    rendezvous: str = field(
        "", "Meeting point", "HOST:PORT of the machine at which the others meet (several machines).", pattern=r"^([\w.\-]+:\d{1,5})?$"
    )
    workers: int = field(-1, "Loader workers", "Processes that decode and augment; −1 decides by the number of cores.", ge=-1, le=128)
