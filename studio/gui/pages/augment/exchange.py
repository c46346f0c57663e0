"""Pipelines in and out: albumentations' dictionary as JSON or YAML, Python code on the clipboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QPoint
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from studio.catalog.augments.code import pipeline_code
from studio.catalog.augments.dictionary import export_text, import_dictionary, reads_as_validation
from studio.core.file import write_atomically
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.core.words import counted
from studio.gui.context import Shell
from studio.gui.pages.augment.draft import PipelineDraft
from studio.gui.widgets import Banner, icon_button
from studio.gui.widgets.file_dialog import pick_file, pick_new_file

_MOST_BYTES = 1 << 20
_MOST_SHOWN = 4  # problems of a file that are listed; more are counted
_KINDS = "Pipelines (*.json *.yaml *.yml)"


class PipelineExchange(QObject):
    """The menu behind the three dots. What is wrong with a file is said in `banner`, with its lines."""

    def __init__(self, draft: PipelineDraft, shell: Shell, banner: Banner, parent: QWidget):
        super().__init__(parent)
        self._draft, self._shell, self._banner, self._page = draft, shell, banner, parent
        self.button = icon_button("dots-three", "Import and export the pipeline", name="augment.more")
        self.button.clicked.connect(lambda: self.menu().popup(self.button.mapToGlobal(QPoint(0, self.button.height() + 2))))

    def menu(self) -> QMenu:
        menu = QMenu(self._page)
        for title, act in (
            ("Import JSON or YAML…", self._ask_to_open),
            ("Export as JSON…", lambda: self._ask_to_save(".json")),
            ("Export as YAML…", lambda: self._ask_to_save(".yaml")),
            ("Copy as Python code", self.copy_code),
        ):
            menu.addAction(title).triggered.connect(lambda *_, act=act: act())
        menu.aboutToHide.connect(menu.deleteLater)
        return menu

    @property
    def _input_size(self) -> int:
        return self._draft.store.experiment.model.input_size

    def open_file(self, path: str) -> None:
        """Take the pipeline of a file as the draft's, or say what is wrong with it."""
        name = shown(Path(path).name)
        try:
            with open(path, "rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise BadInput("It is larger than 1 MB; no pipeline is.")
            imported = import_dictionary(content.decode("utf-8-sig"), self._input_size)
        except BadInput as exc:
            self._refuse(name, [problem.sentence for problem in exc.problems])
        except UnicodeDecodeError:
            self._refuse(name, ["It is not a text file."])
        except OSError as exc:
            self._refuse(name, [f"It cannot be read: {exc.strerror or exc}."])
        else:
            self._banner.hide()
            store = self._draft.store
            before = store.experiment
            self._draft.take_steps(imported.steps, f"import {name}")
            sentence = f"{counted(len(imported.steps), 'step')} from {name}. {' '.join(imported.notes[:2])}".strip()
            self._shell.toast_change(sentence, store, store.experiment is not before)

    def _refuse(self, name: str, sentences: list[str]) -> None:
        more = len(sentences) - _MOST_SHOWN
        detail = "\n".join([*map(shown, sentences[:_MOST_SHOWN]), *([f"and {more} more"] if more > 0 else [])])
        self._banner.show_message("error", f"{name} is not taken. The pipeline stays as it was.", detail, can_close=True)

    def save_file(self, path: str) -> None:
        """Raises OSError when it cannot be written."""
        ending = ".json" if path.lower().endswith(".json") else ".yaml"
        text = self._made(lambda: export_text(self._draft.steps, self._input_size, ending))
        if text is not None:
            write_atomically(path, text.encode())
            is_near = any(reads_as_validation(step) for step in self._draft.steps if step.is_on)
            more = " The crop is written with the linear filter, the nearest that albumentations has; Python code gives the same pixels."
            self._shell.toast(f"The pipeline is in {shown(Path(path).name)}.{more if is_near else ''}")

    def copy_code(self) -> None:
        code = self._made(lambda: pipeline_code(self._draft.steps, self._input_size))
        if code is not None:
            QGuiApplication.clipboard().setText(code)
            self._shell.toast(f"The pipeline is on the clipboard as Python code, {counted(code.count(chr(10)), 'line')}.")

    def _made(self, make: Callable[[], str]) -> str | None:
        """The text; None where the pipeline cannot be written in that form, which is said."""
        self._banner.hide()
        try:
            return make()
        except BadInput as exc:
            self._banner.show_message("error", exc.problems[0].sentence, can_close=True)
            return None

    def _ask_to_open(self) -> None:
        pick_file(self._page, "pipeline", "Import a pipeline", _KINDS, self.open_file)

    def _ask_to_save(self, ending: str) -> None:
        pick_new_file(self._page, "pipeline", "Export the pipeline", ending[1:].upper(), f"augmentation{ending}", self.save_file)
