"""Reading the images in the background: whatever happens, it ends with images or with a reason."""

from __future__ import annotations

from tests.builders import build_dataset


def test_a_fault_in_reading_the_images_is_a_reason_with_its_trace_in_the_log(context, qtbot, tmp_path, monkeypatch, studio_home):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("made for this test")

    monkeypatch.setattr("studio.dataset.scan.scan", broken)
    build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.projects.open_data(str(tmp_path / "images"))
    qtbot.waitUntil(lambda: context.scan.error is not None and not context.scan.is_running, timeout=5000)
    assert context.runs.reason_not_to_train().startswith("Reading the images did not work (ZeroDivisionError).")
    assert "made for this test" in (studio_home / "state" / "logs" / "window.log").read_text()


def test_images_are_ready_when_they_were_read_with_the_last_edit(context, qtbot, tmp_path):
    dataset = build_dataset(tmp_path / "images", num_train=6, num_validation=2)
    context.projects.open_data(str(tmp_path / "images"))
    qtbot.waitUntil(lambda: context.runs.reason_not_to_train() == "", timeout=10_000)
    first = dataset.samples[0].id
    context.store.set({"data.left_out": [first]})
    assert context.runs.reason_not_to_train() == "The images are still being read."
    qtbot.waitUntil(lambda: context.runs.reason_not_to_train() == "", timeout=10_000)
    assert first not in {s.id for s in context.store.dataset.samples}


def test_few_images_take_a_smaller_batch_and_undo_takes_it_back(context, qtbot, tmp_path):
    build_dataset(tmp_path / "images", num_train=3, num_validation=1)
    context.projects.open_data(str(tmp_path / "images"))
    qtbot.waitUntil(lambda: context.store.dataset is not None and context.store.undo_label == "fit the batch to the images")
    num_train = len(context.store.dataset.part("train"))
    assert num_train // 2 < context.store.experiment.training.batch_size <= num_train < 32
    context.store.undo()
    assert context.store.experiment.training.batch_size == 32
