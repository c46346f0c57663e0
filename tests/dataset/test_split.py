"""The split is a function of each file's path and the seed; tiny classes are the one, documented exception."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.dataset.split import position, split_by_hash


def split(labels, validation=0.15, test=0.1, seed=0, fixed=None):
    return split_by_hash(labels, validation_fraction=validation, test_fraction=test, seed=seed, fixed=fixed)


def files(label: str, number: int, start: int = 0) -> dict[str, str]:
    return {f"{label}/{i:05}.jpg": label for i in range(start, start + number)}


def test_each_class_gets_about_the_share_that_was_asked_for():
    labels = files("cat", 2000) | files("dog", 500)
    found = split(labels)
    for label, number in (("cat", 2000), ("dog", 500)):
        parts = Counter(part for id_, part in found.items() if labels[id_] == label)
        assert parts["validation"] / number == pytest.approx(0.15, abs=0.04)
        assert parts["test"] / number == pytest.approx(0.10, abs=0.04)


def test_half_a_pair_of_a_windows_name_has_its_place():
    assert 0 <= position("cat/\ud83d.jpg", 0) < 1


def test_adding_images_moves_none():
    before = split(files("cat", 100) | files("dog", 100))
    after = split(files("cat", 300) | files("dog", 100) | files("bird", 50))
    assert {id_: after[id_] for id_ in before} == before


def test_a_relabelled_image_stays_in_its_part():
    labels = files("cat", 100) | files("dog", 100)
    before = split(labels)
    after = split(labels | {"cat/00000.jpg": "dog", "cat/00001.jpg": "dog"})
    assert after == before


def test_a_larger_validation_share_keeps_what_was_validation_and_does_not_touch_test():
    labels = files("cat", 300)
    small, large = split(labels, validation=0.1), split(labels, validation=0.3)
    assert {i for i, part in small.items() if part == "validation"} < {i for i, part in large.items() if part == "validation"}
    assert {i for i, part in small.items() if part == "test"} == {i for i, part in large.items() if part == "test"}


def test_another_seed_gives_another_split():
    labels = files("cat", 200)
    assert split(labels, seed=1) != split(labels, seed=2)


def test_positions_are_pinned_so_that_no_release_moves_an_image():
    assert position("cat/00000.jpg", 0) == pytest.approx(0.703456416589505, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    validation=st.floats(0.01, 0.5),
    test=st.floats(0.0, 0.5),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_class_trains_and_with_two_images_validates(sizes, validation, test, seed):
    labels = {}
    for i, size in enumerate(sizes):
        labels |= files(f"class {i}", size)
    found = split(labels, validation, test, seed)
    assert found.keys() == labels.keys()
    for i, size in enumerate(sizes):
        parts = Counter(part for id_, part in found.items() if labels[id_] == f"class {i}")
        assert parts["train"] >= 1
        assert parts["validation"] >= 1 or size == 1


def test_decisions_by_hand_stand():
    labels = files("cat", 50)
    by_hand = {"cat/00001.jpg": "test", "cat/00002.jpg": "validation", "cat/00003.jpg": "train"}
    found = split(labels, fixed=by_hand)
    assert {id_: found[id_] for id_ in by_hand} == by_hand
    assert split(labels, fixed=dict.fromkeys(labels, "test")) == dict.fromkeys(labels, "test")
