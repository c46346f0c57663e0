"""What can be done with a run and with a mistaken label. Each action says what it did and offers Undo."""

from __future__ import annotations

from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.pages.data import edit as data_edit
from studio.gui.pages.results.mistakes import Card
from studio.gui.pages.results.rows import RunRow
from studio.gui.removal import remove_runs


class RunActions:
    def __init__(self, context: Context):
        self._context = context
        self._store, self._shell = context.store, context.shell

    def restore(self, row: RunRow) -> None:
        """The settings of a run become the draft."""
        is_changed = self._context.runs.take_as_draft(row.entry, f"restore {row.name}")
        self._shell.toast_change(f"The settings of {row.name} are the draft now.", self._store, is_changed)

    def resume(self, row: RunRow) -> None:
        self._context.runs.continue_run(row.entry)
        self._shell.go_to("train", row.entry)

    def delete(self, row: RunRow) -> None:
        """Move the run's folder to the bin."""
        remove_runs(self._context, [row.entry], lambda _: f"{row.name} is in the bin.", lambda _: None)

    def relabel(self, card: Card, label: str) -> None:
        """The image counts as `label` from the next run on; its file stays where it is."""
        id_ = card.mistake.id
        self._edit(data_edit.relabel(self._store.experiment.data, [id_], label), f"label of {shown(id_)} to {shown(label)}")

    def leave_out(self, card: Card) -> None:
        """Leave the image out, or take it back where it is out."""
        id_, data = card.mistake.id, self._store.experiment.data
        if card.now:
            self._edit(data_edit.leave_out(data, [id_]), f"leave out {shown(id_)}")
        else:
            self._edit(data_edit.take_back(data, [id_]), f"take back {shown(id_)}")

    def _edit(self, values: dict, label: str) -> None:
        try:
            is_changed = self._store.set(values, label)
        except BadInput as exc:
            self._shell.toast(exc.problems[0].sentence)
            return
        self._shell.toast_change(f"{label[0].upper()}{label[1:]}. It counts from the next run on.", self._store, is_changed)
