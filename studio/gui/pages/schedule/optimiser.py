"""The optimiser: the kinds as chips, the fields that the chosen kind has, and what holds for all kinds."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from studio.catalog.optimisers import KINDS, kind_of
from studio.core.words import format_number
from studio.gui.pages.schedule.hint import HintLine
from studio.gui.pages.schedule.row import LABEL_PX, narrow
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import Chip, PlainLabel, set_plain_tooltip
from studio.gui.widgets.form import CHOICE_LABELS, FormRow
from studio.gui.wording import parameters

_OF_KINDS = tuple(dict.fromkeys(name for kind in KINDS for name in kind.fields))
_KINDS_PER_ROW = 3


class OptimiserForm(QWidget):
    """Decay, clipping and averaging, which all kinds have, stand below the fields of the chosen kind."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(2))
        chips = QGridLayout()
        chips.setSpacing(px(6))
        self.chips: dict[str, Chip] = {}
        for place, kind in enumerate(KINDS):
            chip = Chip(CHOICE_LABELS["optimiser.kind"][kind.key], name=f"schedule.optimiser.{kind.key}")
            chip.setAutoExclusive(True)
            chip.setAccessibleDescription(kind.help)
            set_plain_tooltip(chip, f"{kind.help}\n{kind.paper}".strip())
            chip.clicked.connect(lambda *_, key=kind.key: store.set({"optimiser.kind": key}))
            self.chips[kind.key] = chip
            chips.addWidget(chip, place // _KINDS_PER_ROW, place % _KINDS_PER_ROW, Qt.AlignmentFlag.AlignLeft)
        chips.setColumnStretch(_KINDS_PER_ROW, 1)
        column.addLayout(chips)
        self.help_label = PlainLabel("", "caption", wrap=True)
        column.addWidget(self.help_label)
        column.addSpacing(px(2))
        self.rows = {
            name: narrow(FormRow(store, f"optimiser.{name}", label_width=LABEL_PX, max_segments=0))
            for name in (
                "beta1", "beta2", "momentum", "nesterov", "epsilon", "weight_decay", "weight_decay_course", "weight_decay_final", "clip_norm",
                "ema_decay",
            )
        }  # fmt: skip
        self.beta_hint = HintLine("schedule.beta2.hint")
        self.decay_label = PlainLabel("", "caption", wrap=True)
        self.average_label = PlainLabel("", "caption", wrap=True)
        after = {"epsilon": self.beta_hint, "weight_decay_final": self.decay_label, "ema_decay": self.average_label}
        for name, row in self.rows.items():
            column.addWidget(row)
            if name in after:
                column.addWidget(after[name])
        self.refresh()

    def refresh(self, num_undecayed: int | None = None) -> None:
        """`num_undecayed`: weights of norms and biases that train, where the network is known."""
        optimiser = self._store.experiment.optimiser
        kind = kind_of(optimiser.kind)
        self.chips[kind.key].setChecked(True)
        self.help_label.setText(kind.help)
        for name in _OF_KINDS:
            self.rows[name].setVisible(name in kind.fields)
        self.rows["nesterov"].setEnabled(optimiser.momentum > 0)
        self.rows["weight_decay_course"].setEnabled(optimiser.weight_decay > 0)
        self.rows["weight_decay_final"].setVisible(optimiser.weight_decay > 0 and optimiser.weight_decay_course in ("linear", "cosine"))
        who = "normalisation layers and biases" if num_undecayed is None else f"the {parameters(num_undecayed)} of normalisation and biases"
        self.decay_label.setText(f"Never on {who}.")
        self.decay_label.setVisible(optimiser.weight_decay > 0)
        decay = format_number(optimiser.ema_decay)
        self.average_label.setText(f"Rises to it: min({decay}, (1 + n) / (10 + n)) after n steps. The average is validated and kept.")
        self.average_label.setVisible(optimiser.ema_decay > 0)
        is_slow = kind.key == "lion" and optimiser.beta2 > 0.99
        self.beta_hint.show_hint(
            f"Lion is usually used with Beta 2 at 0.99, not {format_number(optimiser.beta2)}." if is_slow else "",
            [("Set to 0.99", "Chen et al., arXiv 2302.06675", lambda: self._store.set({"optimiser.beta2": 0.99}))],
        )
