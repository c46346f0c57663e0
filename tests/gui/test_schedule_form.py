"""The optimiser's settings on the Schedule page: those of its kind only, what they mean, and what the batch does to the peak."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from studio.catalog.optimisers import KINDS
from studio.gui.pages.schedule.effective_batch import EffectiveBatch
from studio.gui.pages.schedule.optimiser import OptimiserForm


@pytest.fixture
def store(context):
    return context.store


@pytest.fixture
def form(qtbot, store) -> OptimiserForm:
    made = OptimiserForm(store)
    qtbot.addWidget(made)
    store.experiment_changed.connect(lambda *_: made.refresh(18_300))
    made.show()
    return made


@pytest.fixture
def batch(qtbot, store) -> EffectiveBatch:
    made = EffectiveBatch(store)
    qtbot.addWidget(made)
    made.show()
    return made


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


# The kinds


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_a_kind_shows_its_own_fields_and_those_of_all(qtbot, store, form, kind):
    qtbot.mouseClick(form.chips[kind.key], Qt.MouseButton.LeftButton)
    assert store.experiment.optimiser.kind == kind.key
    own = {name for name in ("beta1", "beta2", "momentum", "nesterov", "epsilon") if form.rows[name].isVisible()}
    assert own == set(kind.fields)
    assert all(form.rows[name].isVisible() for name in ("weight_decay", "weight_decay_course", "clip_norm", "ema_decay"))
    assert form.help_label.text() == kind.help


def test_the_final_decay_is_asked_for_where_the_decay_has_an_end_of_its_own(store, form):
    for course, is_shown in (("constant", False), ("linear", True), ("cosine", True), ("with the rate", False)):
        store.set({"optimiser.weight_decay_course": course})
        assert form.rows["weight_decay_final"].isVisible() is is_shown, course
    store.set({"optimiser.weight_decay_course": "cosine", "optimiser.weight_decay": 0.0})
    assert not form.rows["weight_decay_final"].isVisible() and not form.rows["weight_decay_course"].isEnabled()


def test_what_weight_decay_leaves_out_is_counted(store, form):
    form.refresh(18_300)
    assert plain(form.decay_label.text()) == "Never on the 18.3 K of normalisation and biases."
    form.refresh(None)
    assert form.decay_label.text() == "Never on normalisation layers and biases."
    store.set({"optimiser.weight_decay": 0.0})
    assert not form.decay_label.isVisible()


def test_the_rise_of_the_average_is_told(store, form):
    assert not form.average_label.isVisible()
    store.set({"optimiser.ema_decay": 0.999})
    assert form.average_label.isVisible() and "min(0.999, (1 + n) / (10 + n))" in form.average_label.text()


def test_nesterov_waits_for_momentum(store, form):
    store.set({"optimiser.kind": "sgd", "optimiser.momentum": 0.0})
    assert not form.rows["nesterov"].isEnabled()
    store.set({"optimiser.momentum": 0.9})
    assert form.rows["nesterov"].isEnabled()


def test_lion_offers_its_usual_second_beta_and_changes_nothing_by_itself(qtbot, store, form):
    store.set({"optimiser.kind": "lion"})
    assert store.experiment.optimiser.beta2 == 0.999 and form.beta_hint.isVisible()
    qtbot.mouseClick(form.beta_hint.buttons[0], Qt.MouseButton.LeftButton)
    assert store.experiment.optimiser.beta2 == 0.99 and not form.beta_hint.isVisible()


# The batch


def test_the_images_of_a_step_are_counted(store, batch):
    assert batch.words_label.text() == "32 images per step"
    store.set({"training.accumulation": 4})
    assert batch.words_label.text() == "32 × 4 = 128 images per step"


def test_sgd_offers_linear_scaling_in_one_click_and_one_undo_step(qtbot, store, batch):
    store.set({"optimiser.kind": "sgd", "schedule.peak_lr": 0.01})
    assert not batch.hint.isVisible()
    store.set({"training.accumulation": 4})
    before = store.experiment
    assert "0.01 was set for 32 images per step, now there are 128" in batch.hint.label.text()
    assert batch.hint.buttons[0].text() == "Scale the peak by 4" and "1706.02677" in batch.hint.buttons[0].toolTip()
    qtbot.mouseClick(batch.hint.buttons[0], Qt.MouseButton.LeftButton)
    assert store.experiment.schedule.peak_lr == 0.04 and not batch.hint.isVisible()
    store.undo()
    assert store.experiment == before and batch.hint.isVisible()


def test_kinds_like_adam_offer_the_square_root(qtbot, store, batch):
    store.set({"training.batch_size": 128})
    assert batch.hint.buttons[0].text() == "Scale the peak by 2" and "2205.10287" in batch.hint.buttons[0].toolTip()
    qtbot.mouseClick(batch.hint.buttons[0], Qt.MouseButton.LeftButton)
    assert store.experiment.schedule.peak_lr == 4e-3


def test_going_back_to_the_batch_ends_the_hint(store, batch):
    store.set({"training.batch_size": 64})
    assert batch.hint.isVisible()
    store.undo()
    assert not batch.hint.isVisible()


def test_the_peak_can_be_kept_and_a_new_one_is_for_the_batch_there_is(qtbot, store, batch):
    store.set({"training.batch_size": 64})
    qtbot.mouseClick(batch.hint.buttons[1], Qt.MouseButton.LeftButton)
    assert not batch.hint.isVisible() and store.experiment.schedule.peak_lr == 2e-3
    store.set({"training.batch_size": 128})
    store.set({"schedule.peak_lr": 3e-3})
    assert not batch.hint.isVisible()
