"""Sheets laid over the window that do not block it: keyboard map, window settings, messages, why a run failed."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from studio.core.problem import Problem
from studio.gui.context import Context
from studio.gui.run_entry import RunEntry
from studio.gui.shell.scrim import Scrim
from studio.gui.theme import font, px, theme
from studio.gui.widgets import PlainLabel, Segmented, Slider, Tag, button, icon_button, line, scrolling
from studio.gui.wording import percent


class Sheet(Scrim):
    """A scrim with one box on it. Esc and a click beside the box close it. A host has one open sheet of each name."""

    def __init__(self, host: QWidget, title: str, *, name: str, width: int = 640, has_input: bool = False):
        """has_input: a user begins something on it, which is still there where it is asked for again."""
        super().__init__(host)
        self._has_input = has_input
        self.setObjectName(name)
        self.setAccessibleName(title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._width = width
        column = QVBoxLayout(self._box)
        column.setContentsMargins(px(1), 0, px(1), px(10))
        column.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(px(16), px(8), px(8), px(8))
        head.addWidget(PlainLabel(title, "panel"))
        head.addStretch(1)
        head.addWidget(icon_button("x", "Close", small=True, name=f"{name}.close", on_click=self.dismiss))
        column.addLayout(head)
        column.addWidget(line())
        self.body = QVBoxLayout()
        self.body.setContentsMargins(px(16), px(12), px(16), px(6))
        self.body.setSpacing(px(8))
        column.addLayout(self.body)

    def open(self) -> None:
        """Over all else. Where one of this name is open, that one comes to the front, or goes if all it has is older words."""
        earlier = self._earlier()
        if earlier is not None and self._has_input:
            self.deleteLater()
            earlier._show()
            return
        if earlier is not None:
            earlier.dismiss()
        self._show()

    def _earlier(self) -> Sheet | None:
        sheets = (child for child in self.parentWidget().children() if isinstance(child, Sheet) and child is not self)
        return next((sheet for sheet in sheets if sheet.objectName() == self.objectName() and not sheet.isHidden()), None)

    def _show(self) -> None:
        self.setGeometry(self.parentWidget().rect())
        self._place()
        self.show()
        self.raise_()
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def dismiss(self) -> None:
        self.hide()
        self.deleteLater()

    def _place(self) -> None:
        self._box.setFixedWidth(min(px(self._width), self.width() - px(40)))
        self._box.adjustSize()
        self._box.setFixedHeight(min(self._box.sizeHint().height(), self.height() - px(60)))
        self._box.move((self.width() - self._box.width()) // 2, max(px(30), (self.height() - self._box.height()) // 3))


def keyboard_map(host: QWidget, groups: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Sheet:
    """groups: title and pairs of keys and what they do."""
    sheet = Sheet(host, "Keyboard map", name="shell.keyboard_map", width=760)
    content = QWidget()
    sides = QHBoxLayout(content)
    sides.setContentsMargins(0, 0, px(8), 0)
    sides.setSpacing(px(24))
    columns, num_rows = (QGridLayout(), QGridLayout()), [0, 0]
    for column in columns:
        column.setVerticalSpacing(px(5))
        column.setColumnStretch(0, 1)
        sides.addLayout(column, 1)
    for title, pairs in groups:
        side = num_rows.index(min(num_rows))
        column, row = columns[side], num_rows[side]
        column.addWidget(PlainLabel(title, "caption"), row, 0, 1, 2)
        for offset, (keys, words) in enumerate(pairs, 1):
            column.addWidget(PlainLabel(words, "label", "text"), row + offset, 0)
            column.addWidget(Tag(keys, "key"), row + offset, 1, Qt.AlignmentFlag.AlignRight)
        num_rows[side] = row + len(pairs) + 2
        column.setRowMinimumHeight(num_rows[side] - 1, px(8))
    for column, num in zip(columns, num_rows, strict=True):
        column.setRowStretch(num, 1)
    area = scrolling(content, name="keyboard_map.scroll")
    area.setMinimumHeight(min(px(560), content.sizeHint().height() + 8))
    sheet.body.addWidget(area)
    return sheet


def window_settings(host: QWidget, context: Context) -> Sheet:
    """Theme, scale and the disk."""
    from studio.gui.shell.decoded import LABEL_PX, DecodedSettings

    sheet = Sheet(host, "Window settings", name="shell.settings", width=460, has_input=True)
    look = Segmented([("system", "As the system"), ("dark", "Dark"), ("light", "Light")], theme().choice, name="settings.theme")

    def choose(choice: object) -> None:
        context.settings.set("window/theme", choice)
        theme().set_choice(choice)

    look.value_changed.connect(choose)
    chosen = context.settings.number("window/scale", theme().scale)
    scale = Slider(0.9, 1.5, chosen, default=1.0, name="settings.scale")
    scale.setAccessibleName("Size of text and controls")
    figure = PlainLabel(percent(chosen, 0), "number")

    def rescale() -> None:
        value = round(scale.number * 20) / 20
        figure.setText(percent(value, 0))
        context.settings.set("window/scale", value)

    scale.value_changed.connect(lambda _: rescale())
    for title, control, tail in (("Theme", look, None), ("Size", scale, figure)):
        row = QHBoxLayout()
        label = PlainLabel(title, "label")
        label.setFixedWidth(px(LABEL_PX))
        row.addWidget(label)
        row.addWidget(control, 1)
        if tail:
            row.addWidget(tail)
        else:
            row.addStretch(1)
        sheet.body.addLayout(row)
    sheet.body.addWidget(PlainLabel("A new size shows when Studio starts again. Runs go on meanwhile.", "caption", wrap=True))
    sheet.body.addWidget(DecodedSettings(context.background))
    return sheet


def messages(host: QWidget, notices: Sequence[tuple[str, str]]) -> Sheet:
    """notices: time and sentence, newest first."""
    sheet = Sheet(host, "Messages of this session", name="shell.messages", width=520)
    if not notices:
        sheet.body.addWidget(PlainLabel("Nothing to report yet.", "label", "muted"))
    for when, sentence in notices[:14]:
        row = QHBoxLayout()
        row.setSpacing(px(10))
        row.addWidget(PlainLabel(when, "number", "muted"), 0, Qt.AlignmentFlag.AlignTop)
        words = PlainLabel(sentence, "label", "text", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignTop)
        row.addWidget(words, 1)
        sheet.body.addLayout(row)
    return sheet


def problems(host: QWidget, title: str, found: Sequence[Problem]) -> Sheet:
    """Everything that is wrong with what was opened, each with the setting it is about."""
    sheet = Sheet(host, title, name="shell.problems", width=620)
    sheet.body.addWidget(PlainLabel("Nothing was changed.", "label", "text2"))
    rows = QWidget()
    grid = QGridLayout(rows)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(px(16))
    grid.setVerticalSpacing(px(8))
    grid.setColumnStretch(1, 1)
    for row, problem in enumerate(found):
        grid.addWidget(PlainLabel(problem.field, "number", "muted"), row, 0, Qt.AlignmentFlag.AlignTop)
        sentence = PlainLabel(problem.sentence, "label", "text", wrap=True)
        sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        grid.addWidget(sentence, row, 1)
    area = scrolling(rows, name="problems.scroll")
    area.setMinimumHeight(min(px(420), rows.sizeHint().height() + px(8)))
    sheet.body.addWidget(area)
    copy = button("Copy", "copy", name="problems.copy", on_click=lambda: QGuiApplication.clipboard().setText("\n".join(map(str, found))))
    sheet.body.addWidget(copy, 0, Qt.AlignmentFlag.AlignRight)
    return sheet


def failure(host: QWidget, context: Context, entry: RunEntry) -> Sheet:
    """Why a run ended, what to do, and the whole trace to copy."""
    sheet = Sheet(host, f"{entry.title}: what happened", name="shell.failure", width=760)
    outcome = entry.outcome
    if outcome is None:
        return sheet
    sheet.body.addWidget(PlainLabel(outcome.sentence, "panel", "bad", wrap=True))
    if outcome.fix:
        sheet.body.addWidget(PlainLabel(outcome.fix, "body", wrap=True))
    trace = QPlainTextEdit(outcome.log_tail)
    trace.setReadOnly(True)
    trace.setFont(font("number"))
    trace.setMinimumHeight(px(260))
    trace.setAccessibleName("End of the training process's log")
    sheet.body.addWidget(trace)
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(
        button(
            "Copy",
            "copy",
            name="failure.copy",
            on_click=lambda: QGuiApplication.clipboard().setText(f"{outcome.sentence}\n{outcome.log_tail}"),
        )
    )
    if outcome.can_resume:

        def resume() -> None:
            sheet.dismiss()
            context.runs.continue_run(entry)

        row.addWidget(button("Resume", "play-fill", kind="primary", name="failure.resume", on_click=resume))
    sheet.body.addLayout(row)
    return sheet


def rename(host: QWidget, context: Context) -> Sheet:
    """A new name for the project."""
    sheet = Sheet(host, "Rename the project", name="shell.rename", width=420, has_input=True)
    field = QLineEdit(context.store.experiment.name)
    field.setObjectName("rename.name")
    field.setAccessibleName("Name of the project")
    field.setMaxLength(200)
    field.selectAll()

    def take() -> None:
        sheet.dismiss()
        context.projects.rename(field.text())

    field.returnPressed.connect(take)
    sheet.body.addWidget(field)
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(button("Rename", kind="primary", name="rename.take", on_click=take))
    sheet.body.addLayout(row)
    sheet.setFocusProxy(field)
    return sheet
