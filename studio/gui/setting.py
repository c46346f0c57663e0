"""What the user chose about the window itself, kept between sessions in one INI file."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings

from studio.core.place import state_dir

CURRENT_PROJECT = "project/current"  # file name of the draft that was being edited


class Settings:
    """Reads and writes state_dir()/window.ini."""

    def __init__(self):
        state_dir().mkdir(parents=True, exist_ok=True)
        self._ini = QSettings(str(state_dir() / "window.ini"), QSettings.Format.IniFormat)

    def text(self, key: str, default: str = "") -> str:
        return str(self._ini.value(key, default))

    def number(self, key: str, default: float) -> float:
        try:
            return float(self._ini.value(key, default))
        except (TypeError, ValueError):
            return default

    def flag(self, key: str, default: bool) -> bool:
        return str(self._ini.value(key, default)).lower() == "true"

    def blob(self, key: str) -> QByteArray:
        value = self._ini.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()

    def names(self, key: str) -> list[str]:
        value = self._ini.value(key) or []
        return [value] if isinstance(value, str) else [str(v) for v in value]

    def set(self, key: str, value: object) -> None:
        self._ini.setValue(key, value)

    def sync(self) -> None:
        self._ini.sync()
