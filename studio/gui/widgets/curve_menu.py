"""The menu of a CurvePlot: fit, log axis, its values, its picture, and which curves are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QMenu

from studio.core.file import write_atomically
from studio.gui.widgets.file_dialog import pick_new_file, png_bytes

if TYPE_CHECKING:
    from studio.gui.widgets.curve_plot import CurvePlot


def curve_menu(plot: CurvePlot) -> QMenu:
    """Everything that can be done with the plot as it is now; the plot owns the menu."""
    menu = QMenu(plot)
    menu.addAction("Fit", plot.fit)
    log = QAction("Log axis", menu, checkable=True, checked=plot.is_log)
    log.toggled.connect(plot.set_log)
    menu.addAction(log)
    menu.addSeparator()
    menu.addAction("Read values…", plot.read_values)
    menu.addAction("Copy values", lambda: QGuiApplication.clipboard().setText(plot.values_text()))
    menu.addAction("Save values as CSV…", lambda: plot.read_values().save())
    menu.addAction("Copy picture", lambda: QGuiApplication.clipboard().setPixmap(plot.grab()))
    menu.addAction("Save as PNG…", lambda: _save_picture(plot))
    menu.addSeparator()
    for key in plot.legend_keys():
        label = plot.style_of(key).label.replace("&", "&&")
        action = QAction(label, menu, checkable=True, checked=not plot.is_curve_hidden(key))
        action.toggled.connect(lambda on, key=key: plot.set_curve_hidden(key, not on))
        menu.addAction(action)
    return menu


def _save_picture(plot: CurvePlot) -> None:
    image = plot.grab().toImage()  # as it was when it was asked for

    def write(path: str) -> None:
        write_atomically(path, png_bytes(image))

    pick_new_file(plot, "curves", f"Save {plot.title} as a picture", "PNG picture", f"{plot.title.lower()}.png", write)
