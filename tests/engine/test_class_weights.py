"""Rare classes count more where that is asked: as torch weights them, however a batch is divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import build_dataset
from engine_runs import SMALL, metrics, of_kind, small_run, train_here
from torch.nn.functional import cross_entropy

from studio.core import event as ev
from studio.core.experiment import Augment, Experiment
from studio.core.run_folder import create_run
from studio.dataset.balance import class_counts, class_weights
from studio.dataset.dataset import Dataset
from studio.engine.mix import draw_mix, training_loss

pytestmark = pytest.mark.usefixtures("measured")


def test_balanced_weights_are_inverse_frequencies_whose_mean_over_the_images_is_one():
    counts = (10_000, 100, 1)
    weights = class_weights("balanced", counts)
    assert weights == pytest.approx([sum(counts) / (3 * n) for n in counts])
    for kind in ("balanced", "effective number"):
        assert sum(n * w for n, w in zip(counts, class_weights(kind, counts), strict=True)) == pytest.approx(sum(counts))
    gentle = class_weights("effective number", counts)
    assert gentle[2] / gentle[1] == pytest.approx(100, rel=0.01), "small classes by frequency"
    assert gentle[1] / gentle[0] == pytest.approx(1e4 * (1 - 0.9999**10_000) / (1e4 * (1 - 0.9999**100)), rel=1e-6), "Cui et al., eq. 5"
    assert class_weights("off", counts) is None and class_weights("balanced", (4, 0)) == (1.0, 0.0)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_gradients_are_weighted_as_torch_weights_them(is_mixed):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 3, generator=generator, requires_grad=True)
    labels, weights = torch.tensor([0] * 9 + [1, 1, 2]), torch.tensor([0.2, 1.5, 4.0])
    mix = draw_mix(Augment(mixup_p=1.0), 12, 32, 0, 0, 0) if is_mixed else None
    (ours,) = torch.autograd.grad(training_loss(mix, logits, labels, smoothing=0.1, weights_C=weights), logits)
    pairs = [(1.0, labels)] if mix is None else [(mix.share, labels), (1 - mix.share, mix.others(labels))]
    whole = sum(share * cross_entropy(logits, some, weight=weights, label_smoothing=0.1, reduction="sum") for share, some in pairs)
    torch.testing.assert_close(ours, torch.autograd.grad(whole / 12, logits)[0])
    if mix is None:  # torch's own mean divides by the sum of the weights instead of the number of images
        mean = cross_entropy(logits, labels, weight=weights, label_smoothing=0.1) * weights[labels].sum() / 12
        torch.testing.assert_close(ours, torch.autograd.grad(mean, logits)[0])
    parts = [
        training_loss(mix, logits[rows], labels, rows, smoothing=0.1, weights_C=weights) * (rows.stop - rows.start) / 12
        for rows in (slice(0, 5), slice(5, 12))
    ]
    torch.testing.assert_close(torch.autograd.grad(sum(parts), logits)[0], ours)


def _uneven(tmp_path, **values):
    """A run on 28, 14 and 4 training images."""
    dataset = build_dataset(tmp_path / "images", ("boot", "dress", "hat"), 28, 4, size_px=80)
    kept = {"boot": 28, "dress": 14, "hat": 4}
    seen = dict.fromkeys(kept, 0)
    samples = []
    for sample in dataset.samples:
        seen[sample.label] += sample.split == "train"
        if sample.split != "train" or seen[sample.label] <= kept[sample.label]:
            samples.append(sample)
    settings = (
        SMALL | {"data.source": str(tmp_path / "images"), "schedule.epochs": 1} | {k.replace("__", "."): v for k, v in values.items()}
    )
    return create_run(tmp_path / "runs", Experiment().changed(settings), dataset.changed(samples=tuple(samples)).to_json())


def test_a_run_trains_with_them_and_reports_the_plain_loss(tmp_path):
    from studio.engine import update

    balanced = _uneven(tmp_path / "a", training__class_weights="balanced")
    dataset = Dataset.from_json(balanced.dataset_path.read_bytes())
    assert class_counts(dataset, 0.3) == [28, 14, 4]
    used, real = [], update.training_loss

    def watched(*args, weights_C, **options):
        used.append(weights_C)
        return real(*args, weights_C=weights_C, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "training_loss", watched)
        assert train_here(balanced) == 0
    assert all(np.allclose(w.numpy(), [46 / 84, 46 / 42, 46 / 12]) for w in used) and len(used) >= 6
    plain = _uneven(tmp_path / "b")
    assert train_here(plain) == 0
    assert metrics(plain)["state_sha256"] != metrics(balanced)["state_sha256"]
    first = [of_kind(folder, ev.StepsReported)[0].losses[0] for folder in (balanced, plain)]
    assert first[0] == first[1], "losses can be compared with those of a run without weights"


def test_a_kept_class_without_images_trains_with_the_others(tmp_path):
    dataset = build_dataset(tmp_path / "images", ("boot", "hat"), 8, 4, size_px=80).changed(
        classes=("boot", "empty", "hat"), kept_empty=("empty",)
    )
    settings = SMALL | {
        "data.source": dataset.root,
        "schedule.epochs": 1,
        "training.class_weights": "balanced",
        "model.head_bias": "class prior",
    }
    folder = create_run(tmp_path / "runs", Experiment().changed(settings), dataset.to_json())
    assert train_here(folder) == 0
    (epoch,) = of_kind(folder, ev.EpochFinished)
    assert epoch.class_recalls[1] is None and None not in (epoch.class_recalls[0], epoch.class_recalls[2])
    assert of_kind(folder, ev.RunDescribed)[0].classes == ("boot", "empty", "hat")


def test_equal_classes_have_equal_weights(tmp_path):
    folder = small_run(tmp_path, training__class_weights="balanced")
    assert class_weights("balanced", class_counts(Dataset.from_json(folder.dataset_path.read_bytes()), 0.3)) == (1.0, 1.0, 1.0)
