"""Signal, domain shift and advice on the Model page: asked for only where they are looked at, applied and undone at one click."""

from __future__ import annotations

import pytest
from builders import build_dataset
from model_cases import DESCRIBED, LIST
from PySide6.QtWidgets import QPushButton

from studio.core.experiment import Experiment
from studio.gui.pages.model.page import ModelPage
from studio.supervise.worker import WorkerError

SIGNAL = {
    "layers": [
        {"name": "backbone.stem", "activation_variance": 1.0, "gradient_variance": 1e-4, "is_new": False},
        {"name": "head.linear", "activation_variance": 0.0, "gradient_variance": 2e-3, "is_new": True},
    ],
    "sentence": "With zeros nothing reaches the backbone in the first step.",
}
DOMAIN = {
    "sentence": "Stage 3 sees values 4 sigma from what it knows.",
    "stages": [
        {"name": "stem", "bn_distance": 0.2, "dead_fraction": 0.01, "saturated_fraction": None, "sentence": "", "remedies": []},
        {"name": "stage 3", "bn_distance": 4.0, "dead_fraction": 0.2, "saturated_fraction": None, "sentence": "4 sigma away",
         "remedies": [{"label": "Adapt its statistics", "values": {"model.batch_norm": {"stage 3": "adapt"}}}]},
    ],
}  # fmt: skip
ADVICE = {
    "advice": [
        {"key": "freeze", "sentence": "Freeze all but the last stage.", "reason": "40 images per class.", "rule": "Below 100, train one stage.",
         "source": "arXiv 1411.1792", "values": {"model.train_stages": 1}, "label": "last stage"},
        {"key": "head", "sentence": "Use a linear head.", "reason": "40 images per class.", "rule": "One layer is enough.",
         "source": "arXiv 1904.04232", "values": {"model.head": []}, "label": "Linear", "is_followed": True},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=4, num_validation=2)


@pytest.fixture
def page(qtbot, context, dataset):
    for method, answer in (("describe_model", DESCRIBED), ("signal", SIGNAL), ("domain_shift", DOMAIN), ("advice", ADVICE)):
        context.probe.answer(method, answer)
    made = ModelPage(context)
    qtbot.addWidget(made)
    made.resize(920, 790)
    made.show()
    made.chooser._on_list_read(LIST)
    context.store.set_dataset(dataset)
    return made


def asked(page: ModelPage, method: str) -> int:
    return sum(m == method for m, _ in page.context.probe.calls)


def buttons(page: ModelPage) -> list[QPushButton]:
    return page.advice.findChildren(QPushButton, "model.advice.freeze")


def test_the_signal_is_drawn_once_it_is_looked_at_and_again_when_the_start_changes(qtbot, page):
    assert asked(page, "signal") == 0
    page.show_view(1)
    qtbot.waitUntil(lambda: page.signal.sentence_label.text() == SIGNAL["sentence"])
    assert list(page.signal._curves[0].getData()[1]) == [0.0, -12.0]  # a variance of zero stands at the bottom
    assert "activations 0, gradients 0.002" in page.signal.graphics.accessibleDescription()
    page.store.set({"model.head_init": "zeros"})
    qtbot.waitUntil(lambda: asked(page, "signal") == 2)
    page.store.set({"schedule.epochs": 3})
    page.context.probe.answer("signal", WorkerError("The images cannot be read."))
    page.signal.scope.value_changed.emit(True)
    page.store.set({"model.head_init": "he"})
    qtbot.waitUntil(lambda: page.signal.sentence_label.text() == "The images cannot be read.")


def test_signal_and_first_loss_are_those_of_the_present_classes_and_images(qtbot, page, dataset):
    context, words = page.context, lambda: page.head_panel.loss_label.text()
    num = len(dataset.classes)
    context.probe.answer("first_loss", {"first_loss": 2.41, "are_real_images": True})
    page.store.set({"model.head_init": "xavier"})
    page.show_view(1)
    qtbot.waitUntil(lambda: words().startswith("first loss 2.41") and asked(page, "signal") == 1)
    gone, rest = dataset.classes[0], dataset.classes[1:]
    context.probe.answer("first_loss", {"first_loss": 1.52, "are_real_images": True})
    fewer = dataset.changed(classes=rest, samples=tuple(s for s in dataset.samples if s.label != gone))
    context.store.set_dataset(fewer)
    assert words().startswith(f"loss of a guess: ln {num - 1} "), "the figure is that of one more class"
    qtbot.waitUntil(lambda: words().startswith("first loss 1.52") and asked(page, "signal") == 2)
    context.probe.answer("first_loss", {"first_loss": 1.55, "are_real_images": True})
    context.store.set_dataset(fewer.changed(samples=fewer.samples[1:]))
    qtbot.waitUntil(lambda: words().startswith("first loss 1.55") and asked(page, "signal") == 3)
    for method in ("first_loss", "signal"):
        numbers = [params["list_number"] for name, params in context.probe.calls if name == method]
        assert len(set(numbers)) == len(numbers) == 3, "the probe lists the images anew, too"
    context.store.set_dataset(fewer.changed(samples=fewer.samples[1:]))
    assert words().startswith("first loss 1.55"), "a scan that finds nothing new changes nothing"


def test_domain_shift_is_measured_on_demand_and_its_remedy_is_one_click(qtbot, page, dataset):
    page.show_view(2)
    assert page.domain.empty.isVisibleTo(page) and asked(page, "domain_shift") == 0
    page.domain.measure_button.click()
    qtbot.waitUntil(lambda: page.domain.result is not None)
    assert page.domain.sentence_label.text() == DOMAIN["sentence"]
    page.domain.findChild(QPushButton, "model.domain.stage 3.0").click()
    assert page.store.experiment.model.batch_norm == {"stage 3": "adapt"} and page.domain.result is not None
    page.store.undo()
    assert page.store.experiment == Experiment()
    page.store.set({"model.input_size": 128})
    assert page.domain.result is None and page.domain.empty.isVisibleTo(page)
    page.domain.measure_button.click()
    qtbot.waitUntil(lambda: page.domain.result is not None)
    page.store.set_dataset(dataset.changed(samples=dataset.samples[1:]))
    assert page.domain.result is None, "other images"


def test_custom_mean_and_deviation_are_edited_channel_by_channel(qtbot, page):
    page.show_view(2)
    assert not page.domain.custom.isVisibleTo(page)
    page.store.set({"model.normalisation": "custom"})
    field = page.domain.custom.fields["model.custom_std", 1]
    assert field.isVisibleTo(page) and field.accessibleName() == "Deviation of green"
    field.setText("0.3")
    field.setModified(True)
    field.editingFinished.emit()
    assert page.store.experiment.model.custom_std == (0.229, 0.3, 0.225)
    page.store.undo()
    assert field.value == 0.224


def test_advice_gives_its_reasons_and_is_applied_and_undone_by_the_same_button(qtbot, page):
    page.show_view(3)
    why = "40 images per class. Below 100, train one stage. Source: arXiv 1411.1792"
    labels = lambda: page.advice.findChildren(type(page.subtitle_label))  # noqa: E731
    qtbot.waitUntil(lambda: any(why in label.text() for label in labels() if label.isVisibleTo(page)))  # Qt shows new widgets a turn later
    assert any(label.text() == "In use" for label in labels()) and not page.advice.findChildren(QPushButton, "model.advice.head")
    page.advice.findChild(QPushButton, "model.advice.freeze").click()
    assert page.store.experiment.model.train_stages == 1
    qtbot.waitUntil(lambda: [b.text() for b in buttons(page) if b.isVisibleTo(page)] == ["Undo"])
    buttons(page)[-1].click()
    assert page.store.experiment == Experiment()
    _, params = next(c for c in page.context.probe.calls if c[0] == "advice")
    assert params["images_per_class"] == [4] * 6


def test_the_inspector_follows_the_same_rule_as_the_page_with_and_without_a_measured_shift(page):
    from studio.catalog.advice import Situation, advice
    from studio.gui.shell.advice import advise

    for shift, num_stages in ((None, 0), ({"stages": [{"name": "stage 3", "bn_distance": 3.0}]}, 2)):
        page.context.estimates.take_domain(shift)
        told = next(a for a in advise(page.context) if a.key == "few-images")
        assert told.values["model.train_stages"] == num_stages and told.sentence.startswith("4 training images per class")
        for has_gpu in (False, True):
            situation = Situation(page.store.experiment, (4,) * 6, {"stage 3": 3.0} if shift else None, has_gpu)
            assert next(a for a in advice(situation) if a.key == "freeze").values == told.values
