"""What can be done with the chosen run, as a menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu

from studio.core.outcome import Status
from studio.gui.pages.results.compare import MAX_RUNS

if TYPE_CHECKING:
    from studio.gui.pages.results.page import ResultsPage


def run_menu(page: ResultsPage) -> QMenu:
    """Of the run that is chosen on the page; empty where there is none. It goes when it is closed."""
    menu = QMenu(page)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    row = page.chosen
    if row is None:
        return menu
    entry = row.entry
    menu.addAction("Show on the Train page", lambda: page.context.shell.go_to("train", entry))
    menu.addAction("Try and export", page.use_chosen).setEnabled(page.use_button.isEnabled())
    is_waiting = entry.status is Status.QUEUED
    menu.addAction("Edit as draft" if is_waiting else "Restore into the draft", page.restore_chosen)  # the former as in the rail
    start = menu.addAction("Start from its weights", lambda: page.context.shell.go_to("model", entry))
    start.setToolTip("Train its network further, also with more classes: rows of classes of the same name are kept")
    start.setEnabled(bool(entry.state.epochs) and not entry.is_active)
    menu.addAction("Clone with changes…", page.clone_chosen)
    menu.addAction(f"Compare the first {MAX_RUNS} of the list\tA", page.check_first)
    if is_waiting:
        menu.addAction("Start now", lambda: page.context.runs.start_now(entry))
        menu.addAction("Put into the queue", lambda: page.context.runs.enqueue(entry)).setEnabled(entry not in page.context.runs.queued)
    outcome = entry.outcome
    menu.addAction("Resume", lambda: page.actions.resume(row)).setEnabled(bool(outcome and outcome.can_resume))
    menu.addSeparator()
    menu.addAction("Rename", page.rename_chosen)
    menu.addAction("Remove star" if row.notes.is_starred else "Star", lambda: page.toggle_star(entry))
    menu.addAction("Tags and note", page.edit_details)
    menu.addAction("Copy folder path", lambda: QGuiApplication.clipboard().setText(str(entry.folder.path)))
    menu.addSeparator()
    menu.addAction("Delete…\tDel", page.ask_to_delete).setEnabled(not entry.is_active)
    return menu
