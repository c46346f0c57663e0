"""Synthetic folders on the Data page: marked, mixed in a share, counted apart here and in the results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.core.experiment import Data, Experiment
from studio.dataset.scan import scan
from studio.gui.monitor import RunUpdate
from studio.gui.pages.data.synthetic import SyntheticRow, marked
from studio.gui.pages.results.details import facts
from studio.gui.pages.results.notes import Notes
from studio.gui.pages.results.rows import RunRow
from tests.builders import build_dataset, build_run
from tests.gui.augment_desk import make_images


@pytest.fixture
def images(tmp_path):
    make_images(tmp_path / "renders", {"cat": 5, "dog": 7})
    return make_images(tmp_path / "pets", {"cat": 20, "dog": 20})


@pytest.fixture
def row(context, images, qtbot):
    context.store.reset_to(Experiment().changed({"data.source": str(images)}))
    context.scan.cancel()
    made = SyntheticRow(context)
    qtbot.addWidget(made)
    return made


def show(row: SyntheticRow, context) -> None:
    data = context.store.experiment.data
    row.show_state(scan(data), data)


def test_a_marked_folder_is_counted_apart_and_only_trains(row, context, images):
    show(row, context)
    assert row.isHidden()
    row.add(str(images.parent / "renders"))
    dataset = scan(context.store.experiment.data)
    assert len(dataset.samples) == 40 and len(dataset.synthetic) == 12
    show(row, context)
    used = dataset.epoch_size(0.3) - len(dataset.part("train"))
    assert not row.isHidden() and row.words.text() == f"Synthetic: 12 images, {used} per epoch"
    assert "cat: 5" in row.toolTip() and "dog: 7" in row.toolTip()
    context.store.undo()
    assert context.store.experiment.data.synthetic == ()


def test_the_share_is_a_slider_and_a_drag_one_step(row, context, images):
    row.add(str(images.parent / "renders"))
    show(row, context)
    row.slider.drag_started.emit()
    for share in (0.4, 0.5):
        row.slider.set_number(share)
        row.slider.value_changed.emit(share)
    row.slider.drag_ended.emit()
    assert context.store.experiment.data.synthetic_fraction == 0.5 and "50" in context.store.undo_label
    context.store.undo()
    assert context.store.experiment.data.synthetic_fraction == 0.3


def test_a_folder_inside_the_source_is_kept_by_its_path_there(tmp_path):
    data = Data(source=str(tmp_path))
    assert marked(data, str(tmp_path / "made" / "a")) == ("made/a",)
    assert marked(data, str(tmp_path.parent / "b")) == (str(tmp_path.parent / "b"),)
    assert marked(Data(source=str(tmp_path), synthetic=("made/a",)), str(tmp_path / "made" / "a")) == ("made/a",)


def test_folders_are_taken_off_in_the_menu(row, context, images):
    row.add(str(images.parent / "renders"))
    row.menu().actions()[-1].trigger()
    assert context.store.experiment.data.synthetic == ()


def test_the_results_show_how_many_made_images_a_run_saw(context, tmp_path):
    folder = build_run(tmp_path / "runs", build_dataset(tmp_path / "images", num_train=4, num_validation=2))
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), folder.is_alive()),))
    entry = context.runs.entries[0]
    assert all(label != "Synthetic" for label, _ in facts(RunRow(entry, Notes())))
    entry.state = replace(entry.state, description=replace(entry.state.description, num_synthetic=12, num_synthetic_per_epoch=15))
    assert ("Synthetic", "12 images, 15 per epoch") in facts(RunRow(entry, Notes()))
