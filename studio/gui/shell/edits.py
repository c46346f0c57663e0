"""What the draft has that the active run has not, and what can be done about it: apply, queue as a new run, revert."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.experiment import choices, field_info
from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.run_entry import RunEntry
from studio.gui.store import show_value
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, button, line, set_plain_tooltip, takes_tag
from studio.gui.widgets.form import choice_label
from studio.gui.widgets.state import IconLabel

MAX_ROWS = 4


class EditsBlock(QFrame):
    """Shown while a run is active and the draft differs from what counts in it. Each edit says when it would reach the run."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("inspector.edits")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, px(10))
        column.setSpacing(px(4))
        column.addWidget(line())
        inner = QVBoxLayout()
        inner.setContentsMargins(px(14), px(6), px(14), 0)
        inner.setSpacing(px(5))
        head = QHBoxLayout()
        head.setSpacing(px(6))
        head.addWidget(IconLabel("pencil-simple", "accent", 14))
        self.title_label = PlainLabel("", "strong", "text2")
        head.addWidget(self.title_label)
        head.addStretch(1)
        inner.addLayout(head)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(px(3))
        inner.addLayout(self._rows)
        self.note_label = PlainLabel("", "caption", wrap=True)
        inner.addWidget(self.note_label)
        self.apply_button = button("", kind="primary", small=True, name="inspector.apply", on_click=self._on_apply)
        self.revert_button = button("Revert", small=True, name="inspector.revert", on_click=self._on_revert)
        self.queue_button = button("", small=True, name="inspector.queue", on_click=lambda: self._context.runs.train())
        for buttons in ((self.apply_button, self.revert_button), (self.queue_button,)):
            row = QHBoxLayout()
            row.setSpacing(px(8))
            for made in buttons:
                row.addWidget(made)
            row.addStretch(1)
            inner.addLayout(row)
        column.addLayout(inner)
        self._context: Context | None = None
        self._shown: tuple = ()
        self.hide()

    def refresh(self, context: Context) -> None:
        self._context = context
        entry = context.runs.active
        edits = context.runs.edits_since(entry) if entry else {}
        self.setVisible(bool(edits))
        if not edits:
            return
        reason, waits = context.runs.reason_not_to_edit(entry), bool(entry.wishes)
        number = context.runs.entries[-1].number + 1
        verb = "Queue" if context.runs.in_the_way(context.store.experiment.training) else "Train"
        now = (entry, tuple((k, repr(v)) for k, v in edits.items()), reason, waits, number, verb)
        if now == self._shown:
            return
        self._shown = now
        self.title_label.setText(f"{counted(len(edits), 'edit')} not in {entry.name}")
        self._show_rows(edits)
        num_live = len(context.runs.live_edits(entry))
        self._show_buttons(entry, len(edits), num_live, reason)
        self.queue_button.setText(f"{verb} as run {number}")
        self.queue_button.setAccessibleName(self.queue_button.text())
        notes = [
            "Asked for; counts when the run comes to its next step." if waits else "",
            reason if num_live else "",
            f"{counted(len(edits) - num_live, 'edit needs', 'edits need')} a new run." if num_live < len(edits) else "",
        ]
        self.note_label.setText(" ".join(note for note in notes if note))
        self.note_label.setVisible(any(notes))

    def _show_rows(self, edits: dict[str, tuple]) -> None:
        while self._rows.count():
            self._rows.takeAt(0).widget().deleteLater()
        for path, (old, new) in list(edits.items())[:MAX_ROWS]:
            self._rows.addWidget(_edit_row(path, old, new))
        if len(edits) > MAX_ROWS:
            self._rows.addWidget(PlainLabel(f"and {len(edits) - MAX_ROWS} more", "caption"))

    def _show_buttons(self, entry: RunEntry, num_edits: int, num_live: int, reason: str) -> None:
        part = "" if num_live == num_edits else f" {num_live}"
        self.apply_button.setText(f"Apply{part} to {entry.name}")
        self.apply_button.setAccessibleName(self.apply_button.text())
        self.apply_button.setVisible(num_live > 0)
        self.apply_button.setEnabled(not reason)
        set_plain_tooltip(self.apply_button, reason or "From its next step on; what begins with an epoch, from its next epoch on.")
        set_plain_tooltip(self.revert_button, f"Set the draft back to what counts in {entry.name}")

    def _on_apply(self) -> None:
        runs = self._context.runs
        entry = runs.active
        if entry is not None:
            num = len(runs.live_edits(entry))
            if runs.edit(entry):
                self._context.shell.toast(f"Asked {entry.name} to take {counted(num, 'edit')} at its next step.")

    def _on_revert(self) -> None:
        entry = self._context.runs.active
        if entry is not None:
            self._context.store.replace(entry.in_force, f"revert to {entry.name}")


def _edit_row(path: str, old, new) -> QWidget:
    row = QWidget()
    box = QHBoxLayout(row)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(px(6))
    extra = field_info(path).json_schema_extra
    words = f"{extra['label']} {_change(path, old, new)}"
    box.addWidget(PlainLabel(words, "label", "text", elide=Qt.TextElideMode.ElideRight), 1)
    box.addWidget(takes_tag(extra["takes"]))
    return row


def _change(path: str, old, new) -> str:
    if isinstance(new, dict):
        return ", ".join(shown(name) for name in {**old, **new} if old.get(name) != new.get(name))
    return "" if isinstance(new, tuple) else f"{_shown(path, old)} → {_shown(path, new)}"


def _shown(path: str, value) -> str:
    return choice_label(path, value) if choices(path) else show_value(value)[:24]
