"""Choosing a backbone by looking: plot and table as one, favourites, the short list, costs on this device, two side by side."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from builders import build_dataset, build_run
from model_cases import BUNDLED, DESCRIBED, LIST, info
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QRect, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from studio.core.event import PhaseStarted
from studio.gui.monitor import RunUpdate
from studio.gui.pages.augment.cost import Speed, network_speed
from studio.gui.pages.model.compare import better
from studio.gui.pages.model.listing import BY_ATTRIBUTE, Budget, Cost, arranged, best_for_cost, budget_for, fit_of, key_of, short_list
from studio.gui.pages.model.page import ModelPage
from studio.gui.pages.model.scatter import AXES
from studio.supervise.worker import WorkerError

RESNET50, RESNET18 = LIST[1], LIST[2]


@pytest.fixture
def page(qtbot, context):
    context.probe.answer("describe_model", DESCRIBED | {"memory": {"weights": 10**9}})
    made = ModelPage(context)
    qtbot.addWidget(made)
    made.resize(920, 790)
    made.show()
    made.chooser._on_list_read(LIST)
    return made


def test_a_box_drawn_over_points_keeps_only_their_rows_and_its_chip_takes_it_away(qtbot, page):
    page.scatter.plot.getViewBox().updateViewRange()
    at = page.scatter.place_of(RESNET18)
    view, corner = page.scatter.graphics.viewport(), QRect(at.x() - 9, at.y() - 9, 18, 18)
    for kind, place, buttons in (
        (QEvent.Type.MouseButtonPress, corner.topLeft(), Qt.MouseButton.LeftButton),
        (QEvent.Type.MouseMove, corner.bottomRight(), Qt.MouseButton.LeftButton),
        (QEvent.Type.MouseButtonRelease, corner.bottomRight(), Qt.MouseButton.NoButton),
    ):
        event = QMouseEvent(kind, QPointF(place), QPointF(view.mapToGlobal(place)), Qt.MouseButton.LeftButton, buttons, Qt.KeyboardModifier.NoModifier)  # fmt: skip
        QApplication.sendEvent(view, event)
    assert [i.name for i in page.backbones.model.rows] == ["resnet18"]
    assert page.backbones.chips["box"].text() == "Box: 1  ×"
    page.backbones.chips["box"].click()
    assert len(page.backbones.model.rows) == 5 and not page.backbones.chips["box"].isVisibleTo(page)


def test_a_page_that_goes_is_told_nothing_of_the_device_that_was_asked_for(qtbot, context):
    made = ModelPage(context)
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: not context.background._tasks)  # an answer to what is gone fails the test


def test_favourites_are_remembered_and_filtered(qtbot, page, context):
    page.backbones.select(key_of(RESNET50))
    qtbot.keyClick(page.backbones.table, Qt.Key.Key_Asterisk)
    page.backbones.chips["favourites"].click()
    assert [i.name for i in page.backbones.model.rows] == ["resnet50"]
    again = ModelPage(context)
    qtbot.addWidget(again)
    assert again.backbones.model.favourites == {key_of(RESNET50)}


def test_small_and_good_follows_the_number_of_images_and_the_device():
    assert budget_for(100, has_gpu=False) == Budget(6e6, 1.0)
    assert budget_for(10_000, has_gpu=True).num_parameters == 40e6 and budget_for(10**7, has_gpu=True).num_parameters == 90e6
    assert [i.name for i in short_list(LIST, budget_for(100, has_gpu=False))] == ["tf_efficientnet_lite0"]
    assert [i.name for i in short_list(LIST, Budget(30e6, 10.0))] == ["resnet50", "tf_efficientnet_lite0", "resnet18"]
    worse = info("worse", top1=0.5, gflops=4.0, num_parameters=1_000_000)
    assert worse not in short_list((*LIST, worse), Budget(30e6, 10.0))


def test_memory_of_the_rows_in_view_is_estimated_with_a_badge_and_a_refusal_is_named(qtbot, page, context):
    refused = WorkerError("It cannot be built.")
    context.probe.answer(
        "describe_model", lambda p: refused if p["model"]["backbone"] == "mystery" else DESCRIBED | {"memory": {"a": 10**9}}
    )
    page.chooser.costs._device_bytes = 1_050_000_000
    page.chooser.costs.costs = {}
    page.chooser.costs.want([key_of(i) for i in LIST])
    qtbot.waitUntil(lambda: len(page.chooser.costs.costs) == 5)
    cost = page.chooser.costs.costs[key_of(RESNET50)]
    assert (cost.memory_bytes, cost.fit) == (10**9, "tight")
    assert page.chooser.costs.costs[("timm", "mystery")].problem == "It cannot be built."
    row = page.backbones.model.row_of(("timm", "mystery"))
    tips = {
        name: page.backbones.model.index(row, BY_ATTRIBUTE[name]).data(Qt.ItemDataRole.ToolTipRole) for name in ("memory_bytes", "top1")
    }
    assert "It cannot be built." in tips["memory_bytes"] and "states no accuracy" in tips["top1"]
    assert fit_of(8, 10) == "fits" and fit_of(11, 10) == "will not fit" and fit_of(None, 10) == fit_of(8, None) == ""
    cell = page.backbones.model.index(page.backbones.model.row_of(key_of(RESNET50)), BY_ATTRIBUTE["memory_bytes"])
    assert cell.data(Qt.ItemDataRole.AccessibleTextRole) == "Memory here 1.0\xa0GB, tight"


def test_the_memory_of_the_chosen_backbone_is_that_of_the_draft_as_it_is_now(qtbot, page, context):
    """And where its answer comes late it is not shown; other backbones are not asked about again."""
    per_px = 10**6
    context.probe.answer("describe_model", lambda p: DESCRIBED | {"memory": {"a": p["model"]["input_size"] * per_px}})
    costs, chosen, seen = page.chooser.costs, page.chooser.chosen_key, []

    def memory_of(key) -> int | None:
        return costs.costs.get(key, Cost()).memory_bytes

    def num_asked(name: str) -> int:
        return sum(method == "describe_model" and p["model"]["backbone"] == name for method, p in context.probe.calls)

    costs.want([key_of(i) for i in LIST])
    qtbot.waitUntil(lambda: all(memory_of(key_of(i)) for i in LIST))
    asked = num_asked("resnet18"), num_asked("resnet50")
    costs.changed.connect(lambda: seen.append(memory_of(chosen)))
    page.store.set({"model.input_size": 320})
    assert memory_of(chosen) is None and memory_of(key_of(RESNET50)) == 224 * per_px
    page.store.set({"model.input_size": 288})
    qtbot.waitUntil(lambda: memory_of(chosen) == 288 * per_px)
    assert 320 * per_px not in seen
    page.store.set({"model.cut": "stage 4"})
    assert memory_of(chosen) is None
    qtbot.waitUntil(lambda: memory_of(chosen) is not None)
    page.chooser.use(RESNET18)
    assert memory_of(chosen) is None and memory_of(key_of(RESNET18)) == RESNET18.input_size * per_px
    qtbot.waitUntil(lambda: memory_of(chosen) == BUNDLED.input_size * per_px)
    assert num_asked("resnet50") == asked[1] and num_asked("resnet18") <= asked[0] + 1, "once more as the draft, for its description"
    page.store.set({"training.not_finite": "go back"})
    assert memory_of(key_of(RESNET50)) is None, "the weights that it goes back to take memory too"


def test_a_measured_speed_is_shown_sorted_plotted_and_kept(qtbot, page, context):
    context.probe.answer("measure", {"images_per_s": 120.0})
    page.backbones.select(key_of(RESNET50))
    page.card.measure_button.click()
    assert context.probe.calls[-1][1]["model"]["backbone"] == "resnet50"
    qtbot.waitUntil(lambda: page.chooser.costs.measuring is None)
    assert "120 images/s here" in page.card.facts_label.text()
    costs = page.chooser.costs.costs
    rows = arranged(LIST, page.backbones.filter(), BY_ATTRIBUTE["images_per_s"], True, costs)
    assert rows[2].name == "resnet50"  # installed first, then what is known
    assert "4 drawn" in page.chooser.scatter_panel.subtitle_label.toolTip()
    with closing(page.chooser.axis_menu()) as menu:
        menu.actions()[list(AXES).index("ms_per_image")].trigger()
    assert [i.name for i in page.scatter._infos] == ["resnet50"]
    assert "1 drawn" in page.chooser.scatter_panel.subtitle_label.toolTip()
    assert not page.scatter.hint.isVisibleTo(page)
    measured = {key_of(RESNET50): Cost(images_per_s=125.0), key_of(RESNET18): Cost(images_per_s=100.0)}
    assert best_for_cost(LIST, "ms_per_image", measured) == [(8.0, 0.8)], "the slower one is less accurate as well"


def test_a_speed_is_shown_for_the_network_and_the_steps_that_it_was_measured_with(qtbot, page, context, tmp_path):
    def speed() -> float | None:
        return page.chooser.costs.costs.get(page.chooser.chosen_key, Cost()).images_per_s

    folder = build_run(tmp_path / "runs", build_dataset(tmp_path / "images", num_train=6, num_validation=2))
    state, experiment = folder.read_state(), folder.experiment()
    of_features = replace(state, phases=(*state.phases, PhaseStarted(phase="caching features")))
    context.runs.take((RunUpdate(folder, of_features, experiment, True),))
    assert speed() is None and network_speed(experiment, context.runs.finished) == Speed(), "that of the network is another"
    context.runs.take((RunUpdate(folder, state, experiment, True),))
    context.runs.ended.emit(context.runs.entries[0])
    of_run = context.runs.entries[0].summary.images_per_s
    assert speed() == of_run > 0
    others = {
        "training.batch_size": 64,
        "training.precision": "bf16",
        "optimiser.kind": "sgd",
        "model.train_stages": 0,
        "model.input_size": 128,
        "model.cut": "stage 4",
        "model.head": ({"kind": "hidden", "width": 16},),
    }
    for name, value in others.items():
        page.store.set({name: value})
        assert speed() is None, name
        page.store.undo()
    assert speed() == of_run
    context.probe.answer("measure", {"images_per_s": 120.0})
    page.store.set({"model.cut": "stage 4"})
    page.chooser.costs.measure(page.chooser.chosen_key)
    qtbot.waitUntil(lambda: speed() == 120.0)
    page.store.set({"training.batch_size": 64})
    assert speed() is None
    page.store.undo()
    assert speed() == 120.0


def test_timing_the_chosen_network_gives_the_time_of_an_epoch_until_the_draft_changes(qtbot, page, context, tmp_path):
    context.store.set_dataset(build_dataset(tmp_path, num_train=10, num_validation=1))
    context.probe.answer("measure", {"images_per_s": 30.0})
    page.strip_panel.measure_button.click()
    qtbot.waitUntil(lambda: context.estimates.time is not None)
    assert context.estimates.time.seconds_per_epoch == 2.0
    qtbot.waitUntil(lambda: "2.0\xa0s an epoch" in page.layers.figures.text())
    page.store.set({"model.train_stages": 0})
    assert context.estimates.time is None


def test_a_timing_counts_for_the_draft_that_was_timed_and_not_for_what_it_became_meanwhile(page, context, tmp_path):
    context.store.set_dataset(build_dataset(tmp_path, num_train=10, num_validation=1))
    page.strip_panel.measure_button.click()
    assert context.probe.calls[-1][0] == "measure"
    answer = context.probe.on_result
    page.store.set({"training.batch_size": 64, "model.cut": "stage 4"})
    answer({"images_per_s": 30.0, "stage_seconds": [0.1, 0.2]})
    assert context.estimates.time is None and context.estimates.stage_seconds == ()
    page.store.undo()
    assert context.estimates.time.seconds_per_epoch == 2.0 and context.estimates.stage_seconds == (0.1, 0.2)
    page.store.set({"training.device": "cuda:0"})
    assert context.estimates.time is None, "another device"


def test_two_backbones_are_compared_and_one_of_them_used(qtbot, page):
    page.backbones.select(key_of(RESNET18))
    page.chooser.compare()
    panel = page.compare_panel
    assert panel.isVisibleTo(page) and not page.strip_panel.isVisibleTo(page)
    assert (better("gflops", 0.4, 4.1), better("top1", 0.7, 0.8), better("year", 2015, 2020), better("top1", None, 0.5)) == (
        0,
        1,
        None,
        None,
    )
    use = panel.findChild(type(page.card.use_button), "model.compare.use1")
    assert use.accessibleName() == "Use resnet18"
    use.click()
    assert page.store.experiment.model.backbone == "resnet18" and page.strip_panel.isVisibleTo(page)
    page.chooser.compare()  # the chosen row alone is no pair
    assert not panel.isVisibleTo(page)


def test_another_backbone_forgets_what_named_stages_and_layers_of_the_one_before(page):
    page.store.set({"model.thaw": {"stage 2": 3}, "model.layers": {"backbone.x": "train"}, "optimiser.stage_lr_factors": {"stage 2": 0.1}})
    page.chooser.use(RESNET18)
    model = page.store.experiment.model
    assert (model.thaw, model.layers, page.store.experiment.optimiser.stage_lr_factors) == ({}, {}, {})
    page.store.undo()
    assert page.store.experiment.model.layers == {"backbone.x": "train"} and BUNDLED.name == page.store.experiment.model.backbone
