"""The sheet with all runs that wait: in which order they start, by mouse and by keys."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.removal import remove_from_queue
from studio.gui.run_entry import RunEntry
from studio.gui.shell.sheet import Sheet
from studio.gui.theme import colour, font, px
from studio.gui.widgets import PlainLabel, button
from studio.gui.widgets.focus import paint_focus
from studio.gui.widgets.label import fitting

_ENTRY, _NOTE, _DEVICE = (Qt.ItemDataRole.UserRole + i for i in range(1, 4))
_ROW_PX, _MOST_ROWS = 32, 12
CHOSEN_LATER = "device chosen at start"
HINT = "The first starts when its device is free; one that fails lets the next begin. Drag, or Alt with ↑ and ↓, for another order; Del removes."


class QueueSheet(Sheet):
    """Follows the queue while it is open: a run that starts leaves the list."""

    def __init__(self, host: QWidget, context: Context):
        super().__init__(host, "Queue", name="shell.queue_sheet", width=560, has_input=True)
        self._context = context
        self.words = PlainLabel("", "caption", wrap=True)
        self.body.addWidget(self.words)
        self.listing = _QueueList()
        self.listing.moved.connect(self._on_listing_moved)
        self.listing.currentRowChanged.connect(lambda _: self._refresh_buttons())
        self.listing.itemSelectionChanged.connect(self._refresh_buttons)
        self.body.addWidget(self.listing)
        self.hint = PlainLabel(HINT, "caption", "muted", wrap=True)
        self.body.addWidget(self.hint)
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.earlier = button("Earlier", "caret-up", name="queue_sheet.earlier", on_click=lambda: self._move(-1))
        self.later = button("Later", "caret-down", name="queue_sheet.later", on_click=lambda: self._move(1))
        self.remove = button("Remove", "trash", name="queue_sheet.remove", on_click=self._remove)
        self.start = button("Start now", "play-fill", name="queue_sheet.start", on_click=self._start)
        for part in (self.earlier, self.later, self.remove):
            row.addWidget(part)
        row.addStretch(1)
        row.addWidget(self.start)
        self.body.addLayout(row)
        context.runs.entries_changed.connect(self._refresh)
        context.runs.active_changed.connect(self._refresh)
        self._refresh()

    @property
    def chosen(self) -> list[RunEntry]:
        """In the order in which they start."""
        rows = sorted(index.row() for index in self.listing.selectedIndexes())
        return [self.listing.item(row).data(_ENTRY) for row in rows]

    def _refresh(self, *_) -> None:
        runs, chosen = self._context.runs, self.chosen
        current = self.listing.currentRow()
        going = sorted(runs.going, key=lambda entry: entry.number)
        trains = ", ".join(f"{entry.name} on {device}" if (device := _device(entry)) else entry.name for entry in going)
        waits = (
            f"{counted(len(runs.queued), 'run')} waiting."
            if runs.queued
            else "Nothing waits. “Queue” in the menu beside Train adds the draft."
        )
        self.words.setText(f"{waits} {f'Now: {trains}.' if trains else ''}".strip())
        self.listing.blockSignals(True)
        self.listing.clear()
        for entry in runs.queued:
            note, device = runs.queue_note(entry), _device(entry)
            item = QListWidgetItem(", ".join(filter(None, (entry.name, note, f"on {device}" if device else CHOSEN_LATER))))
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsDropEnabled)  # between rows, and not onto one
            for role, value in ((_ENTRY, entry), (_NOTE, note), (_DEVICE, device or CHOSEN_LATER)):
                item.setData(role, value)
            self.listing.addItem(item)
            item.setSelected(entry in chosen)
        if self.listing.count():
            kept = next((i for i in range(self.listing.count()) if self.listing.item(i).data(_ENTRY) in chosen), max(0, current))
            row = min(kept, self.listing.count() - 1)
            self.listing.setCurrentRow(row, QItemSelectionModel.SelectionFlag.Select)
        self.listing.blockSignals(False)
        self.listing.setFixedHeight(px(_ROW_PX) * max(1, min(_MOST_ROWS, self.listing.count())) + 2)
        for part in (self.listing, self.hint):
            part.setVisible(bool(runs.queued))
        self.setFocusProxy(self.listing if runs.queued else None)  # what is hidden takes no keys, and Esc would not close the sheet
        self._refresh_buttons()
        if self.isVisible():
            self._place()

    def _refresh_buttons(self) -> None:
        chosen, queued = self.chosen, self._context.runs.queued
        pressed = QApplication.focusWidget()
        self.earlier.setEnabled(len(chosen) == 1 and chosen[0] is not queued[0])
        self.later.setEnabled(len(chosen) == 1 and chosen[0] is not queued[-1])
        self.remove.setEnabled(bool(chosen))
        self.start.setEnabled(len(chosen) == 1)
        if queued and pressed in (self.earlier, self.later, self.remove, self.start) and not pressed.isEnabled():
            self.listing.setFocus(Qt.FocusReason.TabFocusReason)  # and not the button beside it, which does the opposite

    def _move(self, by: int) -> None:
        if len(chosen := self.chosen) == 1:
            self._context.runs.move_in_queue(chosen[0], by)

    def _on_listing_moved(self) -> None:
        self._context.runs.order_queue([self.listing.item(row).data(_ENTRY) for row in range(self.listing.count())])

    def _remove(self) -> None:
        if chosen := self.chosen:
            remove_from_queue(self._context, chosen)

    def _start(self) -> None:
        if len(chosen := self.chosen) == 1:
            self._context.runs.start_now(chosen[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        is_alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
        match event.key():
            case Qt.Key.Key_Up if is_alt:
                self._move(-1)
            case Qt.Key.Key_Down if is_alt:
                self._move(1)
            case Qt.Key.Key_Delete:
                self._remove()
            case _:
                super().keyPressEvent(event)


class _QueueList(QListWidget):
    """Rows that are dragged to another place; `moved` after each."""

    moved = Signal()

    def __init__(self):
        super().__init__()
        self.setObjectName("queue_sheet.list")
        self.setAccessibleName("Waiting runs, in the order in which they start")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setItemDelegate(_QueueDelegate(self))

    def dropEvent(self, event) -> None:
        super().dropEvent(event)
        self.moved.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.modifiers() == Qt.KeyboardModifier.AltModifier or event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Escape):
            event.ignore()  # the sheet's
        else:
            super().keyPressEvent(event)


class _QueueDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index) -> QSize:
        return QSize(0, px(_ROW_PX))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index) -> None:
        painter.save()
        rect = QRect(option.rect)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, colour("accentWash"))
        if option.state & QStyle.StateFlag.State_HasFocus:
            paint_focus(painter, rect)
        rect.adjust(px(10), 0, -px(10), 0)
        align = int(Qt.AlignmentFlag.AlignVCenter)
        painter.setFont(font("number"))
        painter.setPen(colour("muted"))
        painter.drawText(QRect(rect.left(), rect.top(), px(24), rect.height()), align, str(index.row() + 1))
        device = index.data(_DEVICE)
        painter.setFont(font("caption" if device == CHOSEN_LATER else "number"))
        width = painter.fontMetrics().horizontalAdvance(device)
        painter.drawText(rect, align | int(Qt.AlignmentFlag.AlignRight), device)
        painter.setFont(font("label"))
        painter.setPen(colour("text"))
        rect.adjust(px(28), 0, -width - px(12), 0)
        name = index.data(_ENTRY).name
        painter.drawText(rect, align, name)
        rect.adjust(px(64), 0, 0, 0)
        painter.setPen(colour("text2"))
        painter.drawText(rect, align, fitting(index.data(_NOTE), painter.fontMetrics(), rect.width()))
        painter.restore()


def _device(entry: RunEntry) -> str:
    """ "cpu", "cuda × 2"; empty while the best one is still to be chosen."""
    training, described = entry.experiment.training, entry.state.description
    name = described.device if described else training.device
    if name == "auto":
        return ""
    number = training.processes * training.machines
    return name if number == 1 else f"{name.partition(':')[0]} × {number}"
