"""Images with more bands than a screen has colours: which three are red, green and blue, with pictures of the choice beside it."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.experiment import Data
from studio.core.problem import Problem
from studio.core.reading import WHITE_16_BIT, Reading, suggested_bands
from studio.core.words import counted
from studio.dataset.dataset import Dataset
from studio.gui.store import ExperimentStore
from studio.gui.theme import colour, font, px
from studio.gui.widgets import ComboBox, IconLabel, Panel, PlainLabel, button, set_plain_tooltip
from studio.gui.widgets.thumb import ThumbLoader, paint_cover

_CHANNELS = ("Red", "Green", "Blue")
_TILES, _TILE_PX = 3, 64
_BLACK = 24  # of 255, the mean of the brightest channel
_WHITES = (WHITE_16_BIT, 16_383, 10_000, 4095, 1023)
_WHITE_HELP = "Of 16-bit images: the value that becomes white. 65,535 clips nothing.\n16,383: 14 bits\n10,000: reflectance\n4,095: 12 bits\n1,023: 10 bits"


class BandsPanel(Panel):
    """Hidden where every image is a usual picture. Until somebody has decided, a choice is suggested and a run waits; afterwards a change takes
    effect at once and is one undo step."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(name="data.bands", parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._store = store
        self._num_bands = 0
        self._asked_of: tuple[str, int] = ("", 0)  # the folder and its bands that the boxes have a choice of
        self._whites: list[tuple[int, str]] = []
        self._detail = ""
        self.preview = _Preview()
        self.preview.loader.loaded.connect(lambda _: self._show_detail())
        self._icon = IconLabel("warning-octagon", "bad", 18)
        self.title_label = PlainLabel("", "strong", elide=Qt.TextElideMode.ElideRight)
        self.detail_label = PlainLabel("", "label", "text2", elide=Qt.TextElideMode.ElideRight)
        self.combos = tuple(ComboBox(name=f"data.bands.{channel.lower()}") for channel in _CHANNELS)
        self.white = ComboBox(name="data.white")
        self.white.setFixedWidth(px(92))
        self.white.setAccessibleName("16-bit value of white")
        set_plain_tooltip(self.white, _WHITE_HELP)
        self.white.value_changed.connect(lambda value: self._store.set({"data.white": value}))
        self.use_button = button("Use these bands", kind="primary", name="data.bands.use", on_click=self._apply)
        self._choice = QWidget()
        choice = QHBoxLayout(self._choice)
        choice.setContentsMargins(0, 0, 0, 0)
        choice.setSpacing(px(6))
        for channel, combo in zip(_CHANNELS, self.combos):
            combo.setAccessibleName(f"Band shown as {channel.lower()}")
            combo.setFixedWidth(px(66))
            combo.value_changed.connect(self._on_chosen)
            choice.addWidget(PlainLabel(channel, "label"))
            choice.addWidget(combo)
            choice.addSpacing(px(4))
        controls = QHBoxLayout()
        controls.setSpacing(px(6))
        controls.addWidget(self._choice)
        controls.addWidget(PlainLabel("White at", "label"))
        controls.addWidget(self.white)
        controls.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        head = QHBoxLayout()
        head.setSpacing(px(6))
        head.addWidget(self._icon)
        head.addWidget(self.title_label, 1)
        words.addLayout(head)
        words.addWidget(self.detail_label)
        words.addStretch(1)
        words.addLayout(controls)
        row = QHBoxLayout()
        row.setSpacing(px(14))
        row.addWidget(self.preview)
        row.addLayout(words, 1)
        row.addWidget(self.use_button, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(row)
        self.hide()

    def show_state(self, dataset: Dataset | None, data: Data, problems: tuple[Problem, ...]) -> None:
        banded = dataset.banded if dataset is not None else ()
        is_dark = any(p.field == "data.white" for p in problems)
        self.setVisible(bool(banded) or dataset is not None and (is_dark or data.white != WHITE_16_BIT))
        if self.isHidden():
            return
        self._choice.setVisible(bool(banded))
        self._show_white(data.white)
        is_wrong = any(p.field == "data.bands" for p in problems) or bool(banded) and not data.bands
        if banded:
            fewest, most = dataset.band_range
            self._show_bands(dataset.root, fewest, data.bands)
            numbers = f"{self._num_bands}" if most == self._num_bands else f"{self._num_bands} to {most}"
            self.title_label.setText(f"{counted(len(banded), 'image has', 'images have')} {numbers} bands")
            ask = "Choose which three are red, green and blue; training waits for it."
            self._detail = ask if is_wrong else "These three are red, green and blue, in training and everywhere after it."
        else:
            self.title_label.setText("16-bit images")
            self._detail = "Say which value is white, so that they are neither almost black nor cut off."
        self._icon.set_icon(*(("warning-octagon", "bad") if is_wrong else ("warning", "warn") if is_dark else ("check-circle", "good")))
        self.use_button.setVisible(bool(banded) and (is_wrong or not data.bands))
        step = max(1, len(banded or dataset.samples) // _TILES)
        self.preview.show_paths([dataset.path_of(s) for s in (banded or dataset.samples)[::step][:_TILES]])
        self._show_preview()
        self._show_detail()

    def focus_choice(self) -> None:
        if self.isVisible():
            (self.combos[0] if self._choice.isVisible() else self.white).setFocus(Qt.FocusReason.ShortcutFocusReason)

    @property
    def chosen(self) -> tuple[int, ...]:
        """What the boxes show."""
        return tuple(combo.value for combo in self.combos) if self._choice.isVisibleTo(self) else ()

    def _show_bands(self, root: str, num_bands: int, bands: tuple[int, ...]) -> None:
        if (root, num_bands) != self._asked_of:
            self._asked_of, self._num_bands = (root, num_bands), num_bands
            for combo, band in zip(self.combos, suggested_bands(num_bands)):
                combo.set_options([(n, f"{n}") for n in range(1, num_bands + 1)], band)
        for combo, band in zip(self.combos, bands):
            if band <= num_bands:
                combo.set_value(band)

    def _show_white(self, white: int) -> None:
        options = [(value, f"{value:,}") for value in sorted({white, *_WHITES}, reverse=True)]
        if options != self._whites:  # a scan tells of itself many times a second: a list that is open stays as it is
            self._whites = options
            self.white.set_options(options)
        self.white.set_value(white)

    def _show_preview(self) -> None:
        self.preview.set_reading(replace(self._store.experiment.data.reading, bands=self.chosen))

    def _show_detail(self) -> None:
        is_black = self.preview.is_black and self._choice.isVisibleTo(self)
        self.detail_label.setText("Almost black? Say below which value is white." if is_black else self._detail)

    def _on_chosen(self, _band: object) -> None:
        if self.use_button.isVisibleTo(self):
            self._show_preview()
        else:
            self._apply()

    def _apply(self) -> None:
        self._store.set({"data.bands": self.chosen}, f"bands {', '.join(map(str, self.chosen))}")


class _Preview(QWidget):
    """A few of the images as they will be read."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.loader = ThumbLoader(self, threads=1)
        self.loader.loaded.connect(lambda _: self.update())
        self.destroyed.connect(self.loader.close)
        self.paths: list[str] = []
        self.setFixedSize(self.sizeHint())
        self.setAccessibleName("Images in the chosen bands")

    def sizeHint(self) -> QSize:
        return QSize(_TILES * px(_TILE_PX) + (_TILES - 1) * px(4), px(_TILE_PX))

    def show_paths(self, paths: list[str]) -> None:
        self.paths = paths
        self.update()

    def set_reading(self, reading: Reading) -> None:
        self.loader.set_reading(reading)
        self.update()

    @property
    def is_black(self) -> bool:
        """Whether next to nothing can be seen of those that have been read."""
        read = [p for path in self.paths if (p := self.loader.pixmap(path, 2 * _TILE_PX)) is not None]
        levels = [p.scaled(1, 1, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation) for p in read]
        return bool(read) and all(max(p.toImage().pixelColor(0, 0).getRgb()[:3]) < _BLACK for p in levels)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        side = px(_TILE_PX)
        for number, path in enumerate(self.paths):
            tile = QRectF(number * (side + px(4)), 0, side, side)
            paint_cover(painter, tile, self.loader.pixmap(path, 2 * _TILE_PX))
            if reason := self.loader.failed.get(path):
                painter.setFont(font("caption"))
                painter.setPen(colour("muted"))
                painter.drawText(tile.adjusted(4, 4, -4, -4), int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), reason)
        painter.end()
