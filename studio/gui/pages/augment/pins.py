"""Test cases: single variants that stay in view, with their photo, epoch and seed, while the pipeline changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from studio.core.json_text import parse_json
from studio.core.path_text import text_to_path
from studio.gui.context import Context
from studio.gui.pages.augment.grid import VariantGrid
from studio.gui.pages.augment.subject import Subject
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, set_plain_tooltip

MOST_PINS = 8
_FEWEST_PLACES = 5  # a single one is no larger


@dataclass(frozen=True)
class Pin:
    """One photo in one epoch."""

    subject: Subject
    epoch: int

    def to_plain(self) -> dict[str, Any]:
        s = self.subject
        return {
            "path": s.path_text,
            "name": s.name,
            "index": s.index,
            "label": s.label,
            "is_from_data": s.is_from_data,
            "epoch": self.epoch,
        }


def pin_from(raw: Any) -> Pin | None:
    """None where what was written is not a pin."""
    try:
        subject = Subject(text_to_path(str(raw["path"])), str(raw["name"]), int(raw["index"]), str(raw["label"]), bool(raw["is_from_data"]))
        return Pin(subject, max(0, int(raw["epoch"])))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


class Pins(QObject):
    """Those of the project in front, kept with the window's settings between sessions."""

    changed = Signal()

    def __init__(self, context: Context, parent: QObject | None = None):
        super().__init__(parent)
        self._settings, self._projects = context.settings, context.projects
        self._key = ""
        self.pins: tuple[Pin, ...] = ()
        context.projects.changed.connect(self._load)
        self._load()

    def toggle(self, pin: Pin) -> None:
        """The oldest goes where there are too many."""
        if pin in self.pins:
            self._set(tuple(each for each in self.pins if each != pin))
        else:
            self._set((*self.pins, pin)[-MOST_PINS:])

    def _set(self, pins: tuple[Pin, ...]) -> None:
        self.pins = pins
        self._settings.set(self._key, json.dumps([pin.to_plain() for pin in pins]) if pins else "")
        self.changed.emit()

    def _load(self) -> None:
        key = f"augment/pins/{self._projects.path.name}"
        if key == self._key:
            return
        self._key = key
        try:
            raw = parse_json(self._settings.text(key) or "[]")
        except ValueError:
            raw = []
        found = tuple(filter(None, map(pin_from, raw))) if isinstance(raw, list) else ()
        if found != self.pins:
            self.pins = found[:MOST_PINS]
            self.changed.emit()


class PinnedRow(QWidget):
    """One row under the preview; hidden while nothing is pinned. Delete takes the current one away, and so does P, the page's key."""

    unpin_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(2), 0, 0)
        column.setSpacing(px(3))
        self.title = PlainLabel("Test cases", "strong")
        set_plain_tooltip(self.title, "Pinned variants: the same photo, epoch and random values, whatever you change. P pins and unpins.")
        self.grid = _Row(name="augment.pins")
        self.grid.removal_wanted.connect(self.unpin_wanted)
        column.addWidget(self.title)
        column.addWidget(self.grid)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()


class _Row(VariantGrid):
    removal_wanted = Signal(int)

    def __init__(self, *, name: str):
        super().__init__(num_tiles=MOST_PINS, name=name, what="Test cases")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

    def show_variants(self, variants) -> None:
        self.num_tiles = max(_FEWEST_PLACES, len(variants))
        super().show_variants(variants)
        self._fit()

    def _fit(self) -> None:
        """As high as one of its tiles."""
        room = self.width() - px(6) * (self.num_tiles - 1)
        self.setFixedHeight(min(px(84), max(px(24), room // self.num_tiles)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.variants:
            self.removal_wanted.emit(self.current)
        else:
            super().keyPressEvent(event)
