"""What earlier runs tell the Augment page: how a step changes the answers of their network, and how fast it is."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton

from studio.core.path_text import path_to_text
from studio.gui.monitor import RunUpdate
from studio.gui.pages.augment.page import AugmentPage
from studio.gui.run_entry import RunEntry
from studio.supervise.worker import WorkerError
from tests.builders import build_run
from tests.gui.augment_desk import Desk, give_data, make_images, make_stage, start_anew, texts_of


@pytest.fixture(scope="module")
def stage(qapp, tmp_path_factory):
    yield from make_stage(qapp, tmp_path_factory, size=(940, 740))


@pytest.fixture
def desk(stage) -> Desk:
    return stage[1]


@pytest.fixture
def page(stage, qtbot, tmp_path) -> AugmentPage:
    made = start_anew(*stage)
    give_data(made, make_images(tmp_path / "pets", {"cat": 12, "dog": 12}))
    made.store.set({"augment.preset": "medium"})
    return made


@pytest.fixture
def make_run(page, tmp_path):
    """Tells the window of a finished run of the draft's network on the images in view, as the monitor does."""
    runs = page.context.runs

    def make() -> RunEntry:
        folder = build_run(tmp_path / "runs", page.store.dataset, experiment=page.store.experiment)
        runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
        return runs.entries[-1]

    yield make
    runs.monitor.removed.emit(tuple(entry.folder for entry in runs.entries))


def asked_of(page: AugmentPage) -> list[dict]:
    return [params for method, params in page.context.probe.calls if method == "label_safety"]


def test_when_a_run_ends_steps_are_measured_with_its_network_and_the_fall_of_right_answers_is_said(page, qtbot, make_run):
    page.safety.measure()
    assert asked_of(page)[-1]["run"] is None
    page.context.probe.on_part({"step": 3, "ratio": 0.1, "verdict": "fine", "accuracy": None, "accuracy_before": None})
    card = page.pipeline.list.cards[3]
    assert "right answers" not in card.safety.accessibleName()

    run = make_run()
    page.context.runs.ended.emit(run)
    qtbot.waitUntil(lambda: asked_of(page)[-1]["run"] == path_to_text(run.folder.path))
    steps = asked_of(page)[-1]["experiment"]["augment"]["transforms"]
    assert [step["name"] for step in steps] == [step.name for step in page.draft.steps], "what was measured without it is measured again"
    page.context.probe.on_part({"step": 3, "ratio": 0.9, "verdict": "flagged", "accuracy": 0.4375, "accuracy_before": 0.9375})
    assert "right answers 94\u00a0% before, 44\u00a0% after" in card.safety.accessibleName()
    qtbot.waitUntil(lambda: "Right answers fall from 94 % to 44 %." in texts_of(page.pipeline))


def test_every_strength_is_measured_with_the_network_of_the_run_and_with_the_bundled_one_where_that_cannot_be(page, make_run, qtbot):
    run = make_run()
    page.draft.choose((3,))
    page.form.findChild(QPushButton, "augment.form.sweep").click()
    assert asked_of(page)[-1]["run"] == path_to_text(run.folder.path)
    page.context.probe.on_part({"value": 2.0, "ratio": 0.6, "verdict": "look", "accuracy": 0.5, "accuracy_before": 1.0})
    assert "right answers 100\u00a0% before, 50\u00a0% after" in page.form.rows["brightness"].strip.verdict_words(4)
    page.context.probe.answer(
        "label_safety", lambda params: {"count": 5} if params["run"] is None else WorkerError("The checkpoint is gone.")
    )
    page.form.findChild(QPushButton, "augment.form.sweep").click()

    def swept() -> list[dict]:
        return [each for each in asked_of(page) if "sweep" in each]  # the plain question of the page may come in between

    qtbot.waitUntil(lambda: swept()[-1]["sweep"]["param"] == "hue")
    asked = [(each["sweep"]["param"], each["run"] is None) for each in swept()[-5:]]
    assert asked == [("brightness", False), ("brightness", True), ("contrast", True), ("saturation", True), ("hue", True)]


def test_a_pipeline_that_the_network_of_a_run_waits_for_is_said_on_the_page_with_both_figures_until_it_keeps_up(
    page, desk, make_run, qtbot
):
    run = make_run()
    desk.calls[-1][2]({"ms_per_image": 250.0})
    qtbot.waitUntil(lambda: "Augmentation: 4 images/s" in texts_of(page.pipeline))
    assert f"in {run.name}. Loading becomes the slowest part." in texts_of(page.pipeline)
    page.preview.reroll()
    desk.calls[-1][2]({"ms_per_image": 0.01})
    assert "Loading becomes the slowest part" not in texts_of(page.pipeline)
