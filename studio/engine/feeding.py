"""Whether augmentation keeps up with the network and does what it was asked; where it does not, the journal says so with numbers."""

from __future__ import annotations

from studio.catalog.augments import Tally
from studio.catalog.augments.catalog import catalog
from studio.core.device import num_cores
from studio.engine.reporter import Reporter

WATCHED_S = 10.0  # before anything is said about speed: the first batches fill caches
WAITS_FROM = 0.25  # share of the time that the network waits for pictures
BLAMED_FROM = 0.5  # share of the waiting that augmentation explains


class Feeding:
    """Collects what loading reports. `num_workers` processes vary pictures side by side; with none the network waits for them."""

    def __init__(self, reporter: Reporter, num_workers: int):
        self._reporter, self._num_workers = reporter, num_workers
        self._all, self._num_images = Tally(), 0
        self._seconds = self._waited_s = 0.0
        self._is_slow_told = False
        self._told: dict[str, int] = {}  # step to the number of failures that were told

    def after_steps(self, tally: Tally, num_images: int, seconds: float, waited_s: float) -> None:
        self._all.add(tally)
        self._num_images += num_images
        self._seconds += seconds
        self._waited_s += waited_s
        for (name, reason), _ in tally.failures.items():
            if name not in self._told:
                self._told[name] = 0
                self._reporter.warn(
                    "augmentation-failed",
                    f"{_title(name)} could not be applied to an image ({reason}); the image goes on without it.",
                    "How many images are concerned is said at the end of the epoch.",
                )
        if not self._is_slow_told and self._seconds >= WATCHED_S:
            self._judge()

    def after_epoch(self) -> None:
        """Say how often steps have failed, where that is more than at the last time by a factor."""
        counts: dict[str, int] = {}
        for (name, _), number in self._all.failures.items():
            counts[name] = counts.get(name, 0) + number
        for name, number in counts.items():
            if number > 4 * self._told.get(name, 0):
                self._told[name] = number
                share = number / max(1, self._all.num_images)
                self._reporter.warn(
                    "augmentation-failed",
                    f"{_title(name)} could not be applied to {number:,} of {self._all.num_images:,} images so far ({share:.1%}).",
                    "They went on without it. Change its settings on the Augment page, or remove it.",
                )

    def _judge(self) -> None:
        spent = sum(self._all.seconds.values()) / max(1, self._num_workers)
        busy_s = self._seconds - self._waited_s
        is_waiting = self._waited_s > WAITS_FROM * self._seconds
        if is_waiting and spent <= BLAMED_FROM * self._waited_s:
            self._is_slow_told = True
            self._reporter.warn(
                "data-wait",
                f"The network waits {self._waited_s / self._seconds:.0%} of the time for images to be read and decoded.",
                self._what_to_change(),
            )
            return
        if not is_waiting or busy_s <= 0 or spent <= busy_s:  # one process that does both by turns may wait for what is no slower
            self._all.seconds, self._seconds, self._waited_s, self._num_images = {}, 0.0, 0.0, 0  # look at the next stretch
            return
        self._is_slow_told = True
        varied, taken = self._num_images / spent, self._num_images / busy_s
        name, worst = max(self._all.seconds.items(), key=lambda item: item[1])
        cores = f" on {self._num_workers} loader processes" if self._num_workers else ""
        self._reporter.warn(
            "augmentation-slow",
            f"Augmentation: {varied:,.0f} images/s{cores}, the network could take {taken:,.0f}. "
            f"{_title(name)} takes {worst / sum(self._all.seconds.values()):.0%} of that time.",
            f"Remove {_title(name)} or lower its probability, or use more loader workers.",
        )

    def _what_to_change(self) -> str:
        cores = num_cores()
        if self._num_workers < cores - 1 and cores > 2:
            return f"Use more loader workers: {self._num_workers} now, this computer has {cores} cores."
        return "Make smaller copies of large images, put them on a faster drive, or freeze more of the network and keep its features."


def _title(name: str) -> str:
    return catalog()[name].title if name in catalog() else name
