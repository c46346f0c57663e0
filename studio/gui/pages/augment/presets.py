"""Where a pipeline starts: the four strengths, more presets, and those of one's own."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QWidget

from studio.catalog.augments import PRESETS
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Shell
from studio.gui.pages.augment.draft import PipelineDraft
from studio.gui.pages.augment.own_presets import OwnPresets
from studio.gui.theme import px
from studio.gui.widgets import Segmented, Toggle, button, plain_tooltip, set_plain_tooltip
from studio.gui.widgets.chip_row import menu_text

_STRENGTHS = ("none", "light", "medium", "strong")
_OFF = "Off"


class PresetBar(QWidget):
    """Strengths side by side, the rest behind a button that carries the name of what is chosen."""

    def __init__(self, draft: PipelineDraft, own: OwnPresets, shell: Shell, parent: QWidget | None = None):
        super().__init__(parent)
        self._draft, self._own, self._shell = draft, own, shell
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(px(8))
        self.strength = Segmented([(key, _title(key)) for key in _STRENGTHS], name="augment.strength")
        self.strength.setAccessibleName("Strength of augmentation")
        self.strength.value_changed.connect(draft.take_preset)
        self.more_button = button("Presets", "caret-down", name="augment.presets", tooltip="More presets, and your own")
        self.more_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.more_button.clicked.connect(lambda: self.menu().popup(self.more_button.mapToGlobal(QPoint(0, self.more_button.height() + 2))))
        self.mirror = Toggle("Mirror", name="augment.mirror")
        self.mirror.setAccessibleDescription("Flip left and right half of the time")
        self.mirror.clicked.connect(lambda on: draft.store.set({"augment.horizontal_flip": bool(on)}, f"mirror {'on' if on else 'off'}"))
        for widget in (self.strength, self.more_button, self.mirror):
            row.addWidget(widget)
        draft.changed.connect(self.show_preset)
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
        names = self._own.names()
        menu.addSeparator()
        for name in names:
            more = menu.addMenu(menu_text(name))
            self._add(more, "Use", lambda name=name: self.use(name))
            self._add(more, "Rename…", lambda name=name: self._ask_name("Rename the preset", name, lambda new: self.rename(name, new)))
            self._add(more, "Delete", lambda name=name: self.delete(name))
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
        self._try(lambda: self._own.save(name, self._draft.steps), f"Saved as “{shown(name)}”. It is under Presets in every project.")

    def use(self, name: str) -> None:
        def take() -> None:
            self._draft.take_steps(self._own.load(name), f"preset {name}")

        self._try(take)

    def rename(self, old: str, new: str) -> None:
        self._try(lambda: self._own.rename(old, new), f"The preset is called “{shown(new)}” now.")

    def delete(self, name: str) -> None:
        """With a way back."""
        try:
            steps = self._own.load(name)
        except (BadInput, OSError):
            steps = None
        self._try(lambda: self._own.delete(name))
        if steps is None:
            self._shell.toast(f"The preset “{shown(name)}” is deleted.")
        else:
            self._shell.toast(f"The preset “{shown(name)}” is deleted.", "Undo", lambda: self._own.save(name, steps))

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
