"""Starting from the weights of an earlier run, with its classes, fewer or more: rows of the last layer are taken over by class name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.core.experiment import Model, field_info
from studio.core.path_text import shown, text_to_path
from studio.core.problem import BadInput, error
from studio.core.run_folder import RunFolder
from studio.engine.checkpoint import Checkpoint, require_checkpoint

if TYPE_CHECKING:
    from torch import nn

LAST = ("head.linear.weight", "head.linear.bias")
_SAME = ("source", "backbone", "cut", "head")


@dataclass(frozen=True)
class TakenOver:
    """Class names: those whose rows were taken over, those that start new, those of the earlier run that are not there any more."""

    kept: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    note: str = ""  # that the run's best checkpoint is damaged and another one was taken

    @property
    def sentence(self) -> str:
        parts = [f"{len(self.kept):,} classes taken over"]
        parts += [f"{len(names):,} {what}" for names, what in ((self.new, "new"), (self.gone, "left behind")) if names]
        return ", ".join(parts)


def start_checkpoint(model: Model) -> Checkpoint:
    """The best checkpoint of the run that a model starts from. Raises BadInput where there is none, or of another network."""
    folder = RunFolder(text_to_path(model.start_run))
    try:
        earlier = folder.experiment().model
    except BadInput:
        raise BadInput(error("model.start_run", f"There is no run in “{shown(model.start_run)}”. Choose another.")) from None
    for name in _SAME:
        if getattr(earlier, name) != getattr(model, name):
            label = field_info(f"model.{name}").json_schema_extra["label"].lower()
            words = f"The run “{folder.nickname}” has another {label}. Take over its network, or start without it."
            raise BadInput(error("model.start_run", words))
    try:
        return require_checkpoint(folder, "best")
    except BadInput as exc:
        raise BadInput(error("model.start_run", str(exc))) from None


def take_over(module: nn.Module, model: Model, classes: Sequence[str]) -> TakenOver:
    """Load the weights of `model.start_run` into a network for `classes`; rows of classes that the run did not know stay as they are.

    Raises BadInput where the run cannot be used.
    """
    import torch
    from safetensors.torch import load_file

    checkpoint = start_checkpoint(model)
    theirs, ours = load_file(checkpoint.weights_path), module.state_dict()
    for name, tensor in ours.items():
        if name not in theirs or (name not in LAST and theirs[name].shape != tensor.shape):
            raise BadInput(error("model.start_run", f"The run's network has another shape at {name}. Use the same input size and stages."))
    earlier = {name: row for row, name in enumerate(checkpoint.state["classes"])}
    with torch.no_grad():
        for name, tensor in ours.items():
            if name not in LAST:
                tensor.copy_(theirs[name])
                continue
            for row, label in enumerate(classes):
                if label in earlier:
                    tensor[row].copy_(theirs[name][earlier[label]])
    return TakenOver(
        tuple(c for c in classes if c in earlier),
        tuple(c for c in classes if c not in earlier),
        tuple(c for c in earlier if c not in set(classes)),
        checkpoint.note,
    )
