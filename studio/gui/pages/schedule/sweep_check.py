"""Whether many heads can learn side by side for a draft. No Qt."""

from __future__ import annotations

from studio.catalog.schedules import rate_epochs
from studio.core.experiment import Model
from studio.core.words import counted
from studio.gui.pages.model.network import Network


def obstacle(model: Model, network: Network | None) -> str:
    """Why they cannot; empty where they can: the head alone trains, from the start, and is one layer. `network` is None while it is not known."""
    if model.head:
        return "This needs a head of one layer. The draft's has more: take them out on the Model page."
    if any(part == "frozen" and name.partition(".")[0] == "head" for name, part in model.layers.items()):
        return "The head is frozen. Let it train on the Model page."
    if network is None:
        is_more = model.train_stages != 0 or any(epoch >= 0 for epoch in model.thaw.values()) or "train" in model.layers.values()
        return "More than the head trains. Choose “Head only” under Presets of the thaw timeline." if is_more else ""
    before = rate_epochs(model, network.stage_names, network.partly)[:-1]
    if num := sum(epoch is not None for epoch in before):
        return f"{counted(num, 'stage')} before the head {'trains' if num == 1 else 'train'} too. Choose “Head only” under Presets of the thaw timeline."
    if any(mode != "keep" for mode in model.batch_norm.values()):
        return "Batch normalisation adapts, so features cannot be kept. Let it keep its statistics on the Model page."
    return ""
