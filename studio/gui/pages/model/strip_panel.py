"""The panel of the chosen network: its strip, a block opened, or why it cannot be shown."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QStackedLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.context import Context
from studio.gui.pages.model.editor import PlanEditor
from studio.gui.pages.model.inside import BlockInside, modules_in
from studio.gui.pages.model.listing import NO_COST, facts, key_of, value_words
from studio.gui.pages.model.network import Network, with_times
from studio.gui.pages.model.parts import Legend, make_loading
from studio.gui.pages.model.strip import ArchitectureStrip
from studio.gui.pages.model.strip_paint import Look
from studio.gui.theme import px
from studio.gui.widgets import EmptyState, Panel, PlainLabel, Segmented, icon_button

_STRIP, _LOADING, _PROBLEM, _INSIDE = range(4)


class StripPanel(Panel):
    """Shows the editor's network. `measure_wanted` asks for its speed here."""

    measure_wanted = Signal()
    norm_menu_wanted = Signal(int, QPoint)  # stage, global place
    stage_selected = Signal(int)

    def __init__(self, context: Context, editor: PlanEditor, parent: QWidget | None = None):
        super().__init__("", name="model.strip", parent=parent)
        self.setAccessibleName("Architecture")
        self._context, self._editor = context, editor
        head = QHBoxLayout()
        head.setSpacing(px(8))
        self.title_words = PlainLabel("", "panel")
        self.facts_words = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self.measure_button = icon_button(
            "timer",
            "Measure speed here\nTimes training steps of this network on this device, for about two seconds and with the present plan",
            small=True,
            name="model.strip.measure",
            on_click=self.measure_wanted.emit,
        )
        self.by = Segmented([("parameters", "Weights"), ("compute", "Compute")], "parameters", name="model.strip.by")
        self.by.setAccessibleName("What the length of a block stands for")
        self.by.value_changed.connect(self._on_by_changed)
        head.addWidget(self.title_words)
        head.addWidget(self.facts_words, 1)
        head.addWidget(self.measure_button)
        head.addWidget(self.by)
        self.body.addLayout(head)
        self.strip = ArchitectureStrip(name="model.freeze")
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.viewport().setAutoFillBackground(False)
        area.setWidget(self.strip)
        self.strip.setAutoFillBackground(False)
        self._area = area
        self.problem = EmptyState("warning-octagon", "", "", "Repair", self._on_repair, name="model.strip.problem")
        self.inside = BlockInside()
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        for widget in (area, make_loading("Reading the network…"), self.problem, self.inside):
            self._stack.addWidget(widget)
        self.body.addWidget(holder, 1)
        self.legend = Legend()
        self.body.addWidget(self.legend)
        self.strip.boundary_changed.connect(editor.set_boundary)
        self.strip.block_boundary_changed.connect(editor.set_block_boundary)
        self.strip.state_wanted.connect(editor.set_stages)
        self.strip.stage_selected.connect(self._on_stage_selected)
        self.strip.opened.connect(self.open_stage)
        self.strip.menu_wanted.connect(self.norm_menu_wanted)
        self.inside.state_wanted.connect(editor.set_nodes)
        self.inside.closed.connect(self.close_inside)
        editor.changed.connect(self.refresh)

    # what is shown

    def refresh(self) -> None:
        editor = self._editor
        network = editor.network if editor.is_current else None
        problem = self._context.estimates.problem
        if network is None:
            self._stack.setCurrentIndex(_PROBLEM if problem else _LOADING)
        elif self._stack.currentIndex() != _INSIDE or not self.inside.refresh(editor.plan):
            self._stack.setCurrentIndex(_STRIP)
        if problem and network is None:
            self.problem.set_texts(f"{self.title_words.text() or 'This network'} cannot be built", shown(problem))
            repair = self._context.estimates.repair
            self.problem.action_button.setVisible(repair is not None)
            self.problem.action_button.setText(repair.label if repair else "")
        self._show_network(network or Network(()))

    def _show_network(self, network: Network) -> None:
        plan = self._editor.plan
        looks = [
            Look(state.epoch, state.is_mixed, plan.norm_moves(i) and plan.names[i] in plan.model.batch_norm)
            for i, state in enumerate(plan.stage_state(i) for i in range(len(network.stages)))
        ]
        dataset, model = self._context.store.dataset, self._context.store.experiment.model
        num_images = dataset.epoch_size(self._context.store.experiment.data.synthetic_fraction) if dataset else 0
        time = self._context.estimates.time
        seconds = time.seconds_per_epoch / num_images if time and num_images else None
        network = with_times(
            network, [look.epoch is not None or look.is_mixed for look in looks], seconds, self._context.estimates.stage_seconds
        )
        blocks = [[b.num_parameters for b in stage.blocks] for stage in plan.tree.stages]
        self.strip.set_network(network, looks, blocks, self._editor.num_blocks_frozen, model.input_size, num_images)
        counts = plan.counts()
        if network.stages:
            self.strip.set_num_training(counts.trains + counts.later)
        moving = [i for i in range(len(network.stages)) if plan.stage_epochs[i] is None and plan.norm_moves(i)]
        has_norm = any(stage.has_batch_norm for stage in network.stages[:-1])
        self.legend.show_plan(has_norm=has_norm, num_moving=sum(plan.num_moving(i) for i in moving), num_stages=len(moving))
        has_compute = any(stage.macs for stage in network.stages)
        self.by.set_option_enabled("compute", has_compute, "The multiply-adds of its stages are not known.")

    def show_backbone(self, name: str, info: BackboneInfo | None, costs) -> None:
        self.title_words.setText(shown(name))
        words = facts(info, self._context.store.experiment.model.input_size) if info else ""
        if info is not None and costs.measuring == key_of(info):
            words += " · measuring…"
        elif info is not None and (cost := costs.costs.get(key_of(info), NO_COST)).images_per_s:
            words += f" · {value_words(info, 'images_per_s', cost)} images/s here"
        self.facts_words.setText(words)
        self.measure_button.setEnabled(info is not None and costs.measuring is None)

    def _on_repair(self) -> None:
        """What the builder offers, such as the nearest size that the network takes."""
        if repair := self._context.estimates.repair:
            self._context.store.set(repair.values, repair.label[:1].lower() + repair.label[1:])

    def _on_by_changed(self, by: object) -> None:
        self.strip.set_measure(str(by))
        self.legend.set_measure(str(by))

    def _on_stage_selected(self, stage: int) -> None:
        block = self.strip.block_rect(stage)
        self._area.ensureVisible(round(block.center().x()), 0, round(block.width() / 2) + px(12), 0)
        self.stage_selected.emit(stage)

    # opening

    def open_stage(self, stage: int) -> None:
        tree = self._editor.plan.tree
        if stage < len(tree.stages) and modules_in(tree.stages[stage]):
            self.inside.show_stage(tree.stages[stage], self._editor.plan)
            self._stack.setCurrentIndex(_INSIDE)
            self.inside.canvas.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            self._context.shell.toast(self._editor.tree_problem or "The layers are still being read.")

    def close_inside(self) -> None:
        self._stack.setCurrentIndex(_STRIP)
        self.strip.setFocus(Qt.FocusReason.OtherFocusReason)
