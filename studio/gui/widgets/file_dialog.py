"""The system's pickers. Each purpose starts in the folder it was last used with; a picked path comes by a call, nothing waits for it.

A new file gets the ending of its kind, an old one is only replaced when the user says so, and what cannot be written is said, with another try.
They work before the window is alive: the folders are kept in the window's settings, which are read here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QBuffer, QIODevice, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from studio.core.path_text import path_to_text, shown, text_to_path
from studio.gui.setting import Settings

Purpose = Literal[
    "images", "table", "synthetic", "weights", "pipeline", "schedule", "curves", "picture", "predict", "predictions", "export"
]
Taken = Callable[[str], object]


def pick_folder(parent: QWidget, purpose: Purpose, title: str, then: Taken, *, start: str = "") -> QFileDialog:
    """A folder that is there. `start` is where the first one is looked for; the user's home when it is empty."""
    dialog = _dialog(parent, purpose, title, then, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.open()
    return dialog


def pick_file(parent: QWidget, purpose: Purpose, title: str, kinds: str, then: Taken, *, start: str = "") -> QFileDialog:
    """A file that is there. `kinds` as Qt wants them: "Images (*.jpg *.png);;All files (*)"."""
    dialog = _dialog(parent, purpose, title, then, start)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilter(kinds)
    dialog.open()
    return dialog


def pick_new_folder(parent: QWidget, purpose: Purpose, title: str, name: str, then: Taken) -> QFileDialog:
    """The name of a folder to make; whether one that is there may be used is for `then` to say."""
    dialog = _dialog(parent, purpose, title, then)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)
    dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
    dialog.selectFile(name)
    dialog.open()
    return dialog


def pick_new_file(parent: QWidget, purpose: Purpose, title: str, kind: str, name: str, write: Taken) -> QFileDialog:
    """A place for a file of a `kind` ("CSV table") with the ending of `name` ("rates.csv"). OSError of `write` is said, and another place offered."""
    suffix = os.path.splitext(name)[1]

    def ask_again() -> None:
        pick_new_file(parent, purpose, title, kind, name, write)

    def try_to_write(path: str) -> None:
        try:
            write(path)
        except OSError as exc:
            _ask(parent, unwritable(path, exc), "Choose another place…", ask_again)

    def take(path: str) -> None:
        whole = path if path.lower().endswith(suffix) else path + suffix
        if whole != path and os.path.lexists(whole):  # the dialog has asked about the name that was typed
            _ask(parent, f"“{_name(whole)}” is there already. Replace it?", "Replace", lambda: try_to_write(whole))
        else:
            try_to_write(whole)

    dialog = _dialog(parent, purpose, title, take)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilter(f"{kind} (*{suffix})")
    dialog.setDefaultSuffix(suffix[1:])
    dialog.selectFile(name)
    dialog.open()
    return dialog


def unwritable(path: str, exc: Exception) -> str:
    """The sentence for a file that could not be written."""
    reason = getattr(exc, "strerror", None) or exc
    return f"“{_name(path)}” cannot be written: {shown(str(reason))}. Choose another place."


def png_bytes(image: QImage) -> bytes:
    """The picture as a PNG file. On any thread."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return buffer.data().data()


def _dialog(parent: QWidget, purpose: Purpose, title: str, then: Taken, start: str = "") -> QFileDialog:
    settings, key = Settings(), f"folder/{purpose}"
    places = (text_to_path(settings.text(key)), start)
    dialog = QFileDialog(parent, title, next((place for place in places if place and os.path.isdir(place)), os.path.expanduser("~")))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def take(path: str) -> None:
        settings.set(key, path_to_text(os.path.dirname(path)))
        then(path)

    dialog.fileSelected.connect(take)
    return dialog


def _ask(parent: QWidget, sentence: str, yes: str, then: Callable[[], object]) -> None:
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setObjectName("file.question")
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(sentence)
    box.addButton(yes, QMessageBox.ButtonRole.AcceptRole).clicked.connect(lambda *_: then())
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    box.open()


def _name(path: str) -> str:
    return shown(path_to_text(os.path.basename(path.rstrip("/"))))
