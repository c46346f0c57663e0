"""The Augment page: how much training images are varied, in words and in pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.catalog.augments.catalog import catalog
from studio.core.experiment import READING, Experiment
from studio.core.path_text import path_to_text
from studio.dataset.look import Hint, hints
from studio.gui.page import Page
from studio.gui.pages.augment.advice import Advice, advice_for, without
from studio.gui.pages.augment.cards import SAFETY_TOKENS
from studio.gui.pages.augment.cost import network_speed, num_loaders, slow_words
from studio.gui.pages.augment.draft import MIX_TITLES, MIXES, PipelineDraft
from studio.gui.pages.augment.effects import Effects
from studio.gui.pages.augment.exchange import PipelineExchange
from studio.gui.pages.augment.form import TransformForm
from studio.gui.pages.augment.gallery import Gallery, GalleryItem
from studio.gui.pages.augment.grid import VariantGrid
from studio.gui.pages.augment.large import LargeVariant
from studio.gui.pages.augment.pins import Pin
from studio.gui.pages.augment.pipeline import PipelinePanel
from studio.gui.pages.augment.presets import PresetBar
from studio.gui.pages.augment.preview import PreviewPanel
from studio.gui.pages.augment.safety import SafetyCheck, Verdict
from studio.gui.pages.augment.sample_states import states
from studio.gui.pages.augment.words import title_of
from studio.gui.theme import px
from studio.gui.widgets import Banner, EmptyState, IconLabel, PlainLabel, button, splitter
from studio.gui.wording import percent

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
_MOST_ADVICE = 2
_NUM_LOOKED = 48  # pictures whose looks are measured
_PIPELINES = (".json", ".yaml", ".yml")
_GROUP_TITLES = {"blur and noise": "Blur & noise", "combine": "Combine", "policies": "Policies"}


class AugmentPage(Page):
    key, title = "augment", "Augment"

    def make(self) -> Iterator[None]:
        context = self.context
        self.set_subtitle("Applied to training images only, new random values every epoch")
        self.draft = PipelineDraft(self.store, self)
        self.preview = PreviewPanel(context, self.draft)  # the first to hear of a change: the worker draws while the rest is shown
        yield
        self.presets = PresetBar(self.draft, context.shell)
        self.head.addWidget(self.presets)
        self.banner = Banner(name="augment.import_error")
        self.exchange = PipelineExchange(self.draft, context.shell, self.banner, self)
        self.head.addWidget(self.exchange.button)
        self.body.addWidget(self.banner)
        yield
        self.pipeline = PipelinePanel(self.draft)
        yield
        self.preview.setMinimumWidth(px(300))
        self.form = TransformForm(self.draft)
        yield
        self.gallery = Gallery(_gallery_items(), context.settings)
        yield
        self.empty = EmptyState(
            "magic-wand", "No augmentation", "Good for a first test, poor for fewer than 1,000 images.", "Use Light",
            lambda: self.draft.take_preset("light"), name="augment.empty",
        )  # fmt: skip
        self.empty.setParent(self.pipeline)
        self.pipeline.foot.addWidget(self.empty)
        row = splitter(
            Qt.Orientation.Horizontal, self.pipeline, self.preview, self.form, stretch=(0, 1, 0), name="augment.columns"
        )  # fmt: skip
        row.setSizes([px(240), px(400), px(268)])
        self.body.addWidget(row, 1)
        self.body.addWidget(self.gallery)
        yield
        self.effects = Effects(context, self.draft, self.preview.subjects, self.gallery, self.form, self)
        self.safety = SafetyCheck(context, self.draft, self)
        self._looked: object = None  # the folder whose pictures have been looked at, and how they are read
        self._hints: tuple[Hint, ...] = ()
        self._shown_advice: list[Advice] | None = None
        self._slow = ""  # why loading becomes the slowest part
        self._faults: dict[str, str] = {}  # by name of a step: why it could not be done to a picture in view
        self.large = LargeVariant(self)
        self._large_grid = self.preview.grid  # whose tile is large
        self._connect()
        self.draft.choose((0,))
        self._show()

    def _connect(self) -> None:
        self.preview.variant_opened.connect(self.show_large)
        self.preview.answered.connect(self._on_preview_answered)
        self.large.step_wanted.connect(self._on_large_step_wanted)
        self.large.closed.connect(lambda: self._large_grid.setFocus(Qt.FocusReason.OtherFocusReason))
        self.large.pin_toggled.connect(self._on_large_pin_toggled)
        self.gallery.add_wanted.connect(self.draft.add)
        self.pipeline.list.form_wanted.connect(self.form.focus_first)
        self.pipeline.list.decoded.clicked.connect(lambda: self.context.shell.go_to("data"))
        self.pipeline.list.resized.clicked.connect(lambda: self.context.shell.go_to("model"))
        self.draft.settled.connect(self._show_settled)
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.store.dataset_changed.connect(lambda _: self._look())
        self.safety.changed.connect(self._show_safety)
        self.safety.sweep_came.connect(self._on_sweep_came)
        self.form.sweep_wanted.connect(lambda: self.safety.sweep(self.form.strips()))

    # What is shown

    def activate(self) -> None:
        self.preview.set_active(True)
        self.effects.set_active(True)
        self.safety.set_active(True)
        self._look()

    def deactivate(self) -> None:
        self.preview.set_active(False)
        self.effects.set_active(False)
        self.safety.set_active(False)

    def is_busy(self) -> bool:
        return self.preview.is_busy

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if old.model.input_size != new.model.input_size:
            self._show()
        elif old.schedule.epochs != new.schedule.epochs:
            self._show_advice()

    def _show_settled(self) -> None:
        self._show_bars()
        self._show()

    def _show(self) -> None:
        self.pipeline.list.resized.show_fact(f"{self.store.experiment.model.input_size} px")
        names = {step.name for step in self.draft.steps} | {child.name for step in self.draft.steps for child in step.of}
        self.gallery.show_in_use(frozenset(names | {MIX_TITLES[mix] for mix in MIXES if self.draft.mix_p(mix)}))
        self.empty.setVisible(not self.draft.steps and not self.draft.augment.mixes)
        self._show_advice()

    def _show_advice(self) -> None:
        found = [*self._warnings(), *advice_for(self.store.experiment, self.store.dataset, self._hints)][:_MOST_ADVICE]
        if not self.empty.isHidden():
            found = [each for each in found if each.values.get("augment.preset") != "light"]  # what the empty state says already
        has_foot = bool(found) or not self.empty.isHidden()
        self.pipeline.foot_holder.setVisible(has_foot)
        self.pipeline.foot_line.setVisible(has_foot)
        if found == self._shown_advice:
            return
        lines = [self.pipeline.foot.itemAt(i).widget() for i in range(1, self.pipeline.foot.count())]
        self._shown_advice = found
        if [line.look for line in lines] == [AdviceLine.look_of(each) for each in found]:  # while a slider moves: other values to set
            for line, each in zip(lines, found, strict=True):
                line.advice = each
            return
        while self.pipeline.foot.count() > 1:
            widget = self.pipeline.foot.takeAt(1).widget()
            widget.hide()
            widget.deleteLater()
        for each in found:
            self.pipeline.foot.addWidget(AdviceLine(each, self._take_advice))

    def _warnings(self) -> list[Advice]:
        """What has been seen: steps that fail, steps that can change the label, and a pipeline that the network waits for."""
        found = []
        for name, why in self._faults.items():
            words = f"{title_of(name)} is left out where it fails: {why}."
            found.append(Advice(words, *(without(self.draft.augment, (name,)) or ()), is_warning=True))
        if self._slow:
            found.append(Advice(self._slow, is_warning=True))
        for index, verdict in self.safety.flagged():
            name = self.draft.steps[index].name
            off = without(self.draft.augment, (name,))
            way = (
                "as far as to the nearest other class"
                if verdict.ratio >= 1
                else f"{percent(verdict.ratio, 0)} of the way to the nearest other class"
            )
            words = f"{title_of(name)} can change what a picture shows: pictures move {way}.{verdict.fall}"
            found.append(Advice(words, *(off or ()), is_warning=True))
        return found

    def _show_safety(self) -> None:
        self._show_bars()
        self._show_advice()

    def _show_bars(self) -> None:
        for card, step in zip(self.pipeline.list.cards, self.draft.steps, strict=False):
            verdict = self.safety.verdict_of(step) if step.is_on else None
            if verdict is not None:
                card.safety.show_verdict(verdict.ratio, verdict.verdict, verdict.sentence)
            else:
                card.safety.hide()

    def _on_sweep_came(self, param: str, index: int, verdict: Verdict) -> None:
        row = self.form.rows.get(param)
        if row is not None and row.strip is not None:
            row.strip.show_verdict(index, verdict.ratio, SAFETY_TOKENS[verdict.verdict], verdict.sentence)

    def _look(self) -> None:
        """What names and looks of the images advise; the looks are read beside the window."""
        dataset = self.store.dataset
        self._hints = tuple(hints(dataset.classes, None)) if dataset is not None else ()
        self._show_advice()
        if dataset is None or not self.preview.is_active or self._looked == (dataset.root, dataset.reading):
            return
        self._looked = (dataset.root, dataset.reading)
        samples, data = dataset.part("train"), self.store.experiment.data.model_dump(mode="json", include=READING)
        chosen = samples[:: max(1, len(samples) // _NUM_LOOKED)][:_NUM_LOOKED]
        self.context.preview.call(
            "look",
            {"paths": [path_to_text(dataset.path_of(s)) for s in chosen], "classes": list(dataset.classes), "data": data},
            lambda result: self._on_looked(dataset.root, result),
            lambda error: None,
            key="augment.look",
        )

    def _on_looked(self, root: str, result: dict) -> None:
        if self.store.dataset is not None and self.store.dataset.root == root:
            self._hints = tuple(Hint(**{**raw, "avoid": tuple(raw["avoid"])}) for raw in result["hints"])
            self._show_advice()

    def _take_advice(self, advice: Advice) -> None:
        self.store.set(advice.values, advice.action.lower())

    def _on_preview_answered(self, result: dict) -> None:
        cost = result.get("ms_per_image")
        self.pipeline.show_cost(cost)
        experiment = self.store.experiment
        speed = network_speed(experiment, self.context.runs.finished)
        slow = slow_words(cost, num_loaders(experiment.training.workers, speed.device), speed)
        if slow != self._slow:
            self._slow = slow
            self._show_advice()
        faults: dict[int, str] = {}
        for variant in self.preview.grid.variants:
            for each in variant.drawn if variant is not None else ():
                if each.failure:
                    faults.setdefault(each.step, each.failure)
        if self.draft.solo is None:
            for index, card in enumerate(self.pipeline.list.cards):
                card.show_fault(faults.get(index, ""))
            named = {step.name: faults[index].rstrip(".") for index, step in enumerate(self.draft.steps) if index in faults}
            if named != self._faults:
                self._faults = named
                self._show_advice()
        if self.large.isVisible() and self._large_grid is self.preview.grid:
            self.show_large(self._large_grid, self._large_grid.current)  # another epoch or photo was asked for from there

    # The large view

    def show_large(self, grid: VariantGrid, index: int) -> None:
        """A tile of the preview, or of the test cases."""
        variants = grid.variants
        if 0 <= index < len(variants) and variants[index] is not None:
            self._large_grid = grid
            grid.set_current(index)
            original = variants[0] if variants[0] is not None and variants[0].epoch is None else None
            self.large.show_pair(original, variants[index], self._large_pin() in self.preview.pins.pins)

    def _large_pin(self) -> Pin | None:
        return self.preview.pin_of(self._large_grid, self._large_grid.current)

    def _on_large_pin_toggled(self) -> None:
        pin = self._large_pin()
        if pin is not None:
            self.preview.toggle_pin(pin)
            if self._large_grid is self.preview.pinned.grid:
                self.large.close_view()
            self.large.show_pinned(pin in self.preview.pins.pins)

    def _toggle_pin(self) -> None:
        """Of the large picture where there is one, else of the current tile."""
        if self.large.isVisible():
            self._on_large_pin_toggled()
        else:
            self.preview.toggle_pin()

    def _on_large_step_wanted(self, by: int) -> None:
        grid = self._large_grid
        self.show_large(grid, max(0, min(len(grid.variants) - 1, grid.current + by)))

    def fit(self) -> None:
        if self.large.isVisible():
            self.large.setGeometry(self.rect())

    # What the window asks

    def accept_drop(self, paths: list[str]) -> bool:
        """A picture becomes the photo of the preview, a saved pipeline the draft's; everything else is the window's."""
        if len(paths) == 1 and os.path.isfile(paths[0]) and paths[0].lower().endswith(_PICTURES):
            self.preview.show_file(paths[0])
            return True
        if len(paths) == 1 and os.path.isfile(paths[0]) and paths[0].lower().endswith(_PIPELINES):
            self.exchange.open_file(paths[0])
            return True
        return False

    def focus_search(self) -> bool:
        self.gallery.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.gallery.search.selectAll()
        return True

    def shortcuts(self):
        return (
            ("R", "Re-roll: the next epochs", self.preview.reroll),
            ("[", "Photo or batch before", lambda: self.preview.step(-1)),
            ("]", "Next photo or batch", lambda: self.preview.step(1)),
            ("P", "Pin the tile as a test case, or unpin it", self._toggle_pin),
            ("N", "Normalised numbers on or off", self.preview.tools.normal_button.click),
        )

    @classmethod
    def screenshot_states(cls):
        return states()


def _gallery_items() -> list[GalleryItem]:
    items = [
        GalleryItem(entry.name, entry.title, _GROUP_TITLES.get(entry.group, entry.group.capitalize()), entry.help)
        for entry in catalog().values()
    ]
    order = list(dict.fromkeys(entry.group for entry in items))
    wanted = ["Geometry", "Colour", "Blur & noise", "Occlusion", "Compression", "Weather", "Policies", "Combine"]
    rank = {group: i for i, group in enumerate([*wanted, *(g for g in order if g not in wanted)])}
    items.sort(key=lambda item: (rank[item.group], item.title.lower()))
    return [
        *items,
        GalleryItem("MixUp", "MixUp", "Mix", "Blends two images of a batch and their labels."),
        GalleryItem("CutMix", "CutMix", "Mix", "Puts a rectangle of one image into another and mixes the labels by area."),
    ]


class AdviceLine(QWidget):
    """One sentence with a number and one action."""

    def __init__(self, advice: Advice, on_take, parent: QWidget | None = None):
        super().__init__(parent)
        self.advice, self.look = advice, self.look_of(advice)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        icon = ("warning", "warn") if advice.is_warning else ("lightbulb", "accent")
        row.addWidget(IconLabel(*icon, 16), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        words.addWidget(PlainLabel(advice.sentence, "label", wrap=True))
        if advice.action:
            self.action = button(advice.action, kind="link", name="augment.advice", on_click=lambda: on_take(self.advice))
            words.addWidget(self.action, 0, Qt.AlignmentFlag.AlignLeft)
        row.addLayout(words, 1)

    @staticmethod
    def look_of(advice: Advice) -> tuple[str, str, bool]:
        """All that a line shows of an advice."""
        return advice.sentence, advice.action, advice.is_warning
