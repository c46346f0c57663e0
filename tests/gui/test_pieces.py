"""Pages that are made ahead, in pieces."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QStackedWidget, QWidget

from studio.gui.pages import PAGES

MOST_SHARE = 0.4  # of a page's widgets; nearly all of them given a new parent, and so a new style, at once take a tenth of a second


@pytest.mark.parametrize("key", ["train", "model", "results", "use"])
def test_a_page_is_made_from_the_outside_in(context, qtbot, key):
    """Each piece puts a part of it in its place; none puts all that was made before into the page."""
    stack = QStackedWidget()
    qtbot.addWidget(stack)
    page = next(slot for slot in PAGES if slot.key == key).load()(context, stack, in_pieces=True)
    nums = [len(page.findChildren(QWidget))]
    nums += [len(page.findChildren(QWidget)) for _ in page.pieces]
    nums.append(len(page.findChildren(QWidget)))
    assert max(after - before for before, after in zip(nums, nums[1:])) <= MOST_SHARE * nums[-1]
    qtbot.waitUntil(lambda: not context.background._tasks)  # what a page has asked for tells it, as long as it is there


@pytest.mark.parametrize("key", [slot.key for slot in PAGES if slot.key != "data"])
def test_a_page_of_which_parts_are_missing_may_be_sized(key, context, qtbot):
    stack = QStackedWidget()
    qtbot.addWidget(stack)
    page = next(slot for slot in PAGES if slot.key == key).load()(context, stack, in_pieces=True)
    fits: list[bool] = []
    fit, page.fit = page.fit, lambda: (fit(), fits.append(page.is_whole))
    page.setAttribute(Qt.WidgetAttribute.WA_PendingResizeEvent, False)  # as after an event that Qt has delivered
    for _ in page.pieces:
        QApplication.sendEvent(page, QResizeEvent(QSize(800, 500), page.size()))
    assert fits == [True]
    qtbot.waitUntil(lambda: not context.background._tasks)
