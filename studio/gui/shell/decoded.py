"""The window's settings of the decoded images that are kept on disk: how much there may be, how much there is, and away with it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from shiboken6 import isValid

from studio.dataset.decoded import MAX_BUDGET_BYTES, budget, clear, set_budget, used_bytes
from studio.gui.background import Background
from studio.gui.theme import px
from studio.gui.widgets import NumberField, PlainLabel, button, set_plain_tooltip
from studio.gui.wording import num_bytes

_GB = 1_000_000_000
_SETTLE_MS = 300  # a number that is being typed or stepped is not written yet
LABEL_PX = 104  # what stands before the controls of the settings


class DecodedSettings(QWidget):
    """The folder is counted and emptied beside the window: it may hold many thousands of files."""

    def __init__(self, background: Background, parent: QWidget | None = None):
        super().__init__(parent)
        self._background = background
        self._wanted: int | None = None  # bytes, not written yet
        self._is_working = False
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(6), 0, 0)
        column.setSpacing(px(6))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        title = PlainLabel("Decoded images", "label")
        title.setFixedWidth(px(LABEL_PX))
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

    def hideEvent(self, event: QHideEvent) -> None:
        """The sheet closes: what was chosen last counts."""
        super().hideEvent(event)
        if self._settle.isActive():
            self._settle.stop()
            self._save()

    def _on_field_value_changed(self, value: float) -> None:
        self._wanted = round(value * _GB)
        self._settle.start()

    def _save(self) -> None:
        """After the work that runs, if any: an older limit is never written last."""
        if self._wanted is not None and not self._is_working:
            num, self._wanted = self._wanted, None
            self._run(lambda: set_budget(num))

    def _clear(self) -> None:
        self._run(clear)

    def _run(self, work: Callable[[], int]) -> None:
        """`work` returns how many bytes there are. One at a time: the button is off meanwhile, and a new limit waits."""
        self._is_working = True
        if isValid(self):
            self.clear_button.setEnabled(False)
        self._background.run(work, self._on_done, self._on_error)

    def _on_done(self, num: int) -> None:
        self._show(f"{num_bytes(num)} used" if num else "None kept", num > 0)

    def _on_error(self, error: Exception) -> None:
        self._show(f"Cannot be saved: {getattr(error, 'strerror', None) or error}", True)

    def _show(self, words: str, can_clear: bool) -> None:
        self._is_working = False
        if isValid(self):  # the sheet may be closed while the work runs
            self.used_label.setText(words)
            self.clear_button.setEnabled(can_clear)
        self._save()
