"""Score a run again with several views of every image: test-time augmentation, beside the figure without it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.catalog.augments.test_time import TEST_TIMES
from studio.core.path_text import path_to_text
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.results.rows import RunRow
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, PlainLabel, button, set_plain_tooltip
from studio.gui.wording import MINUS, percent


class ScoreAgain(QWidget):
    """What is found is kept while the window is open, by run and by kind of views; nothing of the run is changed."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self._context = context
        self._row: RunRow | None = None
        self._found: dict[tuple[str, str], dict] = {}
        self._running: tuple[str, str] | None = None
        self._request = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(8), 0, 0)
        column.setSpacing(px(4))
        title = PlainLabel("Views at test time", "strong")
        set_plain_tooltip(title, "The answers to several views of an image are averaged. Slower by their number, often a little better.")
        column.addWidget(title)
        line = QHBoxLayout()
        line.setSpacing(px(6))
        self.choice = ComboBox([(each.key, each.title) for each in TEST_TIMES if each.num_views > 1], "mirror", name="results.test_time")
        self.choice.setAccessibleName("Views at test time")
        self.choice.value_changed.connect(lambda _: self._show())
        self.button = button("Score", "gauge", small=True, name="results.score_again", on_click=self._on_button_clicked)
        line.addWidget(self.choice, 1)
        line.addWidget(self.button)
        column.addLayout(line)
        self.words = PlainLabel("", "label", wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.words)

    def show_row(self, row: RunRow | None) -> None:
        self._row = row
        self._show()

    @property
    def _key(self) -> tuple[str, str]:
        return self._row.entry.folder.name, str(self.choice.value)

    def _show(self) -> None:
        row = self._row
        can = row is not None and row.entry.folder.has_checkpoint() and row.top1 is not None
        self.setVisible(can)
        if not can:
            return
        kind = next(each for each in TEST_TIMES if each.key == self.choice.value)
        set_plain_tooltip(self.choice, kind.help)
        is_running = self._running is not None
        self.button.setText("Stop" if is_running else "Score")
        self.button.setAccessibleName("Stop scoring" if is_running else f"Score with {kind.title.lower()}")
        found = self._found.get(self._key)
        self.words.set_tone("")
        if self._running == self._key:
            self.words.setText("Scoring the validation images…")
        elif found is None:
            self.words.setText(f"{counted(kind.num_views, 'view')} of each validation image, averaged.")
        elif "error" in found:
            self.words.set_tone("bad")
            self.words.setText(found["error"])
        else:
            gain = 100 * (found["top1"] - row.state.best.validation_top1)
            sign = "+" if gain >= 0 else MINUS
            self.words.setText(
                f"Top-1 {percent(found['top1'])} on {counted(found['num_images'], 'image')}, {sign}{abs(gain):.1f} points against one view. "
                f"{found.get('speed', {}).get('compiled', '')}".strip()
            )

    def _on_button_clicked(self) -> None:
        if self._running is not None:
            self._context.probe.cancel(self._request)
            self._running = None
            self._show()
            return
        key, row = self._key, self._row
        self._running = key
        params = {
            "run": path_to_text(row.entry.folder.path), "data": row.experiment.data.model_dump(mode="json"), "part": "validation",
            "test_time": key[1],
        }  # fmt: skip
        self._request = self._context.probe.call(
            "evaluate",
            params,
            lambda result: self._on_ended(key, result),
            lambda error: self._on_ended(key, {"error": f"{error.sentence} {error.fix}".strip()}),
            lambda done, total, what: self._on_progress(key, done, total, what),
            key="results.score_again",
        )
        self._show()

    def _on_progress(self, key: tuple[str, str], done: int, total: int | None, what: str) -> None:
        if key == self._running == self._key and total:
            self.words.setText(f"{what}: {done:,} of {counted(total, 'image')}")

    def _on_ended(self, key: tuple[str, str], result: dict) -> None:
        if key == self._running:
            self._running = None
        self._found[key] = result
        if self._row is not None:
            self._show()
