"""A feature cache that the processes of a run fill and read together: one file on each computer, which all processes there map.

Who computes a row is free, since a row depends on its picture and the weights alone. On one computer only the word that a row is there goes
round; between computers the row goes with it, so no picture is run twice anywhere. With one process nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from studio.engine.feature_cache import CacheBeside, FeatureCache
from studio.engine.ranks import Ranks


def open_together(ranks: Ranks, make: Callable[[], FeatureCache | None]) -> FeatureCache | None:
    """What the first process of each computer makes, for all processes there; None for all where one computer could not."""
    own = make() if ranks.is_first_here else None
    everywhere = ranks.gather(own and own.opened)
    if any(everywhere[first] is None for first in ranks.firsts):
        if own:
            own.close()
        return None
    return own or CacheBeside(everywhere[ranks.first_here])


def keep_together(
    ranks: Ranks,
    cache: FeatureCache,
    view: int,
    samples: np.ndarray,
    shown: np.ndarray,
    is_named: np.ndarray,
    features: torch.Tensor | None,
) -> None:
    """Every process calls it at the same time with the rows that it has computed, or with none (features are None then)."""
    if features is not None:
        cache.put(view, samples, shown, features, is_named)
    sent = features.detach().cpu() if features is not None and not ranks.is_one_computer else None
    for rank, (theirs, what, named, rows) in enumerate(ranks.gather((samples, shown, is_named, sent))):
        if rank == ranks.rank or not len(theirs):
            continue
        if rows is not None and ranks.is_first_here and not ranks.is_here(rank):
            cache.put(view, theirs, what, rows, named)
        else:
            cache.book(view, theirs, what, named)
