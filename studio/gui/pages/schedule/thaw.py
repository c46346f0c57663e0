"""The thaw timeline: a row per stage under the learning-rate plot, on the plot's own time axis. Marks say from when a stage trains."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.schedules import stage_factors, thaw_epochs
from studio.core.experiment import Experiment
from studio.gui.icon import icon
from studio.gui.pages.model.network import Network
from studio.gui.pages.schedule.curve import Length
from studio.gui.pages.schedule.plot import LEFT_PX
from studio.gui.pages.schedule.thaw_bar import ROW_PX, Row, ThawBar, TimeScale, factor_words
from studio.gui.pages.schedule.thaw_plan import PRESETS, Epoch, Preset, num_trainable_at, thaw_with, thaw_words
from studio.gui.pages.schedule.wish import HandWish
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import (
    Bubble,
    NumberField,
    Panel,
    PlainLabel,
    button,
    icon_button,
    scrolling,
    set_plain_tooltip,
)
from studio.gui.wording import parameters

GAP_PX = 2
_FIELD_PX = 52
_LOW_PX = 720  # a page below this height folds the timeline away
_OTHERS_PX = 660  # what the plot and the numbers need of a page
_RATES = "optimiser.stage_lr_factors"


class ThawRow(QWidget):
    """Name, rate multiplier and bar of one stage."""

    factor_changed = Signal(object)  # float
    reset_wanted = Signal()

    def __init__(self, scale: TimeScale, parent: QWidget | None = None):
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        head = QWidget()
        head.setFixedWidth(px(LEFT_PX))
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, px(2), 0)
        row.setSpacing(px(3))
        self.label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        self.field = NumberField(1.0, low=0.0, high=100.0, log=True)
        self.field.setProperty("dense", "true")
        self.field.setFixedWidth(px(_FIELD_PX))
        self.fixed = PlainLabel("", "number", "muted")
        self.fixed.setFixedWidth(px(_FIELD_PX))
        self.fixed.setIndent(px(5))
        row.addWidget(self.label, 1)
        row.addWidget(PlainLabel("×", "caption"))
        row.addWidget(self.field)
        row.addWidget(self.fixed)
        self.bar = ThawBar(scale)
        self._head: tuple = ()  # what the name and the field show
        layout.addWidget(head)
        layout.addWidget(self.bar, 1)
        self.setFixedHeight(px(ROW_PX))
        self.field.value_changed.connect(self.factor_changed)

    def show_row(self, row: Row, length: Length, now: int | None) -> None:
        self.bar.show_row(row, length, now)
        head = (row.name, row.title, row.factor, row.is_head, row.has_own_rate)
        if head != self._head:  # while the mark is dragged the bar alone changes
            self._head = head
            self._show_head(row)

    def _show_head(self, row: Row) -> None:
        self.label.setText(row.title)
        self.field.setVisible(not row.is_head)
        self.fixed.setVisible(row.is_head)
        self.fixed.setText(factor_words(row.factor))
        self.field.set_value(float(factor_words(row.factor)))
        self.field.setAccessibleName(f"Learning rate of {row.name}, times that of the head")
        own = "Set by hand. The menu of the row takes it back to LR by depth." if row.has_own_rate else "From LR by depth."
        set_plain_tooltip(self.field, f"Learning rate of {row.name} as a share of the head’s. {own}")
        self.label.set_tone("accent" if row.has_own_rate else "")
        self.bar.setObjectName(f"schedule.thaw.{row.name}")
        self.field.setObjectName(f"schedule.thaw.{row.name}.factor")

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        row, menu = self.bar.row, QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if not row.is_head:
            for words, epoch in (("Train from the start", 0), ("Never train", None)):
                menu.addAction(words, lambda epoch=epoch: self.bar.moved.emit(epoch)).setEnabled(row.epoch != epoch)
            menu.addSeparator()
            menu.addAction("Rate back to LR by depth", self.reset_wanted.emit).setEnabled(row.has_own_rate)
            menu.popup(event.globalPos())


class ThawPanel(Panel):
    """All rows in execution order, the head last. Writes `model.thaw` and `optimiser.stage_lr_factors`.

    `stage_hovered` names the stage under the pointer or with the focus, None when there is none. A mark that is dragged is a wish of the hand.
    """

    stage_hovered = Signal(object)
    held = Signal(bool)  # whether a mark is in the hand

    def __init__(self, store: ExperimentStore, plot: pg.PlotItem, wish: HandWish, parent: QWidget | None = None):
        super().__init__("Thaw timeline", "same time axis as above", name="schedule.thaw", parent=parent)
        self._store, self._wish, self._scale = store, wish, TimeScale(plot)
        self._network: Network | None = None
        self._length = Length(1, 1)
        self._now: int | None = None
        self._page_height = 0
        self._is_open: bool | None = None  # None follows the height of the page
        self._bubble: Bubble | None = None
        self._shown: list[tuple[Row, Length, int | None]] = []
        self.rows: list[ThawRow] = []
        self._make_head()
        self.empty_label = PlainLabel("The stages show here as soon as the network is known.", "label", "muted", wrap=True)
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(px(GAP_PX))
        self._area = scrolling(self._content, name="schedule.thaw.area")
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(lambda low, high: bar.setValue(high))  # the head, and what thaws first, are at the end
        self.body.addWidget(self.empty_label)
        self.body.addWidget(self._area, 1)
        self.body.setContentsMargins(px(12), 0, px(12), px(10))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._scale.on_changed(self._content.update)

    def _make_head(self) -> None:
        self.reset_button = button(
            "Reset rates", kind="link", small=True, name="schedule.thaw.reset", tooltip="All multipliers back to LR by depth",
            on_click=lambda: self._store.set({_RATES: {}}, "rates by depth"),
        )  # fmt: skip
        self.head.addWidget(self.reset_button)
        self.presets_button = button("Presets", "caret-down", kind="quiet", small=True, icon_last=True, name="schedule.thaw.presets")
        menu = QMenu(self.presets_button)
        menu.setToolTipsVisible(True)
        for preset in PRESETS:
            action = QAction(preset.title, menu)
            action.setToolTip(preset.help)
            action.triggered.connect(lambda *_, preset=preset: self.apply_preset(preset))
            menu.addAction(action)
        self.presets_button.setMenu(menu)
        self.head.addWidget(self.presets_button)
        self.fold_button = icon_button("caret-up", "Fold the thaw timeline", small=True, name="schedule.thaw.fold", on_click=self._on_fold)
        self.head.addWidget(self.fold_button)

    # what is shown

    def show_plan(self, network: Network | None, length: Length, problem: str = "") -> None:
        """The draft's plan over a run of this length; `network` is None while it is not known, and `problem` says why."""
        self._network, self._length = network, length
        stages = network.stages if network else ()
        self.empty_label.setText(problem or "The stages show here as soon as the network is known.")
        self._fit_rows(len(stages))
        names = {stage.name for stage in stages}
        self.reset_button.setVisible(bool(names & set(self._store.experiment.optimiser.stage_lr_factors)))
        self.presets_button.setEnabled(len(stages) > 1)
        self._show_rows()
        self._apply_fold()

    def _show_rows(self) -> None:
        plan = self._plan()
        shown = [(row, self._length, self._now) for row in plan]
        for place, (widget, facts) in enumerate(zip(self.rows, shown, strict=True)):
            if self._shown[place : place + 1] != [facts]:
                widget.show_row(*facts)
        self._shown = shown
        if not self._wish.is_open:  # not while a mark is dragged: other words may move the whole panel
            self.set_subtitle(self._summary(plan))

    def show_now(self, step: int | None) -> None:
        """Where the active run stands; None when there is none on this plan."""
        if step != self._now:
            self._now = step
            self._show_rows()

    def _plan(self) -> list[Row]:
        if self._network is None:
            return []
        experiment = self._wish.experiment
        stages = self._network.stages
        names = [stage.name for stage in stages]
        epochs, factors = thaw_epochs(experiment.model, names), stage_factors(experiment.optimiser, names)
        own, end, partly = experiment.optimiser.stage_lr_factors, self._length.epochs, self._network.partly(experiment.model)
        return [
            Row(
                s.name,
                s.title,
                s.num_parameters,
                epoch,
                factor,
                is_head=s is stages[-1],
                has_own_rate=s.name in own,
                is_late=epoch is not None and epoch >= end,
                is_partly=s.name in partly and epoch != 0,
            )  # fmt: skip
            for s, epoch, factor in zip(stages, epochs, factors, strict=True)
        ]

    def _summary(self, plan: Sequence[Row]) -> str:
        if self._network is None:
            return ""
        counts, epochs = [row.num_parameters for row in plan], [row.epoch for row in plan]
        first, last = (num_trainable_at(counts, epochs, epoch) for epoch in (0, self._length.epochs - 1))
        if first == last:
            return f"{parameters(first)} of {parameters(sum(counts))} train"
        return f"{parameters(first)} train at first, {parameters(last)} at the end"

    def _fit_rows(self, count: int) -> None:
        if len(self.rows) != count:
            self._shown = []
        while len(self.rows) < count:
            self._add_row()
        while len(self.rows) > count:
            self.rows.pop().deleteLater()
        self._content.setFixedHeight(count * px(ROW_PX) + max(0, count - 1) * px(GAP_PX))

    def _add_row(self) -> None:
        row = ThawRow(self._scale)
        bar = row.bar
        bar.moved.connect(lambda epoch: self._on_moved(row, epoch))
        bar.nudged.connect(lambda epoch: self._set_thaw({bar.row.name: epoch}, burst=f"thaw {bar.row.name}"))
        bar.drag_started.connect(self._on_drag_started)
        bar.drag_ended.connect(self._on_drag_ended)
        bar.dragged_at.connect(lambda at: self._show_bubble(row, at))
        bar.row_wanted.connect(lambda by: self._focus_row(self.rows.index(row) + by))
        bar.hovered.connect(lambda on: self.stage_hovered.emit(bar.row.name if on else None))
        row.factor_changed.connect(lambda factor: self._set_factor(bar.row, factor))
        row.reset_wanted.connect(lambda: self._set_factor(bar.row, None))
        row.field.drag_started.connect(self._store.begin_drag)
        row.field.drag_ended.connect(self._store.end_drag)
        row.field.make_draggable(row.label)
        self.rows.append(row)
        self._column.addWidget(row)

    # the hand

    def apply_preset(self, preset: Preset) -> None:
        if self._network is None:
            return
        names = [stage.name for stage in self._network.stages]
        plan = preset.plan(len(names) - 1, self._length.epochs)
        self._set_thaw(dict(zip(names[:-1], plan, strict=True)), f"thaw: {preset.title.lower()}")

    def _on_moved(self, row: ThawRow, epoch: Epoch) -> None:
        name = row.bar.row.name
        base = self._wish.base
        if base is None:
            self._set_thaw({name: epoch})
        else:
            self._wish.set(self._thaw_values(base, {name: epoch}), _label(name, epoch))
            self._show_rows()

    def _set_thaw(self, changes: dict[str, Epoch], label: str = "", *, burst: str = "") -> None:
        label = label or ", ".join(_label(name, epoch) for name, epoch in changes.items())
        self._store.set(self._thaw_values(self._store.experiment, changes), label, burst=burst)

    def _thaw_values(self, experiment: Experiment, changes: dict[str, Epoch]) -> dict[str, dict[str, int]]:
        names = [stage.name for stage in self._network.stages]
        return {"model.thaw": thaw_with(experiment.model, names, changes)}

    def _set_factor(self, row: Row, factor: float | None) -> None:
        own = dict(self._store.experiment.optimiser.stage_lr_factors)
        if factor is None:
            own.pop(row.name, None)
        else:
            own[row.name] = factor
        self._store.set({_RATES: own}, f"rate of {row.name}")

    def _focus_row(self, index: int) -> None:
        if 0 <= index < len(self.rows):
            bar = self.rows[index].bar
            bar.setFocus(Qt.FocusReason.TabFocusReason)
            self._area.ensureWidgetVisible(bar, 0, px(GAP_PX))

    def _show_bubble(self, row: ThawRow, at: QPoint) -> None:
        if self._bubble is None or self._bubble.parentWidget() is not self.window():
            self._bubble = Bubble(self.window())
        self._bubble.show_at(at, *self.consequence(row.bar.row), beside=self)

    def _on_drag_started(self) -> None:
        self._wish.begin()
        self.held.emit(True)

    def _on_drag_ended(self, is_kept: bool) -> None:
        self._wish.end(is_kept)
        self._show_rows()
        self.held.emit(False)
        if self._bubble is not None:
            self._bubble.hide()

    def consequence(self, row: Row) -> tuple[str, str]:
        """What a stage's mark does, and what trains from then on."""
        plan = [shown for shown, _, _ in self._shown]
        counts, epochs = [r.num_parameters for r in plan], [r.epoch for r in plan]
        total = parameters(sum(counts))
        if row.epoch is None:
            return (
                f"{row.title} never trains",
                f"{parameters(num_trainable_at(counts, epochs, self._length.epochs - 1))} of {total} at the end",
            )
        title = f"{row.title} trains from the start" if row.epoch == 0 else f"{row.title} thaws {thaw_words(row.epoch)}"
        now = num_trainable_at(counts, epochs, row.epoch)
        return title, f"+{parameters(row.num_parameters)}: {parameters(now)} of {total} train from then on"

    # folding

    @property
    def is_folded(self) -> bool:
        return not self._area.isVisibleTo(self)

    def set_room(self, page_height: int) -> None:
        """How high the page is, px: rows that find no room scroll; a low page folds them all, unless they were opened by hand."""
        self._page_height = page_height
        self._apply_fold()

    def minimumSizeHint(self) -> QSize:
        """Of the folded panel, so that an open one does not keep the page from becoming low."""
        return QSize(super().minimumSizeHint().width(), px(40))

    def _on_fold(self) -> None:
        self._is_open = self.is_folded
        self._apply_fold()

    def _apply_fold(self) -> None:
        is_open = self._page_height >= px(_LOW_PX) if self._is_open is None else self._is_open
        pitch = px(ROW_PX) + px(GAP_PX)
        num_rows = max(3, (self._page_height - px(_OTHERS_PX)) // pitch)  # whole rows only
        self._area.setFixedHeight(min(self._content.height(), num_rows * pitch - px(GAP_PX)))
        self._area.setVisible(is_open and self._network is not None)
        self.empty_label.setVisible(is_open and self._network is None)
        self.fold_button.setIcon(icon("caret-up" if is_open else "caret-down"))
        words = "Fold the thaw timeline" if is_open else "Open the thaw timeline"
        self.fold_button.setAccessibleName(words)
        set_plain_tooltip(self.fold_button, words)
        self.body.setContentsMargins(px(12), 0, px(12), px(10) if is_open else 0)


def _label(name: str, epoch: Epoch) -> str:
    return f"thaw {name} {thaw_words(epoch)}"


def _show_three_thaws(page) -> None:
    page.thaw.apply_preset(PRESETS[0])
    page.store.set(
        {"model.thaw": {"stage 5": 1, "stage 4": 4, "stage 3": 8, "stage 2": -1}, "optimiser.stage_lr_factors": {"stage 4": 0.3}}
    )


def _show_thaw_drag(page) -> None:
    _show_three_thaws(page)
    if not page.thaw.rows:
        return  # the network is not known without workers
    row = page.thaw.rows[-4]
    row.bar.setFocus(Qt.FocusReason.MouseFocusReason)
    row.bar.moved.emit(6)
    page.thaw._show_bubble(row, row.bar.mapToGlobal(QPoint(round(row.bar.x_of(6)), px(12))))


THAW_STATES = {"thaw": _show_three_thaws, "thaw_drag": _show_thaw_drag}
