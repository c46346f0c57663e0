"""States of the Model page for the screenshots: six networks with different plans, and the views beside the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studio.core.head import Convolution, Pooling


def _network(source: str, name: str, values: dict[str, Any], act: Callable | None = None) -> Callable:
    """A backbone with a plan; `act(page)` once its layers are known."""

    def apply(page) -> None:
        page.store.set({"model.source": source, "model.backbone": name, "model.thaw": {}} | values)
        page.backbones.select((source, name))
        if act is not None:
            _when_known(page, act)

    return apply


def _when_known(page, act: Callable) -> None:
    if page.editor.has_tree:
        act(page)
        return

    def look() -> None:
        if page.editor.has_tree:
            page.editor.changed.disconnect(look)
            act(page)

    page.editor.changed.connect(look)


def _open(*path: str) -> Callable:
    """Open a stage and the blocks below it by their labels."""

    def act(page) -> None:
        stage = next(i for i, s in enumerate(page.editor.plan.tree.stages) if s.name == path[0])
        page.strip_panel.open_stage(stage)
        for label in path[1:]:
            inside = page.strip_panel.inside
            inside._open(
                next(n for s in page.editor.plan.tree.stages for n in s.walk() if n.label == label and n.name != inside._trail[-1])
            )

    return act


def _expand(stage: str) -> Callable:
    def act(page) -> None:
        tree = page.tree
        index = tree.layers.index_of(stage)
        tree.expand(index)
        tree.setCurrentIndex(tree.layers.index(0, 0, index))

    return act


def _show_report(page) -> None:
    page.bring(page.weights_report)
    page.weights_report.show_checking("/home/me/earlier-run.safetensors", "earlier-run.safetensors")
    page.weights_report.show_report(
        {
            "matched": [f"backbone.blocks.{i}.conv.weight" for i in range(290)], "missing": ["backbone.bn2.bias", "backbone.bn2.weight"],
            "unexpected": [], "wrong_shape": [], "skipped_classifier": ["classifier.weight", "classifier.bias"],
        }
    )  # fmt: skip


STATES: dict[str, Callable] = {
    "selected": lambda page: page.backbones.select(("torchvision", "resnet50")),
    "compare": lambda page: (page.backbones.select(("torchvision", "resnet50")), page.chooser.compare()),
    "filtered": lambda page: page.backbones.search_field.setText("no such network"),
    "short": lambda page: page.backbones.chips["short"].setChecked(True),
    "report": _show_report,
    "start": lambda page: page.start_from(next(e for e in reversed(page.context.runs.entries) if e.state.epochs)),
    "signal": lambda page: (page.store.set({"model.head_init": "zeros"}), page.show_view(1)),
    "domain": lambda page: (page.show_view(2), page.domain.measure()),
    "advice": lambda page: page.show_view(3),
    "lite0": lambda page: (page.store.set({"model.thaw": {"stage 5": 1, "stage 4": 4, "stage 3": 8}}), _when_known(page, _expand("stage 4"))),
    "alexnet": _network("torchvision", "alexnet", {"model.cut": "dense 1", "model.train_stages": 0}, _expand("dense 1")),
    "googlenet": _network("torchvision", "googlenet", {"model.train_stages": 2}, _open("inception 4a")),
    "resnet50": _network(
        "torchvision", "resnet50",
        {"model.train_stages": 1, "model.batch_norm": {"stem": "adapt", "stage 1": "adapt"}, "model.layers": {"backbone.layer3.5": "train"}},
        _open("stage 4"),
    ),
    "vit": _network("torchvision", "vit_b_16", {"model.train_stages": -1, "optimiser.stage_lr_factor": 0.75}),
    "convnext": _network(
        "torchvision", "convnext_tiny", {"model.train_stages": 1, "model.head": [Convolution().model_dump(), Pooling(method="gem").model_dump()]},
        _expand("stage 4"),
    ),
}  # fmt: skip
