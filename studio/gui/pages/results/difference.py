"""Two runs side by side: the settings that differ, then what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QStyle, QStyledItemDelegate, QTableView, QWidget

from studio.core.event import EpochFinished
from studio.core.experiment import SECTIONS, Experiment, differences, field_info
from studio.core.fold import RunState
from studio.core.path_text import shown
from studio.gui.store import show_value
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.form import choice_label
from studio.gui.widgets.label import plain_tooltip
from studio.gui.wording import duration, num_bytes, parameters, percent, rate, signed


@dataclass(frozen=True)
class Side:
    """One of the two: a run, or the draft (without a state)."""

    name: str
    experiment: Experiment
    state: RunState | None = None


@dataclass(frozen=True)
class Line:
    """kind: setting, equal, head or consequence; `note` stands after the second value, `tone` colours it."""

    label: str
    first: str
    second: str
    kind: str = "setting"
    note: str = ""
    tone: str = "muted"


def value_text(path: str, value: Any) -> str:
    """A setting's value as its page shows it."""
    if path in ("schedule.peak_lr", "optimiser.weight_decay"):
        return rate(float(value))
    if isinstance(value, str) and path.startswith(("schedule.", "optimiser.", "augment.", "training.", "model.")):
        return (
            choice_label(path, value) if path not in ("model.backbone", "model.weights_file", "training.device") else shown(value) or "none"
        )
    return shown(show_value(value))


def compare(first: Side, second: Side, *, with_equal: bool = False) -> list[Line]:
    """Changed settings, then consequences. With `with_equal` also the settings that are the same."""
    changes = differences(first.experiment, second.experiment)
    changes.pop("name", None)
    lines = [Line(_label(path), value_text(path, a), value_text(path, b)) for path, (a, b) in changes.items()]
    if with_equal:
        lines += [Line(_label(p), value_text(p, v), value_text(p, v), "equal") for p, v in _settings(first.experiment) if p not in changes]
    outcome = _consequences(first.state, second.state)
    return [*lines, *([Line("Consequence", "", "", "head"), *outcome] if outcome else [])]


def num_equal(first: Experiment, second: Experiment) -> int:
    changes = differences(first, second)
    return sum(1 for path, _ in _settings(first) if path not in changes)


def _settings(experiment: Experiment):
    for section in SECTIONS:
        part = getattr(experiment, section)
        for name in type(part).model_fields:
            yield f"{section}.{name}", getattr(part, name)


def _label(path: str) -> str:
    return field_info(path).json_schema_extra["label"]


def _consequences(a: RunState | None, b: RunState | None) -> list[Line]:
    if a is None and b is None:
        return []
    lines = []

    def add(label, get, show, gain=None):
        x, y = (get(s) if s else None for s in (a, b))
        if x is None and y is None:
            return
        note, tone = gain(x, y) if gain and x is not None and y is not None else ("", "muted")
        lines.append(Line(label, show(x) if x is not None else "–", show(y) if y is not None else "–", "consequence", note, tone))

    add("Trains", lambda s: s.description and s.description.num_trainable, parameters, _change)
    add("Time per epoch", _epoch_seconds, duration, lambda x, y: _change(x, y, low_is_good=True))
    add("Memory, peak", lambda s: s.system and s.system.peak_bytes, num_bytes, lambda x, y: _change(x, y, low_is_good=True))
    twin = _last_common_epoch(a, b)
    if twin is not None:
        add(f"Top-1, epoch {twin + 1}", lambda s: _epoch(s, twin).validation_top1, percent, _points)
    add("Best top-1", lambda s: s.best and s.best.validation_top1, percent, _points)
    add("Best macro F1", lambda s: s.best and s.best.macro_f1, lambda v: f"{v:.3f}", lambda x, y: _points(x / 100, y / 100, 3))
    add("Test top-1", lambda s: s.test and s.test.top1, percent, _points)
    return lines


def _epoch_seconds(state: RunState) -> float | None:
    return sum(e.seconds for e in state.epochs) / len(state.epochs) if state.epochs else None


def _epoch(state: RunState, epoch: int) -> EpochFinished:
    return next(e for e in state.epochs if e.epoch == epoch)


def _last_common_epoch(a: RunState | None, b: RunState | None) -> int | None:
    """The last epoch that both have, where one of them has gone further."""
    if not a or not b or not a.epochs or not b.epochs or len(a.epochs) == len(b.epochs):
        return None
    common = {e.epoch for e in a.epochs} & {e.epoch for e in b.epochs}
    return max(common, default=None)


def _change(x: float, y: float, *, low_is_good: bool | None = None) -> tuple[str, str]:
    """ "−29 %" and its tone."""
    if not x or round(y / x * 100) == 100:
        return "", "muted"
    words = f"{signed((y / x - 1) * 100, 0)} %"
    return words, "muted" if low_is_good is None else "good" if (y < x) == low_is_good else "bad"


def _points(x: float, y: float, places: int = 1) -> tuple[str, str]:
    gain = round((y - x) * 100, places)
    return (signed(gain, places), "good" if gain > 0 else "bad") if gain else ("", "muted")


class DifferenceModel(QAbstractTableModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.lines: list[Line] = []
        self.names = ("", "")
        self.series: tuple[int, int | None] = (0, 1)

    def set_lines(self, lines: list[Line], names: tuple[str, str], series: tuple[int, int | None]) -> None:
        self.beginResetModel()
        self.lines, self.names, self.series = lines, names, series
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 3

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        line = self.lines[index.row()]
        text = (line.label, line.first, f"{line.second} {line.note}".strip())[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return text
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(text)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ("Setting", *self.names)[section]
        if (
            orientation == Qt.Orientation.Horizontal
            and role == Qt.ItemDataRole.DecorationRole
            and section
            and self.series[section - 1] is not None
        ):
            return _dot(self.series[section - 1])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None


def _dot(series: int) -> QPixmap:
    """The colour of a run, beside its name."""
    side = px(9)
    pixmap = QPixmap(side, side)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour(f"series.{series}"))
    painter.drawEllipse(QRectF(0.5, 0.5, side - 1, side - 1))
    painter.end()
    return pixmap


class DifferenceTable(QTableView):
    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.lines = DifferenceModel(self)
        self.setModel(self.lines)
        self.setObjectName("results.difference")
        self.setAccessibleName("Difference of two runs")
        self.setItemDelegate(_Cell(self))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(px(24))
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setFixedHeight(px(26))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit_columns()

    def _fit_columns(self) -> None:
        """Labels are read first: they get what they need, up to half of the width; the rest goes to the values."""
        width, lines = self.viewport().width(), self.lines.lines
        words, figures = QFontMetrics(font("label")), QFontMetrics(font("number"))
        label = max((words.horizontalAdvance(line.label) for line in lines), default=0) + px(16)
        value = max((figures.horizontalAdvance(line.first) for line in lines), default=0) + px(16)
        first = min(max(label, round(width * 0.3)), round(width * 0.5))
        second = min(max(value, round(width * 0.2)), round(width * 0.27))
        for column, share in enumerate((first, second, width - first - second)):
            self.setColumnWidth(column, share)

    def show_sides(self, first: Side, second: Side, series: tuple[int, int | None], *, with_equal: bool) -> None:
        self.lines.set_lines(compare(first, second, with_equal=with_equal), (shown(first.name), shown(second.name)), series)
        self._fit_columns()


class _Cell(QStyledItemDelegate):
    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        model: DifferenceModel = index.model()
        line, column, rect = model.lines[index.row()], index.column(), option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if line.kind == "head":
            painter.fillRect(rect, colour("raised"))
        elif column == 2 and line.kind == "setting":
            painter.fillRect(rect, colour("accentWash"))
        painter.setPen(pen("border"))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        box = rect.adjusted(px(8), 0, -px(4), 0)
        is_value = column > 0
        painter.setFont(font("number" if is_value and line.kind != "head" else "caption" if line.kind == "head" else "label"))
        painter.setPen(colour("muted" if line.kind in ("head", "equal") else "text" if is_value else "text2"))
        text = (line.label, line.first, line.second)[column]
        metrics = painter.fontMetrics()
        note_width = metrics.horizontalAdvance(line.note) + px(8) if column == 2 and line.note else 0
        if metrics.horizontalAdvance(text) + note_width > box.width():
            note_width = 0  # the value matters more; the note stands in the tooltip
        words = metrics.elidedText(
            text, Qt.TextElideMode.ElideMiddle if is_value else Qt.TextElideMode.ElideRight, box.width() - note_width
        )
        painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), words)
        if note_width:
            painter.setPen(colour(line.tone))
            painter.drawText(box.adjusted(metrics.horizontalAdvance(words) + px(8), 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), line.note)
        if option.state & QStyle.StateFlag.State_HasFocus and self.parent().hasFocus():
            painter.setPen(pen("focus", 2))
            painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 4, 4)
        painter.restore()
