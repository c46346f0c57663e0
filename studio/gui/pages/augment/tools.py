"""The row over the pictures: which photo or batch is shown, and how the network sees it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from studio.core.path_text import shown
from studio.gui.pages.augment.ask import Mode
from studio.gui.pages.augment.grid import NUM_TILES
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, NumberField, PlainLabel, Toggle, icon_button, set_plain_tooltip

_NORMAL_WORDS = "Show the normalised numbers\nWhat the network is given, shown back as colours: −2.5 is black, 0 grey, 2.5 white (N)"
_WHAT = {"photo": "photo", "photos": f"{NUM_TILES} photos", "batch": "batch"}


class PreviewTools(QWidget):
    """Says what is wanted; whoever owns it tells it by `show_state` and the other methods what is shown."""

    class_chosen = Signal(str)
    step_wanted = Signal(int)  # photos or batches forwards
    batch_wanted = Signal(int)  # counted from 0
    view_changed = Signal()  # the size, or the numbers in place of the colours

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(6))
        self.class_box = ComboBox(name="augment.class")
        self.class_box.setAccessibleName("Photo of the class")
        self.class_box.setFixedWidth(px(124))
        self.class_box.value_changed.connect(lambda label: self.class_chosen.emit(label))
        self.back_button = icon_button("caret-left", "", small=True, name="augment.back", on_click=lambda: self.step_wanted.emit(-1))
        self.next_button = icon_button("caret-right", "", small=True, name="augment.next", on_click=lambda: self.step_wanted.emit(1))
        self.batch_field = NumberField(1, low=1, integer=True, name="augment.batch")
        self.batch_field.setAccessibleName("Batch of the epoch")
        self.batch_field.setFixedWidth(px(64))
        self.batch_field.value_changed.connect(lambda value: self.batch_wanted.emit(int(value) - 1))
        self.name_label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideMiddle)
        self.network_toggle = Toggle("As the network sees it", checked=True, name="augment.as_network")
        self.network_toggle.setAccessibleName("As the network sees it")
        set_plain_tooltip(self.network_toggle, "At the input size of the network, bit for bit what training is given. Off: larger.")
        self.network_toggle.toggled.connect(self._on_network_toggled)
        self.normal_button = icon_button("circle-half", _NORMAL_WORDS, name="augment.normalised")
        self.normal_button.setCheckable(True)
        self.normal_button.toggled.connect(lambda _: self.view_changed.emit())
        for widget in (self.class_box, self.batch_field, self.back_button, self.next_button):
            row.addWidget(widget)
        row.addWidget(self.name_label, 1)
        row.addWidget(self.normal_button)
        row.addWidget(self.network_toggle)

    @property
    def is_network(self) -> bool:
        """At the input size; a batch always is."""
        return self.network_toggle.isChecked() or not self.network_toggle.isEnabled()

    @property
    def is_normalised(self) -> bool:
        return self.normal_button.isChecked() and self.normal_button.isEnabled()

    def show_state(self, mode: Mode, *, has_data: bool, panel_width: int) -> None:
        """A narrow panel does without what can be had elsewhere: the name stands in the foot, arrows reach every class."""
        is_batch = mode == "batch"
        self.class_box.setVisible(has_data and not is_batch and panel_width >= px(360))
        self.batch_field.setVisible(has_data and is_batch)
        self.name_label.setVisible(panel_width >= px(520) or is_batch)
        what = _WHAT[mode]
        for widget, words in ((self.back_button, f"Show the {what} before"), (self.next_button, f"Show the next {what}")):
            set_plain_tooltip(widget, words)
            widget.setAccessibleName(words)
            widget.setVisible(has_data)
        self.network_toggle.setText(
            "As the network sees it" if panel_width >= px(470) else "As network" if panel_width < px(380) else "Network’s view"
        )
        self.network_toggle.setEnabled(not is_batch)
        self._allow_normalised()

    def show_classes(self, names: Sequence[str], label: str) -> None:
        self.class_box.set_options([("", "All classes"), *((name, shown(name)) for name in names)], label)

    def show_photo(self, name: str) -> None:
        self.name_label.setText(name)

    def show_batch(self, number: int, num_batches: int) -> None:
        self.name_label.setText(f"of {num_batches:,}")
        self.batch_field.set_value(number + 1)

    def _on_network_toggled(self, _is_on: bool) -> None:
        self._allow_normalised()
        self.view_changed.emit()

    def _allow_normalised(self) -> None:
        """A picture that is larger than what the network gets is not normalised either."""
        self.normal_button.setEnabled(self.is_network)
