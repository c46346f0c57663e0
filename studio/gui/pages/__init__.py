"""The seven steps, in order. A page's module is imported on its first visit."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class PageSlot:
    key: str
    title: str
    icon: str
    class_name: str

    @property
    def module(self) -> str:
        return f"studio.gui.pages.{self.key}.page"

    def load(self) -> type:
        """The page's class."""
        return getattr(import_module(self.module), self.class_name)


PAGES: tuple[PageSlot, ...] = (
    PageSlot("data", "Data", "database", "DataPage"),
    PageSlot("model", "Model", "stack", "ModelPage"),
    PageSlot("augment", "Augment", "magic-wand", "AugmentPage"),
    PageSlot("schedule", "Schedule", "chart-line", "SchedulePage"),
    PageSlot("train", "Train", "lightning", "TrainPage"),
    PageSlot("results", "Results", "trophy", "ResultsPage"),
    PageSlot("use", "Use", "package", "UsePage"),
)
