"""What the palette and the keyboard map list of the window: its keys, the pages with theirs, and what has no key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from studio.gui.pages import PAGES
from studio.gui.shell.command import Command
from studio.gui.shell.part_keys import ANYWHERE, PART_KEYS

if TYPE_CHECKING:
    from studio.gui.window import Window

_ICONS = {
    "Ctrl+O": "folder-notch-open", "Ctrl+Return": "play-fill", "Ctrl+.": "pause-fill", "Ctrl+Shift+.": "stop-fill",
    "Ctrl+Z": "arrow-u-up-left", "Ctrl+Shift+Z": "arrow-u-up-right", "Ctrl+Shift+T": "sun", "F1": "keyboard", "Ctrl+F": "magnifying-glass",
    "Ctrl+I": "sliders-horizontal", "Ctrl+B": "list",
}  # fmt: skip


def palette_commands(window: Window) -> list[Command]:
    """The most wanted ones first."""
    pages = [
        Command("page", slot.title, slot.icon, run=partial(window.show_page, slot.key), shortcut=f"Ctrl {i}")
        for i, slot in enumerate(PAGES, 1)
    ]
    found = [
        Command("command", words, _ICONS.get(keys, "command"), run=function, shortcut=_spoken(keys))
        for keys, words, function in window.window_keys()[1:]
    ]
    for keys, words, function in window.page_keys(window.current_page):
        found.append(Command("command", words, "command", run=function, shortcut=_spoken(keys)))
    context = window.context
    more = [
        ("New project", "plus", context.projects.create), ("Duplicate project", "copy", context.projects.duplicate),
        ("Open CSV or experiment file", "table", window.open_file_dialog), ("Quick test (1 epoch, 20 images)", "timer", context.runs.quick_test),
        ("Train on 5 seeds", "dice-five", context.runs.train_seeds), ("Read the images again", "arrows-clockwise", context.scan.rescan),
        ("Show the queue", "queue", window.rail.queue.open), ("Window settings", "gear-six", window.open_settings),
    ]  # fmt: skip
    return [*found[:4], *pages, *found[4:], *(Command("command", words, name, run=function) for words, name, function in more)]


def key_groups(window: Window) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title and pairs of keys and what they do: everywhere, on the page in front, on the others. A page's own keys once it was made."""
    steps = [(f"Ctrl {i}", slot.title) for i, slot in enumerate(PAGES, 1)]
    front, others = [], []
    for slot in PAGES:
        groups = front if slot.key == window.current_page else others
        if keys := [(_spoken(k), words) for k, words, _ in window.page_keys(slot.key)]:
            groups.append((slot.title, keys))
        groups += [(f"{slot.title}, {part}", list(keys)) for part, keys in PART_KEYS.get(slot.key, ())]
    everywhere = [(_spoken(keys), words) for keys, words, _ in window.window_keys()]
    return [("Everywhere", everywhere), *front, ("Steps", steps), *((title, list(keys)) for title, keys in ANYWHERE), *others]


def _spoken(keys: str) -> str:
    """ "Ctrl+Return" -> "Ctrl Enter"."""
    return keys.replace("Return", "Enter").replace("Escape", "Esc").replace("+", " ")
