"""Small networks on one thread: handing work to a second costs more than it saves, most of all on a busy machine. No engine outlives its test."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)
    from engine_runs import close_nursery

    close_nursery()


@pytest.fixture(autouse=True)
def no_engine_is_left():
    """One that a failed test left half-way would train on beside the next ones."""
    yield
    from engine_runs import end_started

    end_started()
