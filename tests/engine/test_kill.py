"""The benchmark of kills in small: the engine killed five times while it saves after every step, and nothing is lost."""

from __future__ import annotations

import pytest

from benchmarks.kill import kill_engine


@pytest.mark.timeout(600)
def test_five_kills_while_it_saves_lose_no_checkpoint_no_line_and_no_bit(tmp_path):
    found = kill_engine(tmp_path, 5, seed=1)
    assert found.num_kills == 5 and found.num_checked >= 5
    assert (found.num_bad, found.num_lost) == (0, 0)
    assert found.is_same
