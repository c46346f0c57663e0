"""The window. It paints before anything is loaded; `attach` then gives it the context and brings it to life."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from studio.core.path_text import text_to_path
from studio.core.problem import BadInput
from studio.gui.first_page import FirstPage
from studio.gui.pages import PAGES
from studio.gui.pages.data.open import pick_images, pick_table
from studio.gui.shell.rail import COMPACT as RAIL_COMPACT
from studio.gui.shell.rail import NARROW as RAIL_NARROW
from studio.gui.shell.rail import WIDTH as RAIL_WIDTH
from studio.gui.shell.rail import Rail
from studio.gui.shell.scrim import Scrim, open_scrims
from studio.gui.shell.toast import Toast
from studio.gui.shell.topbar import TopBar
from studio.gui.slices import Slices
from studio.gui.theme import px, theme

if TYPE_CHECKING:
    from studio.gui.page import Page

LEAST_SIZE = (1100, 660)
NARROW_BELOW, COMPACT_BELOW, SHORT_BELOW = 1360, 1200, 800
REFRESH_MS = 150
MAKE_AHEAD = ("train", "model", "schedule", "augment", "results", "use")  # the most likely next ones first
MAKE_NEXT_MS = 250
MOST_WAITS = 20  # times that long, for each page
ANNOUNCE_EVERY_S = 5.0


class Window(QMainWindow):
    """Top bar, rail, pages, inspector, run bar; palette, sheets and toasts over them."""

    closing = Signal()

    def __init__(self):
        super().__init__()
        self.setWindowTitle("Studio")
        self.setObjectName("shell.window")
        self.setMinimumSize(*LEAST_SIZE)
        self.resize(1440, 900)
        self.setAcceptDrops(True)
        self.setAnimated(False)  # else every new layout of a bar makes an animation
        self.context = None
        self.is_closed = False
        self._pages: dict[str, QWidget] = {}
        self._coming: Page | None = None  # being made ahead
        self._current = ""
        self._inspector_choice: bool | None = None  # the user's; None follows the width
        self._notices: list[tuple[str, str]] = []
        self._notifier = None  # made with the first run that ends
        self._page_shortcuts: list[QShortcut] = []
        self._announced = ("", 0.0)
        self.top_bar, self.rail = TopBar(), Rail()
        self.inspector: QWidget | None = None
        self.run_bar: QWidget | None = None
        self._stack = QStackedWidget()
        self._stack.setObjectName("shell.pages")
        self._wishes: list[Callable[[], object]] = []  # what was asked for before the window was alive
        self.first_page = FirstPage(self.open_folder_dialog, self.open_file_dialog, self._when_alive)
        self._stack.addWidget(self.first_page)
        self._lay_out()
        self._connect_parts()
        self._bind_keys()
        self.rail.set_current("data")
        first = self.first_page.welcome.zone.folder_button if self.first_page.welcome else self.rail.steps
        first.setFocus(Qt.FocusReason.OtherFocusReason)
        self.toast = Toast(self.centralWidget())
        self._timer = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._timer.timeout.connect(self._refresh)

    def _lay_out(self) -> None:
        central = QWidget(objectName="window")
        column = QVBoxLayout(central)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.top_bar)
        self._middle = QHBoxLayout()
        self._middle.setSpacing(0)
        self._middle.addWidget(self.rail)
        self._middle.addWidget(self._stack, 1)
        column.addLayout(self._middle, 1)
        self.setCentralWidget(central)

    # Coming to life

    def attach(self, context) -> None:
        """Connect everything to `context` and show the Data page."""
        # These two know experiments and runs; importing those takes longer than the first paint may.
        from studio.gui.shell.inspector import Inspector
        from studio.gui.shell.runbar import RunBar

        self.context = context
        self.inspector, self.run_bar = Inspector(), RunBar()
        self._middle.addWidget(self.inspector)
        self.centralWidget().layout().addWidget(self.run_bar)
        for part in (self.rail, self.top_bar, self.inspector, self.run_bar):
            part.attach(context)
        self.inspector.fold_requested.connect(self.toggle_inspector)
        self.run_bar.details_requested.connect(self.open_failure)
        self.run_bar.results_requested.connect(lambda entry: self.show_page("results", entry))
        self._connect_context(context)
        self.restore_look()
        self._refresh()
        self.show_page("data")

    def grant_wishes(self) -> None:
        """Do what was asked for before the window was alive, in that order."""
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            wish()

    def _when_alive(self, act: Callable) -> Callable:
        """`act`; until the window is alive its calls are kept and made then."""

        def call(*args) -> None:
            if self.context is None:
                self._wishes.append(partial(act, *args))
            else:
                act(*args)

        return call

    def _connect_parts(self) -> None:
        later = self._when_alive
        self.rail.step_chosen.connect(later(self.show_page))
        self.rail.settings_requested.connect(later(self.open_settings))
        self.rail.keyboard_map_requested.connect(later(self.open_keyboard_map))
        self.rail.notices_requested.connect(later(self.open_messages))
        self.top_bar.palette_requested.connect(later(self.open_palette))
        self.top_bar.theme_toggled.connect(later(self.toggle_theme))
        self.top_bar.inspector_toggled.connect(later(self.toggle_inspector))
        self.top_bar.project_menu_requested.connect(self._fill_project_menu)
        self.top_bar.train.train_requested.connect(later(self.train))
        theme().changed.connect(self.top_bar.refresh_theme_icon)

    def _connect_context(self, context) -> None:
        for signal in (
            context.store.experiment_changed, context.store.dataset_changed, context.store.problems_changed, context.scan.changed,
            context.runs.entries_changed, context.runs.state_changed, context.runs.active_changed, context.estimates.changed,
            context.disk.changed,
        ):  # fmt: skip
            signal.connect(self._refresh_soon)
        context.shell.toast_requested.connect(self.toast.show_message)
        context.shell.mention_requested.connect(self.toast.mention)
        context.store.history_changed.connect(lambda: self.toast.withdraw(context.store.undo))  # of the change that it tells of
        context.shell.notice_added.connect(self._on_notice_added)
        context.shell.refused.connect(self._on_refused)
        context.shell.page_requested.connect(self.show_page)
        context.shell.folder_requested.connect(self.open_folder_dialog)
        context.runs.failed_to_start.connect(lambda sentence: context.shell.toast(sentence))
        context.projects.noticed.connect(lambda sentence: context.shell.toast(sentence))
        context.runs.readiness.device_refused.connect(self._on_device_refused)
        context.runs.started.connect(lambda entry: self.show_page("train", entry) if self._current != "train" else None)
        context.runs.ended.connect(self._on_run_ended)
        context.runs.state_changed.connect(self._on_run_state_changed)
        context.runs.ended.connect(lambda entry: context.engines.warm_up() if context.runs.active is None else None)
        context.store.dataset_changed.connect(lambda dataset: self._prepare_engine())
        context.store.experiment_changed.connect(lambda old, new: self._prepare_engine())

    def start_background(self) -> None:
        """After the first paint: pick up live runs, recover the draft, look at the machine, warm the helpers up."""
        context = self.context
        context.attention.follow(self.windowHandle())
        context.runs.entries_changed.connect(self._on_first_runs)
        context.runs.start()
        context.projects.recover()
        context.estimates.refresh()
        self.top_bar.device.ask()
        context.engines.warm_up()

    def _on_first_runs(self) -> None:
        if not self.context.runs.is_loaded:
            return
        self.context.runs.entries_changed.disconnect(self._on_first_runs)
        active = self.context.runs.active
        if active is not None and self.context.settings.text("window/closed_during") == active.folder.name:
            self.context.shell.toast(
                f"{active.name.capitalize()} went on while the window was closed.", "Show", lambda: self.show_page("train")
            )
        self.context.settings.set("window/closed_during", "")
        if active is None and (num_waiting := len(self.context.runs.queued)):
            words = f"{num_waiting} runs wait. Start them?" if num_waiting > 1 else "One run waits. Start it?"
            self.context.shell.toast(words, "Start", self.context.runs.start_queue)

    def _prepare_engine(self) -> None:
        dataset = self.context.store.dataset
        if dataset is not None:
            self.context.engines.prepare(self.context.store.experiment, dataset)

    # Pages

    @property
    def current_page(self) -> str:
        return self._current

    def page(self, key: str) -> QWidget:
        """The page's widget, made if need be."""
        if key not in self._pages:
            slot = next(s for s in PAGES if s.key == key)
            welcome = self.first_page.hand_over() if key == "data" else None
            if self._coming is not None and self._coming.key == key:  # it is being made ahead
                made, self._coming = self._coming, None
                made.complete()
            else:
                made = slot.load()(self.context, welcome=welcome) if welcome else slot.load()(self.context)
            self._take_page(made)
        return self._pages[key]

    def _take_page(self, page: Page) -> None:
        self._pages[page.key] = page
        self._stack.addWidget(page)
        self._restore_splitters(page)

    def make_pages_ahead(self, most_waits: int = MOST_WAITS) -> None:
        """Make one page that was not visited yet, in pieces, and the next one in a while. Runs that are just being listed come first."""
        if self.is_closed or self._coming is not None:
            return
        if self.context is not None and self.context.runs.are_coming and most_waits:
            QTimer.singleShot(MAKE_NEXT_MS, self, lambda: self.make_pages_ahead(most_waits - 1))
            return
        key = next((key for key in MAKE_AHEAD if key not in self._pages), None)
        if key is not None and self.context is not None:
            self._coming = page = next(s for s in PAGES if s.key == key).load()(self.context, self._stack, in_pieces=True)
            pieces = Slices(page.pieces, page)
            pieces.finished.connect(self._on_page_made)
            self.closing.connect(pieces.stop)
            pieces.give_way_to(self.context.scan.first_look)
            pieces.start()
        elif self.context is not None:
            gc.freeze()  # the pages stay: looking through their 100,000 objects again and again would take 60 ms each time

    def _on_page_made(self) -> None:
        """Ahead, or on a visit while it was being made."""
        page, self._coming = self._coming, None
        if page is not None and page.is_whole:
            self._take_page(page)
        if page is None or page.is_whole:
            QTimer.singleShot(MAKE_NEXT_MS, self, self.make_pages_ahead)
        else:  # it has failed and said so, and says it again where it is visited
            page.deleteLater()

    def show_page(self, key: str, argument: object = None) -> None:
        page = self.page(key)
        if key != self._current:
            old = self._pages.get(self._current)
            self._current = key
            self._stack.setCurrentWidget(page)
            self.rail.set_current(key)
            if hasattr(old, "deactivate"):
                old.deactivate()
            if hasattr(page, "activate"):
                page.activate()
            self._bind_page_keys(page)
            self._apply_width()
        if argument is not None and hasattr(page, "show_argument"):
            page.show_argument(argument)

    # Keys

    def window_keys(self) -> list[tuple[str, str, object]]:
        """Keys, what they do, function. The palette and the keyboard map list the same."""
        return [
            ("Ctrl+K", "Search everything", self.open_palette),
            ("Ctrl+O", "Open folder", self.open_folder_dialog),
            ("Ctrl+Return", "Train, or queue behind the run on the same device", self.train),
            ("Ctrl+.", "Pause or go on", lambda: self.run_bar.toggle_pause()),
            ("Ctrl+Shift+.", "Stop", lambda: self.run_bar.stop()),
            ("Ctrl+Z", "Undo", lambda: self.context.store.undo()),
            ("Ctrl+Shift+Z", "Redo", lambda: self.context.store.redo()),
            ("Ctrl+I", "Fold or open the inspector", self.toggle_inspector),
            ("Ctrl+B", "Fold or open the rail", self.toggle_rail),
            ("Ctrl+Shift+T", "Dark or light", self.toggle_theme),
            ("Ctrl+F", "Search on the page", self._focus_search),
            ("F1", "Keyboard map", self.open_keyboard_map),
            ("F6", "To the message, or the next part of the window", self._focus_next_part),
        ]

    def page_keys(self, key: str) -> tuple[tuple[str, str, object], ...]:
        """The same of a page; none where it was not made yet."""
        page = self._pages.get(key)
        return page.shortcuts() if hasattr(page, "shortcuts") else ()

    def _bind_keys(self) -> None:
        later = self._when_alive
        for keys, _, function in self.window_keys():
            QShortcut(QKeySequence(keys), self, activated=function if function == self.open_folder_dialog else later(function))
        QShortcut(QKeySequence("Ctrl+Enter"), self, activated=later(self.train))
        QShortcut(QKeySequence("Ctrl+Shift+>"), self, activated=later(lambda: self.run_bar.stop()))  # what Shift makes of the full stop
        for index, slot in enumerate(PAGES, 1):
            QShortcut(QKeySequence(f"Ctrl+{index}"), self, activated=later(partial(self.show_page, slot.key)))

    def _bind_page_keys(self, page: QWidget) -> None:
        for old in self._page_shortcuts:
            old.setEnabled(False)
            old.deleteLater()
        self._page_shortcuts = []
        for keys, _, function in page.shortcuts() if hasattr(page, "shortcuts") else ():
            made = QShortcut(QKeySequence(keys), page, activated=function)
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self._page_shortcuts.append(made)

    def _focus_search(self) -> None:
        page = self._pages.get(self._current)
        if not (hasattr(page, "focus_search") and page.focus_search()):
            self.open_palette()

    def _focus_next_part(self) -> None:
        """A message first, which goes soon; what lies under a sheet is out of reach."""
        focus = self.toast.came_from if self.toast.has_keyboard else self.focusWidget()
        if self.toast.take_keyboard():
            return
        page = self._pages.get(self._current)
        parts = open_scrims(self.centralWidget())[-1:] or [
            p for p in (self.top_bar, self.rail, page, self.inspector, self.run_bar) if p is not None and p.isVisible()
        ]
        at = next((i for i, part in enumerate(parts) if focus is not None and (part is focus or part.isAncestorOf(focus))), -1)
        for offset in range(1, len(parts) + 1):
            part = parts[(at + offset) % len(parts)]
            target = _first_focusable(part)
            if target is not None:
                target.setFocus(Qt.FocusReason.TabFocusReason)
                return

    # What the user asks for

    def train(self) -> None:
        runs = self.context.runs
        if reason := runs.reason_not_to_train():
            if reason == runs.readiness.device_reason():
                self._on_device_refused(reason)
            else:
                self.context.shell.toast(reason)
            runs.readiness.ask_again()  # for the next press: a GPU may be back, a file in its place
            return
        in_the_way = runs.in_the_way(self.context.store.experiment.training)
        runs.train()
        if in_the_way:
            self.context.shell.toast(f"Queued after {in_the_way.name}.")

    def _on_device_refused(self, sentence: str) -> None:
        use_cpu = partial(self.context.store.set, {"training.device": "cpu"}, "device cpu")
        self.context.shell.toast(sentence, "Use cpu", use_cpu)

    def open_palette(self, text: str = "") -> None:
        from studio.gui.shell.palette import Palette
        from studio.gui.shell.window_commands import palette_commands

        if not hasattr(self, "palette_view"):
            self.palette_view = Palette(self.centralWidget(), partial(palette_commands, self))
            self.palette_view.attach(self.context)
        self.palette_view.open(text if isinstance(text, str) else "")

    def open_keyboard_map(self) -> None:
        from studio.gui.shell.sheet import keyboard_map
        from studio.gui.shell.window_commands import key_groups

        keyboard_map(self.centralWidget(), key_groups(self)).open()

    def open_settings(self) -> None:
        from studio.gui.shell.sheet import window_settings

        window_settings(self.centralWidget(), self.context).open()

    def open_messages(self) -> None:
        from studio.gui.shell.sheet import messages

        messages(self.centralWidget(), list(reversed(self._notices))).open()

    def open_failure(self, entry) -> None:
        from studio.gui.shell.sheet import failure

        failure(self.centralWidget(), self.context, entry).open()

    def toggle_theme(self) -> None:
        choice = "light" if theme().mode == "dark" else "dark"
        theme().set_choice(choice)
        self.context.settings.set("window/theme", choice)

    def toggle_inspector(self) -> None:
        self._inspector_choice = not self.inspector.is_folded
        self._apply_width()

    def toggle_rail(self) -> None:
        folded = not self.context.settings.flag("window/rail_folded", False)
        self.context.settings.set("window/rail_folded", folded)
        self._apply_width()

    def open_folder_dialog(self) -> None:
        pick_images(self, self._when_alive(self.open_path), self._home())

    def open_file_dialog(self) -> None:
        """A CSV of paths and labels, or an experiment file."""
        pick_table(self, self._when_alive(self.open_path), self._home())

    def _home(self) -> str:
        """Where a picker starts the first time: beside the images that are open."""
        source = self.context.store.experiment.data.source if self.context else ""
        return os.path.dirname(text_to_path(source))

    def open_path(self, path: str) -> None:
        """A folder or CSV becomes the data, an experiment file the draft."""
        try:
            if path.lower().endswith(".toml"):
                self.context.projects.open_experiment(path)
            else:
                self.context.projects.open_data(path)
        except BadInput as exc:
            self.context.shell.refuse(path, exc.problems)
            return
        self.show_page("data")

    def _fill_project_menu(self, menu: QMenu) -> None:
        from studio.gui.shell.project_menu import fill_project_menu

        fill_project_menu(menu, self)

    # Drops

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths:
            return
        event.acceptProposedAction()
        page = self._pages.get(self._current)
        if hasattr(page, "accept_drop") and page.accept_drop(paths):
            return
        self._when_alive(self.open_path)(paths[0])

    # Following

    def _refresh_soon(self, *_) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _refresh(self) -> None:
        from studio.gui.shell.summary import summaries

        self.rail.set_summaries(summaries(self.context))
        self.top_bar.train.refresh()
        self._place_toast()
        name = self.context.store.experiment.name
        self.setWindowTitle(f"{name} - Studio")
        self._apply_inspector_visibility()

    def _on_run_state_changed(self, entry) -> None:
        """Tell screen readers when the state of a run changes, at most once in 5 s."""
        now = time.monotonic()
        words = f"{entry.name} {entry.status}"
        if words != self._announced[0] and now - self._announced[1] >= ANNOUNCE_EVERY_S:
            self._announced = (words, now)
            if QAccessible.isActive():
                QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, words))

    def _on_notice_added(self, sentence: str) -> None:
        self._notices = [*self._notices, (time.strftime("%H:%M"), sentence)][-200:]

    def _on_refused(self, title: str, reasons) -> None:
        from studio.gui.shell.sheet import problems

        self._on_notice_added(f"{title}: {'; '.join(map(str, reasons))}")
        problems(self.centralWidget(), title, reasons).open()

    def _on_run_ended(self, entry) -> None:
        from studio.core.outcome import Status
        from studio.gui import wording
        from studio.gui.notify import Notifier

        self._notifier = self._notifier or Notifier(self)
        self._notifier.run_ended(entry)
        if entry.status is Status.FINISHED and entry.state.finished:
            top1 = entry.state.finished.top1
            words = f"{entry.name.capitalize()} finished{'' if top1 is None else f', {wording.percent(top1)}'}."
            self.context.shell.toast(words, "See results", lambda: self.show_page("results", entry))
        elif entry.status in (Status.FAILED, Status.CRASHED) and entry.outcome:
            self.context.shell.toast(entry.outcome.sentence, "Details", lambda: self.open_failure(entry))

    def changeEvent(self, event) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            if self._notifier is not None:
                self._notifier.window_activated()
            if self.context is not None and not self.is_closed:
                self.context.disk.look_again()

    # Look

    def restore_look(self) -> None:
        settings = self.context.settings
        geometry = settings.blob("window/geometry")
        if not geometry.isEmpty():
            self.restoreGeometry(geometry)
        stored = settings.text("window/inspector_folded")
        self._inspector_choice = None if not stored else stored == "true"
        self._apply_width()

    def _restore_splitters(self, page: QWidget) -> None:
        for part in page.findChildren(QSplitter):
            if part.objectName() and self.context is not None:
                stored = self.context.settings.blob(f"splitter/{part.objectName()}")
                if not stored.isEmpty():
                    part.restoreState(QByteArray(stored))

    def _store_look(self) -> None:
        settings = self.context.settings
        settings.set("window/geometry", self.saveGeometry())
        if self._inspector_choice is not None:
            settings.set("window/inspector_folded", self._inspector_choice)
        for page in self._pages.values():
            for part in page.findChildren(QSplitter):
                if part.objectName():
                    settings.set(f"splitter/{part.objectName()}", part.saveState())

    def _apply_width(self) -> None:
        narrow = self.width() < px(NARROW_BELOW)
        # Pages with columns of their own on the right start with the strip.
        by_page = self._current in ("augment", "schedule", "train", "results", "use")
        folded = narrow or by_page if self._inspector_choice is None else self._inspector_choice
        if self.inspector is not None and folded != self.inspector.is_folded:
            self.inspector.set_folded(folded)
        is_rail_folded = self.context.settings.flag("window/rail_folded", False) if self.context else False
        rail_width = RAIL_NARROW if is_rail_folded else RAIL_COMPACT if self.width() < px(COMPACT_BELOW) else RAIL_WIDTH
        self.rail.set_width(rail_width)
        self.top_bar.set_rail_width(rail_width)
        self.rail.set_short(self.height() < px(SHORT_BELOW))
        self._apply_inspector_visibility()

    def _apply_inspector_visibility(self) -> None:
        """Nothing to inspect before there is data."""
        if self.inspector is not None:
            self.inspector.setVisible(bool(self.context.store.experiment.data.source))

    def _place_toast(self) -> None:
        self.toast.place(self.run_bar.height() if self.run_bar is not None and self.run_bar.isVisible() else 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._apply_width()
        self._place_toast()
        for child in self.centralWidget().children():
            if isinstance(child, Scrim):
                child.setGeometry(self.centralWidget().rect())

    def closeEvent(self, event: QCloseEvent) -> None:
        self.is_closed = True
        self.closing.emit()
        if self.context is not None:
            active = self.context.runs.active
            self.context.settings.set("window/closed_during", active.folder.name if active else "")
            self._store_look()
            self.hide()  # what follows may wait for a thread
            self.context.close()
        super().closeEvent(event)


def _first_focusable(part: QWidget) -> QWidget | None:
    for child in part.findChildren(QWidget):
        if child.isVisible() and child.isEnabled() and child.focusPolicy() & Qt.FocusPolicy.TabFocus:
            return child
    return None
