"""One picture of the preview and all that is known of it. No widgets."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QPixmap

from studio.core.path_text import shown
from studio.gui.pages.augment.subject import Subject
from studio.gui.pages.augment.words import title_of


@dataclass(frozen=True)
class Drawn:
    """What a step did to this picture: the values it drew, or why it could not."""

    step: int
    name: str
    values: tuple[tuple[str, str], ...] = ()  # in words
    failure: str = ""

    @property
    def in_words(self) -> str:
        if self.failure:
            return self.failure
        return ", ".join(f"{name} {text}" for name, text in self.values)


@dataclass(frozen=True)
class Variant:
    """One tile. `epoch` counts from 0 and is None for the original; `labels` are (class, share) where labels are mixed."""

    pixmap: QPixmap
    epoch: int | None = None
    seed: int | None = None
    name: str = ""
    drawn: tuple[Drawn, ...] = ()
    labels: tuple[tuple[str, float], ...] = ()
    error: str = ""  # why there is no picture
    subject: Subject | None = None  # the photo; None for the original

    @property
    def failure(self) -> str:
        """Why there is no picture, or a step was left out of it; empty when all went well."""
        return self.error or next((f"{title_of(each.name)}: {each.failure}" for each in self.drawn if each.failure), "")

    @property
    def title(self) -> str:
        if self.labels:
            return self.label_words
        if self.epoch is None:
            return "original"
        return shown(self.name.rpartition("/")[2]) if self.name else f"epoch {self.epoch + 1}"

    @property
    def label_words(self) -> str:
        """ "cat 70 %, dog 30 %"; the class alone where nothing is mixed."""
        if len(self.labels) == 1:
            return shown(self.labels[0][0])
        return ", ".join(f"{shown(name)} {share * 100:.0f} %" for name, share in self.labels)

    @property
    def in_words(self) -> str:
        if self.epoch is None:
            return "The original"
        parts = [f"Epoch {self.epoch + 1}" + (f", seed {self.seed}" if self.seed is not None else "")]
        if self.name:
            parts.insert(0, shown(self.name))
        if self.labels:
            parts.append(self.label_words)
        if self.failure:
            parts.append(self.error or f"left out: {self.failure}")
        return ", ".join(parts)
