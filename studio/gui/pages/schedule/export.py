"""Taking the schedule along: as code, settings, table or picture, on the clipboard or in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QMenu, QWidget

from studio.catalog.schedules import no_stage
from studio.catalog.schedules.export import as_csv, as_python, as_toml, as_torch_schedulers
from studio.core.file import write_atomically
from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.model.network import network_from
from studio.gui.pages.schedule.curve import length_of, stage_names
from studio.gui.widgets import button, plain_tooltip
from studio.gui.widgets.file_dialog import pick_new_file, png_bytes, unwritable

_AS_TEXT = (
    ("python", "PyTorch code", "lr(step) as a function of its own; equal to what is applied, to the last bit"),
    ("torch", "torch schedulers", "The nearest composition of torch.optim.lr_scheduler, for the head’s rate"),
    ("toml", "TOML", "The settings, as they stand in an experiment file"),
    ("csv", "CSV table", "Step, epoch, the rate of every stage, momentum and weight decay"),
)


class ScheduleExport(QObject):
    """The button in the page's head, and what its menu does with the draft. `grab` gives the picture of the plots."""

    def __init__(self, context: Context, grab: Callable[[], QPixmap], parent: QWidget):
        super().__init__(parent)
        self._context, self._grab, self._page = context, grab, parent
        self.button = button("Copy", "copy", name="schedule.copy", tooltip="Take the schedule along as code, settings, table or picture")
        self.menu = QMenu(self.button)
        self.menu.setToolTipsVisible(True)
        for key, title, help_ in _AS_TEXT:
            self._add(f"Copy as {title}", lambda key=key, title=title: self.copy_text(key, title), help_)
        self.menu.addSeparator()
        self._add("Copy as picture", self.copy_picture)
        self._add("Save as CSV…", self._ask_for_csv)
        self._add("Save as PNG…", self._ask_for_picture)
        self.button.setMenu(self.menu)

    def _add(self, title: str, act: Callable[[], object], help_: str = "") -> None:
        action = self.menu.addAction(title)
        action.setToolTip(plain_tooltip(help_))
        action.triggered.connect(lambda *_: act())

    def _write(self, key: str, on_written: Callable[[str], object]) -> None:
        """The draft's schedule as "python", "torch", "toml" or "csv"; beside the window, for a table may have 100,000 rows."""
        experiment = self._context.store.experiment
        if key == "toml":
            on_written(as_toml(experiment))
            return
        described = self._context.estimates.draft_model
        network = network_from(described) if described else None
        partly = network.partly if network else no_stage
        write = {"python": as_python, "torch": as_torch_schedulers, "csv": as_csv}[key]
        per_epoch = length_of(experiment, self._context.store.dataset).steps_per_epoch
        stages = stage_names(experiment, network.stage_names if network else None)
        self._context.background.run(
            lambda: write(experiment, stages=stages, steps_per_epoch=per_epoch, partly=partly), on_written, self._on_failed
        )

    def copy_text(self, key: str, title: str) -> None:
        self._write(key, lambda text: self._on_text_written(text, title))

    def _on_text_written(self, text: str, title: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._say(f"The schedule is on the clipboard as {title}, {counted(text.count(chr(10)), 'line')}.")

    def copy_picture(self) -> None:
        QGuiApplication.clipboard().setPixmap(self._grab())
        self._say("The picture of the schedule is on the clipboard.")

    def save_csv(self, path: str) -> None:
        self._write("csv", lambda text: self._save("table", path, text.encode, self._ask_for_csv))

    def save_picture(self, path: str) -> None:
        image = self._grab().toImage()
        self._save("picture", path, lambda: png_bytes(image), self._ask_for_picture)

    def _save(self, what: str, path: str, make: Callable[[], bytes], ask_again: Callable[[], object]) -> None:
        toast = self._context.shell.toast
        self._context.background.run(
            lambda: write_atomically(path, make()),
            lambda _: self._say(f"The {what} is in {shown(Path(path).name)}."),
            lambda exc: toast(unwritable(path, exc), "Choose", ask_again),
            is_promised=True,
        )

    def _ask_for_csv(self) -> None:
        pick_new_file(self._page, "schedule", "Save the schedule as a table", "CSV table", "schedule.csv", self.save_csv)

    def _ask_for_picture(self) -> None:
        pick_new_file(self._page, "schedule", "Save the schedule as a picture", "PNG picture", "schedule.png", self.save_picture)

    def _on_failed(self, exc: Exception) -> None:
        self._say(f"The schedule could not be written down: {shown(str(exc))}.")

    def _say(self, sentence: str) -> None:
        self._context.shell.toast(sentence)
