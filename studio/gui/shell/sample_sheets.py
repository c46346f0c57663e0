"""What lies over the window, for the screenshots. Each is opened as a person would, over the Schedule page in its full state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.gui.window import Window


def _queue(window: Window) -> None:
    """Four runs that wait."""
    from studio.gui.pages.train.page import show_queue

    show_queue(window.page("train"))
    window.rail.queue.open()


def _messages(window: Window) -> None:
    long = "The checkpoint step-00000040 is damaged and was passed over; the run goes on from step 20. Check the drive."
    for sentence in ("Queued after run 2.", long, "341 predictions saved to predictions.csv."):
        window.context.shell.notice_added.emit(sentence)
    window.open_messages()


def _problems(window: Window) -> None:
    """An experiment file with several faults."""
    from studio.core.experiment_file import experiment_from_toml
    from studio.core.problem import BadInput

    text = '[schedule]\nepochs = 0\npeak_lr = -1\n[training]\nbatch_size = "many"\nworker = 2\n'
    try:
        experiment_from_toml(text)
    except BadInput as exc:
        window.context.shell.refuse("from-a-colleague.toml", exc.problems)


def _failure(window: Window) -> None:
    """A run whose batch was too large."""
    from studio.gui.pages.train.faults import FAULT_STATES

    page = window.page("train")
    FAULT_STATES["fault_memory"](page)
    window.open_failure(page.entry)


OVERLAYS: dict[str, Callable[[Window], object]] = {
    "palette": lambda window: window.open_palette("weight de"), "keyboard": lambda window: window.open_keyboard_map(),
    "settings": lambda window: window.open_settings(), "sweep": lambda window: window.top_bar.train.open_sweep(), "queue": _queue,
    "messages": _messages, "problems": _problems, "failure": _failure,
}  # fmt: skip
