"""Whether the network of an experiment can be made at all: tried before a run exists, so that a mistake leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

from studio.catalog.backbones import backbone_info, build_model
from studio.catalog.backbones.sources import SOURCES, source_of
from studio.core.experiment import Experiment, Model
from studio.core.path_text import shown
from studio.core.problem import BadInput, Problem, Repair, error, warning
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
        return [_with_other_sources(problem, model) for problem in exc.problems]
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


def _with_other_sources(problem: Problem, model: Model) -> Problem:
    """A name that is unknown where it was looked for may be known elsewhere: “resnet18” is not among the bundled ones, and both libraries have it."""
    if problem.field != "model.backbone" or _is_known(model.source, model.backbone):
        return problem
    found = [source.KEY for source in SOURCES if model.source != source.KEY and _is_known(source.KEY, model.backbone)]
    if not found:
        return problem
    words = (
        f"{' and '.join(found)} {'has' if len(found) == 1 else 'have'} it: choose the source too, or with --set model.source={found[0]}."
    )
    sentence = f"{source_of(model.source).TITLE} has no backbone “{shown(model.backbone)}”. {words}"
    return replace(problem, sentence=sentence, repair=Repair(f"Take it from {found[0]}", {"model.source": found[0]}))


def _is_known(source: str, name: str) -> bool:
    try:
        backbone_info(source, name)
    except BadInput:
        return False
    return True
