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
    """Every process calls it at the same time with the rows that it has computed, or with none (features are None then).

    Samples of several processes may have one row, by the same content. So what stands in for a file is written when all know which rows are done,
    and all wait for it.
    """
    rows = None if features is None else features.detach().cpu()
    is_own = cache.is_own(samples, shown, is_named)
    if rows is not None:
        cache.put(view, samples[is_own], shown[is_own], rows[torch.from_numpy(is_own)], is_named[is_own])
    found = ranks.gather((samples, shown, is_named, None if ranks.is_one_computer else rows))
    for are_own in (True, False):
        for rank, (theirs, what, named, sent) in enumerate(found):
            some = cache.is_own(theirs, what, named) == are_own
            is_mine = rank == ranks.rank
            if not some.any() or is_mine and are_own:
                continue
            written = rows if is_mine else sent if ranks.is_first_here and not ranks.is_here(rank) else None
            if written is not None:
                cache.put(view, theirs[some], what[some], written[torch.from_numpy(some)], named[some])
            else:
                cache.book(view, theirs[some], what[some], named[some])
    if not all(cache.is_own(*which).all() for *which, _ in found):
        ranks.gather(None)
