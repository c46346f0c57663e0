"""The first batch of a run, made on a thread of its own before there is a loader: beside the loading of libraries, or while a warm engine waits.

What a batch shows is a function of the request and the files alone, so when it is made changes nothing. It is used only where request, files
and settings are those that the loader was given, and the files are as they were listed. Imports no torch.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from studio.core.experiment import Experiment
from studio.core.path_text import text_to_path
from studio.core.rng import sample_seed
from studio.dataset.decoded import decoded_folder
from studio.engine.aside import Aside
from studio.engine.loader import Batch, ImageReader, Picture, Request, Source, cache_bytes, fill, stamp_of

TICK_S = 0.05  # how often somebody who waits may do something else


@dataclass(frozen=True)
class Made:
    """Pixels of a batch, and the decoded pictures it was made of."""

    batch: Batch
    decoded: dict[tuple[int, bool], Picture]  # as `ImageReader.keep` takes them


class FirstBatch:
    """`samples` as `first_samples` gives them. `decode` and `make` return at once; `take` waits."""

    def __init__(self, experiment: Experiment, samples: dict[str, Any]):
        seed, indices = experiment.training.seed, samples["indices"]
        self.samples = samples
        self.request = Request(tuple(indices), tuple(sample_seed(seed, 0, i) for i in indices))
        root = text_to_path(samples["root"])
        self._source = Source(
            paths=tuple(os.path.join(root, text_to_path(id_)) for id_ in samples["ids"]),
            augment=experiment.augment,
            input_size=experiment.model.input_size,
            interpolation="",  # of evaluation views
            crop_fraction=0.0,
            reading=experiment.data.reading,
            num_trained=len(indices),
            cache_bytes=cache_bytes(),
            decoded_folder=str(decoded_folder()),
            stamps=tuple((num_bytes, mtime_ns) for num_bytes, mtime_ns in samples["stamps"]),
        )
        self._aside = Aside()
        self._reader: ImageReader | None = None  # used on the thread only
        self._made: Future[Made | None] | None = None
        self._stops = threading.Event()

    def is_for(self, experiment: Experiment, samples: dict[str, Any]) -> bool:
        """Whether a run of this experiment begins with these pictures."""
        model, own = experiment.model, self._source
        return (
            samples == self.samples
            and self.request.seeds[:1] == tuple(sample_seed(experiment.training.seed, 0, i) for i in self.request.indices[:1])
            and (model.input_size, experiment.augment, experiment.data.reading) == (own.input_size, own.augment, own.reading)
        )

    def decode(self) -> None:
        """Read the pictures; needs nothing of what augments."""
        self._aside.begin(self._decode)

    def make(self) -> None:
        """The whole batch, from what is decoded already."""
        if self._made is None:
            self._made = self._aside.begin(self._make)

    def wait(self, on_wait: Callable[[float], None]) -> None:
        """Until it is made, or cannot be. `on_wait` gets the seconds so far many times a second; what it raises ends the wait, not the work."""
        if self._made is not None:
            self._aside.wait(self._made, on_wait, TICK_S)

    def take(self, source: Source, request: Request, on_wait: Callable[[float], None]) -> Made | None:
        """What a loader of `source` would make for `request`, once; None where this is something else, or could not be made."""
        try:
            if self._made is None or request != self.request or not self._is_of(source):
                return None
            made = self._aside.wait(self._made, on_wait)
        finally:
            self.close()
        return made if made is not None and self._is_unchanged() else None

    def close(self) -> None:
        self._stops.set()
        self._aside.close()
        self._made = self._reader = None  # whoever has this may have it as long as the run goes

    def _is_of(self, source: Source) -> bool:
        own, indices = self._source, self.request.indices
        if (
            not source.stamps
            or tuple(source.paths[i] for i in indices) != own.paths
            or tuple(source.stamps[i] for i in indices) != own.stamps
        ):
            return False
        names = ("augment", "input_size", "reading", "decoded_folder")
        return all(getattr(own, name) == getattr(source, name) for name in names)

    def _is_unchanged(self) -> bool:
        return all(stamp_of(path) == stamp for path, stamp in zip(self._source.paths, self._source.stamps, strict=True))

    def _decode(self) -> ImageReader:
        self._reader = reader = self._reader or ImageReader(self._source, self._source.cache_bytes)
        for index in range(len(self._source.paths)):
            if not self._stops.is_set():
                reader.decode(index)
        return reader

    def _make(self) -> Made | None:
        """None where a picture cannot be read, or is another one than was listed: the loader says so."""
        with contextlib.suppress(Exception):  # whatever it is, it comes up again where somebody can be told
            reader = self._decode()
            if self._stops.is_set():
                return None
            size, local = self._source.input_size, replace(self.request, indices=tuple(range(len(self._source.paths))))
            images = np.zeros((len(local.indices), size, size, 3), np.uint8)
            _, contents = fill(reader, images, local, local.indices)
            if not reader.take_refused():
                batch = Batch(images, np.array(self.request.indices, np.int64), contents, tally=reader.take_tally())
                return Made(batch, {(self.request.indices[i], True): picture for (i, _), picture in reader.kept.items()})
        return None
