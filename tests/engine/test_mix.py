"""Blended batches: what is drawn is a function of the step alone, the loss is that of the blended labels, and a resumed run blends alike."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_runs import metrics, of_kind, small_run, train_here
from PIL import Image
from torch.nn.functional import cross_entropy, one_hot

from studio.catalog.augments import Tally, cached_views
from studio.core import event as ev
from studio.core.experiment import Augment, Experiment
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.engine.feeding import Feeding
from studio.engine.first_batch import FirstBatch
from studio.engine.mix import draw_mix, mixed_loss

pytestmark = pytest.mark.usefixtures("measured")

BOTH = Augment(mixup_p=0.5, mixup_alpha=0.4, cutmix_p=0.5)


def _mixes(augment: Augment, count: int = 40):
    return [draw_mix(augment, 6, 32, 3, step, 0) for step in range(count)]


def test_draws_follow_the_asked_shares_and_depend_on_the_step_alone():
    kinds = [mix.kind for mix in _mixes(BOTH, 400)]
    assert 150 < kinds.count("MixUp") < 250 and kinds.count("MixUp") + kinds.count("CutMix") == 400
    rare = [mix for mix in _mixes(Augment(mixup_p=0.1), 400) if mix]
    assert 20 < len(rare) < 60 and all(mix.kind == "MixUp" for mix in rare)
    crowded = [mix.kind for mix in _mixes(Augment(mixup_p=1.0, cutmix_p=1.0), 400)]
    assert 150 < crowded.count("MixUp") < 250
    for one, two in zip(_mixes(BOTH), _mixes(BOTH), strict=True):
        assert one.share == two.share and one.box == two.box and np.array_equal(one.partners_N, two.partners_N)
    assert draw_mix(BOTH, 6, 32, 3, 7, 0).share != draw_mix(BOTH, 6, 32, 3, 7, 1).share, "every batch of a step has its own"
    assert draw_mix(Augment(), 6, 32, 3, 7, 0) is None and draw_mix(BOTH, 1, 32, 3, 7, 0) is None


def test_images_and_labels_are_blended_in_the_same_share():
    own = torch.arange(6, dtype=torch.float32).view(6, 1, 1, 1).expand(6, 3, 32, 32).contiguous() * 30
    labels = torch.arange(6)
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    for mix in _mixes(BOTH):
        made = mix.images(own)
        blend = mix.share * own[:, 0, 0, 0] + (1 - mix.share) * own[torch.from_numpy(mix.partners_N), 0, 0, 0]
        torch.testing.assert_close(made.mean((1, 2, 3)), blend, rtol=1e-5, atol=1e-4)
        soft = mix.share * one_hot(labels, 6).float() + (1 - mix.share) * one_hot(mix.others(labels), 6).float()
        torch.testing.assert_close(mixed_loss(mix, logits, labels, label_smoothing=0.1), cross_entropy(logits, soft, label_smoothing=0.1))
        pictures = mix.pictures(own.permute(0, 2, 3, 1).to(torch.uint8).numpy(), 4)
        assert np.abs(pictures.astype(float) - made[:4].permute(0, 2, 3, 1).numpy()).max() <= 0.5001
        assert torch.equal(mix.main_labels(labels), labels if mix.share >= 0.5 else mix.others(labels))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_resumed_run_and_one_with_loader_workers_blend_the_same(tmp_path, accumulation):
    values = {"augment__mixup_p": 0.5, "augment__cutmix_p": 0.4, "training__accumulation": accumulation}
    whole = small_run(tmp_path / "a", **values)
    assert train_here(whole) == 0
    parts = small_run(tmp_path / "b", **values, training__workers=2 if accumulation == 2 else 0)
    assert train_here(parts, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    assert train_here(parts, resume=True) == 0
    assert metrics(parts)["state_sha256"] == metrics(whole)["state_sha256"]
    plain = small_run(tmp_path / "c", training__accumulation=accumulation)
    assert train_here(plain) == 0
    assert metrics(plain)["state_sha256"] != metrics(whole)["state_sha256"]


def test_blending_is_refused_with_cached_views_and_keeps_the_exact_cache_out_of_training(tmp_path):
    folder = small_run(tmp_path)
    dataset = Dataset.from_json(folder.dataset_path.read_bytes())
    asked = folder.experiment().changed({"augment.mixup_p": 0.2, "training.feature_cache": "views"})
    (problem,) = check_run(asked, dataset)
    assert problem.field == "training.feature_cache" and "MixUp" in problem.sentence
    still = Experiment().changed({"augment.preset": "none"})
    assert cached_views(still) == 1 and cached_views(still.changed({"augment.cutmix_p": 0.2})) == 0


def test_a_step_that_fails_is_named_and_counted_in_the_journal_for_tiny_grey_and_transparent_images_too(tmp_path):
    too_large = {"name": "RandomCrop", "p": 1.0, "params": {"height": 70, "width": 500, "pad_if_needed": False}}
    folder = small_run(tmp_path, augment__preset="custom", augment__transforms=(too_large, {"name": "HorizontalFlip"}), schedule__epochs=1)
    for number, (mode, size) in enumerate((("RGB", (5, 3)), ("L", (80, 80)), ("RGBA", (80, 80)))):
        Image.new(mode, size, 90 if mode == "L" else (90,) * len(mode)).save(tmp_path / f"images/class-0/{number:04d}.png")
    assert train_here(folder) == 0
    told = [w.sentence for w in of_kind(folder, ev.WarningRaised) if w.code == "augmentation-failed"]
    assert len(told) == 2 and "Random crop could not be applied" in told[0] and "42 of 42 images" in told[1]


class _Heard:
    def __init__(self):
        self.sentences: list[str] = []

    def warn(self, code: str, sentence: str, fix: str = "") -> None:
        self.sentences.append(sentence)


def test_a_pipeline_too_heavy_for_the_network_is_told_with_numbers_and_one_that_keeps_up_is_not():
    heard = _Heard()
    for seconds_of_blur in (0.2, 5.0, 9.0):  # of 13: once not worth a word, once no slower than the network
        feeding = Feeding(heard, num_workers=0)
        feeding.after_steps(Tally(456, {}, {"Blur": seconds_of_blur, "HorizontalFlip": 0.1}), 456, 13.0, seconds_of_blur + 0.3)
    assert heard.sentences == [
        "Augmentation: 50 images/s, the network could take 123. Blur takes 99% of that time."
    ]  # fmt: skip


def test_a_run_whose_network_waits_for_a_heavy_pipeline_says_so_with_what_it_measured(tmp_path, monkeypatch):
    """By a clock that goes on where something is done: an eighth of a second with every augmentation, a second with every training step."""
    from studio.engine import loop

    now, real = [0.0], loop.train_step
    costs = itertools.cycle((0.0, 1 / 8))  # until it is asked before, and after

    def augmented() -> float:
        now[0] += next(costs)
        return now[0]

    def trained(s, batches):
        made = real(s, batches)
        now[0] += 1
        return made

    monkeypatch.setattr("studio.catalog.augments.pipeline.time", SimpleNamespace(perf_counter=augmented))
    monkeypatch.setattr("studio.engine.steps.time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(loop, "train_step", trained)
    monkeypatch.setattr(FirstBatch, "make", lambda self: None)  # beside the start of the run it would let the clock go on at any time
    steps = (*({"name": "GlassBlur", "p": 1.0},) * 3, {"name": "HorizontalFlip", "p": 1.0})
    folder = small_run(tmp_path, augment__preset="custom", augment__transforms=steps, schedule__epochs=1)
    assert train_here(folder) == 0
    (told,) = [w for w in of_kind(folder, ev.WarningRaised) if w.code == "augmentation-slow"]
    assert told.sentence == "Augmentation: 2 images/s, the network could take 8. Glass blur takes 75% of that time."
    assert "Remove Glass blur" in told.fix


def test_waiting_for_files_is_told_with_its_share_and_what_to_change():
    heard = _Heard()
    few, enough = Feeding(heard, num_workers=0), Feeding(heard, num_workers=1000)
    for feeding in (few, enough):
        feeding.after_steps(Tally(456, {}, {"HorizontalFlip": 0.1}), 456, 20.0, 8.0)
        feeding.after_steps(Tally(456, {}, {"HorizontalFlip": 0.1}), 456, 20.0, 8.0)  # once is enough
    assert heard.sentences == ["The network waits 40% of the time for images to be read and decoded."] * 2
    assert "faster drive" in enough._what_to_change()
