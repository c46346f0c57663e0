"""Keeping features at the freeze boundary while a run goes on, and telling of it."""

from __future__ import annotations

import time

from studio.core.fold import CACHING
from studio.engine.setup import Setup, say_inexact
from studio.engine.wishes import listen

_READS_FEATURES = "features of the frozen layers can be kept now, and it trains on these instead of all pictures anew"
_READS_PICTURES = "the features of the frozen layers that it was trained on cannot be kept now, and it trains on all pictures anew"


def follow_boundary(s: Setup, is_last: bool = True) -> None:
    """Keep features where the freeze boundary is now; say so where they are too many to be kept, and where a resume
    trains on something else for it. `is_last` as for `listen`."""
    too_large = s.prefix.follow(lambda: listen(s, is_last))
    if too_large:
        views = f"{too_large.num_views} views of " if too_large.num_views > 1 else ""
        words = f"The features of {views}{too_large.num_samples:,} images would take {too_large.num_bytes / 1e9:.1f} GB"
        s.reporter.warn(
            "cache-too-large",
            f"{words}, more than there is room for or the {s.asked.training.cache_gigabytes:g} GB allowed; training runs the whole network.",
            "Allow more, keep fewer views, or freeze more of the network.",
        )
    before, s.read_before = s.read_before, None
    if before and before["boundary"] == s.prefix.reads["boundary"] and before["views"] != s.prefix.reads["views"]:
        say_inexact(s, [_READS_FEATURES if s.prefix.trains_from_cache else _READS_PICTURES])


def fill_cache(s: Setup) -> None:
    """Run the frozen start of the network once over what this epoch needs of it."""
    s.reporter.phase(CACHING, s.prefix.described())
    start = time.perf_counter()
    refused = s.prefix.fill(s.progress.epoch, lambda _num_done: listen(s))
    s.reporter.unreadable({s.ids[i]: reason for i, reason in refused.items()})
    s.progress.epoch_seconds += time.perf_counter() - start
