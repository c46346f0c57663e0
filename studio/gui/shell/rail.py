"""The rail: seven steps with their state, the queue, and what belongs to the window as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QAbstractListModel, QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QFocusEvent, QHelpEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from studio.gui import wording
from studio.gui.context import Context
from studio.gui.icon import icon, paint_icon
from studio.gui.pages import PAGES
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import PlainLabel, button, icon_button, line, plain_tooltip
from studio.gui.widgets.focus import paint_focus
from studio.gui.widgets.label import fitting

if TYPE_CHECKING:
    from studio.gui.run_entry import RunEntry

_SUMMARY = Qt.ItemDataRole.UserRole + 1
_ICON = Qt.ItemDataRole.UserRole + 2
MOST_WAITING = 4  # that have a row of their own in the rail
_RING_PX = 5  # beside the words of such a row, for the ring of the keyboard
WIDTH, COMPACT, NARROW = 250, 176, 60  # whole, in a narrow window, and folded to its icons


class Rail(QFrame):
    """Emits `step_chosen` for clicks and keys. `attach` gives it something to say."""

    step_chosen = Signal(str)
    settings_requested = Signal()
    keyboard_map_requested = Signal()
    notices_requested = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "rail")
        self.setObjectName("shell.rail")
        self.setFixedWidth(px(WIDTH))
        self._context: Context | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(8), 1, px(6))
        column.setSpacing(0)
        self.steps = _StepList()
        self.steps.chosen.connect(self.step_chosen)
        column.addWidget(self.steps)
        column.addStretch(1)
        self.queue = _Queue()
        column.addWidget(self.queue)
        column.addWidget(line())
        self._foot = QHBoxLayout()
        self._foot.setContentsMargins(px(8), px(6), px(8), 0)
        for name, words, signal in (
            ("gear-six", "Window settings", self.settings_requested),
            ("keyboard", "Keyboard map (F1)", self.keyboard_map_requested),
        ):
            self._foot.addWidget(icon_button(name, words, name=f"shell.{name}", on_click=signal.emit))
        self._foot.addStretch(1)
        self.bell = icon_button("bell", "Messages of this session", name="shell.notices", on_click=self.notices_requested.emit)
        self._foot.addWidget(self.bell)
        column.addLayout(self._foot)

    def attach(self, context: Context) -> None:
        self._context = context
        self.queue.attach(context)

    def set_current(self, key: str) -> None:
        self.steps.set_current(key)

    def set_summaries(self, summaries: dict) -> None:
        self.steps.set_summaries(summaries)

    def set_width(self, width: int) -> None:
        """One of WIDTH, COMPACT and NARROW: icons alone."""
        folded = width == NARROW
        self.setFixedWidth(px(width))
        self.steps.is_narrow = folded
        self.steps.viewport().update()
        self.queue.set_folded(folded)
        for index in range(self._foot.count()):
            widget = self._foot.itemAt(index).widget()
            if widget is not None and widget is not self.bell:
                widget.setVisible(not folded)

    def set_short(self, short: bool) -> None:
        """Little height: no queue block."""
        self.queue.set_short(short)


class _StepModel(QAbstractListModel):
    def __init__(self, parent):
        super().__init__(parent)
        self.summaries: dict = {}

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(PAGES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        slot = PAGES[index.row()]
        summary = self.summaries.get(slot.key)
        if role == Qt.ItemDataRole.DisplayRole:
            return slot.title
        if role == _SUMMARY:
            return summary
        if role == _ICON:
            return slot.icon
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{slot.title}, {summary.text}, {summary.dot_word}" if summary else slot.title
        return None


class _StepList(QListView):
    chosen = Signal(str)

    def __init__(self):
        super().__init__()
        self.setObjectName("shell.steps")
        self.setAccessibleName("Steps")
        self.is_narrow = False
        self.has_keyboard_focus = False
        self._model = _StepModel(self)
        self.setModel(self._model)
        self.setItemDelegate(_StepDelegate(self))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFixedHeight(px(58) * len(PAGES))
        self.setCurrentIndex(self._model.index(0))
        self.selectionModel().currentChanged.connect(lambda index, _: self.chosen.emit(PAGES[index.row()].key))

    def focusInEvent(self, event: QFocusEvent) -> None:
        keys = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)
        self.has_keyboard_focus = event.reason() in keys
        super().focusInEvent(event)

    def set_current(self, key: str) -> None:
        row = next(i for i, slot in enumerate(PAGES) if slot.key == key)
        if self.currentIndex().row() != row:
            self.setCurrentIndex(self._model.index(row))

    def set_summaries(self, summaries: dict) -> None:
        before, self._model.summaries = self._model.summaries, summaries
        for row, slot in enumerate(PAGES):
            was, now, index = before.get(slot.key), summaries.get(slot.key), self._model.index(row)
            if was == now:
                continue
            if was and now and was.dot == now.dot and (was.text == now.text or not QAccessible.isActive()):
                # Words or the bar alone, many times a run. For changed data a list view lays out and paints all its rows.
                self.update(index)
            else:
                self._model.dataChanged.emit(index, index)


class _StepDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(px(100), px(58))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        view: _StepList = self.parent()
        summary = index.data(_SUMMARY)
        is_current = index == view.currentIndex()
        is_hot = bool(option.state & QStyle.StateFlag.State_MouseOver)
        rect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        card = QRectF(rect).adjusted(px(6), 0, -px(6), 0)
        if is_current or is_hot:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accentWash" if is_current else "hover"))
            painter.drawRoundedRect(card, 8, 8)
        if is_current:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("accent"))
            painter.drawRoundedRect(QRectF(rect.left() - 2, rect.top() + px(10), 4.5, rect.height() - px(20)), 2, 2)
            if view.hasFocus() and view.has_keyboard_focus:
                painter.setPen(pen("focus", 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), 8, 8)
        tile = QRectF(rect.left() + px(12) + 0.5, rect.center().y() - px(15), px(31), px(31))
        self._paint_chain(painter, rect, tile, index)
        painter.setPen(Qt.PenStyle.NoPen if is_current else pen("border2"))
        painter.setBrush(colour("accentFill" if is_current else "surface"))
        painter.drawRoundedRect(tile, 7, 7)
        paint_icon(painter, tile.adjusted(7, 7, -7, -7).toRect(), index.data(_ICON), "onAccent" if is_current else "text2")
        if summary:
            self._paint_dot(painter, tile, summary.dot, "accentWash" if is_current else "hover" if is_hot else "surface")
        if not view.is_narrow:
            self._paint_words(painter, QRect(rect).adjusted(px(53), 0, -px(12), 0), index.data(), summary)
        painter.restore()

    def _paint_chain(self, painter: QPainter, rect: QRect, tile: QRectF, index: QModelIndex) -> None:
        painter.setPen(pen("border2"))
        x = tile.center().x()
        if index.row() > 0:
            painter.drawLine(QRectF(x, rect.top(), 0, 0).topLeft(), QRectF(x, tile.top(), 0, 0).topLeft())
        if index.row() < len(PAGES) - 1:
            painter.drawLine(QRectF(x, tile.bottom(), 0, 0).topLeft(), QRectF(x, rect.bottom() + 1, 0, 0).topLeft())

    def _paint_dot(self, painter: QPainter, tile: QRectF, dot: str, ground: str) -> None:
        radius = px(4)
        centre = tile.bottomRight()
        painter.setPen(pen(ground, 3))
        is_hollow = dot == "outline"
        painter.setBrush(colour(ground if is_hollow else dot))
        painter.drawEllipse(centre, radius + 1, radius + 1)
        painter.setPen(pen(dot, 1.6) if is_hollow else Qt.PenStyle.NoPen)
        painter.drawEllipse(centre, radius - (0.6 if is_hollow else 0), radius - (0.6 if is_hollow else 0))

    def _paint_words(self, painter: QPainter, rect: QRect, title: str, summary) -> None:
        has_bar = summary is not None and summary.progress is not None
        top = rect.center().y() - px(19 if has_bar else 17)
        painter.setFont(font("panel"))
        painter.setPen(colour("text"))
        painter.drawText(QRect(rect.left(), top, rect.width(), px(18)), int(Qt.AlignmentFlag.AlignVCenter), title)
        if summary is None:
            return
        painter.setFont(font("caption"))
        painter.setPen(colour("bad" if summary.dot == "bad" else "muted"))
        words = fitting(summary.text, painter.fontMetrics(), rect.width())
        painter.drawText(QRect(rect.left(), top + px(18), rect.width(), px(16)), int(Qt.AlignmentFlag.AlignVCenter), words)
        if has_bar:
            bar = QRectF(rect.left(), top + px(36), rect.width() - px(30), 3)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("border2"))
            painter.drawRoundedRect(bar, 1.5, 1.5)
            bar.setWidth(max(2.0, bar.width() * summary.progress))
            painter.setBrush(colour("trainsFill"))
            painter.drawRoundedRect(bar, 1.5, 1.5)

    def helpEvent(self, event: QHelpEvent, view, option: QStyleOptionViewItem, index: QModelIndex) -> bool:
        summary = index.data(_SUMMARY)
        if summary is not None:
            QToolTip.showText(
                event.globalPos(), plain_tooltip(f"{index.data()} (Ctrl {index.row() + 1})\n{summary.text}\n{summary.dot_word}"), view
            )
        return True


class _Queue(QWidget):
    """Active and waiting runs. Hidden while there is nothing in it or too little height."""

    def __init__(self):
        super().__init__()
        self.setObjectName("shell.queue")
        self._context: Context | None = None
        self._is_short = self._is_folded = False
        self._shown: tuple = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10 - _RING_PX), px(8), px(10 - _RING_PX), px(8))
        column.setSpacing(px(2))
        head = QHBoxLayout()
        head.setContentsMargins(px(_RING_PX), 0, px(_RING_PX), 0)
        head.addWidget(PlainLabel("Queue", "caption"))
        head.addStretch(1)
        self.all = button(
            "", kind="link", small=True, name="shell.queue.all", tooltip="All waiting runs, to put them in order", on_click=self.open
        )
        head.addWidget(self.all)
        column.addLayout(head)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(px(2))
        column.addLayout(self._rows)
        self.hide()

    def attach(self, context: Context) -> None:
        self._context = context
        context.runs.entries_changed.connect(self._rebuild)
        context.runs.active_changed.connect(lambda _: self._rebuild())
        context.runs.state_changed.connect(self._on_runs_state_changed)
        self._rebuild()

    def set_short(self, short: bool) -> None:
        self._is_short = short
        self._show()

    def set_folded(self, folded: bool) -> None:
        self._is_folded = folded
        self._show()

    def _show(self) -> None:
        self.setVisible(self._rows.count() > 0 and not self._is_short and not self._is_folded)

    def _rebuild(self) -> None:
        """The row that has the keyboard keeps it, or the one that comes to its place; also for when the user comes back to the window."""
        rows = [self._rows.takeAt(0).widget() for _ in range(self._rows.count())]
        place = next((i for i, row in enumerate(rows) if row is self.window().focusWidget()), None)
        runs = self._context.runs
        self._shown = self._wanted()
        for entry in self._shown:
            self._rows.addWidget(_QueueRow(self._context, entry))
        if place is not None and self._shown:
            entry = rows[place].entry
            place = self._shown.index(entry) if entry in self._shown else min(place, len(self._shown) - 1)
            self._rows.itemAt(place).widget().show()
            self._rows.itemAt(place).widget().setFocus(Qt.FocusReason.TabFocusReason)
        for row in rows:
            row.deleteLater()
        self.all.setText(f"All {len(runs.queued)}…" if len(runs.queued) > MOST_WAITING else "Order…")
        self.all.setVisible(bool(runs.queued))
        self._show()

    def _wanted(self) -> tuple:
        """What goes on, on each device, and the next of those that wait."""
        runs = self._context.runs
        return *sorted(runs.going, key=lambda entry: entry.number), *runs.queued[:MOST_WAITING]

    def open(self) -> None:
        """All that waits, to be put in another order."""
        from studio.gui.shell.queue import QueueSheet

        QueueSheet(self.window().centralWidget(), self._context).open()

    def _on_runs_state_changed(self, entry) -> None:
        if self._wanted() != self._shown:  # one of several ended
            self._rebuild()
            return
        for index in range(self._rows.count()):
            row = self._rows.itemAt(index).widget()
            if row.entry is entry:
                row.refresh()


class _QueueRow(QWidget):
    def __init__(self, context: Context, entry):
        super().__init__()
        self._context, self.entry = context, entry
        self.setObjectName(f"queue.{entry.folder.nickname}")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(_RING_PX), px(3), px(_RING_PX), px(3))
        row.setSpacing(px(8))
        self._dot = _Dot(entry.is_active)
        row.addWidget(self._dot)
        row.addWidget(PlainLabel(entry.name, "label", "text"))
        self._note = PlainLabel(context.runs.queue_note(entry), "label", "muted", elide=Qt.TextElideMode.ElideRight)
        row.addWidget(self._note, 1)
        self._figure = PlainLabel("", "number", "text2")
        row.addWidget(self._figure)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_context_menu_requested)
        self.refresh()

    def refresh(self) -> None:
        state = self.entry.state
        self._figure.setText(wording.percent(state.step / state.num_steps, 0) if self.entry.is_active and state.num_steps else "")
        self.setAccessibleName(f"{self.entry.name}, {self.entry.status}, {self._figure.text()}")

    def _on_context_menu_requested(self, pos) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        runs, entry = self._context.runs, self.entry
        if entry.is_active:
            menu.addAction(icon("lightning"), "Show", lambda: self._context.shell.go_to("train", entry))
            menu.addAction(icon("stop-fill", "bad"), "Stop", lambda: runs.stop(entry))
        else:
            menu.addAction(icon("play-fill"), "Start now", lambda: runs.start_now(entry))
            menu.addAction(icon("caret-up"), "Earlier", lambda: runs.move_in_queue(entry, -1))
            menu.addAction(icon("caret-down"), "Later", lambda: runs.move_in_queue(entry, 1))
            menu.addAction(icon("arrow-u-up-left"), "Edit as draft", lambda: self._edit(entry))
            menu.addAction(icon("trash"), "Remove", lambda: self._remove(entry))
        menu.popup(self.mapToGlobal(pos))

    def _edit(self, entry: RunEntry) -> None:
        context = self._context
        is_changed = context.runs.take_as_draft(entry, f"edit {entry.name}")
        context.shell.toast_change(f"The settings of {entry.name} are the draft now.", context.store, is_changed)

    def _remove(self, entry: RunEntry) -> None:
        from studio.gui.removal import remove_from_queue  # numpy comes with it, which the first picture does without

        remove_from_queue(self._context, [entry])

    def keyPressEvent(self, event) -> None:
        if event.key() in (Qt.Key.Key_Menu, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_context_menu_requested(self.rect().center())
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event) -> None:
        if self.hasFocus():
            painter = QPainter(self)
            paint_focus(painter, self.rect())
            painter.end()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._context.shell.go_to("train", self.entry)


class _Dot(QWidget):
    def __init__(self, is_active: bool):
        super().__init__()
        self._is_active = is_active
        self.setFixedSize(px(10), px(10))

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen if self._is_active else pen("outline", 1.5))
        painter.setBrush(colour("trainsFill") if self._is_active else Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5))
        painter.end()
