"""A cache on disk stays below its size; what was used longest ago goes first."""

from __future__ import annotations

import os

import pytest

from studio.core.trim import drop_oldest, files_two_below, total_bytes


@pytest.fixture
def folder(tmp_path):
    """Six files of 100 bytes in two parts; the higher the number, the later it was used."""
    for number in range(6):
        path = tmp_path / "ab"[number % 2] / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, ns=(number, number))
    return tmp_path


def left_in(folder) -> list[str]:
    return sorted(os.path.basename(path) for path in files_two_below(folder))


def test_the_oldest_go_until_the_rest_fits(folder):
    assert drop_oldest(files_two_below(folder), 350) == 300 and left_in(folder) == ["3", "4", "5"]
    assert total_bytes(files_two_below(folder)) == 300


def test_nothing_goes_while_all_fit(folder):
    assert drop_oldest(files_two_below(folder), 600) == 600 and len(left_in(folder)) == 6


def test_a_spared_file_counts_and_stays(folder):
    assert drop_oldest(files_two_below(folder), 250, spared=folder / "a" / "0") == 200
    assert left_in(folder) == ["0", "5"]


def test_files_that_others_have_removed_and_folders_that_are_not_there_count_nothing(folder):
    paths = [*files_two_below(folder), str(folder / "a" / "gone")]
    assert total_bytes(paths) == 600 and drop_oldest(paths, 0) == 0
    assert left_in(folder) == [] and list(files_two_below(folder / "nowhere")) == []
