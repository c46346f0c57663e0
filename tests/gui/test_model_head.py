"""The head: a chain of parts with shapes, what does not fit says why, and every change is one undo step."""

from __future__ import annotations

import pytest
from model_cases import CUTS, DESCRIBED, LIST
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from studio.core.experiment import Experiment
from studio.core.head import Convolution, Dropout, Hidden, Pooling
from studio.gui.pages.model.head_plan import first_loss, moved, places_from, shape_words, why_not, with_part
from studio.gui.pages.model.page import ModelPage
from studio.supervise.worker import WorkerError


@pytest.fixture
def page(qtbot, context):
    context.probe.answer("describe_model", DESCRIBED)
    context.probe.answer("cut_points", CUTS)
    made = ModelPage(context)
    qtbot.addWidget(made)
    made.resize(920, 790)
    made.show()
    made.chooser._on_list_read(LIST)
    qtbot.waitUntil(lambda: made.head_panel.places is not None)
    return made


def titles(page: ModelPage) -> list[str]:
    return [f"{node.title} {node.words}" for node in page.head_panel.chain.nodes]


def head(page: ModelPage) -> tuple:
    return page.store.experiment.model.head


def test_presets_build_the_chain_with_its_shapes_and_undo_in_one_step(page):
    panel = page.head_panel
    assert titles(page) == ["Features 64", "Dropout 0.2 64", "Linear 10"] and panel.subtitle_label.text() == "650 new"
    panel.presets._group.button(1).click()
    assert titles(page) == ["Features 64", "Hidden layer 512", "Dropout 0.2 512", "Dropout 0.2 512", "Linear 10"]
    panel.presets._group.button(2).click()
    assert titles(page)[:3] == ["Features 64×7²", "Convolution block 64×7²", "Average 64"]
    assert page.store.undo_label == "head: Conv block"
    page.store.undo()
    page.store.undo()
    assert page.store.experiment == Experiment() and panel.presets.value == "linear"


def test_parts_are_added_where_they_belong_and_what_does_not_fit_says_why(page):
    panel = page.head_panel
    menu = {a.text(): a for a in panel.add_menu().actions()}
    menu["Hidden layer"].trigger()
    menu = {a.text(): a for a in panel.add_menu().actions()}
    menu["Convolution block"].trigger()
    assert [p.kind for p in head(page)] == ["convolution", "hidden"] and panel.chain.key == "0"
    {a.text(): a for a in panel.add_menu().actions()}["Pooling"].trigger()
    assert [p.kind for p in head(page)] == ["convolution", "pooling", "hidden"]
    refused = next(a for a in panel.add_menu().actions() if a.text().startswith("Pooling"))
    assert not refused.isEnabled() and "pooling needs a feature map" in refused.text()


def test_a_part_is_moved_by_keys_only_where_it_fits_and_taken_away_with_delete(qtbot, page, context):
    said = []
    context.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    page.store.set({"model.head": [p.model_dump() for p in (Convolution(), Hidden(width=20), Dropout(share=0.5))]})
    panel = page.head_panel
    first = panel.findChild(QWidget, "model.head.node.0")
    qtbot.keyClick(first, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert [p.kind for p in head(page)] == ["convolution", "hidden", "dropout"] and "cannot come after pooling" in said[-1]
    qtbot.keyClick(panel.findChild(QWidget, "model.head.node.2"), Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert [p.kind for p in head(page)] == ["convolution", "dropout", "hidden"] and panel.chain.key == "1"
    qtbot.keyClick(panel.findChild(QWidget, "model.head.node.1"), Qt.Key.Key_Delete)
    assert [p.kind for p in head(page)] == ["convolution", "hidden"] and page.store.undo_label == "take away dropout"


def test_a_node_opens_its_options_and_a_change_of_them_reaches_the_draft(qtbot, page):
    page.store.set({"model.head": [Hidden(width=20).model_dump()]})
    qtbot.mouseClick(page.head_panel.findChild(QWidget, "model.head.node.0"), Qt.MouseButton.LeftButton)
    field = page.head_panel.findChild(QWidget, "model.head.width")
    assert field.accessibleName() == "Width"
    field.setText("33")
    field.setModified(True)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert head(page) == (Hidden(width=33),) and "Hidden layer 33" in titles(page)
    page.store.set({"model.head": []})
    assert page.head_panel.chain.key == "linear" and page.head_panel.findChild(QWidget, "model.head_init") is not None


def test_a_cut_that_cannot_be_says_why_and_changes_nothing(page, context):
    said = []
    context.shell.toast_requested.connect(lambda sentence, *_: said.append(sentence))
    panel = page.head_panel
    assert [panel.cut.itemText(i) for i in range(panel.cut.count())] == ["Not cut", "After stage 4", "Before FC7", "After stage 3"]
    assert [panel.cut.model().item(i).isEnabled() for i in range(4)] == [True, True, True, False]
    panel.cut.value_changed.emit("stage 3")
    assert page.store.experiment.model.cut == "" and said == ["its branches have not met there"]
    panel.cut.value_changed.emit("dense 1")
    assert page.store.experiment.model.cut == "dense 1" and titles(page)[0] == "Features 4096"
    assert not panel.presets._group.button(2).isEnabled() and "no map to run convolutions over" in panel.presets._group.button(2).toolTip()


def test_a_head_from_a_file_that_does_not_fit_is_named(page):
    page.store.set({"model.cut": "dense 1", "model.head": [Convolution().model_dump()]})
    assert page.head_panel.problem_label.isVisibleTo(page) and "no map to run convolutions over" in page.head_panel.problem_label.text()


def test_the_first_loss_is_measured_where_it_does_not_follow_from_the_settings(qtbot, page, context):
    context.probe.answer("first_loss", {"first_loss": 2.41, "are_real_images": True})
    page.store.set({"model.head_init": "xavier"})
    qtbot.waitUntil(lambda: page.head_panel.loss_label.text() == "first loss 2.41 (a guess: ln 10 = 2.30)")
    page.store.set({"model.head_init": "zeros"})
    qtbot.waitUntil(lambda: page.head_panel.loss_label.text() == "first loss 2.30 (a guess: ln 10 = 2.30)")


def test_the_first_loss_is_measured_again_with_the_weights_of_a_run_and_after_a_failure(qtbot, page, context):
    words = lambda: page.head_panel.loss_label.text()  # noqa: E731 - reads as a word
    context.probe.answer("first_loss", {"first_loss": 2.41, "are_real_images": True})
    page.store.set({"model.head_init": "xavier"})
    qtbot.waitUntil(lambda: words().startswith("first loss 2.41"))
    context.probe.answer("first_loss", WorkerError("The run cannot be read."))
    page.store.set({"model.start_run": "/runs/7"})
    assert not words().startswith("first loss"), "the figure is that of the former weights"
    qtbot.waitUntil(lambda: page.head_panel.first_loss._asked is None)  # the failure has arrived
    assert ("first_loss", "/runs/7") in [(m, p.get("experiment", {}).get("model", {}).get("start_run")) for m, p in context.probe.calls]
    context.probe.answer("first_loss", {"first_loss": 0.31, "are_real_images": True})
    page.store.set({"model.train_stages": 1})
    qtbot.waitUntil(lambda: words().startswith("first loss 0.31"))


def test_the_first_loss_is_known_where_it_follows_from_the_settings():
    zeros = Experiment().changed({"model.head_init": "zeros"}).model
    assert first_loss(zeros, [0.1] * 10) == pytest.approx(2.302585)
    prior = zeros.model_copy(update={"head_bias": "class prior"})
    assert first_loss(prior, [0.5, 0.25, 0.25]) == pytest.approx(1.0397207)
    assert first_loss(Experiment().model, [0.5, 0.5]) is None
    assert first_loss(zeros.model_copy(update={"start_run": "/runs/7"}), [0.5, 0.5]) is None, "the head comes from the run"


def test_order_and_shapes_are_checked_before_a_change():
    places, model = places_from(CUTS), Experiment().model
    parts = (Convolution(), Pooling(), Hidden())
    assert with_part(parts, Convolution(depth=1))[1].depth == 1 and with_part((Hidden(),), Pooling())[0] == Pooling()
    assert moved(parts, 0, 9) == (Pooling(), Hidden(), Convolution()) and moved(parts, 2, -9)[0] == Hidden()
    assert why_not(places, model, 10, parts=parts) == "" and "needs a feature map" in why_not(places, model, 10, parts=moved(parts, 0, 1))
    assert shape_words((64, 7, 7)) == "64×7²" and shape_words((197, 768)) == "197×768"
