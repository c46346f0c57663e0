"""The top bar: project, undo, search, device, theme, inspector, Train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.gui.context import Context
from studio.gui.icon import icon, put_icon
from studio.gui.shell.device import DevicePicker
from studio.gui.shell.rail import NARROW, WIDTH
from studio.gui.theme import colour, px, theme
from studio.gui.widgets import PlainLabel, Tag, button, icon_button, set_plain_tooltip
from studio.gui.widgets.label import tell_size
from studio.gui.widgets.state import IconLabel

if TYPE_CHECKING:
    from studio.gui.run_entry import RunEntry


class TopBar(QFrame):
    """Emits what the user asks for; `attach` lets it follow the draft and the runs."""

    palette_requested = Signal()
    theme_toggled = Signal()
    inspector_toggled = Signal()
    project_menu_requested = Signal(object)  # QMenu to fill

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "topbar")
        self.setObjectName("shell.topbar")
        self.setFixedHeight(px(48))
        self._context: Context | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, px(12), 1)
        row.setSpacing(px(6))
        self.project = _ProjectButton()
        self.project.menu().aboutToShow.connect(lambda: self.project_menu_requested.emit(self.project.menu()))
        row.addWidget(self.project)
        separator = QFrame()
        separator.setProperty("frame", "column")
        row.addWidget(separator)
        row.addSpacing(px(6))
        self.undo = icon_button("arrow-u-up-left", "Undo (Ctrl Z)", name="shell.undo")
        self.redo = icon_button("arrow-u-up-right", "Redo (Ctrl Shift Z)", name="shell.redo")
        row.addWidget(self.undo)
        row.addWidget(self.redo)
        row.addStretch(1)
        self.search = _SearchButton()
        self.search.clicked.connect(self.palette_requested)
        row.addWidget(self.search, 2)
        row.addStretch(1)
        self.device = DevicePicker()
        row.addWidget(self.device)
        self.theme_button = icon_button("sun", "Switch between dark and light (Ctrl Shift T)", name="shell.theme")
        self.theme_button.clicked.connect(self.theme_toggled)
        row.addWidget(self.theme_button)
        self.inspector_button = icon_button("sliders-horizontal", "Show or fold the inspector (Ctrl I)", name="shell.inspector")
        self.inspector_button.clicked.connect(self.inspector_toggled)
        row.addWidget(self.inspector_button)
        row.addSpacing(px(2))
        self.train = TrainButton()
        row.addWidget(self.train)
        for part in (self.undo, self.redo):
            part.setEnabled(False)
        self.refresh_theme_icon()

    def attach(self, context: Context) -> None:
        self._context = context
        store = context.store
        self.undo.clicked.connect(store.undo)
        self.redo.clicked.connect(store.redo)
        store.history_changed.connect(self._on_store_history_changed)
        context.projects.changed.connect(self._on_projects_changed)
        store.experiment_changed.connect(lambda old, new: self._on_projects_changed())
        self.device.attach(context)
        self.train.attach(context)
        self._on_store_history_changed()
        self._on_projects_changed()

    def set_rail_width(self, width: int) -> None:
        """One of rail.WIDTH, COMPACT and NARROW."""
        self.project.setFixedWidth(px(width) - 1)
        self.project.set_width(width)

    def refresh_theme_icon(self) -> None:
        self.theme_button.setIcon(icon("sun" if theme().mode == "dark" else "moon"))

    def _on_store_history_changed(self) -> None:
        store = self._context.store
        self.undo.setEnabled(bool(store.undo_label))
        self.redo.setEnabled(bool(store.redo_label))
        set_plain_tooltip(self.undo, f"Undo: {store.undo_label} (Ctrl Z)" if store.undo_label else "Nothing to undo")
        set_plain_tooltip(self.redo, f"Redo: {store.redo_label} (Ctrl Shift Z)" if store.redo_label else "Nothing to redo")

    def _on_projects_changed(self) -> None:
        self.project.set_texts(self._context.store.experiment.name, self._context.projects.saved_text)


class _ProjectButton(QPushButton):
    """Mark, project name and save state; opens the project menu."""

    def __init__(self):
        super().__init__()
        self.setProperty("kind", "project")
        self.setObjectName("shell.project")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedWidth(px(WIDTH) - 1)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMenu(QMenu(self))
        row = QHBoxLayout(self)
        row.setContentsMargins(px(14), 0, px(8), 0)
        row.setSpacing(px(10))
        self._mark = Mark()
        row.addWidget(self._mark)
        self._words = QWidget()
        self._words.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        column = QVBoxLayout(self._words)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addStretch(1)
        name_row = QHBoxLayout()
        name_row.setSpacing(px(5))
        self._name = _FittingLabel("Studio", "panel", limit=px(WIDTH) - px(80))
        name_row.addWidget(self._name)
        name_row.addWidget(IconLabel("caret-down", "text2", 11))
        name_row.addStretch(1)
        column.addLayout(name_row)
        self._saved = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        column.addWidget(self._saved)
        column.addStretch(1)
        row.addWidget(self._words, 1)
        self.set_texts("Untitled", "Nothing to save yet")

    def set_texts(self, name: str, saved: str) -> None:
        self._name.setText(name)
        self._saved.setText(saved)
        self._saved.set_tone("bad" if saved.startswith("Not saved") else "muted")
        self.setAccessibleName(f"Project {name}, {saved}")

    def set_width(self, width: int) -> None:
        self._words.setVisible(width != NARROW)
        self._name.set_limit(px(width) - px(80))

    def sizeHint(self) -> QSize:
        return QSize(px(WIDTH), px(46))


class _FittingLabel(PlainLabel):
    """As wide as its text, up to a limit; elided beyond."""

    def __init__(self, text: str, style: str, *, limit: int):
        self._limit = limit
        super().__init__(text, style, elide=Qt.TextElideMode.ElideRight)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_limit(self, limit: int) -> None:
        self._limit = limit
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(min(self._limit, self.fontMetrics().horizontalAdvance(self.text()) + 2), hint.height())


class Mark(QWidget):
    """The program's sign: three columns, frozen to trained."""

    def __init__(self, side: int = 22, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFixedSize(px(side), px(side))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, event) -> None:
        paint_mark(self)


def paint_mark(widget: QWidget) -> None:
    from PySide6.QtCore import QRectF

    painter = QPainter(widget)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    unit = widget.height() / 22
    for left, top, token in ((1, 8, "frozenFill"), (8, 5, "frozenEdge"), (15, 1, "trainsFill")):
        painter.setBrush(colour(token))
        painter.drawRoundedRect(QRectF(left * unit, top * unit, 6 * unit, (21 - top) * unit), 1.5, 1.5)
    painter.end()


class _SearchButton(QPushButton):
    """Looks like a field, opens the palette."""

    def __init__(self):
        super().__init__()
        self.setProperty("kind", "search")
        self.setObjectName("shell.search")
        self.setAccessibleName("Search settings, runs, commands")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMaximumWidth(px(380))
        self.setMinimumWidth(px(150))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(9), 0, px(6), 0)
        row.setSpacing(px(7))
        row.addWidget(IconLabel("magnifying-glass", "muted", 14))
        row.addWidget(PlainLabel("Search settings, runs, commands", "body", "muted", elide=Qt.TextElideMode.ElideRight, short="Search"), 1)
        row.addWidget(Tag("Ctrl K", "key"))
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)


class TrainButton(QWidget):
    """Train, or Train next while a run is active on the draft's device, with the menu of other ways. Off with the reason in its tooltip."""

    train_requested = Signal()

    def __init__(self):
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self.main = button("Train", "play-fill", kind="trainleft", name="shell.train", on_click=self.train_requested.emit)
        self.more = button("", "caret-down", kind="trainright", name="shell.train.more", tooltip="Other ways to train")
        self.more.setIconSize(QSize(px(12), px(12)))
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self._menu)
        row.addWidget(self.main)
        row.addWidget(self.more)
        self._context: Context | None = None
        self._set_enabled("Studio is starting.", None)

    def attach(self, context: Context) -> None:
        self._context = context
        self.refresh()

    def refresh(self) -> None:
        runs = self._context.runs
        in_the_way = runs.in_the_way(self._context.store.experiment.training)
        self._set_enabled(runs.reason_not_to_train(), in_the_way)
        self.main.setText("Train next" if in_the_way else "Train")
        put_icon(self.main, "queue" if in_the_way else "play-fill", "onAccent")
        self.main.setMinimumWidth(self.main.sizeHint().width())
        tell_size(self.main)

    def _set_enabled(self, reason: str, in_the_way: RunEntry | None) -> None:
        for part in (self.main, self.more):
            part.setEnabled(not reason)
        words = reason or (f"Start after {in_the_way.name} (Ctrl Enter)" if in_the_way else "Start training (Ctrl Enter)")
        if not reason and self._context.disk.is_short:
            words += f"\n{self._context.disk.sentence}"
        set_plain_tooltip(self.main, words)
        self.main.setAccessibleDescription(words)

    def open_sweep(self) -> None:
        from studio.gui.shell.sweep import SweepSheet

        SweepSheet(self.window().centralWidget(), self._context).open()

    def _fill_menu(self) -> None:
        runs = self._context.runs
        self._menu.clear()
        self._menu.addAction(icon("play-fill"), "Train now", runs.train_now)
        self._menu.addAction(icon("queue"), "Queue", runs.queue)
        if runs.queued:
            self._menu.addAction(icon("list-numbers"), f"Show the queue ({len(runs.queued)} waiting)", self.window().rail.queue.open)
        self._menu.addSeparator()
        self._menu.addAction(icon("timer"), "Quick test (1 epoch, 20 images)", runs.quick_test)
        self._menu.addAction(icon("dice-five"), "Train on 5 seeds", runs.train_seeds)
        self._menu.addAction(icon("scales"), "Train with several values…", self.open_sweep)
        go_to = self._context.shell.go_to
        self._menu.addAction(icon("magnifying-glass"), "Find learning rate", lambda: go_to("schedule", "find learning rate"))
