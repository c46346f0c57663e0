"""The Train page draws what the journal says: all of it, live or later, and plainly when a run went wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from builders import build_dataset, build_run
from PySide6.QtCore import QElapsedTimer, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from studio.catalog.schedules import head_lr
from studio.core import event as ev
from studio.core.curve import Curve
from studio.core.experiment import Experiment
from studio.core.fold import RunState, fold
from studio.core.journal import JournalWriter
from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.core.run_folder import RunFolder, create_run
from studio.gui.context import make_context
from studio.gui.icon import icon
from studio.gui.monitor import RunUpdate
from studio.gui.pages.train.batch import tiles_of
from studio.gui.pages.train.charts import Shown, TrainCharts, positions
from studio.gui.pages.train.events import ICONS
from studio.gui.pages.train.figures import run_figures
from studio.gui.pages.train.page import TrainPage
from studio.gui.recorded import Recording, held_alive, recorded_events
from studio.gui.testing import FakeEngines, FakeWorker
from studio.supervise.engine import command_elsewhere


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture
def open_page(qtbot, context):
    """open_page(folders) shows the page in front with these runs known."""

    def make(*folders, size=(1120, 800)) -> TrainPage:
        context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), f.is_alive()) for f in folders))
        page = TrainPage(context)
        qtbot.addWidget(page)
        page.resize(*size)
        page.show()
        page.activate()
        return page

    return make


def losses_of(events) -> np.ndarray:
    return np.concatenate([e.losses for e in events if isinstance(e, ev.StepsReported)])


# Every point


def test_every_point_of_a_replayed_journal_arrives_in_the_curves(qtbot, context, dataset):
    folder = build_run(runs_dir(), dataset, Status.RUNNING)
    whole = folder.journal_path.read_bytes().splitlines(keepends=True)
    expected = losses_of(ev.decode(line) for line in whole)
    folder.journal_path.write_bytes(b"".join(whole[:6]))
    with held_alive(folder):
        context.runs.start()
        page = TrainPage(context)
        qtbot.addWidget(page)
        page.show()
        page.activate()
        for start in range(6, len(whole), 5):
            with open(folder.journal_path, "ab") as journal:
                journal.write(b"".join(whole[start : start + 5]))
            qtbot.wait(10)
        qtbot.waitUntil(lambda: len(page.charts.loss.curve_data("train.raw")[1]) == len(expected), timeout=8000)
        x, y = page.charts.loss.curve_data("train.raw")
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_allclose(x, np.arange(1, len(expected) + 1) / page.entry.state.description.steps_per_epoch)
        assert len(page.charts.loss.curve_data("validation")[0]) == len(page.entry.state.epochs) == 3


def test_a_window_opened_later_on_a_live_run_shows_all_earlier_points_and_goes_on(qtbot, context, dataset):
    folder = build_run(runs_dir(), dataset, Status.RUNNING)
    whole = folder.journal_path.read_bytes().splitlines(keepends=True)
    half = len(whole) // 2
    folder.journal_path.write_bytes(b"".join(whole[:half]))
    with held_alive(folder):
        later = make_context(preview=FakeWorker(), probe=FakeWorker(), engines=FakeEngines())
        later.runs.start()
        page = TrainPage(later)
        qtbot.addWidget(page)
        page.show()
        page.activate()
        before = losses_of(ev.decode(line) for line in whole[:half])
        qtbot.waitUntil(lambda: page.entry is not None and len(page.charts.loss.curve_data("train.raw")[1]) == len(before), timeout=8000)
        np.testing.assert_array_equal(page.charts.loss.curve_data("train.raw")[1], before)
        with open(folder.journal_path, "ab") as journal:
            journal.write(b"".join(whole[half:]))
        every = losses_of(ev.decode(line) for line in whole)
        qtbot.waitUntil(lambda: len(page.charts.loss.curve_data("train.raw")[1]) == len(every), timeout=8000)
        np.testing.assert_array_equal(page.charts.loss.curve_data("train.raw")[1], every)
        later.close()


def test_a_curve_of_many_steps_is_drawn_with_few_points_that_keep_its_extremes(qtbot, theme, dataset):
    rng = np.random.default_rng(0)
    y = rng.gamma(2, 1, 120_000)
    y[77_777] = 99.0
    steps = Curve().extended(np.arange(len(y)), y)
    described = next(e for e in recorded_events(Recording(status=Status.RUNNING), dataset) if isinstance(e, ev.RunDescribed))
    described = replace(described, steps_per_epoch=15_000)  # of 8 epochs
    state = RunState(
        status=Status.FINISHED,
        description=described,
        step=len(y),
        train_loss=steps,
        train_top1=steps,
        lr=steps,
        grad_norm=steps,
        step_time=steps,
    )
    charts = TrainCharts()
    for plot in charts.plots:
        qtbot.addWidget(plot)
        plot.resize(600, 300)
        plot.show()
    charts.set_run(Shown("run", Experiment(), state))
    charts.redraw()
    assert len(charts.loss.curve_data("train.raw")[1]) == len(y)
    x, lows, highs = charts.loss.curve_seen("train.raw")
    assert len(x) <= charts.loss.view.width() + 2
    assert np.nanmax(highs) == pytest.approx(np.log10(99.0)) and np.nanmin(lows) == pytest.approx(np.log10(y.min()))
    charts.loss.view.setXRange(5.1, 5.11, padding=0)  # zoomed in to 150 steps, each of them is drawn
    zoomed = charts.loss.curve_seen("train.raw")[0]
    assert 150 <= len(zoomed) <= 154 and zoomed.min() >= 5.09 and zoomed.max() <= 5.12


def test_redraws_stay_at_ten_a_second_whatever_the_rate_of_news(qtbot, open_page, dataset, monkeypatch):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    count = []
    monkeypatch.setattr(page.charts, "draw", count.append)
    clock = QElapsedTimer()
    clock.start()
    while clock.elapsed() < 600 or (len(set(count)) < 4 and clock.elapsed() < 20_000):
        page.runs.state_changed.emit(page.entry)
        qtbot.wait(5)
    each = [count.count(i) for i in range(4)]
    assert min(each) >= 1 and max(each) <= 1 + clock.elapsed() / 100


def test_a_page_in_the_background_does_not_redraw(qtbot, open_page, dataset, monkeypatch):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    page.deactivate()
    monkeypatch.setattr(page.charts, "draw", lambda *_: pytest.fail("drawn in the background"))
    page.runs.state_changed.emit(page.entry)
    qtbot.wait(250)


# Axes and figures


@pytest.mark.parametrize("mode", ["steps", "epochs", "time"])
def test_the_x_axis_counts_steps_epochs_or_time(dataset, mode):
    recording = Recording(status=Status.FINISHED, experiment=Experiment().changed({"data.source": dataset.root}))
    state = fold(RunState(), recorded_events(recording, dataset))
    shown = Shown("run", recording.experiment, state)
    at_end_of_first_epoch = positions(shown, np.array([float(state.epochs[0].step)]), mode)[0]
    expected = {"steps": state.epochs[0].step, "epochs": 1.0, "time": state.step_time.y[state.epochs[0].step - 1]}[mode]
    assert at_end_of_first_epoch == pytest.approx(expected)


def test_planned_and_applied_learning_rates_lie_on_each_other(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.RUNNING))
    planned, applied = page.charts.rate.curve_data("planned")[1], page.charts.rate.curve_data("applied")[1]
    assert 0 < len(applied) < len(planned)
    np.testing.assert_allclose(planned[: len(applied)], applied)


def test_changes_in_flight_and_thaws_are_marked_and_the_plan_follows_them(open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.RUNNING)
    before = head_lr(folder.experiment().schedule, range(folder.read_state().num_steps), folder.read_state().description.steps_per_epoch)
    step = folder.read_state().step
    later = [
        ev.ExperimentEdited(step=step, values={"schedule.peak_lr": folder.experiment().schedule.peak_lr / 2}, seq=10**6, t=99.0),
        ev.StagesThawed(step=step, epoch=3, stages=("stem",), num_trainable=5, seq=10**6 + 1, t=99.1),
    ]
    with open(folder.journal_path, "ab") as journal:
        journal.write(b"".join(ev.encode(e) for e in later))
    page = open_page(folder)
    planned = page.charts.rate.curve_data("planned")[1]
    np.testing.assert_allclose(planned, np.where(np.arange(len(before)) < step, before, before / 2))
    words = [word for _, word, _ in page.charts.loss.marks]
    assert "edited" in words and "thawed" in words


def test_figures_compare_with_the_ghost_at_the_same_epoch(dataset):
    base = Experiment().changed({"data.source": dataset.root})
    now = fold(RunState(), recorded_events(Recording(status=Status.RUNNING, experiment=base, skill=0.95), dataset))
    ghost = fold(RunState(), recorded_events(Recording(status=Status.FINISHED, experiment=base, skill=0.80), dataset))
    top1 = run_figures(now, base, ghost, "run 1")[0]
    gain = (now.epochs[2].validation_top1 - ghost.epochs[2].validation_top1) * 100
    assert top1.note == f"+{gain:.1f}" and top1.tone == "good"
    assert "after epoch 3" in top1.help


def test_the_weakest_class_is_named_with_its_recall(dataset):
    state = fold(RunState(), recorded_events(Recording(status=Status.FINISHED), dataset))
    recalls = state.epochs[-1].class_recalls
    figure = run_figures(state, Experiment())[4]
    assert figure.note == dataset.classes[int(np.argmin(recalls))]
    assert figure.value == f"{min(recalls) * 100:.1f}\N{NO-BREAK SPACE}%"


def test_losses_that_are_not_finite_are_shown_and_do_not_break_the_page(qtbot, open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.RUNNING)
    bad = ev.StepsReported(first_step=27, losses=(float("nan"),), top1s=(0.0,), lrs=(1e-3,), grad_norms=(float("nan"),), seq=10**6, t=99.0)
    with open(folder.journal_path, "ab") as journal:
        journal.write(ev.encode(bad))
    page = open_page(folder)
    assert np.isnan(page.charts.loss.curve_data("train.raw")[1][-1])
    assert any("not finite" in text for text in page.figures.texts())


# States


def test_nothing_has_run_yet_says_why_train_cannot_work(open_page):
    page = open_page()
    assert page.stack.currentWidget() is page.empty
    assert not page.empty.action_button.isEnabled() and page.empty.open_button.isVisible()
    assert "Open a folder" in page.empty.hint_label.text()


def test_a_starting_run_shows_its_phases_with_times(open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.STARTING)
    with held_alive(folder):
        page = open_page(folder)
        assert page.stack.currentWidget() is page.starting
        texts = page.starting.texts()
    assert texts[0] == "Load the training library 1.4\N{NO-BREAK SPACE}s"
    assert texts[3].startswith("Read the first batch")


def test_a_waiting_run_is_not_said_to_start(qtbot, open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.QUEUED)
    page = open_page(folder)
    page.show_argument(page.runs.entries[0])
    panel = page.starting._panel
    qtbot.waitUntil(panel.isVisible)
    assert (panel.title_label.text(), panel.subtitle_label.text()) == ("Not begun", "the menu of Results puts it into the queue")
    page.runs._change_queue(lambda names: [folder.name])
    qtbot.waitUntil(lambda: panel.title_label.text() == "Waiting")
    assert (panel.title_label.text(), panel.subtitle_label.text()) == ("Waiting", "starts when its device is free")


def test_a_run_that_waits_for_other_machines_says_so_and_gives_what_to_start_there_to_the_clipboard(qtbot, open_page, context, dataset):
    training = {"training.machines": 3, "training.rendezvous": "big:29500"}
    folder = create_run(runs_dir(), Experiment().changed(training), dataset.to_json())
    page = open_page(folder)
    entry = context.runs.entries[0]
    page.show_argument(entry)
    assert page.banner.isHidden(), "it was not started"
    context.runs.start_now(entry)
    qtbot.waitUntil(page.banner.details.isVisible)
    banner, panel = page.banner.banner, page.starting._panel
    assert banner.title_label.text() == "Waiting for the 2 other machines" and "60 minutes" in banner.detail_label.text()
    assert panel.subtitle_label.text() == "waits for other machines"
    next(b for b in page.banner.details.findChildren(QAbstractButton) if b.text() == "Copy").click()
    assert QGuiApplication.clipboard().text() == command_elsewhere(folder) != ""

    context.runs.take((RunUpdate(folder, fold(RunState(), [ev.RunStarted(wall_time=5.0, pid=1, session=0)]), None, True),))
    qtbot.waitUntil(page.banner.isHidden)
    assert panel.title_label.text() == "Starting" and "waits" not in panel.subtitle_label.text()

    context.runs.take((RunUpdate(folder, build_run(runs_dir(), dataset, Status.FAILED).read_state(), None, False),))
    context.runs.continue_run(entry)
    qtbot.waitUntil(page.banner.details.isVisible)
    assert page.banner.log.toPlainText() == command_elsewhere(folder, resume=True) and page.banner._close.isHidden()


def test_the_command_for_other_machines_is_copied_as_a_shell_reads_it_whatever_the_folder_is_called(qtbot, open_page, context, dataset):
    training = {"training.machines": 2, "training.rendezvous": "big:29500"}
    made = create_run(runs_dir(), Experiment().changed(training), dataset.to_json())
    name = "it's \\ \u202eesrever\n\udcff $HOME" if os.name == "posix" else "it's $HOME"
    folder = RunFolder(made.path.rename(made.path.with_name(name)))
    page = open_page(folder)
    page.show_argument(context.runs.entries[0])
    context.runs.start_now(context.runs.entries[0])
    qtbot.waitUntil(page.banner.details.isVisible)
    page.banner.copy_details()
    copied = QGuiApplication.clipboard().text()
    assert copied.isprintable()
    if bash := shutil.which("bash"):
        read = subprocess.run([bash, "-c", f"python() {{ printf '%s\\0' \"$@\"; }}; {copied}"], stdout=subprocess.PIPE, check=True).stdout
        assert os.fsencode(folder.path) in read.split(b"\0")


def test_in_a_narrow_window_the_figures_of_system_stay_whole(qtbot, open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset))
    page.resize(790, 610)
    qtbot.waitUntil(lambda: page.system.width() < 280)
    rows = list(page.system._rows.values())
    assert rows and all(row.spark.isHidden() for row in rows)
    qtbot.waitUntil(lambda: all(row.value.mapTo(page.system, row.value.rect().topRight()).x() < page.system.width() for row in rows))
    parts = page.fourth._group.buttons()
    qtbot.waitUntil(lambda: all(part.width() >= part.sizeHint().width() for part in parts))
    page.resize(1022, 650)
    qtbot.waitUntil(lambda: all(part.width() >= part.sizeHint().width() and not part.property("dense") for part in parts))
    qtbot.waitUntil(lambda: page._rows[0].sizes() == page._rows[1].sizes())


def test_a_failed_run_says_what_happened_and_resumes(qtbot, open_page, context, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FAILED))
    banner = page.banner.banner
    assert banner.isVisible() and "not a finite number" in banner.title_label.text() and "Lower the peak" in banner.detail_label.text()
    qtbot.mouseClick(banner.findChild(QAbstractButton, "train.banner.action0"), Qt.MouseButton.LeftButton)
    assert context.engines.started == [(page.entry.folder, True)]


def test_a_run_whose_gpu_is_gone_goes_on_on_the_processor_at_a_click(qtbot, open_page, context, dataset):
    folder = build_run(runs_dir(), dataset, Status.FAILED)
    folder.move_to("cuda")
    journal = JournalWriter(folder.journal_path)
    journal.append(ev.RunFailed(step=3, sentence="The GPU is not there any more.", fix="Resume.", can_resume=True, is_device=True))
    journal.close()
    page = open_page(folder)
    assert page.entry.experiment.training.device == "cuda"
    click = page.banner.banner.findChild(QAbstractButton, "train.banner.action1")
    assert click.text() == "Resume on the processor"
    qtbot.mouseClick(click, Qt.MouseButton.LeftButton)
    assert context.engines.started == [(page.entry.folder, True)]
    assert folder.experiment().training.device == page.entry.experiment.training.device == page.entry.summary.device == "cpu"


def test_a_crashed_run_shows_the_end_of_its_log_and_copies_it(qtbot, open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.CRASHED))
    assert "ended without a word" in page.banner.banner.title_label.text()
    assert "Segmentation fault" in page.banner.log.toPlainText() and page.banner.details.isVisible(), "shown without being asked"
    qtbot.mouseClick(page.banner.findChild(QAbstractButton, "train.banner.action1"), Qt.MouseButton.LeftButton)
    assert page.banner.details.isHidden()
    page.banner.copy_details()
    assert "Segmentation fault" in QGuiApplication.clipboard().text()


def test_a_paused_run_goes_on_from_its_banner(qtbot, open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.PAUSED)
    with held_alive(folder):
        page = open_page(folder)
        assert "safe at step" in page.banner.banner.title_label.text()
        qtbot.mouseClick(page.banner.findChild(QAbstractButton, "train.banner.action0"), Qt.MouseButton.LeftButton)
    assert json.loads(folder.commands_path.read_text().splitlines()[-1])["command"] == "resume"


def test_a_run_that_waits_for_the_disk_says_what_to_do_and_offers_nothing_that_cannot_help(qtbot, open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.PAUSED)
    with held_alive(folder):
        page = open_page(folder)
        events = [
            ev.WarningRaised(code="disk-full", sentence="The disk is full; the run waits.", fix="Free some space."),
            ev.PauseChanged(is_paused=True, step=3, reason="disk full"),
        ]
        page.runs.take((RunUpdate(folder, fold(page.entry.state, events), None, True),))
        page._pace.draw_now()
        banner = page.banner.banner
        assert banner.title_label.text() == "The disk is full; the run waits." and banner.isVisible()
        qtbot.waitUntil(lambda: not [b for b in banner.findChildren(QAbstractButton) if b.isVisible() and b.text() == "Go on"])


def test_a_finished_run_has_no_banner(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    assert page.banner.isHidden() and page.stack.currentWidget() is page.full


# Parts


def test_events_are_newest_first_filtered_and_copied_oldest_first(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    events = page.events
    assert events.model.notice(0).kind == "end"
    events._set_kinds(("warning",), False)
    kinds = {events.model.notice(r).kind for r in range(events.model.rowCount())}
    assert "warning" not in kinds and "best" in kinds
    events.copy()
    assert QGuiApplication.clipboard().text().splitlines()[0].endswith("Started")


def test_a_warning_carries_its_way_out(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    lines = [page.events.model.index(r).data() for r in range(page.events.model.rowCount())]
    assert any("could not be read" in line and "See it on the Data page" in line for line in lines)


@pytest.mark.parametrize("kind", ICONS)
def test_every_event_has_an_icon_that_exists(theme, kind):
    assert not icon(ICONS[kind][0], ICONS[kind][1]).isNull()


def test_the_latest_batch_shows_losses_and_mistakes_and_can_be_held(qtbot, open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.RUNNING))
    qtbot.waitUntil(lambda: page.batch.model.rowCount() > 0, timeout=5000)
    wrong = [t for t in page.batch.model.tiles if t.is_wrong]
    assert len(wrong) == 1 and "→" in wrong[0].words
    assert not page.batch.model.pixmaps[0].isNull()
    held = page.batch.model.tiles
    page.batch.hold.setChecked(True)
    samples = page.entry.state.samples
    page.batch.show_samples(page.entry.folder.path, replace(samples, step=999))
    qtbot.wait(50)
    assert page.batch.model.tiles is held
    assert "called" in page.batch.model.index(held.index(wrong[0])).data()


def test_the_epoch_table_has_every_epoch_with_the_best_marked(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    model = page.epochs.model_
    assert model.rowCount() == 8
    best = page.entry.state.best.epoch + 1
    stars = [model.index(r, 0).data() for r in range(8) if "★" in model.index(r, 0).data()]
    assert stars == [f"★ {best}"]


def test_a_plot_is_enlarged_by_m_and_restored_by_escape(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    keys = {key: act for key, _, act in page.shortcuts()}
    keys["M"]()
    assert page.panels[0].isVisible() and not page.panels[3].isVisible() and not page.system.isVisible()
    keys["Escape"]()
    assert all(p.isVisible() for p in page.panels) and page.system.isVisible()


def test_the_cross_hair_shows_over_all_plots_and_by_keyboard(qtbot, open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    page.charts.loss.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(page.charts.loss, Qt.Key.Key_Left)
    assert all(plot._cross.isVisible() for plot in page.charts.plots)
    assert page.charts.loss._bubble.isVisible()


def test_the_ghost_is_the_best_other_run_and_goes_by_g(qtbot, open_page, dataset):
    first = build_run(runs_dir(), dataset, Status.FINISHED, nickname="keen-finch", started=Recording().started.replace(hour=8))
    page = open_page(first, build_run(runs_dir(), dataset, Status.FINISHED))
    assert [e.folder for e in page.ghost_entries] == [first]
    assert "ghost" in page.charts.loss.curve_keys()
    page.toggle_ghost()
    qtbot.waitUntil(lambda: "ghost" not in page.charts.loss.curve_keys(), timeout=2000)


def test_plots_say_their_values_and_copy_them(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    assert "best" in page.charts.loss.accessibleDescription()
    text = page.charts.loss.values_text()
    assert text.count("\n") > page.entry.state.step


def test_class_names_are_never_read_as_markup(qtbot, context, tmp_path):
    evil = ("<img src=file:///etc/passwd>", "<b>bold</b>", "plain")
    folder = build_run(runs_dir(), build_dataset(tmp_path / "images", evil, 12, 8), Status.FINISHED)
    context.runs.take((RunUpdate(folder, folder.read_state(), folder.experiment(), False),))
    page = TrainPage(context)
    qtbot.addWidget(page)
    page.activate()
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in page.findChildren(QLabel) if label.text())
    assert "&lt;" in page.batch.model.index(0).data(Qt.ItemDataRole.ToolTipRole) if page.batch.model.rowCount() else True
    samples = page.entry.state.samples
    assert {t.label for t in tiles_of(samples)} <= set(evil)


def test_everything_that_takes_the_focus_has_a_name(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FAILED))
    nameless = [
        w.objectName() or type(w).__name__
        for w in page.findChildren(QWidget)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus
        and w.isVisible()
        and not w.accessibleName()
        and not isinstance(w.parentWidget(), QAbstractButton)
    ]
    assert nameless == []


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED, Status.PAUSED])
def test_the_page_fits_the_least_window(open_page, dataset, status):
    page = open_page(build_run(runs_dir(), dataset, status), size=(940, 616))
    hint = page.minimumSizeHint()
    assert hint.width() <= 940 and hint.height() <= 616
