"""The other pipeline of a comparison: its pictures stand right of the draft's, of the same photos and epochs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from studio.catalog.augments import PRESETS
from studio.core.experiment import Augment
from studio.gui.pages.augment.ask import Asker
from studio.gui.pages.augment.grid import VariantGrid
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel
from studio.gui.workers import WorkerClient

NUM_COMPARED = 8  # tiles of each side


class Comparison(QWidget):
    """Hidden until there is a pipeline to compare with."""

    changed = Signal()

    def __init__(self, worker: WorkerClient, parent: QWidget | None = None):
        super().__init__(parent)
        self.augment: Augment | None = None  # the other pipeline; None while nothing is compared
        self.asker = Asker(worker, "augment.other", self)
        self.title_label = PlainLabel("", "strong", elide=Qt.TextElideMode.ElideRight)
        self.grid = VariantGrid(num_tiles=NUM_COMPARED, name="augment.other_grid")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addWidget(self.title_label)
        column.addWidget(self.grid, 1000)
        column.addStretch(1)
        self.hide()

    def begin(self, title: str, augment: Augment) -> None:
        self._show(title, augment)

    def end(self) -> None:
        self._show("", None)

    def _show(self, title: str, augment: Augment | None) -> None:
        self.augment = augment
        self.title_label.setText(title)
        self.grid.show_variants([])
        self.asker.forget()
        self.setVisible(augment is not None)
        self.changed.emit()


def compare_menu(parent: QWidget, now: Augment, on_chosen: Callable[[str, Augment], object]) -> QMenu:
    """What can be compared with: the pipeline as it is `now`, or a preset. `on_chosen` gets a title and the pipeline."""
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.addAction("As it is now, to see what the next edits change").triggered.connect(lambda *_: on_chosen("Before", now))
    menu.addSeparator()
    for preset in PRESETS:
        augment = Augment(preset=preset.key, horizontal_flip=now.horizontal_flip)
        menu.addAction(preset.title).triggered.connect(lambda *_, t=preset.title, a=augment: on_chosen(t, a))
    return menu
