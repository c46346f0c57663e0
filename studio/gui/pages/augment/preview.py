"""The preview: what training will make of the user's photos, computed by the preview worker through the training code."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QElapsedTimer, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from studio.core.experiment import Augment, Experiment
from studio.gui.context import Context
from studio.gui.pages.augment.ask import Asker, Mode, Question
from studio.gui.pages.augment.batch import BatchPlace, batch_at, num_batches
from studio.gui.pages.augment.comparison import NUM_COMPARED, Comparison, compare_menu
from studio.gui.pages.augment.draft import PipelineDraft
from studio.gui.pages.augment.foot import PreviewFoot
from studio.gui.pages.augment.grid import NUM_TILES, VariantGrid
from studio.gui.pages.augment.original import OriginalPhoto
from studio.gui.pages.augment.pins import Pin, PinnedRow, Pins
from studio.gui.pages.augment.subject import Subject, Subjects
from studio.gui.pages.augment.tools import PreviewTools
from studio.gui.pages.augment.variant import Variant
from studio.gui.pages.augment.words import title_of
from studio.gui.theme import px
from studio.gui.widgets import (
    Banner,
    IconLabel,
    Panel,
    PlainLabel,
    Segmented,
    button,
    icon_button,
)
from studio.gui.workers import plain_experiment

LARGER_PX = 448  # twice the usual input size: sharp on a large tile
_REST_AFTER_MS = 150  # a slider that has not moved for so long
_MUTE_AFTER_MS = 120  # answers that come sooner do not flicker
_REROLL_EVERY_MS = 240  # with R held


def _facts(experiment: Experiment) -> tuple:
    """What the pictures and the place of a batch depend on, beside the pipeline and the images."""
    data, training = experiment.data, experiment.training
    return experiment.model, training.seed, training.batch_size, training.accumulation, data.synthetic_fraction, data.reading


class PreviewPanel(Panel):
    """Asks for pictures whenever something that they depend on changes; the newest question wins."""

    variant_opened = Signal(object, int)  # the grid, the tile
    answered = Signal(object)  # the worker's result for the draft: costs, failures

    def __init__(self, context: Context, draft: PipelineDraft, parent: QWidget | None = None):
        super().__init__("Preview", name="augment.preview", parent=parent)
        self._context, self._store, self._draft = context, context.store, draft
        self.subjects = Subjects(context.store, self)
        self._epoch = 0  # the first one shown
        self._batch = 0  # of that epoch, in batch mode
        self._is_active = False
        self._asker = Asker(context.preview, "augment.variants", self)
        self._pin_asker = Asker(context.preview, "augment.pins", self)
        self.pins = Pins(context, self)
        self._original = OriginalPhoto(self)
        self._original.came.connect(self._on_original_came)
        self._last_reroll = QElapsedTimer()
        self._mute = QTimer(self, singleShot=True, interval=_MUTE_AFTER_MS)
        self._mute.timeout.connect(self._on_mute_timeout)
        self._rest = QTimer(self, singleShot=True, interval=_REST_AFTER_MS)
        self._rest.timeout.connect(lambda: self.refresh(is_resting=True))
        self._make_head()
        self._make_tools()
        self.banner = Banner(name="augment.error")
        self.body.addWidget(self.banner)
        self._make_grids()
        self.foot = PreviewFoot()
        self.body.addWidget(self.foot)
        self.body.addStretch(1)  # takes what the grid does not
        left, _, right, bottom = self.body.getContentsMargins()
        self.body.setContentsMargins(left, px(2), right, bottom)
        for asker, grid in ((self._asker, self.grid), (self.comparison.asker, self.comparison.grid), (self._pin_asker, self.pinned.grid)):
            asker.picture_came.connect(lambda index, variant, grid=grid: self._on_picture_came(grid, index, variant))
        self._asker.failed.connect(self._on_failed)
        self.comparison.asker.failed.connect(self._on_failed)
        self._asker.finished.connect(self._on_finished)
        self._asker.loading.connect(self.foot.show_loading)
        self._store.experiment_changed.connect(self._on_store_experiment_changed)
        self._store.dataset_changed.connect(lambda _: self._show_classes())
        self.subjects.changed.connect(self._on_subjects_changed)
        draft.solo_changed.connect(self.refresh)
        draft.changed.connect(self.refresh)
        context.scan.changed.connect(self._on_scan_changed)
        self.pins.changed.connect(self._show_pins)
        self.comparison.changed.connect(self._on_comparison_changed)
        self._show_classes()
        self._show_pins()

    # Controls

    def _make_head(self) -> None:
        self.subtitle_label.hide()
        self.head.takeAt(self.head.count() - 1)
        self.mode_choice = Segmented([("photo", "Photo"), ("photos", "Photos"), ("batch", "Batch")], "photo", name="augment.mode")
        self.mode_choice.setAccessibleName("What the preview shows")
        for index, words in enumerate(
            (
                "One photo in the next 15 epochs",
                "One variant each of 16 photos",
                "A batch of the run in its own order, after MixUp and CutMix, with its labels",
            )
        ):
            self.mode_choice.findChildren(QWidget, f"augment.mode.{index}")[0].setToolTip(words)
        self.mode_choice.value_changed.connect(self._on_mode_chosen)
        self.compare_button = icon_button("git-diff", "Compare with another pipeline", name="augment.compare")
        self.compare_button.setCheckable(True)
        self.compare_button.clicked.connect(self._on_compare_clicked)
        self.lock_button = icon_button("lock-simple", "Keep these random values", name="augment.lock")
        self.lock_button.setCheckable(True)
        self.lock_button.toggled.connect(self._show_lock)
        self.reroll_button = button(
            "Re-roll", "dice-five", small=True, name="augment.reroll", tooltip="The next epochs (R)", on_click=self.reroll
        )
        self.head.addWidget(self.mode_choice)
        self.head.addStretch(1)
        for widget in (self.compare_button, self.lock_button, self.reroll_button):
            self.head.addWidget(widget)

    def _make_tools(self) -> None:
        self.tools = PreviewTools()
        self.tools.class_chosen.connect(self._on_class_chosen)
        self.tools.step_wanted.connect(self.step)
        self.tools.batch_wanted.connect(self.show_batch)
        self.tools.view_changed.connect(self.refresh)
        self.solo = QWidget()
        row = QHBoxLayout(self.solo)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self.solo_label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        show_all = button(
            "Show all steps",
            kind="link",
            small=True,
            name="augment.solo",
            tooltip="Or press S",
            on_click=lambda: self._draft.set_solo(None),
        )
        row.addWidget(IconLabel("eye", "accent", 14))
        row.addWidget(self.solo_label, 1)
        row.addWidget(show_all)
        self.body.addWidget(self.tools)
        self.body.addWidget(self.solo)

    def _make_grids(self) -> None:
        self.grid = VariantGrid(name="augment.grid")
        self.grid.opened.connect(lambda index: self.variant_opened.emit(self.grid, index))
        self.grid.menu_wanted.connect(self._on_grid_menu_wanted)
        self.pinned = PinnedRow()
        self.pinned.grid.opened.connect(lambda index: self.variant_opened.emit(self.pinned.grid, index))
        self.pinned.grid.menu_wanted.connect(lambda index, at: self._menu(self.pins.pins[index]).popup(at))
        self.pinned.unpin_wanted.connect(lambda index: self.pins.toggle(self.pins.pins[index]))
        self.comparison = Comparison(self._context.preview)
        self.left_label = PlainLabel("This pipeline", "strong")
        self.left_label.hide()
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addWidget(self.left_label)
        column.addWidget(self.grid, 1000)
        column.addWidget(self.pinned)
        column.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(px(12))
        row.addWidget(left, 1)
        row.addWidget(self.comparison, 1)
        self.body.addLayout(row, 1000)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.title_label.setVisible(self.width() >= px(450))
        is_narrow = self.width() < px(400)
        self.mode_choice.set_dense(is_narrow)
        self.head.setSpacing(px(4) if is_narrow else px(8))
        self.reroll_button.setText("" if is_narrow else "Re-roll")
        self._show_tools()

    def _show_tools(self) -> None:
        self.tools.show_state(self.mode, has_data=self._store.dataset is not None, panel_width=self.width())

    def _show_classes(self) -> None:
        dataset = self._store.dataset
        names = dataset.classes if dataset is not None else ()
        self.tools.show_classes(names, self.subjects.label)
        for value in ("photos", "batch"):
            self.mode_choice.set_option_enabled(value, dataset is not None, "" if dataset is not None else "Open images first.")
        if dataset is None and self.mode != "photo":
            self.mode_choice.set_value("photo")
        self._show_tools()

    def _show_lock(self, is_locked: bool) -> None:
        self.reroll_button.setEnabled(not is_locked)

    # What is shown

    @property
    def mode(self) -> Mode:
        return self.mode_choice.value

    @property
    def subject(self) -> Subject | None:
        return self.subjects.subject

    @property
    def is_busy(self) -> bool:
        return self._original.is_busy

    def set_mode(self, mode: Mode) -> None:
        self.mode_choice.set_value(mode)
        self._on_mode_chosen(mode)

    def _on_mode_chosen(self, _mode: Mode) -> None:
        self._show_tools()
        self.refresh()

    @property
    def is_normalised(self) -> bool:
        return self.tools.is_normalised

    def _on_scan_changed(self) -> None:
        if self.is_normalised and self._store.experiment.model.normalisation == "data":
            self.refresh()

    def _measured(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and deviation of the training images; None before the scan knows them."""
        found = self._context.scan.statistics
        return (tuple(map(float, found.mean)), tuple(max(float(s), 1e-3) for s in found.std)) if found is not None else None

    def step(self, by: int) -> None:
        """The next or previous photo or batch; new random values unless they are locked."""
        if self.mode == "batch":
            if (place := self._batch_place()) is not None:  # the one shown: larger batches are fewer
                self.show_batch(place.number + by)
            return
        self._start_anew()
        self.subjects.step(by if self.mode == "photo" else by * NUM_TILES)

    def show_batch(self, number: int) -> None:
        """Batch `number` of the epoch, counted from 0; the first follows the last."""
        if self._store.dataset is not None:
            self._batch = number % num_batches(self._store.experiment, self._store.dataset)
            self.refresh()

    def show_file(self, path: str) -> None:
        """A photo from anywhere, for instance dropped on the page."""
        self._start_anew()
        if self.mode != "photo":
            self.mode_choice.set_value("photo")
            self._show_tools()
        self.subjects.show_file(path)

    def _start_anew(self) -> None:
        if not self.lock_button.isChecked():
            self._epoch = 0

    def _on_class_chosen(self, label: str) -> None:
        self._start_anew()
        self.subjects.choose_class(label)

    def reroll(self) -> None:
        """The next epochs: new random values."""
        if self.lock_button.isChecked() or self._last_reroll.isValid() and self._last_reroll.elapsed() < _REROLL_EVERY_MS:
            return
        self._last_reroll.start()
        self._epoch += self._num if self.mode == "photo" else 1
        self.refresh()

    @property
    def _num(self) -> int:
        """Pictures that are asked for beside the original."""
        tiles = NUM_COMPARED if self.comparison.augment is not None else NUM_TILES
        return tiles - 1 if self.mode == "photo" else tiles

    # Test cases

    def pin_of(self, grid: VariantGrid, index: int) -> Pin | None:
        """The photo and epoch of the picture that a tile shows; None for the original, and where none has come yet."""
        if grid is self.pinned.grid:
            return self.pins.pins[index] if 0 <= index < len(self.pins.pins) else None
        variant = grid.variants[index] if 0 <= index < len(grid.variants) else None
        return Pin(variant.subject, variant.epoch) if variant is not None and variant.subject is not None else None

    def toggle_pin(self, pin: Pin | None = None) -> None:
        """Keep a variant in view, or let it go; without one, that of the current tile."""
        grid = self.pinned.grid if self.pinned.grid.hasFocus() else self.grid
        pin = pin or self.pin_of(grid, grid.current)
        if pin is not None:
            self.pins.toggle(pin)

    def _on_grid_menu_wanted(self, index: int, at: QPoint) -> None:
        pin = self.pin_of(self.grid, index)
        if pin is not None:
            self._menu(pin).popup(at)

    def _menu(self, pin: Pin) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        words = "Unpin" if pin in self.pins.pins else "Make this a test case"
        menu.addAction(words).triggered.connect(lambda *_: self.pins.toggle(pin))
        return menu

    def _show_pins(self) -> None:
        self.pinned.setVisible(bool(self.pins.pins))
        self.pinned.grid.show_variants([None] * len(self.pins.pins))
        self._pin_asker.forget()
        self._mark_pins()
        self.refresh()

    def _mark_pins(self) -> None:
        pins = set(self.pins.pins)
        self.grid.set_pinned(frozenset(i for i in range(self.grid.num_wanted) if pins and self.pin_of(self.grid, i) in pins))

    # Two pipelines side by side

    def _on_comparison_changed(self) -> None:
        is_compared = self.comparison.augment is not None
        self.compare_button.setChecked(is_compared)
        self.left_label.setVisible(is_compared)
        self.grid.set_num_tiles(NUM_COMPARED if is_compared else NUM_TILES)
        self._asker.forget()
        self.refresh()

    def _on_compare_clicked(self) -> None:
        is_compared = self.comparison.augment is not None
        self.compare_button.setChecked(is_compared)
        if is_compared:
            self.comparison.end()
        else:
            menu = compare_menu(self, self._draft.augment, self.comparison.begin)
            menu.popup(self.compare_button.mapToGlobal(self.compare_button.rect().bottomLeft()))

    # Asking

    @property
    def asker(self) -> Asker:
        """The line to the worker for the draft's pictures."""
        return self._asker

    @property
    def is_active(self) -> bool:
        return self._is_active

    def set_active(self, is_active: bool) -> None:
        """Off while another page is in front: then nothing is asked."""
        self._is_active = is_active
        if is_active:
            self.refresh()

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if _facts(old) != _facts(new):
            self.refresh()

    def _on_subjects_changed(self) -> None:
        self.tools.class_box.set_value(self.subjects.label)
        self.refresh()

    def refresh(self, *, is_resting: bool = False) -> None:
        """Ask for the pictures unless they are the ones shown or asked for already.

        While a slider moves they come no larger than their tiles, and as the network gets them when it rests.
        """
        size_px = self.grid.tile_px if self._store.is_dragging and not is_resting else None
        place = self._batch_place()
        if self._is_active:
            self._ask_all(place, size_px)
        if size_px is not None:
            self._rest.start()  # what is said of the pictures stays as it is meanwhile
        else:
            self._show_subject(place)

    def _show_subject(self, place: BatchPlace | None) -> None:
        if place is None:
            self.tools.show_photo(self.subjects.name)
        else:
            self.tools.show_batch(place.number, num_batches(self._store.experiment, self._store.dataset))
        step = self._draft.steps[self._draft.solo[0]] if self._draft.solo is not None else None
        self.solo.setVisible(step is not None)
        if step is not None:
            self.solo_label.setText(f"Only “{title_of(step.name)}” is shown")

    def _ask_all(self, place: BatchPlace | None, size_px: int | None) -> None:
        try:
            if place is not None:
                subjects = place.subjects
            else:
                subjects = (self.subjects.one(),) if self.mode == "photo" else self.subjects.several(self._num)
        except OSError as exc:
            self._on_failed(f"The test picture cannot be written: {exc.strerror or exc}.", "Make room on the disk, or open a folder.")
            return
        augment = self._draft.shown_augment()
        step, batch = (place.step, place.batch) if place is not None else (0, 0)
        if self._ask(self._asker, subjects, augment, size_px, step=step, batch=batch):
            self._mute.start()
            if size_px is None:
                self._say_facts()
        if self.comparison.augment is not None:
            self._ask(self.comparison.asker, subjects, self.comparison.augment, step=step, batch=batch)
        if pins := self.pins.pins:
            small = self.pinned.grid.tile_px if size_px is not None else None
            self._ask(self._pin_asker, tuple(p.subject for p in pins), augment, small, epochs=tuple(p.epoch for p in pins))

    def _batch_place(self) -> BatchPlace | None:
        """Which batch is shown; None where none is."""
        if self.mode != "batch" or self._store.dataset is None or not self._store.dataset.part("train"):
            return None
        return batch_at(self._store.experiment, self._store.dataset, self._epoch, self._batch)

    def _on_mute_timeout(self) -> None:
        self.grid.set_stale(True)
        self.foot.spinner.show()

    def _ask(
        self, asker: Asker, subjects: tuple[Subject, ...], augment: Augment, size_px: int | None = None, *, epochs: tuple[int, ...] = (),
        step: int = 0, batch: int = 0,
    ) -> bool:  # fmt: skip
        """`epochs`: of test cases, one for each."""
        experiment = self._store.experiment
        mode: Mode = "photos" if epochs else self.mode
        if not self.tools.is_network:
            size = min(1024, max(LARGER_PX, experiment.model.input_size))
            experiment = experiment.changed({"model.input_size": size})
        num = self._num if mode == "photo" else len(subjects) if epochs else min(self._num, len(subjects))
        question = Question(
            mode=mode,
            subjects=subjects,
            epoch=0 if epochs else self._epoch,
            num=num,
            augment=augment,
            model=experiment.model,
            seed=experiment.training.seed,
            reading=experiment.data.reading,
            size_px=None if mode == "batch" else size_px,
            is_normalised=self.is_normalised,
            measured=self._measured() if self.is_normalised else None,
            step=step,
            batch=batch,
            epochs=epochs,
        )
        if question == asker.question:
            return False
        grid = self.grid if asker is self._asker else self.comparison.grid if asker is self.comparison.asker else self.pinned.grid
        grid.begin(num + question.first)
        asker.ask(question, plain_experiment(experiment, augment), is_dragging=self._store.is_dragging)
        if question.first:
            self._original.want(subjects[0].path, question.reading)
        return True

    def _on_original_came(self, picture: QPixmap) -> None:
        if self.mode != "photo":
            return
        for grid in (self.grid, self.comparison.grid):
            if grid.num_wanted and (grid is self.grid or self.comparison.augment is not None):
                grid.show_original(picture)

    def _on_picture_came(self, grid: VariantGrid, index: int, variant: Variant) -> None:
        if grid is self.grid and not variant.error and not self.banner.isHidden():
            self.banner.hide()
        grid.show_variant(index, variant)
        if grid is self.grid:
            self._draft.show_move()
            if self.pins.pins:
                self._mark_pins()

    def _on_finished(self, result: dict[str, Any]) -> None:
        self._mute.stop()
        self.foot.spinner.hide()
        self.grid.set_stale(False)
        self._say_facts()
        variants = [variant for variant in self.grid.variants if variant is not None and variant.epoch is not None]
        self.foot.show_seed(variants[0].seed if variants else None)
        self.answered.emit(result)
        errors = {variant.error for variant in variants}
        if self.mode == "photo" and "" not in errors and errors:  # the photo cannot be read: one sentence, not fifteen marks
            self._on_failed(errors.pop(), "")

    def _say_facts(self) -> None:
        if self._asker.question is None:
            return
        subject, name = self.subject, self.subjects.name
        where = "" if subject is None or subject.is_from_data else " (not a training image)"
        photo = (name if len(name) <= 28 else f"{name[:16]}…{name[-11:]}") + where
        self.foot.show_facts(self._asker.question, photo, is_network=self.tools.is_network)

    def _on_failed(self, sentence: str, fix: str) -> None:
        self._mute.stop()
        self.foot.spinner.hide()
        self._asker.forget()  # the same question may be asked again
        self.grid.show_variants([])
        self.foot.show_seed(None)
        actions = [("Try again", self.refresh)]
        if self.subject is not None and self.subjects.has_data:
            actions.append(("Next photo", lambda: self.step(1)))
        self.banner.show_message("error", sentence, fix, tuple(actions))
