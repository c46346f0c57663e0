"""Pieces of a pass side by side, each on one thread."""

from __future__ import annotations

import threading

import pytest
import torch

from studio.engine.lanes import Lanes


@pytest.fixture
def lanes():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    lanes = Lanes(torch.device("cpu"))
    yield lanes
    lanes.close()
    torch.set_num_threads(before)


def test_pieces_are_computed_at_the_same_time_and_come_in_order(lanes):
    all_there = threading.Barrier(lanes.count, timeout=60)  # fewer than three at a time would wait for ever

    def compute(piece):
        all_there.wait()
        return piece * 2

    pieces = torch.arange(6.0).split(1)
    assert torch.cat(lanes.map(compute, pieces)).tolist() == [0, 2, 4, 6, 8, 10]


def test_each_lane_computes_alone_and_all_others_with_as_many_threads_as_before(lanes):
    for _ in range(2):
        assert {
            int(n) for n in lanes.map(lambda _: (torch.ones(9) @ torch.ones(9), torch.get_num_threads())[1], torch.zeros(6).split(1))
        } == {1}
    counts = [torch.get_num_threads()]
    later = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert counts == [3, 3]


def test_what_a_piece_raises_is_raised(lanes):
    def compute(piece):
        if piece.item() == 2:
            raise ValueError("the third")
        return piece

    with pytest.raises(ValueError, match="the third"):
        lanes.map(compute, torch.arange(6).split(1))


def test_other_devices_and_single_threads_have_one_lane(lanes):
    assert Lanes(torch.device("meta")).count == 1
    torch.set_num_threads(1)
    here = threading.get_ident()
    assert Lanes(torch.device("cpu")).map(lambda piece: piece if threading.get_ident() == here else None, [1, 2]) == [1, 2]
