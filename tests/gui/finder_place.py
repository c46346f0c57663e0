"""A page with nothing but a plot and the finder, for the tests of that."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.dataset.dataset import Dataset
from studio.gui.context import Context
from studio.gui.pages.schedule.finder import FinderView
from studio.gui.pages.schedule.plot import RatePlot


class Place(QWidget):
    def __init__(self, context):
        super().__init__()
        column = QVBoxLayout(self)
        head = QHBoxLayout()
        column.addLayout(head)
        self.plot = RatePlot(name="schedule.plot")
        self.finder = FinderView(context, self)
        head.addWidget(self.finder.choice)
        column.addWidget(self.plot, 1)
        column.addWidget(self.finder.strip)
        self.finder.attach(self.plot)

    @property
    def has_curve(self) -> bool:
        return self.finder.item in self.plot.graphics.ci.items


def shown_place(qtbot, context: Context, dataset: Dataset) -> Place:
    """On the screen, with these images in the draft."""
    context.store.set({"data.source": dataset.root})
    context.store.set_dataset(dataset)
    made = Place(context)
    qtbot.addWidget(made)
    made.resize(900, 500)
    made.show()
    qtbot.waitExposed(made)
    return made
