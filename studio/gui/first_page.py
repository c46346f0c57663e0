"""What the window shows from its first paint until the draft is there: the welcome view, or that a draft is being opened."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.gui.setting import CURRENT_PROJECT, Settings
from studio.gui.theme import px


class FirstPage(QWidget):
    """Made of what is quick to import. `welcome` is handed over to the Data page, which carries on with the very same view."""

    def __init__(self, open_folder: Callable[[], object], open_file: Callable[[], object], later: Callable[[Callable], Callable]):
        """`later` makes a function whose calls are kept until the window is alive; the two pickers work at once."""
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(px(16), px(10), px(16), px(12))  # as a page has
        self.welcome = None
        self._links = []
        if Settings().text(CURRENT_PROJECT):
            from studio.gui.widgets import EmptyState

            column.addWidget(EmptyState("folder-notch-open", "Opening the last draft…", name="data.opening"))
            return
        from studio.gui.pages.data.welcome import Welcome

        self.welcome = Welcome()
        column.addWidget(self.welcome)
        w = self.welcome
        self._links = [w.folder_wanted.connect(open_folder), w.table_wanted.connect(open_file)]
        for asked in (w.opening_chosen, w.sample_wanted, w.project_wanted, w.locate_wanted):
            self._links.append(asked.connect(later(asked.emit)))  # asked again when the Data page listens

    def hand_over(self):
        """The welcome view, with nobody listening; None where there is none."""
        for link in self._links:
            QObject.disconnect(link)
        self._links = []
        welcome, self.welcome = self.welcome, None
        return welcome
