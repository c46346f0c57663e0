"""Whether the network of an experiment can be made at all: tried before a run exists, so that a mistake leaves nothing behind."""

from __future__ import annotations

from studio.catalog.backbones import backbone_info, build_model
from studio.core.experiment import Experiment, Model
from studio.core.problem import BadInput, Problem, error, warning
from studio.engine.freezing import layer_problems
from studio.engine.network import frozen_as_asked
from studio.engine.start_run import take_over


def check_model(model: Model, num_classes: int) -> list[Problem]:
    """Builds the network with its weights on the CPU and says what is wrong: unknown name, weights not here or not fitting, input size."""
    try:
        info = backbone_info(model.source, model.backbone)
        built = build_model(model, num_classes, with_weights=model.pretrained and not model.start_run)
        if model.start_run:
            take_over(built.module, model, ())
        network = frozen_as_asked(built.module, built.stages, Experiment(model=model))
    except BadInput as exc:
        return list(exc.problems)
    except Exception as exc:  # libraries raise whatever their first layer that does not fit raises; the window goes on
        words = f"{model.source}/{model.backbone} cannot be built: {type(exc).__name__}: {str(exc)[:300]}"
        return [error("model.backbone", f"{words}. Choose another backbone, or update the library.")]
    found = layer_problems(network.module, network.stages, model)
    if built.report and built.report.missing:
        found.append(warning("model.weights_file", built.report.sentence))
    if model.input_size * 2 <= info.input_size:
        found.append(
            warning(
                "model.input_size", f"{info.title} was trained on {info.input_size} px images; {model.input_size} px will cost accuracy."
            )
        )
    return found
