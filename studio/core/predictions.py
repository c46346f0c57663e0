"""What the best network of a run said about each image of a part of its data, as the engine stored it. Safe in any thread; needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from studio.core.run_folder import RunFolder


@dataclass(frozen=True)
class Predictions:
    """One row per image that could be read. Logarithms keep 99.98 % and 99.999 % apart in half precision, and very small probabilities too."""

    ids: tuple[str, ...]
    labels: np.ndarray  # int[N], class index
    log_p: np.ndarray  # float16[N, C], logarithms of the probabilities
    losses: np.ndarray  # float32[N], cross entropy without label smoothing

    @property
    def probabilities(self) -> np.ndarray:
        """float32[N, C], made anew each time."""
        return np.exp(self.log_p, dtype=np.float32)


_LEAST = 2.0**-25  # what stands for a probability that was rounded to 0


def read_predictions(folder: RunFolder, part: str = "validation") -> Predictions | None:
    """Of "validation" or "test"; None where there are none or they are damaged. Never unpickles."""
    try:
        with np.load(folder.results_path / f"{part}_predictions.npz", allow_pickle=False) as stored:
            ids = tuple(str(i) for i in json.loads(str(stored["ids"])))
            labels, losses = stored["labels"], stored["losses"]
            if "log_p" in stored:
                log_p = stored["log_p"]
            else:  # runs of before 2026-11-28 hold float16 probabilities
                log_p = np.log(np.maximum(stored["probabilities"], _LEAST, dtype=np.float32)).astype(np.float16)
            is_sound = len(ids) == len(labels) == len(log_p) == len(losses) and log_p.ndim == 2 and labels.dtype.kind == "i"
            is_sound = is_sound and not (len(ids) and (labels.min() < 0 or labels.max() >= log_p.shape[1]))
    except Exception as exc:  # zipfile, zlib, numpy and json each have their own way to say "damaged"
        if isinstance(exc, MemoryError):
            raise
        return None
    return Predictions(ids, labels, log_p, losses) if is_sound else None
