"""The Augment page: words and advice, and a preview that only ever shows the newest question's answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton

from studio.catalog.augments import PRESETS
from studio.core.experiment import Augment, Data, Experiment, TransformSpec, parse_experiment
from studio.core.rng import sample_seed
from studio.dataset.image import read_image
from studio.dataset.look import Hint, hints
from studio.dataset.scan import scan
from studio.gui.pages.augment import test_card
from studio.gui.pages.augment.advice import advice_for
from studio.gui.pages.augment.batch import batch_at, num_batches
from studio.gui.pages.augment.cost import Speed, num_loaders, slow_words
from studio.gui.pages.augment.grid import NUM_VARIANTS, VariantGrid
from studio.gui.pages.augment.page import AugmentPage
from studio.gui.pages.augment.pins import Pins
from studio.gui.pages.augment.variant import Variant
from studio.gui.pages.augment.words import title_of
from studio.gui.theme import colour
from studio.supervise.worker import WorkerError
from tests.gui.augment_desk import MEDIUM, Desk, give_data, make_images, make_stage, start_anew, texts_of


@pytest.fixture(scope="module")
def stage(qapp, tmp_path_factory):
    yield from make_stage(qapp, tmp_path_factory, size=(940, 740))


@pytest.fixture
def desk(stage) -> Desk:
    return stage[1]


@pytest.fixture
def page(stage, qtbot) -> AugmentPage:
    return start_anew(*stage)


@pytest.fixture
def images(tmp_path) -> Path:
    return make_images(tmp_path / "pets", {"cat": 30, "dog": 30})


def show(page: AugmentPage, desk: Desk, qtbot, value: int = 7) -> None:
    """Answer the newest question and wait until the tiles are there."""
    desk.answer(len(desk.calls) - 1, value)
    qtbot.waitUntil(lambda: None not in page.preview.grid.variants and not page.preview.foot.spinner.isVisibleTo(page), timeout=5000)


def advice_texts(page: AugmentPage) -> str:
    foot = page.pipeline.foot
    lines = [foot.itemAt(i).widget() for i in range(1, foot.count())]
    return "\n".join(label.text() for each in lines for label in each.findChildren(QLabel))


def take_advice(page: AugmentPage) -> None:
    """Press the button of the first advice."""
    page.pipeline.foot.itemAt(1).widget().action.click()


def photo(params: dict) -> dict:
    """The first subject of a question."""
    return params["subjects"][0]


def shown_value(page: AugmentPage) -> int:
    """The grey value of the tiles that are shown."""
    return page.preview.grid.variants[1].pixmap.toImage().pixelColor(2, 2).red()


class StillClock:
    """A QElapsedTimer for which no time goes by once it was started, however slow the computer is."""

    def __init__(self):
        self._is_started = False

    def start(self) -> None:
        self._is_started = True

    def isValid(self) -> bool:
        return self._is_started

    def elapsed(self) -> int:
        return 0


def test_without_data_the_built_in_test_card_is_shown(page, desk, qtbot):
    assert [m for m, *_ in desk.calls] == ["tiles"]
    path = photo(desk.asked()[0])["path"]
    assert read_image(path).shape == (480, 480, 3)
    assert page.preview.tools.name_label.text() == "test card"
    show(page, desk, qtbot)
    assert len(page.preview.grid.variants) == NUM_VARIANTS + 1 >= 10
    assert page.preview.grid.variants[0].pixmap.width() == 480


def test_the_test_card_tells_left_from_right_and_up_from_down(theme):
    card = test_card.draw_test_card()
    assert card != card.flipped(Qt.Orientation.Horizontal) and card != card.flipped(Qt.Orientation.Vertical)
    assert os.path.exists(test_card.test_card_path())


def test_every_preset_is_cards_and_a_click_away(page):
    for preset in PRESETS:
        action = next(a for a in page.presets.menu().actions() if a.text() == ("Off" if preset.key == "none" else preset.title))
        action.trigger()
        assert page.store.experiment.augment.preset == preset.key
        assert [card.title_label.text() for card in page.pipeline.list.cards] == [title_of(step.name) for step in preset.build(True)]
        assert (page.presets.strength.value or page.presets.more_button.text()) in (preset.key, preset.title)


def test_a_click_on_a_strength_is_one_step_that_undo_takes_back(page, desk):
    medium = next(b for b in page.presets.strength.findChildren(QPushButton) if b.text() == "Medium")
    medium.click()
    assert page.store.experiment.augment.preset == "medium"
    assert desk.asked()[-1]["experiment"]["augment"]["preset"] == "medium"
    page.store.undo()
    assert page.presets.strength.value == "light" and desk.asked()[-1]["experiment"]["augment"]["preset"] == "light"


def test_mirror_off_takes_its_card_away_and_off_disables_the_switch(page):
    page.presets.mirror.click()
    assert not page.store.experiment.augment.horizontal_flip and "Mirror" not in texts_of(page.pipeline)
    page.store.set({"augment.preset": "none"})
    assert not page.presets.mirror.isEnabled()


def test_only_the_newest_answer_is_shown_while_clicking_quickly(page, desk, qtbot):
    show(page, desk, qtbot, 1)
    for preset in ("medium", "strong", "none"):
        page.store.set({"augment.preset": preset})
    assert len(desk.calls) == 4
    for index in (1, 2):  # late answers to questions that are no longer asked
        desk.answer(index, 99)
    assert shown_value(page) == 1
    desk.answer(3, 3)
    assert shown_value(page) == 3


def test_while_a_slider_is_dragged_pictures_get_a_turn_and_only_the_newest_question_waits(page, desk, qtbot, monkeypatch):
    monkeypatch.setattr(page.preview._asker, "_since_sent", StillClock())
    page.store.set({"augment.preset": "medium"})
    show(page, desk, qtbot, 1)
    with page.store.one_step():
        for p in (0.1, 0.2, 0.3, 0.4):
            page.draft.set_p((3,), p)
    assert len(desk.calls) == 3, "the first move is asked about at once, the others wait"
    desk.part(2, 0, 50)
    assert shown_value(page) == 50, "pictures of the question before are shown meanwhile"
    qtbot.waitUntil(lambda: len(desk.calls) == 4, timeout=3000)
    assert desk.asked()[-1]["experiment"]["augment"]["transforms"][3]["p"] == 0.4
    desk.answer(3, 90)
    assert shown_value(page) == 90


def test_old_tiles_are_muted_until_the_new_ones_come(page, desk, qtbot):
    show(page, desk, qtbot, 1)
    page.preview.reroll()
    assert not page.preview.grid.is_stale, "a quick answer does not flicker"
    qtbot.waitUntil(lambda: page.preview.grid.is_stale, timeout=2000)
    desk.answer(1)
    assert not page.preview.grid.is_stale


def test_the_switch_of_the_preview_is_whole_at_its_least_width(page, qtbot, theme):
    size = page.size()
    page.resize(798, 600)  # in the least window, 1100 px wide
    assert page.preview.width() == page.preview.minimumWidth()
    parts = [page.preview.mode_choice.findChild(QPushButton, f"augment.mode.{i}") for i in range(3)]
    qtbot.waitUntil(lambda: all(part.width() >= part.minimumSizeHint().width() for part in parts))
    assert page.preview.reroll_button.text() == "" and page.preview.reroll_button.accessibleName() == "Re-roll"
    page.resize(1400, 740)
    qtbot.waitUntil(lambda: page.preview.reroll_button.text() == "Re-roll")
    page.resize(size)


def test_re_roll_goes_on_to_the_next_epochs_and_shows_the_seed(page, desk, qtbot):
    show(page, desk, qtbot)
    assert page.preview.foot.seed_label.text() == "seed 100"
    page.preview.reroll()
    assert [photo(p)["epoch"] for p in desk.asked()] == [0, NUM_VARIANTS]
    assert ("R", page.preview.reroll) in [(key, function) for key, _, function in page.shortcuts()]


def test_held_re_roll_asks_four_times_a_second_at_most(page, desk, monkeypatch):
    monkeypatch.setattr(page.preview, "_last_reroll", StillClock())
    for _ in range(10):
        page.preview.reroll()
    assert len(desk.asked()) == 2


def test_the_photo_comes_from_the_training_part_with_its_index(page, desk, images):
    give_data(page, images)
    params = photo(desk.asked()[-1])
    train = page.store.dataset.part("train")
    sample = train[params["index"]]
    assert params["path"] == page.store.dataset.path_of(sample)
    page.preview.tools.next_button.click()
    assert photo(desk.asked()[-1])["path"] != params["path"]
    page.preview.tools.back_button.click()
    assert photo(desk.asked()[-1])["path"] == params["path"]


def test_a_class_can_be_chosen_for_the_photo(page, desk, images):
    give_data(page, images)
    page.preview.tools.class_box.set_value("dog")
    page.preview.tools.class_box.value_changed.emit("dog")
    for _ in range(3):
        assert f"{os.sep}dog{os.sep}" in photo(desk.asked()[-1])["path"]
        page.preview.step(1)


def test_a_dropped_picture_becomes_the_photo_and_a_folder_does_not(page, desk, images):
    assert not page.accept_drop([str(images)])
    picture = str(images / "cat" / "003.png")
    assert page.accept_drop([picture])
    assert photo(desk.asked()[-1])["path"] == picture
    assert "not a training image" in page.preview.foot.fact_label.text()


def test_the_switch_asks_for_larger_pictures_with_the_same_random_values(page, desk):
    page.preview.tools.network_toggle.click()
    last, before = desk.asked()[-1], desk.asked()[-2]
    assert [parse_experiment(each["experiment"]).model.input_size for each in (before, last)] == [224, 448]
    assert last["subjects"] == before["subjects"]


def test_nothing_is_asked_while_another_page_is_in_front(page, desk):
    page.deactivate()
    number = len(desk.calls)
    page.store.set({"augment.preset": "strong"})
    assert len(desk.calls) == number
    page.activate()
    assert desk.asked()[-1]["experiment"]["augment"]["preset"] == "strong"


def test_settings_that_change_no_picture_ask_for_none(page, desk):
    number = len(desk.calls)
    page.store.set({"schedule.epochs": 3, "data.left_out": ("a",), "name": "Other"})
    assert len(desk.calls) == number


def test_a_picture_that_cannot_be_shown_says_why_and_offers_the_next(page, desk, images, qtbot):
    give_data(page, images)
    desk.calls[-1][3](WorkerError("003.png cannot be shown: truncated.", "Check the file."))
    assert page.preview.banner.isVisible() and "003.png cannot be shown" in page.preview.banner.title_label.text()
    actions = [b.text() for b in page.preview.banner.findChildren(QPushButton) if b.isVisible()]
    assert actions == ["Try again", "Next photo"]
    page.preview.step(1)
    show(page, desk, qtbot)
    assert not page.preview.banner.isVisible()


def test_the_original_is_read_as_the_variants_when_an_experiment_brings_another_pipeline_and_another_white(page, qtbot, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((32, 32), 2000, np.uint16)).save(tmp_path / "deep" / name / f"{number}.png")

    def level() -> int:
        original = page.preview.grid.variants[0]
        return original.pixmap.toImage().pixelColor(9, 9).red() if original is not None and not original.pixmap.isNull() else -1

    give_data(page, tmp_path / "deep")
    qtbot.waitUntil(lambda: 0 <= level() < 20)
    page.store.reset_to(page.store.experiment.changed({"augment.preset": "strong", "data.white": 4095}))
    page.context.scan.cancel()
    qtbot.waitUntil(lambda: 110 < level() < 140)


def test_a_photo_that_cannot_be_read_is_one_sentence_and_not_a_mark_on_every_tile(page, desk, images):
    give_data(page, images)
    _, params, on_result, _, on_part = desk.calls[-1]
    for tile in range(len(params["subjects"])):
        on_part({"tile": tile, "error": "003.png cannot be read: No such file or directory."})
    on_result({"ms_per_image": None})
    assert "003.png cannot be read" in page.preview.banner.title_label.text()
    assert not any(page.preview.grid.variants)
    number = len(desk.calls)
    page.preview.refresh()
    assert len(desk.calls) == number + 1, "the file may be back"


def test_a_tile_opens_large_with_its_seed_and_arrows_go_on(page, desk, qtbot):
    show(page, desk, qtbot)
    grid = page.preview.grid
    qtbot.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.tile(3).center().toPoint())
    assert page.large.isVisible() and page.large.seed_label.text() == "seed 102"
    assert page.large.title_label.text() == "As it is in epoch 3"
    assert "Random resized crop\ncut out 29 × 38 px" in texts_of(page.large.drawn), "the values that were drawn for it"
    qtbot.keyClick(page.large, Qt.Key.Key_Right)
    assert page.large.seed_label.text() == "seed 103"
    page.grab()
    qtbot.keyClick(page.large, Qt.Key.Key_Escape)
    assert not page.large.isVisible()


def test_the_grid_is_used_by_keys(page, desk, qtbot):
    show(page, desk, qtbot)
    grid = page.preview.grid
    columns = grid.layout_of(NUM_VARIANTS + 1)[0]
    qtbot.keyClick(grid, Qt.Key.Key_Down)
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    assert grid.current == columns + 1
    assert grid.accessibleDescription() == f"Epoch {columns + 1}, seed {100 + columns}"
    qtbot.keyClick(grid, Qt.Key.Key_Return)
    assert page.large.isVisible()


@pytest.mark.parametrize("size", [(600, 600), (900, 400), (300, 700)])
def test_the_tiles_fill_their_place_and_stay_inside(qtbot, theme, size):
    grid = VariantGrid()
    qtbot.addWidget(grid)
    grid.resize(*size)
    tiles = [grid.tile(i) for i in range(16)]
    assert all(t.left() >= 0 and t.right() <= size[0] + 0.5 and t.bottom() <= size[1] + 0.5 for t in tiles)
    assert sum(t.width() * t.height() for t in tiles) > 0.55 * size[0] * size[1]


# Advice


def test_a_tile_without_a_picture_has_the_ground_of_the_theme_that_is_chosen(qtbot, theme):
    grid = VariantGrid()
    qtbot.addWidget(grid)
    grid.resize(400, 400)
    grid.show_variants([Variant(QPixmap(), epoch=0, error="cannot be read")] * 4)
    grid.show()
    for choice in ("dark", "light"):
        theme.set_choice(choice)
        drawn = grid.grab().toImage()
        assert drawn.pixelColor(grid.tile(1).center().toPoint()) == colour("raised")


def test_few_images_without_variation_advise_light(images):
    dataset = scan(Data(source=str(images)))
    found = advice_for(Experiment(augment=Augment(preset="none")), dataset)
    assert found[0].values == {"augment.preset": "light"} and f"{len(dataset.part('train'))} training images" in found[0].sentence


def test_digits_and_sides_advise_mirror_off(tmp_path):
    digits = scan(Data(source=str(make_images(tmp_path / "digits", {str(i): 3 for i in range(4)}))))
    assert advice_for(Experiment(), digits, hints(digits.classes, None))[0].values == {"augment.horizontal_flip": False}
    sides = scan(Data(source=str(make_images(tmp_path / "sides", {"left_hand": 3, "bright": 3}))))
    assert "left_hand" in advice_for(Experiment(), sides)[0].sentence
    off = Experiment(augment=Augment(horizontal_flip=False))
    assert all("horizontal_flip" not in a.values for a in advice_for(off, digits, hints(digits.classes, None)))


def test_a_hint_switches_off_what_goes_against_it_in_a_pipeline_of_ones_own(images):
    dataset = scan(Data(source=str(images)))
    steps = (TransformSpec(name="VerticalFlip"), TransformSpec(name="Blur"))
    own = Experiment(augment=Augment(preset="custom", transforms=steps))
    advice = advice_for(own, dataset, (Hint("faces", "sounds like faces.", ("VerticalFlip",)),))[0]
    assert [step["is_on"] for step in advice.values["augment.transforms"]] == [False, True] and advice.action == "Flip upside down off"
    aerial = advice_for(Experiment(), dataset, (Hint("aerial", "from above.", (), "aerial"),))[0]
    assert aerial.values == {"augment.preset": "aerial"}


# Measured: label safety and cost


def test_a_step_that_changes_the_label_is_flagged_on_its_card_and_can_be_switched_off(page, images, qtbot):
    probe = page.context.probe
    give_data(page, images)
    page.store.set({"augment.preset": "medium"})
    page.safety.measure()
    method, params = probe.calls[-1]
    assert method == "label_safety" and {s["label"] for s in params["samples"]} == {"cat", "dog"}
    assert [step["name"] for step in params["experiment"]["augment"]["transforms"]] == MEDIUM
    unknown = {"accuracy": None, "accuracy_before": None}
    probe.on_part({"step": 1, "name": "HorizontalFlip", "value": None, "ratio": 0.1, "verdict": "fine"} | unknown)
    probe.on_part({"step": 3, "name": "ColorJitter", "value": None, "ratio": 0.93, "verdict": "flagged"} | unknown)
    cards = page.pipeline.list.cards
    assert not cards[1].safety.isHidden() and cards[0].safety.isHidden()
    assert "93 %" in cards[3].safety.accessibleName().replace("\u00a0", " ") and cards[3].safety.share == 0.93
    assert "Colour jitter can change what a picture shows" in advice_texts(page)
    take_advice(page)
    assert not page.draft.steps[3].is_on and "can change" not in advice_texts(page)


def test_every_strength_of_a_parameter_can_be_measured_into_its_strip(page, images):
    probe = page.context.probe
    give_data(page, images)
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((3,))
    page.form.sweep_button.click()
    method, params = probe.calls[-1]
    assert params["sweep"]["param"] == "brightness" and params["sweep"]["values"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    probe.on_part({"value": 2.0, "ratio": 0.6, "verdict": "look", "accuracy": None, "accuracy_before": None})
    assert "60" in page.form.rows["brightness"].strip.verdict_words(4)


def test_verdicts_that_come_late_go_neither_to_another_transform_nor_to_the_step_as_it_was_changed(page, images, qtbot):
    probe = page.context.probe
    give_data(page, images)
    page.draft.take_steps((TransformSpec(name="ColorJitter"), TransformSpec(name="ColorJitter", params={"hue": 0.5})), "two")
    said = []
    page.context.shell.mention_requested.connect(said.append)

    def verdict_after(change) -> str:
        said.clear()
        page.draft.choose((0,))
        page.form.sweep_button.click()
        change()
        num_asked = len(probe.calls)
        probe.on_part({"value": 2.0, "ratio": 0.6, "verdict": "look", "accuracy": None, "accuracy_before": None})
        probe.on_result({"count": 5})
        was_continued = len(probe.calls) > num_asked
        words = page.form.rows["brightness"].strip.verdict_words(4)
        assert was_continued == bool(words), "the other strips are measured for as long as the step stays"
        return words

    assert not verdict_after(lambda: page.draft.choose((1,)))
    assert said == ["The strengths of colour jitter are measured no further: another step was chosen."]
    assert not verdict_after(lambda: page.draft.set_params((0,), {"contrast": 1.5}, "contrast"))
    assert len(said) == 1 and "no further: the step was changed" in said[0]
    assert "60" in verdict_after(lambda: page.draft.set_p((0,), 0.3)), "how often it is done changes nothing of what it does"
    assert "60" in verdict_after(lambda: page.draft.set_params((0,), {"brightness": 0.5, "contrast": 1.5}, "brightness")), (
        "it is swept over"
    )
    assert probe.calls[-1][1]["experiment"]["augment"]["transforms"][0]["params"]["brightness"] == 0.5, (
        "the others are of the step as it is"
    )
    assert "60" in verdict_after(lambda: (page.draft.move((0,), 1), page.draft.move((1,), 0))), "it went to another place and back"
    assert said == []
    page.draft.set_params((0,), {"hue": 0.2}, "hue")  # nothing is answered any more
    qtbot.waitUntil(lambda: len(said) == 1)


def test_a_pipeline_that_the_network_waits_for_is_said_with_both_figures():
    assert num_loaders(-1, "cpu") == 1 and num_loaders(3, "cuda:0") == 3
    words = slow_words(26.3, 1, Speed(120.0, "run 3"))
    assert words == "Augmentation: 38 images/s; the network took 120 in run 3. Loading becomes the slowest part."
    assert slow_words(1.0, 1, Speed(120.0, "run 3")) == "" == slow_words(26.3, 1, Speed())


def test_taking_the_advice_changes_the_setting(page, images):
    give_data(page, images)
    page.store.set({"augment.preset": "strong", "schedule.epochs": 3})
    take_advice(page)
    assert page.store.experiment.augment.preset == "medium"


def test_a_class_name_with_markup_stays_plain_text(page, qtbot, tmp_path):
    make_images(tmp_path / "odd", {"left <b>x<": 6, "other": 6})
    give_data(page, tmp_path / "odd")
    qtbot.waitUntil(lambda: "<b>x<" in texts_of(page.pipeline), timeout=2000)
    for label in page.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText or not label.text(), label.text()


@pytest.mark.parametrize("size", [(830, 492), (930, 740)])
def test_the_page_fits_the_sizes_of_the_window(page, size):
    assert page.minimumSizeHint().width() <= size[0] and page.minimumSizeHint().height() <= size[1]


def test_every_control_has_a_name_for_screen_readers(page, images):
    give_data(page, images)
    assert [b.objectName() for b in page.findChildren(QPushButton) if b.isVisible() and not b.accessibleName()] == []


# With the real worker


def by_the_training_code(path: str, seed: int, out: Path) -> np.ndarray:
    """Computed in another process: this one stays free of what the window must not load."""
    program = (
        "import sys, numpy as np\n"
        "from studio.catalog.augments import build_pipeline\n"
        "from studio.core.experiment import Augment\n"
        "from studio.dataset.image import read_image\n"
        "path, seed, out = sys.argv[1:]\n"
        "np.save(out, build_pipeline(Augment(preset='medium'), 64)(read_image(path), int(seed)))\n"
    )
    subprocess.run([sys.executable, "-c", program, path, str(seed), str(out)], check=True, cwd=Path(__file__).parents[2])
    return np.load(out)


def test_the_preview_shows_bit_for_bit_what_training_sees(qtbot, theme, images, tmp_path):
    from studio.gui.context import make_context
    from studio.gui.testing import FakeEngines, FakeWorker

    context = make_context(probe=FakeWorker(), engines=FakeEngines())
    made = AugmentPage(context)
    qtbot.addWidget(made)
    made.show()
    give_data(made, images)
    made.store.set({"augment.preset": "medium", "model.input_size": 64})
    made.activate()
    try:
        qtbot.waitUntil(
            lambda: len(made.preview.grid.variants) == NUM_VARIANTS + 1 and None not in made.preview.grid.variants, timeout=90_000
        )
        shown = made.preview.grid.variants[3]
        subject = made.preview.subject
        assert shown.seed == sample_seed(0, 2, subject.index)
        image = shown.pixmap.toImage().convertToFormat(shown.pixmap.toImage().Format.Format_RGB888)
        pixels = np.frombuffer(image.constBits(), np.uint8).reshape(64, image.bytesPerLine())[:, : 64 * 3].reshape(64, 64, 3)
        assert np.array_equal(pixels, by_the_training_code(subject.path, shown.seed, tmp_path / "expected.npy"))
    finally:
        context.close()


# Photos, batches, comparison


def test_a_batch_shows_its_mixed_labels_and_photos_one_variant_of_each(page, desk, images, qtbot):
    give_data(page, images)
    page.preview.set_mode("photos")
    assert len({s["path"] for s in desk.asked()[-1]["subjects"]}) == 16
    page.preview.set_mode("batch")
    method, params, *_ = desk.calls[-1]
    assert method == "batch" and {s["label"] for s in params["subjects"]} == {"cat", "dog"}
    desk.answer(len(desk.calls) - 1, labels=[["cat", 0.7], ["dog", 0.3]])
    tile = page.preview.grid.variants[4]
    assert tile.label_words == "cat 70 %, dog 30 %" and "cat 70 %, dog 30 %" in tile.in_words
    page.grab()


def test_a_batch_is_one_of_the_run_in_its_own_order_with_its_step(page, desk, tmp_path, qtbot):
    """Against the requests that the engine's loop makes, with made images and two batches in each step."""
    from studio.engine.plan import steps_per_epoch, training_requests

    give_data(page, make_images(tmp_path / "real", {"cat": 25, "dog": 25}))
    made = make_images(tmp_path / "made", {"cat": 6, "dog": 3})
    page.store.set({"data.synthetic": (str(made),), "data.synthetic_fraction": 0.2, "training.batch_size": 8, "training.accumulation": 2})
    page.store.set_dataset(scan(page.store.experiment.data))
    experiment, dataset = page.store.experiment, page.store.dataset
    num_real, num_synthetic = len(dataset.part("train")), len(dataset.synthetic)
    size, seed = dataset.epoch_size(0.2), experiment.training.seed
    assert size > num_real and num_synthetic == 9
    for epoch in (0, 3):
        requests = list(training_requests(seed, epoch, num_real, 8, num_synthetic=num_synthetic, num_taken=size - num_real))
        assert num_batches(experiment, dataset) == len(requests)
        for number, request in enumerate(requests):
            place = batch_at(experiment, dataset, epoch, number)
            assert tuple(s.index for s in place.subjects) == request.indices
            assert (place.step, place.batch) == (epoch * steps_per_epoch(size, 8, 2) + number // 2, number % 2)
            assert all(Path(s.path).parent.name == s.label for s in place.subjects)
    page.preview.set_mode("batch")
    page.preview.step(1)
    page.preview.tools.batch_field.step(1)
    params = desk.asked()[-1]
    assert [s["index"] for s in params["subjects"]] == [s.index for s in batch_at(experiment, dataset, 0, 2).subjects]
    assert (params["step"], params["batch"]) == (1, 0) and page.preview.tools.batch_field.value == 3
    assert "step 2" in page.preview.foot.fact_label.text()
    page.preview.reroll()
    assert {s["epoch"] for s in desk.asked()[-1]["subjects"]} == {1}
    page.preview.step(-3)
    assert page.preview.tools.batch_field.value == len(requests), "the last one comes before the first"


def test_a_pinned_variant_stays_in_view_while_all_else_changes_and_comes_back_with_the_project(page, desk, images, qtbot):
    give_data(page, images)
    show(page, desk, qtbot)
    qtbot.keyClick(page.preview.grid, Qt.Key.Key_Right)
    qtbot.keyClick(page.preview.grid, Qt.Key.Key_Right)
    page.preview.toggle_pin()
    (subject,) = desk.asked()[-1]["subjects"]
    assert (subject["epoch"], subject["path"]) == (1, desk.asked()[-2]["subjects"][1]["path"]) and not page.preview.pinned.isHidden()
    assert page.preview.grid.pinned == {2}
    page.preview.step(1)
    page.store.set({"augment.preset": "strong"})
    asked = [params for params in desk.asked()[-2:] if len(params["subjects"]) == 1]
    assert asked[0]["subjects"] == [subject] and asked[0]["experiment"]["augment"]["preset"] == "strong"
    desk.answer(len(desk.calls) - 1, 55)
    tile = page.preview.pinned.grid.variants[0]
    assert tile.epoch == 1 and tile.pixmap.toImage().pixelColor(1, 1).red() == 55

    pins = Pins(page.context)
    assert pins.pins == page.preview.pins.pins, "read from the window's settings"
    pins.deleteLater()
    path = page.context.projects._path
    page.context.projects._path = path.with_name("another.toml")
    page.context.projects.changed.emit()
    assert page.preview.pinned.isHidden(), "they belong to their project"
    page.context.projects._path = path
    page.context.projects.changed.emit()
    assert not page.preview.pinned.isHidden()
    qtbot.keyClick(page.preview.pinned.grid, Qt.Key.Key_Delete)
    assert page.preview.pinned.isHidden() and page.preview.pins.pins == ()


def test_a_batch_in_view_follows_the_size_of_the_batches(page, desk, images):
    give_data(page, images)
    page.store.set({"training.batch_size": 8})
    page.preview.set_mode("batch")
    page.preview.step(-1)
    assert page.preview.tools.batch_field.value == num_batches(page.store.experiment, page.store.dataset)
    page.store.set({"training.batch_size": 16})
    experiment, dataset = page.store.experiment, page.store.dataset
    last = num_batches(experiment, dataset)
    assert [s["index"] for s in desk.asked()[-1]["subjects"]] == [s.index for s in batch_at(experiment, dataset, 0, last - 1).subjects]
    assert page.preview.tools.batch_field.value == last and page.preview.tools.name_label.text() == f"of {last}"
    page.store.set({"training.accumulation": 2})
    assert (desk.asked()[-1]["step"], desk.asked()[-1]["batch"]) == divmod(last - 1, 2)
    page.preview.step(-1)
    assert page.preview.tools.batch_field.value == last - 1, "the one before the one shown"


def test_p_in_the_large_view_is_about_the_picture_shown_there(page, desk, images, qtbot):
    give_data(page, images)
    show(page, desk, qtbot)
    press = {keys: function for keys, _, function in page.shortcuts()}
    pins, grid = page.preview.pins, page.preview.grid
    page.show_large(grid, 3)
    press["P"]()
    assert [pin.epoch for pin in pins.pins] == [2] and page.large.pin_button.text() == "Unpin"
    press["R"]()
    assert page.preview.pin_of(grid, 3) == pins.pins[0], "the picture shown is still the old one"
    asked = [len(params["subjects"]) for params in desk.asked()]
    assert asked[-2:] == [1, NUM_VARIANTS], "the test cases do not depend on the epoch"
    show(page, desk, qtbot, 9)
    assert page.large.title_label.text() == f"As it is in epoch {NUM_VARIANTS + 3}", "the large view follows"
    assert page.large.pin_button.text() == "Make this a test case" and not grid.pinned
    page.large.close_view()

    desk.answer(len(desk.calls) - 2)
    page.show_large(page.preview.pinned.grid, 0)
    press["P"]()
    assert pins.pins == () and not page.large.isVisible()


def test_the_numbers_of_the_network_are_asked_for_and_not_of_a_larger_picture(page, desk):
    page.preview.tools.normal_button.click()
    assert desk.asked()[-1]["is_normalised"] and "normalised" in page.preview.foot.fact_label.text()
    page.preview.tools.network_toggle.setChecked(False)
    assert "is_normalised" not in desk.asked()[-1] and not page.preview.tools.normal_button.isEnabled()


def test_while_a_slider_moves_pictures_come_for_their_tiles_and_as_trained_when_it_rests(page, desk, qtbot):
    page.store.set({"augment.preset": "medium"})
    page.store.begin_drag()
    for value in (1.3, 1.4):
        page.draft.set_params((3,), {"brightness": (0.8, value)}, "brightness")
        desk.answer(len(desk.calls) - 1)
    assert desk.asked()[-1]["size_px"] == page.preview.grid.tile_px
    qtbot.waitUntil(lambda: "size_px" not in desk.asked()[-1], timeout=5000)
    assert desk.asked()[-1]["experiment"]["augment"]["transforms"][3]["params"]["brightness"] == [0.8, 1.4]
    page.store.end_drag()


def test_another_step_chosen_while_a_slider_moves_forgets_what_nobody_was_told(page):
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((3,))
    page.draft.move_params((3,), {"brightness": (0.1, 1.9)})
    assert page.draft.shown_augment() != page.draft.augment
    page.draft.choose((0,))
    assert page.draft.shown_augment() == page.draft.augment


def test_a_slider_that_moves_asks_for_pictures_before_the_experiment_hears_and_both_get_the_same_value(page, desk, qtbot):
    page.store.set({"augment.preset": "medium"})
    page.draft.choose((3,))
    desk.answer(len(desk.calls) - 1)
    num_asked, slider = len(desk.calls), page.form.rows["brightness"].editor.slider
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(slider.width() * 0.8), slider.height() // 2))
    assert len(desk.calls) == num_asked + 1 and page.store.experiment.augment.preset == "medium"
    asked = desk.asked()[-1]["experiment"]["augment"]["transforms"]
    assert asked[3]["params"]["brightness"][1] > 1.4 and [step["name"] for step in asked] == MEDIUM
    qtbot.waitUntil(lambda: page.store.experiment.augment.preset == "custom", timeout=5000)
    assert list(page.draft.steps[3].params["brightness"]) == asked[3]["params"]["brightness"]
    assert page.form.rows["brightness"].editor.value == page.draft.steps[3].params["brightness"] and slider.updatesEnabled()
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(int(slider.width() * 0.8), slider.height() // 2))
    assert len([c for c in desk.asked() if c["experiment"]["augment"]["transforms"] == asked and "size_px" in c]) == 1


def test_a_step_that_fails_is_named_on_the_page_the_tile_and_its_card_while_others_go_on(page, desk, qtbot):
    page.store.set({"augment.preset": "medium"})
    why = "cannot be done to a picture of 8 × 8 pixels"
    desk.answer(len(desk.calls) - 1, drawn=[{"step": 2, "name": "Affine", "values": [], "failure": why}])
    assert why in page.preview.grid.variants[3].in_words and not page.pipeline.list.cards[2].fault.isHidden()
    assert why in page.pipeline.list.cards[2].fault.toolTip() and page.pipeline.list.cards[1].fault.isHidden()
    qtbot.waitUntil(lambda: f"is left out where it fails: {why}." in texts_of(page.pipeline))
    page.show_large(page.preview.grid, 3)
    assert why in "\n".join(label.text() for label in page.large.drawn.findChildren(QLabel))


def test_two_pipelines_stand_side_by_side_with_the_same_random_values(page, desk):
    page.preview.comparison.begin("Strong", Augment(preset="strong"))
    own, other = desk.asked()[-2:]
    assert (own["experiment"]["augment"]["preset"], other["experiment"]["augment"]["preset"]) == ("light", "strong")
    assert own["subjects"] == other["subjects"] and len(own["subjects"]) == 7
    desk.answer(len(desk.calls) - 1, 77)
    assert page.preview.comparison.grid.variants[1].pixmap.toImage().pixelColor(1, 1).red() == 77
    page.preview.comparison.end()
    assert len(desk.asked()[-1]["subjects"]) == NUM_VARIANTS


def test_locked_random_values_stay_over_photos_and_re_rolls(page, desk, images):
    give_data(page, images)
    page.preview.reroll()
    page.preview.lock_button.setChecked(True)
    page.preview.step(1)
    assert photo(desk.asked()[-1])["epoch"] == NUM_VARIANTS and not page.preview.reroll_button.isEnabled()


def test_one_step_alone_is_shown_on_every_picture(page, desk):
    page.store.set({"augment.preset": "medium"})
    page.draft.set_solo((2,))
    (step,) = desk.asked()[-1]["experiment"]["augment"]["transforms"]
    assert (step["name"], step["p"]) == ("Affine", 1.0)
    assert page.store.experiment.augment.preset == "medium", "looking changes nothing"
    page.draft.set_solo((2,))
    assert desk.asked()[-1]["experiment"]["augment"]["preset"] == "medium"
