"""From files to batches. What comes out is a function of the request alone: never of the number of workers, nor of what was loaded before.

Sample i always goes to worker i modulo the number of workers, so each worker keeps its own share of the decoded images in memory
(decoding costs ten times what the rest does) and no image is kept twice. Batches travel through a memory-mapped file; it is unlinked as
soon as every worker has opened it, so nothing stays behind when the engine is killed.
With no workers (one or two cores, where they would only fight the network for time) the same code runs in the engine process, on a thread for
which the engine waits: a drive that hangs then hangs nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import multiprocessing
import os
import queue
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from studio.catalog.augments import Pipeline, Tally, build_pipeline, evaluation_view, shrink_to_working_size
from studio.catalog.augments.load import load_albumentations
from studio.catalog.augments.view import decoded_view
from studio.core.device import num_cores
from studio.core.experiment import Augment
from studio.core.file import allocate
from studio.core.reading import Reading
from studio.dataset.decoded import DecodedCache, content_of
from studio.dataset.image import ImageRefused, decode, read_bytes
from studio.engine.aside import Aside
from studio.engine.drive import OF_ONE_FILE, Drive
from studio.engine.failure import CHANGED, DataGone, NoReadableImages

if TYPE_CHECKING:
    import torch

    from studio.engine.first_batch import FirstBatch
    from studio.engine.mix import Mix

LEAST_AHEAD, MOST_AHEAD = (
    3,
    8,
)  # batches requested before they are needed: the rows of one fall unevenly on the workers, those of several evenly
CACHE_SHARE = 0.25  # of the memory that is free at the start, for decoded images
SHARED_BYTES = 256_000_000  # that they may take together, where they are more than the least
SHARED_PREFIX = "studio-batches-"  # of the names of their files
RETRIES_S = (0.1, 0.4)  # after which a file is read again where a drive or a network failed
WAIT_TICK_S = 0.5  # how often somebody who waits for a worker may do something else


@dataclass(frozen=True)
class Source:
    """What workers need to know: sent to each once. A sample is named by its position in `paths`."""

    paths: tuple[str, ...]
    augment: Augment
    input_size: int
    interpolation: str
    crop_fraction: float
    reading: Reading
    num_trained: int  # the first so many paths are training images: an unreadable one is replaced by the next of these
    cache_bytes: int  # for decoded images, over all workers
    decoded_folder: str = ""  # where decoded pictures are kept between runs; "" for nowhere
    root: str = ""  # the folder of the images: when it is gone, so is the run's data, which is more than an unreadable file
    devices: tuple[tuple[str, int | None], ...] = ()  # that the images lay on at first, see `drive.devices_of`; empty does not look
    stamps: tuple[tuple[int, int], ...] = ()  # size and time of change (ns) of each file when it was listed; empty does not look


@dataclass(frozen=True)
class Request:
    """One batch: positions in `Source.paths`, and an augmentation seed for each, or None for evaluation views."""

    indices: tuple[int, ...]
    seeds: tuple[int, ...] | None = None
    augment: Augment | None = None  # for this batch instead of the source's

    def only(self, rows: list[int]) -> Request:
        """What some rows of the batch ask for."""
        seeds = tuple(self.seeds[row] for row in rows) if self.seeds is not None else None
        return Request(tuple(self.indices[row] for row in rows), seeds, self.augment)


@dataclass
class Batch:
    """`indices[i]` is the sample whose picture is in `images_NHWC[i]`; -1 where it could not be read (evaluation only)."""

    images_NHWC: np.ndarray  # uint8; valid until the next batch is taken. Empty where features are given instead
    indices: np.ndarray  # int64
    contents: list[bytes] = field(
        default_factory=list
    )  # `content_of` the file that each picture was read from, b"" of none; of a loader's batch
    refused: dict[int, str] = field(default_factory=dict)  # files that could not be read, or are CHANGED: index to reason
    features: torch.Tensor | None = None  # what the frozen start of the network gives for the pictures
    tally: Tally = field(default_factory=Tally)  # of the augmentation, over all workers
    mix: Mix | None = None  # how the loop blends the pictures


class Picture(NamedTuple):
    """A file's picture as it is kept."""

    pixels: np.ndarray  # uint8 HWC
    content: bytes  # `content_of` the file that they were read from


class ImageReader:
    """Reads, keeps and views images. One per process; not thread-safe."""

    def __init__(self, source: Source, cache_bytes: int, num_readers: int = 1):
        self._source, self._drive = source, _drive_of(source)
        self._decoded = DecodedCache(source.decoded_folder, num_writers=num_readers) if source.decoded_folder else None
        self._pipeline: Pipeline | None = None
        self._augment: Augment | None = None  # what the pipeline does
        self.kept: dict[tuple[int, bool], Picture] = {}  # by sample, and whether it is for training
        self._room = cache_bytes
        self._refused: set[int] = set()
        self._changed: set[int] = set()
        self._untold: dict[int, str] = {}

    def keep(self, pictures: dict[tuple[int, bool], Picture]) -> None:
        """Pictures that another reader of the same files has decoded, as far as there is room."""
        for key, picture in pictures.items():
            if picture.pixels.nbytes <= self._room and key not in self.kept:
                self._room -= picture.pixels.nbytes
                self.kept[key] = picture

    def decode(self, index: int) -> None:
        """Read a training image now, for a view of it later."""
        self._image(index, is_training=True)

    def take_refused(self) -> dict[int, str]:
        """Files found unreadable, or changed, since the last call: index to reason."""
        new, self._untold = self._untold, {}
        return new

    def forget_refused(self) -> None:
        """Try files again that could not be read; of those that nobody was told of, nobody is."""
        for index in self._refused:
            self._untold.pop(index, None)
        self._refused.clear()

    def take_tally(self) -> Tally:
        """What augmentation has done since the last call."""
        return self._pipeline.take_tally() if self._pipeline else Tally()

    def use(self, augment: Augment | None) -> None:
        """Vary training images so from now on; None for what the source says."""
        augment = augment or self._source.augment
        if self._augment is not augment and self._augment != augment:
            self._pipeline = build_pipeline(augment, self._source.input_size)
        self._augment = augment

    def view(self, index: int, seed: int | None) -> tuple[np.ndarray | None, int, bytes]:
        """The picture of a sample, the index of the sample it really shows (the next readable one for a training image), and the content of its
        file."""
        num = self._source.num_trained
        tries = range(index, index + num) if seed is not None else (index,)
        for candidate in tries:
            shown = candidate % num if seed is not None else candidate
            image = self._image(shown, is_training=seed is not None)
            if image is None:
                continue
            if seed is None:
                return image.pixels, shown, image.content
            return self._pipeline(image.pixels, seed), shown, image.content
        if seed is not None:
            raise NoReadableImages("training")
        return None, -1, b""

    def _image(self, index: int, *, is_training: bool) -> Picture | None:
        """The decoded image shrunk to working size (training) or the finished view (evaluation); None when it cannot be read. Raises
        DataGone."""
        key = (index, is_training)
        if key in self.kept:
            return self.kept[key]
        if index in self._refused:
            return None
        s = self._source
        try:
            image = self._read(index, is_training)
        except (ImageRefused, OSError) as exc:
            self._refused.add(index)
            self._untold[index] = str(exc)
            return None
        if s.stamps and index not in self._changed and stamp_of(s.paths[index]) != s.stamps[index]:
            self._changed.add(index)
            self._untold[index] = CHANGED
        self.keep({key: image})
        return image

    def _read(self, index: int, is_training: bool) -> Picture:
        """The picture of a file as it is kept: decoded and reduced, or as it was kept on disk. Raises as `_read_file` does."""
        s = self._source
        data = _read_file(s, self._drive, index)
        content = content_of(data)
        view = decoded_view(s.input_size, s.reading, None if is_training else (s.interpolation, s.crop_fraction))
        image = self._decoded.get(content, view) if self._decoded else None
        if image is None:
            image = decode(data, s.reading)
            if is_training:
                image = shrink_to_working_size(image, s.input_size)
            else:
                image = evaluation_view(image, s.input_size, s.interpolation, s.crop_fraction)
            if self._decoded:
                self._decoded.put(content, view, image)
        return Picture(image, content)


def _drive_of(source: Source) -> Drive:
    return Drive(source.root, source.paths, source.devices)


def _read_file(source: Source, drive: Drive, index: int) -> bytes:
    """The file of a sample. Raises ImageRefused, OSError, and DataGone where the drive fails rather than the file."""
    waits_s = iter(RETRIES_S)
    while True:
        try:
            return read_bytes(source.paths[index])
        except (ImageRefused, OSError) as exc:
            if exc.errno not in OF_ONE_FILE and (wait_s := next(waits_s, None)) is not None:
                time.sleep(wait_s)
                continue
            if source.root and exc.errno is not None:
                drive.check_after(exc.errno)
            raise


def _contents(source: Source, drive: Drive, indices: Iterable[int]) -> dict[int, bytes]:
    found = {}
    for index in indices:
        with contextlib.suppress(ImageRefused, OSError):
            found[index] = content_of(_read_file(source, drive, index))
    return found


def stamp_of(path: str) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        info = os.stat(path)
        return info.st_size, info.st_mtime_ns
    return None


class Loader:
    """Serves batches in the order of the requests. Close it, or use it in a `with` block.

    `on_wait` is called every half second while a worker lets everybody wait, with the seconds so far, and with 0 when the wait is over; what it raises
    ends the wait.
    """

    def __init__(self, source: Source, max_batch: int, num_workers: int = 0, first: FirstBatch | None = None):
        """`first` may hold the first batch that will be asked for; the loader closes it."""
        self._source, self._drive, self._first = source, _drive_of(source), first
        self.max_batch, self.num_workers = max_batch, num_workers
        self.on_wait: Callable[[float], None] = lambda seconds: None
        self._reader = None if num_workers else ImageReader(source, source.cache_bytes)
        self._aside = Aside()
        self._pool = self._new_pool() if num_workers else None

    def _new_pool(self) -> _Pool:
        return _Pool(self._source, self.max_batch, self.num_workers, lambda seconds: self.on_wait(seconds))

    def restart(self) -> None:
        """Try again what failed: new worker processes in place of the old ones, one of which may have died, and files that were refused."""
        if self._pool:
            self._pool.close()
            self._pool = self._new_pool()
        else:
            self._reader.forget_refused()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        if self._pool:
            self._pool.close()
            self._pool = None
        self._aside.close()
        if self._first:
            self._first.close()

    def batches(self, requests: Iterable[Request], *, reads_ahead: bool = False) -> Iterator[Batch]:
        """The batches of `requests`, in order. Raises WorkerDied, DataGone, and NoReadableImages when nothing is left to train on.

        Worker processes always read ahead. Without them the next batch is read while one is worked on where `reads_ahead` says so: that gains
        nothing where all threads share each layer, since all then wait for the one that the reader takes time from.
        """
        requests, made = self._take_first(iter(requests))
        if self._pool:
            yield from self._pool.batches(requests, made)
            return
        if made:
            yield made
        begun: deque[Future[Batch]] = deque()
        for request in requests:
            begun.append(self._aside.begin(partial(self._load_here, request)))
            if len(begun) > reads_ahead:
                yield self._waited_for(begun.popleft())
        while begun:
            yield self._waited_for(begun.popleft())

    def contents(self, indices: Iterable[int]) -> dict[int, bytes]:
        """`content_of` the files of samples as they are now, of those that can be read. Raises DataGone."""
        return self._aside.run(partial(_contents, self._source, self._drive, indices), lambda seconds: self.on_wait(seconds))

    def finds_images(self, on_wait: Callable[[float], None]) -> bool:
        """Whether the drive with the images answers. `on_wait` is called while it takes long; what it raises ends the wait."""
        try:
            self._aside.run(self._drive.check, on_wait)
        except DataGone:
            return False
        return True

    def _waited_for(self, batch: Future[Batch]) -> Batch:
        return self._aside.wait(batch, lambda seconds: self.on_wait(seconds))

    def _take_first(self, requests: Iterator[Request]) -> tuple[Iterator[Request], Batch | None]:
        """The requests, and the batch of the first one where it was made before; then without that one."""
        first, self._first = self._first, None
        if first is None or (request := next(requests, None)) is None:
            return requests, None
        made = first.take(self._source, request, lambda seconds: self.on_wait(seconds))
        if made is None:
            return itertools.chain([request], requests), None
        if self._reader:
            self._reader.keep(made.decoded)
        return requests, made.batch

    def _load_here(self, request: Request) -> Batch:
        size = self._source.input_size
        images = np.zeros((len(request.indices), size, size, 3), np.uint8)
        try:
            shown, contents = fill(self._reader, images, request, range(len(request.indices)))
        except NoReadableImages as exc:
            exc.refused = self._reader.take_refused()
            raise
        return Batch(images, np.array(shown, np.int64), contents, self._reader.take_refused(), tally=self._reader.take_tally())


def fill(reader: ImageReader, images_NHWC: np.ndarray, request: Request, rows: Iterable[int]) -> tuple[list[int], list[bytes]]:
    """Put the pictures of a request into these rows; returns the samples that they show, and the contents of their files."""
    shown, contents = [], []
    if request.seeds is not None:
        reader.use(request.augment)
    for row, index, seed in zip(rows, request.indices, request.seeds or itertools.repeat(None)):
        image, index, content = reader.view(index, seed)
        images_NHWC[row] = 0 if image is None else image
        shown.append(index)
        contents.append(content)
    return shown, contents


def cache_bytes() -> int:
    """For decoded images."""
    import psutil  # loader processes do without

    return int(psutil.virtual_memory().available * CACHE_SHARE)


def choose_num_workers(asked: int, device_type: str) -> int:
    """How many loader processes: as asked, or by the cores. Measured: on two cores that also compute, none is fastest."""
    if asked >= 0:
        return asked
    cores = num_cores()
    if device_type == "cpu":
        return 0 if cores <= 4 else 2
    return max(1, min(16, cores - 2))


class WorkerDied(Exception):
    """A loader process ended by itself, most often because the memory ran out."""


class _Pool:
    """Worker processes around one memory-mapped file of as many batches as are asked for ahead, and the one in use."""

    def __init__(self, source: Source, max_batch: int, num_workers: int, on_wait: Callable[[float], None]):
        self._on_wait = on_wait
        batch = (max_batch, source.input_size, source.input_size, 3)
        self._ahead = max(LEAST_AHEAD, min(MOST_AHEAD, SHARED_BYTES // int(np.prod(batch))))
        self._shape = (self._ahead + 1, *batch)
        self._path, self._map = _make_shared(int(np.prod(self._shape)))
        self._slots = np.frombuffer(self._map, np.uint8).reshape(self._shape)
        self._num_owed = [0] * num_workers  # answers each worker still has to give
        self._is_ready = False
        context = multiprocessing.get_context("spawn")
        self._processes, self._pipes = [], []
        for _ in range(num_workers):
            ours, theirs = context.Pipe()
            arguments = (theirs, source, source.cache_bytes // num_workers, self._path, self._shape)
            process = context.Process(target=_serve, args=(*arguments, num_workers), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)

    def _wait_ready(self) -> None:
        """Wait until every worker has opened the shared file; then its name is no longer needed."""
        if not self._is_ready:
            for pipe in self._pipes:
                self._receive(pipe)
            self._unlink()
            self._is_ready = True

    def _unlink(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def batches(self, requests: Iterable[Request], made: Batch | None = None) -> Iterator[Batch]:
        """Those of `requests`; before them one that is there already, while the workers begin with the others."""
        self._drain()
        requests = iter(requests)
        waiting: deque[tuple[int, Request, list[list[int]]]] = deque()
        slot = 0
        while True:
            while len(waiting) < self._ahead and (request := next(requests, None)) is not None:
                waiting.append((slot, request, self._ask(slot, request)))
                slot = (slot + 1) % self._shape[0]
            if made:
                yield made
                made = None
                continue
            if not waiting:
                return
            self._wait_ready()
            yield self._collect(*waiting.popleft())

    def _drain(self) -> None:
        """Wait for what an earlier caller asked for and walked away from: a late worker would write into a batch of ours."""
        if any(self._num_owed):
            self._wait_ready()
        for number, pipe in enumerate(self._pipes):
            while self._num_owed[number]:
                self._receive(pipe)
                self._num_owed[number] -= 1

    def _ask(self, slot: int, request: Request) -> list[list[int]]:
        """Give each worker its rows of the batch; returns them."""
        rows: list[list[int]] = [[] for _ in self._pipes]
        for row, index in enumerate(request.indices):
            rows[index % len(rows)].append(row)
        for number, mine in enumerate(rows):
            if mine:
                try:
                    self._pipes[number].send((slot, request.only(mine), mine))
                except OSError as exc:
                    raise WorkerDied from exc
                self._num_owed[number] += 1
        return rows

    def _collect(self, slot: int, request: Request, rows: list[list[int]]) -> Batch:
        indices = np.empty(len(request.indices), np.int64)
        contents = [b""] * len(request.indices)
        refused: dict[int, str] = {}
        tally = Tally()
        failure: Exception | None = None
        for number, mine in enumerate(rows):
            if mine:
                shown, newly_refused, varied = self._receive(self._pipes[number])
                self._num_owed[number] -= 1
                refused |= newly_refused
                tally.add(varied)
                if isinstance(shown, Exception):
                    failure = failure if isinstance(failure, DataGone) else shown
                else:
                    for row, index, content in zip(mine, *shown, strict=True):
                        indices[row], contents[row] = index, content
        if isinstance(failure, NoReadableImages):
            failure.refused = refused
        if failure:
            raise failure
        return Batch(self._slots[slot, : len(indices)], indices, contents, refused, tally=tally)

    def _receive(self, pipe: connection.Connection):
        start = time.monotonic()
        try:
            has_waited = False
            while not pipe.poll(WAIT_TICK_S):
                has_waited = True
                self._on_wait(time.monotonic() - start)
            if has_waited:
                self._on_wait(0.0)  # before the answer is taken: what it raises must not lose one that is owed
            return pipe.recv()
        except (EOFError, OSError) as exc:
            raise WorkerDied from exc

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=2)
            if process.is_alive():
                process.kill()
                process.join()
        self._slots = None
        with contextlib.suppress(BufferError):  # somebody has a batch in hand
            self._map.close()
        self._unlink()  # once more: Windows refuses it while the file is mapped


def _make_shared(num_bytes: int) -> tuple[str, mmap.mmap]:
    """A file of its own in memory where there is room for it, else in the temporary folder."""
    if os.name == "nt":
        _remove_left_behind()
    folders = [f for f in ("/dev/shm", None) if f is None or os.path.isdir(f)]
    for folder in folders:
        fd, path = tempfile.mkstemp(prefix=SHARED_PREFIX, dir=folder)
        try:
            allocate(fd, num_bytes)
            return path, mmap.mmap(fd, num_bytes)
        except OSError:
            os.unlink(path)
            if folder is folders[-1]:
                raise
        finally:
            os.close(fd)
    raise AssertionError


def _remove_left_behind() -> None:
    """Files of engines that were killed. For Windows, which keeps a name while the file is in use, and refuses to remove those of others."""
    for path in Path(tempfile.gettempdir()).glob(f"{SHARED_PREFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()


_importing = threading.Lock()


def import_without_torch() -> None:
    """Load albumentations, which loads torch for a conversion that no worker needs: 105 MB and 1.0 s a process instead of 584 MB and 3.4 s."""
    with _importing:  # of several threads the first one does it, and the others wait: meanwhile torch cannot be imported
        if "torch" in sys.modules or "albumentations" in sys.modules:
            return
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import of it fails, and albumentations goes on without
        try:
            load_albumentations()
        finally:
            del sys.modules["torch"]


def _serve(pipe: connection.Connection, source: Source, cache_bytes: int, path: str, shape: tuple[int, ...], num_workers: int) -> None:
    """A worker's life: it ends when the engine closes the pipe or dies."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    import_without_torch()
    with open(path, "r+b") as f:
        shared = mmap.mmap(f.fileno(), 0)
    slots = np.frombuffer(shared, np.uint8).reshape(shape)
    reader = ImageReader(source, cache_bytes, num_workers)
    wishes: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, wishes), daemon=True).start()
    with contextlib.suppress(OSError):
        pipe.send("ready")
        while (wish := wishes.get()) is not None:
            slot, request, rows = wish
            try:
                shown = fill(reader, slots[slot], request, rows)
            except (DataGone, NoReadableImages) as exc:
                shown = exc
            pipe.send((shown, reader.take_refused(), reader.take_tally()))


def _receive(pipe: connection.Connection, wishes: queue.SimpleQueue) -> None:
    """Read requests also while an answer is being written: with both ends writing into full pipes nobody would go on. None at the end."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            wishes.put(pipe.recv())
    wishes.put(None)
