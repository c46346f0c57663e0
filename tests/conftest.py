"""Fixtures for the whole suite. Every test gets its own home, so nothing of the user's is read or written."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ["OMP_NUM_THREADS"] = "1"  # of small networks a second thread costs more than it saves, most of all where tests run side by side

# The same examples in every run, and no verdict on how fast a busy computer makes them; STUDIO_EXPLORE=1 looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
if not os.environ.get("STUDIO_EXPLORE"):
    hypothesis.settings.load_profile("same")


LONG_FIRST = ("engine", "integration", "worker", "cli", "export", "backbones", "gui")  # folders, by the seconds of their longest file
PATIENCE_MS = 30_000


class PatientBot(QtBot):
    """Waits for what is sure to come, however busy the machine is: only a condition that never comes true costs the time."""

    def waitUntil(self, callback, *, timeout: int = PATIENCE_MS):
        super().waitUntil(callback, timeout=max(timeout, PATIENCE_MS))

    def waitSignal(self, signal, *, timeout: int = PATIENCE_MS, **more):
        return super().waitSignal(signal, timeout=max(timeout, PATIENCE_MS), **more)

    def waitSignals(self, signals, *, timeout: int = PATIENCE_MS, **more):
        return super().waitSignals(signals, timeout=max(timeout, PATIENCE_MS), **more)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: the last ones to be given out leave no process waiting for the other."""
    folders = [Path(__file__).parent / name for name in LONG_FIRST]
    items.sort(key=lambda item: next((i for i, folder in enumerate(folders) if folder in item.path.parents), len(folders)))


def pytest_collection_finish() -> None:
    """What the modules of tests and their libraries hold stays for good: the collector need not look through it again and again."""
    gc.freeze()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder)


@pytest.fixture
def as_ordinary_user():
    """A context in which root is nobody, since root may read everything."""

    @contextlib.contextmanager
    def change():
        if os.name == "nt":
            pytest.skip("needs file permissions")
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(before)

    return change()


@pytest.fixture
def qtbot(qapp, request) -> Iterator[PatientBot]:
    """No widget outlives its test: without an event loop what pytest-qt has deleted "later" stays, as do pyqtgraph's menus, which have no parent,
    and every test would style those of all before it."""
    before = set(qapp.topLevelWidgets())
    yield PatientBot(request)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    for _ in range(8):  # what a menu held is left when it is gone
        for widget in set(qapp.topLevelWidgets()) - before:
            widget.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(autouse=True)
def studio_home(tmp_path_factory, monkeypatch) -> Path:
    """An empty STUDIO_HOME for this test and every process it starts; the bin of the system is in it too, on Linux."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("STUDIO_HOME", str(home))
    (home / "share").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "share"))
    return home


@pytest.fixture
def no_run_is_left(studio_home) -> Iterator[None]:
    """One that a failed test left half-way would train on for ever."""
    from studio.core.run_folder import find_runs
    from studio.supervise.engine import end_by_force

    yield
    for run in find_runs(studio_home / "runs"):
        end_by_force(run, grace_s=1.0)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch) -> None:
    """No test, and nothing of the product that it runs in this process, may talk to another machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            assert host == "localhost" or ipaddress.ip_address(host.partition("%")[0]).is_loopback, f"the network was touched: {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the two development data sets; a test that needs it says so when it is not there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the development data sets in {folder}")
    return folder
