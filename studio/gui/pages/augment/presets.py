"""Where a pipeline starts: the four strengths, more presets, and those of one's own."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QWidget

from studio.catalog.augments import PRESETS
from studio.catalog.augments.own import OwnPreset, delete_preset, own_presets, save_preset
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Shell
from studio.gui.pages.augment.draft import PipelineDraft
from studio.gui.theme import px
from studio.gui.widgets import Segmented, Toggle, button, plain_tooltip, set_plain_tooltip
from studio.gui.widgets.chip_row import menu_text

_STRENGTHS = ("none", "light", "medium", "strong")
_OFF = "Off"


class PresetBar(QWidget):
    """Strengths side by side, the rest behind a button that carries the name of what is chosen."""

    def __init__(self, draft: PipelineDraft, shell: Shell, parent: QWidget | None = None):
        super().__init__(parent)
        self._draft, self._shell = draft, shell
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        self.strength = Segmented([(key, _title(key)) for key in _STRENGTHS], name="augment.strength")
        self.strength.setAccessibleName("Strength of augmentation")
        self.strength.value_changed.connect(draft.take_preset)
        self.more_button = button("Presets", "caret-down", icon_last=True, name="augment.presets", tooltip="More presets, and your own")
        self.more_button.clicked.connect(lambda: self.menu().popup(self.more_button.mapToGlobal(QPoint(0, self.more_button.height() + 2))))
        self.mirror = Toggle("Mirror", name="augment.mirror")
        self.mirror.setAccessibleDescription("Flip left and right half of the time")
        self.mirror.clicked.connect(lambda on: draft.store.set({"augment.horizontal_flip": bool(on)}, f"mirror {'on' if on else 'off'}"))
        for widget in (self.strength, self.more_button, self.mirror):
            row.addWidget(widget)
        draft.settled.connect(self.show_preset)
        self.show_preset()

    def show_preset(self) -> None:
        augment = self._draft.augment
        preset = next((p for p in PRESETS if p.key == augment.preset), None)
        self.strength.set_value(augment.preset)
        self.strength.set_none(augment.preset not in _STRENGTHS)
        set_plain_tooltip(self.strength, preset.help if preset else "A pipeline of your own.")
        is_more = augment.preset not in _STRENGTHS
        self.more_button.setText((preset.title if preset else "Custom") if is_more else "Presets")
        self.more_button.setProperty("chosen", "true" if is_more else "false")
        self.mirror.setVisible(preset is not None and augment.preset != "document")
        is_off = augment.preset == "none"
        self.mirror.setChecked(augment.horizontal_flip and not is_off)
        self.mirror.setEnabled(not is_off)
        set_plain_tooltip(
            self.mirror,
            "Off with strength Off."
            if is_off
            else "Flips left and right half of the time. Switch it off when the side matters (text, left and right).",
        )

    def menu(self) -> QMenu:
        draft, now = self._draft, self._draft.augment.preset
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for preset in PRESETS:
            self._add(menu, _title(preset.key), lambda key=preset.key: draft.take_preset(key), preset.help, preset.key == now)
        self._add(menu, "Custom", lambda: draft.take_preset("custom"), "The steps as they are, from here on your own.", now == "custom")
        menu.addSeparator()
        for preset in own_presets():
            more = menu.addMenu(menu_text(preset.name))
            if preset.augment is None:
                more.addAction(menu_text(preset.problem)).setEnabled(False)
            else:
                self._add(more, "Use", lambda preset=preset: self.use(preset))
                self._add(
                    more,
                    "Rename…",
                    lambda preset=preset: self._ask_name("Rename the preset", preset.name, lambda new: self.rename(preset, new)),
                )
            self._add(more, "Delete", lambda preset=preset: self.delete(preset))
        self._add(menu, "Save as a preset of your own…", self.ask_to_save)
        return menu

    def _add(self, menu: QMenu, title: str, act: Callable[[], object], help_: str = "", is_chosen: bool | None = None) -> None:
        action = menu.addAction(menu_text(title))
        action.setToolTip(plain_tooltip(help_))
        if is_chosen is not None:
            action.setCheckable(True)
            action.setChecked(is_chosen)
        action.triggered.connect(lambda *_: act())

    # Presets of one's own

    def ask_to_save(self) -> None:
        self._ask_name("Save as a preset", "", self.save)

    def save(self, name: str) -> None:
        self._try(lambda: save_preset(name, self._draft.augment), f"Saved as “{shown(name)}”. It is under Presets in every project.")

    def use(self, preset: OwnPreset) -> None:
        self._try(lambda: self._draft.take_augment(preset.augment, f"preset {preset.name}"))

    def rename(self, preset: OwnPreset, new: str) -> None:
        def act() -> None:
            if any(each.name.casefold() == new.strip().casefold() != preset.name.casefold() for each in own_presets()):
                raise BadInput(f"There is a preset “{new.strip()}” already. Choose another name.")
            if save_preset(new, preset.augment).path != preset.path:
                delete_preset(preset)

        self._try(act, f"The preset is called “{shown(new)}” now.")

    def delete(self, preset: OwnPreset) -> None:
        """With a way back."""
        self._try(lambda: delete_preset(preset))
        name = shown(preset.name)
        if preset.augment is None:
            self._shell.toast(f"The preset “{name}” is deleted.")
        else:
            self._shell.toast(f"The preset “{name}” is deleted.", "Undo", lambda: save_preset(preset.name, preset.augment))

    def _ask_name(self, title: str, name: str, then: Callable[[str], object]) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle(title)
        dialog.setLabelText("Name")
        dialog.setTextValue(name)
        dialog.textValueSelected.connect(then)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _try(self, act: Callable[[], object], done: str = "") -> None:
        try:
            act()
        except BadInput as exc:
            self._shell.toast(exc.problems[0].sentence)
        except OSError as exc:
            self._shell.toast(f"The preset cannot be kept: {exc.strerror or exc}.")
        else:
            if done:
                self._shell.toast(done)


def _title(key: str) -> str:
    return _OFF if key == "none" else next(preset.title for preset in PRESETS if preset.key == key)
