"""Train: a run as it goes, or as it went. Everything shown is a function of one RunState."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.core.fold import RunState
from studio.core.outcome import Status
from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.icon import icon
from studio.gui.monitor import RunUpdate
from studio.gui.needs_run import NeedsRun
from studio.gui.page import Page
from studio.gui.pages.train.batch import BatchPanel
from studio.gui.pages.train.charts import MAX_GHOSTS, MODES, Shown, TrainCharts
from studio.gui.pages.train.epochs import EpochTable
from studio.gui.pages.train.events import EventsPanel
from studio.gui.pages.train.faults import FAULT_STATES, show_marks
from studio.gui.pages.train.figures import FiguresRow, run_figures
from studio.gui.pages.train.flow import FlowView
from studio.gui.pages.train.pace import Pace
from studio.gui.pages.train.status import RunBanner, StartingView
from studio.gui.pages.train.system import SystemPanel
from studio.gui.run_entry import RunEntry
from studio.gui.theme import px
from studio.gui.widgets.button import Segmented, icon_button
from studio.gui.widgets.combo import ComboBox
from studio.gui.widgets.label import PlainLabel
from studio.gui.widgets.panel import Panel, splitter
from studio.gui.widgets.slider import Slider
from studio.supervise.engine import command_elsewhere

NARROW_PX = 1000  # page width under which words stand closer
SHORT_PX = 700  # page height under which the batch strip goes, for the plots' sake
NO_GHOST, BEST_GHOST, PREVIOUS_GHOST, SEVERAL_GHOSTS = "none", "best", "previous", "several"


class TrainPage(Page):
    """Follows the active run, or the newest one; `show_argument(entry)` shows another."""

    key, title = "train", "Train"

    def make(self) -> Iterator[None]:
        context = self.context
        self.runs = context.runs
        self._entry: RunEntry | None = None
        self._pinned: RunEntry | None = None
        self._ghost_choice: object = BEST_GHOST
        self._maximised: Panel | None = None
        self._is_in_front = False
        self._watched: QWidget | None = None
        self._system_height = 0
        self.charts = TrainCharts(self, in_pieces=True)
        yield from self.charts.pieces
        plots = [partial(self._draw_plot, i) for i in range(4)]
        self._pace = Pace(
            self, [self._show_run, *plots, self._show_side],
            [self._show_figures, plots[0], plots[1], self._show_figures, plots[0], plots[2], self._show_figures, plots[0], plots[3]],
            self.context.attention, is_seen=lambda: self._is_seen, shares_cores=lambda: self.runs.shares_cores,
        )  # fmt: skip
        yield
        self._build_head()
        yield
        yield from self._build_body()
        yield
        self.runs.state_changed.connect(self._on_runs_state_changed)
        self.runs.active_changed.connect(lambda _: self._choose_run())
        self.runs.entries_changed.connect(self._choose_run)
        self.runs.started.connect(self._on_runs_started)
        self._choose_run()

    # Building

    def _build_head(self) -> None:
        settings = self.context.settings
        self.charts.weight = min(0.99, max(0.0, settings.number("train/smooth", 0.9)))
        mode = settings.text("train/x", "epochs")
        self.charts.mode = mode if mode in MODES else "epochs"
        self.smooth = Slider(0.0, 0.99, self.charts.weight, default=0.9, name="train.smooth")
        self.smooth.setFixedWidth(px(72))
        self.smooth.setAccessibleName("Smooth the train curves")
        self.smooth.value_changed.connect(self._on_smooth_value_changed)
        self.smooth_label = PlainLabel(f"{self.charts.weight:.2f}", "number")
        self.smooth_label.setFixedWidth(px(30))
        self.mode = Segmented([("steps", "Steps"), ("epochs", "Epochs"), ("time", "Time")], self.charts.mode, name="train.x")
        self.mode.setAccessibleName("What the plots run over")
        self.mode.value_changed.connect(self._on_mode_value_changed)
        self.follow = Segmented([(False, "Follow"), (True, "All")], False, name="train.follow")
        self.follow.setAccessibleName("Follow the run or show the whole plan")
        self.follow.value_changed.connect(self.charts.set_all)
        self.ghost = ComboBox([], name="train.ghost")
        self.ghost.setAccessibleName("Run to compare with")
        self.ghost.setMinimumWidth(px(128))
        self.ghost.value_changed.connect(self._on_ghost_value_changed)
        self._controls = QWidget()
        row = QHBoxLayout(self._controls)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        for widget in (PlainLabel("Smooth", "label"), self.smooth, self.smooth_label, self.mode, self.follow, self.ghost):
            row.addWidget(widget)
        self.head.addWidget(self._controls)

    def _build_body(self) -> Iterator[None]:
        self.banner = RunBanner()
        self.banner.details_toggled.connect(lambda _: self.fit())
        self.body.addWidget(self.banner)
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        hint = "Press Train, or try twenty images first with Quick test."
        self.empty = NeedsRun(self.context, "lightning", "Nothing has run yet", hint, name="train.empty")
        self.empty.add_training("Quick test", self.runs.quick_test, name="train.empty.quick")
        self.starting = StartingView()
        self.full = QWidget()
        for view in (self.empty, self.starting, self.full):
            self.stack.addWidget(view)
        yield
        yield from self._fill(self.full)

    def _fill(self, full: QWidget) -> Iterator[None]:
        charts, horizontal, vertical = self.charts, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        self.figures = FiguresRow()
        self._rows = [splitter(horizontal, name="train.top"), splitter(horizontal, name="train.bottom")]
        self._plots = splitter(vertical, *self._rows, stretch=(10, 9), name="train.plots")
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(12))
        column.addWidget(self._plots, 1)
        self._side = splitter(vertical, name="train.side")
        self._side.setMinimumWidth(px(240))
        self._columns = splitter(horizontal, left, self._side, stretch=(1, 0), name="train.columns")
        page = QVBoxLayout(full)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(px(12))
        page.addWidget(self.figures)
        page.addWidget(self._columns, 1)
        self.panels = []
        for number, plot in enumerate(charts.plots):
            self.panels.append(self._plot_panel(plot.title, plot))
            row, place = self._rows[number // 2], number % 2
            row.addWidget(self.panels[-1])
            row.setStretchFactor(place, 1)
            yield
        self.epochs = EpochTable()
        gradient = self.panels[3]
        gradient.set_title("Gradient")
        self.fourth = Segmented([("gradient", "Norm"), ("flow", "By stage"), ("epochs", "Epochs")], "gradient", name="train.fourth")
        self.fourth.setAccessibleName("Gradient norm, gradient flow by stage, or table of epochs")
        self.fourth.value_changed.connect(self._on_fourth_value_changed)
        gradient.head.insertWidget(2, self.fourth)  # beside the title, or in its place
        gradient.body.addWidget(self.epochs)
        self.epochs.hide()
        self.flow = FlowView()
        gradient.body.addWidget(self.flow)
        self.flow.hide()
        yield
        self.batch = BatchPanel(self.context.background)
        self.batch.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        column.addWidget(self.batch)
        yield
        self.system = SystemPanel()
        self._side.addWidget(self.system)
        yield
        self.events = EventsPanel()
        self.events.step_clicked.connect(lambda step: charts.set_cross(charts.position_of(step)))
        self._side.addWidget(self.events)
        for place, share in enumerate((0, 1)):
            self._side.setStretchFactor(place, share)
        for row, other in (self._rows, self._rows[::-1]):
            row.setSizes([px(400), px(400)])
            row.splitterMoved.connect(lambda *_, row=row, other=other: other.setSizes(row.sizes()))
        self._side.setSizes([px(270), px(360)])
        self._columns.setSizes([px(760), px(290)])

    def _plot_panel(self, title: str, plot: QWidget) -> Panel:
        panel = Panel(title, name=f"{plot.objectName()}.panel")
        panel.body.addWidget(plot)
        panel.body.setContentsMargins(px(4), 0, px(4), px(4))
        panel.setMinimumHeight(px(110))
        grow = icon_button("arrows-out-simple", f"Enlarge {title.lower()}", small=True, name=f"{plot.objectName()}.grow")
        grow.clicked.connect(lambda *_: self.set_maximised(None if self._maximised is panel else panel))
        more = icon_button("dots-three", f"More for {title.lower()}", small=True, name=f"{plot.objectName()}.more")
        more.clicked.connect(lambda *_: plot.open_menu(more.mapToGlobal(more.rect().bottomLeft())))
        panel.head.addWidget(more)
        panel.head.addWidget(grow)
        panel.title_label.parentWidget().installEventFilter(self)
        return panel

    # Which run

    @property
    def entry(self) -> RunEntry | None:
        """The run that is shown."""
        return self._entry

    def show_argument(self, argument: object) -> None:
        if isinstance(argument, RunEntry):
            self._pinned = argument
            self._choose_run()

    def _choose_run(self) -> None:
        pinned = self._pinned if self._pinned is not None and self._pinned in self.runs else None
        entry = pinned or self.runs.active or self.runs.latest
        if entry is not self._entry:
            self._entry = entry
            self.banner.forget()
            self.batch.release()
        self._refresh_ghosts()
        self._pace.tell_wish()

    def _refresh_ghosts(self) -> None:
        others = list(islice((e for e in reversed(self.runs.finished) if e is not self._entry), 50))
        options: list[tuple[object, str]] = [(NO_GHOST, "No ghost run")]
        if others:
            options += [(BEST_GHOST, "Ghost: best run"), (PREVIOUS_GHOST, "Ghost: run before")]
        if len(others) > 1:
            options.append((SEVERAL_GHOSTS, f"Ghosts: last {min(len(others), MAX_GHOSTS)} runs"))
        options += [(e.folder.name, f"Ghost: {e.name}") for e in others]
        if [v for v, _ in options] != self.ghost._values:
            self.ghost.set_options(options, self._ghost_choice)

    @property
    def ghost_entries(self) -> list[RunEntry]:
        """The runs to compare with, by the choice in the head; the first of them is also compared in figures."""
        newest_first = (e for e in reversed(self.runs.finished) if e is not self._entry)
        match self._ghost_choice:
            case "none":
                return []
            case "best" if self.runs.best is not self._entry:
                return [self.runs.best] if self.runs.best else []
            case "best":
                return sorted((e for e in newest_first if e.summary.top1 is not None), key=lambda e: (-e.summary.top1, e.number))[:1]
            case "previous":
                return list(islice((e for e in newest_first if self._entry and e.number < self._entry.number), 1))
            case "several":
                return list(islice(newest_first, MAX_GHOSTS))
        chosen = self.runs.entry(str(self._ghost_choice))
        return [chosen] if chosen is not None and chosen is not self._entry and chosen.summary.epochs_done else []

    # Showing

    def activate(self) -> None:
        self._is_in_front = True
        if self._watched is not self.window():
            self._watched = self.window()
            self._watched.installEventFilter(self)
        self._pace.draw_now()

    def deactivate(self) -> None:
        self._is_in_front = False
        self._pace.stop()

    def is_busy(self) -> bool:
        return self._pace.is_drawing

    @property
    def _is_seen(self) -> bool:
        """Whether anybody can look at the page: it is in front, in a window that is neither hidden nor minimised."""
        return self._is_in_front and self.isVisible() and not self.window().isMinimized()

    def _show_run(self) -> None:
        """Which view, the head, the banner and the figures."""
        entry = self._entry
        self._controls.setVisible(entry is not None)
        if entry is None:
            self.set_subtitle("")
            self.stack.setCurrentWidget(self.empty)
            return
        state = entry.state
        self.set_subtitle(describe_run(entry))
        awaits = entry.awaits_machines
        if awaits:
            training = entry.experiment.training
            command = command_elsewhere(entry.folder, resume=state.wall_time > 0, training=training)
            self.banner.show_awaited(training.machines, command)
        else:
            self.banner.show_run(
                state if not entry.is_launching else type(state)(), entry.outcome, on_resume=lambda: self.runs.continue_run(entry),
                on_go_on=lambda: self.runs.resume(entry), on_move=lambda: self.runs.continue_on_processor(entry), on_results=lambda: self.context.shell.go_to("results", entry),
            )  # fmt: skip
        if entry.status in (Status.STARTING, Status.QUEUED) and not len(state.train_loss):
            self.stack.setCurrentWidget(self.starting)
            is_started = entry.status is Status.STARTING
            standing = "joining" if awaits else "starting" if is_started else "waiting" if entry in self.runs.queued else "not begun"
            self.starting.show_state(state, standing)
            return
        self.stack.setCurrentWidget(self.full)
        ghosts = self.ghost_entries
        self.runs.read_whole(entry, *ghosts)
        ghost = ghosts[0] if ghosts else None
        self.figures.set_figures(run_figures(state, entry.experiment, ghost.state if ghost else None, ghost.name if ghost else ""))
        self.charts.set_run(
            Shown(entry.folder.name, entry.experiment, state), [Shown(g.folder.name, g.experiment, g.state, g.name) for g in ghosts]
        )

    def _draw_plot(self, index: int) -> None:
        if self.stack.currentWidget() is self.full and self.charts.plots[index].isVisibleTo(self):
            self.charts.draw(index)

    def _show_figures(self) -> None:
        self._show_run()
        self._show_side()

    def _show_side(self) -> None:
        entry = self._entry
        if entry is None or self.stack.currentWidget() is not self.full:
            return
        state = entry.state
        self.epochs.set_epochs(state.epochs)
        self.flow.show_state(state)
        self.system.show_state(state)
        self._fit_side()
        self.events.set_notices(state.notices)
        self.batch.show_samples(entry.folder.path, state.samples)

    # What people do

    def shortcuts(self) -> tuple[tuple[str, str, Callable[[], object]], ...]:
        return (
            ("G", "Ghost run on or off", self.toggle_ghost),
            ("S", "Smoothing on or off", self.toggle_smooth),
            ("M", "Enlarge a plot", self.toggle_maximised),
            ("Escape", "Leave an enlarged plot", lambda: self.set_maximised(None)),
            ("H", "Hold the latest batch", self.batch.hold.toggle),
        )

    def toggle_ghost(self) -> None:
        self._on_ghost_value_changed(NO_GHOST if self._ghost_choice != NO_GHOST else BEST_GHOST)
        self.ghost.set_value(self._ghost_choice)

    def toggle_smooth(self) -> None:
        value = 0.0 if self.charts.weight > 0 else 0.9
        self.smooth.set_number(value)
        self._on_smooth_value_changed(value)

    def toggle_maximised(self) -> None:
        focused = next((p for p in self.panels if p.isAncestorOf(self.focusWidget() or self)), self.panels[0])
        self.set_maximised(None if self._maximised else focused)

    def set_maximised(self, panel: Panel | None) -> None:
        """Give one plot all the room of the plots, the strip and the side column; None restores."""
        self._maximised = panel
        for each in self.panels:
            grow = each.findChild(QPushButton, each.objectName().replace(".panel", ".grow"))
            grow.setIcon(icon("arrows-in-simple" if each is panel else "arrows-out-simple"))
        for row, pair in zip(self._rows, (self.panels[:2], self.panels[2:])):
            for each in pair:
                each.setVisible(panel is None or each is panel)
            row.setVisible(panel is None or panel in pair)
        self._side.setVisible(panel is None)
        self.fit()
        self._pace.tell_wish()

    def eventFilter(self, watched, event: QEvent) -> bool:
        if watched is self._watched and event.type() in (QEvent.Type.WindowStateChange, QEvent.Type.Show):
            QTimer.singleShot(0, self, self._pace.catch_up)  # after the window has become visible
        if event.type() == QEvent.Type.MouseButtonDblClick and isinstance(event, QMouseEvent):
            panel = next((p for p in self.panels if p.title_label.parentWidget() is watched), None)
            if panel is not None:
                self.set_maximised(None if self._maximised is panel else panel)
                return True
        return super().eventFilter(watched, event)

    def fit(self) -> None:
        is_narrow = self.width() < px(NARROW_PX)
        for choice in (self.fourth, self.mode, self.follow):
            choice.set_dense(is_narrow)
        self.smooth_label.setVisible(not is_narrow)
        self.fourth.set_text("gradient", "Gradient" if is_narrow else "Norm")
        self.panels[3].title_label.setVisible(not is_narrow)
        for above, below in zip(
            self.panels[:2], self.panels[2:], strict=True
        ):  # both rows can be divided alike, where there is room for that
            above.setMinimumWidth(0 if is_narrow else below.minimumSizeHint().width())
        has_log = not self.banner.details.isHidden()
        self.banner.fit(is_short=self.height() < px(SHORT_PX))
        self.figures.setVisible(not has_log)
        self.batch.setVisible(self._maximised is None and not has_log and self.height() >= px(SHORT_PX))

    def _fit_side(self) -> None:
        """Give the system panel what its rows need; a person's own division stays until the rows change."""
        wanted = self.system.maximumHeight()
        if wanted != self._system_height and self._side.height() > 0:
            self._system_height = wanted
            total = sum(self._side.sizes())
            top = min(wanted, total // 2)
            self._side.setSizes([top, total - top])

    def _on_smooth_value_changed(self, value: float) -> None:
        self.smooth_label.setText(f"{value:.2f}")
        self.context.settings.set("train/smooth", value)
        self.charts.set_weight(value)

    def _on_mode_value_changed(self, mode: object) -> None:
        self.context.settings.set("train/x", mode)
        self.charts.set_mode(str(mode))

    def _on_ghost_value_changed(self, choice: object) -> None:
        self._ghost_choice = choice
        self._pace.tell_wish()

    def _on_fourth_value_changed(self, which: object) -> None:
        self.charts.gradient.setVisible(which == "gradient")
        self.charts.draw(3)
        self.flow.setVisible(which == "flow")
        self.epochs.setVisible(which == "epochs")
        self.panels[3].set_title("Epochs" if which == "epochs" else "Gradient")

    def _on_runs_state_changed(self, entry: RunEntry) -> None:
        if entry is self._entry or entry in self.ghost_entries:
            self._pace.tell_news()

    def _on_runs_started(self, entry: RunEntry) -> None:
        self._pinned = None
        self._choose_run()

    @classmethod
    def screenshot_states(cls):
        return {
            "maximised": lambda page: page.set_maximised(page.panels[0]),
            "epochs": lambda page: (page.fourth.set_value("epochs"), page._on_fourth_value_changed("epochs")),
            "flow": lambda page: (page.fourth.set_value("flow"), page._on_fourth_value_changed("flow")),
            "time": lambda page: (page.mode.set_value("time"), page.charts.set_mode("time")),
            "cross": lambda page: page.charts.set_cross(page.charts.position_of(page.entry.state.step // 2)),
            "queue": show_queue,
            "machines": show_machines,
            "marks": show_marks,
        } | FAULT_STATES


def show_queue(page) -> None:
    """Four runs that wait behind one another."""
    from studio.core.run_folder import create_run

    runs, draft = page.runs, page.store.experiment
    drafts = [draft.changed({"schedule.peak_lr": rate}) for rate in (3e-4, 1e-3, 3e-3, 1e-2)]
    folders = [create_run(runs.latest.folder.path.parent.with_name("queue"), each) for each in drafts]
    numbers = range(runs.entries[-1].number + 1, 100)
    runs.take(tuple(RunUpdate(folder, RunState(), each, False, n) for folder, each, n in zip(folders, drafts, numbers, strict=False)))
    runs._change_queue(lambda _names: [folder.name for folder in folders])


def show_machines(page) -> None:
    """A run that waits for two other machines."""
    from studio.core.run_folder import create_run

    runs = page.runs
    experiment = page.store.experiment.changed({"training.machines": 3, "training.rendezvous": "big-tower.local:29500"})
    folder = create_run(runs.latest.folder.path.parent.with_name("machines"), experiment)
    runs.take((RunUpdate(folder, RunState(), experiment, True, runs.entries[-1].number + 1),))
    page.show_argument(runs.entries[-1])
    page._pace.draw_now()


def describe_run(entry: RunEntry) -> str:
    """ "Run 4 · efficientnet_lite0 · 3 stages and head · bf16 on cuda:0"."""
    parts = [shown(entry.name.capitalize()), shown(entry.experiment.model.backbone), describe_training_part(entry)]
    if d := entry.state.description:
        parts.append(f"{d.precision} on {d.device_name if d.device == 'cpu' else d.device}")
    if entry.state.status is Status.FINISHED:
        parts.append(f"finished after {counted(len(entry.state.epochs), 'epoch')}")
    return " · ".join(parts)


def describe_training_part(entry: RunEntry) -> str:
    n = entry.experiment.model.train_stages
    if entry.experiment.model.thaw:
        return "stages thaw in time"
    return "everything trains" if n < 0 else "head only" if n == 0 else f"{counted(n, 'stage')} and head"
