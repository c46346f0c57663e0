"""Where the network looked (Grad-CAM), asked of the probe worker one picture at a time and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QPixmap

from studio.core.path_text import path_to_text
from studio.core.run_folder import RunFolder
from studio.gui.widgets.heat import heat_image, take_heat
from studio.gui.workers import take_pixmap
from studio.supervise.worker import WorkerError

_MAX_KEPT = 200

Key = tuple[str, str, int]  # run folder, path of the image, class index


@dataclass(frozen=True)
class Cam:
    """The view that the network saw and its heat, of equal size."""

    view: QPixmap
    heat: QPixmap


class CamLoader(QObject):
    """`cam` answers at once with what it has; otherwise it asks, the latest wish first, and `loaded` follows."""

    loaded = Signal()
    failed = Signal(str)  # sentence; nothing more is asked of that run

    def __init__(self, probe, parent: QObject | None = None):
        super().__init__(parent)
        self._probe = probe
        self._kept: OrderedDict[Key, Cam | None] = OrderedDict()
        self._wanted: list[Key] = []
        self._asked: Key | None = None

    def cam(self, folder: RunFolder, path: str, class_index: int) -> Cam | None:
        key = (str(folder.path), path, class_index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key != self._asked and key not in self._wanted:
            self._wanted.append(key)
            self._ask()
        return None

    def forget_wishes(self) -> None:
        """What has scrolled away or was switched off is not asked for any more."""
        self._wanted.clear()

    def _ask(self) -> None:
        if self._asked is not None or not self._wanted:
            return
        key = self._asked = self._wanted.pop()
        params = {"run": path_to_text(key[0]), "path": path_to_text(key[1]), "class_index": key[2]}
        self._probe.call(
            "explain", params, lambda result: self._on_result(key, result), lambda error: self._on_error(key, error), key="results.explain"
        )

    def _on_result(self, key: Key, result: dict) -> None:
        try:
            self._keep(key, Cam(take_pixmap(result["image"]), QPixmap.fromImage(heat_image(take_heat(result["heat"])))))
        except (KeyError, ValueError):
            self._keep(key, None)
        self._next()

    def _on_error(self, key: Key, error: WorkerError) -> None:
        self._keep(key, None)
        self._wanted.clear()
        self.failed.emit(error.sentence)
        self._next()

    def _keep(self, key: Key, cam: Cam | None) -> None:
        self._kept[key] = cam
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    def _next(self) -> None:
        self._asked = None
        self.loaded.emit()
        self._ask()
