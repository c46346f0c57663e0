"""Try: one picture at a time, what the network says to it and where it looked."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QStackedLayout, QVBoxLayout, QWidget

from studio.core.path_text import path_to_text, shown
from studio.core.place import cache_dir
from studio.core.reading import Reading
from studio.gui.context import Context
from studio.gui.pages.use.answer import NUM_SHOWN, Answer
from studio.gui.pages.use.picture import Picture, PictureView, read_picture
from studio.gui.theme import colour, pen, px
from studio.gui.widgets import EmptyState, Panel, PlainLabel, Segmented, Slider, Spinner, button
from studio.gui.widgets.dashed import DashedFrame
from studio.gui.widgets.file_dialog import pick_file
from studio.gui.widgets.heat import heat_image, take_heat
from studio.gui.widgets.label import set_plain_tooltip
from studio.gui.widgets.thumb import ThumbLoader, paint_cover
from studio.supervise.worker import WorkerError

_MAX_RECENT = 12
_LOOKS = 3  # classes that "where it looked for" offers
_IMAGE_FILES = "Images (*.jpg *.jpeg *.png *.webp *.avif *.bmp *.tif *.tiff *.gif);;All files (*)"


@dataclass(frozen=True)
class Model:
    """Which network answers: a run's text path, "best" or "last", and how many views of a picture it is asked about."""

    run: str
    which: str
    test_time: str = "off"
    reading: Reading = Reading()  # of the files, as in training


class TryPanel(Panel):
    """Takes pictures by `try_path` and asks the probe worker."""

    used = Signal()  # somebody wants to know what the model says

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__("Try", name="use.try", parent=parent)
        self._context = context
        self._model: Model | None = None
        self._threshold = 0.5
        self._noted = ""
        self._path = ""
        self._request = 0
        self._rows: list[tuple[str, float]] = []
        self._indices: list[int] = []
        self.recent: list[str] = []
        self._loader = ThumbLoader(self)
        self._loader.loaded.connect(lambda _: self._strip.update())
        self.destroyed.connect(self._loader.close)
        self.spinner = Spinner()
        self.spinner.hide()
        self.head.addWidget(self.spinner)
        self._opacity_label = PlainLabel("Grad-CAM", "label")
        self._opacity_label.setToolTip("Where the network looked: Selvaraju et al., arXiv 1610.02391")
        self.opacity_slider = Slider(0, 1, 0.6, default=0.6, name="use.opacity")
        self.opacity_slider.setAccessibleName("Grad-CAM opacity")
        self.opacity_slider.setFixedWidth(px(84))
        self.head.addWidget(self._opacity_label)
        self.head.addWidget(self.opacity_slider)
        self.open_button = button("Open…", "folder-notch-open", name="use.open", tooltip="Open a picture", on_click=self._on_open)
        self.head.addWidget(self.open_button)
        self.drop_place = DropPlace(self._on_open)
        self.drop_place.dropped.connect(self.try_path)
        tried = QWidget()
        row = QHBoxLayout(tried)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(14))
        left = QVBoxLayout()
        left.setSpacing(px(8))
        self.picture = PictureView()
        left.addWidget(self.picture, 1)
        self._strip = RecentStrip(self._loader)
        self._strip.picked.connect(self.try_path)
        left.addWidget(self._strip)
        row.addLayout(left, 3)
        right = QVBoxLayout()
        right.setSpacing(px(8))
        self.answer = Answer()
        right.addWidget(self.answer)
        self._look_row = QWidget()
        look = QVBoxLayout(self._look_row)
        look.setContentsMargins(0, 0, 0, 0)
        look.setSpacing(px(4))
        look.addWidget(PlainLabel("Where it looked for", "label"))
        self.look_choice = Segmented([(0, "–")])
        look.addWidget(self.look_choice)
        self._look_layout = look
        right.addWidget(self._look_row)
        right.addStretch(1)
        row.addLayout(right, 2)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.drop_place)
        self._stack.addWidget(tried)
        self.body.addWidget(holder, 1)
        self.opacity_slider.value_changed.connect(self.picture.set_opacity)
        self._look_row.hide()
        self.setMinimumHeight(px(210))
        self._show_tried(False)

    def _show_tried(self, is_tried: bool, *, has_heat: bool = False) -> None:
        """The picture and its answer, or the place for a first one. `has_heat`: a heat map is there, or asked for."""
        self._stack.setCurrentIndex(1 if is_tried else 0)
        self.open_button.setVisible(is_tried)
        for part in (self._opacity_label, self.opacity_slider):
            part.setVisible(has_heat)

    # what answers, and from when on it is unsure

    def set_model(self, model: Model | None) -> None:
        if model != self._model:
            before, self._model = self._reading, model
            if model:
                self._loader.set_reading(model.reading)
                self._strip.update()
            else:
                self._context.probe.cancel(self._request)
                self.spinner.hide()
            if self._path and model:
                if before != model.reading:
                    self._read()
                self._ask()

    def set_threshold(self, threshold: float) -> None:
        self._threshold = threshold
        if self._rows:
            self.answer.show_rows(self._rows, threshold)

    # pictures in

    def try_path(self, path: str) -> None:
        """Show a file and ask what it is."""
        self._path = path
        self._rows = []
        if path in self.recent:
            self.recent.remove(path)
        self.recent = [path, *self.recent][:_MAX_RECENT]
        self._strip.show_paths(self.recent, path)
        self.picture.show_heat(None)
        self._read()
        self._ask()
        self.used.emit()

    def paste(self) -> bool:
        """Take what is on the clipboard: a picture, or the first file. False when there is neither."""
        mime = QGuiApplication.clipboard().mimeData()
        files = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]
        if files:
            self.try_path(files[0])
            return True
        image = QGuiApplication.clipboard().image()
        if image.isNull():
            return False
        self._context.background.run(
            lambda: _save_pasted(image), lambda path: self.try_path(str(path)), lambda exc: self._on_picture_failed("", exc)
        )
        return True

    def _on_open(self) -> None:
        pick_file(self, "picture", "Open a picture", _IMAGE_FILES, self.try_path)

    @property
    def _reading(self) -> Reading:
        return self._model.reading if self._model else Reading()

    def _read(self) -> None:
        """Have the picture as the run reads it that answers."""
        path, reading = self._path, self._reading

        def is_wanted() -> bool:
            return (path, reading) == (self._path, self._reading)

        self._context.background.run(
            lambda: read_picture(path, reading),
            lambda picture: self._on_picture_read(picture) if is_wanted() else None,
            lambda exc: self._on_picture_failed(path, exc) if is_wanted() else None,
        )

    def _on_picture_read(self, picture: Picture) -> None:
        self.picture.show_picture(picture, os.path.basename(picture.path))

    def _on_picture_failed(self, path: str, exc: Exception) -> None:
        if path == self._path or not path:
            self.picture.show_picture(None)
            reason = getattr(exc, "reason", "") or getattr(exc, "strerror", "") or str(exc)
            self._end(f"{os.path.basename(path) or 'The pasted picture'} cannot be read: {reason}", "bad")

    # answers

    def _ask(self) -> None:
        if self._model is None:
            return
        self.picture.show_heat(None)  # of another model
        self._show_tried(True, has_heat=True)
        self._look_row.hide()
        self.spinner.show()
        params = {"paths": [path_to_text(self._path)], "top": NUM_SHOWN, "test_time": self._model.test_time}
        self._call("predict", params, self._on_predicted, self._on_error)

    def _call(self, method: str, params: dict, on_result: Callable[[dict], object], on_error: Callable[[WorkerError], object]) -> None:
        """Ask the model about the picture. What is answered after either has changed is dropped."""
        asked = self._path, self._model

        def if_wanted(take: Callable) -> Callable:
            return lambda answer: take(answer) if asked == (self._path, self._model) else None

        params |= {"run": self._model.run, "which": self._model.which}
        self._request = self._context.probe.call(method, params, if_wanted(on_result), if_wanted(on_error), key=f"use.{method}")

    def _on_predicted(self, result: dict) -> None:
        found = result["predictions"][0]
        if not found["top"]:
            self._end(f"{os.path.basename(self._path)} cannot be read: {found['reason']}", "bad")
            return
        classes = result["classes"]
        self._indices = [int(i) for i, _ in found["top"]]
        self._rows = [(classes[int(i)], float(p)) for i, p in found["top"]]
        self.answer.show_rows(self._rows, self._threshold)
        if (note := result.get("note", "")) and note != self._noted:
            self._noted = note
            self._context.shell.toast(note)  # the checkpoint is damaged, and another one answers
        self._make_looks()
        self._explain(None)

    def _on_error(self, error: WorkerError) -> None:
        self._end(f"{error.sentence} {error.fix}".strip(), "bad")

    def _end(self, sentence: str, tone: str) -> None:
        self.spinner.hide()
        self._rows = []
        self._show_tried(True)
        self._look_row.hide()
        self.answer.show_note(sentence, tone)

    def _make_looks(self) -> None:
        """A segment per likely class. Their names come from folders, so they are cut to a length that fits."""
        old = self.look_choice
        options = [(index, _short(name)) for index, (name, _) in zip(self._indices[:_LOOKS], self._rows, strict=False)]
        self.look_choice = Segmented(options, name="use.look")
        self.look_choice.value_changed.connect(self._explain)
        self._look_layout.replaceWidget(old, self.look_choice)
        old.hide()
        old.deleteLater()
        self._look_row.setVisible(len(options) > 1)

    def _explain(self, class_index: object) -> None:
        self.spinner.show()
        params = {"path": path_to_text(self._path), "class_index": class_index}
        self._call("explain", params, self._on_explained, self._on_unexplained)

    def _on_explained(self, result: dict) -> None:
        try:
            heat = take_heat(result["heat"])
        except (ValueError, KeyError):
            return
        self.spinner.hide()
        self.picture.show_heat(heat_image(heat), tuple(result["box"]))

    def _on_unexplained(self, error: WorkerError) -> None:
        self.spinner.hide()
        self._look_row.hide()
        set_plain_tooltip(self._opacity_label, shown(f"No heat map for this network. {error.sentence}"))


class DropPlace(DashedFrame):
    """Where a first picture can be dropped, with the ways that need no mouse. What is no picture goes on to the window."""

    dropped = Signal(str)

    def __init__(self, on_open: Callable[[], object], parent: QWidget | None = None):
        super().__init__(parent=parent)
        self.setObjectName("use.drop_place")
        self.setAcceptDrops(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.empty = EmptyState(
            "image", "Drop a picture here", "You see what the network takes it for and where it looked. Ctrl V takes a copied one.",
            "Open picture…", on_open, name="use.try.empty",
        )  # fmt: skip
        column.addWidget(self.empty)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        is_picture = is_picture_file(_first_path(event))
        event.setAccepted(is_picture)
        self.set_active(is_picture)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.set_active(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.set_active(False)
        event.acceptProposedAction()
        self.dropped.emit(_first_path(event))


def is_picture_file(path: str) -> bool:
    """Whether a dropped path is tried as a picture: any file that is not opened as data or as an experiment."""
    return os.path.isfile(path) and not path.lower().endswith((".toml", ".csv"))


def _first_path(event: QDropEvent) -> str:
    return next((url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()), "")


class RecentStrip(QWidget):
    """The pictures tried in this session, the newest first, as many as fit."""

    picked = Signal(str)

    def __init__(self, loader: ThumbLoader, parent: QWidget | None = None):
        super().__init__(parent)
        self._loader = loader
        self.setFixedHeight(px(40))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self._tiles = [_RecentTile(loader) for _ in range(_MAX_RECENT)]
        for tile in self._tiles:
            row.addWidget(tile)
            tile.clicked.connect(lambda *_, tile=tile: self.picked.emit(tile.path))
            tile.hide()
        row.addStretch(1)
        self._paths: list[str] = []
        self.hide()

    def show_paths(self, paths: list[str], current: str) -> None:
        self._paths = paths
        for tile, path in zip(self._tiles, paths, strict=False):
            tile.set_path(path, path == current)
        self.show()
        self._fit()

    def resizeEvent(self, event) -> None:
        self._fit()

    def _fit(self) -> None:
        fitting = max(1, (self.width() + px(6)) // px(58))
        for index, tile in enumerate(self._tiles):
            tile.setVisible(index < min(len(self._paths), fitting))


class _RecentTile(QAbstractButton):
    def __init__(self, loader: ThumbLoader):
        super().__init__()
        self.path = ""
        self._loader = loader
        self._is_current = False
        self.setFixedSize(px(52), px(40))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:
        return QSize(px(52), px(40))

    def set_path(self, path: str, is_current: bool) -> None:
        self.path, self._is_current = path, is_current
        name = shown(os.path.basename(path))
        self.setAccessibleName(f"Try {name} again")
        set_plain_tooltip(self, name)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        paint_cover(painter, rect, self._loader.pixmap(self.path, 96) if self.path else None)
        if self._is_current or self.hasFocus():
            painter.setPen(pen("focus" if self.hasFocus() else "accent", 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 1), 5, 5)
        elif self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("text", 0.12))
            painter.drawRoundedRect(rect, 4, 4)
        painter.end()


def _short(name: str, longest: int = 14) -> str:
    text = shown(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _save_pasted(image: QImage) -> str:
    """Write a picture from the clipboard where the worker can read it. Raises OSError."""
    folder = cache_dir() / "pasted"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pasted-{secrets.token_hex(4)}.png"
    if not image.save(str(path), "PNG"):
        raise OSError(f"the pasted picture could not be written to {folder}")
    return str(path)
