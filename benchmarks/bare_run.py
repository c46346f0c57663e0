"""A run of Studio's that is ready for its first step, with one batch of noise in memory: for benchmarks of the step itself."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

CLASSES = 10


def set_up(scratch: Path, stack: contextlib.ExitStack, size_px: int, values: dict[str, Any]):
    """(engine.setup.Setup, engine.loader.Batch) of an experiment with these values on the processor, all stages training unless told. Prepared as
    any other run; an epoch is one step. `stack` closes what was opened."""
    import numpy as np
    import torch
    from PIL import Image

    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.engine.control import Control
    from studio.engine.loader import Batch
    from studio.engine.loop import fit_memory, thaw
    from studio.engine.main import set_up_torch
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    asked = {
        "data.source": str(scratch / "data"),
        "model.train_stages": -1,
        "model.input_size": size_px,
        "training.device": "cpu",
        "training.workers": 0,
        "schedule.epochs": 10_000,
        "schedule.peak_lr": 1e-4,
    }
    experiment = Experiment().changed(asked | values)
    count = experiment.training.batch_size
    pictures = np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), np.uint8)
    for number in range(max(4 * CLASSES, 3 * count)):  # a part is held back
        file = scratch / "data" / f"class {number % CLASSES}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[number % count] // (1 + number % 16)).save(file)
    set_up_torch(torch, experiment)
    folder = create_run(scratch / "runs", experiment)
    control = Control(folder.commands_path)
    setup = prepare(folder, experiment, control, stack.enter_context(contextlib.closing(Reporter(folder, control))), None)
    stack.enter_context(setup.loader)
    thaw(setup)
    setup.network.train_mode()
    fit_memory(setup)
    setup.epoch_size = count * experiment.training.accumulation  # an epoch is one step: all are whole
    return setup, Batch(pictures, np.arange(count))
