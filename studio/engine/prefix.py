"""The frozen start of a run's network: run once for each picture; later epochs, and later runs, read its features from a cache.

A row depends on its picture and the weights alone: pictures go through the network in chunks of one size, the last one filled up, so a resumed
run finds or makes the very same rows. What cannot be cut exactly, or would be larger than allowed, trains without a cache. Several processes
of a run divide the pictures among them and read one file; all call the same methods at the same time.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from studio.core.place import cache_dir
from studio.core.rng import sample_seed
from studio.dataset.disk_use import is_halved
from studio.engine.checkpoint import state_sha256
from studio.engine.cut import Cut, find_cut
from studio.engine.device import to_device
from studio.engine.failure import NO_SPACE
from studio.engine.feature_cache import CacheSize, FeatureCache, cache_key, make_room, row_name
from studio.engine.folding import Folding
from studio.engine.lanes import Lanes
from studio.engine.loader import Batch, Loader, Request
from studio.engine.network import Network
from studio.engine.plan import evaluation_requests
from studio.engine.ranks import Ranks
from studio.engine.shared_cache import keep_together, open_together
from studio.engine.work import stage_work

NO_IMAGES = np.empty((0, 0, 0, 3), np.uint8)
NUM_PROBED = 2  # pictures on which a cut is tried; batch norm needs two
MOST_APART = 1e-2  # of the largest feature: folding in half precision moves it by some thousandths
HEAD_BATCH = 1024  # pictures at once where what lies behind the boundary is a head, on features of at most so many bytes:
HEAD_ROW_BYTES = 65_536
LANE_CHUNK = 4  # pictures that one thread of a processor takes at once: few enough for its caches
CHUNKS_PER_LANE = 2  # of a batch at least: lanes wait for the last of its chunks
NO_ROWS = np.empty(0, np.int64)
HASHED_AT_ONCE = 100  # files, between two looks at what the user wants


@dataclass(frozen=True)
class CachePlan:
    """What a run may keep. `views_at` gives the augmented views of every training image, by the share of a forward pass that lies before the
    boundary; 0 where training reads no features."""

    views_at: Callable[[float], int]
    is_still: bool  # every epoch sees the same pictures
    num_bytes: int
    batch_size: int
    seed: int
    origin: dict  # everything but network and files that a row depends on
    augmentation: dict  # besides, for rows of training


class Prefix:
    """Follows the freeze boundary of a network. `to_input` turns uint8 pictures into the network's input on the device."""

    def __init__(
        self,
        own_folder: Path,
        plan: CachePlan,
        network: Network,
        loader: Loader,
        parts: dict[str, range],
        to_input: Callable[[np.ndarray], torch.Tensor],
        autocast: Callable,
        device: torch.device,
        folding: Folding | None = None,
        ranks: Ranks | None = None,
    ):
        self._own_folder = own_folder  # of the run: used while another run holds the shared one
        self._plan, self._network, self._loader, self._parts = plan, network, loader, parts
        self._to_input, self._autocast = to_input, autocast
        self._folding = folding or Folding(network.module)
        self._ranks = ranks or Ranks()
        self._device, self._lanes = device, Lanes(device)
        self._boundary: tuple[bool, ...] = ()
        self._cut: Cut | None = None
        self._compute: Cut | None = None  # the same place in a network with its batch norms folded, where that can be
        self._training: FeatureCache | None = None
        self._evaluation: FeatureCache | None = None
        self._dtype = torch.float32  # of the features as the network gives them
        self._frozen_tensors: dict[str, torch.Tensor] = {}  # what the features were computed with
        self._alike_versions: tuple = ()  # of the tensors that were last found to be the same
        self._contents: dict[int, bytes] = {}
        self._probed: torch.Tensor | None = None
        self.views = 0
        self.reads: dict | None = None  # {"boundary", "views"}: what training reads where the boundary is now, 0 views without a cache

    @property
    def may_train(self) -> bool:
        """Whether training could read features at some boundary."""
        return bool(self._plan.num_bytes and self._plan.views_at(1.0))

    @property
    def trains_from_cache(self) -> bool:
        return self._training is not None

    def described(self) -> str:
        """What training reads, for the journal."""
        size, found = self._training.size, self._training.num_found
        views = f"{size.num_views} views of " if size.num_views > 1 else ""
        words = f"{views}{size.num_samples:,} images, {size.num_bytes / 1e6:,.1f} MB"
        return f"{words}, {found:,} of {size.num_views * size.num_samples:,} from earlier" if found else words

    def follow(self, between: Callable[[], None] = lambda: None) -> CacheSize | None:
        """Go to where the boundary is now and make room there; the size of the training part where it is too large to be kept.

        `between` is called now and then while files are read; what it raises leaves no cache.
        """
        was_training = self._network.module.training
        self._network.train_mode()
        try:
            boundary = self._network.is_still()
            if boundary == self._boundary:
                return None
            self._leave()
            try:
                too_large = self._go_to(boundary, between) if boundary[0] and self._plan.num_bytes else None
            except BaseException:
                self._leave()  # the boundary is gone to anew where the run goes on
                raise
            self._boundary = boundary
            self.reads = {"boundary": list(boundary), "views": self.views if self.trains_from_cache else 0}
            return too_large
        finally:
            if not was_training:
                self._network.module.eval()

    def _go_to(self, boundary: tuple[bool, ...], between: Callable[[], None]) -> CacheSize | None:
        pictures = self.probe()
        module, stages = self._network.module, self._network.stages
        if len(pictures) < NUM_PROBED:
            return None
        with self._autocast():
            self._cut = find_cut(module, stages, boundary, pictures)
            if self._cut is None:
                return None
            row = self._cut.prefix(pictures)[0]
        self._boundary = boundary
        folded = self._folding.fold(module, self.chunk())
        self._compute = self._cut.on(folded) if folded else self._cut
        with self._autocast():
            apart = (self._compute.prefix(pictures)[0].float() - row.float()).abs().max()
        if apart > MOST_APART * row.float().abs().max():  # what follows the boundary was drawn into what lies before it
            folded, self._compute = None, self._cut
        self._frozen_tensors = {name: tensor.clone() for name, tensor in self._frozen_state(module).items()}
        self._dtype = row.dtype
        num_frozen = next(i for i, frozen in enumerate(boundary) if not frozen)
        work = stage_work(module, stages, pictures)
        self.views = self._plan.views_at(sum(work[:num_frozen]) / max(1, sum(work)))

        num_scored = len(self._parts["validation"]) + len(self._parts["test"])
        evaluation = CacheSize(1, num_scored, tuple(row.shape), row.dtype)
        kept_type = torch.float16 if row.dtype == torch.float32 and is_halved(row.numel(), 4, self.views) else row.dtype
        training = CacheSize(self.views, len(self._parts["train"]), tuple(row.shape), kept_type)
        made_by = self._plan.origin | {
            "cut": self._cut.description,
            "weights": state_sha256(self._frozen_tensors),
            "row": [list(row.shape), str(row.dtype)],
            "chunk": self._chunk_size,
            "folded": folded is not None and ("fused" if self._folding.fuses else "folded"),
        }
        room, scored = self._plan.num_bytes, range(self._parts["validation"].start, self._parts["validation"].start + num_scored)
        if evaluation.num_bytes <= room:
            names = [row_name(content, "evaluation") for content in self._contents_of(scored, between)]
            self._evaluation = self._make(cache_key(**made_by, part="evaluation"), evaluation, names, scored.start)
            room -= evaluation.num_bytes
        if self.views and training.num_bytes <= room:
            contents = self._contents_of(self._parts["train"], between)
            names = [
                row_name(content, "still" if self._plan.is_still else str(sample_seed(self._plan.seed, view, i)))
                for view in range(self.views)
                for i, content in enumerate(contents)
            ]
            key = cache_key(**made_by, part="training", augmentation=self._plan.augmentation, kept=str(training.dtype))
            self._training = self._make(key, training, names)
        return training if self.views and not self._training else None

    def _contents_of(self, indices: range, between: Callable[[], None]) -> list[bytes]:
        """`content_of` their files, b"" of one that cannot be read."""
        ranks, unknown = self._ranks, [i for i in indices if i not in self._contents]
        for some in _in_parts(unknown, HASHED_AT_ONCE * ranks.count):
            for found in ranks.gather(self._loader.contents(some[ranks.rank :: ranks.count])):
                self._contents |= found
            between()
        return [self._contents.get(i, b"") for i in indices]

    def _is_named(self, batch: Batch) -> np.ndarray:
        """bool[N]: whether pictures are those that the names of their rows stand for. A file may have been replaced since it was hashed, and a
        picture may have been kept since before."""
        shown = zip(batch.indices.tolist(), batch.contents, strict=True)
        return np.array([self._contents.get(index) == content for index, content in shown], bool)

    def fill(self, epoch: int, between: Callable[[int], None]) -> dict[int, str]:
        """Compute what this epoch's view lacks of training features. `between` gets the number done and may raise; files that were refused."""
        view, refused = epoch % self.views, {}
        size, count = max(self._plan.batch_size, pictures_at_once(self._device)), len(self._parts["train"])
        missing = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
        lacking = np.any(self._ranks.gather([not self._training.has_all(view, rows) for rows in missing]), axis=0)
        rounds = _in_parts([rows for rows, lacks in zip(missing, lacking, strict=True) if lacks], self._ranks.count)
        mine = [next(iter(some[self._ranks.rank :]), NO_ROWS) for some in rounds]
        requests = [Request(tuple(rows.tolist()), self._seeds(view, rows)) for rows in mine]
        self._network.train_mode()
        for some, rows, batch in zip(rounds, mine, self._loader.batches(requests, reads_ahead=True), strict=True):
            keep_together(self._ranks, self._training, view, rows, batch.indices, self._is_named(batch), self._features(batch))
            refused |= batch.refused
            between(int(some[-1][-1]) + 1)
        if rounds:
            self._training.save()
        for theirs in self._ranks.gather(refused):  # nobody reads before all have written
            refused |= theirs
        return refused

    def training_batches(self, requests: Iterable[Request], epoch: int) -> Iterator[Batch]:
        """The batches of `requests` as `fill` has kept them."""
        for request in requests:
            features, shown = self._training.get(epoch % self.views, np.array(request.indices, np.int64))
            yield Batch(NO_IMAGES, shown, features=features.to(self._dtype))

    def everything(self) -> tuple[torch.Tensor, np.ndarray]:
        """(features of the first view of all training samples, the samples they show)."""
        features, shown = self._training.get(0, np.arange(len(self._parts["train"])))
        return features.to(self._dtype), shown

    def pictures_of(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """Training samples as this epoch's view shows them: uint8[N, H, W, 3]."""
        view = epoch % self.views
        (batch,) = self._loader.batches([Request(tuple(indices.tolist()), self._seeds(view, indices))])
        return batch.images_NHWC

    def evaluation_batches(
        self, part: range, batch_size: int, module: nn.Module, between: Callable[[int, dict[int, str]], None]
    ) -> Iterator[Batch]:
        """All of a part, or this process's share of it, for a module that is the network or was made alike; features where they are kept.
        `batch_size` is that of one process.

        Features that are missing are made first: a head that was given other rows at once, or rows in another layout, would round otherwise than
        in later epochs and after a resume. Meanwhile `between` gets the number that this process has done and what was refused of the last ones, at
        the end what others were refused; it may raise.
        """
        if self._evaluation is None or not self._starts_alike(module):
            yield from self._loader.batches(self._shares(part, batch_size))
            return
        first = self._parts["validation"].start
        if not self._has_all(part):
            refused, done = {}, 0
            requests = self._shares(part, max(batch_size, pictures_at_once(self._device)))
            for request, batch in zip(requests, self._loader.batches(requests, reads_ahead=True), strict=True):
                rows = np.array(request.indices, np.int64) - first
                keep_together(self._ranks, self._evaluation, 0, rows, batch.indices, self._is_named(batch), self._features(batch))
                refused |= batch.refused
                done += len(rows)
                between(done, batch.refused)
            self._evaluation.save()
            by_rank = self._ranks.gather(refused)  # nobody reads before all have written
            between(done, {i: why for rank, theirs in enumerate(by_rank) if rank != self._ranks.rank for i, why in theirs.items()})
        for request in self._shares(part, HEAD_BATCH if self._is_head_left() else batch_size):
            features, shown = self._evaluation.get(0, np.array(request.indices, np.int64) - first)
            yield Batch(NO_IMAGES, shown, features=features)

    def _shares(self, part: range, batch_size: int) -> list[Request]:
        return list(self._ranks.share(evaluation_requests(part.start, len(part), self._ranks.count * batch_size)))

    def _has_all(self, part: range) -> bool:
        """Whether every computer has the features of a part."""
        rows = np.array(part, np.int64) - self._parts["validation"].start
        return all(self._ranks.gather(self._evaluation.has_all(0, rows)))

    def leaves_a_head(self, module: nn.Module) -> bool:
        """Whether of this module, the network or one made alike, only a head runs in evaluation: its features are there, or are made here."""
        return bool(self._evaluation and self._is_head_left() and self._starts_alike(module))

    def rest(self, module: nn.Module, features: torch.Tensor, device: torch.device, run: Callable | None = None) -> torch.Tensor:
        """logits_NC of the network or of a module made alike. `run` stands in for the module's call."""
        cut = self._cut if module is self._network.module else self._cut.on(module)
        return cut.rest(features if features.device == device else to_device(features, device), run)

    def close(self) -> None:
        """Let go of the cache; what is in the user's cache folder stays for later runs."""
        self._leave()
        self._lanes.close()
        if self._ranks.is_first_here:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _leave(self) -> None:
        for cache in (self._training, self._evaluation):
            if cache:
                cache.close()
        self._training = self._evaluation = self._cut = self._compute = None
        self._boundary, self.views, self.reads, self._alike_versions = (), 0, None, ()

    def _is_head_left(self) -> bool:
        return self._cut is not None and all(self._boundary[:-1]) and self._evaluation.size.row_bytes <= HEAD_ROW_BYTES

    def _make(self, key: str, size: CacheSize, names: list[bytes], first: int = 0) -> FeatureCache | None:
        return open_together(self._ranks, lambda: self._make_here(key, size, names, first))

    def _make_here(self, key: str, size: CacheSize, names: list[bytes], first: int) -> FeatureCache | None:
        root, allowed = cache_dir() / "features", self._plan.num_bytes
        kept = {key} | {cache.folder.name for cache in (self._evaluation, self._training) if cache}
        with contextlib.suppress(OSError):
            make_room(root, max(0, allowed - size.num_bytes), kept)
        for home in (root, self._own_folder):
            try:
                return FeatureCache(home / key, size, names, allowed, first)
            except OSError as exc:
                if exc.errno in NO_SPACE:  # a run goes on without
                    return None
        return None  # else another run of the same features is under way, or nothing may be written there: the run has a folder of its own

    def _features(self, batch: Batch) -> torch.Tensor | None:
        """Features of a batch, in chunks of one size; None of an empty one."""
        if not len(batch.indices):
            return None
        with torch.inference_mode():
            images = self._to_input(batch.images_NHWC)
            size = self._chunk_size
            missing = -len(images) % size
            if missing:
                images = torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])
            return torch.cat(self._compute.prefixes(images.split(size), self._side_by_side))[: len(batch.images_NHWC)]

    def _side_by_side(self, compute: Callable[[torch.Tensor], torch.Tensor], chunks: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        def compute_chunk(chunk: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode(), self._autocast():
                return compute(chunk)

        return self._lanes.map(compute_chunk, chunks)

    @property
    def _chunk_size(self) -> int:
        return LANE_CHUNK if self._device.type == "cpu" else self._plan.batch_size

    def chunk(self) -> torch.Tensor:
        """As many pictures as go through the network at once where nothing trains; empty where none can be read."""
        pictures = self.probe()
        size = self._chunk_size
        return pictures.repeat(-(-size // max(1, len(pictures))), 1, 1, 1)[:size] if len(pictures) else pictures

    def probe(self) -> torch.Tensor:
        """Two of the run's own pictures as the network is given them; fewer where they cannot be read."""
        if self._probed is None:
            part = self._parts["validation"] or self._parts["train"]
            found = []
            for request in evaluation_requests(part.start, min(len(part), 16), NUM_PROBED):
                (batch,) = self._loader.batches([request])
                found += [self._to_input(batch.images_NHWC[i : i + 1].copy()) for i in np.flatnonzero(batch.indices >= 0)]
                if len(found) >= NUM_PROBED:
                    break
            self._probed = torch.cat(found[:NUM_PROBED]) if found else torch.empty(0)
        return self._probed

    def _seeds(self, view: int, indices: np.ndarray) -> tuple[int, ...]:
        return tuple(sample_seed(self._plan.seed, view, int(i)) for i in indices)

    def _frozen_state(self, module: nn.Module) -> dict[str, torch.Tensor]:
        names = [name for s, frozen in zip(self._network.stages, self._boundary, strict=True) if frozen for name in s.module_names]
        state = module.state_dict()
        return {key: state[key] for key in state if any(key == name or key.startswith(f"{name}.") for name in names)}

    def _starts_alike(self, module: nn.Module) -> bool:
        """Whether a module has the weights that the features come from; a running mean or the best epoch may not, after an edit froze
        a stage. Tensors that nobody wrote to since the last look are not looked at again."""
        state = self._frozen_state(module)
        versions = tuple((tensor.data_ptr(), tensor._version) for tensor in state.values())
        if versions != self._alike_versions:
            if not all(torch.equal(tensor, self._frozen_tensors[name]) for name, tensor in state.items()):
                return False
            self._alike_versions = versions
        return True


def _in_parts(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def pictures_at_once(device: torch.device) -> int:
    """The least that a pass reads at once: it keeps every lane busy, and the user is heard now and then."""
    return LANE_CHUNK * CHUNKS_PER_LANE * torch.get_num_threads() if device.type == "cpu" else 1
