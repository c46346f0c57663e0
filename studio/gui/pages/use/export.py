"""Export: a card per format. Every export is opened again and compared with the network it came from."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QPlainTextEdit, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.exporters import EXPORTERS, Exporter
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.gui.context import Context
from studio.gui.pages.use.code import sample_code
from studio.gui.pages.use.trial import Model
from studio.gui.theme import font, px, theme
from studio.gui.widgets import IconLabel, Panel, PlainLabel, Segmented, button
from studio.gui.widgets.file_dialog import pick_new_folder
from studio.gui.wording import num_bytes, rate

_ICONS = {"onnx": "cube", "safetensors": "fire"}


def report_words(report: dict) -> str:
    """ "64 of 64 images agree, largest difference 3.1e-5"."""
    number = int(report["num_images"])
    agreeing = round(report["agreement"] * number)
    what = "images" if report.get("are_real_images", True) else "random pictures"
    return f"{agreeing} of {number} {what} agree, largest difference {rate(report['max_difference'])}"


class ExportCard(QFrame):
    """One format: what it is for, the button, progress, and how the written files compare."""

    exported = Signal(str, str)  # key, folder as text
    used = Signal()  # somebody wants the model

    def __init__(self, exporter: Exporter, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self.exporter, self._context = exporter, context
        self._model: Model | None = None
        self._dialog: QFileDialog | None = None  # that asks for the folder, while it is open
        self._request = 0
        self._folder = ""
        self._is_running = False
        self.setProperty("frame", "panel")
        self.setObjectName(f"use.export.{exporter.key}")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(12), px(10), px(10), px(10))
        row.setSpacing(px(10))
        row.addWidget(IconLabel(_ICONS.get(exporter.key, "package"), "text2", 24), 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(px(3))
        top = QHBoxLayout()
        top.setSpacing(px(8))
        top.addWidget(PlainLabel(exporter.title, "panel"))
        self.size_label = PlainLabel("", "number", "muted")
        top.addWidget(self.size_label)
        top.addStretch(1)
        self.show_button = button(
            "Show",
            kind="quiet",
            small=True,
            name=f"use.export.{exporter.key}.show",
            tooltip="Open the folder with the files",
            on_click=self._on_show,
        )
        self.stop_button = button("Stop", small=True, name=f"use.export.{exporter.key}.stop", on_click=self._on_stop)
        self.export_button = button("Export…", small=True, name=f"use.export.{exporter.key}.start", on_click=self._on_export)
        self.export_button.setAccessibleName(f"Export as {exporter.title}")
        for made in (self.show_button, self.stop_button, self.export_button):
            top.addWidget(made)
        column.addLayout(top)
        column.addWidget(PlainLabel(exporter.detail, "label", "muted", wrap=True))
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(f"{exporter.title} export")
        column.addWidget(self.bar)
        outcome = QHBoxLayout()
        outcome.setSpacing(px(6))
        self.outcome_icon = IconLabel("circle-wavy-check", "good", 14)
        self.outcome_label = PlainLabel("", "label", "good", wrap=True)
        outcome.addWidget(self.outcome_icon, 0, Qt.AlignmentFlag.AlignTop)
        outcome.addWidget(self.outcome_label, 1)
        column.addLayout(outcome)
        row.addLayout(column, 1)
        self._refresh()

    def set_model(self, model: Model | None) -> None:
        """Another network: the last result is not about it. That an export was stopped for it is still said."""
        if model != self._model:
            self._model = model
            self._folder = ""
            if self._dialog is not None:
                self._dialog.reject()
                self._context.shell.toast("Nothing was exported: the network that a folder was asked for is not in use any more.")
            self.size_label.setText("")
            if self._is_running:
                self._on_stop()
            else:
                self._say("", "")
                self._refresh()

    # exporting

    def _on_export(self) -> None:
        self.used.emit()
        nickname = text_to_path(self._model.run).rpartition("_")[2]
        title = f"Export as {self.exporter.title}: name a new folder"
        self._dialog = pick_new_folder(self, "export", title, f"{nickname}-{self.exporter.key}", self.export_to)
        self._dialog.finished.connect(self._on_dialog_finished)

    def _on_dialog_finished(self) -> None:
        self._dialog = None

    def export_to(self, path: str) -> None:
        """Write into a folder; an earlier export there is replaced, anything else refused by the worker."""
        params = {
            "run": self._model.run, "format": self.exporter.key, "destination": path_to_text(path), "which": self._model.which, "replace": True,
        }  # fmt: skip
        self._is_running = True
        self._say("text2", "Starting…")
        self._request = self._context.probe.call(
            "export", params, self._on_result, self._on_error, self._on_progress, key=f"use.export.{self.exporter.key}"
        )
        self._refresh()

    def _on_stop(self) -> None:
        self._context.probe.cancel(self._request)
        self._is_running = False
        self._say("muted", "Stopped.")
        self._refresh()

    def _on_progress(self, done: int, total: int | None, what: str) -> None:
        if self._is_running:
            self.bar.setRange(0, total or 0)
            self.bar.setValue(done)
            self._say("text2", f"{what}…")

    def _on_result(self, report: dict) -> None:
        self._is_running = False
        self._folder = report["folder"]
        self.size_label.setText(num_bytes(report["num_bytes"]))
        words = report_words(report)
        if report["is_good"]:
            self._say("good", words)
            self.exported.emit(self.exporter.key, self._folder)
        else:
            self._say("bad", f"{words}. It answers differently and should not be used; the files were kept aside.")
        self._refresh()

    def _on_error(self, error) -> None:
        self._is_running = False
        self._say("bad", f"{error.sentence} {error.fix}".strip())
        self._refresh()

    def _say(self, tone: str, words: str) -> None:
        self.outcome_label.setText(shown(words))
        self.outcome_label.set_tone(tone or "muted")
        self.outcome_label.setVisible(bool(words))
        icon = {"good": "circle-wavy-check", "bad": "warning-octagon"}.get(tone)
        self.outcome_icon.setVisible(icon is not None)
        if icon:
            self.outcome_icon.set_icon(icon, tone)

    def _on_show(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(text_to_path(self._folder)))

    def _refresh(self) -> None:
        self.bar.setVisible(self._is_running)
        if self._is_running:
            self.bar.setRange(0, 0)
        self.stop_button.setVisible(self._is_running)
        self.export_button.setVisible(not self._is_running)
        self.export_button.setEnabled(self._model is not None)
        self.show_button.setVisible(bool(self._folder) and not self._is_running)


class CodePanel(Panel):
    """How to use an export from Python, ready to copy."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(name="use.code", parent=parent)
        self.setAccessibleName("Code sample")
        self._context = context
        self._folders: dict[str, str] = {}
        top = QHBoxLayout()
        self.choice = Segmented([(e.key, e.title) for e in EXPORTERS], name="use.code.format")
        self.choice.value_changed.connect(lambda _: self._refresh())
        top.addWidget(self.choice)
        top.addStretch(1)
        top.addWidget(
            button("Copy", "copy", kind="quiet", small=True, name="use.code.copy", tooltip="Copy the code", on_click=self._on_copy)
        )
        self.body.addLayout(top)
        self.code = QPlainTextEdit()
        self.code.setReadOnly(True)
        self.code.setObjectName("use.code.text")
        self.code.setAccessibleName("Python code")
        self.code.setTabChangesFocus(True)
        self.code.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.code.setFrameShape(QFrame.Shape.NoFrame)
        self.body.addWidget(self.code, 1)
        self.setMinimumHeight(px(140))
        theme().changed.connect(self._restyle)
        self._restyle()
        self._refresh()

    def note_export(self, key: str, folder: str) -> None:
        """From now on the sample names this folder."""
        self._folders[key] = folder
        self.choice.set_value(key)
        self._refresh()

    def _restyle(self) -> None:
        self.code.setFont(font("tick"))

    def _refresh(self) -> None:
        key = str(self.choice.value)
        self.code.setPlainText(sample_code(key, text_to_path(self._folders[key]) if key in self._folders else ""))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.code.toPlainText())
        self._context.shell.toast("The code is on the clipboard.")


class ExportColumn(QWidget):
    """All formats, one below the other, and the code sample."""

    used = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(10))
        head = QHBoxLayout()
        head.setContentsMargins(px(2), px(4), 0, 0)
        head.setSpacing(px(8))
        head.addWidget(PlainLabel("Export", "panel"))
        head.addWidget(PlainLabel("every export is checked against this model", "caption", elide=Qt.TextElideMode.ElideRight), 1)
        column.addLayout(head)
        self.cards = {exporter.key: ExportCard(exporter, context) for exporter in EXPORTERS}
        self.code = CodePanel(context)
        for card in self.cards.values():
            card.exported.connect(self.code.note_export)
            card.used.connect(self.used)
            column.addWidget(card)
        column.addWidget(self.code, 1)
        self.setMinimumWidth(px(280))

    def set_model(self, model: Model | None) -> None:
        for card in self.cards.values():
            card.set_model(model)
