"""Ten thousand classes: names, counts and scores stay usable in the window, and what would be too much to draw is cut down and said."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import Qt

from studio.core.run_folder import RunFolder
from studio.dataset.dataset import Dataset, Sample
from studio.dataset.shape import shape_problems
from studio.gui.pages.data.page import DataPage
from studio.gui.pages.results.confusion_panel import ConfusionPanel
from studio.gui.pages.results.scores import MOST_CONFUSED, read_scores
from studio.gui.scan import ScanState

MANY = 10_000
CLASSES = tuple(f"species {i:05}" for i in range(MANY))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Names alone: no file is there."""
    samples = [Sample(f"{name}/{part}.png", name, part, 32, 32, 100, 1) for name in CLASSES for part in ("train", "validation")]
    found = Dataset("/nowhere", "class folders", CLASSES, tuple(samples))
    return found.changed(problems=tuple(shape_problems(found, {name: set() for name in CLASSES})))


def test_they_are_listed_chosen_and_sorted_on_the_data_page(context, qtbot, dataset):
    assert Dataset.from_json(dataset.to_json()) == dataset.changed(problems=Dataset.from_json(dataset.to_json()).problems)
    page = DataPage(context)
    qtbot.addWidget(page)
    page.resize(1120, 760)
    page.show()
    context.scan.hold(ScanState(is_complete=True))
    context.store.set({"data.source": "/nowhere"})
    context.store.set_dataset(dataset, dataset.problems)
    assert "10,000 classes" in page.subtitle_label.text() and len(page.class_list.rows) == MANY
    page.show_argument(CLASSES[5000])
    assert page.class_list.names_chosen == (CLASSES[5000],) and len(page.images.grid.keys) == 2
    few = "fewer than 5 validation images"
    cards = [card for card in page.issues.cards if few in card.finding.title]
    assert len(cards) == 1 and len(cards[0].finding.title + cards[0].finding.detail) < 400, "not ten thousand names"
    qtbot.waitUntil(lambda: not page.is_busy())


def test_the_matrix_shows_the_classes_that_are_confused_most_and_cells_keep_their_classes(qtbot, theme, tmp_path):
    right = [[i, i, 2] for i in range(MANY) if i not in (70, 71)]
    cells = [*right, [70, 9_000, 2], [71, 71, 1], [71, 9_000, 1]]
    recalls = {70: 0.0, 71: 0.5}
    rows = [{"precision": 1.0, "recall": recalls.get(i, 1.0), "f1": 1.0, "support": 2} for i in range(MANY)]
    raw = {"classes": CLASSES, "confusion": None, "confusion_cells": cells, "per_class": rows, "num_images": 2 * MANY}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "validation.json").write_text(json.dumps(raw | dict.fromkeys(("top1", "top5", "loss", "macro_f1"), 0.9)))
    scores = read_scores(RunFolder(tmp_path))
    assert scores.confusion.shape == (MOST_CONFUSED, MOST_CONFUSED) and scores.num_mistakes == 3
    row, column = scores.confused.index(70), scores.confused.index(9_000)
    assert scores.confusion[row, column] == 2 and {70, 71, 9_000} <= {*scores.confused}
    panel = ConfusionPanel()
    qtbot.addWidget(panel)
    panel.resize(420, 420)
    panel.show_scores(scores, None)
    panel.show()
    assert panel._label.text() == "3 wrong, the 200 most confused of 10,000 classes"
    picture = panel.matrix.picture
    assert picture.isVisible() and "species 00070 called species 09000: 2 images, 100" in panel.matrix.model.sentence(row, column)
    for key in [Qt.Key.Key_Down] * row + [Qt.Key.Key_Right] * column:
        qtbot.keyClick(picture, key)
    with qtbot.waitSignal(panel.cell_chosen) as chosen:
        qtbot.keyClick(picture, Qt.Key.Key_Return)
    assert chosen.args == [(70, 9_000)], "by class, not by place"
    panel.show_scores(scores, (70, 9_000))
    assert picture.chosen_cell == (row, column)
    panel.set_view("classes")
    assert panel.classes.model().rowCount() == MANY
