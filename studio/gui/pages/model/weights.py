"""Weights from a file: what fits is shown before anything is applied. Files are never run: safetensors, or .pth read as plain data."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, Segmented, Spinner, Tag, button, icon_button
from studio.gui.wording import count

_PARTS = (
    ("missing", "Missing"),
    ("unexpected", "Unexpected"),
    ("wrong_shape", "Other shape"),
    ("skipped_classifier", "Its classifier"),
    ("matched", "Matched"),
)
_EXPLAINED = {
    "matched": "These are taken from the file.",
    "missing": "The network has these, the file does not: they start from random values.",
    "unexpected": "The file has these, the network does not: they are left out.",
    "wrong_shape": "These differ in shape and are left out.",
    "skipped_classifier": "The file’s classifier is for other classes. It is left out, the new head takes its place.",
}
_MOST_NAMES = 2000


class WeightsReport(QFrame):
    """Checking, the report or the refusal of one file. `apply_wanted` carries the path; `closed` when the user turns it down, also by Esc."""

    apply_wanted = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "panel")
        self.setObjectName("model.weights")
        self._path = ""
        self._report: dict = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(8), px(12), px(12))
        column.setSpacing(px(6))
        top = QHBoxLayout()
        top.setSpacing(px(8))
        self.spinner = Spinner()
        self.title_label = PlainLabel("", "panel", elide=Qt.TextElideMode.ElideMiddle)
        self.tag = Tag("")
        top.addWidget(self.spinner)
        top.addWidget(self.title_label, 1)
        top.addWidget(self.tag)
        self.close_button = icon_button("x", "Close the report", small=True, name="model.weights.close", on_click=self.closed.emit)
        top.addWidget(self.close_button)
        column.addLayout(top)
        self.sentence_label = PlainLabel("", "label", "text2", wrap=True)
        column.addWidget(self.sentence_label)
        self.parts = Segmented([("matched", "Matched")])
        self._parts_row = QHBoxLayout()
        self._parts_row.addWidget(self.parts)
        self._parts_row.addStretch(1)
        column.addLayout(self._parts_row)
        self.explained_label = PlainLabel("", "caption", "muted", wrap=True)
        column.addWidget(self.explained_label)
        self.names = QPlainTextEdit()
        self.names.setReadOnly(True)
        self.names.setObjectName("model.weights.names")
        self.names.setAccessibleName("Names of tensors")
        self.names.setTabChangesFocus(True)
        self.names.setMinimumHeight(px(40))
        column.addWidget(self.names, 1)
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.apply_button = button(
            "Use these weights", "check", kind="primary", name="model.weights.apply", on_click=lambda: self.apply_wanted.emit(self._path)
        )
        row.addWidget(self.apply_button)
        row.addWidget(button("Leave it", name="model.weights.leave", on_click=self.closed.emit))
        row.addStretch(1)
        column.addLayout(row)
        self.hide()

    @property
    def path(self) -> str:
        return self._path

    @property
    def sha256(self) -> str:
        """Of the file that was compared."""
        return str(self._report.get("sha256", ""))

    def show_checking(self, path: str, file_name: str) -> None:
        self._path = path
        self.title_label.setText(shown(file_name))
        self._show("checking", "Reading the file and comparing it with the network…")

    def show_problem(self, sentence: str) -> None:
        self._show("refused", sentence)

    def show_report(self, report: dict) -> None:
        """`report`: lists of names under matched, missing, unexpected, wrong_shape, and the sentence."""
        self._report = report
        matched = len(report.get("matched", ()))
        self._make_parts(report)
        total = matched + len(report.get("missing", ())) + len(report.get("wrong_shape", ()))
        words = report.get("sentence") or f"{counted(matched, 'tensor')} of {count(total)} match."
        self._show("fits" if matched == total else "partly" if matched else "refused", words)
        self._show_part()

    def _make_parts(self, report: dict) -> None:
        """A segment per list that has names in it."""
        found = [(key, f"{label} {count(len(report[key]))}") for key, label in _PARTS if report.get(key)]
        self._parts_row.removeWidget(self.parts)
        self.parts.hide()
        self.parts.deleteLater()
        self.parts = Segmented(found or [("matched", "Matched 0")], name="model.weights.part")
        self.parts.value_changed.connect(lambda _: self._show_part())
        self._parts_row.insertWidget(0, self.parts)

    def _show(self, state: str, sentence: str) -> None:
        words, kind = {
            "checking": ("reading", "plain"),
            "fits": ("fits", "good"),
            "partly": ("fits in part", "warn"),
            "refused": ("cannot be used", "bad"),
        }[state]
        self.tag.setText(words)
        self.tag.set_kind(kind)
        self.sentence_label.setText(shown(sentence))
        self.spinner.setVisible(state == "checking")
        has_report = state in ("fits", "partly")
        for widget in (self.parts, self.explained_label, self.names):
            widget.setVisible(has_report)
        self.apply_button.setVisible(has_report)
        self.setAccessibleName(f"Weights file {self.title_label.text()}: {words}. {sentence}")

    def _show_part(self) -> None:
        key = str(self.parts.value)
        names = list(self._report.get(key, ()))
        more = f"\n… and {count(len(names) - _MOST_NAMES)} more" if len(names) > _MOST_NAMES else ""
        self.explained_label.setText(f"{counted(len(names), 'tensor')}. {_EXPLAINED[key]}")
        self.names.setPlainText("\n".join(shown(n) for n in names[:_MOST_NAMES]) + more)

    def focus_first(self) -> None:
        self.close_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)
