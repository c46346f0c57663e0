"""The menu behind the project's name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence
from PySide6.QtWidgets import QMenu

from studio.core.path_text import text_to_path
from studio.core.problem import BadInput
from studio.gui.icon import icon

if TYPE_CHECKING:
    from studio.gui.context import Context
    from studio.gui.window import Window


def fill_project_menu(menu: QMenu, window: Window) -> None:
    """As things are now; before the window is alive a folder can be opened."""
    menu.clear()
    if window.context is None:
        menu.addAction(icon("folder-notch-open"), "Open folder…", QKeySequence("Ctrl+O"), window.open_folder_dialog)
        return
    context, projects = window.context, window.context.projects
    menu.addAction(icon("plus"), "New", projects.create)
    menu.addAction(icon("folder-notch-open"), "Open folder…", QKeySequence("Ctrl+O"), window.open_folder_dialog)
    menu.addAction(icon("table"), "Open CSV or experiment…", window.open_file_dialog)
    recent = menu.addMenu(icon("clock-counter-clockwise"), "Recent")
    for project in projects.recent():
        name = project.name.replace("&", "&&") + ("" if project.is_source_there else "   (folder has moved)")
        recent.addAction(name, partial(_open, context, project))
    recent.setEnabled(not recent.isEmpty())
    menu.addSeparator()
    menu.addAction(icon("pencil-simple"), "Rename…", partial(_rename, window))
    menu.addAction(icon("copy"), "Duplicate", projects.duplicate)
    source = context.store.experiment.data.source
    reveal = menu.addAction(icon("arrow-square-out"), "Show images in the file manager", partial(_reveal, source))
    reveal.setEnabled(bool(source))


def _open(context: Context, project) -> None:
    try:
        context.projects.open(project)
    except BadInput as exc:
        context.shell.refuse(project.name, exc.problems)


def _rename(window: Window) -> None:
    from studio.gui.shell.sheet import rename

    rename(window.centralWidget(), window.context).open()


def _reveal(source: str) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(text_to_path(source)))
