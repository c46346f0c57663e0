"""What the run does to the machine: the last minute of memory, device and processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.core.fold import RunState
from studio.gui.theme import px
from studio.gui.widgets.label import PlainLabel, SteadyLabel, set_plain_tooltip
from studio.gui.widgets.meter import Sparkline
from studio.gui.widgets.panel import Panel, line, scrolling
from studio.gui.wording import NBSP, count, num_bytes, percent

HIGH_WAIT = 0.3  # a device that waits more than this for images is held up by loading
HIGH_MEMORY = 0.92
_ROW = 33
_WITH_CURVES_PX = 280


@dataclass(frozen=True)
class Row:
    """One line. `values` are of the last reports, oldest first; `high` is the top of the scale."""

    label: str
    text: str
    values: tuple[float | None, ...]
    high: float | None
    token: str
    tone: str = "text"
    help: str = ""


def system_rows(state: RunState) -> tuple[Row, ...]:
    """The rows that have something to say on this machine: no device rows without a device."""
    now, past = state.system, state.system_history
    if now is None:
        return ()

    def history(get: Callable) -> tuple:
        return tuple(get(event) for event in past)

    rows = []
    if now.device_load_fraction is not None:
        rows.append(Row("Device load", percent(now.device_load_fraction, 0), history(lambda e: e.device_load_fraction), 1.0, "series.0"))
    if now.device_bytes is not None:
        total = now.device_total_bytes
        is_high = bool(total) and now.device_bytes > HIGH_MEMORY * total
        rows.append(
            Row(
                "Device memory",
                _of(now.device_bytes, total),
                history(lambda e: e.device_bytes),
                total,
                "series.0",
                "warn" if is_high else "text",
            )
        )
    waits = state.data_wait_fraction > HIGH_WAIT
    rows.append(
        Row(
            "Loader wait",
            percent(state.data_wait_fraction, 0),
            tuple(w for _, w in state.load_history),
            1.0,
            "series.1",
            "warn" if waits else "text",
            f"Share of the time in which training waits for images to be read and augmented. {state.way_to_feed if waits else ''}".strip(),
        )  # fmt: skip
    )
    rows.append(
        Row(
            "Speed",
            f"{count(state.images_per_s)}{NBSP}img/s",
            tuple(v for v, _ in state.load_history),
            None,
            "series.0",
            help="Images trained per second.",
        )
    )
    rows.append(
        Row(
            "Processor",
            percent(now.cpu_fraction, 0),
            history(lambda e: e.cpu_fraction),
            1.0,
            "series.2",
            help="Use of all cores of this machine.",
        )
    )
    rows.append(
        Row(
            "Training process",
            num_bytes(now.process_bytes),
            history(lambda e: e.process_bytes),
            None,
            "series.2",
            help=f"Memory of the training process and its loaders. Peak {num_bytes(now.peak_bytes)}.",
        )  # fmt: skip
    )
    if now.memory_total_bytes:
        share = now.memory_bytes / now.memory_total_bytes
        rows.append(
            Row(
                "Memory in use",
                _of(now.memory_bytes, now.memory_total_bytes),
                history(lambda e: e.memory_bytes),
                now.memory_total_bytes,
                "series.2",
                "warn" if share > HIGH_MEMORY else "text",
                "Memory of the whole machine.",
            )  # fmt: skip
        )
    return tuple(rows)


def _of(part: int, whole: int | None) -> str:
    """ "1.7 / 80 GB"."""
    if not whole:
        return num_bytes(part)
    size, unit = (1e9, "GB") if whole >= 1e9 else (1e6, "MB")
    return f"{part / size:.1f} / {whole / size:.0f}{NBSP}{unit}"


class SystemPanel(Panel):
    """The rows with their sparklines; scrolls when there is no room for all."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__("System", "last 60 s", name="train.system", margins=False, parent=parent)
        self._holder = QWidget()
        self._rows: dict[str, _RowView] = {}
        self._column = QVBoxLayout(self._holder)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._empty = PlainLabel("Figures come with the first second of training.", "label", "muted", wrap=True)
        self._empty.setContentsMargins(px(12), px(4), px(12), px(12))
        self.body.addWidget(self._empty)
        self.body.addWidget(scrolling(self._holder), 1)

    def show_state(self, state: RunState) -> None:
        rows = system_rows(state)
        self._empty.setVisible(not rows)
        for label in [k for k in self._rows if k not in {r.label for r in rows}]:
            self._rows.pop(label).deleteLater()
        for row in rows:
            view = self._rows.get(row.label)
            if view is None:
                view = self._rows[row.label] = _RowView(row.label)
                self._column.insertWidget(self._column.count() - 1, view)
            view.show_row(row)
        self._fit_rows()
        # As high as the rows need; what is left goes to the events.
        self.setMaximumHeight(px(37 + _ROW) + 2 if not rows else px(37 + 3) + len(rows) * px(_ROW))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_rows()

    def _fit_rows(self) -> None:
        """Where there is little room the figures stay whole, without their curves."""
        for view in self._rows.values():
            view.spark.setVisible(self.width() >= px(_WITH_CURVES_PX))

    def texts(self) -> list[str]:
        return [view.accessibleName() for view in self._rows.values()]


class _RowView(QWidget):
    def __init__(self, label: str):
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(line())
        row = QHBoxLayout()
        row.setContentsMargins(px(12), 0, px(12), 0)
        row.setSpacing(px(8))
        name = PlainLabel(label, "label")
        name.setFixedWidth(px(100))
        self.spark = Sparkline()
        self.spark.setFixedHeight(px(22))
        self.value = SteadyLabel(least_px=px(82))
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(name)
        row.addWidget(self.spark, 1)
        row.addStretch(0)
        row.addWidget(self.value)
        column.addLayout(row)
        self.setFixedHeight(px(_ROW))
        self._label = label

    def show_row(self, row: Row) -> None:
        self.value.setText(row.text)
        self.value.set_tone(row.tone)
        self.spark.set_token(row.token if row.tone == "text" else "warnDot")
        self.spark._low, self.spark._high = 0.0, row.high
        self.spark.set_values(row.values)
        self.setAccessibleName(f"{self._label}: {row.text}")
        set_plain_tooltip(self, row.help)
