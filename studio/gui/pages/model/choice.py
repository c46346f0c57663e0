"""The card under the table: what is known of the selected backbone, and how it becomes the draft's.

Nothing is downloaded without a click on Download. A stopped download goes on from where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.core.path_text import shown
from studio.gui.pages.model.costs import Costs
from studio.gui.pages.model.listing import NO_COST, Key, facts, key_of, value_words
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel, Tag, button
from studio.gui.wording import num_bytes
from studio.gui.workers import WorkerClient

State = Literal["none", "running", "stopped", "failed", "done"]


@dataclass
class Download:
    """How the download of one backbone stands."""

    state: State = "none"
    request: int = 0
    done: int = 0
    total: int | None = None
    problem: str = ""


class ChoiceCard(QFrame):
    """Shows one backbone. `use_wanted` asks the page to take it, `untrained_wanted` to take it without pretrained weights."""

    use_wanted = Signal(object)  # BackboneInfo
    untrained_wanted = Signal(object)  # BackboneInfo
    measure_wanted = Signal(object)  # BackboneInfo
    installed = Signal(object)  # BackboneInfo: its weights have just arrived

    def __init__(self, probe: WorkerClient, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "raised")
        self.setObjectName("model.choice")
        self._probe = probe
        self._info: BackboneInfo | None = None
        self._chosen: Key = ("", "")
        self._is_pretrained = True
        self._downloads: dict[Key, Download] = {}
        self._costs: Costs | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10), px(8), px(10), px(8))
        column.setSpacing(px(3))
        top = QHBoxLayout()
        top.setSpacing(px(8))
        self.title_label = PlainLabel("", "panel", elide=Qt.TextElideMode.ElideRight)
        self.tag = Tag("")
        top.addWidget(self.title_label, 1)
        top.addWidget(self.tag)
        column.addLayout(top)
        self.facts_label = PlainLabel("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.source_label = PlainLabel("", "caption", wrap=True)
        self.url_label = PlainLabel("", "tick", "muted", elide=Qt.TextElideMode.ElideMiddle)
        self.problem_label = PlainLabel("", "caption", "bad", wrap=True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Download")
        self.progress_label = PlainLabel("", "number", "muted")
        for widget in (self.facts_label, self.source_label, self.url_label, self.problem_label, self.bar, self.progress_label):
            column.addWidget(widget)
        row = QHBoxLayout()
        row.setSpacing(px(6))
        self.use_button = button("Use", "check", kind="primary", small=True, name="model.use", on_click=self._on_use)
        self.download_button = button(
            "Download",
            "download-simple",
            kind="primary",
            small=True,
            name="model.download",
            tooltip="Needs a connection to the internet",
            on_click=self._on_download,
        )
        self.cancel_button = button("Stop", "x", small=True, name="model.download.stop", on_click=self._on_cancel)
        self.untrained_button = button(
            "Use untrained",
            kind="quiet",
            small=True,
            name="model.untrained",
            tooltip="Start from random weights. Needs many more images and epochs.",
            on_click=self._on_untrained,
        )
        self.measure_button = button(
            "Measure",
            "timer",
            kind="quiet",
            small=True,
            name="model.measure",
            tooltip="Time training steps of it on this device, for about two seconds and with the present plan",
            on_click=lambda: self.measure_wanted.emit(self._info),
        )
        for made in (self.use_button, self.download_button, self.cancel_button, self.untrained_button, self.measure_button):
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
        self.hide()

    # what is shown

    def show_info(self, info: BackboneInfo | None, chosen: Key, is_pretrained: bool) -> None:
        """`chosen` is the draft's backbone; its card is shown only while its weights are missing and wanted."""
        self._info, self._chosen, self._is_pretrained = info, chosen, is_pretrained
        self._refresh()

    def show_cost(self, costs: Costs) -> None:
        """What is known of costs on this device has changed."""
        self._costs = costs
        self._refresh()

    def focus_action(self) -> None:
        """Give the keyboard to the main button."""
        target = self.use_button if self.use_button.isVisible() else self.download_button
        target.setFocus(Qt.FocusReason.TabFocusReason)

    def download_of(self, info: BackboneInfo) -> Download:
        return self._downloads.setdefault(key_of(info), Download())

    def _refresh(self) -> None:
        info = self._info
        is_chosen = info is not None and key_of(info) == self._chosen
        is_needed = info is not None and (not is_chosen or not info.is_installed and self._is_pretrained)
        self.setVisible(is_needed)
        if not is_needed:
            return
        now = self.download_of(info)
        is_running = now.state == "running"
        self.title_label.setText(shown(info.title))
        self.tag.setText("installed" if info.is_installed else "downloading" if is_running else "to download")
        self.tag.set_kind("good" if info.is_installed else "run" if is_running else "warn" if is_chosen else "plain")
        self.facts_label.setText(facts(info) + self._cost_words(info))
        is_measuring = self._costs is not None and self._costs.measuring == key_of(info)
        self.measure_button.setText("Measuring…" if is_measuring else "Measure")
        self.measure_button.setEnabled(self._costs is not None and self._costs.measuring is None)
        self.source_label.setText(self._source_words(info))
        self.source_label.setVisible(bool(self.source_label.text()))
        self.url_label.setText(shown(info.weights_url or ""))
        self.url_label.setVisible(bool(info.weights_url) and not info.is_installed)
        self.problem_label.setText(now.problem)
        self.problem_label.setVisible(now.state == "failed")
        self.bar.setVisible(is_running)
        self.bar.setRange(0, 1000 if now.total else 0)
        self.bar.setValue(round(1000 * now.done / now.total) if now.total else 0)
        self.progress_label.setVisible(now.state in ("running", "stopped"))
        self.progress_label.setText(_progress_words(now))
        self.use_button.setVisible(info.is_installed and not is_chosen)
        self.use_button.setAccessibleName(f"Use {shown(info.title)}")
        self.download_button.setVisible(not info.is_installed and not is_running)
        self.download_button.setEnabled(bool(info.weights_url))
        self.download_button.setText({"stopped": "Resume", "failed": "Try again"}.get(now.state, "Download"))
        self.download_button.setAccessibleName(f"{self.download_button.text()} the weights of {shown(info.title)}")
        self.cancel_button.setVisible(is_running)
        self.untrained_button.setVisible(not info.is_installed)

    def _cost_words(self, info: BackboneInfo) -> str:
        cost = self._costs.costs.get(key_of(info), NO_COST) if self._costs is not None else NO_COST
        parts = [f"{value_words(info, 'memory_bytes', cost)}, {cost.fit or 'estimated'}"] if cost.memory_bytes else []
        parts += [f"{value_words(info, 'images_per_s', cost)} images/s here"] if cost.images_per_s else []
        return "".join(f" · {part}" for part in parts)

    @staticmethod
    def _source_words(info: BackboneInfo) -> str:
        licence = f"licence {info.licence}" if info.licence else "licence not stated"
        if info.is_installed:
            return f"From {info.source}, {shown(licence)}"
        if not info.weights_url:
            return f"{info.source} names no address for its weights."
        size = value_words(info, "weights_bytes") if info.likely_bytes else "size not stated"
        return f"{size} from {shown(urlsplit(info.weights_url).netloc)}, {shown(licence)}"

    # what it does

    def _on_use(self) -> None:
        self.use_wanted.emit(self._info)

    def _on_untrained(self) -> None:
        self.untrained_wanted.emit(self._info)

    def _on_download(self) -> None:
        info = self._info
        now = self.download_of(info)
        now.state, now.problem = "running", ""
        now.total = now.total or info.weights_bytes
        now.request = self._probe.call(
            "download_weights",
            {"source": info.source, "name": info.name},
            lambda result: self._on_downloaded(info),
            lambda error: self._on_failed(info, f"{error.sentence} {error.fix}".strip()),
            lambda done, total, what: self._on_progress(info, done, total),
            key=f"download:{info.source}:{info.name}",
        )
        self._refresh()

    def _on_cancel(self) -> None:
        now = self.download_of(self._info)
        self._probe.cancel(now.request)
        now.state = "stopped"
        self._refresh()
        self.download_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_progress(self, info: BackboneInfo, done: int, total: int | None) -> None:
        now = self.download_of(info)
        if now.state == "running":
            now.done, now.total = done, total or now.total
            self._refresh_if(info)

    def _on_failed(self, info: BackboneInfo, words: str) -> None:
        now = self.download_of(info)
        now.state, now.problem = "failed", words
        self._refresh_if(info)

    def _on_downloaded(self, info: BackboneInfo) -> None:
        self.download_of(info).state = "done"
        self._refresh_if(info)
        self.installed.emit(info)

    def _refresh_if(self, info: BackboneInfo) -> None:
        if self._info is not None and key_of(self._info) == key_of(info):
            self._refresh()


def _progress_words(now: Download) -> str:
    total = f" of {num_bytes(now.total)}" if now.total else ""
    if now.state == "stopped":
        return f"Stopped at {num_bytes(now.done)}{total}"
    return f"{num_bytes(now.done)}{total}" if now.done or now.total else "Connecting…"
