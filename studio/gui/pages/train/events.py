"""What happened in the run, newest first. A warning carries its way out; a click moves the cross-hair to its step."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QFontMetrics, QGuiApplication, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QMenu, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.core.fold import Notice
from studio.core.path_text import shown
from studio.gui.icon import paint_icon
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.button import icon_button
from studio.gui.widgets.panel import Panel
from studio.gui.wording import clock

ICONS: dict[str, tuple[str, str]] = {
    "start": ("play", "text2"),
    "phase": ("timer", "text2"),
    "epoch": ("check", "text2"),
    "best": ("trophy", "good"),
    "checkpoint": ("hard-drives", "text2"),
    "warning": ("warning", "warn"),
    "pause": ("pause", "warn"),
    "edit": ("sliders-horizontal", "text2"),
    "thaw": ("flame", "trains"),
    "end": ("check-circle", "good"),
    "failure": ("warning-octagon", "bad"),
}
FILTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Starts and ends", ("start", "phase", "pause", "end", "failure")),
    ("Epochs", ("epoch", "best", "checkpoint", "thaw", "edit")),
    ("Warnings", ("warning",)),
)


class EventModel(QAbstractListModel):
    """Notices, newest first, without the kinds that are filtered out."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._all: tuple[Notice, ...] = ()
        self._shown: list[Notice] = []
        self.hidden_kinds: frozenset[str] = frozenset()

    def set_notices(self, notices: tuple[Notice, ...]) -> None:
        if notices is self._all:
            return
        old, self._all = self._all, notices
        added = notices[len(old) :]
        if notices[: len(old)] == old:
            fresh = [n for n in reversed(added) if n.kind not in self.hidden_kinds]
            if fresh:
                self.beginInsertRows(QModelIndex(), 0, len(fresh) - 1)
                self._shown[:0] = fresh
                self.endInsertRows()
        else:
            self._rebuild()

    def set_hidden_kinds(self, kinds: frozenset[str]) -> None:
        self.hidden_kinds = kinds
        self._rebuild()

    def _rebuild(self) -> None:
        self.beginResetModel()
        self._shown = [n for n in reversed(self._all) if n.kind not in self.hidden_kinds]
        self.endResetModel()

    def notice(self, row: int) -> Notice:
        return self._shown[row]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return line_of(self._shown[index.row()])
        return None


def line_of(notice: Notice) -> str:
    """One notice as a line of text: "0:07 Gradient spike at step 222. Lower the learning rate."."""
    return f"{clock(notice.t)} {words_of(notice)}"


def words_of(notice: Notice) -> str:
    sentence = shown(notice.sentence)
    if notice.fix:
        return f"{sentence}{'' if sentence.endswith(('.', '?', ':')) else '.'} {shown(notice.fix)}"
    return sentence


class EventsPanel(Panel):
    """The list with its filter and copy buttons."""

    step_clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Events", name="train.events", margins=False, parent=parent)
        self.model = EventModel(self)
        self.list = _EventList(self.model)
        self.list.step_chosen.connect(self.step_clicked)
        self.filter_button = icon_button("funnel", "Choose which events are shown", small=True, name="train.events.filter")
        self.filter_button.setMenu(self._filter_menu())
        self.head.addWidget(self.filter_button)
        self.head.addWidget(icon_button("copy", "Copy events", small=True, name="train.events.copy", on_click=self.copy))
        self.body.addWidget(self.list)
        self.body.setContentsMargins(px(4), 0, px(4), px(6))

    def set_notices(self, notices: tuple[Notice, ...]) -> None:
        self.model.set_notices(notices)

    def copy(self) -> None:
        """The chosen lines, or all when none is chosen, oldest first."""
        rows = sorted({i.row() for i in self.list.selectedIndexes()}, reverse=True) or range(self.model.rowCount() - 1, -1, -1)
        QGuiApplication.clipboard().setText("\n".join(line_of(self.model.notice(r)) for r in rows))

    def _filter_menu(self) -> QMenu:
        menu = QMenu(self)
        for title, kinds in FILTERS:
            action = QAction(title, menu, checkable=True, checked=True)
            action.toggled.connect(lambda on, kinds=kinds: self._set_kinds(kinds, on))
            menu.addAction(action)
        return menu

    def _set_kinds(self, kinds: tuple[str, ...], is_on: bool) -> None:
        hidden = self.model.hidden_kinds - set(kinds) if is_on else self.model.hidden_kinds | set(kinds)
        self.model.set_hidden_kinds(frozenset(hidden))
        self.set_subtitle("filtered" if hidden else "")


class _EventList(QListView):
    step_chosen = Signal(int)

    def __init__(self, model: EventModel):
        super().__init__()
        self.setModel(model)
        self.setObjectName("train.events.list")
        self.setAccessibleName("Events of this run, newest first")
        self.setItemDelegate(_EventDelegate(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)

    def _choose(self, index: QModelIndex) -> None:
        self.step_chosen.emit(self.model().notice(index.row()).step)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            rows = sorted({i.row() for i in self.selectedIndexes()}, reverse=True)
            QGuiApplication.clipboard().setText("\n".join(line_of(self.model().notice(r)) for r in rows))
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self.scheduleDelayedItemsLayout()


class _EventDelegate(QStyledItemDelegate):
    """Time, icon, sentence over as many lines as it needs."""

    _TIME, _ICON = 38, 18

    def _text_rect(self, width: int) -> QRect:
        left = px(self._TIME + self._ICON) + px(6)
        return QRect(left, px(5), max(40, width - left - px(2)), 10_000)

    def _width(self) -> int:
        """Without the scroll bar, whether it is there or not: rows keep their height when it comes."""
        return self.parent().width() - px(12)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        width = self._width()
        words = words_of(index.model().notice(index.row()))
        bounds = QFontMetrics(font("label")).boundingRect(self._text_rect(width), int(Qt.TextFlag.TextWordWrap), words)
        return QSize(width, bounds.height() + px(10))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        notice, rect = index.model().notice(index.row()), option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, colour("accentWash"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, colour("hover"))
        line_height = QFontMetrics(font("label")).height()
        top = rect.top() + px(5)
        painter.setFont(font("tick"))
        painter.setPen(colour("muted"))
        painter.drawText(
            QRect(rect.left() + px(3), top, px(self._TIME) - px(6), line_height),
            int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight),
            clock(notice.t),
        )
        icon_name, token = ICONS.get(notice.kind, ("info", "text2"))
        paint_icon(
            painter, QRect(rect.left() + px(self._TIME) + px(4), top + (line_height - px(14)) // 2, px(14), px(14)), icon_name, token
        )
        painter.setFont(font("label"))
        painter.setPen(colour("bad" if notice.kind == "failure" else "text2"))
        painter.drawText(
            self._text_rect(self._width()).translated(rect.topLeft()).intersected(rect.adjusted(0, 0, 0, px(4))),
            int(Qt.TextFlag.TextWordWrap),
            words_of(notice),
        )
        if option.state & QStyle.StateFlag.State_HasFocus and self.parent().hasFocus():
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 4, 4)
        painter.restore()
