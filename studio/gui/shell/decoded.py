"""The window's settings of the decoded images that are kept on disk: how much there may be, how much there is, and away with it."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.dataset.decoded import MAX_BUDGET_BYTES, budget, clear, set_budget, used_bytes
from studio.gui.background import Background
from studio.gui.theme import px
from studio.gui.widgets import NumberField, PlainLabel, button, set_plain_tooltip
from studio.gui.wording import num_bytes

_GB = 1_000_000_000


class DecodedSettings(QWidget):
    """The folder is counted and emptied beside the window: it may hold many thousands of files."""

    def __init__(self, background: Background, parent: QWidget | None = None):
        super().__init__(parent)
        self._background = background
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(6), 0, 0)
        column.setSpacing(px(6))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        title = PlainLabel("Decoded images", "label")
        title.setFixedWidth(px(90))
        self.field = NumberField(budget() / _GB, low=0, high=MAX_BUDGET_BYTES / _GB, step=0.5, name="settings.decoded")
        self.field.setAccessibleName("Decoded images kept on disk, at most, in GB")
        set_plain_tooltip(self.field, "Training, the preview and thumbnails read them many times faster than the files. 0 keeps none.")
        self.used_label = PlainLabel("…", "label", "muted")
        self.clear_button = button("Clear", "trash", small=True, name="settings.decoded.clear", on_click=self._clear)
        self.clear_button.setAccessibleName("Clear the decoded images")
        for widget in (title, self.field, PlainLabel("GB at most", "label")):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.used_label)
        row.addWidget(self.clear_button)
        column.addLayout(row)
        words = "Images of your folders, decoded and reduced, kept for the next run. Your own files are never touched."
        column.addWidget(PlainLabel(words, "caption", wrap=True))
        self.field.value_changed.connect(self._on_field_value_changed)
        self._run(used_bytes)

    def _on_field_value_changed(self, value: float) -> None:
        self._run(lambda: set_budget(round(value * _GB)))

    def _clear(self) -> None:
        self._run(clear)

    def _run(self, work) -> None:
        """`work` returns how many bytes there are."""
        self.clear_button.setEnabled(False)
        self._background.run(work, self._show_used, self._show_error)

    def _show_used(self, num: int) -> None:
        self.used_label.setText(f"{num_bytes(num)} used" if num else "None kept")
        self.clear_button.setEnabled(num > 0)

    def _show_error(self, error: Exception) -> None:
        self.used_label.setText(f"Cannot be saved: {getattr(error, 'strerror', None) or error}")
        self.clear_button.setEnabled(True)
