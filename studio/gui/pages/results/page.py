"""Results: all runs side by side, and one of them down to single images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QLineEdit, QMenu, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.needs_run import NeedsRun
from studio.gui.page import Page
from studio.gui.pages.results.actions import RunActions
from studio.gui.pages.results.answers import Answers
from studio.gui.pages.results.cam import CamLoader
from studio.gui.pages.results.compare import MAX_RUNS, ComparePanel
from studio.gui.pages.results.confusion_panel import ConfusionPanel
from studio.gui.pages.results.mistakes import Card, MistakesPanel
from studio.gui.pages.results.notebook import Notebook
from studio.gui.pages.results.rows import COLUMNS, SEARCH_HELP, RunRow
from studio.gui.pages.results.run_menu import run_menu
from studio.gui.pages.results.sample_states import states
from studio.gui.pages.results.score_again import ScoreAgain
from studio.gui.pages.results.side import SidePanel
from studio.gui.pages.results.table import ROW_PX, RunsModel, RunsTable
from studio.gui.pages.results.test import TestScore
from studio.gui.run_entry import RunEntry
from studio.gui.theme import px
from studio.gui.widgets.button import Segmented, button, icon_button
from studio.gui.widgets.label import set_plain_tooltip
from studio.gui.widgets.panel import Panel, splitter
from studio.gui.widgets.state import Banner
from studio.gui.widgets.thumb import ThumbLoader

REDRAW_MS = 200  # tables and curves over epochs: nobody reads faster
NARROW_PX = 1000  # page width under which words stand closer
SHORT_PX = 700
MANY_ROWS, ROWS_MS = 200, 500
MAX_TITLE, MAX_NOTE = 80, 10_000


class ResultsPage(Page):
    """The chosen run fills the panels; checked runs are compared. `show_argument(entry)` chooses a run."""

    key, title = "results", "Results"

    def make(self) -> Iterator[None]:
        context = self.context
        self.runs = context.runs
        self.actions = RunActions(context)
        self.notebook = Notebook(context.background, self)
        self.notebook.failed.connect(context.shell.toast)
        self._rows: dict[str, RunRow] = {}
        self._chosen: RunEntry | None = None
        self._is_in_front = False
        self._has_checked = False
        self._checked_at_first: set[str] = set()
        self._checked_away: set[str] = set()  # those that left while they were checked, and may be taken back
        self._is_arranging = False
        self._has_old_rows = False  # a run has changed since its row was made
        self._progress = (0, 0)  # runs read for the first time, runs there
        self._timer = QTimer(self, singleShot=True, interval=REDRAW_MS)
        self._timer.timeout.connect(self._refresh_in_parts)
        self._chosen_timer = QTimer(self, singleShot=True, interval=0)
        self._chosen_timer.timeout.connect(self._show_chosen)
        self._rows_timer = QTimer(self, singleShot=True, interval=ROWS_MS)
        self._rows_timer.timeout.connect(self._update_rows)
        self.loader = ThumbLoader(self)
        self.cams = CamLoader(context.probe, self)
        self.cams.failed.connect(self._on_cams_failed)
        self.destroyed.connect(self.loader.close)
        yield
        self._build_head()
        yield
        yield from self._build_body()
        yield
        self.notebook.changed.connect(self._on_notebook_changed)
        self.runs.entries_changed.connect(self._on_runs_entries_changed)
        self.runs.state_changed.connect(self._on_run_state_changed)
        self.runs.monitor.listed.connect(self._on_monitor_listed)
        self.runs.monitor.progressed.connect(self._on_monitor_progressed)
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.store.dataset_changed.connect(lambda _: self._schedule())
        self._on_runs_entries_changed()

    # Building

    def _build_head(self) -> None:
        self.part = Segmented([("curves", "Curves, confusion"), ("mistakes", "Mistakes")], "curves", name="results.part")
        self.part.setAccessibleName("Lower half of the page")
        self.part.value_changed.connect(lambda _: self._fit_height())
        self.search = QLineEdit(placeholderText="Run, tag, setting")
        self.search.setObjectName("results.search")
        self.search.setAccessibleName("Search runs")
        self.search.setAccessibleDescription(SEARCH_HELP)
        set_plain_tooltip(self.search, SEARCH_HELP)
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(px(150))
        self.search.textChanged.connect(self._on_search_text_changed)
        self.columns_button = icon_button("columns", "Choose columns", name="results.columns")
        self.columns_button.setMenu(self._columns_menu())
        self.use_button = button("Try and export", "package", name="results.use", on_click=self.use_chosen)
        self.more_button = icon_button("dots-three", "More for this run", name="results.more", on_click=self.open_menu)
        self._controls = QWidget()
        row = QHBoxLayout(self._controls)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        for widget in (self.part, self.search, self.columns_button, self.use_button, self.more_button):
            row.addWidget(widget)
        self.head.addWidget(self._controls)

    def _columns_menu(self) -> QMenu:
        menu = QMenu(self)
        hidden = set(self.context.settings.names("results/hidden"))
        for column in COLUMNS[3:]:
            action = QAction(column.title, menu, checkable=True, checked=column.key not in hidden)
            action.toggled.connect(lambda on, key=column.key: self._on_column_toggled(key, not on))
            menu.addAction(action)
        return menu

    def _build_body(self) -> Iterator[None]:
        self.banner = Banner(name="results.banner")
        self.body.addWidget(self.banner)
        self.stack = QStackedWidget()
        self.body.addWidget(self.stack, 1)
        self.empty = NeedsRun(self.context, "trophy", "No runs yet", "The first finished epoch shows up here.", name="results.empty")
        self.stack.addWidget(self.empty)
        full = QWidget()
        self.stack.addWidget(full)
        yield from self._fill(full)

    def _fill(self, full: QWidget) -> Iterator[None]:
        self._middle = splitter(Qt.Orientation.Horizontal, name="results.columns.split")
        self._lower = splitter(Qt.Orientation.Vertical, self._middle, name="results.lower")
        column = QVBoxLayout(full)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(12))
        self.model = RunsModel(self)
        self.table = RunsTable(self.model)
        self.table.hidden_keys = set(self.context.settings.names("results/hidden"))
        runs = Panel(name="results.runs.panel", margins=False)
        runs.body.addWidget(self.table)
        runs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._runs_panel = runs
        column.addWidget(runs)
        column.addWidget(self._lower, 1)
        yield
        self.compare = ComparePanel()
        self._middle.addWidget(self.compare)
        yield
        self.confusion = ConfusionPanel()
        self._middle.addWidget(self.confusion)
        yield
        self.side = SidePanel()
        self._middle.addWidget(self.side)
        yield
        self.test_score = TestScore(self.context, self.notebook)
        self.side.details.add_below(self.test_score)
        self.score_again = ScoreAgain(self.context)
        self.side.details.add_below(self.score_again)
        yield
        self.mistakes = MistakesPanel(self.loader, self.cams)
        self.answers = Answers(self.context, self.loader, self.confusion, self.mistakes)
        yield
        self._lower.addWidget(self.mistakes)
        for parts, shares in ((self._middle, (10, 10, 9)), (self._lower, (1, 0))):
            for place, share in enumerate(shares):
                parts.setStretchFactor(place, share)
        self._middle.setSizes([px(340), px(340), px(300)])
        self._lower.setSizes([px(400), px(186)])
        self.mistakes.setMinimumHeight(px(184))
        self._connect()

    def _connect(self) -> None:
        model, table, details = self.model, self.table, self.side.details
        for renamed in (model.renamed, details.title_edited):
            renamed.connect(lambda row, text: self._rename(row.entry, text))
        for tagged in (model.tagged, details.tags_edited):
            tagged.connect(lambda row, before, text: self.notebook.tag(row.entry.folder, before, text))
        table.chosen_changed.connect(self._on_table_chosen_changed)
        table.check_toggled.connect(lambda row: self.toggle_check(row.entry))
        table.star_toggled.connect(lambda row: self.toggle_star(row.entry))
        table.menu_wanted.connect(lambda row, at: run_menu(self).popup(at))
        table.delete_wanted.connect(self.ask_to_delete)
        table.editor_closed.connect(self._on_table_editor_closed)
        table.opened.connect(lambda row: self.context.shell.go_to("train", row.entry))
        self.mistakes.relabel_wanted.connect(self.actions.relabel)
        self.mistakes.leave_out_wanted.connect(self.actions.leave_out)
        self.mistakes.confirm_wanted.connect(self._confirm)
        self.side.restore_wanted.connect(self.restore_chosen)
        self.side.compared.connect(self.runs.read_whole)
        details.note_edited.connect(lambda row, text: self.notebook.edit(row.entry.folder, note=text[:MAX_NOTE]))

    # Coming and going

    def activate(self) -> None:
        self._is_in_front = True
        self._read_notes_again()
        self._refresh()

    def deactivate(self) -> None:
        self._is_in_front = False
        self._timer.stop()
        self._chosen_timer.stop()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.WindowActivate and self.is_whole and self._is_in_front:
            self._read_notes_again()
        return super().event(event)

    def _read_notes_again(self) -> None:
        self.notebook.read_again(e.folder for e in self.runs.listed)

    def show_argument(self, argument: object) -> None:
        if isinstance(argument, RunEntry):
            self.search.clear()
            self.table.choose(argument)

    def is_busy(self) -> bool:
        return self.answers.is_busy or self.loader.is_busy

    def focus_search(self) -> bool:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()
        return True

    def shortcuts(self) -> tuple[tuple[str, str, Callable[[], object]], ...]:
        def on_chosen(act: Callable[[RunEntry], object]) -> None:
            if self._chosen is not None:
                act(self._chosen)

        return (
            ("X", "Run in or out of Compare", lambda: on_chosen(self.toggle_check)),
            ("A", f"Compare the first {MAX_RUNS} runs of the list", self.check_first),
            ("Shift+X", "Clear Compare", self.clear_checks),
            ("*", "Star the run", lambda: on_chosen(self.toggle_star)),
            ("F2", "Rename the run", self.rename_chosen),
            ("S", "Sort runs by the next column", self.table.sort_by_next),
            ("Shift+S", "Turn the order of the runs", self.table.turn_order),
            ("N", "Next mistake", self.mistakes.next_mistake),
            ("L", "Relabel the mistake", self.mistakes.open_relabel_menu),
        )

    # Rows

    @property
    def chosen(self) -> RunRow | None:
        """The row of the run that the panels show."""
        return self._rows.get(self._chosen.folder.name) if self._chosen else None

    def _on_runs_entries_changed(self) -> None:
        self.notebook.read(e.folder for e in self.runs.listed)
        self._update_rows_soon()

    def _on_run_state_changed(self, entry: RunEntry) -> None:
        row = self._rows.get(entry.folder.name)
        if row is not None and row.summary is not entry.summary:
            self._has_old_rows = True
        self._schedule()

    def _on_monitor_listed(self) -> None:
        if self._rows_timer.isActive():  # no more come
            QTimer.singleShot(0, self, self._update_rows)

    def _on_monitor_progressed(self, num_read: int, num_there: int) -> None:
        before, self._progress = self._progress, (num_read, num_there)
        if self._is_in_front and (num_read < num_there or before[0] < before[1]):
            self._show_subtitle()

    def _on_notebook_changed(self) -> None:
        self._update_rows_soon()

    def _update_rows_soon(self) -> None:
        """At once while there are few rows. Thousands arrive in many parts: the table takes them twice a second."""
        if len(self._rows) < MANY_ROWS:
            self._update_rows()
            if not self._is_in_front:
                return
            if len(self._rows) < MANY_ROWS:
                self._refresh()
            else:  # the table first; what lies below it follows
                self._show_which()
        elif not self._rows_timer.isActive():
            self._rows_timer.start()

    def _update_rows(self) -> None:
        if self.table.is_editing:  # where runs come or go its editor closes
            self._rows_timer.start()
            return
        self._rows_timer.stop()
        self._is_arranging = True
        old, notes_of, rows = self._rows, self.notebook.of, {}
        for entry in self.runs.listed:
            name, notes, last = entry.folder.name, notes_of(entry.folder), old.get(entry.folder.name)
            rows[name] = last if last and last.summary is entry.summary and last.notes is notes else RunRow(entry, notes)
        self._rows, self._has_old_rows = rows, False
        best = self.runs.best and rows.get(self.runs.best.folder.name)
        self.model.best_name = best.entry.folder.name if best else ""
        if not self._has_checked and self.model.checked == self._checked_at_first:
            self._has_checked = bool(best)  # runs without validation give way to the first one with it
            finished = self.runs.finished
            some = [e for e in finished if e.summary.top1 is not None] if best else finished
            self.model.checked = {e.folder.name for e in some[-3:]}
            self._checked_at_first = set(self.model.checked)
        there = self.model.checked & rows.keys()
        away = self._checked_away | self.model.checked - there
        back = sorted(away & rows.keys())[: MAX_RUNS - len(there)]
        self.model.checked, self._checked_away = there.union(back), away - rows.keys()
        self.model.set_rows(list(rows.values()))
        if self._chosen is None or self._chosen.folder.name not in rows:
            first = best or next(reversed(rows.values()), None)
            self._chosen = None
            if first:
                self.table.choose(first.entry)
        elif self.table.chosen is None:
            self.table.choose(self._chosen, scroll=False)
        self._is_arranging = False
        self._fit_table()
        self._schedule()

    def _fit_table(self) -> None:
        most = 4 if self.height() < px(SHORT_PX) else 6
        rows = max(1, min(most, len(self._rows)))
        self._runs_panel.setFixedHeight(px(28) + rows * px(ROW_PX) + 4)

    def _schedule(self) -> None:
        if self._is_in_front and not self._timer.isActive():
            self._timer.start()

    def _refresh(self) -> None:
        """Draw everything from the rows; cheap where nothing changed."""
        self._refresh_compared()
        self._show_chosen()

    def _refresh_in_parts(self) -> None:
        """As `_refresh`, in two turns of the event loop."""
        self._refresh_compared()
        self._chosen_timer.start()

    def _refresh_compared(self) -> None:
        if self._has_old_rows:
            if len(self._rows) < MANY_ROWS:
                self._update_rows()
            elif not self._rows_timer.isActive():
                self._rows_timer.start()
        self._show_which()
        self.compare.show_rows(sorted((self._rows[n] for n in self.model.checked if n in self._rows), key=lambda r: r.entry.number))

    def _show_which(self) -> None:
        """The runs, or that there are none."""
        self.stack.setCurrentIndex(1 if self._rows else 0)
        self._controls.setVisible(bool(self._rows))
        self._show_subtitle()

    def _show_subtitle(self) -> None:
        finished, live = self.runs.num_ended_well, len(self.runs.going)
        parts = [counted(finished, "finished run") + (f", {live} live" if live else "")] if self._rows else []
        num_read, num_there = self._progress
        if num_read < num_there:
            parts.append(f"reading run {num_read:,} of {num_there:,}")
        row = self.chosen
        if row and row.state.description:
            held_back = counted(row.state.description.num_validation, "image")
            parts.append(f"validation set, {held_back}" if row.state.is_measured else "no images held back")
        self.set_subtitle(" · ".join(parts))

    def _on_table_editor_closed(self) -> None:
        if self._rows_timer.isActive():
            QTimer.singleShot(0, self, self._update_rows)  # another run may be about to be chosen

    # The chosen run

    def _on_table_chosen_changed(self, entry: RunEntry | None) -> None:
        if entry is not None and entry is not self._chosen:
            self._chosen = entry
            self.answers.leave_run()
            self.banner.hide()
            if self._is_in_front and not self._is_arranging:  # else everything is drawn afterwards
                self._show_chosen()

    def _show_chosen(self) -> None:
        row = self.chosen
        is_usable = row is not None and bool(row.summary.has_checkpoint or row.summary.epochs_done)
        if row is not None:
            self.runs.read_whole(row.entry)
        self.use_button.setEnabled(is_usable)
        set_plain_tooltip(self.use_button, "" if is_usable else "The run has no finished epoch yet.")
        self.side.show_run(row, list(self._rows.values()), self.model.checked, self.store.experiment)
        self.test_score.show_row(row)
        self.score_again.show_row(row)
        self.answers.show_row(row)

    # What people do

    def toggle_check(self, entry: RunEntry) -> None:
        name = entry.folder.name
        if name in self.model.checked:
            self.model.checked.discard(name)
        elif len(self.model.checked) >= MAX_RUNS:
            self.context.shell.toast(f"Compare shows {MAX_RUNS} runs at most. Uncheck one first.")
            return
        else:
            self.model.checked.add(name)
        self.model.refresh()
        self._refresh()

    def check_first(self) -> None:
        """Those at the top, as the table is searched and sorted now: the runs of a sweep side by side. Runs without an epoch have nothing to draw."""
        self.model.checked = {row.entry.folder.name for row in [r for r in self.model.rows if r.summary.epochs_done][:MAX_RUNS]}
        self._has_checked = True
        self.model.refresh()
        self._refresh()

    def clear_checks(self) -> None:
        self.model.checked.clear()
        self.model.refresh()
        self._refresh()

    def toggle_star(self, entry: RunEntry) -> None:
        self.notebook.edit(entry.folder, is_starred=not self.notebook.of(entry.folder).is_starred)

    def rename_chosen(self) -> None:
        self.table.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.table.rename()

    def use_chosen(self) -> None:
        if self._chosen:
            self.context.shell.go_to("use", self._chosen)

    def restore_chosen(self) -> None:
        if self.chosen:
            self.actions.restore(self.chosen)

    def clone_chosen(self) -> None:
        """The chosen run's settings as the draft, ready to be changed and trained."""
        if self.chosen:
            self.actions.restore(self.chosen)
            self.context.shell.go_to("schedule")

    def ask_to_delete(self) -> None:
        row = self.chosen
        if row is None or row.entry.is_active:
            return
        self.banner.show_message(
            "warning", f"Delete {row.name}?", f"Its folder moves to the bin ({shown(row.entry.folder.name)}); until that is emptied it takes up room.",
            (("Delete", lambda: self._delete(row)), ("Keep", self._keep)),
        )  # fmt: skip
        if self.table.hasFocus():  # it was asked for by the keyboard: so can the answer be
            self.banner.findChild(QAbstractButton, "results.banner.action0").setFocus(Qt.FocusReason.ShortcutFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.banner.isVisible():
            self._keep()
        else:
            super().keyPressEvent(event)

    def _keep(self) -> None:
        self.banner.hide()
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _delete(self, row: RunRow) -> None:
        self._keep()
        self.actions.delete(row)

    def open_menu(self) -> None:
        if self.chosen:
            run_menu(self).popup(self.more_button.mapToGlobal(QPoint(0, self.more_button.height() + 2)))

    def edit_details(self) -> None:
        self.side.set_view("details")
        self.side.details.tags.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _rename(self, entry: RunEntry, text: str) -> None:
        """An empty name, or the run's own, takes the title away."""
        title = " ".join(text.split())[:MAX_TITLE]
        self.notebook.edit(entry.folder, title="" if title == entry.name else title)

    def _confirm(self, card: Card) -> None:
        row = self.chosen
        if row is not None:
            ids = [i for i in self.notebook.of(row.entry.folder).confirmed if i != card.mistake.id]
            self.notebook.edit(row.entry.folder, confirmed=tuple(ids if card.is_confirmed else [*ids, card.mistake.id]))
            self.mistakes.next_mistake()

    # Signals

    def _on_store_experiment_changed(self, old, new) -> None:
        self._schedule()

    def _on_search_text_changed(self, text: str) -> None:
        self.model.set_query(text)
        if self.table.chosen is None and self.model.rows:
            self.table.choose(self._chosen if self.model.row_of(self._chosen) is not None else self.model.rows[0].entry)

    def _on_column_toggled(self, key: str, hidden: bool) -> None:
        self.table.set_column_hidden(key, hidden)
        self.context.settings.set("results/hidden", sorted(self.table.hidden_keys))

    def _on_cams_failed(self, sentence: str) -> None:
        self.context.shell.toast(sentence)

    def fit(self) -> None:
        self._fit_height()
        for panel in (self.compare, self.confusion, self.side):
            panel.set_narrow(self.width() < px(NARROW_PX))

    def _fit_height(self) -> None:
        """In a low window the mistakes are the second half of a switch."""
        is_short = self.height() < px(SHORT_PX)
        self.part.setVisible(is_short)
        self._middle.setVisible(not is_short or self.part.value == "curves")
        self.mistakes.setVisible(not is_short or self.part.value == "mistakes")
        self._fit_table()

    @classmethod
    def screenshot_states(cls):
        return states()
