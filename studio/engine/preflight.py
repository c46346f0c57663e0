"""Whether the network of an experiment can be made at all: tried before a run exists, so that a mistake leaves nothing behind."""

from __future__ import annotations

from studio.catalog.backbones import backbone_info, build_backbone
from studio.core.experiment import Model
from studio.core.problem import BadInput, Problem, warning


def check_model(model: Model, num_classes: int) -> list[Problem]:
    """Builds the network with its weights on the CPU and says what is wrong: unknown name, weights not here or not fitting, input size."""
    try:
        info = backbone_info(model.source, model.backbone)
        built = build_backbone(
            model.source,
            model.backbone,
            num_classes=num_classes,
            pretrained=model.pretrained,
            weights_file=model.weights_file if model.pretrained else "",
            input_size=model.input_size,
        )
    except BadInput as exc:
        return list(exc.problems)
    found = []
    if built.report and built.report.missing:
        found.append(warning("model.weights_file", built.report.sentence))
    if model.input_size * 2 <= info.input_size:
        found.append(
            warning(
                "model.input_size", f"{info.title} was trained on {info.input_size} px images; {model.input_size} px will cost accuracy."
            )
        )
    return found
