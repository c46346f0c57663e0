"""The Model page: finding and choosing a backbone, getting its weights on purpose only, and moving the freeze line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import build_dataset, build_run
from model_cases import BUNDLED, DESCRIBED, LIST, TREE, info
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit

from studio.core.experiment import Experiment
from studio.core.head import Hidden
from studio.core.path_text import path_to_text
from studio.core.problem import Repair
from studio.gui.context import make_context
from studio.gui.monitor import RunUpdate
from studio.gui.pages.model.listing import COLUMNS, Filter, arranged, best_for_cost, group_of, key_of
from studio.gui.pages.model.network import Network, StageFacts, Stop, block_widths, network_from, with_times
from studio.gui.pages.model.page import ModelPage
from studio.gui.testing import FakeEngines, FakeWorker
from studio.supervise.worker import WorkerError


class HeldWorker(FakeWorker):
    """Keeps the callbacks of calls it has no answer for, so that a test can report progress and results when it likes."""

    def __init__(self):
        super().__init__()
        self.held: dict[str, tuple] = {}
        self.cancelled: list[int] = []

    def call(self, method, params, on_result, on_error=None, on_progress=None, *, key=None) -> int:
        self.held[method] = (on_result, on_error, on_progress)
        return super().call(method, params, on_result, on_error, on_progress, key=key)

    def cancel(self, request: int) -> None:
        self.cancelled.append(request)

    def count(self, method: str) -> int:
        return sum(m == method for m, _ in self.calls)


@pytest.fixture
def probe() -> HeldWorker:
    worker = HeldWorker()
    worker.answer("describe_model", DESCRIBED)
    return worker


@pytest.fixture
def page(qtbot, theme, probe):
    context = make_context(preview=FakeWorker(), probe=probe, engines=FakeEngines())
    made = ModelPage(context)
    qtbot.addWidget(made)
    made.resize(920, 790)
    made.show()
    made.chooser._on_list_read(LIST)
    context.estimates.refresh()
    qtbot.waitUntil(lambda: len(made.editor.plan.names) == 7)
    yield made
    context.close()


def chosen(page: ModelPage) -> tuple[str, str]:
    model = page.store.experiment.model
    return model.source, model.backbone


# The list


def test_installed_come_first_and_unknown_figures_last_whatever_the_order():
    for column in range(len(COLUMNS)):
        for is_descending in (False, True):
            names = [i.name for i in arranged(LIST, Filter(), column, is_descending)]
            assert set(names[:2]) == {"tf_efficientnet_lite0", "resnet18"}
            if COLUMNS[column].attribute in ("num_parameters", "gflops", "top1", "weights_bytes"):
                assert names[-1] == "mystery"


def test_search_takes_all_words_and_chips_narrow_it(page):
    page.backbones.search_field.setText("resnet 50")
    assert [i.name for i in page.backbones.model.rows] == ["resnet50"]
    page.backbones.clear_filters()
    page.backbones.chips["installed"].click()
    assert {i.name for i in page.backbones.model.rows} == {"tf_efficientnet_lite0", "resnet18"}
    page.backbones.chips["installed"].click()
    page.backbones.toggle_filter("small")
    page.backbones.toggle_filter("torchvision")
    assert {i.name for i in page.backbones.model.rows} == {"resnet50", "resnet18"}
    assert page.chooser.scatter_panel.subtitle_label.text() == "2 of 5"


def test_an_empty_filter_result_says_what_was_looked_for_and_clears(qtbot, page):
    page.backbones.search_field.setText("<b>nothing</b>")
    assert page.backbones.empty.isVisibleTo(page)
    assert page.backbones.empty.hint_label.text() == "Looking for: “<b>nothing</b>”"
    assert page.backbones.empty.hint_label.textFormat() == Qt.TextFormat.PlainText
    page.backbones.empty.action_button.click()
    assert page.backbones.table.isVisibleTo(page) and len(page.backbones.model.rows) == 5


def test_a_header_click_sorts_and_a_second_one_turns_the_order(page):
    page.backbones.sort_by(1)
    sizes = [i.num_parameters for i in page.backbones.model.rows if not i.is_installed and i.num_parameters]
    assert sizes == sorted(sizes, reverse=True)
    page.backbones.sort_by(1)
    sizes = [i.num_parameters for i in page.backbones.model.rows if not i.is_installed and i.num_parameters]
    assert sizes == sorted(sizes)
    assert page.backbones.model.headerData(1, Qt.Orientation.Horizontal).endswith("↑")


def test_points_are_the_rows_that_name_accuracy_and_cost_and_a_click_selects_the_row(page):
    assert {i.name for i in page.scatter._infos} == {"tf_efficientnet_lite0", "resnet50", "resnet18", "vit_b_16"}
    page.scatter.picked.emit(LIST[3])
    assert page.backbones.current_info() is LIST[3]
    assert best_for_cost(LIST) == [(0.385, 0.748), (4.1, 0.8), (17.6, 0.81)]


def test_an_empty_cell_says_why_it_is_empty(page):
    model, row = page.backbones.model, next(i for i, info in enumerate(page.backbones.model.rows) if info.name == "mystery")
    told = {COLUMNS[column].attribute: model.index(row, column).data(Qt.ItemDataRole.ToolTipRole) for column in range(len(COLUMNS))}
    assert "no accuracy" in told["top1"] and "has not counted" in told["gflops"] and "Measure" in told["images_per_s"]
    assert all("Not known" not in words for words in (told["title"], told["input_size"]))


def test_a_figure_that_studio_counted_or_estimated_says_so(page):
    ours = info("counted", "timm", weights_bytes=None, num_parameters=25_000_000)
    page.backbones.set_infos((*LIST, ours))
    model = page.backbones.model
    row = next(i for i, found in enumerate(model.rows) if found.name == "counted")
    cells = {COLUMNS[c].attribute: model.index(row, c) for c in range(len(COLUMNS))}
    assert cells["weights_bytes"].data() == "≈\xa0100\xa0MB" and "Estimated" in cells["weights_bytes"].data(Qt.ItemDataRole.ToolTipRole)
    assert "Counted by Studio" in cells["gflops"].data(Qt.ItemDataRole.ToolTipRole)
    theirs = model.index(next(i for i, found in enumerate(model.rows) if found.name == "resnet50"), cells["gflops"].column())
    assert "Counted by Studio" not in theirs.data(Qt.ItemDataRole.ToolTipRole)


def test_families_of_both_libraries_share_a_mark():
    assert group_of(LIST[3]) == group_of(LIST[4]) == "ViT"
    assert group_of(info("m", family="mobilevit")) == "Mobile" and group_of(info("x", family="maxxvit")) == "Swin, MaxViT"


def test_a_list_that_cannot_be_read_says_so_and_can_be_tried_again(page, probe):
    page.chooser._on_list_failed(WorkerError("The helper process ended.", "Try again.", "Traceback"))
    assert page.chooser.list_banner.isVisibleTo(page) and "The helper process ended." in page.chooser.list_banner.detail_label.text()
    page.chooser.list_banner._actions.itemAt(0).widget().click()
    assert probe.count("list_backbones") == 1 and not page.chooser.list_banner.isVisibleTo(page)


def test_without_a_list_on_disk_the_libraries_are_asked_once(qtbot, page, probe):
    page.chooser._has_asked_for_list = False
    page.chooser._on_list_read((BUNDLED,))
    page.chooser._on_list_read((BUNDLED,))
    assert probe.count("list_backbones") == 1


# Choosing


def test_enter_takes_an_installed_backbone_with_its_input_size_in_one_undo_step(qtbot, page):
    page.backbones.select(("torchvision", "resnet18"))
    qtbot.keyClick(page.backbones.table, Qt.Key.Key_Return)
    assert chosen(page) == ("torchvision", "resnet18")
    assert page.store.experiment.model.input_size == 192
    page.store.undo()
    assert page.store.experiment == Experiment()


def test_enter_on_one_that_is_not_here_offers_the_download_and_touches_nothing(qtbot, page, probe):
    before = [m for m, _ in probe.calls]
    page.backbones.select(("torchvision", "resnet50"))
    qtbot.keyClick(page.backbones.table, Qt.Key.Key_Return)
    assert chosen(page) == ("bundled", "tf_efficientnet_lite0")
    assert [m for m, _ in probe.calls] == before
    card = page.card
    assert card.isVisibleTo(page) and card.download_button.isVisibleTo(page) and not card.use_button.isVisibleTo(page)
    assert "100\xa0MB from weights.example, licence BSD-3-Clause" in card.source_label.text()
    assert card.url_label.text() == "https://weights.example/resnet50.pth"


def test_a_download_reports_progress_stops_and_goes_on(page, probe):
    page.backbones.select(("torchvision", "resnet50"))
    card = page.card
    card.download_button.click()
    assert probe.calls[-1] == ("download_weights", {"source": "torchvision", "name": "resnet50"})
    _, _, on_progress = probe.held["download_weights"]
    on_progress(25_000_000, 100_000_000, "downloading")
    assert card.bar.value() == 250 and card.progress_label.text() == "25.0\xa0MB of 100\xa0MB"
    card.cancel_button.click()
    assert len(probe.cancelled) == 1
    assert card.progress_label.text().startswith("Stopped at 25.0") and card.download_button.text() == "Resume"
    on_progress(90_000_000, 100_000_000, "late")
    assert card.progress_label.text().startswith("Stopped at 25.0")
    card.download_button.click()
    assert probe.count("download_weights") == 2
    probe.held["download_weights"][1](WorkerError("The checksum differs.", "Try again."))
    assert card.problem_label.text() == "The checksum differs. Try again." and card.download_button.text() == "Try again"


def test_a_finished_download_is_taken_when_it_is_still_the_selected_row(page, probe):
    page.backbones.select(("torchvision", "resnet50"))
    page.card.download_button.click()
    here = tuple(info("resnet50", is_installed=True) if i.name == "resnet50" else i for i in LIST)
    page.chooser._on_installed_listed(here, LIST[1])
    assert chosen(page) == ("torchvision", "resnet50")


def test_weights_without_an_address_cannot_be_downloaded(page):
    page.chooser._on_list_read((*LIST, info("lonely", "timm", weights_url=None)))
    page.backbones.select(("timm", "lonely"))
    assert not page.card.download_button.isEnabled()
    assert page.card.source_label.text() == "timm names no address for its weights."


def test_a_chosen_backbone_whose_weights_are_missing_says_so(page):
    page.store.set({"model.source": "torchvision", "model.backbone": "vit_b_16"})
    page.backbones.select(("torchvision", "vit_b_16"))
    assert page.card.isVisibleTo(page) and page.card.tag.property("tag") == "warn"
    page.card.untrained_button.click()
    assert page.store.experiment.model.pretrained is False
    assert page.weights_banner.title_label.text() == "Starts from random weights"
    assert not page.card.isVisibleTo(page)


# What trains


def states(page: ModelPage) -> str:
    """A letter per stage as the tree shows it: f frozen, t trains, l later, m mixed."""
    model = page.tree.layers
    return "".join(model.stage_index(i).data(Qt.ItemDataRole.UserRole)[0] for i in range(model.rowCount()))


def test_strip_tree_and_presets_show_one_state_and_follow_undo(qtbot, page):
    for act, stages, preset in (
        (lambda: qtbot.keyClick(page.strip, Qt.Key.Key_Left), 4, "own"),
        (lambda: qtbot.keyClick(page.strip, Qt.Key.Key_Right), 3, "own"),
        (lambda: page.layers.presets.value_changed.emit("head"), 0, "head"),
        (lambda: page.layers.presets.value_changed.emit("last_two"), 2, "last_two"),
        (lambda: qtbot.keyClick(page.strip, Qt.Key.Key_End), 0, "head"),
    ):
        act()
        assert page.store.experiment.model.train_stages == stages
        assert page.layers.presets.value == preset
        assert page.strip.boundary == 6 - stages and states(page) == "f" * (6 - stages) + "t" * (stages + 1)
    page.store.undo()
    assert page.strip.boundary == 4 and page.layers.presets.value == "last_two"


def test_a_plan_of_the_thaw_timeline_shows_and_moving_the_line_replaces_it(qtbot, page):
    names = page.editor.plan.names
    page.store.set({"model.train_stages": 2, "model.thaw": {names[3]: 4, names[4]: 0, names[5]: -1}})
    assert page.strip.boundary == 3 and states(page) == "fffltft"
    table = page.tree.layers
    assert [table.index(row, 5).data() for row in range(7)] == ["never"] * 3 + ["epoch 4", "start", "never", "start"]
    assert page.subtitle_label.text().endswith("all from epoch 4 on")
    qtbot.keyClick(page.strip, Qt.Key.Key_Right)
    assert page.store.experiment.model.thaw == {} and page.store.experiment.model.train_stages == 2
    page.store.undo()
    assert page.store.experiment.model.thaw == {names[3]: 4, names[4]: 0, names[5]: -1}


def test_the_leftmost_stop_means_everything_whatever_the_network(qtbot, page):
    page.layers.presets.value_changed.emit("all")
    assert page.store.experiment.model.train_stages == -1 and page.strip.boundary == 0
    qtbot.keyClick(page.strip, Qt.Key.Key_End)
    assert page.store.experiment.model.train_stages == 0
    qtbot.keyClick(page.strip, Qt.Key.Key_Home)
    assert page.store.experiment.model.train_stages == -1


def test_dragging_the_line_says_the_consequence_and_writes_once_on_release(qtbot, page):
    strip = page.strip
    before = page.store.experiment
    target = strip.stop_position(5)
    qtbot.mousePress(strip, Qt.MouseButton.LeftButton, pos=strip.handle_position())
    qtbot.mouseMove(strip, target + QPoint(3, 0))
    assert page.store.experiment == before
    assert strip._bubble.isVisibleTo(page) and "2.01\xa0M trainable" in strip._bubble.words[1]
    qtbot.mouseRelease(strip, Qt.MouseButton.LeftButton, pos=target)
    assert page.store.experiment.model.train_stages == 1
    assert not strip._bubble.isVisibleTo(page)
    page.store.undo()
    assert page.store.experiment == before and page.store.undo_label == ""


def test_escape_drops_a_drag(qtbot, page):
    strip = page.strip
    qtbot.mousePress(strip, Qt.MouseButton.LeftButton, pos=strip.handle_position())
    qtbot.mouseMove(strip, strip.stop_position(1))
    qtbot.keyClick(strip, Qt.Key.Key_Escape)
    qtbot.mouseRelease(strip, Qt.MouseButton.LeftButton, pos=strip.stop_position(1))
    assert page.store.experiment == Experiment()


def test_f_freezes_or_trains_just_the_selected_stages_and_names_the_step(qtbot, page):
    page.tree.select_stage(1)
    qtbot.keyClick(page.tree, Qt.Key.Key_F)
    assert states(page) == "ftftttt" and page.store.undo_label == "train stage 1"
    blocks = [page.strip.block_rect(i).center().toPoint() for i in (4, 5)]
    qtbot.mouseClick(page.strip, Qt.MouseButton.LeftButton, pos=blocks[0])
    qtbot.mouseClick(page.strip, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, pos=blocks[1])
    qtbot.keyClick(page.strip, Qt.Key.Key_F)
    assert states(page) == "ftftfft" and page.store.undo_label == "freeze 2 layers"
    page.store.undo()
    assert states(page) == "ftftttt"


def test_the_tree_goes_down_to_parameters_and_its_search_freezes_what_matches(qtbot, page, probe):
    probe.answer("model_tree", {"stages": TREE})
    page.editor._tree_asked = None
    page.context.estimates.changed.emit()
    qtbot.waitUntil(lambda: page.editor.has_tree)
    assert page.views_panel.subtitle_label.text() == "13"
    field = page.layers.search_field
    field.setText("conv9")
    assert page.layers.match_label.text() == "matches nothing" and not page.layers.freeze_button.isEnabled()
    field.setText("*stage_4*bn")
    assert page.layers.match_label.text() == "matches 1 layer"
    page.layers.freeze_button.click()
    assert page.store.experiment.model.layers == {"backbone.stage_4.bn": "frozen"} and states(page) == "ffftmtt"
    assert page.subtitle_label.text().endswith("1 part by name")
    page.tree.setCurrentIndex(page.tree.layers.index_of("backbone.stage_4.bn.weight"))
    qtbot.keyClick(page.tree, Qt.Key.Key_F)
    assert page.store.experiment.model.layers == {} and states(page) == "ffftttt"
    page.store.undo()
    page.store.undo()
    assert page.store.experiment == Experiment()


def test_rate_epoch_and_batch_norm_of_a_stage_are_edited_in_its_row(qtbot, page):
    page.tree.select_stage(3)
    for key, typed in ((Qt.Key.Key_L, "0.3"), (Qt.Key.Key_T, "epoch 2")):
        page.tree.setFocus()
        qtbot.keyClick(page.tree, key)
        editor = page.tree.viewport().findChild(QLineEdit)
        editor.selectAll()
        qtbot.keyClicks(editor, typed)
        page.context.estimates.changed.emit()  # what is typed stays when a figure arrives
        assert editor.text() == typed
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: not page.tree.viewport().findChildren(QLineEdit))
    experiment = page.store.experiment
    assert experiment.optimiser.stage_lr_factors == {"stage 3": 0.3} and experiment.model.thaw == {"stage 3": 2}
    assert page.store.undo_label == "thaw stage 3 at epoch 2"
    menu = page.tree.norm_menu(1)
    adapt = next(a for a in menu.actions() if a.text().startswith("Adapt"))
    assert "follow your images" in adapt.text()
    adapt.trigger()
    assert page.store.experiment.model.batch_norm == {"stage 1": "adapt"}
    assert page.tree.layers.index(1, 6).data() == "adapt" and page.strip_panel.legend.norm_label.text().startswith("Batch norm adapts")
    assert page.strip.state_word(1) == "frozen, batch norm follows the data"
    assert page.strip.stage_words(1).endswith("\n9.0\xa0K parameters\nGives 16×56×56, stride 4")


def test_nothing_trains_is_said_on_the_page_which_keeps_the_network(qtbot, page, probe):
    probe.answer("describe_model", WorkerError("There is no stage “stage 9”."))
    page.layers.presets.value_changed.emit("none")
    assert page.subtitle_label.text().endswith("nothing trains") and page.layers.presets.value == "none"
    assert page.layers.figures.text().startswith("Nothing trains")
    qtbot.waitUntil(lambda: page.context.estimates.problem != "")
    assert page.strip.isVisibleTo(page) and states(page) == "fffffff"


def test_figures_say_how_they_changed_against_the_plan_before(qtbot, page):
    qtbot.keyClick(page.strip, Qt.Key.Key_End)
    assert (
        page.layers.figures.text().startswith("12.8\xa0K train (0.5\xa0%)")
        and "Against the plan before: −2.59" in page.layers.figures.text()
    )


def test_another_head_is_told_against_the_plan_before_and_another_batch_is_no_plan(qtbot, page, probe):
    *stages, head = DESCRIBED["stages"]
    larger = DESCRIBED | {"stages": [*stages, head | {"num_parameters": 512_810}]}
    probe.answer("describe_model", lambda params: larger if params["model"]["head"] else DESCRIBED)
    figures = page.layers.figures
    page.store.set({"model.train_stages": 0})
    assert "Against the plan before: −2.59" in figures.text()
    page.store.set({"model.head": [Hidden().model_dump()]})
    qtbot.waitUntil(lambda: "512.8\xa0K train" in figures.text())
    assert figures.text().endswith("Against the plan before: +500.0\xa0K")
    page.store.set({"training.batch_size": 8})
    assert "Against" not in figures.text()


def test_a_stage_opens_to_its_branches_and_ways_around(qtbot, page, probe):
    probe.answer("model_tree", {"stages": TREE})
    page.editor._tree_asked = None
    page.context.estimates.changed.emit()
    qtbot.waitUntil(lambda: page.editor.has_tree)
    page.strip.set_selected(2)
    page.strip.setFocus()
    qtbot.keyClick(page.strip, Qt.Key.Key_Return)
    canvas = page.strip_panel.inside.canvas
    assert canvas.isVisibleTo(page)
    boxes = {box.node.label: box.rect for box in canvas.boxes()}
    assert set(boxes) == {"conv", "bn"} and abs(boxes["conv"].left() - boxes["bn"].left()) < 1 < abs(
        boxes["conv"].top() - boxes["bn"].top()
    )
    qtbot.keyClick(canvas, Qt.Key.Key_F)
    assert page.store.experiment.model.layers == {"backbone.stage_2.conv": "train"}
    assert canvas.accessibleName() == "Inside of stage_2: conv, Conv2d 3×3, trains" and not page.grab().isNull()
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert page.strip.isVisibleTo(page) and not canvas.isVisibleTo(page)


def test_the_line_and_its_value_are_inverse_for_every_network():
    for count in range(1, 30):
        network = Network(tuple(StageFacts(f"stage {i}", 10) for i in range(count)))
        for boundary in range(count):
            assert network.boundary_of(network.train_stages_at(boundary)) == (boundary if count > 1 else 0)
        assert network.num_trainable(0) == network.num_parameters


def test_blocks_fill_the_width_and_none_is_too_thin():
    widths = block_widths([1, 100, 10_000, 4_000_000], 500, 26)
    assert sum(widths) == pytest.approx(500) and min(widths) == 26
    assert widths[3] / widths[2] > 5
    assert block_widths([1] * 30, 300, 26) == [26] * 30  # too many: the strip scrolls


def test_every_stop_of_the_line_says_memory_and_time_from_the_present_plan():
    stages = tuple(StageFacts(name, 10, macs=macs) for name, macs in (("stem", 100), ("stage 1", 100), ("head", 0)))
    network = Network(stages, (Stop(3_000_000_000), Stop(2_000_000_000), Stop(1_000_000_000)))
    timed = with_times(network, (False, True, True), 0.01)  # 200 forward, 200 backward
    assert [s.seconds_per_image for s in timed.stops] == [pytest.approx(0.015), pytest.approx(0.01), pytest.approx(0.005)]
    assert timed.change_words(1, 2, 1000)[1].endswith("· 5.0\xa0s/epoch · 1.0\xa0GB")
    assert with_times(network, (False, True, True), None) is network
    measured = with_times(network, (False, True, True), 0.01, (0.003, 0.001, 0.0))  # the stem is slower than its multiply-adds say
    assert [s.seconds_per_image for s in measured.stops] == [pytest.approx(0.02), pytest.approx(0.01), pytest.approx(0.04 / 6)]


def test_both_layouts_of_feature_maps_and_tokens_are_told_apart():
    raw = {
        "stages": [{"name": "a", "num_parameters": 1, "output_shape": shape} for shape in ([96, 56, 56], [56, 56, 96], [197, 768], None)]
    }
    assert [s.size_words for s in network_from(raw).stages] == ["96×56²", "96×56²", "197×768", ""]
    assert [s.feature_side for s in network_from(raw).stages] == [56, 56, None, None]
    assert [s.stride_words(224) for s in network_from(raw).stages] == ["/4", "/4", "", ""]
    alexnet = [StageFacts("a", 1, (64, side, side)).stride_words(224) for side in (27, 13, 6, 16)]
    assert alexnet == ["/8", "/16", "/32", "/14"], "convolutions without a margin lose a little at the rim"


def test_with_alt_the_line_stops_between_blocks_by_mouse_and_by_keys(qtbot, page, probe):
    probe.answer("model_tree", {"stages": TREE})
    page.editor._tree_asked = None
    page.store.set({"model.train_stages": 2})
    page.context.estimates.changed.emit()
    qtbot.waitUntil(lambda: page.editor.has_tree and page.strip._blocks_of[5] == (1_999_900, 100))
    strip, alt = page.strip, Qt.KeyboardModifier.AltModifier
    qtbot.keyClick(strip, Qt.Key.Key_Right, alt)
    assert page.store.experiment.model.train_stages == 2 and page.store.experiment.model.layers == {"backbone.stage_4.conv": "frozen"}
    assert strip._line == (4, 1) and page.store.undo_label == "freeze line in stage 4"
    assert strip.accessibleName().startswith("Freeze line: Stage 4: 1 of 2 blocks frozen, ")
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=strip.handle_position() + QPoint(2, 0))
    assert strip._line == (4, 1), "a click on the handle alone moves nothing, without Alt too"
    qtbot.keyClick(strip, Qt.Key.Key_Right)
    assert page.store.experiment.model.layers == {} and strip._line == (5, 0)
    inside = strip.place_position((5, 1))
    qtbot.mousePress(strip, Qt.MouseButton.LeftButton, alt, pos=strip.handle_position())
    qtbot.mouseRelease(strip, Qt.MouseButton.LeftButton, alt, pos=inside)
    assert strip._line == (5, 0), "a click on the handle alone moves nothing"
    qtbot.mousePress(strip, Qt.MouseButton.LeftButton, alt, pos=inside)
    qtbot.mouseRelease(strip, Qt.MouseButton.LeftButton, alt, pos=inside)
    assert page.store.experiment.model.layers == {"backbone.stage_5.conv": "frozen"} and strip._line == (5, 1)
    page.store.undo()
    assert strip._line == (5, 0)


def test_a_network_that_cannot_be_built_says_why(qtbot, page, probe):
    probe.answer("describe_model", WorkerError("An image of 20 px does not pass through this network."))
    page.store.set({"model.input_size": 20})
    qtbot.waitUntil(lambda: page.strip_panel.problem.isVisibleTo(page))
    assert page.strip_panel.problem.hint_label.text() == "An image of 20 px does not pass through this network."
    assert not page.strip_panel.problem.action_button.isVisibleTo(page), "nothing is offered that the builder did not offer"
    assert page.tree.hint == "Layers are shown once the network can be built."
    probe.answer("describe_model", DESCRIBED)
    page.store.set({"model.input_size": 224})
    qtbot.waitUntil(lambda: page.strip.isVisibleTo(page))


def test_a_backbone_that_cannot_be_built_is_named_with_its_error_and_another_one_goes_on(qtbot, page, probe):
    probe.answer(
        "describe_model",
        lambda params: (
            WorkerError("That did not work: no kernel for this layer") if params["model"]["backbone"] == "resnet18" else DESCRIBED
        ),
    )
    resnet = next(i for i in LIST if i.name == "resnet18")
    page.chooser.choose(resnet)
    qtbot.waitUntil(lambda: page.strip_panel.problem.isVisibleTo(page))
    assert page.strip_panel.problem.sentence_label.text() == f"{resnet.title} cannot be built"
    assert page.strip_panel.problem.hint_label.text() == "That did not work: no kernel for this layer"
    page.chooser.choose(BUNDLED)
    qtbot.waitUntil(lambda: page.strip.isVisibleTo(page) and page.editor.is_current)


def test_an_input_size_that_is_refused_offers_the_nearest_at_one_click(qtbot, page, probe):
    refused = "model.input_size: AlexNet does not take 40 px images; take 63 px or 64 px."
    probe.answer("describe_model", WorkerError(refused, repair=Repair("Use 63 px", {"model.input_size": 63})))
    page.store.set({"model.input_size": 40})
    qtbot.waitUntil(lambda: page.strip_panel.problem.isVisibleTo(page))
    assert page.strip_panel.problem.hint_label.text() == "AlexNet does not take 40 px images; take 63 px or 64 px."
    probe.answer("describe_model", DESCRIBED)
    assert page.strip_panel.problem.action_button.text() == "Use 63 px"
    page.strip_panel.problem.action_button.click()
    assert page.store.experiment.model.input_size == 63 and page.store.undo_label == "use 63 px"
    qtbot.waitUntil(lambda: page.strip.isVisibleTo(page))


# Weights from a file


def test_a_weights_file_is_reported_before_it_is_applied(page, probe, tmp_path):
    path = str(tmp_path / "<b>mine.safetensors")
    page.check_weights(path)
    method, params = probe.calls[-1]
    assert method == "check_weights_file" and params["path"] == path_to_text(path)
    probe.held[method][0](
        {
            "matched": ["a", "b"],
            "missing": ["c"],
            "unexpected": [],
            "wrong_shape": [],
            "sentence": "2 tensors matched, 1 missing.",
            "sha256": "a" * 64,
        }
    )
    report = page.weights_report
    assert page.store.experiment == Experiment()
    assert report.sentence_label.text() == "2 tensors matched, 1 missing." and report.tag.text() == "fits in part"
    assert report.names.toPlainText() == "c" and report.title_label.text() == "<b>mine.safetensors"
    report.apply_button.click()
    assert page.store.experiment.model.weights_file == path_to_text(path)
    assert page.store.experiment.model.weights_sha256 == "a" * 64, "so that a change of the file is seen later"
    assert page.weights_banner.title_label.text() == "Starts from <b>mine.safetensors"
    assert not report.isVisibleTo(page) and page.strip_panel.isVisibleTo(page)


def test_a_refused_weights_file_cannot_be_applied(page, probe, tmp_path):
    page.check_weights(str(tmp_path / "evil.pth"))
    probe.held["check_weights_file"][1](WorkerError("The file holds code, not only weights. Nothing of it was run.", "Take another file."))
    assert not page.weights_report.apply_button.isVisibleTo(page)
    assert "Nothing of it was run." in page.weights_report.sentence_label.text()


def test_a_report_that_was_closed_stays_closed_whatever_is_answered_late(page, probe, tmp_path):
    path = str(tmp_path / "mine.safetensors")
    page.check_weights(path)
    answered, refused, _ = probe.held["check_weights_file"]
    page.weights_report.findChild(QAbstractButton, "model.weights.close").click()
    answered({"matched": ["a"]})
    refused(WorkerError("The file ends too early."))
    assert not page.weights_report.isVisibleTo(page) and page.strip_panel.isVisibleTo(page)
    page.check_weights(path)
    refused(WorkerError("The file ends too early."))
    assert page.weights_report.tag.text() == "reading", "that was said of the former check"
    probe.held["check_weights_file"][0]({"matched": ["a"]})
    assert page.weights_report.tag.text() == "fits"


@pytest.mark.parametrize(
    "values",
    [
        {"model.source": "torchvision"},
        {"model.backbone": "torchvision_resnet18"},
        {"model.cut": "stage 3"},
        {"model.head": [Hidden().model_dump()]},
        {"model.input_size": 256},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_report_ends_with_the_network_it_was_made_for(page, probe, tmp_path, values):
    page.check_weights(str(tmp_path / "mine.safetensors"))
    answered, refused, _ = probe.held["check_weights_file"]
    answered({"matched": ["a"]})
    page.store.set({"model.dropout": 0.3, "training.batch_size": 8})
    assert page.weights_report.apply_button.isVisibleTo(page), "neither says which tensors there are"
    page.store.set(values)
    assert not page.weights_report.isVisibleTo(page) and page.strip_panel.isVisibleTo(page)
    answered({"matched": ["a"]})
    refused(WorkerError("The file ends too early."))
    assert not page.weights_report.isVisibleTo(page), "an answer about the former network"


def test_a_report_ends_with_the_number_of_classes_it_was_made_for(page, tmp_path):
    dataset = build_dataset(tmp_path / "images")
    page.store.set_dataset(dataset)
    page.check_weights(str(tmp_path / "mine.safetensors"))
    page.store.set_dataset(replace(dataset, samples=dataset.samples[1:]))
    assert page.weights_report.isVisibleTo(page)
    page.store.set_dataset(replace(dataset, classes=(*dataset.classes, "zebra")))
    assert not page.weights_report.isVisibleTo(page)


def test_a_comparison_and_a_report_stand_one_in_front_of_the_other_and_closing_one_gives_its_place_and_keys_to_the_other(
    qtbot, page, probe, tmp_path
):
    def front() -> list:
        return [each for each in (page.strip_panel, page.compare_panel, page.weights_report) if each.isVisibleTo(page)]

    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow)
    page.backbones.select(key_of(LIST[1]))
    page.chooser.compare()
    page.check_weights(str(tmp_path / "mine.safetensors"))
    assert front() == [page.weights_report] and page.weights_report.isAncestorOf(QApplication.focusWidget())
    page.chooser.compare()
    assert front() == [page.compare_panel], "the last one that was asked for"
    probe.held["check_weights_file"][0]({"matched": ["a"]})
    assert front() == [page.compare_panel], "an answer does not push itself before it"
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert front() == [page.weights_report] and page.weights_report.tag.text() == "fits"
    assert page.weights_report.isAncestorOf(QApplication.focusWidget())
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert front() == [page.strip_panel] and QApplication.focusWidget() is page.load_button


def test_a_weights_file_dropped_on_the_page_is_checked_and_a_folder_is_left_to_the_window(page, probe, tmp_path):
    assert page.accept_drop([str(tmp_path / "a.pth")])
    assert probe.calls[-1][0] == "check_weights_file"
    assert not page.accept_drop([str(tmp_path)])


# An own run as the start


def test_a_run_is_started_from_with_its_network_and_the_page_says_what_becomes_of_the_classes(page, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=4, num_validation=2)
    folder = build_run(tmp_path / "runs", dataset)
    page.context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
    page.store.set_dataset(build_dataset(tmp_path / "more", (*dataset.classes[1:], "vest"), num_train=4, num_validation=2))
    action = next(a for a in page.load_menu().actions() if a.text().startswith("Run 1"))
    action.trigger()
    model = page.store.experiment.model
    assert model.start_run == path_to_text(folder.path) and model.backbone == folder.experiment().model.backbone
    banner = page.weights_banner
    assert banner.title_label.text().startswith("Starts from Run 1")
    assert banner.detail_label.text() == "5 classes keep their rows, 1 is new: vest, 1 is not in these images and left behind."
    banner._actions.itemAt(0).widget().click()
    assert page.store.experiment.model.start_run == "" and not banner.isVisibleTo(page)
    page.show_argument(page.context.runs.entries[0])  # as Results does
    assert page.store.undo_label == "start from run 1"


def test_of_a_run_and_a_file_to_start_from_the_later_choice_counts_and_undo_brings_the_other_back(page, probe, tmp_path):
    folder = build_run(tmp_path / "runs", build_dataset(tmp_path / "images", num_train=4, num_validation=2))
    page.context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
    page.start_from(page.context.runs.entries[0])
    from_run = page.store.experiment.model
    page.check_weights(str(tmp_path / "mine.safetensors"))
    probe.held["check_weights_file"][0]({"matched": ["a"], "sha256": "a" * 64})
    page.weights_report.apply_button.click()
    assert page.store.experiment.model.start_run == "" and page.weights_banner.title_label.text() == "Starts from mine.safetensors"
    page.store.undo()
    assert page.store.experiment.model == from_run and page.weights_banner.title_label.text().startswith("Starts from Run 1")
    page.chooser.use(page.chooser.chosen_info, pretrained=False)
    assert page.store.experiment.model.start_run == "" and page.weights_banner.title_label.text() == "Starts from random weights"


# The frame


def test_the_page_fits_the_least_window_and_every_control_has_a_name(qtbot, page):
    page.resize(798, 556)  # what a window of 1100 x 660 leaves, with the run bar
    qtbot.waitUntil(lambda: page.minimumSizeHint().width() <= 798 and page.minimumSizeHint().height() <= 556)
    page.resize(798, 556)
    assert page.size().toTuple() == (798, 556)
    for kind in (QAbstractButton, QLineEdit):
        for control in page.findChildren(kind):
            if control.isVisibleTo(page) and not isinstance(control.parent(), QLineEdit):
                assert control.accessibleName(), (control.objectName(), type(control))
    assert page.strip.accessibleName().startswith("Freeze line: Stage 3 to stage 5 and head train")


def test_both_themes_draw(page, theme):
    for choice in ("light", "dark"):
        theme.set_choice(choice)
        assert not page.grab().isNull()
