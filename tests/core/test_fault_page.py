"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_table_of_faults_names_exists():
    page = (ROOT / "docs" / "faults.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 30
    table = page[page.index("| fault |") :].splitlines()[2:]
    rows = [line for line in table if line.startswith("| ")]
    assert len(rows) > 30
    assert all("`tests/" in row and row.count(" | ") == 4 for row in rows), "how it is made, what is seen, what becomes of it, and the test"
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
