"""Gradient flow on the Train page: a row per stage with the head on top, hatched where nothing trains, and words where one gets almost none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import build_dataset, build_run
from PySide6.QtCore import Qt

from studio.core import event as ev
from studio.core.fold import RunState, fold
from studio.core.outcome import Status
from studio.gui.monitor import RunUpdate
from studio.gui.pages.train.flow import flow_of, heat_pixels, levels_of, weak_words
from studio.gui.pages.train.page import TrainPage


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("flow")
    return build_run(root / "runs", build_dataset(root / "images", num_train=6, num_validation=2))


def state_of(*samples: tuple[float, ...], names=("stem", "stage 1", "head")) -> RunState:
    stages = tuple(ev.StageDescribed(name=n, num_parameters=1, is_frozen=False) for n in names)
    described = ev.RunDescribed(
        device="cpu", device_name="CPU", precision="fp32", channels_last=True, classes=("a", "b"), num_train=8, num_validation=2, num_test=0,
        batch_size=2, epochs=2, steps_per_epoch=4, num_parameters=3, num_trainable=3, stages=stages,
    )  # fmt: skip
    told = [ev.GradientsSampled(step=i, norms=norms, ratios=tuple(n / 1000 for n in norms)) for i, norms in enumerate(samples)]
    return fold(RunState(), [described, *told])


def test_frozen_stages_have_no_colour_and_the_head_is_the_top_row():
    flow = flow_of(state_of((0.0, 0.1, 1.0), (0.0, 0.2, 2.0)), "norms")
    assert np.isnan(flow.values_SC[0]).all() and flow.values_SC[2].tolist() == [1.0, 2.0]
    pixels = heat_pixels(flow.values_SC, levels_of(flow.values_SC))
    assert pixels.shape == (3, 2, 4) and (pixels[2, :, 3] == 0).all() and (pixels[:2, :, 3] == 255).all()
    assert int(pixels[0, 1, :3].sum()) > int(pixels[1, 0, :3].sum())  # hotter is brighter
    assert flow_of(RunState(), "norms") is None


def test_a_stage_that_trains_and_gets_almost_nothing_is_named():
    flow = flow_of(state_of(*[(0.0, 1e-6, 1.0)] * 3), "norms")
    assert flow.weak == ("stage 1",) and weak_words(flow.weak) == "stage 1 trains and gets almost no gradient"
    assert flow_of(state_of((0.0, 0.01, 1.0)), "norms").weak == ()


def test_the_page_shows_it_reads_single_values_by_keys_and_raises_the_alarm_when_frozen_weights_move(qtbot, context, folder):
    state = folder.read_state()
    assert len(state.gradients) >= 3 and len(state.frozen_checks) == len(state.epochs)
    page = TrainPage(context)
    qtbot.addWidget(page)
    page.resize(1100, 800)
    page.show()
    page.activate()
    context.runs.take((RunUpdate(folder, state, folder.experiment(), False),))
    page._pace.draw_now()
    page.fourth.set_value("flow")
    page._on_fourth_value_changed("flow")
    page._pace.draw_now()
    heat = page.flow.map
    assert heat.isVisibleTo(page) and "no gradient" in heat.accessibleDescription() and not page.banner.isVisibleTo(page)
    qtbot.keyClick(heat, Qt.Key.Key_Left)
    said = f"head, step {state.gradients[-1].step + 1:,}. "  # people count from 1
    assert heat.accessibleDescription().startswith(said) and "gradient norm" in heat.accessibleDescription()
    qtbot.keyClick(heat, Qt.Key.Key_End)
    qtbot.keyClick(heat, Qt.Key.Key_Down)
    page.flow.which.value_changed.emit("ratios")
    assert not page.grab().isNull()
    moved = fold(
        state, [ev.WarningRaised(code="frozen-changed", sentence="Frozen layers changed in epoch 2: backbone.bn1.", fix="Start it again.")]
    )
    context.runs.take((RunUpdate(folder, replace(moved, status=Status.FINISHED), folder.experiment(), False),))
    page._pace.draw_now()
    assert page.banner.isVisibleTo(page) and page.banner.banner.title_label.text() == "Frozen layers changed in epoch 2: backbone.bn1."
