"""The first look at a folder: its thumbnails come before everything else that could go on."""

from __future__ import annotations

import pytest

from studio.gui.pages.data.page import DataPage
from studio.gui.slices import Slices
from tests.builders import build_dataset

LONG_MS = 600_000  # no computer is slow enough to reach the limit


@pytest.fixture
def look(context):
    look = context.scan.first_look
    look._limit.setInterval(LONG_MS)
    return look


@pytest.fixture
def page(context, look, qtbot) -> DataPage:
    page = DataPage(context)
    qtbot.addWidget(page)
    page.resize(960, 780)
    page.show()
    page.activate()
    return page


def test_all_images_are_decoded_only_when_those_in_view_are_shown(context, page, look, qtbot, tmp_path):
    build_dataset(tmp_path / "images", num_train=12, num_validation=4)
    at_first = []  # pictures in memory when the decoding of all began, and whether any were still wanted

    def note() -> None:
        if context.scan.phase == "verifying" and not at_first:
            at_first.append((len(page.loader._pixmaps), page.is_busy()))

    context.scan.changed.connect(note)
    context.projects.open_data(str(tmp_path / "images"))
    assert look.is_going
    qtbot.waitUntil(lambda: context.scan.state.is_complete, timeout=30_000)
    [(num_shown, was_busy)] = at_first
    assert num_shown >= 16 and not was_busy


def test_a_folder_that_cannot_be_read_and_one_that_is_given_up_hold_nothing_back(context, page, look, qtbot, tmp_path):
    (tmp_path / "empty").mkdir()
    context.projects.open_data(str(tmp_path / "empty"))
    qtbot.waitUntil(lambda: context.scan.error is not None, timeout=10_000)
    assert not look.is_going
    build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.projects.open_data(str(tmp_path / "images"))
    assert look.is_going
    context.scan.cancel()
    assert not look.is_going


def test_nobody_who_looks_elsewhere_is_waited_for(context, page, look, qtbot, tmp_path):
    page.hide()
    build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.projects.open_data(str(tmp_path / "images"))
    qtbot.waitUntil(lambda: context.scan.state.is_complete, timeout=30_000)
    assert not look.is_going


def test_pages_are_not_made_ahead_during_a_first_look_and_go_on_after_it(look, qtbot):
    done = []
    work = Slices((done.append(i) for i in range(3)), look)
    look.begin()
    work.give_way_to(look)
    work.start()
    assert not work._timer.isActive()
    with qtbot.waitSignal(work.finished):
        look.end()
    assert done == [0, 1, 2]
    work.hold(False)
    assert not work._timer.isActive()  # what is finished is not begun again
