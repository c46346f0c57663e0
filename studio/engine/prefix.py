"""The frozen start of a run's network: run once for each picture; later epochs read its features from a cache in the run folder.

Features are computed in an order and in batches of their own, so they depend on the run alone: a resumed run finds or makes the very
same ones. What cannot be cut exactly, or would be larger than allowed, trains without a cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from studio.core.rng import sample_seed
from studio.engine.checkpoint import state_sha256
from studio.engine.cut import Cut, find_cut
from studio.engine.feature_cache import CacheSize, FeatureCache, cache_key
from studio.engine.loader import Batch, Loader, Request
from studio.engine.network import Network
from studio.engine.plan import evaluation_requests

NO_IMAGES = np.empty((0, 0, 0, 3), np.uint8)
NUM_PROBED = 2  # pictures on which a cut is tried; batch norm needs two


@dataclass(frozen=True)
class CachePlan:
    """What a run may keep. `views` are the augmented views of every training image, 0 where training reads no features."""

    views: int
    num_bytes: int
    batch_size: int
    seed: int
    origin: Callable[[], dict]  # everything but the network that features depend on; takes a while for many images


class Prefix:
    """Follows the freeze boundary of a network. `to_input` turns uint8 pictures into the network's input on the device."""

    def __init__(
        self,
        folder: Path,
        plan: CachePlan,
        network: Network,
        loader: Loader,
        parts: dict[str, range],
        to_input: Callable[[np.ndarray], torch.Tensor],
        autocast: Callable,
    ):
        self._folder, self._plan, self._network, self._loader, self._parts = folder, plan, network, loader, parts
        self._to_input, self._autocast = to_input, autocast
        self._boundary: tuple[bool, ...] = ()
        self._cut: Cut | None = None
        self._other_cuts: dict[nn.Module, Cut] = {}
        self._training: FeatureCache | None = None
        self._evaluation: FeatureCache | None = None
        self._frozen_tensors: dict[str, torch.Tensor] = {}  # what the features were computed with

    @property
    def views(self) -> int:
        return self._plan.views

    @property
    def trains_from_cache(self) -> bool:
        return self._training is not None

    def follow(self) -> CacheSize | None:
        """Go to where the boundary is now and make room there; the size of the training part where it is too large to be kept."""
        if self._network.is_frozen == self._boundary:
            return None
        self._boundary, self._cut, self._other_cuts = self._network.is_frozen, None, {}
        self._training = self._evaluation = None
        if not (self._boundary[0] and self._plan.num_bytes):
            return None
        pictures = self._probe()
        was_training = self._network.module.training
        self._network.train_mode()
        with self._autocast():
            cut = find_cut(self._network.module, self._network.stages, self._boundary, pictures) if len(pictures) == NUM_PROBED else None
            row = cut.prefix(pictures)[0] if cut else None
        if not was_training:
            self._network.module.eval()
        if cut is None:
            return None
        self._cut = cut
        num_scored = len(self._parts["validation"]) + len(self._parts["test"])
        evaluation = CacheSize(1, num_scored, tuple(row.shape), row.dtype)
        training = CacheSize(self._plan.views, len(self._parts["train"]), tuple(row.shape), row.dtype)
        self._frozen_tensors = {name: tensor.clone() for name, tensor in self._frozen_state(self._network.module).items()}
        key = cache_key(**self._plan.origin(), cut=cut.description, weights=state_sha256(self._frozen_tensors))
        room = self._plan.num_bytes
        if evaluation.num_bytes <= room:
            self._evaluation = self._make("evaluation", key, evaluation)
            room -= evaluation.num_bytes
        if self._plan.views and training.num_bytes <= room:
            self._training = self._make("training", key, training)
        return training if self._plan.views and not self._training else None

    def fill(self, epoch: int, between: Callable[[int], None]) -> dict[int, str]:
        """Compute what this epoch's view lacks of training features. `between` gets the number done and may raise; files that were refused."""
        view, refused = epoch % self._plan.views, {}
        size, count = self._plan.batch_size, len(self._parts["train"])
        missing = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
        missing = [rows for rows in missing if not self._training.has_all(view, rows)]
        requests = [Request(tuple(rows.tolist()), self._seeds(view, rows)) for rows in missing]
        self._network.train_mode()
        for rows, batch in zip(missing, self._loader.batches(requests), strict=True):
            self._training.put(view, rows, batch.indices, self._features(batch))
            refused |= batch.refused
            between(int(rows[-1]) + 1)
        if missing:
            self._training.save()
        return refused

    def training_batches(self, requests: Iterable[Request], epoch: int) -> Iterator[Batch]:
        """The batches of `requests` as `fill` has kept them."""
        for request in requests:
            features, shown = self._training.get(epoch % self._plan.views, np.array(request.indices))
            yield Batch(NO_IMAGES, shown, features=features)

    def pictures_of(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """Training samples as this epoch's view shows them: uint8[N, H, W, 3]."""
        view = epoch % self._plan.views
        (batch,) = self._loader.batches([Request(tuple(indices.tolist()), self._seeds(view, indices))])
        return batch.images_NHWC

    def evaluation_batches(self, part: range, batch_size: int, module: nn.Module) -> Iterator[Batch]:
        """All of a part for a module that is the network or was made alike; features where they are kept, and kept where they are not."""
        requests = list(evaluation_requests(part.start, len(part), batch_size))
        rows = [np.array(request.indices) - self._parts["validation"].start for request in requests]
        if self._evaluation is None or not self._starts_alike(module):
            yield from self._loader.batches(requests)
        elif all(self._evaluation.has_all(0, some) for some in rows):
            for some in rows:
                features, shown = self._evaluation.get(0, some)
                yield Batch(NO_IMAGES, shown, features=features)
        else:
            for some, batch in zip(rows, self._loader.batches(requests), strict=True):
                features = self._features(batch)
                self._evaluation.put(0, some, batch.indices, features)
                yield Batch(batch.images_NHWC, batch.indices, batch.refused, features)
            self._evaluation.save()

    def rest(self, module: nn.Module, features: torch.Tensor, device: torch.device) -> torch.Tensor:
        """logits_NC of the network or of a module made alike."""
        if module is self._network.module:
            cut = self._cut
        else:
            cut = self._other_cuts[module] = self._other_cuts.get(module) or self._cut.on(module)
        return cut.rest(features.to(device, non_blocking=True))

    def close(self) -> None:
        """Give the disk back."""
        self._training = self._evaluation = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, name: str, key: str, size: CacheSize) -> FeatureCache | None:
        try:
            return FeatureCache(self._folder / name, key, size)
        except OSError:  # no room on the disk: a run goes on without
            return None

    def _features(self, batch: Batch) -> torch.Tensor:
        with self._autocast():
            return self._cut.prefix(self._to_input(batch.images_NHWC))

    def _probe(self) -> torch.Tensor:
        """Two of the run's own pictures."""
        part = self._parts["validation"]
        found = []
        for request in evaluation_requests(part.start, min(len(part), 16), NUM_PROBED):
            (batch,) = self._loader.batches([request])
            found += [self._to_input(batch.images_NHWC[i : i + 1].copy()) for i in np.flatnonzero(batch.indices >= 0)]
            if len(found) >= NUM_PROBED:
                break
        return torch.cat(found[:NUM_PROBED]) if found else torch.empty(0)

    def _seeds(self, view: int, indices: np.ndarray) -> tuple[int, ...]:
        return tuple(sample_seed(self._plan.seed, view, int(i)) for i in indices)

    def _frozen_state(self, module: nn.Module) -> dict[str, torch.Tensor]:
        names = [name for s, frozen in zip(self._network.stages, self._boundary, strict=True) if frozen for name in s.module_names]
        state = module.state_dict()
        return {key: state[key] for key in state if any(key == name or key.startswith(f"{name}.") for name in names)}

    def _starts_alike(self, module: nn.Module) -> bool:
        """Whether a module has the weights that the features come from; a running mean or the best epoch may not, after an edit froze
        a stage."""
        return all(torch.equal(tensor, self._frozen_tensors[name]) for name, tensor in self._frozen_state(module).items())
