"""What saves memory or time in a step, alone and together: a run ends at the weights of a loop that does none of it."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from engine_runs import of_kind, small_run, train_here
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from studio.core import event as ev
from studio.engine import compiled_step, lean, loop
from studio.engine.checkpoint import find_checkpoint
from studio.engine.lean import keep_less

pytestmark = pytest.mark.usefixtures("measured")

STILL = {
    "augment__preset": "none", "model__dropout": 0.0, "training__feature_cache": "off", "schedule__epochs": 1, "schedule__peak_lr": 0.05,
    "optimiser__kind": "sgd",  # Adam makes a step of the rate's size of a gradient that is nothing but rounding
}  # fmt: skip


def plain_weights(folder) -> dict[str, torch.Tensor]:
    """Batches go through the network whole, and it keeps all that torch keeps."""
    from studio.engine.control import Control
    from studio.engine.plan import training_requests
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    control = Control(folder.commands_path)
    reporter = Reporter(folder, control)
    s = prepare(folder, folder.experiment(), control, reporter, None)
    reporter.close()
    t, optimiser, module = s.experiment.training, s.optimiser, s.network.module
    s.network.train_mode()
    with s.loader:
        batches = s.loader.batches(training_requests(t.seed, 0, len(s.parts["train"]), t.batch_size, 0, t.accumulation))
        for number in range(s.steps_per_epoch):
            group = list(islice(batches, t.accumulation))
            count = sum(len(batch.indices) for batch in group)
            s.rates.apply(optimiser, number, s.experiment)
            for batch in group:
                logits, labels = module(s.normaliser(batch.images_NHWC)), torch.as_tensor(s.labels[batch.indices])
                (cross_entropy(logits, labels, label_smoothing=t.label_smoothing, reduction="sum") / count).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), s.experiment.optimiser.clip_norm)
            optimiser.step()
            optimiser.zero_grad()
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, measured_cache):
    """By the number of batches of a step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(measured_cache.parent))
        return {n: plain_weights(small_run(tmp_path_factory.mktemp("plain"), **STILL, training__accumulation=n)) for n in (1, 2)}


PAIRS = [
    {},
    {"compile": "on"},
    {"accumulation": 2, "compile": "on"},
    {"accumulation": 2, "checkpointing": "on"},
    {"checkpointing": "on", "compile": "on"},
]


@pytest.mark.parametrize("settings", PAIRS, ids=lambda settings: ", ".join(settings) or "alone")
def test_a_lean_run_ends_at_the_weights_of_a_plain_loop(tmp_path, monkeypatch, plain, settings):
    monkeypatch.setattr(compiled_step, "BACKEND", "aot_eager")  # torch's tracing and its own backward pass without making kernels
    monkeypatch.setattr(compiled_step, "LEAST_GAIN", 0.01)
    monkeypatch.setattr(lean, "LARGE_STEP_BYTES", 0)
    changed = []
    monkeypatch.setattr(loop, "keep_less", lambda module: changed.append(keep_less(module)))
    folder = small_run(tmp_path, **STILL, **{f"training__{name}": value for name, value in settings.items()})
    assert train_here(folder) == 0, of_kind(folder, ev.RunFailed)
    assert changed[0] > 5 and [e.is_used for e in of_kind(folder, ev.StepCompiled)] == [True] * ("compile" in settings)
    ours, theirs = load_file(find_checkpoint(folder, "last").path / "model.safetensors"), plain[settings.get("accumulation", 1)]
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
