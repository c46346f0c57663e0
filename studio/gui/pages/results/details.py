"""One run in figures, and what people write about it."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.pages.results.notes import tags_to_text
from studio.gui.pages.results.rows import RunRow
from studio.gui.theme import font, px
from studio.gui.widgets.label import PlainLabel
from studio.gui.widgets.panel import scrolling
from studio.gui.wording import NBSP, count, duration, num_bytes, percent


def facts(row: RunRow) -> list[tuple[str, str]]:
    """(label, value): the best epoch first, then how the run went."""
    state = row.state
    lines: list[tuple[str, str]] = []
    if best := state.best:
        which = "Best epoch" if state.is_measured else "Kept epoch"
        lines.append((which, f"{best.epoch + 1} of {len(state.epochs)}"))
    if best and best.validation_top1 is None:
        lines.append(("Train loss", "…" if best.train_loss is None else f"{best.train_loss:.3f}"))
    elif best:
        lines += [
            ("Top-1", percent(best.validation_top1)),
            *([("Top-5", percent(best.validation_top5))] if best.validation_top5 is not None else []), ("Loss", "…" if best.validation_loss is None else f"{best.validation_loss:.3f}"), ("Macro F1", f"{best.macro_f1:.3f}"),
        ]  # fmt: skip
    if state.test:
        lines.append(("Test top-1", f"{percent(state.test.top1)} ± {interval(state.test.top1, state.test.num_images)}"))
        lines.append(("Test images", count(state.test.num_images)))
    if d := state.description:
        lines += [
            ("Train on", counted(d.num_train, "image")),
            *([("Synthetic", f"{counted(d.num_synthetic, 'image')}, {count(d.num_synthetic_per_epoch)} per epoch")] if d.num_synthetic else []), ("Validate on", counted(d.num_validation, "image")), ("Device", f"{shown(d.device_name)}, {d.precision}"),
            ("Batch", counted(d.batch_size, "image")),
        ]  # fmt: skip
    if state.finished:
        lines.append(("Speed", f"{count(state.finished.images_per_s)}{NBSP}img/s"))
    if state.system:
        lines.append(("Memory, peak", num_bytes(state.system.peak_bytes)))
    if state.t:
        lines.append(("Time", duration(state.t)))
    if state.wall_time:
        lines.append(("Started", time.strftime("%Y-%m-%d %H:%M", time.localtime(state.wall_time))))
    lines.append(("Folder", shown(row.entry.folder.name)))
    return lines


def interval(share: float, n: int) -> str:
    """Half the width of the 95 % interval of a share of n images (Wilson), in percent points."""
    z = 1.96
    half = z / (1 + z * z / n) * ((share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5) if n else 0.0
    return f"{half * 100:.1f}"


class DetailsView(QWidget):
    """Fields for title, tags and note, facts below. Scrolls. What is typed is saved when a field is left or another run comes, to the run it was
    typed for."""

    title_edited = Signal(object, str)  # RunRow
    tags_edited = Signal(object, str, str)  # RunRow, the tags that stood there before, those now
    note_edited = Signal(object, str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._row: RunRow | None = None
        self._tags_before = ""  # what is typed in the field changes
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(px(12), 0, px(12), px(8))
        column.setSpacing(px(6))
        form = QGridLayout()
        form.setHorizontalSpacing(px(8))
        form.setVerticalSpacing(px(6))
        self.title, self.tags = QLineEdit(), QLineEdit()
        self.tags.setPlaceholderText("paper, low LR")
        self.note = _NoteEdit()
        self.note.setPlaceholderText("What was tried, what was learnt")
        self.note.setFixedHeight(px(58))
        self.note.setFont(font("label"))
        for index, (label, field, name) in enumerate(
            (("Name", self.title, "title"), ("Tags", self.tags, "tags"), ("Note", self.note, "note"))
        ):
            caption = PlainLabel(label, "label")
            caption.setBuddy(field)
            caption.setFixedWidth(px(44))
            field.setObjectName(f"results.{name}")
            field.setAccessibleName(f"{label} of the run")
            form.addWidget(caption, index, 0, Qt.AlignmentFlag.AlignTop if field is self.note else Qt.AlignmentFlag.AlignVCenter)
            form.addWidget(field, index, 1)
        column.addLayout(form)
        self._facts = QVBoxLayout()
        self._facts.setSpacing(0)
        column.addLayout(self._facts)
        self._more = QVBoxLayout()
        column.addLayout(self._more)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content, name="results.details"))
        self.title.editingFinished.connect(self._save)
        self.tags.editingFinished.connect(self._save)
        self.note.left.connect(self._save)

    def add_below(self, widget: QWidget) -> None:
        """Something of the page's below the facts."""
        self._more.addWidget(widget)

    def show_row(self, row: RunRow | None) -> None:
        """A field that was typed in keeps its text while the run stays the same."""
        if self._row is not None and (row is None or row.entry is not self._row.entry):
            self._save()
        self._row = row
        self.setEnabled(row is not None)
        texts = (row.name, tags_to_text(row.notes.tags), row.notes.note) if row else ("", "", "")
        for field, text in zip((self.title, self.tags, self.note), texts, strict=True):
            if not field.isModified() and field.text() != text:
                field.setText(text)
        if not self.tags.isModified():
            self._tags_before = self.tags.text()
        self._show_facts(facts(row) if row else [])

    def texts(self) -> list[str]:
        return [self._facts.itemAt(i).widget().accessibleName() for i in range(self._facts.count())]

    def _show_facts(self, lines: list[tuple[str, str]]) -> None:
        while self._facts.count() > len(lines):
            self._facts.takeAt(self._facts.count() - 1).widget().deleteLater()
        while self._facts.count() < len(lines):
            self._facts.addWidget(_Fact())
        for index, line in enumerate(lines):
            self._facts.itemAt(index).widget().set_line(*line)

    def _save(self) -> None:
        """Tell what was typed since the fields were filled. Whoever hears of it may fill them anew."""
        row, fields = self._row, ((self.title, self.title_edited.emit), (self.tags, self._tell_tags), (self.note, self.note_edited.emit))
        typed = [(field, tell, field.text()) for field, tell in fields if row is not None and field.isModified()]
        for field, _, _ in typed:
            field.setModified(False)
        for _, tell, text in typed:
            tell(row, text)

    def _tell_tags(self, row: RunRow, text: str) -> None:
        before, self._tags_before = self._tags_before, text
        self.tags_edited.emit(row, before, text)


class _NoteEdit(QPlainTextEdit):
    """With the words of a QLineEdit."""

    left = Signal()

    def __init__(self):
        super().__init__()
        self.setTabChangesFocus(True)

    def text(self) -> str:
        return self.toPlainText()

    def setText(self, text: str) -> None:
        self.setPlainText(text)

    def isModified(self) -> bool:
        return self.document().isModified()

    def setModified(self, is_modified: bool) -> None:
        self.document().setModified(is_modified)

    def focusOutEvent(self, event) -> None:
        super().focusOutEvent(event)
        self.left.emit()


class _Fact(QWidget):
    def __init__(self):
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, px(2), 0, px(2))
        self._label = PlainLabel("", "label", "muted")
        self._label.setFixedWidth(px(92))
        self._value = PlainLabel("", "number", elide=Qt.TextElideMode.ElideMiddle)
        row.addWidget(self._label)
        row.addWidget(self._value, 1)

    def set_line(self, label: str, value: str) -> None:
        self._label.setText(label)
        self._value.setText(value)
        self.setAccessibleName(f"{label}: {value}")
