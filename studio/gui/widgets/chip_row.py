"""Filter chips in one row: as many as fit, the rest behind "+7"."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from studio.core.path_text import shown
from studio.gui.theme import px
from studio.gui.widgets.button import Chip
from studio.gui.widgets.label import plain_tooltip

_LONGEST = 22  # characters of a name on a chip; the tooltip has all of it


def menu_text(name: str) -> str:
    """A name from outside as the text of a menu action: one line, its & shown as such."""
    return shown(name).replace("&", "&&")


class ChipRow(QWidget):
    """ "All" and one chip per name. Clicks choose one name, Ctrl clicks several; names that do not fit are in a menu."""

    choice_changed = Signal(object)  # tuple of names, empty for all; "All" says so each time, since something else may limit the view

    def __init__(self, *, name: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName(name)
        self._names: tuple[str, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self._chips: list[Chip] = []
        self._all = Chip("All", checked=True, name=f"{name}.all", parent=self)
        self._all.clicked.connect(lambda: self._take(()))
        self._more = Chip("+0", name=f"{name}.more", parent=self)
        self._more.clicked.connect(self._on_more_clicked)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def chosen(self) -> tuple[str, ...]:
        return self._chosen

    def set_names(self, names: Sequence[str]) -> None:
        if tuple(names) == self._names:
            return
        self._names = tuple(names)
        self._chosen = tuple(n for n in self._chosen if n in self._names)
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._chips = []
        for name in self._names[:12]:  # no row shows more
            text = shown(name)
            chip = Chip(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…", parent=self)
            chip.setAccessibleName(f"Show {text}")
            chip.setToolTip(plain_tooltip(text) if len(text) > _LONGEST else "")
            chip.clicked.connect(lambda _=False, name=name: self._on_chip_clicked(name))
            self._chips.append(chip)
        self._arrange()

    def choose(self, names: tuple[str, ...]) -> None:
        """Show these as chosen, without a signal."""
        self._chosen = tuple(n for n in self._names if n in names)
        self._arrange()

    def sizeHint(self) -> QSize:
        return QSize(px(200), px(26))

    def minimumSizeHint(self) -> QSize:
        return QSize(px(90), px(26))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()

    def _on_chip_clicked(self, name: str) -> None:
        from PySide6.QtGui import QGuiApplication

        if QGuiApplication.keyboardModifiers() & Qt.KeyboardModifier.ControlModifier:
            self._toggle(name)
        else:
            self._take(() if self._chosen == (name,) else (name,))

    def _toggle(self, name: str) -> None:
        chosen = set(self._chosen) ^ {name}
        self._take(tuple(n for n in self._names if n in chosen))

    def _take(self, names: tuple[str, ...]) -> None:
        self._chosen = names
        self._arrange()
        self.choice_changed.emit(names)

    def _on_more_clicked(self) -> None:
        self._more.setChecked(any(n in self._chosen for n in self._hidden_names()))
        menu = self.more_menu()
        menu.popup(self._more.mapToGlobal(QPoint(0, self._more.height() + 2)))

    def more_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name in self._hidden_names():
            action = menu.addAction(menu_text(name))
            action.setCheckable(True)
            action.setChecked(name in self._chosen)
            action.triggered.connect(lambda _=False, name=name: self._toggle(name))
        return menu

    def _hidden_names(self) -> tuple[str, ...]:
        return self._names[sum(not chip.isHidden() for chip in self._chips) :]

    def _arrange(self) -> None:
        gap = px(6)
        middle = (self.height() - self._all.sizeHint().height()) // 2
        self._all.setChecked(not self._chosen)
        self._all.setVisible(bool(self._names))
        self._all.move(0, middle)
        self._all.resize(self._all.sizeHint())
        x = self._all.width() + gap
        widths = [chip.sizeHint().width() for chip in self._chips]
        room = self.width()
        num_shown = 0
        for index, width in enumerate(widths):
            left = len(self._names) - index - 1
            self._more.setText(f"+{left}")
            reserve = self._more.sizeHint().width() + gap if left else 0
            if x + width + reserve > room:
                break
            x += width + gap
            num_shown = index + 1
        x = self._all.width() + gap
        for index, chip in enumerate(self._chips):
            chip.setVisible(index < num_shown)
            chip.setChecked(self._names[index] in self._chosen)
            if index < num_shown:
                chip.setGeometry(x, middle, widths[index], chip.sizeHint().height())
                x += widths[index] + gap
        hidden = self._names[num_shown:]
        self._more.setVisible(bool(hidden))
        if hidden:
            self._more.setText(f"+{len(hidden)}")
            self._more.setAccessibleName(f"{len(hidden)} more classes")
            self._more.setChecked(any(n in self._chosen for n in hidden))
            self._more.resize(self._more.sizeHint())
            self._more.move(x, middle)
