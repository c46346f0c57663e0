"""The benchmark of kills in small: the engine killed ten times while it saves after every step, and nothing is lost."""

from __future__ import annotations

import pytest

from benchmarks.kill import kill_engine


@pytest.mark.timeout(600)
def test_ten_kills_while_it_saves_lose_no_checkpoint_no_line_and_no_bit(tmp_path):
    found = kill_engine(tmp_path, 10, seed=1)
    assert found.num_kills == 10 and found.num_checked >= 10
    assert (found.num_bad, found.num_lost) == (0, 0)
    assert found.is_same
