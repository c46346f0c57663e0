"""What the chosen run answered to the images it was not trained on: its confusion, and its mistakes with those of one cell alone."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QObject

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.results import why
from studio.gui.pages.results.confusion_panel import ConfusionPanel
from studio.gui.pages.results.load import Cell, Stored, make_cards, num_changed, read_stored
from studio.gui.pages.results.mistakes import MistakesPanel
from studio.gui.pages.results.rows import RunRow
from studio.gui.run_entry import RunEntry
from studio.gui.widgets.thumb import ThumbLoader

MAX_STORED = 4

Key = tuple[str, object]


class Answers(QObject):
    """Reads what runs have stored, in the background, and fills two panels with it. The last few runs are kept."""

    def __init__(self, context: Context, loader: ThumbLoader, confusion: ConfusionPanel, mistakes: MistakesPanel):
        super().__init__(mistakes)
        self._context, self._loader, self._confusion, self._mistakes = context, loader, confusion, mistakes
        self._row: RunRow | None = None
        self._cell: Cell | None = None
        self._stored: OrderedDict[Key, Stored] = OrderedDict()
        self._reading: set[Key] = set()
        mistakes.filter_cleared.connect(lambda: self.choose_cell(None))
        confusion.cell_chosen.connect(self.choose_cell)

    @property
    def stored(self) -> Stored | None:
        """What was read of the run that is shown; None while it is being read."""
        return self._stored.get(_key(self._row.entry)) if self._row else None

    @property
    def is_busy(self) -> bool:
        return bool(self._reading)

    def leave_run(self) -> None:
        """Another run was chosen, and will be shown with no cell chosen."""
        self._row = self._cell = None

    def choose_cell(self, cell: Cell | None) -> None:
        """Show only the mistakes of a cell; a cell of the diagonal has none and clears the choice."""
        self._cell = None if cell is None or cell[0] == cell[1] else cell
        self.show_row(self._row)

    def show_row(self, row: RunRow | None) -> None:
        """The run as its row stands now."""
        self._row = row
        if row is None:
            return
        stored = self.stored
        if stored is None:
            self._read(row.entry)
            self._say_nothing_yet("Reading…", "Reading…")
        elif stored.scores is None:
            self._say_nothing_yet(why.no_scores(row), why.no_mistakes(row))
        else:
            self._confusion.show_scores(stored.scores, self._cell, stored.sureness)
            self._show_mistakes(row, stored)

    def _say_nothing_yet(self, sentence: str, of_mistakes: str) -> None:
        self._confusion.show_message(sentence)
        self._mistakes.set_filter("")
        self._mistakes.set_subtitle("")
        self._mistakes.show_message(of_mistakes)

    def _read(self, entry: RunEntry) -> None:
        key, folder = _key(entry), entry.folder
        if key in self._reading:
            return
        self._reading.add(key)

        def keep(stored: Stored) -> None:
            self._reading.discard(key)
            self._stored[key] = stored
            while len(self._stored) > MAX_STORED:
                self._stored.popitem(last=False)
            if self._row is not None and _key(self._row.entry) == key:
                self.show_row(self._row)

        self._context.background.run(lambda: read_stored(folder), keep)

    def _show_mistakes(self, row: RunRow, stored: Stored) -> None:
        cell, classes, data = self._cell, stored.scores.classes, self._context.store.experiment.data
        filter_text = ""
        if cell is not None:
            called = f"called {shown(classes[cell[1]])}" if cell[1] is not None else "called something else"
            filter_text = f"{shown(classes[cell[0]])} {called}"
        self._mistakes.set_filter(filter_text)
        is_same = row.experiment.data.source == data.source
        changed = num_changed(stored, row.experiment.data, data) if is_same else 0
        self._mistakes.set_subtitle(f"{counted(changed, 'label')} changed since this run" if changed else "highest loss first")
        if stored.dataset is not None:
            self._loader.set_reading(stored.dataset.reading)
        cards = make_cards(stored, data, row.notes, cell)
        if not cards:
            self._mistakes.show_message(why.no_cards(stored, filter_text))
            return
        cam_reason = "" if stored.has_checkpoint else "The checkpoint of this run is gone."
        edit_reason = "" if is_same else "This run was trained on another folder than the one that is open."
        self._mistakes.show_cards(row.entry.folder, cards, classes, cam_reason=cam_reason, edit_reason=edit_reason)


def _key(entry: RunEntry) -> Key:
    """Equal while what the run has stored is the same."""
    state = entry.state
    last = state.checkpoints[-1].path if state.checkpoints else ""
    return entry.folder.name, (state.status, last, state.test is None)
