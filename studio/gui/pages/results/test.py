"""Score a run on the test images: counted, with its interval, and with a warning from the second look on."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.core.path_text import path_to_text
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.results.details import interval
from studio.gui.pages.results.notebook import Notebook
from studio.gui.pages.results.rows import RunRow
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, button, set_plain_tooltip
from studio.gui.wording import percent


class TestScore(QWidget):
    """The number of looks stays with the run; what was found is kept while the window is open."""

    __test__ = False  # a widget, whatever pytest makes of its name

    def __init__(self, context: Context, notebook: Notebook, parent: QWidget | None = None):
        super().__init__(parent)
        self._context, self._notebook = context, notebook
        self._row: RunRow | None = None
        self._found: dict[str, dict] = {}
        self._running = ""
        self._request = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(8), 0, 0)
        column.setSpacing(px(4))
        self.button = button("Score on test set", "gauge", small=True, name="results.test", on_click=self._on_button_clicked)
        set_plain_tooltip(self.button, "One figure on images that played no part in training or in choosing. Look once, at the end.")
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.words = PlainLabel("", "label", wrap=True)
        column.addWidget(self.words)

    def show_row(self, row: RunRow | None) -> None:
        """Hidden for a run without test images or without anything to load."""
        self._row = row
        described = row.state.description if row else None
        can = described is not None and described.num_test > 0 and row.state.best is not None and row.entry.folder.has_checkpoint()
        self.setVisible(can)
        if can:
            self._show()

    def _show(self) -> None:
        row, name = self._row, self._row.entry.folder.name
        self.button.setText("Stop" if self._running else "Score on test set")
        found, looks = self._found.get(name), row.notes.num_test_looks
        again = f" Looked at {looks} times: every look that changes what you do next makes it more hopeful." if looks > 1 else ""
        self.words.set_tone("warn" if again else "")
        if self._running == name:
            self.words.setText("Scoring the test images…")
        elif found is None:
            seen = f"Looked at {counted(looks, 'time')}." if looks == 1 else ""
            self.words.setText(f"{counted(row.state.description.num_test, 'test image')}. {seen}{again}".strip())
        elif "error" in found:
            self.words.set_tone("bad")
            self.words.setText(found["error"])
        else:
            top1, number = found["top1"], found["num_images"]
            self.words.setText(f"Top-1 {percent(top1)} ± {interval(top1, number)} (95 %) on {counted(number, 'test image')}.{again}")

    def _on_button_clicked(self) -> None:
        if self._running:
            self._context.probe.cancel(self._request)
            self._running = ""
            self._show()
            return
        row = self._row
        name = self._running = row.entry.folder.name
        params = {"run": path_to_text(row.entry.folder.path), "data": row.experiment.data.model_dump(mode="json"), "part": "test"}
        self._request = self._context.probe.call(
            "evaluate",
            params,
            lambda result: self._on_ended(row, result),
            lambda error: self._on_ended(row, {"error": f"{error.sentence} {error.fix}".strip()}),
            key="results.test",
        )
        if self._running == name:
            self._show()

    def _on_ended(self, row: RunRow, result: dict) -> None:
        name = row.entry.folder.name
        if name == self._running:
            self._running = ""
        self._found[name] = result
        if "error" not in result:  # a look is counted when there was something to see
            looks = self._notebook.of(row.entry.folder).num_test_looks
            self._notebook.edit(row.entry.folder, num_test_looks=looks + 1)
        if self._row is not None and self.isVisibleTo(self.parentWidget()):
            self._show()
