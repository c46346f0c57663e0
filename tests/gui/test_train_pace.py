"""How often the Train page is drawn beside a run on the window's own cores."""

import pytest
from PySide6.QtWidgets import QWidget

from studio.gui import attention as attention_module
from studio.gui.attention import Attention
from studio.gui.pages.train import pace as pace_module
from studio.gui.pages.train.pace import Pace


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def attention():
    return Attention()


@pytest.fixture
def pace(qtbot, drawn, attention, monkeypatch):
    monkeypatch.setattr(pace_module, "BESIDE_MS", 4)
    page = QWidget()
    qtbot.addWidget(page)
    jobs = {name: (lambda name=name: drawn.append(name)) for name in ("figures", "loss", "rate", "side")}
    calm = [jobs["figures"], jobs["loss"], jobs["figures"], jobs["rate"]]
    made = Pace(page, list(jobs.values()), calm, attention, is_seen=lambda: made.seen, shares_cores=lambda: True)
    made.seen = True
    yield made
    made.stop()


def test_each_word_of_a_run_that_nobody_watches_draws_one_part(qtbot, pace, drawn, monkeypatch):
    monkeypatch.setattr(attention_module, "ATTENDED_S", 0.0)
    for number in range(6):
        pace.tell_news()
        qtbot.waitUntil(lambda number=number: len(drawn) > number)
    assert drawn == ["figures", "loss", "figures", "rate", "figures", "loss"]


def test_whoever_moves_the_pointer_or_asks_for_a_view_gets_all_of_it(qtbot, pace, drawn, monkeypatch):
    pace.tell_news()  # somebody is there at first
    qtbot.waitUntil(lambda: drawn == ["figures", "loss", "rate", "side"])
    monkeypatch.setattr(attention_module, "ATTENDED_S", 0.0)
    pace.tell_news()
    qtbot.waitUntil(lambda: drawn[4:] == ["figures"])
    pace.tell_wish()
    qtbot.waitUntil(lambda: drawn[5:] == ["figures", "loss", "rate", "side"])


def test_what_came_while_nobody_could_look_is_drawn_when_somebody_can(qtbot, pace, drawn):
    pace.seen = False
    pace.tell_news()
    pace.seen = True
    assert not drawn
    pace.catch_up()
    qtbot.waitUntil(lambda: drawn == ["figures", "loss", "rate", "side"])


def test_another_view_comes_at_full_pace_and_what_follows_it_does_not(qtbot, pace, drawn, monkeypatch):
    monkeypatch.setattr(pace_module, "BESIDE_MS", 4_000_000)  # nobody waits for that
    pace.tell_wish()
    qtbot.waitUntil(lambda: drawn == ["figures", "loss", "rate", "side"])
    pace.tell_news()
    assert pace.is_drawing and pace._timer.interval() == 1_000_000


def test_whoever_comes_gets_all_of_the_view(qtbot, pace, drawn, attention, monkeypatch):
    monkeypatch.setattr(attention_module, "ATTENDED_S", 0.0)
    pace.tell_news()
    qtbot.waitUntil(lambda: drawn == ["figures"])
    attention.note()
    qtbot.waitUntil(lambda: drawn[1:] == ["figures", "loss", "rate", "side"])
