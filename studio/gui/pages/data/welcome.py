"""First launch, and every time no images are chosen: drop a folder, try a sample, or go on with a recent project."""

from __future__ import annotations

from datetime import date, datetime

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QFont, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.dataset.sample_set import SAMPLE_SETS, SampleSet
from studio.gui.icon import paint_icon
from studio.gui.pages.data.open import Opening, opening_of
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets import EmptyState, IconLabel, Panel, PlainLabel, Tag, button, scrolling, set_plain_tooltip
from studio.gui.widgets.dashed import DashedFrame
from studio.gui.wording import count


class Welcome(QWidget):
    """The whole page area. What is chosen goes out as signals."""

    folder_wanted = Signal()
    table_wanted = Signal()
    opening_chosen = Signal(object)  # Opening
    sample_wanted = Signal(str)  # key of a sample set
    project_wanted = Signal(object)  # Project
    locate_wanted = Signal(object)  # Project whose folder has moved

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(px(12), px(10), px(12), 0)
        column.setSpacing(px(16))
        self.zone = DropZone()
        self.zone.folder_wanted.connect(self.folder_wanted)
        self.zone.table_wanted.connect(self.table_wanted)
        self.zone.dropped.connect(self.opening_chosen)
        column.addWidget(self.zone, 1)
        row = QHBoxLayout()
        row.setSpacing(px(16))
        row.addWidget(self._make_samples(), 6)
        self.recent = RecentPanel()
        self.recent.project_wanted.connect(self.project_wanted)
        self.recent.locate_wanted.connect(self.locate_wanted)
        row.addWidget(self.recent, 5)
        column.addLayout(row)
        column.addLayout(self._make_footer())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens the picker from wherever the focus is on the page."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.folder_wanted.emit()
        else:
            super().keyPressEvent(event)

    def _make_samples(self) -> Panel:
        panel = Panel("Try it with sample images", "included, works without a network", name="data.samples")
        panel.setFixedHeight(px(188))
        row = QHBoxLayout()
        row.setSpacing(px(10))
        self.sample_cards = {each.key: SampleCard(each) for each in SAMPLE_SETS}
        for card in self.sample_cards.values():
            card.opened.connect(self.sample_wanted)
            row.addWidget(card, 1)
        panel.body.addLayout(row, 1)
        return panel

    def _make_footer(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(px(6))
        self._device_icon = IconLabel("spinner-gap", "muted", 14)
        self._device_label = PlainLabel("Looking at the device…", "label", elide=Qt.TextElideMode.ElideRight)
        self._backbone_icon = IconLabel("check-circle", "good", 14)
        self._backbone_label = PlainLabel("", "label")
        row.addWidget(self._device_icon)
        row.addWidget(self._device_label, 1)
        row.addSpacing(px(12))
        row.addWidget(self._backbone_icon)
        row.addWidget(self._backbone_label)
        row.addSpacing(px(12))
        row.addWidget(IconLabel("lock-simple", "text2", 14))
        row.addWidget(PlainLabel("Nothing leaves this computer", "label"))
        row.addSpacing(px(12))
        row.addWidget(Tag("F1", "key"))
        row.addWidget(PlainLabel("Keyboard map", "label"))
        return row

    def show_device(self, words: str, *, is_good: bool) -> None:
        self._device_icon.set_icon("check-circle" if is_good else "warning", "good" if is_good else "warn")
        self._device_label.setText(words)

    def show_num_backbones(self, num_installed: int) -> None:
        self._backbone_label.setText(f"{count(num_installed)} backbone{'' if num_installed == 1 else 's'} installed")

    def show_preparing(self, key: str, is_preparing: bool) -> None:
        for card in self.sample_cards.values():
            card.open_button.setEnabled(not is_preparing)
        self.sample_cards[key].open_button.setText("Writing…" if is_preparing else "Open")


class DropZone(DashedFrame):
    """Takes a folder, folders, a CSV file or an experiment file; the buttons do the same."""

    folder_wanted = Signal()
    table_wanted = Signal()
    dropped = Signal(object)  # Opening

    def __init__(self, parent: QWidget | None = None):
        super().__init__(ground="surface", parent=parent)
        self.setObjectName("data.drop_zone")
        self.setAccessibleName("Drop a folder of images here")
        self.setAcceptDrops(True)
        self.setMinimumHeight(px(216))
        column = QVBoxLayout(self)
        column.setSpacing(px(8))
        column.addStretch(1)
        column.addWidget(_ThreeTiles(), 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(px(12))
        self._title = PlainLabel("", "title", elide=Qt.TextElideMode.ElideMiddle)
        self._title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._title)
        self._sentence = PlainLabel("", "body", "text2", wrap=True)
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._sentence)
        column.addSpacing(px(4))
        row = QHBoxLayout()
        row.setSpacing(px(8))
        row.addStretch(1)
        self.folder_button = button(
            "Open folder…", "folder-notch-open", kind="primary", name="data.open_folder", tooltip="Ctrl O", on_click=self.folder_wanted.emit
        )
        row.addWidget(self.folder_button)
        row.addWidget(button("Open CSV…", "table", name="data.open_csv", on_click=self.table_wanted.emit))
        row.addStretch(1)
        column.addLayout(row)
        column.addSpacing(px(6))
        hint = PlainLabel("JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF · 8 and 16 bit · about 30 images per class are enough to start", "caption")
        hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(hint)
        column.addStretch(1)
        self._show_rest()

    def _show_rest(self) -> None:
        self._say(
            "Drop a folder of images here", "One sub-folder per class, or a CSV with file names and labels. Files stay where they are."
        )
        self._mark(False)

    def _say(self, title: str, sentence: str, tone: str = "text2") -> None:
        self._title.setText(title)
        self._sentence.setText(sentence)
        self._sentence.set_tone(tone)

    def say_refused(self, sentence: str) -> None:
        """Why a drop could not be opened; stays until the next one."""
        self._say("That cannot be opened", sentence, "warn")
        self._mark(False)

    def _mark(self, is_over: bool) -> None:
        self.set_active(is_over)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = _local_paths(event)
        if not paths:
            event.ignore()
            return
        event.acceptProposedAction()
        opening = opening_of(paths)
        if opening.kind == "refused":
            self._say("Not this", opening.words, "warn")
        else:
            self._say(opening.words, "Files stay where they are.")
        self._mark(opening.kind != "refused")

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._show_rest()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        opening = opening_of(_local_paths(event))
        self._show_rest()
        if opening.kind == "refused":
            self.say_refused(opening.words)
        else:
            self.dropped.emit(opening)


def _local_paths(event) -> list[str]:
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]


class _ThreeTiles(QWidget):
    """Three classes, as pictures of an idea: no photographs come with the program."""

    _TILES = (("cat", "series.0"), ("bird", "trains"), ("flower-lotus", "good"))

    def __init__(self):
        super().__init__()
        self.setFixedSize(px(288), px(98))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small, large, gap = px(84), px(96), px(10)
        x = (self.width() - 2 * small - large - 2 * gap) / 2
        for index, (name, token) in enumerate(self._TILES):
            side = large if index == 1 else small
            tile = QRectF(x, (self.height() - side) / 2, side, side).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.setPen(pen(token, 1, 0.5))
            painter.setBrush(colour(token, 0.14))
            painter.drawRoundedRect(tile, 8, 8)
            inner = tile.adjusted(side * 0.24, side * 0.24, -side * 0.24, -side * 0.24).toRect()
            paint_icon(painter, inner, name, token)
            x += side + gap
        painter.end()


class SampleCard(QFrame):
    """A sample set: four of its images, what it is, Open."""

    opened = Signal(str)

    def __init__(self, sample: SampleSet, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10), px(10), px(10), px(8))
        column.setSpacing(px(4))
        column.addWidget(_DigitTiles("3149" if sample.num_images > 1000 else "2750"))
        column.addStretch(1)
        column.addWidget(PlainLabel(sample.title, "strong", elide=Qt.TextElideMode.ElideRight))
        row = QHBoxLayout()
        row.setSpacing(px(6))
        row.addWidget(PlainLabel(f"{count(sample.num_images)} images · {sample.num_classes} classes", "caption"), 1)
        self.open_button = button("Open", small=True, name=f"data.sample.{sample.key}", on_click=lambda: self.opened.emit(sample.key))
        self.open_button.setAccessibleName(f"Open the sample {sample.title}")
        row.addWidget(self.open_button, 0, Qt.AlignmentFlag.AlignBottom)
        column.addLayout(row)
        set_plain_tooltip(self, sample.detail)


class _DigitTiles(QWidget):
    def __init__(self, digits: str):
        super().__init__()
        self._digits = digits
        self.setMinimumSize(px(96), px(40))
        self.setMaximumHeight(px(64))

    def sizeHint(self) -> QSize:
        return QSize(px(220), px(56))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        gap = px(4)
        width = (self.width() - gap * (len(self._digits) - 1)) / len(self._digits)
        side = min(width, self.height())
        style = QFont(font("metric"))
        style.setPixelSize(max(8, round(side * 0.62)))
        painter.setFont(style)
        for index, digit in enumerate(self._digits):
            tile = QRectF(index * (width + gap), (self.height() - side) / 2, width, side)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour("window"))
            painter.drawRoundedRect(tile, 4, 4)
            painter.setPen(colour("text2"))
            painter.drawText(tile, Qt.AlignmentFlag.AlignCenter, digit)
        painter.end()


class RecentPanel(Panel):
    """Projects by last change. A click opens one; where its folder is gone, Locate asks for the new place."""

    project_wanted = Signal(object)
    locate_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Recent projects", name="data.recent", margins=False, parent=parent)
        self.setFixedHeight(px(188))
        self._list = QWidget()
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(px(6), 0, px(6), px(6))
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._scroll = scrolling(self._list, name="data.recent.list")
        self._empty = EmptyState("clock-counter-clockwise", "Nothing yet", "What you open is listed here.", name="data.recent.empty")
        self.body.addWidget(self._scroll, 1)
        self.body.addWidget(self._empty, 1)
        self.show_projects([])

    def show_projects(self, projects: list[tuple[object, bool]]) -> None:
        """Pairs of Project and whether its folder is there."""
        while self._column.count() > 1:
            widget = self._column.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        for project, is_there in projects:
            row = RecentRow(project, is_there)
            row.opened.connect(self.project_wanted)
            row.located.connect(self.locate_wanted)
            self._column.insertWidget(self._column.count() - 1, row)
        self._scroll.setVisible(bool(projects))
        self._empty.setVisible(not projects)


class RecentRow(QFrame):
    opened = Signal(object)
    located = Signal(object)

    def __init__(self, project, is_there: bool, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(px(8), px(4), px(8), px(4))
        row.setSpacing(px(10))
        row.addWidget(IconLabel("folder" if is_there else "warning", "text2" if is_there else "warn", 20))
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(PlainLabel(shown(project.name), "strong", elide=Qt.TextElideMode.ElideRight))
        place = shown(project.source)
        text, tone = (place, "muted") if is_there else (f"not there any more: {place}", "warn")
        words.addWidget(PlainLabel(text, "caption", tone, elide=Qt.TextElideMode.ElideMiddle))
        row.addLayout(words, 1)
        row.addWidget(PlainLabel(day_words(project.changed_at), "caption"))
        signal = self.opened if is_there else self.located
        name = shown(project.name)
        self.action = button("Open" if is_there else "Locate…", small=True, on_click=lambda: signal.emit(project))
        self.action.setAccessibleName(f"{'Open' if is_there else 'Locate the images of'} {name}")
        row.addWidget(self.action)


def day_words(seconds: float) -> str:
    """ "today", "yesterday", "12 Oct", "12 Oct 2025"."""
    day = datetime.fromtimestamp(seconds).date()
    ago = (date.today() - day).days
    if ago in (0, 1):
        return ("today", "yesterday")[ago]
    return f"{day.day} {day:%b}" + (f" {day.year}" if day.year != date.today().year else "")


__all__ = ["DropZone", "Opening", "RecentPanel", "Welcome", "day_words"]
