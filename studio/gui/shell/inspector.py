"""The inspector: what the draft would cost and do. Folds to a strip with the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from studio.core.words import counted
from studio.gui import wording
from studio.gui.context import Context
from studio.gui.run_entry import RunEntry
from studio.gui.shell.advice import Advice, advise
from studio.gui.shell.curve import MiniCurve
from studio.gui.shell.edits import EditsBlock
from studio.gui.shell.sights import Sights
from studio.gui.theme import px
from studio.gui.widgets import MeterBar, Metric, PlainLabel, button, icon_button, line, scrolling, set_plain_tooltip
from studio.gui.widgets.state import IconLabel

if TYPE_CHECKING:
    from studio.dataset.disk_use import DiskUse, Others

WIDTH = 258
STRIP = 53
FOLLOW_MS = 1000
_MEMORY_TOKENS = ("series.0", "series.1", "series.2", "series.3")


class Inspector(QFrame):
    """Full or strip; follows draft and estimates at most 10 times a second, a run's figures once a second."""

    fold_requested = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setProperty("frame", "inspector")
        self.setObjectName("shell.inspector")
        self.setAccessibleName("This experiment")
        self._context: Context | None = None
        self._stack = QStackedWidget()
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 0, 0, 0)
        column.addWidget(self._stack)
        self._full = QWidget()
        self._strip = _Strip()
        self._strip.opened.connect(self.fold_requested)
        self._stack.addWidget(self._full)
        self._stack.addWidget(self._strip)
        self._make_full()
        self._timer = QTimer(self, singleShot=True, interval=60)
        self._timer.timeout.connect(self._refresh)
        self._follower = QTimer(self, singleShot=True, interval=FOLLOW_MS)
        self._follower.timeout.connect(self._refresh_running)
        self._told: dict[int, tuple] = {}  # of each run, what everything here depends on
        self.set_folded(False)

    def attach(self, context: Context) -> None:
        self._context = context
        context.store.experiment_changed.connect(lambda old, new: self._timer.start())
        context.store.dataset_changed.connect(lambda _: self._timer.start())
        context.estimates.changed.connect(self._timer.start)
        context.disk.changed.connect(self._timer.start)
        context.scan.changed.connect(self._schedule_refresh)
        context.runs.state_changed.connect(self._follow)
        context.runs.active_changed.connect(lambda _: self._timer.start())
        context.runs.edit_answered.connect(lambda entry, sentence: context.shell.toast(f"{entry.name.capitalize()}: {sentence}"))
        context.runs.edit_answered.connect(lambda entry, sentence: self._timer.start())
        self._sights.attach(context)
        self._refresh()

    @property
    def is_folded(self) -> bool:
        return self._stack.currentWidget() is self._strip

    def set_folded(self, folded: bool) -> None:
        self._stack.setCurrentWidget(self._strip if folded else self._full)
        self.setFixedWidth(px(STRIP if folded else WIDTH))
        if self._context is not None:
            self._sights.set_active(not folded)
            self._refresh()

    def _schedule_refresh(self, *_) -> None:
        if not self._timer.isActive():
            self._timer.start(100)

    def _follow(self, entry: RunEntry) -> None:
        """Most of what a run tells changes little here, and a run on the same cores waits for every refresh."""
        told = (entry.status, len(entry.state.epochs), len(entry.state.edits), bool(entry.wishes), entry.state.description is None)
        if told != self._told.get(entry.number):
            self._told[entry.number] = told
            self._schedule_refresh()
        elif not self.is_folded and not self._follower.isActive():
            self._follower.start()

    # Making

    def _make_full(self) -> None:
        column = QVBoxLayout(self._full)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        head = QHBoxLayout()
        head.setContentsMargins(px(14), px(6), px(8), px(6))
        head.addWidget(PlainLabel("This experiment", "panel"))
        head.addStretch(1)
        head.addWidget(
            icon_button("caret-double-right", "Fold the inspector (Ctrl I)", name="inspector.fold", on_click=self.fold_requested.emit)
        )
        column.addLayout(head)
        content = QWidget()
        self._content = QVBoxLayout(content)
        self._content.setContentsMargins(0, 0, 0, 0)
        self._content.setSpacing(0)
        self._make_parameters()
        self._make_time()
        self._make_memory()
        self._make_disk()
        self._make_rate()
        self._sights_block, self._sights_title = self._block("eye", "As the network sees it")
        self._sights = Sights()
        self._sights_block.addWidget(self._sights)
        self._make_advice()
        self._content.addStretch(1)
        column.addWidget(scrolling(content, name="inspector.scroll"), 1)
        self._edits = EditsBlock()
        column.addWidget(self._edits)

    def _block(self, icon: str, title: str, token: str = "text2") -> tuple[QVBoxLayout, PlainLabel]:
        self._content.addWidget(line())
        column = QVBoxLayout()
        column.setContentsMargins(px(14), px(9), px(14), px(10))
        column.setSpacing(px(5))
        head = QHBoxLayout()
        head.setSpacing(px(6))
        head.addWidget(IconLabel(icon, token, 14))
        label = PlainLabel(title, "label")
        head.addWidget(label)
        head.addStretch(1)
        column.addLayout(head)
        self._content.addLayout(column)
        label.head = head
        return column, label

    def _make_parameters(self) -> None:
        column, _ = self._block("flame", "Trainable parameters", "trains")
        row = QHBoxLayout()
        row.setSpacing(px(5))
        self._trainable = Metric()
        row.addWidget(self._trainable)
        column.addLayout(row)
        self._stage_bar = MeterBar(9)
        column.addWidget(self._stage_bar)

    def _make_time(self) -> None:
        self._content.addWidget(line())
        column = QVBoxLayout()
        column.setContentsMargins(px(14), px(9), px(14), px(10))
        column.setSpacing(px(3))
        row = QHBoxLayout()
        row.setSpacing(px(10))
        self._epoch_time = Metric()
        self._all_time = Metric()
        self._all_title = PlainLabel("All epochs", "label")
        for icon, title, figure in (
            ("timer", PlainLabel("Time per epoch", "label"), self._epoch_time),
            ("", self._all_title, self._all_time),
        ):
            part = QVBoxLayout()
            part.setSpacing(px(2))
            head = QHBoxLayout()
            head.setSpacing(px(6))
            if icon:
                head.addWidget(IconLabel(icon, "text2", 14))
            head.addWidget(title)
            head.addStretch(1)
            part.addLayout(head)
            part.addWidget(figure)
            row.addLayout(part)
        row.addStretch(1)
        column.addLayout(row)
        self._time_source = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        column.addWidget(self._time_source)
        self._content.addLayout(column)

    def _make_memory(self) -> None:
        column, self._memory_title = self._block("hard-drives", "Memory")
        self._memory_figure = PlainLabel("…", "number")
        self._memory_title.head.addWidget(self._memory_figure)
        self._memory_bar = MeterBar(8)
        column.addWidget(self._memory_bar)
        self._memory_legend = PlainLabel("", "caption", wrap=True)
        column.addWidget(self._memory_legend)

    def _make_disk(self) -> None:
        column, title = self._block("hard-drive", "Disk")
        self._disk_figure = PlainLabel("…", "number")
        title.head.addWidget(self._disk_figure)
        self._disk_words = PlainLabel("", "caption", wrap=True)
        column.addWidget(self._disk_words)
        self._disk_repair = button("", kind="link", small=True, name="inspector.disk.repair", on_click=self._on_disk_repair)
        column.addWidget(self._disk_repair, 0, Qt.AlignmentFlag.AlignLeft)

    def _make_rate(self) -> None:
        column, title = self._block("chart-line", "Learning rate")
        self._peak = PlainLabel("", "number", "text2")
        title.head.addWidget(self._peak)
        self._curve = MiniCurve()
        column.addWidget(self._curve)

    def _make_advice(self) -> None:
        self._content.addWidget(line())
        self._advice_box = QVBoxLayout()
        self._advice_box.setContentsMargins(px(14), px(9), px(14), px(10))
        self._advice_box.setSpacing(px(8))
        self._content.addLayout(self._advice_box)
        self._advice_shown: tuple[Advice, ...] | None = None

    # Following

    def _refresh(self) -> None:
        if not self.is_folded:
            self._refresh_full()
        self._refresh_advice()
        self._strip.refresh(self._context, len(self._advice_shown or ()))

    def _refresh_full(self) -> None:
        context = self._context
        estimates, experiment = context.estimates, context.store.experiment
        trainable, total = estimates.num_trainable, estimates.num_parameters
        if trainable is None or not total:
            self._trainable.set("…", "")
        else:
            figure, _, unit = wording.parameters(trainable).partition(wording.NBSP)
            later = sum(s["num_parameters"] for s in estimates.stages if s.get("thaw_epoch"))
            words = (
                f"at first, {wording.parameters(trainable + later)} later"
                if later
                else (f"of {wording.parameters(total)} · {wording.percent(trainable / total)}")
            )
            self._trainable.set(figure, f"{unit} {words}", is_stale=estimates.is_stale)
        set_plain_tooltip(self._trainable, estimates.problem)
        self._stage_bar.set_parts(
            [(max(s.get("num_parameters", 0), total * 0.004 if total else 1) ** 0.5, "frozenEdge" if s.get("is_frozen") else "trainsFill") for s in estimates.stages],
            gap=1.5,
        )  # fmt: skip
        self._refresh_time(experiment.schedule.epochs)
        self._refresh_disk()
        self._peak.setText(f"peak {wording.rate(experiment.schedule.peak_lr)}")
        self._curve.set_schedule(experiment.schedule, self._steps_per_epoch())
        self._refresh_running()
        self._edits.refresh(context)

    def _refresh_running(self) -> None:
        """What changes with every step of a run."""
        self._refresh_memory()
        active = self._context.runs.active
        self._curve.set_now(active.state.step / active.state.num_steps if active and active.state.num_steps else None)

    def _steps_per_epoch(self) -> int:
        dataset = self._context.store.dataset
        num_train = dataset.epoch_size(self._context.store.experiment.data.synthetic_fraction) if dataset else 1000
        return max(1, -(-num_train // self._context.store.experiment.training.batch_size))

    def _refresh_time(self, epochs: int) -> None:
        time = self._context.estimates.time
        self._all_title.setText(f"All {epochs} epochs")
        for figure, seconds in ((self._epoch_time, 1), (self._all_time, epochs)):
            words = _short_duration(time.seconds_per_epoch * seconds) if time else "…"
            value, _, unit = words.partition(wording.NBSP)
            figure.set(value, unit)
        self._time_source.setText(time.source if time else "known after the first epoch")
        why = (
            f"The median epoch of that run, times the number of training images now over then. {time.source.capitalize()}." if time else ""
        )
        for part in (self._epoch_time, self._all_time, self._time_source):
            set_plain_tooltip(part, why)

    def _refresh_memory(self) -> None:
        memory = self._context.estimates.memory_bytes
        active = self._context.runs.active
        system = active.state.system if active else None
        if memory:
            parts = _grouped(memory)
            total = sum(parts.values())
            self._memory_figure.setText(f"about {wording.num_bytes(total)}")
            self._memory_bar.set_parts([(v, _MEMORY_TOKENS[i % 4]) for i, v in enumerate(parts.values())])
            self._memory_legend.setText(" · ".join(f"{k} {wording.num_bytes(v)}" for k, v in parts.items()))
            batch = self._context.store.experiment.training.batch_size
            set_plain_tooltip(self._memory_bar, _why_memory(memory, batch))
        elif system:
            used, whole = (
                (system.device_bytes, system.device_total_bytes)
                if system.device_total_bytes
                else (system.process_bytes, system.memory_total_bytes)
            )
            self._memory_figure.setText(f"{wording.num_bytes(used or 0)} of {wording.num_bytes(whole or 0)}")
            self._memory_bar.set_parts([(used or 0, "series.0")], whole or None)
            self._memory_legend.setText(f"measured on {active.name}")
        else:
            self._memory_figure.setText("…")
            self._memory_bar.set_parts([])
            self._memory_legend.setText("")
        self._memory_legend.setVisible(bool(self._memory_legend.text()))

    def _refresh_disk(self) -> None:
        disk, use = self._context.disk, self._context.disk.use
        figure = "…" if use is None else f"up to {wording.num_bytes(disk.needed)}"
        self._disk_figure.setText(figure)
        self._disk_figure.set_tone("warn" if disk.is_short else "")
        calm = "" if use is None else f"of {wording.num_bytes(disk.rooms[0].free)} free"
        self._disk_words.setText(disk.sentence if disk.is_short else calm)
        self._disk_words.set_tone("warn" if disk.is_short else "")
        self._disk_words.setVisible(use is not None)
        for part in (self._disk_figure, self._disk_words):
            set_plain_tooltip(part, "" if use is None else _why_disk(use, disk.others))
        repair = disk.repair
        self._disk_repair.setVisible(repair is not None)
        self._disk_repair.setText(repair.label if repair else "")

    def _on_disk_repair(self) -> None:
        if repair := self._context.disk.repair:
            self._context.store.set(repair.values, repair.label[:1].lower() + repair.label[1:])

    def _refresh_advice(self) -> None:
        hidden = set(self._context.settings.names("advice/hidden"))
        found = tuple(a for a in advise(self._context) if a.key not in hidden)[:3]
        if found == self._advice_shown:
            return
        self._advice_shown = found
        while self._advice_box.count():
            self._advice_box.takeAt(0).widget().deleteLater()
        if found:
            self._advice_box.addWidget(PlainLabel("Advice", "label"))
        for advice in found:
            self._advice_box.addWidget(_AdviceLine(self._context, advice, self._timer.start))


class _AdviceLine(QWidget):
    def __init__(self, context: Context, advice: Advice, on_hidden):
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        row.addWidget(IconLabel(advice.icon, advice.token, 16), 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(PlainLabel(advice.sentence, "label", wrap=True))
        actions = QHBoxLayout()
        actions.setSpacing(px(8))
        if advice.values:
            actions.addWidget(
                button(
                    "Apply",
                    kind="link",
                    small=True,
                    name=f"advice.{advice.key}",
                    on_click=lambda: context.store.set(advice.values, advice.label),
                )
            )

        def hide() -> None:
            context.settings.set("advice/hidden", [*context.settings.names("advice/hidden"), advice.key])
            on_hidden()

        actions.addWidget(button("Not now", kind="quiet", small=True, name=f"advice.{advice.key}.hide", on_click=hide))
        actions.addStretch(1)
        column.addLayout(actions)
        row.addLayout(column, 1)


class _Strip(QWidget):
    """Figures, one above the other; a click opens the inspector."""

    opened = Signal()

    def __init__(self):
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(1, px(6), 1, px(6))
        column.setSpacing(px(4))
        column.addWidget(
            icon_button("caret-double-left", "Open the inspector (Ctrl I)", name="inspector.open", on_click=self.opened.emit),
            0,
            Qt.AlignmentFlag.AlignHCenter,
        )
        column.addSpacing(px(4))
        self._parts: dict[str, _StripFigure] = {}
        for key, icon, token, what in (
            ("parameters", "flame", "trains", "Trainable share of all parameters"),
            ("time", "timer", "text2", "Time per epoch"),
            ("memory", "hard-drives", "text2", "Memory"),
            ("disk", "hard-drive", "text2", "Disk"),
            ("advice", "lightbulb", "warn", "Advice"),
            ("edits", "pencil-simple", "accent", "Edits that are not in the active run"),
        ):
            part = _StripFigure(icon, token, what)
            part.clicked.connect(self.opened)
            self._parts[key] = part
            column.addWidget(part, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)

    def refresh(self, context: Context, num_advice: int) -> None:
        estimates = context.estimates
        share = estimates.num_trainable / estimates.num_parameters if estimates.num_parameters else None
        self._parts["parameters"].set(wording.percent(share))
        time = estimates.time
        self._parts["time"].set(_short_duration(time.seconds_per_epoch) if time else "…")
        memory = estimates.memory_bytes
        total = sum(memory.values()) if memory else None
        self._parts["memory"].set(wording.num_bytes(total) if total else "…")
        disk = context.disk
        self._parts["disk"].set("…" if disk.needed is None else wording.num_bytes(disk.needed), disk.sentence, is_warning=disk.is_short)
        self._parts["advice"].setVisible(bool(num_advice))
        self._parts["advice"].set(counted(num_advice, "tip"))
        active = context.runs.active
        edits = context.runs.edits_since(active) if active else {}
        self._parts["edits"].setVisible(bool(edits))
        self._parts["edits"].set(counted(len(edits), "edit"))


class _StripFigure(QPushButton):
    def __init__(self, icon: str, token: str, what: str):
        super().__init__()
        self.setProperty("kind", "strip")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._what = what
        column = QVBoxLayout(self)
        column.setContentsMargins(0, px(4), 0, px(3))
        column.setSpacing(px(2))
        self._icon, self._look = IconLabel(icon, token, 17), (icon, token)
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        self._label = PlainLabel("…", "tick", "text2")
        self._label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._label)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        return QSize(px(50), px(44))

    def set(self, text: str, sentence: str = "", *, is_warning: bool = False) -> None:
        """`sentence` says more of it."""
        self._label.setText(text)
        self._icon.set_icon(*(("warning", "warn") if is_warning else self._look))
        set_plain_tooltip(self, sentence or f"{self._what}: {text}")
        self.setAccessibleName(f"{self._what}, {text}")
        self.setAccessibleDescription(sentence)


def _grouped(memory: dict[str, int]) -> dict[str, int]:
    """Weights with their copies, what the optimiser keeps, and what a step needs on the way."""
    return {
        "weights": sum(memory.get(name, 0) for name in ("weights", "average", "copies", "best")),
        "optimiser": memory.get("gradients", 0) + memory.get("optimiser", 0),
        "activations": sum(memory.get(name, 0) for name in ("activations", "heap", "batch")),
    }


def _why_memory(memory: dict[str, int], batch_size: int) -> str:
    lines = [f"{name}: {wording.num_bytes(size)}" for name, size in memory.items()]
    return "\n".join(["Estimated from the network’s layers, for a step of " + counted(batch_size, "image") + ":", *lines])


def _why_disk(use: DiskUse, others: Others | None) -> str:
    """The parts, without those that are nothing, and what other runs write beside."""
    parts = (
        ("checkpoints", use.checkpoints), ("records of the run", use.records), ("kept features", use.features),
        ("decoded images, for later runs too", use.images),
    )  # fmt: skip
    beside = [f"beside it {' and '.join(others.words)}: {wording.num_bytes(others.in_runs + others.in_cache)}"] if others else []
    return "\n".join(["At the most, while it runs:", *(f"{name}: {wording.num_bytes(size)}" for name, size in parts if size), *beside])


def _short_duration(seconds: float) -> str:
    """At most five characters or so: "2.6 s", "94 s", "12 min", "3.5 h"."""
    if seconds < 10:
        return f"{seconds:.1f}{wording.NBSP}s"
    if seconds < 100:
        return f"{seconds:.0f}{wording.NBSP}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f}{wording.NBSP}min"
    return f"{seconds / 3600:.1f}{wording.NBSP}h"
