"""The Model page used by keyboard alone: a backbone, what trains down to a parameter, rates and epochs, the head, undo."""

from __future__ import annotations

import pytest
from keys import press
from model_cases import CUTS, DESCRIBED, LIST, TREE
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit

from studio.gui.pages.model.page import ModelPage

Key, Mod = Qt.Key, Qt.KeyboardModifier


@pytest.fixture
def page(qtbot, context) -> ModelPage:
    for method, answer in (("describe_model", DESCRIBED), ("model_tree", {"stages": TREE}), ("cut_points", CUTS)):
        context.probe.answer(method, answer)
    made = ModelPage(context)
    qtbot.addWidget(made)
    made.resize(1000, 900)
    made.show()
    made.chooser._on_list_read(LIST)
    context.estimates.refresh()
    qtbot.waitUntil(lambda: made.editor.has_tree and made.head_panel.places is not None)
    made.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is made)
    return made


def tab_to(qtbot, name: str) -> None:
    """Press Tab until the widget of this name has the focus, at most as often as there are places to go."""
    for _ in range(80):
        if QApplication.focusWidget() is not None and QApplication.focusWidget().objectName() == name:
            return
        press(qtbot, Key.Key_Tab)
    raise AssertionError(f"Tab does not get to {name}")


def type_into_row(qtbot, page, key: Key, words: str) -> None:
    """Edit a cell of the current row of the tree."""
    press(qtbot, key)
    editor = page.tree.viewport().findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, words)
    qtbot.keyClick(editor, Key.Key_Return)
    qtbot.waitUntil(lambda: not page.tree.viewport().findChildren(QLineEdit))


def test_a_network_is_chosen_frozen_and_given_a_head_by_keyboard_alone(qtbot, page):
    model = lambda: page.store.experiment.model  # noqa: E731 - reads as a word
    page.focus_search()
    # a backbone: found, taken with Enter, marked with a star
    qtbot.keyClicks(QApplication.focusWidget(), "resnet18")
    press(qtbot, Key.Key_Return)
    press(qtbot, Key.Key_Home)
    press(qtbot, Key.Key_Return)
    press(qtbot, Key.Key_Asterisk)
    assert model().backbone == "resnet18" and page.backbones.model.favourites == {("torchvision", "resnet18")}
    qtbot.waitUntil(lambda: page.editor.has_tree and page.strip.isVisibleTo(page))
    # the freeze line, one stage of its own, and a look inside
    tab_to(qtbot, "model.freeze")
    press(qtbot, Key.Key_End)
    assert model().train_stages == 0
    press(qtbot, Key.Key_Up, times=3)  # head, stage 5, stage 4
    press(qtbot, Key.Key_F)
    assert model().thaw == {"stage 4": 0}
    press(qtbot, Key.Key_Return)
    assert QApplication.focusWidget().objectName() == "model.inside"
    press(qtbot, Key.Key_Right)
    press(qtbot, Key.Key_F)
    assert model().layers == {"backbone.stage_4.bn": "frozen"}
    press(qtbot, Key.Key_Escape, times=2)
    assert QApplication.focusWidget() is page.strip
    # layers by pattern
    tab_to(qtbot, "model.layers.search")
    qtbot.keyClicks(QApplication.focusWidget(), "stage_2*conv")
    tab_to(qtbot, "model.match.train")
    press(qtbot, Key.Key_Space)
    assert model().layers["backbone.stage_2.conv"] == "train"
    page.layers.search_field.setFocus(Qt.FocusReason.TabFocusReason)
    press(qtbot, Key.Key_A, Mod.ControlModifier)
    press(qtbot, Key.Key_Delete)
    # rate and epoch of a stage, in the tree
    tab_to(qtbot, "model.layers")
    press(qtbot, Key.Key_Home)
    press(qtbot, Key.Key_Down, times=3)
    type_into_row(qtbot, page, Key.Key_L, "0.2")
    type_into_row(qtbot, page, Key.Key_T, "2")
    assert page.store.experiment.optimiser.stage_lr_factors == {"stage 3": 0.2} and model().thaw["stage 3"] == 2
    # a head of its own
    tab_to(qtbot, "model.head.preset.0")
    press(qtbot, Key.Key_Right)
    assert [p.kind for p in model().head] == ["hidden", "dropout"]
    tab_to(qtbot, "model.head.node.1")
    press(qtbot, Key.Key_Left, Mod.AltModifier)
    assert [p.kind for p in model().head] == ["dropout", "hidden"]
    press(qtbot, Key.Key_Delete)
    assert [p.kind for p in model().head] == ["hidden"]
    # every step back
    while page.store.undo_label:
        page.store.undo()
    assert (model().backbone, model().head, model().layers, model().thaw) == ("tf_efficientnet_lite0", (), {}, {})


def test_every_control_can_be_reached_with_tab(qtbot, page):
    page.focus_search()
    seen = set()
    for _ in range(80):
        press(qtbot, Key.Key_Tab)
        seen.add(QApplication.focusWidget())
    wanted = [
        b for b in page.findChildren(QAbstractButton)
        if b.isVisibleTo(page) and b.isEnabled() and b.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]  # fmt: skip
    assert wanted and [b.objectName() for b in wanted if b not in seen] == []
