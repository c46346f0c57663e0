"""The learning rate of every stage as a share of the peak: a factor to edit, and what follows from it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.gui.pages.model.network import Network
from studio.gui.pages.schedule.curve import Curves
from studio.gui.pages.schedule.row import LABEL_PX, narrow
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, MeterBar, PlainLabel
from studio.gui.widgets.form import FormRow


class DepthRates(QWidget):
    """The head first; frozen stages in one row."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addWidget(narrow(FormRow(store, "optimiser.stage_lr_factor", label="× per stage", label_width=LABEL_PX)))
        self._rows = QVBoxLayout()
        self._rows.setSpacing(px(2))
        column.addLayout(self._rows)

    def show_rates(self, network: Network | None, curves: Curves) -> None:
        """`network` is None while it is not known: frozen stages have no row then."""
        rates = _rates(network, curves)
        while self._rows.count() > len(rates):
            left = self._rows.takeAt(self._rows.count() - 1).widget()
            left.hide()
            left.deleteLater()
        while self._rows.count() < len(rates):
            self._rows.addWidget(_DepthRow())
        for place, (name, factor) in enumerate(rates):
            self._rows.itemAt(place).widget().show_rate(name, factor)


class _DepthRow(QWidget):
    """One stage: whether it trains, its name, and its share of the peak as a bar and a number."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._shown: tuple[str, float | None] | None = None
        self.setFixedHeight(px(24))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(px(8))
        self._icon = IconLabel("flame", "trains", 14)
        self._label = PlainLabel("", "label", elide=Qt.TextElideMode.ElideRight)
        self._label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._label.setFixedWidth(px(92))
        self._bar = MeterBar(4)
        self._value = PlainLabel("", "number")
        self._value.setFixedWidth(px(52))
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self._icon)
        layout.addWidget(self._label)
        layout.addWidget(self._bar, 1)
        layout.addWidget(self._value)

    def show_rate(self, name: str, factor: float | None) -> None:
        """`factor` is None for a frozen stage."""
        if (name, factor) == self._shown:
            return
        self._shown = name, factor
        is_frozen = factor is None
        self._icon.set_icon("snowflake" if is_frozen else "flame", "frozen" if is_frozen else "trains")
        self._label.setText(name)
        self._bar.set_parts([] if is_frozen else [(factor, "trainsFill")], 1.0)
        self._value.setText("frozen" if is_frozen else _factor(factor))
        self._value.set_tone("muted" if is_frozen else "")
        self.setAccessibleName(f"{name}: {'frozen' if is_frozen else f'{_factor(factor)} times the peak rate'}")


def _factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1e}"


def _rates(network: Network | None, curves: Curves) -> list[tuple[str, float | None]]:
    """Pairs of stage name and share of the peak, None for frozen ones."""
    rows: list[tuple[str, float | None]] = [
        (n[:1].upper() + n[1:], f) for n, f in zip(reversed(curves.stages), reversed(curves.factors), strict=True)
    ]
    frozen = [stage for stage in network.stages if stage.name not in curves.stages] if network else ()
    if frozen:
        first, last = frozen[0].title, frozen[-1].name
        rows.append((first if len(frozen) == 1 else f"{first} to {last}", None))
    return rows
