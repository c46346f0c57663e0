"""Wrongly called images, highest loss first, and what can be done about their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPainterPath
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QMenu, QStackedLayout, QStyle, QStyledItemDelegate, QWidget

from studio.core.path_text import shown
from studio.core.run_folder import RunFolder
from studio.gui.pages.results.cam import CamLoader
from studio.gui.pages.results.scores import Mistake
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.button import Segmented, button, icon_button
from studio.gui.widgets.chip_row import menu_text
from studio.gui.widgets.label import PlainLabel, plain_tooltip, set_plain_tooltip
from studio.gui.widgets.panel import Panel
from studio.gui.widgets.slider import Slider
from studio.gui.widgets.thumb import ThumbLoader, paint_cover
from studio.gui.wording import NBSP, percent

CARD_W, PICTURE_H, CARD_H = 138, 98, 130
_MAX_MENU = 60


@dataclass(frozen=True)
class Card:
    """A mistake with what is known of it now. `now` is its label in the draft: changed, or "" when it is left out there."""

    mistake: Mistake
    path: str
    label: str
    predicted: str
    now: str
    is_confirmed: bool = False

    @property
    def state(self) -> str:
        if not self.now:
            return "left out"
        return f"now {shown(self.now)}" if self.now != self.label else "label is right" if self.is_confirmed else ""

    @property
    def words(self) -> str:
        return f"{shown(self.label)} → {shown(self.predicted)}"


class _Model(QAbstractListModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.cards: Sequence[Card] = ()

    def set_cards(self, cards: Sequence[Card]) -> None:
        if len(cards) == len(self.cards) and all(a.mistake == b.mistake for a, b in zip(cards, self.cards)):
            self.cards = cards
            if cards:
                self.dataChanged.emit(self.index(0), self.index(len(cards) - 1))
            return
        self.beginResetModel()
        self.cards = cards
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.cards)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        card = self.cards[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            tail = f", {card.state}" if card.state else ""
            return f"{shown(card.label)} called {shown(card.predicted)}, {percent(card.mistake.confidence, 0)} sure, loss {card.mistake.loss:.2f}{tail}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(
                f"{shown(card.mistake.id)}\n{card.words}, {percent(card.mistake.confidence)} sure\nloss {card.mistake.loss:.3f}"
            )
        return None


class MistakesPanel(Panel):
    """Cards and the actions on the chosen one. The page edits the draft; this only says what was asked for."""

    relabel_wanted = Signal(object, str)  # Card, class name
    confirm_wanted = Signal(object)  # Card
    leave_out_wanted = Signal(object)  # Card
    filter_cleared = Signal()

    def __init__(self, loader: ThumbLoader, cams: CamLoader, parent: QWidget | None = None):
        super().__init__("Worst mistakes", name="results.mistakes", parent=parent)
        self._classes: tuple[str, ...] = ()
        self._reason = ""
        self.filter_chip = button("", "x", kind="chip", icon_last=True, name="results.mistakes.filter", on_click=self.filter_cleared.emit)
        self.filter_chip.hide()
        self.head.insertWidget(1, self.filter_chip)
        self.relabel_button = button("Relabel", "tag", small=True, name="results.relabel", on_click=self.open_relabel_menu)
        self.confirm_button = icon_button(
            "check", "The label is right", small=True, name="results.confirm", on_click=lambda: self._act(self.confirm_wanted)
        )
        self.leave_out_button = icon_button(
            "eye-slash", "Leave the image out", small=True, name="results.leave_out", on_click=lambda: self._act(self.leave_out_wanted)
        )
        self.opacity = Slider(0.0, 1.0, 0.7, default=0.7, name="results.cam.opacity")
        self.opacity.setFixedWidth(px(70))
        self.opacity.setAccessibleName("Opacity of the heat map")
        self.view = Segmented([(False, "Image"), (True, "Grad-CAM")], False, name="results.cam")
        self.view.setAccessibleName("Show images or where the network looked")
        for widget in (self.relabel_button, self.confirm_button, self.leave_out_button, self.opacity, self.view):
            self.head.addWidget(widget)
        self.opacity.hide()
        self.list = _CardList(loader, cams)
        self.empty = PlainLabel("", "label", "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.list)
        self.body.addWidget(holder, 1)
        self.body.setContentsMargins(px(8), 0, px(8), px(8))
        self.view.value_changed.connect(self._on_view_value_changed)
        self.opacity.value_changed.connect(self.list.set_opacity)
        self.list.selectionModel().currentChanged.connect(lambda *_: self._refresh_actions())
        self.list.menu_wanted.connect(self._on_menu_wanted)
        self.list.leave_out_wanted.connect(lambda: self._act(self.leave_out_wanted))
        self.show_message("Choose a run.")

    @property
    def card(self) -> Card | None:
        row = self.list.currentIndex().row()
        return self.list.cards.cards[row] if 0 <= row < len(self.list.cards.cards) else None

    def show_message(self, sentence: str) -> None:
        self.empty.setText(sentence)
        self.list.set_cards(None, ())
        self._stack.setCurrentIndex(0)
        self._refresh_actions()

    def show_cards(self, folder: RunFolder, cards: Sequence[Card], classes: tuple[str, ...], *, cam_reason: str, edit_reason: str) -> None:
        """cam_reason, edit_reason: why Grad-CAM or changing labels cannot work for this run; empty when they can."""
        self._classes, self._reason = classes, edit_reason
        self.view.set_option_enabled(True, not cam_reason, cam_reason)
        if cam_reason and self.view.value:
            self.view.set_value(False)
            self._on_view_value_changed(False)
        self.list.set_cards(folder, cards)
        self._stack.setCurrentIndex(1)
        self._refresh_actions()

    def set_filter(self, text: str) -> None:
        self.filter_chip.setText(text.replace("&", "&&"))
        self.filter_chip.setAccessibleName(f"Show all mistakes again, now {text}" if text else "")
        self.filter_chip.setVisible(bool(text))

    def next_mistake(self) -> None:
        n = self.list.cards.rowCount()
        if n:
            self.list.setCurrentIndex(self.list.cards.index((self.list.currentIndex().row() + 1) % n))
            self.list.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def relabel_menu(self) -> QMenu:
        """The predicted class first: that is what a wrong label most often should have been."""
        card, menu = self.card, QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if card is None:
            return menu
        menu.addAction(f"{menu_text(card.predicted)} (what it was called)", lambda: self.relabel_wanted.emit(card, card.predicted))
        if card.now != card.label:
            menu.addAction(f"{menu_text(card.label)} (as it was)", lambda: self.relabel_wanted.emit(card, card.label))
        menu.addSeparator()
        for name in [c for c in self._classes if c not in (card.label, card.predicted)][:_MAX_MENU]:
            menu.addAction(menu_text(name), lambda name=name: self.relabel_wanted.emit(card, name))
        return menu

    def open_relabel_menu(self) -> None:
        if self.card is not None and not self._reason:
            self.relabel_menu().popup(self.relabel_button.mapToGlobal(QPoint(0, self.relabel_button.height() + 2)))

    def _act(self, wanted: Signal) -> None:
        if self.card is not None and (not self._reason or wanted is self.confirm_wanted):
            wanted.emit(self.card)

    def _on_menu_wanted(self, at: QPoint) -> None:
        menu = self.relabel_menu()
        menu.setTitle("Relabel")
        whole = QMenu(self)
        whole.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        menu.setParent(whole, menu.windowFlags())
        whole.addMenu(menu).setEnabled(not self._reason)
        whole.addAction("The label is right", lambda: self._act(self.confirm_wanted))
        whole.addAction("Leave out", lambda: self._act(self.leave_out_wanted)).setEnabled(not self._reason)
        whole.popup(at)

    def _refresh_actions(self) -> None:
        has_card = self.card is not None
        for widget in (self.relabel_button, self.leave_out_button):
            widget.setEnabled(has_card and not self._reason)
        set_plain_tooltip(self.relabel_button, self._reason or "Give the image another class (L)")
        set_plain_tooltip(self.leave_out_button, self._reason or "Leave the image out (Delete)")
        self.confirm_button.setEnabled(has_card)

    def _on_view_value_changed(self, is_cam: object) -> None:
        self.opacity.setVisible(bool(is_cam))
        self.list.set_cam(bool(is_cam))


class _CardList(QListView):
    menu_wanted = Signal(QPoint)
    leave_out_wanted = Signal()

    def __init__(self, loader: ThumbLoader, cams: CamLoader):
        super().__init__()
        self.loader, self.cams = loader, cams
        self.folder: RunFolder | None = None
        self.is_cam, self.opacity = False, 0.7
        self.cards = _Model(self)
        self.setModel(self.cards)
        self.setObjectName("results.mistakes.list")
        self.setAccessibleName("Worst mistakes, highest loss first")
        self.setItemDelegate(_CardDelegate(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSpacing(0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu_requested)
        self._repaint = QTimer(self, singleShot=True, interval=30)
        self._repaint.timeout.connect(self.viewport().update)
        loader.loaded.connect(lambda _: self._repaint.start())
        cams.loaded.connect(self._repaint.start)
        self.verticalScrollBar().valueChanged.connect(lambda _: cams.forget_wishes())

    def set_cards(self, folder: RunFolder | None, cards: Sequence[Card]) -> None:
        if folder != self.folder:
            self.cams.forget_wishes()
        self.folder = folder
        self.cards.set_cards(cards)

    def set_cam(self, is_cam: bool) -> None:
        self.is_cam = is_cam
        self.cams.forget_wishes()
        self.viewport().update()

    def set_opacity(self, opacity: float) -> None:
        self.opacity = opacity
        self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.leave_out_wanted.emit()
        elif event.key() == Qt.Key.Key_Menu and self.currentIndex().isValid():
            self.menu_wanted.emit(self.viewport().mapToGlobal(self.visualRect(self.currentIndex()).center()))
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are commands here."""

    def _on_menu_requested(self, pos: QPoint) -> None:
        index = self.indexAt(pos)
        if index.isValid():
            self.setCurrentIndex(index)
            self.menu_wanted.emit(self.viewport().mapToGlobal(pos))


class _CardDelegate(QStyledItemDelegate):
    def sizeHint(self, option, index: QModelIndex) -> QSize:
        view: _CardList = self.parent()
        room = view.width() - px(12)
        columns = max(1, room // px(CARD_W))
        return QSize(room // columns, px(CARD_H))

    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        view: _CardList = self.parent()
        card = index.model().cards[index.row()]
        cell = QRectF(option.rect).adjusted(px(3), px(2), -px(3), -px(2))
        picture = QRectF(cell.left() + 1, cell.top() + 1, cell.width() - 2, px(PICTURE_H))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.setPen(pen("accent" if is_chosen else "border"))
        painter.setBrush(colour("accentWash" if is_chosen else "raised"))
        painter.drawRoundedRect(cell.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        self._picture(painter, view, card, picture)
        tick = QFontMetrics(font("tick"))
        words = f"loss{NBSP}{card.mistake.loss:.2f}"
        width = tick.horizontalAdvance(words) + px(8)
        badge = QRectF(picture.right() - width - 4, picture.top() + 4, width, tick.height() + 1)
        self._badge(painter, badge, words, "text")
        if card.state:
            text = tick.elidedText(card.state, Qt.TextElideMode.ElideRight, int(picture.width()) - px(16))
            box = QRectF(picture.left() + 4, picture.bottom() - tick.height() - 5, tick.horizontalAdvance(text) + px(8), tick.height() + 1)
            self._badge(painter, box, text, "good" if card.is_confirmed and card.now == card.label else "warn")
        self._caption(
            painter, card, QRectF(cell.left() + px(6), picture.bottom() + 1, cell.width() - px(12), cell.bottom() - picture.bottom() - 1)
        )
        if option.state & QStyle.StateFlag.State_HasFocus and view.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(cell.adjusted(1, 1, -1, -1), 6, 6)
        painter.restore()

    @staticmethod
    def _picture(painter: QPainter, view: _CardList, card: Card, box: QRectF) -> None:
        cam = view.cams.cam(view.folder, card.path, card.mistake.predicted) if view.is_cam and view.folder else None
        if cam is None:
            paint_cover(painter, box, view.loader.pixmap(card.path, 256), 5.0, opacity=0.4 if not card.now else 1.0)
            return
        paint_cover(painter, box, cam.view, 5.0)
        path = QPainterPath()
        path.addRoundedRect(box, 5, 5)
        painter.save()
        painter.setClipPath(path)
        painter.setOpacity(view.opacity)
        scale = max(box.width() / cam.heat.width(), box.height() / cam.heat.height())
        source = QRectF(0, 0, box.width() / scale, box.height() / scale)
        source.moveCenter(QRectF(cam.heat.rect()).center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, cam.heat, source)
        painter.restore()

    @staticmethod
    def _badge(painter: QPainter, box: QRectF, text: str, token: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("window", 0.86))
        painter.drawRoundedRect(box, 3, 3)
        painter.setFont(font("tick"))
        painter.setPen(colour(token))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    @staticmethod
    def _caption(painter: QPainter, card: Card, box: QRectF) -> None:
        painter.setFont(font("tick"))
        sure = percent(card.mistake.confidence, 0)
        painter.setPen(colour("text2"))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), sure)
        room = box.width() - painter.fontMetrics().horizontalAdvance(sure) - px(6)
        painter.setFont(font("caption"))
        metrics = painter.fontMetrics()
        arrow = " → "
        arrow_width = metrics.horizontalAdvance(arrow)
        true, called = shown(card.label), shown(card.predicted)
        half = (room - arrow_width) / 2
        if metrics.horizontalAdvance(true) + metrics.horizontalAdvance(called) + arrow_width > room:
            spare = max(half, room - arrow_width - metrics.horizontalAdvance(called))
            true = metrics.elidedText(true, Qt.TextElideMode.ElideRight, int(spare))
            called = metrics.elidedText(called, Qt.TextElideMode.ElideRight, int(room - arrow_width - metrics.horizontalAdvance(true)))
        x = box.left()
        for text, token in ((true, "text"), (arrow, "muted"), (called, "bad")):
            painter.setPen(colour(token))
            painter.drawText(
                QRectF(x, box.top(), room, box.height()), int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text
            )
            x += metrics.horizontalAdvance(text)
