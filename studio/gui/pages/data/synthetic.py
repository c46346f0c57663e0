"""Synthetic folders: made images that are only ever trained on, their share of an epoch, and their counts apart from the real ones."""

from __future__ import annotations

import os

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from studio.core.experiment import Data
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.words import counted
from studio.dataset.dataset import Dataset
from studio.gui.context import Context
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, PlainLabel, Slider, icon_button, set_plain_tooltip
from studio.gui.widgets.chip_row import menu_text
from studio.gui.widgets.file_dialog import pick_folder
from studio.gui.wording import count, percent

_MOST_SHARE = 0.9


def marked(data: Data, path: str) -> tuple[str, ...]:
    """The synthetic folders with one more; one inside the source by its path there, so that the project can move."""
    source = os.path.abspath(text_to_path(data.source))
    inside = os.path.relpath(path, source) if os.path.abspath(path).startswith(source + os.sep) else ""
    name = path_to_text(inside.replace(os.sep, "/") if inside else os.path.abspath(path))
    return data.synthetic if name in data.synthetic else (*data.synthetic, name)


class SyntheticRow(QWidget):
    """One line below the split bar, there while a folder is marked: counts, the share as a slider, and the folders in a menu."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self._context, self._store = context, context.store
        row = QHBoxLayout(self)
        row.setContentsMargins(px(12), 0, px(8), px(4))
        row.setSpacing(px(6))
        row.addWidget(IconLabel("magic-wand", "text2", 14))
        self.words = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        row.addWidget(self.words, 1)
        self.slider = Slider(0.0, _MOST_SHARE, 0.3, default=0.3, name="data.synthetic_share")
        self.slider.setFixedWidth(px(84))
        self.slider.setAccessibleName("Synthetic share of an epoch")
        self.slider.value_changed.connect(self._on_share_changed)
        self.slider.drag_started.connect(self._store.begin_drag)
        self.slider.drag_ended.connect(self._store.end_drag)
        self.share_label = PlainLabel("", "number")
        self.share_label.setFixedWidth(px(38))
        self.menu_button = icon_button("dots-three", "Synthetic folders", small=True, name="data.synthetic_menu")
        self.menu_button.clicked.connect(lambda: self.menu().popup(self.menu_button.mapToGlobal(QPoint(0, self.menu_button.height()))))
        for widget in (self.slider, self.share_label, self.menu_button):
            row.addWidget(widget)
        self.hide()

    def show_state(self, dataset: Dataset, data: Data) -> None:
        self.setVisible(bool(data.synthetic))
        if not data.synthetic:
            return
        made, share = len(dataset.synthetic), data.synthetic_fraction
        used = dataset.epoch_size(share) - len(dataset.part("train"))
        self.slider.set_number(share)
        self.share_label.setText(percent(share, 0))
        self.words.setText(f"Synthetic: {counted(made, 'image')}, {count(used)} per epoch")
        lines = [f"{shown(name)}: {n:,}" for name, n in dataset.synthetic_counts().items()]
        folders = ", ".join(shown(folder) for folder in data.synthetic)
        set_plain_tooltip(
            self, "\n".join([f"Only ever used for training. From {folders}.", *lines[:20], *(["…"] if len(lines) > 20 else [])])
        )
        self.setAccessibleName(f"{self.words.text()}, {percent(share, 0)} of an epoch")

    def menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Add a synthetic folder…").triggered.connect(lambda *_: self.ask_for_folder())
        menu.addSeparator()
        for folder in self._store.experiment.data.synthetic:
            menu.addAction(f"Take {menu_text(folder)} off").triggered.connect(lambda *_, folder=folder: self.take_off(folder))
        return menu

    def ask_for_folder(self) -> None:
        source = text_to_path(self._store.experiment.data.source)
        pick_folder(self.window(), "synthetic", "Mark a folder as synthetic", self.add, start=source)

    def add(self, path: str) -> None:
        """Mark a folder with one sub-folder per class."""
        data = self._store.experiment.data
        name = shown(os.path.basename(path))
        folders = marked(data, path)
        if folders == data.synthetic:
            self._context.shell.toast(f"“{name}” is marked synthetic already.")
            return
        self._store.set({"data.synthetic": folders}, f"synthetic folder {name}")
        self._context.shell.toast(f"“{name}” is only used for training from now on.", "Undo", self._store.undo)

    def take_off(self, folder: str) -> None:
        left = tuple(each for each in self._store.experiment.data.synthetic if each != folder)
        self._store.set({"data.synthetic": left}, f"take {shown(folder)} off")
        self._context.shell.toast(f"“{shown(folder)}” is no longer used as a synthetic folder.", "Undo", self._store.undo)

    def _on_share_changed(self, share: float) -> None:
        self._store.set({"data.synthetic_fraction": round(share, 2)}, f"synthetic share to {percent(share, 0)}")
