"""The Use page: one picture, a whole folder, and exports that are believed only when they answer the same."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import build_dataset, build_run
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QFileDialog

from studio.core.outcome import Status
from studio.core.path_text import path_to_text, text_to_path
from studio.core.place import runs_dir
from studio.core.predictions import read_predictions
from studio.core.reading import Reading
from studio.core.reliability import measure
from studio.core.run_folder import RunFolder
from studio.core.unsure import unsure_of
from studio.gui.context import make_context
from studio.gui.monitor import RunUpdate
from studio.gui.pages.use.code import sample_code
from studio.gui.pages.use.export import report_words
from studio.gui.pages.use.folder import UNREADABLE, UNSURE
from studio.gui.pages.use.folder_work import PART
from studio.gui.pages.use.page import UsePage
from studio.gui.run_entry import RunEntry
from studio.gui.testing import FakeEngines, FakeWorker
from studio.supervise.worker import WorkerError

CLASSES = ["boot", "<img src=x>", "hat"]


class Probe(FakeWorker):
    """Answers predictions from the name of the file, writes a heat map, and keeps the calls of exports open."""

    def __init__(self):
        super().__init__()
        self.held: dict[str, tuple] = {}
        self.cancelled: list[int] = []
        self.answer("predict", self._predict)
        self.answer("predict_folder", self._predict)
        self.answer("explain", self._explain)

    def call(self, method, params, on_result, on_error=None, on_progress=None, *, key=None) -> int:
        self.held[method] = (on_result, on_error, on_progress)
        return super().call(method, params, on_result, on_error, on_progress, key=key)

    def cancel(self, request: int) -> None:
        self.cancelled.append(request)

    def _predict(self, params: dict) -> dict:
        rows = []
        for text in params["paths"]:
            stem = Path(text_to_path(text)).stem
            if "broken" in stem:
                rows.append({"path": text, "top": [], "reason": "the file is cut short"})
            else:
                share = 0.4 if "unsure" in stem else 0.9
                best = sum(map(ord, stem)) % 3
                rows.append({"path": text, "top": [[best, share], [(best + 1) % 3, 0.95 - share]], "reason": ""})
        return {"classes": CLASSES, "predictions": rows}

    def _explain(self, params: dict) -> dict:
        size = {"width": 8, "height": 8}
        return {
            "heat": {"content": np.linspace(0, 1, 64, dtype=np.float32).tobytes(), **size},
            "image": {"content": bytes(8 * 8 * 3), **size},
            "box": [0, 0, 24],
            "size": [24, 24],
            "class_index": 0,
        }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"), num_train=4, num_validation=3)


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def context(qtbot, theme, probe):
    made = make_context(preview=FakeWorker(), probe=probe, engines=FakeEngines())
    yield made
    made.close()


@pytest.fixture
def page(qtbot, context, dataset) -> UsePage:
    for nickname, skill in (("weak-wren", 0.5), ("best-bee", 0.97)):
        build_run(runs_dir(), dataset, nickname=nickname, skill=skill)
    build_run(runs_dir(), dataset, Status.QUEUED, nickname="queued-quail")
    folders = sorted(runs_dir().iterdir())
    runs = [RunFolder(f) for f in folders]
    context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), f.is_alive()) for f in runs))
    made = UsePage(context)
    qtbot.addWidget(made)
    made.resize(1100, 790)
    made.show()
    return made


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder with 40 pictures, two of them unsure to the network, one broken, one with a name that is not UTF-8."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    image = QImage(24, 24, QImage.Format.Format_RGB888)
    image.fill(Qt.GlobalColor.darkCyan)
    names = [f"a{i:02}.png" for i in range(36)] + ["unsure1.png", "sub/unsure2.png", "broken.png"]
    for name in names:
        assert image.save(str(folder / name))
    odd = Path(str(folder) + "/odd\udcff.png")
    odd.write_bytes((folder / "a00.png").read_bytes())
    return folder


def wait_for_folder(qtbot, page: UsePage, state: str = "done") -> None:
    qtbot.waitUntil(lambda: page.folder_panel.work.state == state)


# The model


def test_without_a_finished_epoch_the_page_says_what_is_needed(qtbot, context):
    page = UsePage(context)
    qtbot.addWidget(page)
    page.show()
    assert page.empty.isVisibleTo(page) and not page.picker.isVisibleTo(page)
    assert not page.accept_drop(["/tmp"])
    assert page.empty.hint_label.text() == "Open a folder of images first (Ctrl O)." and page.empty.action_button.isHidden()
    with qtbot.waitSignal(context.shell.folder_requested):
        page.empty.open_button.click()


def test_where_images_are_there_train_is_offered_as_soon_as_it_can_work(qtbot, context, dataset):
    page = UsePage(context)
    qtbot.addWidget(page)
    page.show()
    context.store.set({"data.source": dataset.root})
    empty = page.empty
    assert empty.open_button.isHidden() and not empty.action_button.isEnabled() and "still being read" in empty.hint_label.text()
    context.store.set_dataset(dataset)
    assert not empty.action_button.isEnabled() and "larger than the 24 training images" in empty.hint_label.text()
    context.store.set({"training.batch_size": 8})
    assert empty.action_button.isEnabled() and "as soon as its first epoch is done" in empty.hint_label.text()
    empty.action_button.click()
    qtbot.waitUntil(lambda: context.runs.active is not None)


def test_runs_with_a_checkpoint_are_offered_the_best_first(page):
    assert [page.picker.itemText(i).partition(" · ")[0] for i in range(page.picker.count())] == ["★ run 1, best-bee", "run 3, weak-wren"]
    assert page.entry.folder.nickname == "best-bee"


def test_before_the_first_picture_all_the_room_says_what_to_do_and_there_is_no_heat_map_to_set(qtbot, page, pictures):
    panel = page.try_panel
    assert panel.drop_place.isVisible() and panel.drop_place.width() > 0.9 * panel.width()
    assert "Ctrl V" in panel.drop_place.empty.hint_label.text() and panel.drop_place.empty.action_button.isVisible()
    assert not panel.opacity_slider.isVisible() and not panel.answer.isVisible() and not panel.open_button.isVisible()
    panel.try_path(str(pictures / "a01.png"))
    assert panel.opacity_slider.isVisible() and panel.answer.isVisible() and panel.open_button.isVisible()
    assert not panel.drop_place.isVisible()
    panel.try_path(str(pictures / "broken.png"))
    qtbot.waitUntil(lambda: "cut short" in panel.answer.note_label.text())
    assert not panel.opacity_slider.isVisible()


def test_the_place_for_a_first_picture_takes_pictures_and_leaves_folders_to_the_window(page, pictures):
    place = page.try_panel.drop_place

    def drag(path: Path, kind=QDragEnterEvent):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path))])
        at = QPoint(20, 20) if kind is QDragEnterEvent else QPointF(20, 20)
        event = kind(at, Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
        event.setAccepted(False)
        (place.dragEnterEvent if kind is QDragEnterEvent else place.dropEvent)(event)
        return event.isAccepted()

    assert not drag(pictures) and drag(pictures / "a01.png")
    assert drag(pictures / "a01.png", QDropEvent) and page.try_panel.recent == [str(pictures / "a01.png")]


def test_another_model_answers_anew_for_the_picture_that_is_shown(qtbot, page, probe, pictures):
    page.try_panel.try_path(str(pictures / "a01.png"))
    page._on_run_chosen(page.picker._values[1])
    page.picker.set_value(page.picker._values[1])
    page._refresh_model()
    asked = [p for m, p in probe.calls if m == "predict"]
    assert asked[-1]["run"].endswith("weak-wren") and asked[-1]["which"] == "best"
    page.epoch_choice._group.button(1).click()
    assert [p for m, p in probe.calls if m == "predict"][-1]["which"] == "last"


def take(context, dataset, nickname: str, skill: float = 0.9) -> None:
    """A run comes to an end, or back from the bin."""
    folder = next(runs_dir().glob(f"*_{nickname}"), None)
    run = RunFolder(folder) if folder else build_run(runs_dir(), dataset, nickname=nickname, skill=skill)
    context.runs.take((RunUpdate(run, run.read_state(), run.experiment()),))


@pytest.mark.parametrize("use", ["nothing", "try", "folder", "export"])
def test_a_new_best_run_takes_over_only_where_nothing_was_asked_of_the_one_before(page, context, dataset, probe, pictures, use):
    context.runs.monitor.removed.emit((page.entry.folder,))
    card = page.export_column.cards["onnx"]
    match use:
        case "try":
            page.try_panel.try_path(str(pictures / "a01.png"))
        case "folder":
            page.folder_panel.predict(str(pictures))
        case "export":
            card.export_button.click()
            dialog = card.findChild(QFileDialog)
            dialog.fileSelected.emit(str(pictures / "out"))
            dialog.reject()
    take(context, dataset, "best-bee")
    assert page.picker.itemText(0).startswith("★") and "best-bee" in page.picker.itemText(0)
    assert page.entry.folder.nickname == ("best-bee" if use == "nothing" else "weak-wren")
    assert not probe.cancelled and card.stop_button.isVisible() == (use == "export")
    page.show_argument(context.runs.entry("best-bee"))
    assert page.entry.folder.nickname == "best-bee"
    assert card.outcome_label.text() == ("Stopped." if use == "export" else "")


def test_answers_of_a_run_that_goes_stay_and_it_is_said_which_one_is_in_use(qtbot, page, context, dataset, probe, pictures):
    panel = page.folder_panel
    panel.predict(str(pictures))
    wait_for_folder(qtbot, page)
    asked = len(probe.calls)
    context.runs.monitor.removed.emit((page.entry.folder,))
    assert page.entry.folder.nickname == "weak-wren"
    assert page.banner.title_label.text() == "Run 1 is gone. Run 3 is in use." and page.banner.isVisible()
    take(context, dataset, "new-newt")
    assert page.entry.folder.nickname == "weak-wren", "one change is enough"
    assert panel.problem_label.text() == "Run 1 is gone. These are its answers." and panel.model.rowCount() == 40
    take(context, dataset, "best-bee")
    assert page.entry.folder.nickname == "best-bee" and page.banner.isHidden() and panel.problem_label.isHidden()
    assert panel.model.rowCount() == 40 and len(probe.calls) == asked


def test_a_folder_that_lost_its_run_half_way_goes_on_only_when_that_comes_back(qtbot, page, context, dataset, probe, pictures):
    panel, work = page.folder_panel, page.folder_panel.work

    def answer_once(params: dict) -> dict:
        probe._answers.pop("predict_folder")
        return probe._predict(params)

    probe.answer("predict_folder", answer_once)
    panel.predict(str(pictures))
    qtbot.waitUntil(lambda: len(work.rows) == PART)
    context.runs.monitor.removed.emit((page.entry.folder,))
    assert work.state == "stopped" and len(probe.cancelled) == 1 and panel.resume_button.isHidden()
    probe.answer("predict_folder", answer_once)
    page.epoch_choice._group.button(1).click()
    assert work.rows == [] and panel.problem_label.isHidden(), "asked for, another network begins anew"
    qtbot.waitUntil(lambda: len(work.rows) == PART)
    take(context, dataset, "best-bee")
    assert page.entry.folder.nickname == "weak-wren" and len(work.rows) == PART
    context.runs.monitor.removed.emit((page.entry.folder,))
    assert page.entry.folder.nickname == "best-bee" and panel.resume_button.isHidden()
    take(context, dataset, "weak-wren")
    panel.resume_button.click()
    assert work.state == "predicting" and len(work.rows) == PART and probe.calls[-1][1]["run"].endswith("weak-wren")


def test_a_run_that_stands_too_far_down_for_the_list_is_shown_when_it_is_asked_for(page, context, monkeypatch):
    monkeypatch.setattr("studio.gui.pages.use.page.MOST_RUNS", 1)
    page._refresh_runs()
    assert page.picker.count() == 1
    page.show_argument(context.runs.entry("weak-wren"))
    assert page.entry.folder.nickname == "weak-wren" and page.picker.value == page.entry.folder.name and page.picker.count() == 2


def test_a_run_that_cannot_be_used_is_not_shown_as_another_one(page, context):
    weak, best = context.runs.entry("weak-wren"), page.entry
    shutil.rmtree(weak.folder.checkpoints_path)
    for entry, reason in (
        (weak, "The checkpoint of run 3 is gone."),
        (context.runs.entry("queued-quail"), "Run 2 has no finished epoch yet."),
        (RunEntry(weak.folder, 9), "Run 9 is gone."),
    ):
        page.show_argument(entry)
        assert page.banner.isVisible() and page.banner.title_label.text() == f"{reason} Run 1 is in use."
    page.show_argument(best)
    assert page.banner.isHidden() and page.entry is best
    page.show_argument(weak)
    page.resize(798, 556)  # what a window of 1100 x 660 leaves, with the run bar
    assert page.size().toTuple() == (798, 556)


# Try


def test_a_dropped_picture_is_shown_answered_and_explained(qtbot, page, probe, pictures):
    path = str(pictures / "a01.png")
    assert page.accept_drop([path])
    qtbot.waitUntil(lambda: page.try_panel.picture.has_heat)
    answer = page.try_panel.answer
    assert answer.share_label.text() == "90.0\xa0%" and not answer.unsure_tag.isVisibleTo(page)
    assert answer.bars.accessibleName().count("%") == 2
    qtbot.waitUntil(lambda: "24 × 24" in page.try_panel.picture.accessibleName())


def test_the_picture_is_shown_as_the_run_reads_it_that_answers(qtbot, page, tmp_path):
    Image.fromarray(np.full((24, 24), 2000, np.uint16)).save(tmp_path / "deep.png")
    panel = page.try_panel

    def level() -> int:
        picture = panel.picture._picture
        return picture.image.pixelColor(9, 9).red() if picture else -1

    panel.try_path(str(tmp_path / "deep.png"))
    qtbot.waitUntil(lambda: 0 <= level() < 20)
    panel.set_model(replace(panel._model, reading=Reading(white=4095)))
    qtbot.waitUntil(lambda: 110 < level() < 140)


def test_names_of_classes_are_shown_as_they_are(qtbot, page, pictures):
    path = next(str(p) for p in sorted(pictures.glob("a*.png")) if sum(map(ord, p.stem)) % 3 == 1)
    page.try_panel.try_path(path)
    qtbot.waitUntil(lambda: page.try_panel.answer.name_label.text() == "<img src=x>")
    assert page.try_panel.answer.name_label.textFormat() == Qt.TextFormat.PlainText


def test_below_the_threshold_the_answer_is_unsure(qtbot, page, pictures):
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: page.try_panel.answer.bars.isVisibleTo(page))
    page.threshold_slider.setValue(950)
    assert page.try_panel.answer.unsure_tag.isVisibleTo(page) and page.threshold_value.text() == "95\xa0%"
    assert page.context.settings.number("use/unsure_below", 0) == pytest.approx(0.95)


def test_without_a_choice_of_the_users_own_unsure_begins_where_95_percent_of_the_answers_are_right(qtbot, page):
    page.show_argument(next(e for e in page._entries if e.folder.nickname == "weak-wren"))
    answers = read_predictions(page.entry.folder)
    curve = measure(answers.labels, answers.log_p, answers.losses).answered
    expected = max(0.5, curve.confidence_for(0.95) or 0)
    assert unsure_of(page.entry.folder).below == expected, "the command line has the same"
    qtbot.waitUntil(lambda: "95" in page.threshold_slider.toolTip() and page._threshold == expected)
    page.threshold_slider.setValue(720)
    page._refresh_model()
    assert page._threshold == 0.72
    qtbot.mouseDClick(page.threshold_slider, Qt.MouseButton.LeftButton)
    assert page._threshold == expected, "not rounded: 99.7 % must not become 100 %"


def test_a_late_answer_for_an_earlier_picture_is_dropped(qtbot, page, probe, pictures):
    page.try_panel.try_path(str(pictures / "a01.png"))
    late = probe.held["predict"][0]
    page.try_panel.try_path(str(pictures / "broken.png"))
    qtbot.waitUntil(lambda: "cut short" in page.try_panel.answer.note_label.text())
    late(probe._predict({"paths": [path_to_text(str(pictures / "a01.png"))]}))
    assert "cut short" in page.try_panel.answer.note_label.text()


@pytest.mark.parametrize("method", ["predict", "explain"])
def test_an_answer_after_the_last_run_has_gone_is_dropped(qtbot, page, probe, pictures, method):
    answer = probe._answers.pop(method)
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: probe.calls[-1][0] == method)
    params, request = probe.calls[-1][1], len(probe.calls)
    page.context.runs.monitor.removed.emit(tuple(entry.folder for entry in page.context.runs.entries))
    assert page.empty.isVisible() and page.try_panel.spinner.isHidden() and probe.cancelled == [request]
    probe.held[method][0](answer(params))
    assert page.try_panel.spinner.isHidden() and len(probe.calls) == request and not page.try_panel.picture.has_heat


def test_where_it_looked_can_be_asked_for_another_class(qtbot, page, probe, pictures):
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: page.try_panel.picture.has_heat)
    second = page.try_panel._indices[1]
    page.try_panel.look_choice._group.button(1).click()
    assert [p for m, p in probe.calls if m == "explain"][-1]["class_index"] == second


def test_a_network_that_cannot_be_explained_still_answers(qtbot, page, probe, pictures):
    probe.answer("explain", WorkerError("This network has no feature map."))
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: not page.try_panel.spinner.isVisibleTo(page))
    assert page.try_panel.answer.bars.isVisibleTo(page) and not page.try_panel.picture.has_heat


def test_a_worker_that_fails_says_so_in_place_of_an_answer(qtbot, page, probe, pictures):
    probe.answer("predict", WorkerError("The checkpoint is damaged.", "Use the last epoch."))
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: page.try_panel.answer.note_label.text() == "The checkpoint is damaged. Use the last epoch.")


def test_a_copied_picture_and_a_copied_file_can_be_pasted(qtbot, page, pictures):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(pictures / "a02.png"))])
    QGuiApplication.clipboard().setMimeData(mime)
    assert page.try_panel.paste() and page.try_panel.recent[0].endswith("a02.png")
    image = QImage(30, 20, QImage.Format.Format_RGB888)
    image.fill(Qt.GlobalColor.red)
    QGuiApplication.clipboard().setImage(image)
    assert page.try_panel.paste()
    qtbot.waitUntil(lambda: "pasted-" in page.try_panel.recent[0])
    QGuiApplication.clipboard().setText("words")
    assert not page.try_panel.paste()


# Folder


def test_a_folder_is_predicted_in_parts_and_its_counts_filter(qtbot, page, probe, pictures):
    page.accept_drop([str(pictures)])
    wait_for_folder(qtbot, page)
    panel = page.folder_panel
    asked = [len(p["paths"]) for m, p in probe.calls if m == "predict_folder"]
    assert asked == [PART, 40 - PART] and panel.model.rowCount() == 40
    counts = {name: number for _, name, number in panel.filters._entries}
    assert counts["All"] == 40 and counts["unsure"] == 2 and counts["not readable"] == 1
    assert sum(counts.values()) == 80
    panel.filters._take(UNSURE)
    assert {r.id for r in panel.model.rows} == {"unsure1.png", "sub/unsure2.png"}
    panel.filters._take(UNREADABLE)
    assert [panel.model.data(panel.model.index(0, c)) for c in (1, 2, 4)] == ["broken.png", "cannot be read", "the file is cut short"]
    page.threshold_slider.setValue(300)
    assert "unsure" not in {name for _, name, _ in panel.filters._entries}


def test_stopping_keeps_what_is_there_and_going_on_ends_it(qtbot, page, probe, pictures):
    probe._answers.pop("predict_folder")
    panel = page.folder_panel
    panel.predict(str(pictures))
    wait_for_folder(qtbot, page, "predicting")
    panel.stop_button.click()
    assert panel.work.state == "stopped" and len(probe.cancelled) == 1
    late = probe.held["predict_folder"][0]
    late(probe._predict({"paths": [path_to_text(str(pictures / "a01.png"))] * PART}))
    assert panel.work.rows == []
    probe.answer("predict_folder", probe._predict)
    assert panel.resume_button.isVisibleTo(page)
    panel.resume_button.click()
    wait_for_folder(qtbot, page)
    assert len(panel.work.rows) == 40


def test_a_folder_without_images_says_so(qtbot, page, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    page.folder_panel.predict(str(empty))
    wait_for_folder(qtbot, page, "failed")
    assert page.folder_panel.problem_label.text() == f"There are no images in {empty}."
    page.folder_panel.predict(str(tmp_path / "gone"))
    qtbot.waitUntil(lambda: "No such file" in page.folder_panel.problem_label.text())


def test_the_table_is_saved_with_every_file_whatever_is_filtered(qtbot, page, pictures, tmp_path):
    page.folder_panel.predict(str(pictures))
    wait_for_folder(qtbot, page)
    page.folder_panel.filters._take(UNSURE)
    with qtbot.waitSignal(page.context.shell.toast_requested) as toast:
        page.folder_panel.save(str(tmp_path / "out.csv"))
    assert toast.args[0].startswith("40 predictions saved")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as f:
        rows = {row["file"]: row for row in csv.DictReader(f)}
    assert len(rows) == 40 and rows["odd\\xFF.png"]["confidence"] == "0.9000"
    assert rows["unsure1.png"]["unsure"] == "yes" and rows["broken.png"]["problem"] == "the file is cut short"
    with qtbot.waitSignal(page.context.shell.toast_requested) as toast:
        page.folder_panel.save(str(tmp_path / "no" / "such" / "out.csv"))
    assert toast.args[0] == "“out.csv” cannot be written: No such file or directory. Choose another place."


def test_enter_on_a_row_shows_the_picture_above(qtbot, page, pictures):
    page.folder_panel.predict(str(pictures))
    wait_for_folder(qtbot, page)
    page.folder_panel.table.setCurrentIndex(page.folder_panel.model.index(3, 1))
    qtbot.keyClick(page.folder_panel.table, Qt.Key.Key_Return)
    assert page.try_panel.recent[0] == page.folder_panel.model.rows[3].path


# Export


def report(**more) -> dict:
    return {
        "format": "onnx", "folder": "/tmp/x", "main_file": "model.onnx", "num_bytes": 14_000_000, "num_images": 64, "are_real_images": True,
        "agreement": 1.0, "max_difference": 3.1e-5, "is_good": True, "facts": {},
    } | more  # fmt: skip


def test_an_export_reports_progress_and_how_well_it_agrees(page, probe, tmp_path):
    card = page.export_column.cards["onnx"]
    card.export_to(str(tmp_path / "out"))
    method, params = probe.calls[-1]
    assert method == "export" and params["format"] == "onnx" and params["destination"] == path_to_text(str(tmp_path / "out"))
    on_result, _, on_progress = probe.held["export"]
    on_progress(1, 4, "Writing ONNX")
    assert card.outcome_label.text() == "Writing ONNX…" and card.stop_button.isVisibleTo(page)
    on_result(report(folder=path_to_text(str(tmp_path / "out"))))
    assert card.outcome_label.text() == "64 of 64 images agree, largest difference 3.1e-5"
    assert card.size_label.text() == "14.0\xa0MB" and card.show_button.isVisibleTo(page)
    assert repr(str(tmp_path / "out")) in page.export_column.code.code.toPlainText()


def test_an_export_that_answers_differently_is_not_offered(page, probe, tmp_path):
    card = page.export_column.cards["safetensors"]
    card.export_to(str(tmp_path / "out"))
    probe.held["export"][0](report(agreement=0.5, max_difference=0.3, is_good=False))
    assert card.outcome_label.text().startswith("32 of 64 images agree, largest difference 0.3. It answers differently")
    assert card.outcome_label.property("tone") == "bad"
    card.export_to(str(tmp_path / "out"))
    probe.held["export"][1](WorkerError("The disk is full.", "Free some space."))
    assert card.outcome_label.text() == "The disk is full. Free some space."


def test_a_stopped_export_says_that_nothing_was_written(page, probe, tmp_path):
    card = page.export_column.cards["onnx"]
    card.export_to(str(tmp_path / "out"))
    card.stop_button.click()
    assert len(probe.cancelled) == 1 and card.outcome_label.text() == "Stopped."
    assert card.export_button.isVisibleTo(page)


def test_the_folder_is_asked_for_no_longer_when_the_last_run_goes(page, context, probe, tmp_path):
    said = []
    context.shell.toast_requested.connect(lambda *words: said.append(words[0]))
    card = page.export_column.cards["onnx"]
    card.export_button.click()
    dialog = card.findChild(QFileDialog)
    context.runs.monitor.removed.emit(tuple(entry.folder for entry in context.runs.finished))
    assert not dialog.isVisible() and not card.export_button.isEnabled() and page.empty.isVisibleTo(page)
    assert len(said) == 1 and said[0].startswith("Nothing was exported")
    assert "export" not in {method for method, _ in probe.calls}


def test_random_pictures_are_called_so():
    assert report_words(report(are_real_images=False, num_images=16)) == "16 of 16 random pictures agree, largest difference 3.1e-5"


@pytest.mark.parametrize("key", ["onnx", "safetensors"])
def test_the_code_sample_is_python_and_survives_odd_folder_names(key):
    folder = "C:\\new \"folder\"\n'x'"
    code = sample_code(key, folder)
    compile(code, key, "exec")
    names: dict = {}
    exec(next(line for line in code.splitlines() if line.startswith("folder = ")), names)  # noqa: S102
    assert names["folder"] == folder
    assert max(len(line) for line in sample_code(key).splitlines()) <= 48  # fits the panel


# The frame


def test_the_page_fits_the_least_window_and_every_control_has_a_name(qtbot, page, pictures):
    page.try_panel.try_path(str(pictures / "a01.png"))
    qtbot.waitUntil(lambda: page.try_panel.picture.has_heat)
    page.resize(798, 556)  # what a window of 1100 x 660 leaves, with the run bar
    qtbot.waitUntil(lambda: page.minimumSizeHint().width() <= 798 and page.minimumSizeHint().height() <= 556)
    page.resize(798, 556)
    assert page.size().toTuple() == (798, 556)
    folder = pictures.with_name("pictures that somebody has given a very long name")
    pictures.rename(folder)
    page.folder_panel.predict(str(folder))
    wait_for_folder(qtbot, page)
    for state in ("done", "predicting", "stopped"):
        page.folder_panel.work.state = state
        page.folder_panel.work.changed.emit()
        qtbot.waitUntil(lambda: page.minimumSizeHint().width() <= 798 and page.minimumSizeHint().height() <= 556)
        qtbot.waitUntil(lambda: page.folder_panel.rate_label.width() >= 60)
    for kind in (QAbstractButton, QAbstractSlider):
        for control in page.findChildren(kind):
            if control.isVisibleTo(page) and type(control).__name__ not in ("QScrollBar", "QTableCornerButton"):
                assert control.accessibleName(), (control.objectName(), type(control))


def test_both_themes_draw(qtbot, page, theme, pictures):
    page.folder_panel.predict(str(pictures))
    wait_for_folder(qtbot, page)
    for choice in ("light", "dark"):
        theme.set_choice(choice)
        assert not page.grab().isNull()
