"""Use: try a trained network on pictures and folders, and export it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from heapq import nlargest
from itertools import islice

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QStackedLayout, QWidget

from studio.catalog.augments.test_time import TEST_TIMES, TestTime
from studio.core.path_text import path_to_text
from studio.core.reliability import ACCURACIES
from studio.core.unsure import LEAST, unsure_below
from studio.core.words import confidence_text
from studio.gui.needs_run import NeedsRun
from studio.gui.page import Page
from studio.gui.pages.use.export import ExportColumn
from studio.gui.pages.use.folder import FolderPanel
from studio.gui.pages.use.trial import Model, TryPanel, is_picture_file
from studio.gui.run_entry import RunEntry
from studio.gui.sureness import Sureness, read_sureness, sure_words
from studio.gui.theme import px
from studio.gui.widgets import Banner, ComboBox, PlainLabel, Segmented, Slider, set_plain_tooltip, splitter
from studio.gui.wording import epoch_score, percent

_THRESHOLD = "use/unsure_below"
MOST_LOOKED_AT = 120  # the best runs, of which the disk says whether their weights are still there
MOST_RUNS = 100  # a longer list is no help; the others are chosen on the Results page
_TEST_TIME = "use/test_time"


class UsePage(Page):
    key, title = "use", "Use"

    def make(self) -> Iterator[None]:
        context = self.context
        self._entries: list[RunEntry] = []
        self._least: float | None = None  # score of the last of the best, where more runs could be used than are listed
        self._kept: RunEntry | None = None  # the run that was chosen or used; without one it is the best
        wish = context.settings.number(_THRESHOLD, -1.0)
        self._wish = min(1.0, wish) if wish >= 0 else None  # the user's own; None takes what the run's validation suggests
        self._sureness: dict[tuple[str, int], Sureness | None] = {}  # of the model in use, by name and epoch; None while it is read
        self._threshold = LEAST if self._wish is None else self._wish
        self.picker = ComboBox(name="use.model")
        self.picker.setAccessibleName("Model")
        self.picker.setSizeAdjustPolicy(ComboBox.SizeAdjustPolicy.AdjustToContents)
        self.picker.setMaximumWidth(px(300))
        self.picker.value_changed.connect(self._on_run_chosen)
        self.banner = Banner(name="use.banner")
        self.epoch_choice = Segmented([("best", "Best"), ("last", "Last")], name="use.epoch")
        self.epoch_choice.setAccessibleName("Best or last epoch")
        self.epoch_choice.value_changed.connect(lambda _: self._refresh_model())
        self.views = ComboBox(
            [(each.key, _views_title(each)) for each in TEST_TIMES], context.settings.text(_TEST_TIME, "off"), name="use.test_time"
        )
        self.views.setAccessibleName("Views at test time")
        self.views.setMinimumWidth(px(96))
        self.views.value_changed.connect(self._on_views_chosen)
        self.head.removeWidget(self.subtitle_label)
        for widget in (self.picker, self.epoch_choice, self.views):
            self.head.addWidget(widget)
        self.head.addWidget(self.subtitle_label, 1)
        self.threshold_label = PlainLabel("Unsure below", "label")
        self.threshold_slider = Slider(0, 1, self._threshold, default=LEAST, name="use.threshold")
        self.threshold_slider.setAccessibleName("Say unsure below this probability")
        self.threshold_slider.setFixedWidth(px(72))
        self.threshold_slider.value_changed.connect(self._on_threshold_changed)
        self.threshold_slider.default_wanted.connect(self._on_threshold_default_wanted)
        self.threshold_value = PlainLabel(percent(self._threshold, 0), "number")
        self.threshold_value.setMinimumWidth(px(36))
        for widget in (self.threshold_label, self.threshold_slider, self.threshold_value):
            self.head.addWidget(widget)
        yield
        left = splitter(Qt.Orientation.Vertical, name="use.left")
        columns = splitter(Qt.Orientation.Horizontal, left, name="use.columns")
        self.body.addWidget(self.banner)
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(columns)
        self.body.addWidget(holder, 1)
        self.try_panel = TryPanel(context)
        left.addWidget(self.try_panel)
        yield
        self.folder_panel = FolderPanel(context)
        left.addWidget(self.folder_panel)
        self.folder_panel.picture_wanted.connect(self.try_panel.try_path)
        yield
        self.export_column = ExportColumn(context)
        columns.addWidget(self.export_column)
        yield
        for parts, shares in ((left, (1, 1)), (columns, (2, 1))):
            for place, share in enumerate(shares):
                parts.setStretchFactor(place, share)
        columns.setSizes([px(640), px(330)])
        hint = "Train a network first; it can be tried here as soon as its first epoch is done."
        self.empty = NeedsRun(context, "package", "Needs a finished epoch", hint, name="use.empty")
        self._stack.addWidget(self.empty)
        yield
        for panel in (self.try_panel, self.folder_panel, self.export_column):
            panel.used.connect(self._keep)
        context.runs.entries_changed.connect(self._refresh_runs)
        context.runs.state_changed.connect(self._on_run_state_changed)
        self._apply_threshold()
        self._refresh_runs()

    # the model

    def _refresh_runs(self) -> None:
        """The best runs that can be used, the best first, and the one that is kept. Where that is gone, another one takes its place until it
        comes back from the bin."""
        runs = self.context.runs
        best = nlargest(MOST_LOOKED_AT, (e for e in runs.finished if e.summary.has_checkpoint), key=_score)
        usable = list(islice((e for e in best if e.folder.has_checkpoint()), MOST_RUNS))
        self._least = _score(usable[-1]) if len(usable) == MOST_RUNS else None
        kept, before, reason = self._kept, self.entry, ""
        if kept:
            kept = runs.entry(kept.folder) or kept
            reason = self._reason_not_to_use(kept)
            usable += [kept] if not reason and kept not in usable else []
        self._entries = usable
        has_any = bool(usable)
        self._stack.setCurrentIndex(0 if has_any else 1)
        for widget in (
            self.picker,
            self.epoch_choice,
            self.views,
            self.threshold_label,
            self.threshold_slider,
            self.threshold_value,
        ):
            widget.setVisible(has_any)
        chosen = next((e for e in (kept, kept and before) if e in usable), usable[0] if usable else None)
        labels = [(e.folder.name, f"{'★ ' if e is usable[0] else ''}{e.name}, {e.folder.nickname} · {_score_words(e)}") for e in usable]
        self.picker.set_options(labels, chosen.folder.name if chosen else None)
        if chosen is not before:
            self._say(reason)
        self._refresh_model(reason)

    def _reason_not_to_use(self, entry: RunEntry) -> str:
        """A sentence; empty where the run can be used."""
        if entry not in self.context.runs:
            return f"{entry.name.capitalize()} is gone."
        if not entry.summary.epochs_done:
            return f"{entry.name.capitalize()} has no finished epoch yet."
        return "" if entry.folder.has_checkpoint() else f"The checkpoint of {entry.name} is gone."

    def _say(self, reason: str) -> None:
        """Why a run is not used, and which one is."""
        if reason:
            self.banner.show_message(
                "warning", f"{reason} {self.entry.name.capitalize()} is in use." if self.entry else reason, can_close=True
            )
        else:
            self.banner.hide()

    def _keep(self) -> None:
        """What somebody has answers of stays in use, also when another one becomes the best."""
        self._kept = self.entry
        self._say("")

    def _on_run_state_changed(self, entry: RunEntry) -> None:
        """A first epoch, or a new best one: the list is made anew only then, not with every step."""
        is_listed = entry in self._entries
        num_epochs = entry.summary.epochs_done
        is_new = num_epochs > 0 and not is_listed and (self._least is None or _score(entry) > self._least)
        if is_new or is_listed and self._seen.get(entry.folder.name) != num_epochs:
            self._refresh_runs()

    def _refresh_model(self, lost: str = "") -> None:
        """`lost`: why the run that was kept is not in use."""
        entry = self.entry
        self._seen = {e.folder.name: e.summary.epochs_done for e in self._entries}
        model = None
        if entry:
            reading = entry.experiment.data.reading
            model = Model(path_to_text(entry.folder.path), str(self.epoch_choice.value), str(self.views.value), reading)
        chosen = next(each for each in TEST_TIMES if each.key == self.views.value)
        set_plain_tooltip(self.views, f"{chosen.help}\nThe answers to all views of a picture are averaged.")
        self.try_panel.set_model(model)
        self.folder_panel.set_model(model, lost)
        self.export_column.set_model(replace(model, test_time="off") if model else None)  # an export has one view
        words = _epoch_words(entry, str(self.epoch_choice.value)) if entry else ""
        self.subtitle_label.set_texts(words, words.partition(" of ")[0])
        self._suggest_threshold()

    def _on_views_chosen(self, key: object) -> None:
        self.context.settings.set(_TEST_TIME, key)
        self._refresh_model()

    @property
    def entry(self) -> RunEntry | None:
        """The run in use."""
        name = self.picker.value
        return next((e for e in self._entries if e.folder.name == name), None)

    def _on_run_chosen(self, name: object) -> None:
        self._kept = next(e for e in self._entries if e.folder.name == name)
        self._say("")
        self._refresh_model()

    # the threshold

    def _suggest_threshold(self) -> None:
        """Half, or the confidence from which on 95 % of the run's validation images are right where that is more. The user's own choice stays."""
        suggested, words = unsure_below(None), "Below this probability an answer counts as unsure."
        entry = self.entry
        best = entry.state.best if entry else None
        if best and (
            self.epoch_choice.value == "best" or best is entry.state.epochs[-1]
        ):  # the answers that are stored are the best epoch's
            key = (entry.folder.name, best.epoch)
            if key not in self._sureness:
                self._sureness = {key: None}
                self.context.background.run(lambda: read_sureness(entry.folder), lambda found: self._on_sureness_read(key, found))
            if sureness := self._sureness[key]:
                words += "\n" + "\n".join(sure_words(sureness.validation, accuracy) + "." for accuracy in ACCURACIES)
                suggested = unsure_below(sureness.validation.answered)
        words += f"\nA double-click goes to {confidence_text(suggested)}."
        for widget in (self.threshold_label, self.threshold_slider, self.threshold_value):
            set_plain_tooltip(widget, words)
        self.threshold_slider.setAccessibleDescription(words)
        self.threshold_slider.set_default(suggested)
        if self._wish is None and suggested != self._threshold:
            self._threshold = suggested
            self.threshold_slider.set_number(suggested)
            self._apply_threshold()

    def _on_sureness_read(self, key: tuple[str, int], found: Sureness | None) -> None:
        if key in self._sureness and found is not None:
            self._sureness[key] = found
            self._suggest_threshold()

    def _on_threshold_changed(self, value: float) -> None:
        self._wish = self._threshold = round(value, 2)
        self.context.settings.set(_THRESHOLD, self._threshold)
        self._apply_threshold()

    def _on_threshold_default_wanted(self) -> None:
        """From now on what the run's validation suggests, to its last digit: that of the next run, too."""
        self._wish = None
        self.context.settings.set(_THRESHOLD, -1.0)
        self._suggest_threshold()

    def _apply_threshold(self) -> None:
        self.threshold_value.setText(confidence_text(self._threshold))
        self.try_panel.set_threshold(self._threshold)
        self.folder_panel.set_threshold(self._threshold)

    # the window

    def show_argument(self, argument: object) -> None:
        """A RunEntry: use this one, or say why it cannot be used."""
        if isinstance(argument, RunEntry):
            reason = self._reason_not_to_use(argument)
            if not reason:
                self._kept = argument
                self._refresh_runs()
            self._say(reason)

    def accept_drop(self, paths: list[str]) -> bool:
        """One picture is tried; a folder is predicted. Without a model the window keeps them."""
        if not self._entries or not paths:
            return False
        if os.path.isdir(paths[0]):
            self.folder_panel.predict(paths[0])
        elif is_picture_file(paths[0]):
            self.try_panel.try_path(paths[0])
        else:
            return False
        return True

    def shortcuts(self):
        return ((QKeySequence(QKeySequence.StandardKey.Paste).toString(), "Try the picture on the clipboard", self._on_paste),)

    def _on_paste(self) -> None:
        if self._entries and not self.try_panel.paste():
            self.context.shell.toast("There is no picture on the clipboard.")

    @classmethod
    def screenshot_states(cls):
        return {"tried": _show_tried, "folder": _show_folder}


def _views_title(choice: TestTime) -> str:
    return "One view" if choice.num_views == 1 else choice.title


def _score(entry: RunEntry) -> float:
    top1 = entry.summary.top1
    return top1 if top1 is not None else entry.state.epochs[-1].validation_top1 or 0.0


def _score_words(entry: RunEntry) -> str:
    return percent(_score(entry)) if entry.state.is_measured else "not measured"


def _epoch_words(entry: RunEntry, which: str) -> str:
    """ "epoch 7 of 12, top-1 93.1 %"."""
    epoch = (entry.state.best or entry.state.epochs[-1]) if which == "best" else entry.state.epochs[-1]
    total = entry.experiment.schedule.epochs
    return f"epoch {epoch.epoch + 1} of {total}, {epoch_score(epoch)}"


def _show_tried(page: UsePage) -> None:
    """For the screenshots: answers as a worker gives them, on pictures of the data set."""
    dataset = page.store.dataset
    samples = dataset.part("validation")[:4]
    for sample in reversed(samples):
        page.try_panel.try_path(dataset.path_of(sample))
    path = dataset.path_of(samples[0])
    shares = [0.884, 0.062, 0.031, 0.012, 0.006, 0.003][: len(dataset.classes)]
    names = [samples[0].label, *[c for c in dataset.classes if c != samples[0].label]]
    top = [[dataset.classes.index(n), p] for n, p in zip(names, shares, strict=False)]
    page.try_panel._on_predicted({"classes": list(dataset.classes), "predictions": [{"path": path, "top": top, "reason": ""}]})


def _show_folder(page: UsePage) -> None:
    import numpy as np

    from studio.gui.pages.use.folder_work import Row

    dataset = page.store.dataset
    rng = np.random.default_rng(3)
    work = page.folder_panel.work
    work.folder, work.state, work.total, work._skipped = text_root(dataset), "done", 60, 0
    for sample in dataset.part("train")[:60]:
        share = float(rng.beta(6, 1))
        other = dataset.classes[int(rng.integers(len(dataset.classes)))]
        work.rows.append(Row(dataset.path_of(sample), sample.id, ((sample.label, share), (other, (1 - share) * 0.7))))
    work.changed.emit()
    _show_tried(page)


def text_root(dataset) -> str:
    from studio.core.path_text import text_to_path

    return text_to_path(dataset.root)
