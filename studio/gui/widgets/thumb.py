"""Small pictures of files, read beside the window: newest request first, kept in memory up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QRectF, QRunnable, QSize, Qt, QThreadPool, QTimer, Signal
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPixmap

from studio.core.reading import Reading
from studio.gui.theme import colour

if TYPE_CHECKING:
    from studio.gui.store import ExperimentStore

Reader = Callable[[str, int, Reading], np.ndarray]  # path, side in px; called in a pool thread
_MAX_BYTES = 64 << 20  # 1,700 tiles of 96 px, several screens of any size
_MAX_WAITING = 600  # more than fits a screen: what was scrolled past is not read any more


def read_thumbnail(path: str, side_px: int, reading: Reading) -> np.ndarray:
    """The centre square, uint8[side_px, side_px, 3]. Raises ImageRefused or OSError. Called in a pool thread."""
    from studio.dataset.thumbnail import thumbnail

    return thumbnail(path, side_px, _of_any_size(reading), is_square=True)


def _of_any_size(reading: Reading) -> Reading:
    """What is too large was set aside by the scan."""
    return replace(reading, max_megapixels=2000)


def thumbnail_reader(store: ExperimentStore) -> Reader:
    """As `read_thumbnail`, from the decoded images of training where there are any."""

    def read(path: str, side_px: int, reading: Reading) -> np.ndarray:
        from studio.catalog.augments.view import decoded_view
        from studio.dataset.thumbnail import thumbnail

        view = decoded_view(store.experiment.model.input_size, reading, None)
        return thumbnail(path, side_px, _of_any_size(reading), is_square=True, decoded_view=view)

    return read


def read_whole(path: str, side_px: int, reading: Reading) -> np.ndarray:
    """uint8 HWC RGB of the whole image, shrunk so that no side is longer than `side_px`; not kept on disk."""
    from PIL import Image

    from studio.dataset.image import read_image

    pixels = read_image(path, _of_any_size(reading))
    if max(pixels.shape[:2]) <= side_px:
        return pixels
    small = Image.fromarray(pixels)
    small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.asarray(small)


def image_of(pixels: np.ndarray) -> QImage:
    """A QImage that owns its memory, from uint8 HWC RGB."""
    pixels = np.ascontiguousarray(pixels, np.uint8)
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


class ThumbLoader(QObject):
    """Hands out pixmaps at once when it has them, and reads them in the background when it has not: what was asked for last
    first, so that scrolling far shows the new place and not the way to it; within one painting in the order of asking.

    Keys are paths as the operating system wants them. Lives in the GUI thread; call `close` before it goes.
    """

    loaded = Signal(object)  # path; also for a file that cannot be read, which then is in `failed`
    _read = Signal(object, int, object, object, str)  # not str: Qt changes names that are not valid Unicode

    def __init__(self, parent: QObject | None = None, *, read: Reader = read_thumbnail, threads: int = 2):
        super().__init__(parent)
        self._read_pixels = read
        self._reading = Reading()
        self._pixmaps: OrderedDict[tuple[str, int], QPixmap] = OrderedDict()
        self._num_bytes = 0
        self.failed: dict[str, str] = {}
        self._waiting: dict[tuple[str, int], tuple[int, int]] = {}  # key: when it was asked for, newest paintings first
        self._painting = 0
        self._num_asked = 0
        self._next_painting = QTimer(self, singleShot=True, interval=0)
        self._running: set[tuple[str, int]] = set()
        self._threads = threads
        self._num_active = 0
        self._is_closed = False
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._pool.setExpiryTimeout(5000)
        self._read.connect(self._on_read, Qt.ConnectionType.QueuedConnection)

    def pixmap(self, path: str, side_px: int) -> QPixmap | None:
        """The picture, or None: then it is read and `loaded` says when it is there."""
        key = (path, side_px)
        found = self._pixmaps.get(key)
        if found is not None:
            self._pixmaps.move_to_end(key)
            return found
        if path not in self.failed and key not in self._running and not self._is_closed:
            if not self._next_painting.isActive():
                self._painting -= 1
                self._next_painting.start()
            self._num_asked += 1
            self._waiting[key] = (self._painting, self._num_asked)
            if len(self._waiting) > _MAX_WAITING:
                del self._waiting[max(self._waiting, key=self._waiting.__getitem__)]
            if self._num_active < self._threads:
                QTimer.singleShot(0, self, self._start)
        return None

    @property
    def is_busy(self) -> bool:
        """True while pictures are being read or wait for it."""
        return self._num_active > 0 or bool(self._waiting)

    def set_reading(self, reading: Reading) -> None:
        """How files are read from now on; what was read otherwise is forgotten."""
        if reading != self._reading:
            self._reading = reading
            self.clear()

    def clear(self) -> None:
        """Forget everything, for instance when the files may have changed."""
        self._pixmaps.clear()
        self._num_bytes = 0
        self._waiting.clear()
        self.failed.clear()

    def close(self) -> None:
        """Give up what waits and wait for the at most `threads` files that are being read."""
        self._is_closed = True
        self._waiting.clear()
        self._pool.waitForDone(2000)

    def _start(self) -> None:
        while self._waiting and self._num_active < self._threads:
            key = min(self._waiting, key=self._waiting.__getitem__)
            del self._waiting[key]
            self._running.add(key)
            self._num_active += 1
            self._pool.start(_Job(self._read_pixels, key, self._reading, self._read))

    def _on_read(self, path: str, side_px: int, reading: Reading, image: object, reason: str) -> None:
        self._num_active -= 1
        self._running.discard((path, side_px))
        if self._is_closed:
            return
        if reading != self._reading:
            pass  # who still wants it asks again
        elif isinstance(image, QImage):
            self._keep((path, side_px), QPixmap.fromImage(image))
        else:
            self.failed[path] = reason
        self._start()
        self.loaded.emit(path)

    def _keep(self, key: tuple[str, int], pixmap: QPixmap) -> None:
        self._pixmaps[key] = pixmap
        self._num_bytes += _bytes_of(pixmap)
        while self._num_bytes > _MAX_BYTES and len(self._pixmaps) > 1:
            self._num_bytes -= _bytes_of(self._pixmaps.popitem(last=False)[1])


def _bytes_of(pixmap: QPixmap) -> int:
    return 4 * pixmap.width() * pixmap.height()


class _Job(QRunnable):
    """Reads one file in a pool thread and reports by a queued signal."""

    def __init__(self, read: Reader, key: tuple[str, int], reading: Reading, done):
        super().__init__()
        self._read, self._wanted, self._done = read, (*key, reading), done

    def run(self) -> None:
        from studio.dataset.header import ImageRefused

        image, reason = None, ""
        try:
            image = image_of(self._read(*self._wanted))
        except ImageRefused as exc:
            reason = exc.reason
        except (OSError, MemoryError) as exc:
            reason = str(exc) or type(exc).__name__
        with suppress(RuntimeError):  # the loader is gone: the window was closed
            self._done.emit(*self._wanted, image, reason)


def paint_cover(painter: QPainter, rect: QRectF, pixmap: QPixmap | None, radius: float = 4.0, *, opacity: float = 1.0) -> None:
    """Fill a rounded rectangle with the middle of a picture; with a quiet ground while there is none."""
    path = QPainterPath()
    path.addRoundedRect(rect, radius, radius)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if pixmap is None or pixmap.isNull():
        painter.fillPath(path, colour("raised"))
    else:
        painter.setClipPath(path)
        painter.setOpacity(opacity)
        size = QSize(pixmap.width(), pixmap.height())
        scale = max(rect.width() / size.width(), rect.height() / size.height())
        source = QRectF(0, 0, rect.width() / scale, rect.height() / scale)
        source.moveCenter(QRectF(pixmap.rect()).center())
        painter.drawPixmap(rect, pixmap, source)
    painter.restore()


def paint_whole(painter: QPainter, rect: QRectF, pixmap: QPixmap, *, opacity: float = 1.0) -> QRectF:
    """Draw a picture as large as it fits, its shape kept; returns where it lies."""
    scale = min(rect.width() / pixmap.width(), rect.height() / pixmap.height())
    place = QRectF(0, 0, pixmap.width() * scale, pixmap.height() * scale)
    place.moveCenter(rect.center())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.setOpacity(opacity)
    painter.drawPixmap(place, pixmap, QRectF(pixmap.rect()))
    painter.restore()
    return place
