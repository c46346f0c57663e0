"""The photo before its variants: the whole of it, not what validation sees, which is cropped for some backbones."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QPixmap

from studio.core.reading import Reading
from studio.gui.widgets.thumb import ThumbLoader, read_whole

_SIDE_PX = 640


class OriginalPhoto(QObject):
    """Reads one photo at a time, in a thread of its own."""

    came = Signal(QPixmap)  # an empty one where the photo cannot be read

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._loader = ThumbLoader(self, read=read_whole, threads=1)
        self._loader.loaded.connect(self._on_loader_loaded)
        self._path = ""

    @property
    def is_busy(self) -> bool:
        return self._loader.is_busy

    def want(self, path: str, reading: Reading) -> None:
        """The newest one wanted comes, at once where it has been read before."""
        self._loader.set_reading(reading)
        self._path = path
        self._tell()

    def _tell(self) -> None:
        picture = self._loader.pixmap(self._path, _SIDE_PX)
        if picture is not None or self._path in self._loader.failed:
            self.came.emit(picture or QPixmap())

    def _on_loader_loaded(self, path: str) -> None:
        if path == self._path:
            self._tell()
