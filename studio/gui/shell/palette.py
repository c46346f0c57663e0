"""The command palette: find anything, change a setting in its row."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from studio.core.experiment import choices, field_info
from studio.gui.context import Context
from studio.gui.shell.command import Command, image_commands, matching, run_commands, setting_commands
from studio.gui.shell.scrim import Scrim
from studio.gui.theme import colour, font, px
from studio.gui.widgets import PlainLabel, Segmented, Tag, Toggle, line, restyle, takes_tag
from studio.gui.widgets.combo import ComboBox
from studio.gui.widgets.form import FieldEditor
from studio.gui.widgets.state import IconLabel

MAX_ROWS = 9
_HEADS = {"setting": "Settings, change here", "page": "Go to", "command": "Commands", "run": "Runs", "image": "Images"}


class Palette(Scrim):
    """A flat scrim over the window with the palette on it. Esc and a click beside it close."""

    closed = Signal()

    def __init__(self, host: QWidget, commands: Callable[[], list[Command]]):
        """commands: pages and commands of the window, asked for at every opening."""
        super().__init__(host)
        self.setObjectName("shell.palette")
        self._commands = commands
        self._context: Context | None = None
        self._settings: list[Command] = []
        self._known: list[Command] = []
        self._rows: list[_Row] = []
        self._current = 0
        column = QVBoxLayout(self._box)
        column.setContentsMargins(1, 0, 1, 0)
        column.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(px(14), px(9), px(12), px(9))
        head.setSpacing(px(10))
        head.addWidget(IconLabel("magnifying-glass", "text2", 18))
        self.field = QLineEdit()
        self.field.setObjectName("palette.field")
        self.field.setProperty("kind", "bare")
        self.field.setPlaceholderText("Search settings, runs, commands")
        self.field.setAccessibleName("Search settings, runs, commands")
        self.field.textChanged.connect(self._on_field_text_changed)
        self.field.installEventFilter(self)
        head.addWidget(self.field, 1)
        head.addWidget(Tag("Esc", "key"))
        column.addLayout(head)
        column.addWidget(line())
        self._list = QVBoxLayout()
        self._list.setContentsMargins(0, px(6), 0, px(8))
        self._list.setSpacing(0)
        column.addLayout(self._list)
        column.addWidget(line())
        column.addLayout(self._make_foot())
        self.hide()

    def attach(self, context: Context) -> None:
        self._context = context

    def open(self, text: str = "") -> None:
        if self._context is None:
            return
        self._settings = self._settings or setting_commands(self._context)
        self._known = self._commands()
        self.setGeometry(self.parentWidget().rect())
        self.field.setText(text)
        self._rebuild()
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def dismiss(self) -> None:
        self.hide()
        self.closed.emit()

    @property
    def rows(self) -> list[Command]:
        """The commands shown, in order."""
        return [row.command for row in self._rows]

    def _make_foot(self) -> QHBoxLayout:
        foot = QHBoxLayout()
        foot.setContentsMargins(px(14), px(7), px(14), px(8))
        foot.setSpacing(px(6))
        groups = ((("↑", "↓"), "choose"), (("←", "→"), "change"), (("Enter",), "go to"))
        for keys, words in groups:
            for key in keys:
                foot.addWidget(Tag(key, "key"))
            foot.addWidget(PlainLabel(words, "caption"))
            foot.addSpacing(px(8))
        foot.addStretch(1)
        for key, words in ((">", "commands"), ("@", "images"), ("#", "runs")):
            foot.addWidget(Tag(key, "key"))
            foot.addWidget(PlainLabel(words, "caption"))
            foot.addSpacing(px(6))
        return foot

    # Finding

    def _on_field_text_changed(self, text: str) -> None:
        self._rebuild()

    def _found(self) -> list[Command]:
        text = self.field.text().strip()
        mark, query = (text[0], text[1:].strip()) if text[:1] in tuple(">@#") else ("", text)
        if mark == ">":
            return matching(self._known, query, MAX_ROWS)
        if mark == "#":
            return matching(run_commands(self._context), query, MAX_ROWS)
        if mark == "@":
            return image_commands(self._context, query, MAX_ROWS)
        if not query:
            return self._known[:MAX_ROWS]
        settings = matching(self._settings, query, 6)
        commands = matching(self._known, query, 4)
        rest = MAX_ROWS - len(settings) - len(commands)
        return [*settings, *commands, *(matching(run_commands(self._context), query, 2) if rest > 0 else ())][:MAX_ROWS]

    def _rebuild(self) -> None:
        while self._list.count():
            widget = self._list.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        self._rows = []
        self._current = 0
        query = self.field.text().strip().lstrip(">@#").strip()
        last_kind = ""
        for command in self._found():
            if command.kind != last_kind:
                head = PlainLabel(_HEADS[command.kind], "caption")
                head.setContentsMargins(px(14), px(6), 0, px(3))
                self._list.addWidget(head)
                last_kind = command.kind
            row = _Row(self._context, command, query)
            row.hovered.connect(self._on_row_hovered)
            row.clicked.connect(self._on_row_clicked)
            self._rows.append(row)
            self._list.addWidget(row)
        if not self._rows:
            nothing = PlainLabel(f"Nothing found for “{self.field.text()[:40]}”.", "label", "muted")
            nothing.setContentsMargins(px(14), px(8), 0, px(8))
            self._list.addWidget(nothing)
        self._choose(0)
        self._place()

    def _place(self) -> None:
        width = min(px(680), self.width() - px(40))
        self._box.setFixedWidth(width)
        self._box.adjustSize()
        self._box.setFixedHeight(self._box.sizeHint().height())
        self._box.move((self.width() - width) // 2, px(96) if self.height() > px(760) else px(60))

    # Acting

    def _choose(self, index: int) -> None:
        if self._rows:
            self._current = max(0, min(len(self._rows) - 1, index))
            for i, row in enumerate(self._rows):
                row.set_current(i == self._current)

    def _on_row_hovered(self, row: _Row) -> None:
        if row in self._rows:
            self._choose(self._rows.index(row))

    def _on_row_clicked(self, row: _Row) -> None:
        self._run(row.command)

    def _run(self, command: Command) -> None:
        self.dismiss()
        if command.run is not None:
            command.run()

    def eventFilter(self, watched, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._on_key(event)
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        key = event.key()
        row = self._rows[self._current] if self._rows else None
        if key == Qt.Key.Key_Escape:
            self.dismiss()
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._choose(self._current + (1 if key == Qt.Key.Key_Down else -1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if row:
                self._run(row.command)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and row and row.editor is not None:
            row.step(1 if key == Qt.Key.Key_Right else -1)
        elif key == Qt.Key.Key_Tab and row and row.editor is not None:
            row.editor.setFocus(Qt.FocusReason.TabFocusReason)
        else:
            return False
        return True


class _Row(QFrame):
    hovered = Signal(object)
    clicked = Signal(object)

    def __init__(self, context: Context, command: Command, query: str):
        super().__init__()
        self.setProperty("frame", "paletterow")
        self.setAccessibleName(f"{command.title}, {command.note}")
        self.command = command
        self.editor: FieldEditor | None = None
        self.setFixedHeight(px(36))
        row = QHBoxLayout(self)
        row.setContentsMargins(px(14), 0, px(14), 0)
        row.setSpacing(px(10))
        row.addWidget(IconLabel(command.icon, "text2", 16))
        row.addWidget(_MatchLabel(command.title, query))
        if command.kind == "setting":
            row.addWidget(PlainLabel(command.note, "caption"))
            row.addStretch(1)
            if not isinstance(context.store.value(command.setting), (tuple, dict)):  # lists are edited on their page
                self.editor = FieldEditor(context.store, command.setting, max_segments=3, name=f"palette.{command.setting}")
                self.editor.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
                self.editor.setMinimumWidth(px(60))
                if (
                    hasattr(self.editor.control, "slider")
                    or isinstance(self.editor.control, QLineEdit)
                    and self.editor.number_field is None
                ):
                    self.editor.setFixedWidth(px(230))
                row.addWidget(self.editor)
            row.addWidget(takes_tag(field_info(command.setting).json_schema_extra["takes"]))
        else:
            row.addStretch(1)
            row.addWidget(PlainLabel(command.note, "caption"))
            if command.shortcut:
                row.addWidget(Tag(command.shortcut, "key"))

    def set_current(self, is_current: bool) -> None:
        wanted = "true" if is_current else "false"
        if self.property("active") != wanted:
            self.setProperty("active", wanted)
            restyle(self)

    def step(self, by: int) -> None:
        """Left and right: the next value of the setting."""
        control = self.editor.control
        if self.editor.number_field is not None:
            self.editor.number_field.step(by)
        elif isinstance(control, Toggle):
            control.click()
        elif isinstance(control, (Segmented, ComboBox)):
            values = choices(self.editor.path)
            index = max(0, min(len(values) - 1, values.index(control.value) + by))
            control.set_value(values[index])
            control.value_changed.emit(values[index])

    def enterEvent(self, event) -> None:
        self.hovered.emit(self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.clicked.emit(self)


class _MatchLabel(QWidget):
    """Plain text with the found words in the accent colour."""

    def __init__(self, text: str, query: str):
        super().__init__()
        self._parts = _split(text, query)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        from PySide6.QtGui import QFontMetrics

        width = sum(QFontMetrics(font("panel" if hit else "body")).horizontalAdvance(part) for part, hit in self._parts)
        return QSize(min(px(330), width + 2), px(20))

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        x = 0
        for part, hit in self._parts:
            painter.setFont(font("panel" if hit else "body"))
            painter.setPen(colour("accent" if hit else "text"))
            width = painter.fontMetrics().horizontalAdvance(part)
            painter.drawText(QRect(x, 0, width + 2, self.height()), int(Qt.AlignmentFlag.AlignVCenter), part)
            x += width
        painter.end()


def _split(text: str, query: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether a word of the query is in it."""
    hits = [False] * len(text)
    low = text.lower()
    for word in query.lower().split():
        start = low.find(word)
        while word and start >= 0:
            hits[start : start + len(word)] = [True] * len(word)
            start = low.find(word, start + len(word))
    parts: list[tuple[str, bool]] = []
    for char, hit in zip(text, hits):
        if parts and parts[-1][1] == hit:
            parts[-1] = (parts[-1][0] + char, hit)
        else:
            parts.append((char, hit))
    return parts
