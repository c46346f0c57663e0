"""Building a pipeline by hand: cards, keys, dragging, the generated form, the gallery; every edit one named step of undo."""

from __future__ import annotations

import random

import pytest
from PySide6.QtCore import QByteArray, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget

from studio.catalog.augments import pipeline_of
from studio.catalog.augments.catalog import catalog
from studio.catalog.augments.check import pipeline_problems
from studio.catalog.augments.own import own_presets
from studio.core.experiment import Experiment, TransformSpec, parse_experiment
from studio.core.experiment_file import experiment_from_toml, experiment_to_toml
from studio.core.problem import errors_in
from studio.gui.pages.augment.form import ParamRow
from studio.gui.pages.augment.page import AugmentPage
from studio.gui.pages.augment.param import RangeEditor, make_editor
from tests.gui.augment_desk import MEDIUM, Desk, give_data, make_images, make_stage, start_anew, texts_of

Key = Qt.Key
Alt, Control = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture(scope="module")
def stage(qapp, tmp_path_factory):
    yield from make_stage(qapp, tmp_path_factory)


@pytest.fixture
def desk(stage) -> Desk:
    return stage[1]


@pytest.fixture
def page(stage, qtbot) -> AugmentPage:
    made = start_anew(*stage)
    made.store.set({"augment.preset": "medium"})
    return made


def names(page: AugmentPage) -> list[str]:
    return [step.name for step in pipeline_of(page.store.experiment.augment)]


def type_into(field, text: str) -> None:
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Key.Key_Return)


def test_a_hand_edit_makes_the_preset_a_pipeline_of_ones_own_and_undo_brings_it_back(page):
    page.draft.set_p((3,), 0.4)
    augment = page.store.experiment.augment
    assert augment.preset == "custom" and names(page) == MEDIUM and augment.transforms[3].p == 0.4
    assert page.presets.more_button.text() == "Custom" and page.presets.strength.value is None
    assert page.store.undo_label == "colour jitter to 40 %"
    page.store.undo()
    assert page.store.experiment.augment.preset == "medium" and page.presets.strength.value == "medium"


def test_the_pipeline_is_edited_by_keys_alone(page, qtbot):
    """Choose, move, switch, probability, duplicate, remove, add, look at one alone: one named step each, all taken back by undo."""
    steps, draft = page.pipeline.list, page.draft
    page.activateWindow()
    steps.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: draft.current == (0,), timeout=3000)
    labels = []

    def press(key, modifiers=Qt.KeyboardModifier.NoModifier, target: QWidget = steps) -> None:
        before = page.store.experiment
        qtbot.keyClick(target, key, modifiers)
        if page.store.experiment != before:
            labels.append(page.store.undo_label)

    press(Key.Key_Down)
    press(Key.Key_Down, Alt)
    assert names(page) == ["RandomResizedCrop", "Affine", "HorizontalFlip", "ColorJitter"] and draft.current == (2,)
    press(Key.Key_T)
    assert not draft.steps[2].is_on and not steps.cards[2].toggle.isChecked()
    press(Key.Key_Right)
    assert draft.steps[2].p == pytest.approx(0.55)
    press(Key.Key_D, Control)
    assert names(page).count("HorizontalFlip") == 2 and draft.current == (3,)
    press(Key.Key_Delete)
    press(Key.Key_S)
    assert draft.solo == draft.current and page.preview.solo_label.text() == "Only “Colour jitter” is shown"
    press(Key.Key_S)
    assert draft.solo is None and page.preview.solo.isHidden()
    page.focus_search()
    QTest.keyClicks(page.gallery.search, "motion")
    press(Key.Key_Return, target=page.gallery.search)
    press(Key.Key_Return, target=page.gallery.view)
    assert names(page)[draft.current[0]] == "MotionBlur"
    steps.setFocus(Qt.FocusReason.TabFocusReason)
    press(Key.Key_Return)
    assert page.form.isAncestorOf(page.focusWidget()), "Enter goes to the settings"
    press(Key.Key_End, target=steps)
    press(Key.Key_T, target=steps)
    assert page.store.experiment.augment.cutmix_p == 0.5
    assert labels == [
        "move mirror", "mirror off", "mirror to 55 %", "duplicate mirror", "remove mirror", "add motion blur", "CutMix to 50 %",
    ]  # fmt: skip
    for _ in labels:
        page.store.undo()
    assert page.store.experiment.augment.preset == "medium"


def test_every_control_of_the_page_is_reached_by_tab(page, qtbot, tmp_path):
    give_data(page, make_images(tmp_path / "pets", {"cat": 12, "dog": 12}))
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((3,))
    qtbot.waitUntil(lambda: page.form.rows["brightness"].isVisible(), timeout=3000)
    page.presets.strength.findChildren(QPushButton)[2].setFocus()
    seen = []
    for _ in range(80):
        widget = page.focusWidget()
        if widget in seen:
            break
        seen.append(widget)
        page.focusNextChild()
    found = {widget.objectName() for widget in seen}
    wanted = {
        "augment.presets", "augment.mirror", "augment.steps", "augment.compare", "augment.lock", "augment.reroll", "augment.class",
        "augment.next", "augment.as_network", "augment.grid", "augment.param.brightness.low", "augment.param.brightness.slider",
        "augment.param.brightness.strip", "augment.search", "augment.tiles", "augment.step.3.on", "augment.step.3.p",
    }  # fmt: skip
    assert wanted <= found, wanted - found


def test_a_card_is_dragged_to_another_place_in_one_step(page, qtbot):
    card = page.pipeline.list.cards[3]
    goal = page.pipeline.list.cards[0]
    start = card.grip.rect().center() + card.grip.pos()
    QTest.mousePress(card, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(card, card.mapFrom(page.pipeline.list, goal.geometry().center()) + QPoint(0, 8))
    QTest.mouseMove(card, card.mapFrom(page.pipeline.list, goal.geometry().topLeft()) + QPoint(8, 2))
    QTest.mouseRelease(card, Qt.MouseButton.LeftButton, pos=card.mapFrom(page.pipeline.list, goal.geometry().topLeft()) + QPoint(8, 2))
    assert names(page) == ["ColorJitter", *MEDIUM[:3]] and page.draft.current == (0,)
    page.store.undo()
    assert names(page) == MEDIUM


def test_a_tile_dropped_between_two_cards_is_added_there(page):
    mime = QMimeData()
    mime.setData("application/x-studio-transform", QByteArray(b"GaussNoise"))
    pos = page.pipeline.list.cards[1].geometry().topLeft() + QPoint(10, 2)
    action, button, modifiers = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(pos), action, mime, button, modifiers)
    page.pipeline.list.dropEvent(event)
    assert names(page)[1] == "GaussNoise" and page.draft.current == (1,)


def test_a_double_click_in_the_gallery_adds_behind_the_chosen_step_and_ticks_the_tile(page, qtbot):
    page.draft.choose((1,))
    page.gallery.search.setText("posterise")
    place = page.gallery.view.visualRect(page.gallery.model.index(0)).center()
    qtbot.mouseDClick(page.gallery.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert names(page)[2] == "Posterize" and "Posterize" in page.gallery.model.in_use


def test_groups_search_and_favourites_filter_the_gallery(page, qtbot):
    gallery = page.gallery
    assert set(gallery.names) == {*catalog(), "MixUp", "CutMix"}
    gallery.groups.choose(("Weather",))
    gallery._filter()
    assert {catalog()[name].group for name in gallery.names} == {"weather"}
    gallery.groups.choose(())
    gallery.search.setText("no such thing")
    assert gallery.names == [] and "Clear the search" in texts_of(gallery)
    gallery.search.setText("")
    gallery.view.setCurrentIndex(gallery.model.index(0))
    qtbot.keyClick(gallery.view, Key.Key_F)
    starred = gallery.names[0]
    gallery.groups.choose(("Favourites",))
    gallery._filter()
    assert gallery.names == [starred] and page.context.settings.names("augment/favourites") == [starred]


def test_the_gallery_asks_only_for_tiles_in_view_and_shows_what_cannot_be(page, desk, qtbot):
    qtbot.waitUntil(lambda: bool(desk.of("gallery")), timeout=3000)
    _, params, on_result, _, on_part = desk.of("gallery")[-1]
    assert 5 <= len(params["names"]) < 40
    first, second = params["names"][:2]
    on_part({"name": first, "image": desk.image(9)})
    on_part({"name": second, "error": "does not work on a picture of 8 x 8 pixels"})
    model = page.gallery.model
    assert model.pixmaps[first].width() == 8
    assert "8 x 8 pixels" in model.data(model.index(model.row_of(second)), Qt.ItemDataRole.ToolTipRole)
    on_result({})


def test_mixes_are_shown_of_the_photo_and_another_one_where_there_is_one(page, desk, qtbot, tmp_path):
    page.gallery.groups.choose(("Mix", "Combine"))
    page.gallery._filter()
    qtbot.waitUntil(lambda: {"MixUp", "CutMix", "OneOf", "SomeOf", "Sequential"} <= page.gallery.model.failed.keys())
    assert not any("MixUp" in params["names"] for _, params, *_ in desk.of("gallery")), "of the test card alone nothing can be mixed"
    give_data(page, make_images(tmp_path / "pets", {"cat": 4, "dog": 4}))
    qtbot.waitUntil(lambda: bool(desk.of("gallery")) and desk.of("gallery")[-1][1]["names"] == ["MixUp", "CutMix"])
    _, params, _, _, on_part = desk.of("gallery")[-1]
    assert params["partner"]["path"] != params["subject"]["path"] == page.preview.subject.path
    on_part({"tile": 0, "name": "MixUp", "image": desk.image(9), "drawn": []})
    assert page.gallery.model.pixmaps["MixUp"].width() == 8


# The form


def test_the_form_can_express_every_default_and_returns_it_unchanged(qtbot, theme):
    for entry in catalog().values():
        for param in entry.params:
            if param.kind == "input size" or param.default is None:
                continue
            editor = make_editor(param, param.default, "x")
            qtbot.addWidget(editor)
            value = editor.value
            assert (list(value) if isinstance(value, tuple) else value) == (
                list(param.default) if isinstance(param.default, tuple) else param.default
            ), f"{entry.name}.{param.name}"


def value_for(param, draws: random.Random):
    """Anything within the useful range, with all of its digits."""
    low, high = param.slider

    def number():
        return draws.randint(int(low), int(high)) if param.is_whole else draws.uniform(low, high)

    match param.kind:
        case "switch":
            return draws.random() < 0.5
        case "choice":
            return draws.choice(param.choices).value
        case "colour":
            return draws.choice([draws.randint(0, 255), (1, 2, 3), *(choice.value for choice in param.choices)])
        case "range":
            return tuple(sorted((number(), number())))
        case "number":
            return number()
    return tuple(
        number() for _ in range(len(param.default) if isinstance(param.default, (list, tuple)) else 4 if param.kind == "box" else 2)
    )


def test_every_parameter_goes_from_its_form_through_a_file_into_a_form_unchanged(qtbot, theme):
    """Values drawn at random, for each transform of the catalogue; what the file holds is what the first editor showed."""
    draws, num_compared = random.Random(4), 0
    for entry in catalog().values():
        first = {}
        for param in entry.params:
            if param.kind != "input size":
                first[param.name] = made = make_editor(param, param.default, "x")
                qtbot.addWidget(made)
                value = value_for(param, draws)
                made.set_value(value)
                assert made.value == value, f"{entry.name}.{param.name}"
        shown = {name: editor.value for name, editor in first.items()}
        step = TransformSpec(name=entry.name, params=shown)
        experiment = Experiment().changed({"augment.preset": "custom", "augment.transforms": (step,)})
        (again,) = experiment_from_toml(experiment_to_toml(experiment)).augment.transforms
        for name, value in again.params.items():
            second = make_editor(entry.param(name), value, "x")
            qtbot.addWidget(second)
            assert second.value == shown[name] and type(second.value) is type(shown[name]), f"{entry.name}.{name}"
            num_compared += 1
    assert num_compared > 250


def test_form_to_file_to_form_is_exact(page):
    page.draft.take_steps(tuple(TransformSpec(name=name) for name in ("Affine", "CoarseDropout", "Perspective")), "three")
    for index, changes in enumerate(({"rotate": (-17.25, 33.1)}, {"num_holes_range": (2, 5), "fill": (10, 20, 30)}, {"keep_size": False})):
        page.draft.choose((index,))
        for name, value in changes.items():
            row = page.form.rows[name]
            row.set_value(value)
            row.changed.emit(value)
    again = experiment_from_toml(experiment_to_toml(page.store.experiment))
    assert again.augment == page.store.experiment.augment
    assert again.augment.transforms[1].params == {"num_holes_range": (2, 5), "fill": (10, 20, 30)}
    page.draft.choose((0,))
    assert page.form.rows["rotate"].editor.value == (-17.25, 33.1)


def test_a_changed_parameter_is_marked_and_reset_alone_or_with_all_others(page):
    page.draft.choose((3,))
    form = page.form
    hue = form.rows["hue"]
    assert hue.dot.text() and not hue.reset_button.isHidden() and not form.rows["contrast"].dot.text()
    hue.reset_button.click()
    assert "hue" not in page.draft.steps[3].params and hue.reset_button.isHidden()
    page.draft.set_params((3,), {"contrast": (0.5, 1.0)}, "contrast")
    form.reset_button.click()
    assert page.draft.steps[3].params == {} and page.store.undo_label == "reset colour jitter"
    assert not form.reset_button.isEnabled()


def test_a_drag_of_a_slider_is_one_step_with_the_value_in_its_name(page, qtbot):
    page.draft.choose((3,))
    slider = page.form.rows["brightness"].editor.slider
    y, width = slider.height() // 2, slider.width()
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(width * 0.62), y))
    for share in (0.7, 0.8, 0.9):
        QTest.mouseMove(slider, QPoint(int(width * share), y))
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(width * 0.9), y))
    low, high = page.draft.steps[3].params["brightness"]
    assert low == 0.8 and high > 1.6 and page.store.undo_label.startswith("brightness to 0.8 to 1.")
    page.store.undo()
    assert page.store.experiment.augment.preset == "medium"


def test_a_click_on_a_step_of_the_strip_sets_the_nearer_end(page, qtbot):
    page.draft.choose((3,))
    strip = page.form.rows["contrast"].strip
    assert strip.values == (0.0, 0.5, 1.0, 1.5, 2.0)
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=strip.tile(3).center().toPoint())
    assert page.draft.steps[3].params["contrast"] == (0.8, 1.5)
    strip.setFocus()
    qtbot.keyClick(strip, Key.Key_Left)
    qtbot.keyClick(strip, Key.Key_Left)
    qtbot.keyClick(strip, Key.Key_Return)
    assert page.draft.steps[3].params["contrast"] == (0.5, 1.5)
    assert [strip.is_inside(i) for i in range(5)] == [False, True, True, True, False]


def test_the_strip_shows_the_other_parameters_as_they_are_set(page, desk, qtbot):
    page.draft.set_params((2,), {"shear": (1.0, 4.0)}, "shear")
    page.draft.choose((2,))
    qtbot.waitUntil(lambda: any(call[1]["param"] == "rotate" for call in desk.of("strip")), timeout=3000)
    _, params, _, _, on_part = next(call for call in desk.of("strip") if call[1]["param"] == "rotate")
    size, step = params["experiment"]["augment"]["transforms"]
    assert (size["name"], params["step"]) == ("SmallestMaxSize", 1), "behind the crop a picture has the size of the network"
    assert step["params"]["shear"] == [1.0, 4.0] and "rotate" not in step["params"]
    assert params["values"] == [-180.0, -90.0, 0.0, 90.0, 180.0]
    on_part({"tile": 2, "image": desk.image(3)})
    assert page.form.rows["rotate"].strip.pixmaps[2].width() == 8


def test_a_typed_end_beyond_the_other_takes_it_along_and_nonsense_is_refused(qtbot, theme):
    param = catalog()["ColorJitter"].param("brightness")
    row = ParamRow(param, param.default, "x")
    qtbot.addWidget(row)
    editor: RangeEditor = row.editor
    row.show()
    type_into(editor.low_field, "1.7")
    assert editor.value == (1.7, 1.7)
    type_into(editor.low_field, "much")
    assert editor.value == (1.7, 1.7)


def test_a_bad_parameter_from_a_file_is_a_sentence_on_the_form(page):
    page.store.set({"augment.preset": "custom", "augment.transforms": ({"name": "Posterize", "params": {"num_bits": [9, 12]}},)})
    page.draft.choose((0,))
    assert page.form.banner.isVisible() and "too large" in page.form.banner.title_label.text()


def test_what_cannot_be_is_a_sentence_on_the_form_and_goes_when_it_is_mended(page, desk, qtbot):
    """Found by the catalogue at once; by the library alone a moment later."""
    for params, words in (
        ({"name": "Blur", "params": {"blur_limit": [9, 3]}}, "Exchange the two"),
        ({"name": "Affine", "params": {"interpolation": 9}}, "not one of"),
        ({"name": "RandomShadow", "params": {"shadow_roi": [0.5, 0.0, 0.1, 1.0]}}, "left must be below right"),
        ({"name": "GaussNoise", "params": {"noise_scale_factor": 0}}, "more than 0"),
    ):
        page.store.set({"augment.preset": "custom", "augment.transforms": (params,)})
        page.draft.choose((0,))
        assert page.form.banner.isVisible() and words in page.form.banner.title_label.text()
    page.store.set({"augment.preset": "custom", "augment.transforms": ({"name": "PadIfNeeded", "params": {"pad_height_divisor": 8}},)})
    assert page.form.banner.isHidden()
    step = page.draft.current_step
    qtbot.waitUntil(lambda: any(asked_about(call) == step for call in desk.of("check_pipeline")))
    sentence = "PadIfNeeded cannot be made: min_height and pad_height_divisor exclude each other."
    desk.of("check_pipeline")[-1][2]({"problems": [{"field": "augment.transforms.0", "sentence": sentence}]})
    assert page.form.banner.isVisible() and page.form.banner.title_label.text() == sentence
    page.draft.set_params((0,), {}, "defaults")
    assert page.form.banner.isHidden(), "another setting is another question"
    qtbot.waitUntil(lambda: asked_about(desk.of("check_pipeline")[-1]) == page.draft.current_step)


def asked_about(call: tuple) -> TransformSpec:
    """The step in a question to the worker."""
    return parse_experiment(call[1]["experiment"]).augment.transforms[0]


def test_choices_of_a_group_are_added_weighted_and_opened(page, qtbot):
    page.draft.add("OneOf")
    path = page.draft.current
    assert [child.name for child in page.draft.current_step.of] == ["GaussianBlur", "GaussNoise"]
    assert errors_in(pipeline_problems(page.draft.steps)) == []
    box = page.form.findChild(QWidget, "augment.choice.add")
    box.value_changed.emit("Posterize")
    assert [child.name for child in page.draft.current_step.of][-1] == "Posterize"
    page.form.findChild(QPushButton, "augment.choice.2").click()
    assert page.draft.current == (*path, 2) and page.form.title_label.text() == "Posterise"
    page.form.back_button.click()
    assert page.draft.current == path


def test_nothing_in_the_pipeline_says_so_and_offers_light(page):
    page.store.set({"augment.preset": "none"})
    assert page.empty.isVisible() and "poor for fewer than 1,000 images" in texts_of(page.pipeline)
    page.empty.action_button.click()
    assert page.store.experiment.augment.preset == "light" and not page.empty.isVisible()


# Presets of one's own, and files


def test_the_cost_of_a_pipeline_is_left_out_where_nothing_is_done_and_never_zero(page):
    shown = []
    for ms in (None, 0.0, 0.02, 1.26):
        page.pipeline.show_cost(ms)
        shown.append(page.pipeline.cost_label.text().replace("\N{NO-BREAK SPACE}", " "))
    assert shown == ["", "", "under 0.1 ms per image", "1.3 ms per image"]


def test_own_presets_are_saved_used_renamed_and_deleted(page):
    page.draft.set_p((0,), 0.9)
    page.store.set({"augment.mixup_p": 0.25})
    page.presets.save("Shop <b>floor</b>")
    page.store.set({"augment.preset": "none", "augment.mixup_p": 0.0})
    page.presets.use(own_presets()[0])
    assert page.draft.steps[0].p == 0.9 and page.draft.augment.mixup_p == 0.25
    assert page.store.undo_label == "preset Shop <b>floor</b>"
    page.presets.rename(own_presets()[0], "Shop")
    assert [preset.name for preset in own_presets()] == ["Shop"]
    page.presets.delete(own_presets()[0])
    assert own_presets() == ()


def test_a_pipeline_goes_out_to_a_file_and_comes_back_in_one_step(page, tmp_path):
    path = tmp_path / "mine.yaml"
    page.exchange.save_file(str(path))
    page.store.set({"augment.preset": "none"})
    assert page.accept_drop([str(path)])
    assert names(page) == MEDIUM and page.store.undo_label == "import mine.yaml"
    assert page.draft.steps[2].params["rotate"] == (-12.0, 12.0)
    page.exchange.copy_code()
    assert "A.ColorJitter(" in QGuiApplication.clipboard().text() or "ColorJitter(" in QGuiApplication.clipboard().text()


def test_a_file_with_unknown_things_is_refused_with_its_lines_and_changes_nothing(page, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text("transform:\n  __class_fullname__: Compose\n  transforms:\n  - {__class_fullname__: os.system, p: 1}\n")
    before = page.store.experiment
    page.exchange.open_file(str(path))
    assert page.store.experiment is before and "odd.yaml is not taken" in page.banner.title_label.text()
    assert "Line 4" in page.banner.detail_label.text() and "os.system" in page.banner.detail_label.text()
