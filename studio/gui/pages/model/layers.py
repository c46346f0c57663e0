"""The layers of the chosen network down to single parameters, and which of them train. No Qt.

The draft says it in two places: `model.train_stages` and `model.thaw` for whole stages, `model.layers` for layers that differ from their
stage. Every edit here ends in the shortest way to say it, so that the strip, the tree, the presets and the Schedule page agree.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from studio.catalog.schedules import thaw_epochs
from studio.core.experiment import Model
from studio.gui.pages.schedule.thaw_plan import Epoch, thaw_with

LAYERS = "model.layers"


@dataclass(frozen=True)
class Node:
    """A stage, a block, a layer or a parameter. `name` is that of the network ("backbone.layer4.1.conv2"); a stage's is its own.

    `layout` says how the children are connected: "series", "branches" (side by side, then joined) or "residual" (in series with a way
    around). Shapes are those of one image, without the batch axis.
    """

    name: str
    label: str
    kind: str = ""
    num_parameters: int = 0
    num_buffers: int = 0
    output_shape: tuple[int, ...] | None = None
    layout: str = "series"
    is_parameter: bool = False
    has_batch_norm: bool = False
    num_drops: int = 0  # layers in it that leave something out at random: dropout, drop-path
    children: tuple[Node, ...] = ()

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Names of the parameters in it."""
        if self.is_parameter or not self.children:
            return (self.name,) if self.num_parameters else ()
        return tuple(name for child in self.children for name in child.leaves)

    @property
    def is_layer(self) -> bool:
        """A module that holds parameters itself."""
        return not self.is_parameter and (not self.children or any(child.is_parameter for child in self.children))

    @property
    def is_norm(self) -> bool:
        """A batch norm itself, not a block that holds one."""
        return self.has_batch_norm and not any(child.has_batch_norm for child in self.children)

    @property
    def blocks(self) -> tuple[Node, ...]:
        """Modules with weights that run one after the other in it: where all weights are in a single one, those inside."""
        heavy = tuple(child for child in self.children if not child.is_parameter and child.leaves)
        if len(heavy) == 1 and any(not child.is_parameter for child in heavy[0].children):
            return heavy[0].blocks
        return heavy if self.layout != "branches" else ()

    @property
    def shape_words(self) -> str:
        return "×".join(str(n) for n in self.output_shape) if self.output_shape else ""

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class LayerTree:
    """Stages in execution order, the head last; their nodes are the children of each."""

    stages: tuple[Node, ...] = ()

    @property
    def num_layers(self) -> int:
        return sum(node.is_layer and bool(node.leaves) for stage in self.stages for node in stage.walk())

    def stage_of(self, name: str) -> int:
        """Index of the stage that holds a node; -1 for none."""
        return next((i for i, s in enumerate(self.stages) if any(n.name == name for n in s.walk())), -1)


def tree_from(result: Mapping[str, Any]) -> LayerTree:
    """The tree from the worker's answer to `model_tree`."""
    return LayerTree(tuple(_node(raw) for raw in result["stages"]))


def _node(raw: Mapping[str, Any]) -> Node:
    shape = raw.get("output_shape") or raw.get("shape")
    return Node(
        name=raw["name"],
        label=raw.get("label") or raw["name"],
        kind=raw.get("kind") or "",
        num_parameters=int(raw.get("num_parameters") or 0),
        num_buffers=int(raw.get("num_buffers") or 0),
        output_shape=tuple(int(n) for n in shape) if shape else None,
        layout=raw.get("layout") or "series",
        is_parameter=bool(raw.get("is_parameter")),
        has_batch_norm=bool(raw.get("has_batch_norm")),
        num_drops=int(raw.get("num_drops") or 0),
        children=tuple(_node(child) for child in raw.get("children") or ()),
    )


@dataclass(frozen=True)
class State:
    """What a node does: `epoch` from which it trains (0 from the start, None never), or "mixed" where its parts differ."""

    epoch: Epoch = None
    is_mixed: bool = False

    @property
    def word(self) -> str:
        """frozen, trains, later or mixed."""
        return "mixed" if self.is_mixed else "frozen" if self.epoch is None else "later" if self.epoch else "trains"


@dataclass(frozen=True)
class Counts:
    """Numbers of the whole network under a plan: weights that train at once, later or never; buffers that stay or follow the data."""

    trains: int = 0
    later: int = 0
    frozen: int = 0
    buffers: int = 0
    moving: int = 0  # of the buffers: batch norm statistics that follow the data

    @property
    def total(self) -> int:
        return self.trains + self.later + self.frozen


@dataclass
class LayerPlan:
    """The tree under a draft: who trains, from when."""

    tree: LayerTree
    model: Model
    names: tuple[str, ...] = ()  # of the stages, which is all there is while the tree is not known
    _epochs: dict[str, Epoch] = field(default_factory=dict, init=False)  # by parameter, with what batch norm is asked to do
    _moving: dict[str, int] = field(default_factory=dict, init=False)  # by stage, numbers in buffers that follow the data
    _states: dict[str, State] = field(default_factory=dict, init=False)  # by node

    def __post_init__(self) -> None:
        self.names = self.names or tuple(stage.name for stage in self.tree.stages)
        self.stage_epochs = thaw_epochs(self.model, self.names) if self.names else ()
        for stage, epoch in zip(self.tree.stages, self.stage_epochs, strict=False):
            self._resolve(stage, epoch)
            norms = self._norms(stage, None) if stage.children else ()
            self._moving[stage.name] = sum(self._resolve_norm(norm, said, stage.name) for norm, said in norms)

    def _resolve(self, node: Node, inherited: Epoch) -> None:
        asked = self.model.layers.get(node.name)
        epoch = inherited if asked is None else 0 if asked == "train" else None
        if not node.children or node.is_parameter:
            self._states[node.name] = State(epoch)
            self._epochs[node.name] = epoch
            return
        for child in node.children:
            self._resolve(child, epoch)
        found = {self._epochs[name] for name in node.leaves}
        self._states[node.name] = State(next(iter(found)) if len(found) == 1 else epoch, len(found) > 1)

    def _norms(self, node: Node, said: str | None) -> Iterator[tuple[Node, str | None]]:
        """The batch norms in a node, each with what `model.layers` says of it."""
        said = self.model.layers.get(node.name, said)
        if node.is_norm:
            yield node, said
        else:
            for child in node.children:
                yield from self._norms(child, said)

    def _resolve_norm(self, norm: Node, said: str | None, stage: str) -> int:
        """What a stage asks of its batch norms holds for those that no name is given to (studio.engine.freezing). Buffers that follow the data."""
        mode = self.model.batch_norm.get(stage)
        if said is None and mode in ("adapt", "train"):
            self._epochs |= dict.fromkeys(norm.leaves, 0 if mode == "train" else None)
        match mode:
            case "keep":
                follows = False
            case "adapt":
                follows = True
            case "train":
                follows = said != "frozen"
            case _:
                follows = any(self._epochs[name] is not None for name in norm.leaves)
        return norm.num_buffers if follows else 0

    def state(self, node: Node) -> State:
        return self._states.get(node.name, State())

    def stage_state(self, index: int) -> State:
        """Of a stage, also while only its name is known."""
        return self.state(self.tree.stages[index]) if index < len(self.tree.stages) else State(self.stage_epochs[index])

    @property
    def trains_anything(self) -> bool:
        return any(epoch is not None for epoch in self._epochs.values()) if self._epochs else True

    def num_drops_off(self, node: Node) -> int:
        """How many of a node's dropout and drop-path layers are off because what is around them never trains, as the engine has it."""
        if not node.num_drops or all(self._epochs.get(name) is None for name in node.leaves):
            return node.num_drops
        return sum(self.num_drops_off(child) for child in node.children if child.leaves)

    def counts(self) -> Counts:
        """As torch counts them: parameters by when they train, buffers by whether they follow the data."""
        trains = later = frozen = 0
        sizes = {n.name: n.num_parameters for s in self.tree.stages for n in s.walk() if n.is_parameter or not n.children}
        for name, epoch in self._epochs.items():
            size = sizes.get(name, 0)
            trains, later, frozen = (
                (trains + size, later, frozen)
                if epoch == 0
                else (trains, later + size, frozen)
                if epoch
                else (trains, later, frozen + size)
            )
        buffers = sum(stage.num_buffers for stage in self.tree.stages)
        return Counts(trains, later, frozen, buffers, sum(self._moving.values()))

    def norm_mode(self, index: int) -> str:
        """What a stage's batch norm does: keep, adapt or train; by itself it keeps while frozen and trains when the stage does."""
        asked = self.model.batch_norm.get(self.names[index])
        return asked or ("keep" if self.stage_epochs[index] is None else "train")

    def norm_moves(self, index: int) -> bool:
        """Whether a stage's running statistics follow the data, sooner or later."""
        if index >= len(self.tree.stages):
            return False
        stage = self.tree.stages[index]
        return self.num_moving(index) > 0 if stage.children else stage.has_batch_norm and self.norm_mode(index) != "keep"

    def num_moving(self, index: int) -> int:
        """Numbers in a stage's buffers that follow the data."""
        return self._moving.get(self.names[index], 0)

    # edits

    def with_stages(self, changes: Mapping[int, Epoch]) -> dict[str, Any]:
        """Settings for stages that train from another epoch, whole: what single layers of them did is forgotten."""
        thaw = thaw_with(self.model, self.names, {self.names[i]: epoch for i, epoch in changes.items() if i < len(self.names) - 1})
        gone = {n.name for i in changes if i < len(self.tree.stages) for n in self.tree.stages[i].walk()}
        return {"model.thaw": thaw, LAYERS: {name: v for name, v in self.model.layers.items() if name not in gone}}

    def with_nodes(self, nodes: Iterable[Node], should_train: bool) -> dict[str, Any]:
        """Settings with which these nodes train from the start, or never."""
        nodes = list(nodes)
        stages = {i for i, stage in enumerate(self.tree.stages) if any(node is stage for node in nodes)}
        wanted: dict[str, str] = dict(self._overrides())
        word = "train" if should_train else "frozen"
        for node in nodes:
            wanted |= dict.fromkeys(node.leaves, word)
        epochs: dict[int, Epoch] = {}
        layers: dict[str, str] = {}
        last = len(self.tree.stages) - 1
        for index, stage in enumerate(self.tree.stages):
            found = {wanted.get(name) for name in stage.leaves}
            whole = next(iter(found)) if len(found) == 1 else None
            epoch = self.stage_epochs[index]
            if whole is not None and index != last and (index in stages or epoch in (0, None)):
                epochs[index] = 0 if whole == "train" else None
            elif whole is not None and index == last and whole == "train":
                continue  # the head trains by itself
            else:
                layers |= _shortest(stage, wanted, epoch)
        thaw = thaw_with(self.model, self.names, {self.names[i]: epoch for i, epoch in epochs.items()})
        return {"model.thaw": thaw, LAYERS: layers}

    def _overrides(self) -> dict[str, str]:
        """Parameter to what `model.layers` says of it, for those it says something of."""
        found: dict[str, str] = {}

        def collect(node: Node, inherited: str | None) -> None:
            said = self.model.layers.get(node.name, inherited)
            if not node.children or node.is_parameter:
                if said is not None:
                    found[node.name] = said
                return
            for child in node.children:
                collect(child, said)

        for stage in self.tree.stages:
            collect(stage, None)
        return found


def _shortest(node: Node, wanted: Mapping[str, str], stage_epoch: Epoch) -> dict[str, str]:
    """The fewest entries of `model.layers` that say `wanted` of the parameters in a node; what its stage does anyway is not said."""
    same = "train" if stage_epoch == 0 else "frozen" if stage_epoch is None else ""
    values = {None if wanted.get(name) == same else wanted.get(name) for name in node.leaves}
    if values <= {None}:
        return {}
    if len(values) == 1 and node.name.startswith(("backbone", "head")):
        return {node.name: next(iter(values))}
    found: dict[str, str] = {}
    for child in node.children:
        found |= _shortest(child, wanted, stage_epoch)
    return found


def matching(tree: LayerTree, pattern: str) -> list[Node]:
    """Layers whose name or kind fits: with * or ? a pattern for the whole name or a part of it, otherwise a piece of it. Case does not count."""
    text = pattern.strip().lower()
    if not text:
        return []
    has_signs = any(sign in text for sign in "*?[")
    found = []
    for stage in tree.stages:
        for node in stage.walk():
            if node is stage or node.is_parameter or not node.is_layer or not node.leaves:
                continue
            words = (node.name.lower(), node.kind.lower(), f"{stage.name} {node.name}".lower())
            if has_signs:
                fits = any(fnmatch.fnmatchcase(w, text) or fnmatch.fnmatchcase(w, f"*{text}*") for w in words)
            else:
                fits = any(text in w for w in words)
            if fits:
                found.append(node)
    return found


def stages_that_train(epochs: Sequence[Epoch]) -> int | None:
    """The value of `model.train_stages` that says a plan alone (−1 for all); None where the plan needs more than one number."""
    before = epochs[:-1]
    first = next((i for i, epoch in enumerate(before) if epoch is not None), len(before))
    if any(epoch != 0 for epoch in before[first:]):
        return None
    return -1 if first == 0 and before else len(before) - first
