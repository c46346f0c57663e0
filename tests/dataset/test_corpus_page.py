"""The page of bad inputs is true: every row stands there, and every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from .corpus import CASES, NOT_MADE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bad-inputs.md").read_text()


def test_every_row_of_the_corpus_stands_on_the_page_once():
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert rows == list(range(1, 121))


def test_every_row_of_image_files_is_made_by_a_case():
    later = {48, 60, 61}  # files beside images, and what happens in mid-run
    assert {case.row for case in CASES} >= set(range(1, 60)) - later


def test_every_row_has_a_test_or_a_reason_why_none_can_make_it():
    without = {int(row[1]) for row in re.finditer(r"^\| (\d+) \|.*\| \|$", PAGE, re.MULTILINE)}
    assert without <= set(NOT_MADE) <= set(range(1, 121))


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 60
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
    keys = set(re.findall(r"^\| (\w+) \| `tests", PAGE, re.MULTILINE))
    used = {word for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line) for word in re.findall(r"(?:\| |, )(\w+)(?=,| \|$)", line)}
    assert used & keys == keys
