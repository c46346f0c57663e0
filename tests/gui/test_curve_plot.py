"""Plots of curves: nothing is lost on the way to the pixels, nothing is drawn that nobody sees, every number can be had."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from builders import build_dataset, build_run
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.fold import Notice
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.core.place import runs_dir
from studio.core.trace import Trace
from studio.gui.monitor import RunUpdate
from studio.gui.pages.train.charts import LiveCurve, Shown
from studio.gui.pages.train.page import SEVERAL_GHOSTS, TrainPage
from studio.gui.recorded import Recording
from studio.gui.widgets.curve_item import column_spans
from studio.gui.widgets.curve_menu import curve_menu
from studio.gui.widgets.curve_plot import CurvePlot
from studio.gui.widgets.curve_style import CurveStyle
from studio.gui.widgets.plot_axis import LogAxis, PlainAxis


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return build_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture
def plot(qtbot, theme):
    made = CurvePlot("test.plot", "Loss", left=PlainAxis("left"))
    qtbot.addWidget(made)
    made.resize(500, 300)
    made.show()
    return made


@pytest.fixture
def open_page(qtbot, context):
    def make(*folders) -> TrainPage:
        context.runs.take(tuple(RunUpdate(f, f.read_state(), f.experiment(), f.is_alive()) for f in folders))
        page = TrainPage(context)
        qtbot.addWidget(page)
        page.resize(1120, 800)
        page.show()
        page.activate()
        return page

    return make


def three_runs(dataset):
    started = Recording().started
    names = ("keen-finch", "calm-otter", "bold-heron")
    return [build_run(runs_dir(), dataset, Status.FINISHED, nickname=n, started=started.replace(hour=7 + i)) for i, n in enumerate(names)]


# To the pixels


@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 200))
def test_every_point_lies_within_its_column(seed, num_points, width):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-10, width + 10, num_points))
    bottoms = rng.uniform(0, 300, num_points)
    tops = bottoms - rng.uniform(0, 50, num_points)
    tops[rng.random(num_points) < 0.1] = np.nan
    bottoms[np.isnan(tops)] = np.nan
    top, bottom = column_spans(x, tops, bottoms, width, 2.0)
    for at, high, low in zip(np.floor(x).astype(int), tops, bottoms, strict=True):
        if 0 <= at < width and np.isfinite(high):
            assert top[at] <= high - 0.99 and bottom[at] >= low + 0.99


def test_the_legend_goes_where_no_curve_runs_and_comes_back(plot):
    x = np.linspace(0, 10, 200)
    plot.set_x_range(0, 10)
    plot.set_y_range(0, 1)
    middle = plot.legend.parentWidget().rect().center()

    def stands() -> tuple[bool, bool]:
        plot.legend.settle()
        at = plot.legend.geometry().center()
        return at.x() > middle.x(), at.y() < middle.y()

    falling, rising = 0.97 * np.exp(-x / 2), 0.97 * (1 - np.exp(-x / 2))
    plot.set_curve("a", x, falling, CurveStyle("one", "series.0"))
    plot.set_curve("b", x, 0.5 * falling, CurveStyle("two", "series.1"))
    assert stands() == (True, True), "its own corner is free"
    plot.set_curve("a", x, rising, CurveStyle("one", "series.0"))
    plot.set_curve("b", x, 0.5 * rising, CurveStyle("two", "series.1"))
    assert stands() == (True, False), "at the lower right nothing runs"
    plot.set_curve("a", x, falling, CurveStyle("one", "series.0"))
    assert stands() == (True, True)


def test_where_curves_run_in_every_corner_the_legend_stands_above_the_plot_and_comes_back(plot, qtbot):
    x = np.linspace(0, 10, 200)
    plot.set_x_range(0, 10)
    plot.set_y_range(0, 1)
    styles = CurveStyle("one", "series.0"), CurveStyle("two", "series.1")
    for key, height, style in zip("ab", (0.95, 0.03), styles, strict=True):
        plot.set_curve(key, x, np.full(200, height), style)

    def box():
        return plot.widget.mapFromScene(plot.view.sceneBoundingRect()).boundingRect()

    plot.legend.settle()
    qtbot.waitUntil(lambda: plot.legend.geometry().bottom() <= box().top())
    assert plot.rect().contains(plot.legend.geometry())
    plot.set_curve("a", x, np.full(200, 0.5), styles[0])
    plot.legend.settle()
    qtbot.waitUntil(lambda: box().contains(plot.legend.geometry()))


def test_words_of_marks_that_lie_close_take_rows_of_their_own_and_none_is_cut(plot):
    plot.set_x_range(0, 100)
    plot.set_marks(
        [(2, "resumed", "muted"), (50, "edited", "accent"), (51, "thawed", "trains"), (53, "warning", "warn"), (100, "best", "good")]
    )
    words = plot._marks.words()
    assert [word for word, *_ in words] == ["resumed", "edited", "thawed", "warning", "best"]
    assert all(left >= 0 and right <= plot.view.width() for _, left, right, _ in words)
    for i, (_, left, right, row) in enumerate(words):
        assert all(row != other or right <= begin or end <= left for _, begin, end, other in words[:i])
    assert len({row for *_, row in words}) == 3, "no more rows than it takes"


def test_the_legend_covers_no_word_of_a_mark(plot):
    x = np.linspace(0, 10, 200)
    plot.set_x_range(0, 10)
    plot.set_y_range(0, 1)
    for key, height in (("a", 1.0), ("b", 0.97)):
        plot.set_curve(key, x, np.full(200, height), CurveStyle(key, "series.0"))
    plot.set_marks([(0.2, "failed", "bad")])
    plot.legend.set_corner("bottom left")
    plot.legend.settle()
    left, right = plot.mark_words()[0]
    box = plot.widget.mapFromScene(plot.view.sceneBoundingRect()).boundingRect()
    place = plot.legend.geometry()
    assert place.center().y() > box.center().y() and place.left() - box.left() > right > left


def test_the_legend_of_ten_runs_stands_whole_in_a_low_plot(plot, qtbot):
    plot.resize(360, 170)
    for number in range(10):
        plot.set_curve(f"r{number}", np.arange(4.0), np.full(4, float(number)), CurveStyle(f"run {number + 1}", f"series.{number}"))
    box = plot.widget.mapFromScene(plot.view.sceneBoundingRect()).boundingRect()
    qtbot.waitUntil(lambda: plot.legend.geometry().height() <= box.height() and plot.legend.geometry().top() >= box.top())
    hit = {plot.legend._key_at(QPointF(x, y)) for x in range(2, plot.legend.width(), 4) for y in range(5, plot.legend.height() - 4, 4)}
    assert hit - {None} == {f"r{number}" for number in range(10)}


def test_a_gap_stays_empty():
    x = np.arange(0, 100, 0.5)
    y = np.where((x > 30) & (x < 60), np.nan, 50.0)
    top, bottom = column_spans(x, y, y, 100, 2.0)
    is_drawn = bottom > top
    assert is_drawn[:29].all() and not is_drawn[32:58].any() and is_drawn[62:99].all()


def test_a_single_peak_among_a_million_points_is_painted(plot):
    trace = Trace()
    y = np.zeros(1_000_000)
    y[654_321] = 9.0
    trace.extend(np.arange(1e6), y)
    plot.set_trace("loss", trace, CurveStyle("loss", "series.1"))
    plot.set_x_range(0, 1e6)
    plot.set_y_range(-1, 10)
    picture = plot.widget.grab().toImage()
    box = plot.view.sceneBoundingRect()
    middle = int(box.left() + box.width() * (0.654321 * 0.98 + 0.01))  # the frame has 1 % room on each side
    upper = range(int(box.top() + box.height() * 0.12), int(box.center().y()))
    reds = {x: [picture.pixelColor(x, y).red() for y in upper] for x in range(int(box.left()) + 2, int(box.right()) - 2)}
    bright = [x for x, column in reds.items() if min(column) > 150]
    assert bright and all(abs(x - middle) <= 2 for x in bright)


@pytest.mark.parametrize("mode", ["steps", "epochs", "time"])
@pytest.mark.parametrize("weight", [0.0, 0.9])
def test_a_live_curve_fed_as_it_comes_equals_one_drawn_at_the_end(dataset, mode, weight):
    folder = build_run(runs_dir(), dataset, Status.FINISHED)
    state, experiment = folder.read_state(), Experiment()
    live, whole = LiveCurve("train_loss"), LiveCurve("train_loss")
    curve, times = state.train_loss, state.step_time
    growing, growing_times = type(curve)(), type(times)()
    for i in range(len(curve)):
        growing = growing.extended(curve.x[i : i + 1], curve.y[i : i + 1])
        growing_times = growing_times.extended(times.x[i : i + 1], times.y[i : i + 1])
        assert live.follow(Shown("run", experiment, replace(state, train_loss=growing, step_time=growing_times)), mode, weight)
    whole.follow(Shown("run", experiment, state), mode, weight)
    np.testing.assert_allclose(live.raw.x, whole.raw.x)
    np.testing.assert_array_equal(live.raw.y, whole.raw.y)
    np.testing.assert_allclose(live.smooth.y, whole.smooth.y, rtol=1e-12)
    assert not live.follow(Shown("run", experiment, replace(state, train_loss=growing)), mode, weight)


def test_a_resume_that_goes_back_draws_the_repeated_steps_once(dataset):
    state = build_run(runs_dir(), dataset, Status.FINISHED).read_state()
    live = LiveCurve("train_loss")
    live.follow(Shown("run", Experiment(), state), "steps", 0.5)
    back = state.train_loss.before(5).extended([5, 6], [7.0, 8.0])
    live.follow(Shown("run", Experiment(), replace(state, train_loss=back)), "steps", 0.5)
    np.testing.assert_array_equal(live.raw.y, [*state.train_loss.y[:5], 7.0, 8.0])


# Only what is seen


def drawn_plots(page, monkeypatch) -> list[int]:
    drawn = []
    monkeypatch.setattr(page.charts, "draw", drawn.append)
    return drawn


def test_plots_behind_an_enlarged_one_are_not_redrawn(qtbot, open_page, dataset, monkeypatch):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    page.set_maximised(page.panels[1])
    qtbot.waitUntil(lambda: not page._pace._timer.isActive())
    drawn = drawn_plots(page, monkeypatch)
    page.runs.state_changed.emit(page.entry)
    qtbot.waitUntil(lambda: 1 in drawn and not page._pace._timer.isActive())
    assert set(drawn) == {1}


def test_nothing_is_redrawn_in_a_minimised_or_hidden_window_and_all_of_it_afterwards(qtbot, open_page, dataset, monkeypatch):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    qtbot.waitUntil(lambda: not page._pace._timer.isActive())
    drawn = drawn_plots(page, monkeypatch)
    for leave, come_back in ((page.showMinimized, page.showNormal), (page.hide, page.show)):
        leave()
        page.runs.state_changed.emit(page.entry)
        qtbot.wait(300)
        assert drawn == [] and not page._pace._timer.isActive()
        come_back()
        qtbot.waitUntil(lambda: set(drawn) == {0, 1, 2, 3} and not page._pace._timer.isActive())
        drawn.clear()


def test_an_unchanged_curve_is_not_painted_again(plot, qtbot):
    style = CurveStyle("loss", "series.0")
    plot.set_curve("loss", np.arange(10.0), np.arange(10.0), style)
    plot.widget.grab()
    item = plot._items["loss"]
    updates = []
    item.update = lambda *_: updates.append(1)
    plot.set_curve("loss", np.arange(10.0), np.arange(10.0), style)
    assert updates == []
    plot.set_curve("loss", np.arange(11.0), np.arange(11.0), style)
    assert updates == [1]


def test_a_frame_stays_while_it_fits(plot):
    plot.set_y_range(0.0, 1.0)
    before = plot.view.viewRange()[1]
    plot.set_y_range(0.05, 0.98)
    assert plot.view.viewRange()[1] == before
    plot.set_y_range(0.05, 1.2)
    assert plot.view.viewRange()[1][1] > 1.19
    plot.set_y_range(0.4, 0.6)
    assert plot.view.viewRange()[1][1] < 0.7


# Numbers


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_every_number_of_the_journal_bit_for_bit(open_page, dataset):
    folder = build_run(runs_dir(), dataset, Status.RUNNING)
    done = sum(len(e.losses) for e in JournalReader(folder.journal_path).read() if isinstance(e, ev.StepsReported))
    bad = ev.StepsReported(first_step=done, losses=(None,), top1s=(0.0,), lrs=(1e-3,), grad_norms=(None,), seq=10**6, t=99.0)
    with open(folder.journal_path, "ab") as journal:
        journal.write(ev.encode(bad))
    events = JournalReader(folder.journal_path).read()
    reports = [e for e in events if isinstance(e, ev.StepsReported)]
    page = open_page(folder)
    page.charts.set_mode("steps")
    rows = rows_of(page.charts.loss.values_text())
    losses = [v for e in reports for v in e.losses]
    written = [r["train, each step"] for r in rows if r["train, each step"]]
    assert [None if v == "nan" else float(v) for v in written] == losses
    validation = {int(float(r["step"])): float(r["validation"]) for r in rows if r["validation"]}
    assert validation == {e.step: e.validation_loss for e in events if isinstance(e, ev.EpochFinished)}
    rates = rows_of(page.charts.rate.values_text())
    assert [float(r["applied"]) for r in rates if r["applied"]] == [v for e in reports for v in e.lrs]


def test_points_with_the_same_x_keep_a_row_each(plot):
    plot.set_x_label("time")
    plot.set_curve("loss", np.array([1.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0]), CurveStyle("loss, raw", "series.0"))
    plot.set_curve("other", np.array([2.0]), np.array([6.0]), CurveStyle("other", "series.1"))
    assert plot.values_text() == 'time,"loss, raw",other\n1.0,3.0,\n1.0,4.0,\n2.0,5.0,6.0\n'


def test_the_table_shows_the_numbers_that_are_saved(plot, tmp_path, qtbot):
    plot.set_curve("loss", np.arange(3.0), np.array([0.1, np.nan, 1 / 3]), CurveStyle("loss", "series.0"))
    dialog = plot.read_values()
    model = dialog.view.model()
    shown = [[model.index(r, c).data() for c in range(model.columnCount())] for r in range(model.rowCount())]
    dialog.save_to(str(tmp_path / "loss.csv"))
    assert "Saved" in dialog.note.text()
    header, *rows = csv.reader(io.StringIO((tmp_path / "loss.csv").read_text()))
    assert header == ["x", "loss"] and rows == shown == [["0.0", "0.1"], ["1.0", "nan"], ["2.0", repr(1 / 3)]]
    dialog.close()


def test_the_menu_of_a_panel_reads_copies_and_saves(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    assert page.findChild(QPushButton, "train.loss.more").accessibleName() == "More for loss"
    words = [a.text() for a in curve_menu(page.charts.loss).findChildren(QAction)]
    assert {"Read values…", "Copy values", "Save values as CSV…", "Log axis"} <= set(words)


# Axes, cross-hair, keys


def test_a_logarithmic_axis_can_be_chosen_and_left_without_losing_a_point(plot):
    y = np.array([100.0, 0.0, 1.0, 10.0])
    plot.set_curve("loss", np.arange(4.0), y, CurveStyle("loss", "series.0"))
    plot.set_x_range(0, 3)
    plot.set_guide("clip", 10.0)
    plot.set_log(True)
    assert isinstance(plot.plot.getAxis("left"), LogAxis)
    np.testing.assert_array_equal(plot.curve_seen("loss")[1], [2.0, np.nan, 0.0, 1.0])
    assert plot.guides.height_of("clip") == 1.0
    plot.set_log(False)
    assert isinstance(plot.plot.getAxis("left"), PlainAxis)
    np.testing.assert_array_equal(plot.curve_seen("loss")[1], y)
    np.testing.assert_array_equal(plot.curve_data("loss")[1], y)


def test_the_word_of_a_guide_is_whole_at_either_edge(plot):
    plot.resize(400, 240)
    plot.show()
    plot.set_y_range(0, 10)
    plot.grab()  # lays it out
    view = plot.view.sceneBoundingRect()
    for y in (0.05, 2.0, 8.0, 9.95):
        plot.set_guide("clip", y, "warn", "clipped above")
        plot.grab()
        word = plot.guides.word_of("clip").sceneBoundingRect()
        assert view.top() <= word.top() and word.bottom() <= view.bottom()
        is_high = word.center().y() < plot.view.mapViewToScene(QPointF(0, y)).y()
        assert is_high == (y in (0.05, 8.0)), "it faces the nearer edge unless that would cut it"


def test_the_axis_of_a_train_plot_changes_by_l_and_the_curve_is_framed_again(qtbot, open_page, dataset):
    loss = open_page(build_run(runs_dir(), dataset, Status.FINISHED)).charts.loss
    assert loss.is_log
    qtbot.keyClick(loss, Qt.Key.Key_L)
    low, high = loss.view.viewRange()[1]
    values = loss.curve_data("train")[1]
    assert not loss.is_log and low <= values.min() and high >= values.max()
    qtbot.keyClick(loss, Qt.Key.Key_L)
    low, high = loss.view.viewRange()[1]
    assert loss.is_log and 10**low <= values.min() and 10**high >= values.max()


def test_zoom_and_pan_by_keys_move_all_charts_and_0_fits(qtbot, open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    loss, gradient = page.charts.loss, page.charts.gradient
    whole = loss.view.viewRange()[0]
    qtbot.keyClick(loss, Qt.Key.Key_Plus)
    near = loss.view.viewRange()[0]
    assert near[1] - near[0] == pytest.approx(0.8 * (whole[1] - whole[0]))
    qtbot.keyClick(loss, Qt.Key.Key_PageUp)
    assert loss.view.viewRange()[0][0] < near[0]
    assert gradient.view.viewRange()[0] == pytest.approx(loss.view.viewRange()[0])
    page.charts.redraw()
    assert loss.view.viewRange()[0] != whole  # news do not take the person's frame away
    qtbot.keyClick(loss, Qt.Key.Key_0)
    assert loss.view.viewRange()[0] == pytest.approx(whole) == gradient.view.viewRange()[0]


def test_the_cross_hair_reads_the_same_step_on_all_charts(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    charts = page.charts
    charts.loss.hovered.emit(charts.position_of(9))
    loss = charts.loss.curve_data("train")[1][8]
    assert f"train {loss:.3f}" in [text for text, _ in charts.loss._bubble._rows]
    assert all("step 9" in plot._bubble._rows[0][0] for plot in charts.plots)


def test_s_turns_smoothing_off_and_on_and_the_raw_curve_stays(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    keys = {key: act for key, _, act in page.shortcuts()}
    smooth = page.charts.loss.curve_data("train")[1].copy()
    keys["S"]()
    raw = page.charts.loss.curve_data("train.raw")[1]
    np.testing.assert_array_equal(page.charts.loss.curve_data("train")[1], raw)
    keys["S"]()
    np.testing.assert_array_equal(page.charts.loss.curve_data("train")[1], smooth)


# Earlier runs and marks


def test_several_earlier_runs_lie_under_the_curve_told_apart_by_colour_and_dash(open_page, dataset):
    page = open_page(*three_runs(dataset), build_run(runs_dir(), dataset, Status.RUNNING))
    page._on_ghost_value_changed(SEVERAL_GHOSTS)
    page._pace.draw_now()
    loss = page.charts.loss
    ghosts = [key for key in loss.curve_keys() if key.startswith("ghost")]
    styles = [loss.style_of(key) for key in ghosts]
    assert len(ghosts) == 3 and len({s.label for s in styles}) == len({s.token for s in styles}) == len({s.dash for s in styles}) == 3
    for key, entry in zip(ghosts, page.ghost_entries, strict=True):
        np.testing.assert_array_equal(loss.curve_data(key)[1], entry.state.validation_loss.y)
    page.toggle_ghost()
    page._pace.draw_now()
    assert not [key for key in loss.curve_keys() if key.startswith("ghost")]


def test_the_best_epoch_and_what_happened_are_marked_on_all_charts(open_page, dataset):
    page = open_page(build_run(runs_dir(), dataset, Status.FINISHED))
    state = page.entry.state
    notices = (Notice(1.0, 4, "edit", "Peak changed"), Notice(2.0, 8, "mystery", "Something"))
    page.charts.set_run(Shown(page.entry.folder.name, Experiment(), replace(state, notices=(*state.notices, *notices))))
    page.charts.redraw()
    for plot in page.charts.plots:
        marked = [x for x, *_ in plot.marks]
        assert [page.charts.position_of(step) in marked for step in (4, 8, state.best.step)] == [True] * 3
    words = [word for _, word, _ in page.charts.loss.marks]
    assert {"edited", "mystery", "best"} <= set(words)
