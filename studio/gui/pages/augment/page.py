"""The Augment page: how much training images are varied, in words and in pictures."""

from __future__ import annotations

import os

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.catalog.augments import PRESETS
from studio.core.experiment import Experiment
from studio.gui.context import Context
from studio.gui.page import Page
from studio.gui.pages.augment.advice import Advice, advice_for
from studio.gui.pages.augment.large import LargeVariant
from studio.gui.pages.augment.preview import PreviewPanel
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, Panel, PlainLabel, Segmented, Toggle, button, line, scrolling, set_plain_tooltip, splitter
from studio.gui.widgets.dashed import DashedFrame
from studio.gui.wording import NBSP

_TITLES = {"none": "Off"}
_STRENGTHS = PRESETS[:4]
_ICONS = {
    "Random crop": "crop", "Mirror": "arrows-left-right", "Turn": "arrow-clockwise", "Turn, shift, shear": "arrow-clockwise",
    "Colour": "palette", "Blur or noise": "drop-half", "Covered patches": "selection-slash",
}  # fmt: skip
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")


class AugmentPage(Page):
    key, title = "augment", "Augment"

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(context, parent)
        self.set_subtitle("Applied to training images only, new random values every epoch")
        self.head.addWidget(PlainLabel("Strength", "label"))
        self.strength = Segmented([(p.key, _TITLES.get(p.key, p.title)) for p in _STRENGTHS], name="augment.strength")
        self.strength.setAccessibleName("Strength of augmentation")
        self.strength.value_changed.connect(lambda key: self.store.set({"augment.preset": key}, f"strength to {_title(key).lower()}"))
        self.head.addWidget(self.strength)
        self.mirror = Toggle("Mirror", name="augment.mirror")
        self.mirror.setAccessibleDescription("Flip left and right half of the time")
        self.mirror.clicked.connect(lambda on: self.store.set({"augment.horizontal_flip": bool(on)}, f"mirror {'on' if on else 'off'}"))
        self.head.addWidget(self.mirror)
        self.preview = PreviewPanel(context)
        self.preview.variant_opened.connect(self.show_large)
        self.preview.setMinimumWidth(px(420))
        row = splitter(Qt.Orientation.Horizontal, self._make_pipeline(), self.preview, stretch=(0, 1), name="augment.columns")
        row.setSizes([px(256), px(676)])
        self.body.addWidget(row, 1)
        self.large = LargeVariant(self)
        self.large.step_wanted.connect(self._on_large_step_wanted)
        self.large.closed.connect(lambda: self.preview.grid.setFocus(Qt.FocusReason.OtherFocusReason))
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.store.dataset_changed.connect(lambda _: self._show_advice())
        self._show()

    def _make_pipeline(self) -> Panel:
        self.pipeline = Panel("What is done", name="augment.pipeline", margins=False)
        self.pipeline.setMinimumWidth(px(240))
        self._cards = QWidget()
        self._cards_column = QVBoxLayout(self._cards)
        self._cards_column.setContentsMargins(px(10), 0, px(10), px(8))
        self._cards_column.setSpacing(px(6))
        self._cards_column.addStretch(1)
        self.pipeline.body.setSpacing(0)
        self.pipeline.body.addWidget(scrolling(self._cards, name="augment.cards"), 1)
        self._advice = QVBoxLayout()
        self._advice.setContentsMargins(px(12), px(8), px(12), px(10))
        self._advice.setSpacing(px(8))
        self._advice_holder = QWidget()
        self._advice_holder.setLayout(self._advice)
        self._advice_line = line()
        self.pipeline.body.addWidget(self._advice_line)
        self.pipeline.body.addWidget(self._advice_holder)
        return self.pipeline

    # What is shown

    def activate(self) -> None:
        self.preview.set_active(True)

    def deactivate(self) -> None:
        self.preview.set_active(False)

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if (old.augment, old.model.input_size) != (new.augment, new.model.input_size):
            self._show()
        elif old.schedule.epochs != new.schedule.epochs:
            self._show_advice()

    def _show(self) -> None:
        augment = self.store.experiment.augment
        preset = next((p for p in _STRENGTHS if p.key == augment.preset), PRESETS[0])
        self.strength.set_value(augment.preset)
        set_plain_tooltip(self.strength, preset.help)
        is_off = augment.preset == "none"
        self.mirror.setChecked(augment.horizontal_flip and not is_off)
        self.mirror.setEnabled(not is_off)
        set_plain_tooltip(
            self.mirror,
            "Off with strength Off."
            if is_off
            else "Flips left and right half of the time. Switch it off when the side matters (text, left and right).",
        )
        transforms = [t for t in preset.transforms if t.title != "Mirror" or augment.horizontal_flip]
        self.pipeline.set_subtitle(
            "nothing" if is_off else f"{len(transforms)} step{'' if len(transforms) == 1 else 's'}, {_title(preset.key).lower()}"
        )
        while self._cards_column.count() > 1:
            widget = self._cards_column.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        size = self.store.experiment.model.input_size
        cards = [_LockCard("image", "Decoded image", "any size")]
        cards += [_TransformCard(_ICONS.get(t.title, "magic-wand"), t.title, t.detail) for t in transforms]
        if is_off:
            cards.append(_TransformCard("crop", "Centre", preset.help))
        cards.append(_LockCard("lock-simple", "Resize, normalise", f"{size} px"))
        for card in cards:
            self._cards_column.insertWidget(self._cards_column.count() - 1, card)
        self._show_advice()

    def _show_advice(self) -> None:
        found = advice_for(self.store.experiment, self.store.dataset)[:2]
        while self._advice.count():
            widget = self._advice.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        for each in found:
            self._advice.addWidget(AdviceLine(each, self._take_advice))
        self._advice_holder.setVisible(bool(found))
        self._advice_line.setVisible(bool(found))

    def _take_advice(self, advice: Advice) -> None:
        self.store.set(advice.values, advice.action.lower())

    # The large view

    def show_large(self, index: int) -> None:
        variants = self.preview.grid.variants
        if 0 <= index < len(variants):
            self.preview.grid.set_current(index)
            self.large.show_pair(variants[0], variants[index])

    def _on_large_step_wanted(self, by: int) -> None:
        self.show_large(max(0, min(len(self.preview.grid.variants) - 1, self.preview.grid.current + by)))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        if self.large.isVisible():
            self.large.setGeometry(self.rect())

    # What the window asks

    def accept_drop(self, paths: list[str]) -> bool:
        """A picture becomes the photo of the preview; everything else is the window's."""
        if len(paths) == 1 and os.path.isfile(paths[0]) and paths[0].lower().endswith(_PICTURES):
            self.preview.show_file(paths[0])
            return True
        return False

    def shortcuts(self):
        return (
            ("R", "Re-roll: the next epochs", self.preview.reroll),
            ("[", "Photo before", lambda: self.preview.step(-1)),
            ("]", "Next photo", lambda: self.preview.step(1)),
        )

    @classmethod
    def screenshot_states(cls):
        return {
            "strong": lambda page: page.store.set({"augment.preset": "strong"}),
            "off": lambda page: page.store.set({"augment.preset": "none"}),
            "large": lambda page: page.show_large(3),
            "error": lambda page: page.preview.show_file("/nowhere/photo.jpg"),
        }


def _title(key: str) -> str:
    return _TITLES.get(key) or next(p.title for p in PRESETS if p.key == key)


class _TransformCard(QFrame):
    """What one step does, in words."""

    def __init__(self, icon_name: str, title: str, detail: str):
        super().__init__()
        self.setProperty("frame", "raised")
        self.setAccessibleName(f"{title}: {detail}")
        row = QHBoxLayout(self)
        row.setContentsMargins(px(10), px(8), px(10), px(8))
        row.setSpacing(px(10))
        row.addWidget(IconLabel(icon_name, "accent", 16), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        words.addWidget(PlainLabel(title, "strong"))
        words.addWidget(PlainLabel(detail.replace(" %", f"{NBSP}%"), "label", wrap=True))
        row.addLayout(words, 1)


class _LockCard(DashedFrame):
    """A step that is always there."""

    def __init__(self, icon_name: str, title: str, fact: str):
        super().__init__(edge="border2", radius=6)
        self.setAccessibleName(f"{title}: {fact}")
        row = QHBoxLayout(self)
        row.setContentsMargins(px(10), px(4), px(10), px(4))
        row.setSpacing(px(10))
        row.addWidget(IconLabel(icon_name, "muted", 16))
        row.addWidget(PlainLabel(title, "label"))
        row.addStretch(1)
        row.addWidget(PlainLabel(fact, "number", "muted"))


class AdviceLine(QWidget):
    """One sentence with a number and one action."""

    def __init__(self, advice: Advice, on_take, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        row.addWidget(IconLabel("lightbulb", "accent", 16), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        words.addWidget(PlainLabel(advice.sentence, "label", wrap=True))
        if advice.action:
            self.action = button(advice.action, kind="link", name="augment.advice", on_click=lambda: on_take(advice))
            words.addWidget(self.action, 0, Qt.AlignmentFlag.AlignLeft)
        row.addLayout(words, 1)
