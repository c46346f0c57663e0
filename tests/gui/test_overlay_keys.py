"""Tab and Shift+Tab stay inside what lies over the window: its controls in turn, and round again."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLineEdit, QPushButton, QWidget

from studio.gui.shell.sheet import Sheet
from studio.gui.widgets.cover import Cover


@pytest.fixture
def host(qtbot, theme):
    made = QWidget()
    row = QHBoxLayout(made)
    for name in ("below one", "below two"):
        row.addWidget(QPushButton(name))
    qtbot.addWidget(made)
    made.resize(800, 600)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


def walk(qtbot, key: Qt.Key, steps: int) -> list[str]:
    names = []
    for _ in range(steps):
        qtbot.keyClick(QApplication.focusWidget(), key)
        focus = QApplication.focusWidget()
        names.append(focus.objectName() or focus.text())
    return names


def test_tab_goes_round_inside_a_sheet(qtbot, host):
    sheet = Sheet(host, "A question", name="sheet")
    field, hidden, take = QLineEdit(), QPushButton("hidden"), QPushButton("Take")
    field.setObjectName("field")
    for widget in (field, hidden, take):
        sheet.body.addWidget(widget)
    hidden.hide()
    sheet.open()
    assert walk(qtbot, Qt.Key.Key_Tab, 4) == ["sheet.close", "field", "Take", "sheet.close"]
    assert walk(qtbot, Qt.Key.Key_Backtab, 4) == ["Take", "field", "sheet.close", "Take"]


def test_tab_goes_round_inside_a_large_view(qtbot, host):
    cover = Cover(host, name="large", what="image", hint="")
    cover.finish_head()
    cover.open_view()
    assert walk(qtbot, Qt.Key.Key_Tab, 4) == ["large.back", "large.next", "large.close", "large.back"]
    assert walk(qtbot, Qt.Key.Key_Backtab, 1) == ["large.close"]
