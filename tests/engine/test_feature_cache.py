"""The frozen start of a network runs once per picture, and nothing else changes by it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from engine_runs import (
    NUM_VALIDATION,
    STEPS_PER_EPOCH,
    events,
    fork_engine,
    held_at_step,
    kill,
    metrics,
    of_kind,
    small_run,
    train_here,
    wait_until,
)
from PIL import Image
from safetensors.torch import load_file

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.place import cache_dir
from studio.core.predictions import read_predictions
from studio.dataset.image import ImageRefused
from studio.engine import loader, saving, setup
from studio.engine import prefix as prefix_module
from studio.engine.checkpoint import find_checkpoint
from studio.engine.cut import find_cut
from studio.engine.feature_cache import CacheSize, FeatureCache, make_room, row_name
from studio.engine.network import build_network
from studio.engine.precision import Precision
from studio.engine.progress import Progress

pytestmark = pytest.mark.usefixtures("measured")

FROZEN = {"model__train_stages": 1, "model__pretrained": False}


def weights(folder):
    return load_file(find_checkpoint(folder, "last").path / "model.safetensors")


@pytest.fixture
def num_forwards(monkeypatch):
    """How many pictures have gone through the frozen start of a cached network."""
    seen = []
    before = prefix_module.Prefix._features
    monkeypatch.setattr(prefix_module.Prefix, "_features", lambda self, batch: seen.append(len(batch.indices)) or before(self, batch))
    return seen


@pytest.mark.parametrize("more", [{}, {"optimiser__ema_decay": 0.9}, {"model__thaw": {"stage 3": 1}}, {"model__train_stages": 0}])
def test_cached_validation_changes_no_bit_of_what_is_learnt(tmp_path, more, num_forwards):
    values = FROZEN | {"schedule__epochs": 3} | more
    plain = small_run(tmp_path / "a", training__feature_cache="off", **values)
    cached = small_run(tmp_path / "b", training__feature_cache="exact", **values)
    assert train_here(plain) == train_here(cached) == 0
    assert metrics(plain)["state_sha256"] == metrics(cached)["state_sha256"]
    losses = [[e.validation_loss for e in of_kind(folder, ev.EpochFinished)] for folder in (plain, cached)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # batch norms are folded, in chunks of another size
    assert sum(num_forwards) == (24 if "model__thaw" in more else 12)  # each validation picture once per place of the boundary
    assert not (cached.path / "cache").exists()


@pytest.mark.parametrize("channels_last", [True, False])
def test_features_that_were_just_made_are_scored_to_the_bit_as_those_that_were_kept(tmp_path, monkeypatch, num_forwards, channels_last):
    """A mean over pixels that lie in another order rounds otherwise, and so does a product of one row."""
    layout = Precision("fp32", channels_last)
    for module in (prefix_module, setup):
        monkeypatch.setattr(module, "pictures_at_once", lambda device: NUM_VALIDATION - 1)
    monkeypatch.setattr(setup, "choose_precision", lambda *asked: layout)
    values = FROZEN | {"optimiser__ema_decay": 0.95, "model__thaw": {"stem": 1}, "training__feature_cache": "exact"}
    first, second = (small_run(tmp_path / name, **values) for name in "ab")
    assert train_here(first) == 0
    num_made = sum(num_forwards)
    assert train_here(second) == 0 and sum(num_forwards) == num_made == NUM_VALIDATION
    ours, theirs = ([e.validation_loss for e in of_kind(folder, ev.EpochFinished)] for folder in (second, first))
    assert ours == theirs


@pytest.mark.parametrize(
    ("preset", "cached", "num_views"), [("none", {"training__feature_cache": "exact"}, 1), ("light", {"training__feature_cache": "views", "training__cached_views": 4}, 4)],
    ids=["without augmentation", "as many views as epochs"],
)  # fmt: skip
def test_training_from_the_cache_learns_what_the_same_pictures_teach_without_it(tmp_path, num_forwards, preset, cached, num_views):
    """A view is drawn as the pictures of its epoch are, so until the views come again cached and fresh training see the same."""
    values = FROZEN | {"schedule__epochs": 4, "augment__preset": preset}
    plain = small_run(tmp_path / "a", training__feature_cache="off", **values)
    cached = small_run(tmp_path / "b", **cached, **values)
    assert train_here(plain) == train_here(cached) == 0
    ours, theirs = weights(cached), weights(plain)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-4)  # AdamW makes much of the smallest gradients
    ours, theirs = cached.read_state(), plain.read_state()
    np.testing.assert_allclose(ours.train_loss.y, theirs.train_loss.y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.validation_loss.y, theirs.validation_loss.y, rtol=1e-4, atol=1e-4)
    assert sum(num_forwards) == num_views * 42 + 12
    assert [e.phase for e in of_kind(cached, ev.PhaseStarted)].count("caching features") == 4


def test_views_come_again_in_rotation(tmp_path, num_forwards):
    folder = small_run(tmp_path, training__feature_cache="views", training__cached_views=2, schedule__epochs=5, **FROZEN)
    assert train_here(folder) == 0
    assert sum(num_forwards) == 2 * 42 + 12


def test_a_thaw_before_the_boundary_makes_new_features_and_a_thaw_of_everything_ends_the_cache(tmp_path, num_forwards):
    folder = small_run(
        tmp_path, augment__preset="none", schedule__epochs=6, model__train_stages=0,
        model__thaw={"stage 4": 1, "stage 3": 2, "stage 2": 4, "stage 1": 4, "stem": 4},
    )  # fmt: skip
    assert train_here(folder) == 0
    assert sum(num_forwards) == 3 * (42 + 12)


def test_a_cache_that_is_too_large_is_not_made_and_the_run_says_so(tmp_path):
    folder = small_run(tmp_path, augment__preset="none", training__cache_gigabytes=1e-6, **FROZEN)
    assert train_here(folder) == 0
    (warning,) = [e for e in of_kind(folder, ev.WarningRaised) if e.code == "cache-too-large"]
    assert "whole network" in warning.sentence and warning.fix


def test_an_image_that_vanishes_is_replaced_in_the_cache_as_in_training(tmp_path):
    folder = small_run(tmp_path, augment__preset="none", **FROZEN)
    for name in ("0003.png", "0015.png"):  # one of training, one of validation
        (tmp_path / "images" / "class-1" / name).unlink()
    assert train_here(folder) == 0
    told = [e.sentence.split()[0] for e in of_kind(folder, ev.WarningRaised) if e.code == "unreadable-image"]
    assert sorted(told) == ["class-1/0003.png", "class-1/0015.png"]
    assert len(read_predictions(folder).ids) == NUM_VALIDATION - 1


def test_a_run_killed_in_the_middle_resumes_to_the_same_bits(tmp_path):
    values = FROZEN | {"schedule__epochs": 5, "augment__preset": "none"}
    whole, broken = small_run(tmp_path / "a", **values), small_run(tmp_path / "b", **values)
    assert train_here(whole) == 0
    process = fork_engine(broken, held_at_step(3 * STEPS_PER_EPOCH + 2, tmp_path / "reached"))
    wait_until((tmp_path / "reached").exists)
    kill(process)
    assert train_here(broken, resume=True) == 0
    assert of_kind(broken, ev.RunStarted)[-1].resumed_step == 3 * STEPS_PER_EPOCH and len(of_kind(broken, ev.RunFinished)) == 1
    assert metrics(whole)["state_sha256"] == metrics(broken)["state_sha256"]
    assert events(broken)


@pytest.mark.parametrize(("source", "name"), [("torchvision", "resnet18"), ("torchvision", "vgg11"), ("timm", "test_vit"), ("timm", "test_efficientnet")])  # fmt: skip
def test_networks_of_every_kind_are_cut_exactly_wherever_they_are_frozen(source, name):
    size = 160 if name == "test_vit" else 64
    asked = Experiment().changed({"model.source": source, "model.backbone": name, "model.pretrained": False, "model.input_size": size})
    built = build_network(asked, 3)
    for train_stages in (0, 1):
        network = built.frozen_as(asked.changed({"model.train_stages": train_stages}))
        network.train_mode()
        cut = find_cut(network.module, network.stages, network.is_frozen, torch.randn(2, 3, size, size))
        assert cut is not None and sum(network.is_frozen) == len(network.stages) - 1 - train_stages
        module = network.module.eval()
        more = torch.randn(5, 3, size, size)
        with torch.no_grad():
            assert torch.equal(cut.rest(cut.prefix(more)), module(more))
            assert torch.equal(module(more), module(more))  # the network is as it was


def test_a_stopped_run_leaves_no_features_behind_and_goes_on(tmp_path):
    folder = small_run(tmp_path, augment__preset="none", schedule__epochs=3, **FROZEN)
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) != 0
    assert not (folder.path / "cache").exists()
    assert train_here(folder, resume=True) == 0


class _Refused(FeatureCache):
    """A disk without room, or without the right to write, for the folders named in `places`."""

    places: tuple = ()
    errno = errno.ENOSPC

    def __init__(self, folder, *more):
        if any(folder.is_relative_to(place) for place in self.places):
            raise OSError(self.errno, os.strerror(self.errno))
        super().__init__(folder, *more)


@pytest.mark.parametrize(
    ("had_room", "has_room", "words"),
    [(True, False, "cannot be kept now"), (False, True, "can be kept now"), (True, True, None), (False, False, None)],
)
def test_a_resume_that_trains_on_something_else_than_before_says_so_once(tmp_path, monkeypatch, had_room, has_room, words):
    monkeypatch.setattr(prefix_module, "FeatureCache", _Refused)
    folder = small_run(tmp_path, augment__preset="none", schedule__epochs=3, **FROZEN)
    for has, resume, code in ((had_room, False, 3), (has_room, True, 0)):
        monkeypatch.setattr(_Refused, "places", () if has else ("/",))
        before = None if resume else lambda control: setattr(control, "stops_after_epoch", True)
        assert train_here(folder, resume=resume, before=before) == code
    told = [e.sentence for e in of_kind(folder, ev.WarningRaised) if e.code == "resume-inexact"]
    assert len(told) == (words is not None) and all(words in sentence for sentence in told)


@pytest.mark.parametrize("has_entry", [True, False])
def test_a_resume_that_trains_other_layers_or_knows_nothing_of_before_says_nothing_of_what_it_reads(tmp_path, monkeypatch, has_entry):
    folder = small_run(tmp_path, augment__preset="none", schedule__epochs=3, model__thaw={"stem": 1} if has_entry else {}, **FROZEN)
    if not has_entry:
        state = saving.checkpoint_state
        monkeypatch.setattr(saving, "checkpoint_state", lambda s: {k: v for k, v in state(s).items() if k != "cached"})
    assert train_here(folder, before=lambda control: setattr(control, "stops_after_epoch", True)) == 3
    if not has_entry:
        monkeypatch.setattr(_Refused, "places", ("/",))
        monkeypatch.setattr(prefix_module, "FeatureCache", _Refused)
    assert train_here(folder, resume=True) == 0
    assert [e.phase for e in of_kind(folder, ev.PhaseStarted)].count("caching features") == 1
    assert not [e for e in of_kind(folder, ev.WarningRaised) if e.code == "resume-inexact"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_where_the_shared_place_may_not_be_written_a_run_keeps_features_of_its_own(tmp_path, monkeypatch, number):
    monkeypatch.setattr(prefix_module, "FeatureCache", _Refused)
    monkeypatch.setattr(_Refused, "places", (cache_dir(),))
    monkeypatch.setattr(_Refused, "errno", number)
    folder = small_run(tmp_path, augment__preset="none", schedule__epochs=1, **FROZEN)
    assert train_here(folder) == 0
    assert [e.phase for e in of_kind(folder, ev.PhaseStarted)].count("caching features") == 1


def test_rows_are_kept_on_disk_and_found_by_their_names(tmp_path):
    size = CacheSize(2, 5, (3,), torch.bfloat16)
    names = [row_name(bytes([i + 1]) * 16, "still") for i in range(10)]
    cache = FeatureCache(tmp_path, size, names)
    rows = torch.arange(6).reshape(2, 3).to(torch.bfloat16)
    cache.put(1, np.array([4, 2]), np.array([4, -1]), rows)
    with pytest.raises(BlockingIOError):  # a second run, as another process would see it
        other_process_opens(tmp_path)
    cache.save()
    cache.close()
    again = FeatureCache(tmp_path, size, names)
    assert again.has_all(1, np.array([4])) and not again.has_all(1, np.array([2])) and not again.has_all(0, np.array([2]))
    features, shown = again.get(1, np.array([4]))
    assert shown.tolist() == [4] and torch.equal(features, rows[:1])  # the refused file is tried again
    assert size.num_bytes == 2 * 5 * 3 * 2
    again.close()
    other = FeatureCache(tmp_path, CacheSize(1, 2, (3,), torch.bfloat16), [names[0], names[9]])
    assert other.num_found == 1 and torch.equal(other.get(0, np.array([1]))[0], rows[:1])  # the same picture elsewhere
    other.close()
    small = FeatureCache(tmp_path, CacheSize(1, 2, (3,), torch.bfloat16), [names[0], names[9]], max_bytes=20)
    assert small.num_found == 0 and (tmp_path / "rows.bin").stat().st_size == 12  # more than allowed in all: begun anew
    small.put(0, np.array([0]), np.array([0]), rows[1:])
    small.close()  # killed before it saves
    again = FeatureCache(tmp_path, size, names)
    assert again.num_found == 0, "no name stands for a row that was written over"
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="counts blocks")
def test_all_of_the_file_is_on_the_disk_before_it_is_mapped_also_where_the_system_has_no_call_for_that(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    size, names = CacheSize(1, 2, (700_000,), torch.float32), [row_name(bytes([i + 1]) * 16, "still") for i in range(2)]
    cache = FeatureCache(tmp_path, size, names)
    cache.put(0, np.array([1]), np.array([1]), torch.ones(1, 700_000))
    cache.save()
    cache.close()
    info = (tmp_path / "rows.bin").stat()
    assert info.st_size == size.num_bytes and info.st_blocks * 512 >= size.num_bytes
    again = FeatureCache(tmp_path, size, names)
    assert again.num_found == 1 and bool((again.get(0, np.array([1]))[0] == 1).all()), "what is there stays"
    again.close()


def test_names_that_do_not_belong_to_the_rows_are_forgotten_before_the_rows_are_written(tmp_path):
    size, names = CacheSize(1, 4, (3,), torch.float32), [row_name(bytes([i + 1]) * 16, "still") for i in range(4)]
    cache = FeatureCache(tmp_path, size, names)
    cache.put(0, np.arange(4), np.arange(4), torch.ones(4, 3))
    cache.save()
    cache.close()
    (tmp_path / "rows.bin").write_bytes(b"cut")
    FeatureCache(tmp_path, size, names).close()  # makes room for all rows again, and is killed
    again = FeatureCache(tmp_path, size, names)
    assert again.num_found == 0
    again.close()


@pytest.mark.parametrize("unreadable_first", [False, True])
def test_what_stands_in_for_an_unreadable_file_never_takes_the_row_of_another_with_its_content(tmp_path, unreadable_first):
    size, (one, two) = CacheSize(1, 3, (3,), torch.float32), (row_name(bytes([i + 1]) * 16, "still") for i in range(2))
    rows = torch.arange(6.0).reshape(2, 3)
    cache = FeatureCache(tmp_path, size, [one, two, one])
    batches = [(np.array([0]), np.array([0]), rows[:1]), (np.array([2, 1]), np.array([1, 1]), rows[[1, 1]])]
    for batch in batches[::-1] if unreadable_first else batches:
        cache.put(0, *batch)
    features, shown = cache.get(0, np.arange(3))
    assert shown.tolist() == [0, 1, 2] and torch.equal(features, rows[[0, 1, 0]]), "labels go with their features"
    cache.save()
    cache.close()
    again = FeatureCache(tmp_path, size, [one, two, one])
    again.put(0, np.array([0]), np.array([1]), rows[1:])  # gone since it was hashed
    assert torch.equal(again.get(0, np.arange(3))[0], rows[[0, 1, 0]])
    again.close()


def other_process_opens(folder):
    code = f"""
from pathlib import Path
import torch
from studio.engine.feature_cache import CacheSize, FeatureCache, make_room, row_name
try:
    FeatureCache(Path({str(folder)!r}), CacheSize(1, 1, (3,), torch.bfloat16), [bytes(16)])
except BlockingIOError:
    raise SystemExit(7)
"""
    if subprocess.run([sys.executable, "-c", code]).returncode == 7:
        raise BlockingIOError


def test_the_folders_used_least_recently_go_first(tmp_path):
    for age, name in enumerate(("new", "old", "oldest", "ours")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.bin").write_bytes(bytes(100))
        (tmp_path / name / "lock").touch()
        os.utime(tmp_path / name / "lock", (1e9 - age, 1e9 - age))
    make_room(tmp_path, 250, {"ours"})
    assert {path.name for path in tmp_path.iterdir()} == {"new", "ours"}


def test_a_later_run_finds_the_features_and_only_a_changed_file_is_made_anew(tmp_path, num_forwards):
    values = FROZEN | {"augment__preset": "none"}
    first, second, third = (small_run(tmp_path / name, **values) for name in "abc")
    assert train_here(first) == 0
    assert sum(num_forwards) == 42 + 12
    assert train_here(second) == 0
    assert sum(num_forwards) == 42 + 12
    assert metrics(first)["state_sha256"] == metrics(second)["state_sha256"]
    (detail, *_) = [e.detail for e in of_kind(second, ev.PhaseStarted) if e.phase == "caching features"]
    assert "42 of 42 from earlier" in detail
    Image.new("RGB", (80, 80), "teal").save(tmp_path / "c" / "images" / "class-1" / "0003.png")
    assert train_here(third) == 0
    assert sum(num_forwards) == 42 + 12 + 8  # one batch of training, where one row was missing


@pytest.mark.parametrize(
    "is_hashed_first", [True, False], ids=["replaced before it is read", "replaced after it was read, before it is hashed"]
)
def test_features_of_a_picture_are_never_found_under_the_name_of_another_one(tmp_path, monkeypatch, is_hashed_first):
    values = FROZEN | {"augment__preset": "none", "schedule__epochs": 1}
    first, second = (small_run(tmp_path / name, **values) for name in "ab")
    ours, theirs = (tmp_path / name / "images" / "class-1" / "0003.png" for name in "ab")
    named = prefix_module.Prefix._contents_of

    def replaced_meanwhile(self, indices, between):
        if (index := self._loader._source.paths.index(str(ours))) not in indices:
            return named(self, indices, between)
        found = named(self, indices, between) if is_hashed_first else self._loader._reader.decode(index)
        Image.new("RGB", (80, 80), "teal").save(ours)
        return found or named(self, indices, between)

    with monkeypatch.context() as patch:
        patch.setattr(prefix_module.Prefix, "_contents_of", replaced_meanwhile)
        assert train_here(first) == 0
    if not is_hashed_first:
        theirs.write_bytes(ours.read_bytes())
    assert train_here(second) == 0
    (detail,) = [e.detail for e in of_kind(second, ev.PhaseStarted) if e.phase == "caching features"]
    assert "41 of 42 from earlier" in detail


def test_a_file_that_could_not_be_read_for_a_moment_has_a_name_at_the_next_boundary(tmp_path, monkeypatch):
    values = FROZEN | {"augment__preset": "none", "model__thaw": {"stage 4": 1}}
    first, second = (small_run(tmp_path / name, **values) for name in "ab")
    path, named, read = str(tmp_path / "a" / "images" / "class-1" / "0003.png"), prefix_module.Prefix._contents_of, loader.read_bytes
    with monkeypatch.context() as patch:

        def in_use(self, indices, between):
            def refused(asked):
                if asked == path:
                    raise ImageRefused("no permission to read it", errno.EACCES)
                return read(asked)

            is_first = not self._contents.keys() & set(indices)
            patch.setattr(loader, "read_bytes", refused if is_first else read)
            found = named(self, indices, between)
            patch.setattr(loader, "read_bytes", read)
            return found

        patch.setattr(prefix_module.Prefix, "_contents_of", in_use)
        assert train_here(first) == 0
    assert train_here(second) == 0
    details = [e.detail for e in of_kind(second, ev.PhaseStarted) if e.phase == "caching features"]
    assert ["41 of 42" in details[0], "42 of 42" in details[1]] == [True, True]


def test_auto_takes_views_where_they_pay_and_says_so(tmp_path, num_forwards):
    few, many = (
        {"training__feature_cache": "auto", "schedule__epochs": n, "training__cached_views": 2, "model__train_stages": 0} for n in (2, 6)
    )
    assert train_here(small_run(tmp_path / "a", **few)) == 0
    assert sum(num_forwards) == 12  # two views in two epochs save nothing: validation only
    folder = small_run(tmp_path / "b", **many)
    assert train_here(folder) == 0
    assert sum(num_forwards) == 12 + 2 * 42  # validation is found again: equal files
    assert any("2 views of 42 images" in e.detail for e in of_kind(folder, ev.PhaseStarted))


def test_large_rows_of_views_take_half_the_room_and_exact_ones_every_bit(tmp_path):
    kept = []
    for mode in ("views", "exact"):
        still = {"augment__preset": "none"} if mode == "exact" else {}
        folder = small_run(tmp_path / mode, training__feature_cache=mode, model__input_size=96, schedule__epochs=2, **FROZEN, **still)
        assert train_here(folder) == 0
        kept.append(
            [float(e.detail.split(", ")[1].removesuffix(" MB")) for e in of_kind(folder, ev.PhaseStarted) if e.detail.endswith("MB")][0]
        )
    views, exact = kept
    assert views == pytest.approx(4 * exact / 2, rel=0.1)


@pytest.mark.parametrize("best", [None, 3])  # as it comes, and right before other stages train
def test_short_epochs_hold_the_best_in_memory_and_lose_nothing(tmp_path, monkeypatch, best):
    if best is not None:
        count = Progress.count_epoch
        planted = lambda p: {"loss": 1.0 + abs(p.epoch - best), "top1": 1 / (1 + abs(p.epoch - best))}  # noqa: E731
        monkeypatch.setattr(Progress, "count_epoch", lambda p, figures: count(p, figures | planted(p)))
    values = FROZEN | {"augment__preset": "none", "schedule__epochs": 6, "model__thaw": {"stage 4": 4}}
    plain, held = small_run(tmp_path / "a", **values), small_run(tmp_path / "b", **values)
    assert train_here(plain) == 0
    monkeypatch.setattr(saving, "SAVE_SHARE", 1e-9)  # as if saving took for ever
    assert train_here(held) == 0
    saved = of_kind(held, ev.CheckpointSaved)
    assert len(saved) < 6 == len(of_kind(plain, ev.CheckpointSaved))
    for which in ("best", "last"):
        ours, theirs = (find_checkpoint(folder, which) for folder in (held, plain))
        assert ours.step == theirs.step
        for name, tensor in load_file(theirs.weights_path).items():
            assert torch.equal(load_file(ours.weights_path)[name], tensor)
    assert metrics(plain)["state_sha256"] == metrics(held)["state_sha256"]
