"""Whether somebody watches the window, by what is done in it."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from studio.gui import attention as attention_module
from studio.gui.attention import Attention


@pytest.fixture
def window(qtbot):
    made = QWidget()
    made.field = QLineEdit()
    QVBoxLayout(made).addWidget(made.field)
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def attention(window, monkeypatch):
    """Nobody is there, from the first moment on."""
    monkeypatch.setattr(attention_module, "ATTENDED_S", 0.0)
    made = Attention()
    made.follow(window.windowHandle())
    return made


@pytest.mark.parametrize(
    "touch",
    [
        lambda window: QTest.mouseMove(window, QPoint(30, 30)),
        lambda window: QTest.mouseClick(window, Qt.MouseButton.LeftButton, pos=QPoint(10, 10)),  # where the pointer is
        lambda window: QTest.keyClick(window, Qt.Key.Key_A),
        lambda window: QTest.touchEvent(window, QTest.createTouchDevice()).press(0, QPoint(20, 20)).commit(),
    ],
    ids=["pointer", "click", "key", "touch"],
)
def test_whoever_touches_anything_in_the_window_is_there(qtbot, window, attention, monkeypatch, touch):
    QTest.mouseMove(window.windowHandle(), QPoint(10, 10))
    assert not attention.is_there
    with qtbot.waitSignal(attention.came):
        touch(window.windowHandle())
    monkeypatch.setattr(attention_module, "ATTENDED_S", 60.0)
    assert attention.is_there


def test_nobody_comes_by_what_the_window_does_on_its_own(qtbot, window, attention):
    came = []
    attention.came.connect(lambda: came.append(True))
    window.field.setText("told by a run")
    window.resize(300, 200)
    window.repaint()
    qtbot.wait(50)
    assert not came


def test_whoever_is_there_does_not_come_again(window, attention, monkeypatch):
    came = []
    attention.came.connect(lambda: came.append(True))
    monkeypatch.setattr(attention_module, "ATTENDED_S", 60.0)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_A)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_B)
    assert not came and attention.is_there
