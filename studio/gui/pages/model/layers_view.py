"""The layers with their tools: search by name or pattern, presets, rates by depth, and what the plan comes to."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.icon import icon
from studio.gui.pages.model.editor import PRESETS, PlanEditor
from studio.gui.pages.model.layers import Node, matching
from studio.gui.pages.model.tree import OUTPUT, LayerTreeView
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, PlainLabel, button, set_plain_tooltip
from studio.gui.widgets.form import FieldEditor
from studio.gui.wording import count, duration, num_bytes, parameters, percent, signed

_OWN = "own"


class LayersView(QWidget):
    """All of it writes through the PlanEditor, so that strip, tree, presets and the Schedule page show one state."""

    def __init__(self, context: Context, editor: PlanEditor, parent: QWidget | None = None):
        super().__init__(parent)
        self._context, self._editor = context, editor
        self._matches: list[Node] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        row = QHBoxLayout()
        row.setContentsMargins(px(8), 0, px(8), 0)
        row.setSpacing(px(8))
        self.search_field = QLineEdit()
        self.search_field.setObjectName("model.layers.search")
        self.search_field.setPlaceholderText("Find layers")
        set_plain_tooltip(self.search_field, "By name, kind or pattern: layer4, Conv2d, *.bn*")
        self.search_field.setAccessibleName("Find layers by name, kind or pattern")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setMinimumWidth(px(130))
        self.search_field.addAction(icon("magnifying-glass", "muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.search_field.textChanged.connect(lambda _: self._search())
        self.search_field.returnPressed.connect(lambda: self.tree.setFocus(Qt.FocusReason.TabFocusReason))
        row.addWidget(self.search_field, 1)
        self._tools = QStackedWidget()
        self._tools.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._tools.addWidget(self._make_plan_tools())
        self._tools.addWidget(self._make_match_tools())
        row.addWidget(self._tools)
        column.addLayout(row)
        self.tree = LayerTreeView()
        self.tree.setMinimumHeight(px(76))
        self.tree.state_wanted.connect(editor.set_nodes)
        self.tree.rate_wanted.connect(editor.set_rate)
        self.tree.epoch_wanted.connect(editor.set_epoch)
        self.tree.norm_wanted.connect(editor.set_norm)
        column.addWidget(self.tree, 1)
        self.figures = PlainLabel("", "caption", "text2", wrap=True)
        self.figures.setObjectName("model.figures")
        self.figures.setContentsMargins(px(10), 0, px(10), 0)
        column.addWidget(self.figures)
        self._before: tuple | None = None  # what the plan before came to: the same network's, and all else alike
        self._now: tuple | None = None
        editor.changed.connect(self.refresh)
        context.estimates.changed.connect(self._show_figures)

    def _make_plan_tools(self) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self.presets = ComboBox([(p.key, p.title) for p in PRESETS] + [(_OWN, "Own plan")], name="model.preset")
        self.presets.setAccessibleName("What trains")
        self.presets.setProperty("dense", "true")
        self.presets.value_changed.connect(lambda key: self._editor.apply_preset(key) if key != _OWN else self.refresh())
        self.presets.setFixedWidth(px(118))
        row.addWidget(self.presets)
        depth = PlainLabel("LR by depth", "label")
        set_plain_tooltip(depth, "Each stage before the head learns at this many times the rate of the one after it; 1 is equal rates.")
        row.addWidget(depth)
        self._depth_label = depth
        self.depth = FieldEditor(self._context.store, "optimiser.stage_lr_factor", name="model.depth")
        self.depth.control.slider.setFixedWidth(px(44))
        self.depth.number_field.setFixedWidth(px(50))
        row.addWidget(self.depth)
        self.equal_button = button(
            "Equal", kind="quiet", small=True, name="model.lr_equal", tooltip="The same learning rate for all stages", on_click=self._editor.set_equal_rates
        )  # fmt: skip
        self.equal_button.setAccessibleName("Equal learning rates")
        row.addWidget(self.equal_button)
        return made

    def _make_match_tools(self) -> QWidget:
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self.match_label = PlainLabel("", "label", "text2")
        self.freeze_button = button(
            "Freeze these", "snowflake", kind="quiet", small=True, name="model.match.freeze", on_click=lambda: self._set_matches(False)
        )
        self.train_button = button(
            "Train these", "flame", kind="quiet", small=True, name="model.match.train", on_click=lambda: self._set_matches(True)
        )
        row.addStretch(1)
        for widget in (self.match_label, self.freeze_button, self.train_button):
            row.addWidget(widget)
        return made

    def minimumSizeHint(self) -> QSize:
        """Of the narrow form, so that the wide one does not keep the column from becoming narrow."""
        return QSize(px(420), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow column keeps the slider and leaves its name to the tooltip."""
        super().resizeEvent(event)
        is_wide = self.width() >= px(508)
        self._depth_label.setVisible(is_wide)
        self.equal_button.setVisible(is_wide)
        self.tree.header().setSectionHidden(OUTPUT, not is_wide)  # for the names' sake
        self._show_figures()

    # following

    def refresh(self) -> None:
        editor = self._editor
        hint = "Layers are shown once the network can be built." if self._context.estimates.problem else "Reading the network…"
        if hint != self.tree.hint:
            self.tree.hint = hint
            self.tree.viewport().update()
        self.tree.set_plan(editor.plan, editor.factors, self._context.store.experiment.schedule.epochs)
        self.presets.set_value(editor.preset or _OWN)
        experiment = self._context.store.experiment
        self.equal_button.setEnabled(experiment.optimiser.stage_lr_factor != 1.0 or bool(experiment.optimiser.stage_lr_factors))
        if self.search_field.text():
            self._search()
        self._show_figures()

    def _search(self) -> None:
        text = self.search_field.text()
        self._matches = matching(self._editor.plan.tree, text)
        has_text = bool(text.strip())
        self._tools.setCurrentIndex(int(has_text))
        found = len(self._matches)
        words = f"matches {counted(found, 'layer')}" if found else "matches nothing" if self._editor.has_tree else "reading the layers…"
        self.match_label.setText(words)
        self.match_label.set_tone("text2" if found or not self._editor.has_tree else "warn")
        for made in (self.freeze_button, self.train_button):
            made.setEnabled(bool(found))
        self.tree.show_only({node.name for node in self._matches} if has_text and found else None)

    def _set_matches(self, should_train: bool) -> None:
        if self._matches:
            self._editor.set_nodes(self._matches, should_train)

    # what it comes to

    def _show_figures(self) -> None:
        """Counts at once; memory and time as soon as they are known, and how both changed against the plan before."""
        plan = self._editor.plan
        if not plan.names:
            self.figures.setText("")
            return
        estimates = self._context.estimates
        experiment, dataset = self._context.store.experiment, self._context.store.dataset
        model = experiment.model
        training = experiment.training
        step = (training.batch_size, training.precision, training.checkpointing, training.device, experiment.optimiser.kind)
        alike = (model.source, model.backbone, dataset and len(dataset.classes), step)  # a change of this is not the plan's
        key = (alike, model.train_stages, model.thaw, model.layers, model.batch_norm, model.cut, model.head, model.input_size)
        memory = sum((estimates.memory_bytes or {}).values()) or None
        time = estimates.time.seconds_per_epoch if estimates.time else None
        counts = plan.counts()
        if self._now is None or key != self._now[0]:
            self._before = self._now if self._now is not None and self._now[0][0] == alike else None
            self._now = (key, counts, None, None)
        if not estimates.is_stale:
            self._now = (key, counts, memory, time)
        changes = self._changes(counts, memory, time) if self._before else ""
        words = " · ".join(self._parts(counts, memory, time, estimates.is_stale))
        set_plain_tooltip(self.figures, words)
        if self.figures.fontMetrics().horizontalAdvance(words) > self.figures.contentsRect().width():  # the tree says what buffers do, too
            words = " · ".join(self._parts(replace(counts, buffers=0), memory, time, estimates.is_stale))
        self.figures.setText(f"{words}\nAgainst the plan before: {changes}" if changes else words)
        problem = "" if plan.trains_anything else "Nothing trains: a run of this plan cannot be started. Train the head at least."
        problem = problem or ("" if estimates.is_stale else estimates.problem)
        self.figures.set_tone("bad" if problem else "text2")
        if problem:
            self.figures.setText(shown(problem))

    def _parts(self, counts, memory: int | None, time: float | None, is_stale: bool) -> list[str]:
        total = max(1, counts.total)
        parts = [f"{parameters(counts.trains)} train ({percent(counts.trains / total)})"]
        parts += [f"{parameters(counts.later)} later"] if counts.later else []
        parts += [f"{parameters(counts.frozen)} frozen"]
        if counts.buffers:
            moving = f"{count(counts.moving)} follow the data" if counts.moving else "all stay"
            parts += [f"{count(counts.buffers)} buffers, {moving}"]
        parts += [f"{num_bytes(memory)}{'…' if is_stale else ''}"] if memory else []
        parts += [f"{duration(time)} an epoch"] if time else []
        return parts

    def _changes(self, counts, memory: int | None, time: float | None) -> str:
        _, before, old_memory, old_time = self._before
        change = counts.trains + counts.later - before.trains - before.later
        found = [f"{'+' if change > 0 else '−'}{parameters(abs(change))}"] if change else []
        if memory and old_memory and abs(memory - old_memory) > 0.005 * old_memory:
            found.append(f"{'+' if memory > old_memory else '−'}{num_bytes(abs(memory - old_memory))}")
        if time and old_time and abs(time - old_time) > 0.005 * old_time:
            found.append(f"{signed(time - old_time)} s")
        return ", ".join(found)
