"""The dialog for runs that several processes train together: several GPUs of this computer, or several machines."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel
from studio.gui.widgets.form import FormRow
from studio.supervise.engine import MEET_WITHIN_S

FIELDS = ("processes", "machines", "rendezvous")


def run_on_words(processes: int, machines: int, batch_size: int) -> str:
    """What the settings mean, in sentences."""
    total = processes * machines
    if total == 1:
        return "One process trains, as usual."
    share = -(-batch_size // total)
    words = (
        f"{total} processes train together. A batch of {batch_size} is divided among them, {share} images each, so a step sees the same images as ever; "
        "only batch norms that train normalise with the images of their own process. "
    )
    if machines > 1:
        words += (
            f"The run is started here. Train then shows the command to start on the other machines and waits for them, for up to {MEET_WITHIN_S // 60} "
            "minutes. All of them must see the run folder and the images. "
        )
    return words.rstrip()


class RunOnDialog(QDialog):
    """Edits the draft as every form does; undo works. The third field is shown for several machines only."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self.setWindowTitle("Run on")
        self.setObjectName("shell.run_on")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._store = store
        column = QVBoxLayout(self)
        column.setContentsMargins(px(16), px(16), px(16), px(12))
        column.setSpacing(px(8))
        self.rows = {name: FormRow(store, f"training.{name}", label_width=px(110)) for name in FIELDS}
        for row in self.rows.values():
            column.addWidget(row)
        self.words = PlainLabel("", "caption", "text2", wrap=True)
        self.words.setMinimumWidth(px(360))
        column.addWidget(self.words)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)
        store.experiment_changed.connect(self._on_store_experiment_changed)
        self._refresh()

    def _on_store_experiment_changed(self, _old, _new) -> None:
        self._refresh()

    def _refresh(self) -> None:
        t = self._store.experiment.training
        self.rows["rendezvous"].setVisible(t.machines > 1)
        self.words.setText(run_on_words(t.processes, t.machines, t.batch_size))
