"""`studio screenshots`: the list of pictures is whole, and what it draws are the pages in their states."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

import studio.gui.pages as pages
from studio.core.problem import BadInput
from studio.gui.pages.train.faults import FAULTS
from studio.gui.screenshot import STATES, Shot, all_shots, chosen_shots
from studio.gui.shell.sample_sheets import OVERLAYS

BOTH = {(theme, size) for theme in ("dark", "light") for size in ((1440, 900), (1280, 720))}
PAGE_FOLDERS = {p.parent.name for p in Path(pages.__file__).parent.glob("*/__init__.py")}


def test_every_page_is_drawn_empty_full_running_and_failed_in_both_themes_and_sizes():
    drawn = {(shot.page, shot.state, shot.theme, shot.size) for shot in all_shots()}
    assert len(PAGE_FOLDERS) == 7
    for page in PAGE_FOLDERS:
        for state in ("empty", "full", "running", "failed"):
            assert {(theme, size) for p, s, theme, size in drawn if (p, s) == (page, state)} == BOTH, (page, state)


def test_every_state_that_a_page_has_besides_is_drawn_in_both_themes_and_sizes():
    drawn = all_shots()
    for slot in pages.PAGES:
        for state in slot.load().screenshot_states():
            assert {(s.theme, s.size) for s in drawn if (s.page, s.state) == (slot.key, state)} == BOTH, (slot.key, state)
    assert {f"fault_{name}" for name in FAULTS} <= {s.state for s in drawn if s.page == "train"}


def test_what_lies_over_the_pages_is_drawn_in_both_themes():
    drawn = {(shot.page, shot.theme) for shot in all_shots()}
    assert {"palette", "keyboard", "settings", "sweep", "queue", "messages", "problems", "failure"} == set(OVERLAYS)
    assert {(name, theme) for name in OVERLAYS for theme in ("dark", "light")} <= drawn


def test_no_picture_is_written_over_another():
    names = [shot.file_name for shot in all_shots()]
    assert len(set(names)) == len(names) > 400
    assert all(name.isascii() and " " not in name and "/" not in name for name in names)


def test_pages_states_themes_and_sizes_can_be_chosen():
    assert chosen_shots() == all_shots()
    assert chosen_shots(["data", "use"], ["empty"], ["light"], [(1100, 660)]) == [
        Shot("data", "empty", "light", (1100, 660)),
        Shot("use", "empty", "light", (1100, 660)),
    ]
    assert {shot.size for shot in chosen_shots(["model"])} == {(1440, 900), (1280, 720)}
    with pytest.raises(BadInput, match="“date” is not a page that can be drawn here. There are: data, model"):
        chosen_shots(["date"])
    with pytest.raises(BadInput, match="“fault_disk” is not a state"):
        chosen_shots(["data"], ["fault_disk"])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder of pictures, drawn by the command in a process of its own: it makes the application and a home of its own."""
    out = tmp_path_factory.mktemp("pictures") / "new"
    chosen = "--page train --page palette --state empty --state full --state running --state failed --theme light --size 1280x720"
    code = "import sys; from studio.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "screenshots", out, *chosen.split(), "--no-workers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"Wrote 5 pictures to {out}"
    return out


def test_the_command_draws_what_was_chosen(drawn):
    shots = chosen_shots(["train", "palette"], STATES, ["light"], [(1280, 720)])
    assert {p.name for p in drawn.iterdir()} == {shot.file_name for shot in shots}
    for path in drawn.iterdir():
        image = QImage(str(path))
        assert (image.width(), image.height()) == (1280, 720)
        assert len({image.pixel(x, y) for x in range(0, 1280, 7) for y in range(0, 720, 7)}) > 60, path.name


def test_states_look_different_and_the_theme_is_the_one_that_was_chosen(drawn):
    images = {p.stem: QImage(str(p)) for p in drawn.iterdir()}
    states = [images[f"train-{state}-light-1280x720"] for state in STATES]
    assert all(a != b for i, a in enumerate(states) for b in states[:i])
    assert all(image.pixelColor(3, 400).lightness() > 192 for image in states)
