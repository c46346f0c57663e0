"""The preview: one photo and what training will make of it, computed by the preview worker through the training code."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

from PySide6.QtCore import QElapsedTimer, Qt, QTimer, Signal
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.core.path_text import path_to_text, shown
from studio.gui.context import Context
from studio.gui.pages.augment.grid import NUM_VARIANTS, Variant, VariantGrid
from studio.gui.pages.augment.test_card import test_card_path
from studio.gui.theme import px
from studio.gui.widgets import Banner, ComboBox, Panel, PlainLabel, Spinner, Toggle, button, icon_button
from studio.gui.widgets.thumb import ThumbLoader, read_whole
from studio.gui.workers import take_image

_ORIGINAL_PX = 640
LARGER_PX = 448  # twice the usual input size: sharp on a large tile
_MUTE_AFTER_MS = 120  # answers that come sooner do not flicker
_REROLL_EVERY_MS = 240  # with R held


@dataclass(frozen=True)
class Subject:
    """The photo. `index` is its place in the training part, which its random values depend on."""

    path: str  # as the system gives it
    name: str
    index: int = 0
    label: str = ""
    is_from_data: bool = False


class PreviewPanel(Panel):
    """Asks for variants whenever something that they depend on changes; the newest question wins."""

    variant_opened = Signal(int)

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__("Preview", name="augment.preview", parent=parent)
        self._context, self._store = context, context.store
        self._subject: Subject | None = None
        self._order: list[int] = []  # indices into the training part, classes mixed
        self._place = 0
        self._epoch = 0  # the first one shown
        self._asked: tuple | None = None
        self._is_active = False
        self._path = ""  # of the photo that is asked for
        # The original is the whole photo, not what validation sees of it: that is cropped for some backbones.
        self._loader = ThumbLoader(self, read=read_whole, threads=1)
        self._loader.loaded.connect(lambda _: self._show_when_whole())
        self._tiles: list[Variant] | None = None
        self._last_reroll = QElapsedTimer()
        self._mute = QTimer(self, singleShot=True, interval=_MUTE_AFTER_MS)
        self._mute.timeout.connect(lambda: self.grid.set_stale(True))
        self._make_head()
        self.banner = Banner(name="augment.error")
        self.body.addWidget(self.banner)
        self.grid = VariantGrid(name="augment.grid")
        self.grid.opened.connect(self.variant_opened)
        self.body.addWidget(self.grid, 1000)
        self.body.addLayout(self._make_foot())
        self.body.addStretch(1)  # takes what the grid does not
        left, _, right, bottom = self.body.getContentsMargins()
        self.body.setContentsMargins(left, px(4), right, bottom)
        self._store.experiment_changed.connect(self._on_store_experiment_changed)
        self._store.dataset_changed.connect(self._on_store_dataset_changed)
        self._on_store_dataset_changed(self._store.dataset)

    def _make_head(self) -> None:
        self.subtitle_label.hide()
        self.name_label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideMiddle)
        self.head.takeAt(self.head.count() - 1)
        self.head.addWidget(self.name_label, 1)
        self.class_box = ComboBox(name="augment.class")
        self.class_box.setAccessibleName("Photo of the class")
        self.class_box.setFixedWidth(px(122))
        self.class_box.value_changed.connect(self._on_class_chosen)
        self.back_button = icon_button("caret-left", "Show the photo before", name="augment.back", on_click=lambda: self.step(-1))
        self.next_button = icon_button("caret-right", "Show the next photo", name="augment.next", on_click=lambda: self.step(1))
        self.network_toggle = Toggle("As the network sees it", checked=True, name="augment.as_network")
        self.network_toggle.toggled.connect(lambda _: self.refresh())
        self.reroll_button = button("Re-roll", "dice-five", name="augment.reroll", tooltip="The next epochs (R)", on_click=self.reroll)
        for widget in (self.class_box, self.back_button, self.next_button, self.network_toggle, self.reroll_button):
            self.head.addWidget(widget)

    def _make_foot(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(px(8))
        self.spinner = Spinner(12, "muted")
        self.spinner.hide()
        self.fact_label = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        self.seed_label = PlainLabel("", "number", "muted")
        row.addWidget(self.spinner)
        row.addWidget(self.fact_label, 1)
        row.addWidget(self.seed_label)
        return row

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow panel does without what can be had elsewhere: the name stands in the foot, arrows reach every class."""
        super().resizeEvent(event)
        self.name_label.setVisible(self.width() >= px(660))
        self._show_class_box()

    def _show_class_box(self) -> None:
        self.class_box.setVisible(self._store.dataset is not None and self.width() >= px(570))

    # The photo

    @property
    def _name(self) -> str:
        return shown(self._subject.name.rpartition("/")[2]) if self._subject else "test card"

    @property
    def subject(self) -> Subject | None:
        return self._subject

    def step(self, by: int) -> None:
        """The next or previous photo of the data set, or of the chosen class."""
        if self._order:
            self._place = (self._place + by) % len(self._order)
            self._epoch = 0
            self._choose_from_data()

    def show_file(self, path: str) -> None:
        """A photo from anywhere, for instance dropped on the page."""
        self._epoch = 0
        self._set_subject(Subject(path, os.path.basename(path)))

    def reroll(self) -> None:
        """The next epochs: new random values."""
        if self._last_reroll.isValid() and self._last_reroll.elapsed() < _REROLL_EVERY_MS:
            return
        self._last_reroll.start()
        self._epoch += NUM_VARIANTS
        self.refresh()

    def _on_store_dataset_changed(self, dataset) -> None:
        names = dataset.classes if dataset is not None else ()
        self.class_box.set_options([("", "All classes"), *((name, shown(name)) for name in names)], self.class_box.value)
        self._show_class_box()
        for widget in (self.back_button, self.next_button):
            widget.setVisible(dataset is not None)
        self._fill_order()
        if dataset is None:
            if self._subject is None or self._subject.is_from_data:
                self._subject = None
            self.refresh()
        elif self._subject is None or self._subject.is_from_data or not os.path.exists(self._subject.path):
            self._keep_photo()

    def _fill_order(self) -> None:
        dataset, label = self._store.dataset, self.class_box.value
        samples = dataset.part("train") if dataset is not None else ()
        chosen = [i for i, s in enumerate(samples) if not label or s.label == label]
        self._order = sorted(chosen, key=lambda i: zlib.crc32(samples[i].id.encode("utf-8", "surrogatepass")))

    def _keep_photo(self) -> None:
        """Stay at the photo that is shown where it is still there."""
        dataset = self._store.dataset
        name = self._subject.name if self._subject else None
        samples = dataset.part("train")
        self._place = next((i for i, at in enumerate(self._order) if samples[at].id == name), 0)
        self._choose_from_data()

    def _choose_from_data(self) -> None:
        dataset = self._store.dataset
        if dataset is None or not self._order:
            self._subject = None
            self.refresh()
            return
        index = self._order[self._place]
        sample = dataset.part("train")[index]
        self._set_subject(Subject(dataset.path_of(sample), sample.id, index, sample.label, is_from_data=True))

    def _on_class_chosen(self, _name: str) -> None:
        self._fill_order()
        self._place, self._epoch = 0, 0
        self._choose_from_data()

    def _set_subject(self, subject: Subject) -> None:
        self._subject = subject
        self.refresh()

    # Asking

    def set_active(self, is_active: bool) -> None:
        """Off while another page is in front: then nothing is asked."""
        self._is_active = is_active
        if is_active:
            self.refresh()

    def _on_store_experiment_changed(self, old, new) -> None:
        if (old.augment, old.model, old.training.seed) != (new.augment, new.model, new.training.seed):
            self.refresh()

    def refresh(self) -> None:
        """Ask for the pictures unless they are the ones shown or asked for already."""
        subject = self._subject
        self.name_label.setText(self._name)
        if not self._is_active:
            return
        experiment = self._store.experiment
        if not self.network_toggle.isChecked():
            size = min(1024, max(LARGER_PX, experiment.model.input_size))
            experiment = experiment.changed({"model.input_size": size})
        question = (subject, self._epoch, experiment.augment, experiment.model, experiment.training.seed)
        if question == self._asked:
            return
        self._asked = question
        try:
            path = path_to_text(subject.path if subject else test_card_path())
        except OSError as exc:
            self._on_failed(
                question, f"The test picture cannot be written: {exc.strerror or exc}.", "Make room on the disk, or open a folder."
            )
            return
        # What the pictures depend on and no more: a long list of left-out files need not travel.
        raw = experiment.model_dump(mode="json", include={"schema_version", "name", "model", "augment", "training"})
        raw["data"] = {"max_megapixels": experiment.data.max_megapixels}
        self._path = subject.path if subject else path
        self._tiles = None
        self._mute.start()
        self.spinner.setVisible(True)
        self._say_facts(experiment.model.input_size)
        self._loader.pixmap(self._path, _ORIGINAL_PX)
        params = {
            "experiment": raw, "image_path": path, "sample_index": subject.index if subject else 0, "epoch": self._epoch,
            "count": NUM_VARIANTS,
        }  # fmt: skip
        self._context.preview.call(
            "variants",
            params,
            lambda result: self._on_variants(question, result),
            lambda error: self._on_failed(question, error.sentence, error.fix),
            lambda done, total, what: self._on_progress(question, what),
            key="augment.variants",
        )

    def _say_facts(self, size: int) -> None:
        sees = "as the network gets it" if self.network_toggle.isChecked() else "larger than the network gets it"
        where = "" if self._subject and self._subject.is_from_data else " (not a training image)" if self._subject else ""
        epochs = f"epochs {self._epoch + 1} to {self._epoch + NUM_VARIANTS}"
        name = self._name if len(self._name) <= 28 else f"{self._name[:16]}…{self._name[-11:]}"
        self.fact_label.setText(f"{name}{where} · {size} × {size} px, {sees} · {epochs}")

    def _on_progress(self, question: tuple, what: str) -> None:
        if question == self._asked and what.startswith("loading"):
            self.fact_label.setText("Starting the preview…")

    def _on_variants(self, question: tuple, result: dict) -> None:
        images = [take_image(reference) for reference in result["images"]]
        if question == self._asked:
            first = question[1]
            pairs = zip(images, result["seeds"], strict=True)
            self._tiles = [Variant(QPixmap.fromImage(image), first + i, seed) for i, (image, seed) in enumerate(pairs)]
            self._show_when_whole()

    def _show_when_whole(self) -> None:
        """The original comes from the file itself, the variants from the worker; they are shown together."""
        if self._tiles is None:
            return
        original = self._loader.pixmap(self._path, _ORIGINAL_PX)
        if original is None and self._path not in self._loader.failed:
            return
        tiles, self._tiles = self._tiles, None
        self._finish()
        self.banner.hide()
        self.grid.show_variants([Variant(original or QPixmap()), *tiles])
        self.seed_label.setText(f"seed {tiles[0].seed}")
        self._say_facts(self._asked[3].input_size)

    def _finish(self) -> None:
        self._mute.stop()
        self.spinner.setVisible(False)

    def _on_failed(self, question: tuple, sentence: str, fix: str) -> None:
        if question != self._asked:
            return
        self._finish()
        self._asked = None  # the same question may be asked again
        self.grid.show_variants([])
        self.seed_label.setText("")
        actions = [("Try again", self.refresh)]
        if self._subject is not None and self._order:
            actions.append(("Next photo", lambda: self.step(1)))
        self.banner.show_message("error", sentence, fix, tuple(actions))
