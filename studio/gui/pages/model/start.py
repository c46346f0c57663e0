"""Starting from an own finished run: its network and its weights, also with more classes than it knew. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.core.path_text import path_to_text, shown
from studio.core.words import counted
from studio.gui.run_entry import RunEntry

# The network of a run, which its weights only fit; what trains of it and how its new rows begin stays the draft's.
_NETWORK = ("source", "backbone", "cut", "head", "input_size", "normalisation", "custom_mean", "custom_std", "dropout")
_MOST_NAMES = 4


def can_start_from(entry: RunEntry) -> bool:
    """Whether a run has weights to start from."""
    return not entry.is_active and bool(entry.summary.epochs_done)


def start_values(entry: RunEntry) -> dict[str, Any]:
    """Settings with which the draft has the run's network and starts from its best weights."""
    model = entry.experiment.model.model_dump()
    values = {f"model.{name}": model[name] for name in _NETWORK}
    return values | {
        "model.pretrained": True, "model.weights_file": "", "model.weights_sha256": "", "model.start_run": path_to_text(entry.folder.path), "model.thaw": {}, "model.layers": {},
        "model.batch_norm": {}, "optimiser.stage_lr_factors": {},
    }  # fmt: skip


def classes_words(known: Sequence[str], now: Sequence[str]) -> str:
    """What becomes of the classes: "8 classes keep their rows, 2 are new: fox, wolf." `known` are those of the run."""
    kept = [c for c in now if c in set(known)]
    new = [c for c in now if c not in set(known)]
    gone = len(set(known) - set(now))
    parts = [f"{counted(len(kept), 'class', 'classes')} {'keeps its row' if len(kept) == 1 else 'keep their rows'}"]
    if new:
        names = ", ".join(shown(c) for c in new[:_MOST_NAMES]) + ("…" if len(new) > _MOST_NAMES else "")
        parts.append(f"{len(new):,} {'is' if len(new) == 1 else 'are'} new: {names}")
    if gone:
        parts.append(f"{gone:,} {'is' if gone == 1 else 'are'} not in these images and left behind")
    return ", ".join(parts) + "."
