"""A Context on temporary folders with workers that answer what a test tells them to. No process is started."""

from __future__ import annotations

import pytest

from studio.gui.context import Context, make_context
from studio.gui.slices import make_types
from studio.gui.testing import FakeEngines, FakeWorker


@pytest.fixture(scope="session", autouse=True)
def types_of_qt() -> None:
    """As in the program before its first thread: see `studio.gui.slices`."""
    for _ in make_types():
        pass


@pytest.fixture
def theme(qapp):
    """The dark theme on the test application."""
    from studio.gui import theme

    installed = theme.install(qapp, "dark")
    yield installed
    qapp.setStyleSheet("")


@pytest.fixture
def context(qtbot, theme) -> Context:
    """context.probe.answer("describe_model", {...}) sets what a worker answers; context.probe.calls holds (method, params)."""
    made = make_context(preview=FakeWorker(), probe=FakeWorker(), finder=FakeWorker(), engines=FakeEngines())
    yield made
    made.close()
