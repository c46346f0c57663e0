"""What trains: one place that reads it from the draft and writes it back, for the strip, the tree and the presets alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from studio.catalog.schedules import stage_factors
from studio.core.problem import BadInput
from studio.core.words import counted
from studio.gui.context import Context
from studio.gui.pages.model.layers import LAYERS, LayerPlan, LayerTree, Node, stages_that_train, tree_from
from studio.gui.pages.model.network import Network, network_from
from studio.gui.pages.schedule.thaw_plan import Epoch, thaw_words


@dataclass(frozen=True)
class Preset:
    """A plan in one click. `num_stages` before the head train: −1 all; None: not even the head."""

    key: str
    title: str
    num_stages: int | None


PRESETS = (
    Preset("head", "Head only", 0),
    Preset("last", "Last stage", 1),
    Preset("last_two", "Last two", 2),
    Preset("all", "All stages", -1),
    Preset("none", "Nothing", None),
)


class PlanEditor(QObject):
    """Follows the draft, the probe's description and its layer tree. Every method that changes something is one undo step."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._context, self._store = context, context.store
        self.network: Network | None = None
        self.tree = LayerTree()
        self.plan = LayerPlan(self.tree, self._store.experiment.model)
        self._network_of: tuple = ()
        self._tree_asked: tuple | None = None
        self._tree_of: tuple | None = None
        self.tree_problem = ""
        self._store.experiment_changed.connect(self._on_experiment_changed)
        context.estimates.changed.connect(self._on_estimates_changed)

    # following

    def refresh(self) -> None:
        """Read what is known already; called once the views listen."""
        self._on_estimates_changed()

    def _on_experiment_changed(self, old, new) -> None:
        if old.model != new.model or old.optimiser != new.optimiser or old.schedule.epochs != new.schedule.epochs:
            self._refresh()

    def _on_estimates_changed(self) -> None:
        estimates = self._context.estimates
        is_kept = estimates.problem and self.network is not None and self._network_of == self._question()
        if not estimates.is_stale and not is_kept:  # a plan that cannot be does not take the network off the page
            self.network = network_from(estimates.model) if estimates.model else None
            self._network_of = self._question()
            if self.network is not None:
                self._ask_tree()
        self._refresh()

    def _question(self) -> tuple:
        """What decides the tree: the network and its head, not what of it trains."""
        model, dataset = self._store.experiment.model, self._store.dataset
        return *model.architecture, model.input_size, len(dataset.classes) if dataset else 10

    def _ask_tree(self) -> None:
        question = self._question()
        if question == self._tree_asked:
            return
        self._tree_asked = question
        self.tree_problem = ""
        params = {"model": self._store.experiment.model.model_dump(mode="json"), "num_classes": question[-1]}
        self._context.probe.call(
            "model_tree",
            params,
            lambda result: self._on_tree(question, result),
            lambda error: self._on_tree_failed(question, error.sentence),
            key="model.tree",
        )

    def _on_tree(self, question: tuple, result: dict) -> None:
        if question == self._tree_asked:
            self.tree, self._tree_of = tree_from(result), question
            self._refresh()

    def _on_tree_failed(self, question: tuple, sentence: str) -> None:
        if question == self._tree_asked:
            self.tree_problem, self._tree_asked = sentence, None
            self.changed.emit()

    @property
    def is_current(self) -> bool:
        """False while the network that is shown is not yet the draft's."""
        return self.network is not None and self._network_of[:2] == self._question()[:2]

    @property
    def has_tree(self) -> bool:
        return self._tree_of == self._question()

    def _refresh(self) -> None:
        network = self.network if self.is_current else None
        names = tuple(stage.name for stage in network.stages) if network else ()
        tree = self.tree if self.has_tree and tuple(s.name for s in self.tree.stages) == names else _stages_only(network)
        if self.plan.tree == tree:
            tree = self.plan.tree  # views tell a new tree by its identity
        self.plan = LayerPlan(tree, self._store.experiment.model, names)
        self.changed.emit()

    @property
    def factors(self) -> tuple[float, ...]:
        return stage_factors(self._store.experiment.optimiser, self.plan.names) if self.plan.names else ()

    # changing

    def _set(self, values: dict[str, Any], label: str) -> None:
        try:
            self._store.set(values, label)
        except BadInput as exc:
            self._context.shell.toast(exc.problems[0].sentence)

    def set_boundary(self, boundary: int) -> None:
        """Stages before `boundary` are frozen, all behind it train from the start."""
        if self.network is not None:
            self._train_last(self.network.train_stages_at(boundary))

    def set_block_boundary(self, stage: int, num_blocks: int) -> None:
        """As `set_boundary`, and the first blocks of the first stage behind the line are frozen too."""
        if self.network is None or stage >= len(self.plan.tree.stages):
            return
        values = {"model.train_stages": self.network.train_stages_at(stage), "model.thaw": {}, LAYERS: {}}
        plan = LayerPlan(self.plan.tree, self._store.experiment.changed(values).model, self.plan.names)
        blocks = self.plan.tree.stages[stage].blocks[:num_blocks]
        self._set(values | plan.with_nodes(blocks, False), f"freeze line in {self.plan.names[stage]}")

    @property
    def num_blocks_frozen(self) -> int:
        """Blocks at the start of the stage behind the freeze line that never train, where all behind them train; else 0."""
        plan = self.plan
        states = [plan.stage_state(i) for i in range(len(plan.names))]
        line = next((i for i, state in enumerate(states) if state.is_mixed or state.epoch is not None), len(states))
        if line >= len(plan.tree.stages) or not states[line].is_mixed:
            return 0
        trains = [plan.state(block) for block in plan.tree.stages[line].blocks]
        count = next((i for i, state in enumerate(trains) if state.epoch is not None or state.is_mixed), len(trains))
        return count if all(state.epoch == 0 and not state.is_mixed for state in trains[count:]) else 0

    def _train_last(self, value: int) -> None:
        words = {0: "head only", -1: "train all"}.get(value, f"train the last {counted(value, 'stage')}")
        self._set({"model.train_stages": value, "model.thaw": {}, LAYERS: {}}, words)

    def apply_preset(self, key: str) -> None:
        preset = next(p for p in PRESETS if p.key == key)
        if preset.num_stages is None:
            self._set({"model.train_stages": 0, "model.thaw": {}, LAYERS: {"head": "frozen"}}, "train nothing")
        else:
            most = self.network.num_backbone_stages if self.network else preset.num_stages
            self._train_last(-1 if preset.num_stages >= most > 0 else preset.num_stages)

    @property
    def preset(self) -> str:
        """The preset that the draft is; "" for a plan of one's own."""
        plan = self.plan
        layers = plan.model.layers
        if layers == {"head": "frozen"} and not any(epoch is not None for epoch in plan.stage_epochs[:-1]):
            return "none"
        if layers or not plan.stage_epochs:
            return ""
        value = stages_that_train(plan.stage_epochs)
        return next((p.key for p in reversed(PRESETS) if p.num_stages is not None and p.num_stages == value), "")

    def set_nodes(self, nodes: Sequence[Node], should_train: bool) -> None:
        """Train or freeze stages, layers and parameters of the tree."""
        what = nodes[0].label if len(nodes) == 1 else counted(len(nodes), "layer")
        self._set(self.plan.with_nodes(nodes, should_train), f"{'train' if should_train else 'freeze'} {what}")

    def set_stages(self, stages: Sequence[int], should_train: bool) -> None:
        self.set_nodes([self.plan.tree.stages[i] for i in stages], should_train)

    def set_epoch(self, stage: int, epoch: Epoch) -> None:
        self._set(self.plan.with_stages({stage: epoch}), f"thaw {self.plan.names[stage]} {thaw_words(epoch)}")

    def set_rate(self, stage: int, factor: float | None) -> None:
        """None takes LR by depth."""
        own = dict(self._store.experiment.optimiser.stage_lr_factors)
        name = self.plan.names[stage]
        if factor is None:
            own.pop(name, None)
        else:
            own[name] = factor
        self._set({"optimiser.stage_lr_factors": own}, f"rate of {name}")

    def set_equal_rates(self) -> None:
        self._set({"optimiser.stage_lr_factor": 1.0, "optimiser.stage_lr_factors": {}}, "equal rates")

    def set_norm(self, stage: int, mode: str) -> None:
        """keep, adapt or train; "" for what follows from the stage."""
        name = self.plan.names[stage]
        own = {k: v for k, v in self.plan.model.batch_norm.items() if k != name}
        self._set({"model.batch_norm": own | ({name: mode} if mode else {})}, f"batch norm of {name}: {mode or 'by itself'}")


def _stages_only(network: Network | None) -> LayerTree:
    """What is known of the tree before it has been read: its stages."""
    if network is None:
        return LayerTree()
    return LayerTree(
        tuple(
            Node(s.name, s.name, num_parameters=s.num_parameters, output_shape=s.output_shape, has_batch_norm=s.has_batch_norm)
            for s in network.stages
        )
    )
