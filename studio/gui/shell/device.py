"""Which device the next run uses."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSizePolicy

from studio.core.words import counted
from studio.gui import wording
from studio.gui.context import Context
from studio.gui.icon import icon
from studio.gui.theme import px
from studio.gui.widgets import IconLabel, PlainLabel, set_plain_tooltip


class DevicePicker(QPushButton):
    """“Run on”: a button with a menu of Auto, CPU, every device that the probe found, all GPUs together, and several machines. CPU is there at once."""

    def __init__(self):
        super().__init__()
        self.setProperty("kind", "device")
        self.setObjectName("shell.device")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._context: Context | None = None
        self._devices: list[dict] = [{"key": "cpu", "name": "CPU", "memory_bytes": None}]
        self._is_known = False
        row = QHBoxLayout(self)
        row.setContentsMargins(px(9), 0, px(8), 0)
        row.setSpacing(px(6))
        self._icon = IconLabel("cpu", "good", 15)
        self._key = PlainLabel("cpu", "number")
        self._name = PlainLabel("", "label")
        row.addWidget(self._icon)
        row.addWidget(self._key)
        row.addWidget(self._name)
        row.addWidget(IconLabel("caret-down", "text2", 11))
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._on_menu_about_to_show)
        self.setMenu(self._menu)
        for child in (self._icon, self._key, self._name):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def attach(self, context: Context) -> None:
        self._context = context
        context.store.experiment_changed.connect(lambda old, new: self._refresh() if old.training != new.training else None)
        context.runs.active_changed.connect(lambda _: self._refresh())
        self._refresh()

    def ask(self) -> None:
        """Ask the driver, off the GUI thread."""
        self._context.background.run(_find_devices, self.set_devices)

    def set_devices(self, devices: list[dict]) -> None:
        """devices: key ("cuda:0"), name, memory_bytes; the CPU is always there."""
        self._devices = [*devices, {"key": "cpu", "name": "CPU", "memory_bytes": None}]
        self._is_known = True
        self._refresh()
        if self._menu.isVisible():
            self._fill_menu()

    @property
    def devices(self) -> list[dict]:
        """key ("cpu", "cuda:0"), name, memory_bytes as far as known."""
        return self._devices

    def _chosen(self) -> dict:
        wanted = self._context.store.experiment.training.device
        if wanted == "auto":
            return next((d for d in self._devices if d["key"] != "cpu"), self._devices[0])
        wanted = "cuda:0" if wanted == "cuda" else wanted
        return next((d for d in self._devices if d["key"] == wanted), {"key": wanted, "name": "not found", "is_missing": True})

    def _refresh(self) -> None:
        chosen = self._chosen()
        is_missing = self._is_known and chosen.get("is_missing", False)
        self._icon.set_icon("warning" if is_missing else "cpu", "warn" if is_missing else "good")
        training = self._context.store.experiment.training
        number = training.processes * training.machines
        self._key.setText(chosen["key"] if number == 1 else f"{chosen['key'].partition(':')[0]} × {number}")
        words = "" if chosen["key"] == "cpu" and chosen.get("name", "CPU") == "CPU" else _short(chosen.get("name", ""))
        if chosen.get("memory_bytes"):
            words += f" {wording.num_bytes(chosen['memory_bytes'])}"
        self._name.setText(words)
        self._name.setVisible(bool(words))
        tip = f"Device of the next run: {chosen.get('name', '')} ({chosen['key']})"
        if number > 1:
            tip = f"The next run is trained by {number} processes on {counted(training.machines, 'machine')}"
        if is_missing:
            tip = f"{chosen['key']} is not there. Choose another device."
        set_plain_tooltip(self, tip)
        self.setAccessibleName(tip)
        self.setFixedWidth(self.layout().sizeHint().width())

    def _on_menu_about_to_show(self) -> None:
        self._fill_menu()
        self.ask()  # a GPU may have come or gone
        self._context.runs.readiness.ask_again()

    def _fill_menu(self) -> None:
        self._menu.clear()
        training = self._context.store.experiment.training
        rows = [("auto", "Auto: a GPU where there is one")] + [(d["key"], self._row_text(d)) for d in self._devices]
        for key, words in rows:
            action = self._menu.addAction(icon("cpu"), words.replace("&", "&&"), lambda key=key: self._choose(key))
            action.setCheckable(True)
            action.setChecked(key == training.device and training.processes * training.machines == 1)
        gpus = [d for d in self._devices if d["key"].startswith("cuda")]
        if len(gpus) > 1:
            every = self._menu.addAction(
                icon("cpu"), f"cuda × {len(gpus)}   All GPUs of this computer", lambda: self._choose("cuda", len(gpus))
            )
            every.setCheckable(True)
            every.setChecked((training.device, training.processes, training.machines) == ("cuda", len(gpus), 1))
        self._menu.addSeparator()
        self._menu.addAction("Several processes or machines…", self._open_run_on)

    def _row_text(self, device: dict) -> str:
        words = f"{device['key']}   {device.get('name', '')}"
        if device.get("memory_bytes"):
            words += f"   {wording.num_bytes(device['memory_bytes'])}"
        active = self._context.runs.active
        if active and active.state.description and active.state.description.device == device["key"]:
            words += f"   busy with {active.name}"
        return words

    def _choose(self, key: str, processes: int = 1) -> None:
        values = {"training.device": key, "training.processes": processes, "training.machines": 1}
        self._context.store.set(values, f"device {key}" if processes == 1 else f"{processes} GPUs")

    def _open_run_on(self) -> None:
        from studio.gui.shell.run_on import RunOnDialog  # needs the experiment, which the first paint does without

        RunOnDialog(self._context.store, self.window()).open()


def _find_devices() -> list[dict]:
    from studio.core.device import has_mps, usable_gpus

    found = [{"key": f"cuda:{i}", "name": gpu.name, "memory_bytes": gpu.memory_bytes} for i, gpu in enumerate(usable_gpus())]
    return found + ([{"key": "mps", "name": "Apple GPU", "memory_bytes": None}] if has_mps() else [])


def _short(name: str) -> str:
    """ "NVIDIA H100 80GB HBM3" -> "H100"; long CPU names to their first words."""
    words = [
        w for w in name.replace("(R)", "").replace("(TM)", "").split() if w not in ("NVIDIA", "GeForce", "Intel", "AMD", "Apple", "CPU")
    ]
    return " ".join(words[:2])[:18]
