"""The pipeline as a list of cards: reorder by dragging or keys, switch, probability, duplicate, remove, look at one alone."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QFocusEvent, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QMenu, QScrollArea, QVBoxLayout, QWidget

from studio.gui.pages.augment.cards import Card, LockCard, StepCard
from studio.gui.pages.augment.draft import MIX_TITLES, MIXES, PipelineDraft, Target
from studio.gui.pages.augment.gallery import dragged_transform
from studio.gui.theme import colour, px
from studio.gui.widgets import Panel, PlainLabel, line, scrolling
from studio.gui.wording import NBSP

_P_STEP = 0.05  # Left and Right; Shift ten times as much
_FASTER = 4


class StepList(QWidget):
    """All cards in order: decoded image, steps, resize and normalise, whole batch. The list has the keyboard, not the cards."""

    form_wanted = Signal()  # Enter: go to the settings of the chosen step

    def __init__(self, draft: PipelineDraft, *, name: str, parent: QWidget | None = None):
        super().__init__(parent)
        self._draft = draft
        self.setObjectName(name)
        self.setAccessibleName("Steps of the pipeline")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAcceptDrops(True)
        self.cards: list[StepCard] = []
        self._drop_at: int | None = None
        self._area: QScrollArea | None = None
        self.decoded = LockCard(
            "image", "Decoded image", "any size", "Read, turned upright, 8 bits per colour. What is read is set on the Data page."
        )
        self.resized = LockCard(
            "lock-simple", "Resize, normalise", "", "The size and the statistics of the backbone. They are set on the Model page."
        )
        self.mix_cards = {mix: self._make_mix_card(mix) for mix in MIXES}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(px(10), px(2), px(10), px(8))
        self._column.setSpacing(px(6))
        self._column.addWidget(self.decoded)
        self._column.addWidget(self.resized)
        heading = PlainLabel("Whole batch", "caption")
        heading.setContentsMargins(px(2), px(4), 0, 0)
        self._column.addWidget(heading)
        for card in self.mix_cards.values():
            self._column.addWidget(card)
        self._column.addStretch(1)
        draft.settled.connect(self.show_steps)
        draft.current_changed.connect(self._show_current)
        draft.solo_changed.connect(self._show_current)
        self.show_steps()

    def set_area(self, area: QScrollArea) -> None:
        """What the list scrolls in."""
        self._area = area

    # Cards

    def _make_mix_card(self, mix: str) -> Card:
        card = Card(MIX_TITLES[mix], name=f"augment.{mix}", is_movable=False)
        card.detail_label.setText("images blended in pairs" if mix == "mixup" else "a rectangle from another image")
        card.chosen.connect(lambda: self._choose(mix))
        card.toggle.clicked.connect(lambda: self._draft.toggle(mix))
        card.p_changed.connect(lambda p: self._draft.set_mix_p(mix, p))
        self._join(card)
        return card

    def _make_card(self, index: int) -> StepCard:
        card = StepCard(self._draft.steps[index], name=f"augment.step.{index}")
        card.chosen.connect(lambda: self._choose((index,)))
        card.toggled.connect(lambda on: self._draft.set_on((index,), on))
        card.p_changed.connect(lambda p: self._draft.set_p((index,), p))
        card.dragged.connect(lambda at: self._on_card_dragged(index, at))
        card.dropped.connect(lambda at: self._on_card_dropped(index, at))
        card.menu_wanted.connect(lambda at: self._menu(index).popup(at))
        self._join(card)
        return card

    def _join(self, card: Card) -> None:
        card.p_drag_started.connect(self._draft.store.begin_drag)
        card.p_drag_ended.connect(self._draft.store.end_drag)

    def show_steps(self) -> None:
        steps = self._draft.steps
        if [step.name for step in steps] != [card.step_name for card in self.cards]:
            for card in self.cards:
                self._column.removeWidget(card)
                card.hide()
                card.deleteLater()
            self.cards = [self._make_card(i) for i in range(len(steps))]
            for index, card in enumerate(self.cards):
                self._column.insertWidget(1 + index, card)
        for card, step in zip(self.cards, steps, strict=True):
            card.show_step(step)
        for mix, card in self.mix_cards.items():
            p = self._draft.mix_p(mix)
            card.show_p(p, is_on=p > 0)
            for widget in (card.detail_label, card.slider, card.p_label):
                widget.setVisible(p > 0)  # two lines less while it is off
            card.setAccessibleName(f"{MIX_TITLES[mix]}, {p * 100:.0f} % of the batches")
        self._show_current()

    def _show_current(self) -> None:
        current, has_focus = self._draft.current, self.hasFocus()
        for index, card in enumerate(self.cards):
            card.set_active(isinstance(current, tuple) and current[0] == index, has_focus=has_focus)
            card.show_solo(self._draft.solo is not None and self._draft.solo[0] == index)
        for mix, card in self.mix_cards.items():
            card.set_active(current == mix, has_focus=has_focus)
        card = self.card_of(current)
        self.setAccessibleDescription(card.accessibleName() if card else "No step is chosen")
        if card is not None and self._area is not None:
            QTimer.singleShot(0, self, lambda: self._area.ensureWidgetVisible(card, 0, px(8)) if card.isVisible() else None)

    def card_of(self, target: Target) -> Card | None:
        if isinstance(target, tuple):
            return self.cards[target[0]] if target[0] < len(self.cards) else None
        return self.mix_cards.get(target)

    def _choose(self, target: Target) -> None:
        self._draft.choose(target)

    # The menu of a card

    def _menu(self, index: int) -> QMenu:
        draft, path = self._draft, (index,)
        step = draft.steps[index]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for title, keys, act, is_possible in (
            ("Switch off" if step.is_on else "Switch on", "T", lambda: draft.toggle(path), True),
            ("Show all steps again" if draft.solo == path else "Show this step alone", "S", lambda: draft.set_solo(path), True),
            ("Duplicate", "Ctrl+D", lambda: draft.duplicate(path), True),
            ("Move up", "Alt+Up", lambda: draft.move(path, index - 1), index > 0),
            ("Move down", "Alt+Down", lambda: draft.move(path, index + 1), index < len(draft.steps) - 1),
            ("Remove", "Del", lambda: draft.remove(path), True),
        ):
            action = menu.addAction(f"{title}\t{keys}")
            action.setEnabled(is_possible)
            action.triggered.connect(lambda *_, act=act: act())
        return menu

    # Keys

    def _targets(self) -> list[Target]:
        return [*((i,) for i in range(len(self._draft.steps))), *MIXES]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self._take_key(event.key(), event.modifiers()):
            super().keyPressEvent(event)

    def _take_key(self, key: int, modifiers) -> bool:
        draft, current = self._draft, self._draft.current
        at = (current[0],) if isinstance(current, tuple) else current
        is_alt = bool(modifiers & Qt.KeyboardModifier.AltModifier)
        is_control = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            by = -1 if key == Qt.Key.Key_Up else 1
            if not is_alt:
                targets = self._targets()
                place = targets.index(at) + by if at in targets else 0
                draft.choose(targets[max(0, min(len(targets) - 1, place))])
            elif isinstance(at, tuple):
                draft.move(at, at[0] + by)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and at is not None:
            by = _P_STEP * (_FASTER if modifiers & Qt.KeyboardModifier.ShiftModifier else 1)
            self._change_p(at, by if key == Qt.Key.Key_Right else -by)
        elif key in (Qt.Key.Key_T, Qt.Key.Key_Space) and at is not None and not is_control:
            draft.toggle(at)
        elif key == Qt.Key.Key_S and isinstance(at, tuple) and not is_control:
            draft.set_solo(at)
        elif key == Qt.Key.Key_D and isinstance(at, tuple) and is_control:
            draft.duplicate(at)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and isinstance(at, tuple):
            draft.remove(at)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and at is not None:
            self.form_wanted.emit()
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            draft.choose(self._targets()[0 if key == Qt.Key.Key_Home else -1])
        elif key == Qt.Key.Key_Escape and draft.solo is not None:
            draft.set_solo(draft.solo)
        else:
            return False
        return True

    def _change_p(self, target: Target, by: float) -> None:
        if isinstance(target, str):
            self._draft.set_mix_p(target, round(min(1.0, max(0.0, self._draft.mix_p(target) + by)), 4))
        else:
            p = self._draft.steps[target[0]].p
            self._draft.set_p(target, round(min(1.0, max(0.0, p + by)), 4))

    def focusInEvent(self, event: QFocusEvent) -> None:
        if self._draft.current is None and self._draft.steps:
            self._draft.choose((0,))
        super().focusInEvent(event)
        self._show_current()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_current()

    # Dragging a card, and dropping a tile of the gallery

    def _place_at(self, pos: QPoint) -> int:
        """Before which step something falls that is held at `pos`."""
        return sum(pos.y() > card.geometry().center().y() for card in self.cards)

    def _hold_over(self, place: int | None) -> None:
        if place != self._drop_at:
            self._drop_at = place
            self.update()

    def _on_card_dragged(self, index: int, at: QPoint) -> None:
        pos = self.mapFromGlobal(at)
        self._hold_over(self._place_at(pos))
        if self._area is not None:
            self._area.ensureVisible(0, pos.y(), 0, px(40))

    def _on_card_dropped(self, index: int, at: QPoint) -> None:
        place = self._place_at(self.mapFromGlobal(at))
        self._hold_over(None)
        self._draft.move((index,), place - 1 if place > index else place)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dragged_transform(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if dragged_transform(event.mimeData()):
            self._hold_over(self._place_at(event.position().toPoint()))
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._hold_over(None)

    def dropEvent(self, event: QDropEvent) -> None:
        name = dragged_transform(event.mimeData())
        self._hold_over(None)
        if name:
            event.acceptProposedAction()
            self._draft.add(name, self._place_at(event.position().toPoint()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The place where what is held would fall."""
        if self._drop_at is None:
            return
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("accent"))
        above = self.cards[self._drop_at - 1] if self._drop_at else self.decoded
        y = above.geometry().bottom() + px(6) / 2
        painter.drawRoundedRect(QRectF(px(10), y - 1, self.width() - px(20), 3), 1, 1)
        painter.end()


class PipelinePanel(Panel):
    """The list with its head (how many are on, what an image costs) and a foot for what the page has to say."""

    def __init__(self, draft: PipelineDraft, parent: QWidget | None = None):
        super().__init__("Pipeline", name="augment.pipeline", margins=False, parent=parent)
        self._draft = draft
        self.setMinimumWidth(px(212))
        self.cost_label = PlainLabel("", "number", "muted")
        self.head.addWidget(self.cost_label)
        self.list = StepList(draft, name="augment.steps")
        self.body.setSpacing(0)
        area = scrolling(self.list, name="augment.cards")
        self.list.set_area(area)
        self.body.addWidget(area, 1)
        self.foot_line = line()
        self.body.addWidget(self.foot_line)
        self.foot = QVBoxLayout()
        self.foot.setContentsMargins(px(12), px(8), px(12), px(10))
        self.foot.setSpacing(px(8))
        self.foot_holder = QWidget()
        self.foot_holder.setLayout(self.foot)
        self.body.addWidget(self.foot_holder)
        draft.settled.connect(self._show_number)
        self._show_number()

    def _show_number(self) -> None:
        num_on, num = self._draft.num_on, len(self._draft.steps)
        self.set_subtitle(f"{num_on} on" if num_on == num else f"{num_on} of {num} on")

    def show_cost(self, ms_per_image: float | None) -> None:
        """What an image costs one core, measured on what the preview has just computed; nothing where nothing is done or it is not known."""
        ms = "" if not ms_per_image else "under 0.1" if ms_per_image < 0.05 else f"{ms_per_image:.1f}"
        self.cost_label.setText(f"{ms}{NBSP}ms per image" if ms else "")
