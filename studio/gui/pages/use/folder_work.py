"""Predictions for a whole folder: listed beside the window, then asked of the probe worker in small parts."""

from __future__ import annotations

import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from studio.core.path_text import path_to_text, shown
from studio.gui.context import Context
from studio.gui.pages.use.trial import Model

PART = 32  # files of one request: answers show soon, and a cancel takes effect within one part
TOP = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One file. `top` holds pairs of class name and probability, best first; empty with a `reason` when it cannot be read."""

    path: str
    id: str  # path relative to the folder, in text form
    top: tuple[tuple[str, float], ...]
    reason: str = ""

    @property
    def confidence(self) -> float:
        return self.top[0][1] if self.top else 0.0

    @property
    def label(self) -> str:
        return self.top[0][0] if self.top else ""


def list_images(folder: str) -> list[tuple[str, str]]:
    """(id, path) of every file below `folder` that may be an image. Raises OSError. Called in a pool thread."""
    from studio.dataset.layout import may_be_image
    from studio.dataset.walk import list_files

    return [(id_, path) for id_, path in list_files(folder).files if may_be_image(id_)]


def write_csv(path: str, rows: list[Row], threshold: float) -> None:
    """A table with one line per file. Raises OSError; the old file stays whole until the new one is."""
    target = Path(path)
    temporary = target.with_name(target.name + ".part")
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as f:
            table = csv.writer(f)
            table.writerow(["file", "prediction", "confidence", "unsure", "second", "second_confidence", "problem"])
            for row in rows:
                second = row.top[1] if len(row.top) > 1 else ("", None)
                unsure = "" if not row.top else "yes" if row.confidence < threshold else "no"
                table.writerow(
                    [
                        row.id, row.label, f"{row.confidence:.4f}" if row.top else "", unsure, second[0],
                        "" if second[1] is None else f"{second[1]:.4f}", row.reason,
                    ]
                )  # fmt: skip
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


class FolderWork(QObject):
    """The state of one folder's predictions. `changed` fires after every part; `rows` only grows."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context = context
        self.folder = ""
        self.rows: list[Row] = []
        self.total: int | None = None
        self.state = ""  # "", "listing", "predicting", "done", "stopped", "failed"
        self.problem = ""
        self.lost = ""  # why the network that gave the rows cannot give more, in a sentence
        self.model: Model | None = None
        self._files: list[tuple[str, str]] = []
        self._request = 0
        self._generation = 0
        self._started = 0.0
        self._seconds = 0.0

    @property
    def is_running(self) -> bool:
        return self.state in ("listing", "predicting")

    @property
    def images_per_s(self) -> float | None:
        """Over the predictions so far, without the time to load the network."""
        return (len(self.rows) - self._skipped) / self._seconds if self._seconds > 0 and len(self.rows) > self._skipped else None

    def start(self, folder: str, model: Model) -> None:
        """Predict everything in `folder` anew."""
        self.cancel()
        self._generation += 1
        generation = self._generation
        self.folder, self.model, self.rows, self.total = folder, model, [], None
        self.state, self.problem, self.lost = "listing", "", ""
        self._skipped, self._seconds = 0, 0.0
        self.changed.emit()
        self._context.background.run(
            lambda: list_images(folder),
            lambda files: self._on_listed(generation, files),
            lambda exc: self._fail(generation, _words(folder, exc)),
        )

    def cancel(self) -> None:
        """Stop; what is there stays."""
        if self.is_running:
            self._generation += 1
            self._context.probe.cancel(self._request)
            self.state = "stopped"
            self.changed.emit()

    def set_lost(self, reason: str) -> None:
        """Its network is gone, or is back where `reason` is empty. What is there stays."""
        if reason:
            self.cancel()
        self.lost = reason
        self.changed.emit()

    @property
    def can_go_on(self) -> bool:
        return not self.lost and self.state in ("stopped", "failed") and bool(self.total) and len(self.rows) < self.total

    def go_on(self) -> None:
        """Take a stopped or failed one up where it was."""
        if self.can_go_on:
            self._generation += 1
            self.state, self.problem = "predicting", ""
            self._ask(self._generation)
            self.changed.emit()

    def _on_listed(self, generation: int, files: list[tuple[str, str]]) -> None:
        if generation != self._generation:
            return
        if not files:
            self._fail(generation, f"There are no images in {shown(path_to_text(self.folder))}.")
            return
        self._files, self.total, self.state = files, len(files), "predicting"
        self._ask(generation)
        self.changed.emit()

    def _ask(self, generation: int) -> None:
        part = self._files[len(self.rows) : len(self.rows) + PART]
        params = {"run": self.model.run, "paths": [path_to_text(p) for _, p in part], "which": self.model.which, "top": TOP}
        params["test_time"] = self.model.test_time
        self._started = time.monotonic()
        self._request = self._context.probe.call(
            "predict_folder",
            params,
            lambda result: self._on_predicted(generation, part, result),
            lambda error: self._fail(generation, f"{error.sentence} {error.fix}".strip()),
            key="use.folder",
        )

    def _on_predicted(self, generation: int, part: list[tuple[str, str]], result: dict) -> None:
        if generation != self._generation:
            return
        classes = result["classes"]
        if self.rows:  # the first part waits for the network to load
            self._seconds += time.monotonic() - self._started
        else:
            self._skipped = len(part)
            if note := result.get("note", ""):  # the checkpoint is damaged, and another one answers
                self._context.shell.toast(note)
        for (id_, path), found in zip(part, result["predictions"], strict=True):
            top = tuple((classes[int(i)], float(p)) for i, p in found["top"])
            self.rows.append(Row(path, id_, top, found["reason"]))
        if len(self.rows) < len(self._files):
            self._ask(generation)
        else:
            self.state = "done"
        self.changed.emit()

    def _fail(self, generation: int, sentence: str) -> None:
        if generation == self._generation:
            self.state, self.problem = "failed", sentence
            self.changed.emit()


def _words(folder: str, exc: Exception) -> str:
    reason = getattr(exc, "strerror", None) or str(exc)
    return f"{shown(path_to_text(folder))} cannot be read: {reason}."
