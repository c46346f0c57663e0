"""A step that does not fit into memory goes in smaller parts; what it needs is known before the first one."""

from __future__ import annotations

import copy

import pytest
import torch
from engine_runs import fork_two, metrics, of_kind, small_run, train_here
from safetensors.torch import load_file
from torch import nn

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.engine import lean
from studio.engine.checkpoint import find_checkpoint
from studio.engine.describe import describe_model
from studio.engine.dry_step import put_right, taken_by
from studio.engine.footprint import known_trace, trace_memory
from studio.engine.main import FAILED
from studio.engine.memory import is_out_of_memory, step_memory
from studio.engine.network import build_network
from studio.engine.recompute import recompute
from studio.engine.setup import Setup

pytestmark = pytest.mark.usefixtures("measured")

STILL = {"model__backbone": "test_convnext", "augment__preset": "none", "model__dropout": 0.0, "optimiser__kind": "sgd"}


@pytest.fixture
def room_for(monkeypatch):
    """Let the network fail with more images at once than told, as the processor and as the GPU say it, in the forward pass or behind it."""

    def limit(num_images: int, error: type[Exception], words: str) -> None:
        before = Setup.logits

        def logits(self, module, batch, inputs, run=None):
            made = before(self, module, batch, inputs, run)
            if len(inputs) > num_images and module.training:
                if error is MemoryError:
                    raise error(words)
                made.register_hook(lambda _gradient: _raise(error(words)))  # in the backward pass
            return made

        monkeypatch.setattr(Setup, "logits", logits)

    return limit


def _raise(exc):
    raise exc


@pytest.fixture(scope="module")
def whole(tmp_path_factory, measured_cache):
    """The run that has room for everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(measured_cache.parent))
        folder = small_run(tmp_path_factory.mktemp("whole"), **STILL)
        assert train_here(folder) == 0
    return folder


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError, ""), (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), (torch.OutOfMemoryError, "CUDA out of memory")],
)  # fmt: skip
def test_out_of_memory_halves_what_runs_at_once_and_keeps_the_step(tmp_path, whole, room_for, error, words):
    parts = small_run(tmp_path, **STILL)
    room_for(3, error, words)
    assert train_here(parts) == 0
    told = [e.sentence for e in of_kind(parts, ev.WarningRaised) if e.code == "out-of-memory"]
    assert len(told) == 2 and "from here on 2" in told[1] and "still sees 8" in told[1]
    ours, theirs = (load_file(find_checkpoint(folder, "last").path / "model.safetensors") for folder in (parts, whole))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)
    assert metrics(parts)["step"] == metrics(whole)["step"]
    assert find_checkpoint(parts).state["micro_batch"] == 2


def test_a_single_image_that_does_not_fit_ends_the_run_with_a_sentence(tmp_path, room_for):
    folder = small_run(tmp_path, **STILL)
    room_for(0, MemoryError, "")
    assert train_here(folder) == 1
    (failed,) = of_kind(folder, ev.RunFailed)
    assert "memory" in failed.sentence
    assert not is_out_of_memory(RuntimeError("shapes differ")) and not is_out_of_memory(KeyError("out of memory"))


ROOM_OF_THE_SECOND = """
import os
from studio.engine.setup import Setup
before = Setup.logits
def logits(self, module, batch, inputs, run=None):
    if len(inputs) > {limit} and module.training and os.environ["RANK"] == "1":
        raise MemoryError
    return before(self, module, batch, inputs, run)
Setup.logits = logits
"""


def test_where_one_of_two_processes_runs_out_of_memory_both_take_smaller_parts_and_keep_the_step(tmp_path, whole):
    parts = small_run(tmp_path, **STILL)
    processes = fork_two(parts, ROOM_OF_THE_SECOND.format(limit=2), TORCHELASTIC_MAX_RESTARTS=3)
    assert [process.wait(120) for process in processes] == [0, 0], parts.log_tail()
    (told,) = (e.sentence for e in of_kind(parts, ev.WarningRaised))
    assert told.startswith("4 images at once do not fit") and "from here on 2" in told and "still sees 8" in told
    ours, theirs = (load_file(find_checkpoint(folder, "last").path / "model.safetensors") for folder in (parts, whole))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)
    assert list(parts.read_state().train_loss.x) == list(whole.read_state().train_loss.x), "no step is told twice"
    assert find_checkpoint(parts).state["micro_batch"] == 2


def test_where_a_single_image_does_not_fit_one_of_two_processes_none_is_started_again(tmp_path):
    folder = small_run(tmp_path, **STILL)
    processes = fork_two(folder, ROOM_OF_THE_SECOND.format(limit=0), TORCHELASTIC_MAX_RESTARTS=3)
    assert [process.wait(120) for process in processes] == [FAILED, FAILED], folder.log_tail()
    (failed,) = of_kind(folder, ev.RunFailed)
    assert "Batch size 8 does not fit into memory" in failed.sentence


def tiny_network(**values):
    asked = {
        "model.source": "timm",
        "model.backbone": "test_resnet",
        "model.pretrained": False,
        "model.input_size": 64,
        "model.train_stages": -1,
    }
    experiment = Experiment().changed(asked | values)
    return build_network(experiment, 3), experiment


def test_the_run_and_the_window_estimate_a_step_alike_and_nothing_changes_by_it(monkeypatch):
    monkeypatch.setattr(lean, "LARGE_STEP_BYTES", 0)
    network, experiment = tiny_network()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    need = step_memory(network, "fp32", experiment)
    told = describe_model(experiment.model, experiment.training.model_copy(update={"precision": "fp32"}), experiment.optimiser, 3)["memory"]
    assert need.peak(experiment.training.batch_size) == sum(told.values()) - told["weights"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.module.state_dict().items())
    assert all(p.device.type == "cpu" for p in network.module.parameters())
    kept = experiment.changed({"training.checkpointing": "off"})
    whole, half = (step_memory(network, precision, kept) for precision in ("fp32", "bf16"))
    per_image = whole.peak(1001) - whole.peak(1000)
    assert need.peak(1001) - need.peak(1000) < 0.85 * per_image, "batch norms keep less"
    head, asked = tiny_network(**{"model.train_stages": 0})
    frozen = step_memory(head, "fp32", asked)
    assert frozen.peak(1001) - frozen.peak(1000) < per_image / 3
    assert 0.4 * per_image < half.peak(1001) - half.peak(1000) < 0.75 * per_image


def test_the_average_the_best_epoch_and_the_states_to_go_back_to_count(tmp_path, monkeypatch):
    """Of a run whose first stages are frozen, so that their weights are in no copy."""
    from studio.engine import loop, saving, snapshot

    monkeypatch.setattr(snapshot, "EVERY_S", 0.0)
    monkeypatch.setattr(snapshot, "SHARE", 1e9)
    settings = {"training__not_finite": "go back", "training__roll_back_steps": 1, "optimiser__ema_decay": 0.9, "model__train_stages": 1}
    real, seen = loop.train_step, []

    def look(s, batches):
        if s.progress.step in (1, 2):  # as when two epochs in a row are the best so far
            saving.hold_best(s)
        step = real(s, batches)
        states = [s.held, *s.snapshots._held, *(state.best for state in s.snapshots._held)]
        held = {
            t.untyped_storage()._cdata: t.untyped_storage().nbytes()
            for state in filter(None, states) for tensors in state.tensors.values() for t in tensors.values()
        }  # fmt: skip
        frozen = {weight.untyped_storage()._cdata for weight in s.network.module.parameters() if not weight.requires_grad}
        average = sum(t.nbytes for t in s.average.module.state_dict().values())
        seen.append((len(s.snapshots._held), average + sum(size for key, size in held.items() if key not in frozen)))
        return step

    monkeypatch.setattr(loop, "train_step", look)
    folder = small_run(tmp_path, **settings, schedule__epochs=1)
    assert train_here(folder) == 0, of_kind(folder, ev.RunFailed)
    network, experiment = tiny_network(**{key.replace("__", "."): value for key, value in settings.items()})
    plain = experiment.changed({"optimiser.ema_decay": 0.0, "training.not_finite": "stop"})
    with_them, without = (step_memory(network, "fp32", asked).peak(8) for asked in (experiment, plain))
    num_held, taken = max(seen)
    best = step_memory(network, "fp32", plain).peak(8) - step_memory(network, "fp32", plain).peak(8, holds_best=False)
    assert num_held == 2 and best > 0 and with_them - (without - best) == pytest.approx(taken, rel=0.03)
    told = describe_model(experiment.model, experiment.training, experiment.optimiser, 3)["memory"]
    assert told["average"] + told["copies"] + told["best"] == with_them - (without - best)


@pytest.mark.parametrize(("source", "name", "values"), [
    ("timm", "test_resnet", {}), ("timm", "test_vit", {"model.input_size": 160}), ("timm", "test_convnext", {"model.train_stages": 1}),
])  # fmt: skip
def test_the_estimate_is_within_15_per_cent_of_what_the_allocator_gives_out(source, name, values):
    from benchmarks.estimates import allocated_peak, training

    experiment = Experiment().changed({
        "model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": -1, "model.input_size": 128,
        "training.batch_size": 64, "training.precision": "fp32",
    } | values)  # fmt: skip
    told = sum(describe_model(experiment.model, experiment.training, experiment.optimiser, 10)["memory"].values())
    peak = allocated_peak(lambda: training(experiment, 64, experiment.model.input_size))
    assert abs(told / peak - 1) < 0.15, f"{told / 1e6:.1f} MB told, {peak / 1e6:.1f} MB taken"


def test_the_largest_even_part_that_fits_is_found():
    network, experiment = tiny_network()
    need = step_memory(network, "fp32", experiment)
    assert [need.fitting(32, need.peak(n)) for n in (32, 31, 16, 8)] == [32, 16, 16, 8]
    assert need.fitting(32, 5) == 1


# --- activations computed again in the backward pass ----------------------------------------------


def a_step(network, images, seed: int) -> dict[str, torch.Tensor]:
    """Gradients, statistics and what the random generator gives next."""
    network.train_mode()
    torch.manual_seed(seed)
    torch.nn.functional.cross_entropy(network.module(images), torch.arange(len(images)) % 3).backward()
    found = {f"{name} gradient": p.grad.clone() for name, p in network.module.named_parameters() if p.grad is not None}
    network.module.zero_grad()
    return found | {name: buffer.clone() for name, buffer in network.module.named_buffers()} | {"next": torch.rand(3)}


@pytest.mark.parametrize(
    ("name", "stages"), [("test_resnet", -1), ("test_efficientnet", 1), ("test_convnext", -1), ("test_vit", -1)]
)  # fmt: skip
def test_recomputing_gives_the_same_bits_with_dropout_and_batch_norm(name, stages):
    size = 160 if name == "test_vit" else 64
    values = {"model.backbone": name, "model.train_stages": stages, "model.dropout": 0.5, "model.input_size": size}
    images, seen = torch.randn(4, 3, size, size), []
    for recomputes in (False, True):
        network, _ = tiny_network(**values)
        for part in network.module.modules():
            if isinstance(part, torch.nn.ReLU | torch.nn.GELU):  # something random within blocks
                part.register_forward_hook(lambda _part, _inputs, output: torch.nn.functional.dropout(output, 0.1))
        if recomputes:
            assert recompute(network.module, network.stages) > 1
        a_step(network, images, 1)
        seen.append(a_step(network, images, 2))
    assert all(torch.equal(tensor, seen[1][key]) for key, tensor in seen[0].items()) and seen[0].keys() == seen[1].keys()


def test_recomputing_takes_less_memory_and_a_copy_recomputes_by_itself():
    network, experiment = tiny_network()
    whole, lighter = (step_memory(network, "fp32", experiment, recomputes=more) for more in (False, True))
    everything = step_memory(network, "fp32", experiment.changed({"training.checkpointing": "off"}))
    assert lighter.peak(64) < whole.peak(64) and lighter.peak(64) < 0.8 * everything.peak(64)
    recompute(network.module, network.stages)
    twin, images = copy.deepcopy(network.module), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        for weight in network.module.parameters():
            weight.zero_()
    assert twin.eval()(images).abs().sum() > 0


def test_a_run_that_would_not_fit_recomputes_with_the_same_bits_before_it_takes_smaller_parts(tmp_path, monkeypatch):
    from studio.engine import loop

    home = tmp_path / "home"
    monkeypatch.setenv("STUDIO_HOME", str(home))
    sums = []
    network, experiment = tiny_network()
    whole, lighter = (step_memory(network, "fp32", experiment, recomputes=more).peak(8) for more in (False, True))
    for name, asked, room in (("plain", "off", 1e12), ("on", "on", 1e12), ("auto", "auto", (whole + lighter) / 2)):
        monkeypatch.setattr(loop, "free_bytes", lambda _device, room=room: int(room / loop.ROOM))
        folder = small_run(tmp_path / name, training__checkpointing=asked, schedule__epochs=1, model__input_size=64)
        assert train_here(folder) == 0
        told = [e.sentence for e in of_kind(folder, ev.WarningRaised) if e.code == "memory-short"]
        assert len(told) == (name == "auto") and all("computed again" in sentence for sentence in told)
        assert find_checkpoint(folder).state["micro_batch"] == 0
        sums.append(metrics(folder)["state_sha256"])
    assert len(set(sums)) == 1


def test_what_large_steps_keep_is_free_again_before_those_of_another_plan_are_fitted(tmp_path, monkeypatch):
    from studio.engine import loop

    told = []
    monkeypatch.setattr(lean, "LARGE_STEP_BYTES", 0)
    monkeypatch.setattr(loop, "free_bytes", lambda _device: told.append("looks what is free") or int(1e12))
    monkeypatch.setattr(
        loop, "suit_step", lambda *, is_large, kept_bytes=0: told.append("keeps" if is_large and kept_bytes > 0 else "frees")
    )
    thawing = {"model__train_stages": 0, "model__thaw": {"stage 4": 1}, "training__feature_cache": "off"}
    assert train_here(small_run(tmp_path, **thawing)) == 0
    assert told == 2 * ["frees", "looks what is free", "keeps"]


def test_what_was_traced_is_known_the_next_time_and_only_for_the_same_network(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))  # where nothing was traced yet
    with torch.device("meta"):
        one, other = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(3, 4, 3, stride=2))
        windowed = nn.Sequential(nn.Conv2d(3, 4, 3))
        windowed.register_buffer("window", torch.zeros(7))  # as Swin's, whose size is not in its text
    traced = known_trace(one, 32)
    assert known_trace(one, 32) == traced == trace_memory(one, 32)
    assert known_trace(other, 32) == trace_memory(other, 32) != traced
    assert known_trace(one, 64) == trace_memory(one, 64) != traced
    assert known_trace(windowed, 32) == trace_memory(windowed, 32) != traced
    kept = sorted((tmp_path / "cache" / "traces").glob("*.json"))
    assert len(kept) == 4
    for path in kept:
        path.write_bytes(b"{")
    assert known_trace(one, 32) == traced


# --- a step tried on a GPU ------------------------------------------------------------------------


def test_a_step_is_tried_where_the_estimate_comes_near_to_what_is_free_and_puts_it_right():
    network, experiment = tiny_network()
    need = step_memory(network, "fp32", experiment)
    held, tried = need.peak(64) - need.of_pass(64), []  # by the optimiser

    def takes_a_third_more(num_images: int) -> int:
        tried.append(num_images)
        return round(need.of_pass(num_images) * 4 / 3)

    assert put_right(need, 64, 3 * need.peak(64), takes_a_third_more) == (need, 64) and not tried, "far from the limit nobody waits for it"
    right, count = put_right(need, 64, round(1.2 * need.peak(64)), takes_a_third_more)
    assert (count, tried) == (64, [64])
    assert right.peak(64) == pytest.approx(need.of_pass(64) * 4 / 3 + held, abs=2)
    assert (need.fitting(64, round(1.2 * need.peak(64))), right.fitting(64, round(1.2 * need.peak(64)))) == (64, 32)


def test_half_as_many_images_are_tried_where_the_gpu_has_no_room_for_all():
    network, experiment = tiny_network()
    need, tried = step_memory(network, "fp32", experiment), []

    def room_for(most: int):
        def peak_of(num_images: int) -> int:
            tried.append(num_images)
            if num_images > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return need.of_pass(num_images)

        return peak_of

    assert put_right(need, 50, 1, room_for(20))[1] == 13 and tried == [50, 25, 13]
    assert put_right(need, 8, 1, room_for(0)) == (need, 1)
    with pytest.raises(RuntimeError, match="launch"):
        put_right(need, 8, 1, lambda _: _raise(RuntimeError("unspecified launch failure")))


def test_a_step_that_is_tried_leaves_no_trace(tmp_path, monkeypatch):
    """The pass is the one of a GPU, run on the processor; what the allocator says of it is played."""
    from studio.engine import loop

    asked, seen = [], []
    said = {"memory_allocated": 3_000, "max_memory_allocated": 10_000, "reset_peak_memory_stats": None}
    for name, value in said.items():
        monkeypatch.setattr(torch.cuda, name, lambda _device, name=name, value=value: asked.append(name) or value)
    real = loop.fit_memory

    def tried(s):
        def state() -> dict[str, torch.Tensor]:
            return {name: t.clone() for name, t in s.network.module.state_dict().items()} | {"draws": torch.random.get_rng_state()}

        before = state()
        assert taken_by(s, 5) == 7_000
        seen.append(all(torch.equal(before[name], t) for name, t in state().items()))
        seen.append(all(weight.grad is None for weight in s.network.trainable()) and not s.optimiser.state)
        return real(s)

    monkeypatch.setattr(loop, "fit_memory", tried)
    folder = small_run(tmp_path, model__dropout=0.5, schedule__epochs=1)
    assert train_here(folder) == 0, of_kind(folder, ev.RunFailed)
    assert seen == [True, True] and asked == ["reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"]
