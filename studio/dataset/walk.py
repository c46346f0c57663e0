"""Lists the regular files under a folder: each real folder once, nothing hidden, nothing but files opened later."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from studio.core.path_text import path_to_text
from studio.dataset.dataset import Cancelled

MAX_DEPTH = 64
# What systems and tools leave behind: nobody looks for images of theirs in it.
_IGNORED = frozenset(
    "Thumbs.db ehthumbs.db desktop.ini __MACOSX __pycache__ @eaDir $RECYCLE.BIN .DS_Store .AppleDouble .Spotlight-V100 .fseventsd "
    ".TemporaryItems .thumbnails .cache .snapshot .snapshots .zfs .git .hg .svn .dvc .venv .idea .vscode .ipynb_checkpoints".split()
) | {"System Volume Information"}
_IGNORED_BEGINNINGS = ("._", ".Trash", ".nfs", ".fuse_hidden")


@dataclass
class Listing:
    """What lies under a folder. Ids are text forms relative to it; lists are sorted."""

    files: list[tuple[str, str]] = field(default_factory=list)  # (id, path to open)
    folders: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)  # folders that may not be read
    too_deep: list[str] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)  # folders whose path the system does not open
    outside: list[str] = field(default_factory=list)  # files that are links to a place outside the root
    repeated: list[str] = field(default_factory=list)  # links to folders that were read already
    broken_links: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)  # run folders of Studio
    hidden: dict[str, list[str]] = field(default_factory=dict)  # what begins with a dot, not in `files`: its id -> names of files there
    num_ignored: int = 0  # files and folders of systems and tools, pipes, sockets, devices


def is_of_a_system(name: str) -> bool:
    """Whether a file or folder of this name was left behind by a system or a tool."""
    return name in _IGNORED or name.startswith(_IGNORED_BEGINNINGS)


def list_files(root: str, *, on_found: Callable[[int], None] | None = None, is_cancelled: Callable[[], bool] | None = None) -> Listing:
    """Walk `root` (a path, not its text form). Raises PermissionError or other OSError for the root itself, and Cancelled."""
    found = Listing()
    folders = [("", root, 0)]
    real_root = os.path.join(os.path.realpath(root), "")
    links: list[tuple[str, str, int]] = []  # read last, so that a folder is found under its real name
    seen: set[tuple[int, int]] = set()
    while folders or links:
        if is_cancelled and is_cancelled():
            raise Cancelled
        prefix, path, depth = folders.pop() if folders else links.pop(0)
        try:
            info = os.stat(path)  # on Windows an entry of the folder above does not know the number
            key = (info.st_dev, info.st_ino)
            if info.st_ino and key in seen:  # not every network drive has numbers
                found.repeated.append(prefix[:-1])
                continue
            seen.add(key)
            with os.scandir(path) as entries:
                entries = list(entries)
        except OSError as exc:
            if not prefix:
                raise
            (found.too_long if exc.errno == errno.ENAMETOOLONG else found.denied).append(prefix[:-1])
            continue
        if {"journal.jsonl", "experiment.toml"} <= {entry.name for entry in entries}:
            found.runs.append(prefix[:-1])
            continue
        if prefix:
            found.folders.append(prefix[:-1])
        for entry in entries:
            _sort_in(entry, prefix, depth, found, folders, links, real_root, is_cancelled)
        if on_found:
            on_found(len(found.files))
    for each in (
        found.files,
        found.folders,
        found.denied,
        found.too_deep,
        found.too_long,
        found.outside,
        found.repeated,
        found.broken_links,
    ):
        each.sort()
    return found


def _sort_in(
    entry: os.DirEntry,
    prefix: str,
    depth: int,
    found: Listing,
    folders: list,
    links: list,
    real_root: str,
    is_cancelled: Callable[[], bool] | None,
) -> None:
    name = entry.name
    if is_of_a_system(name):
        found.num_ignored += 1
        return
    id_ = prefix + path_to_text(name)
    try:
        if name[0] == ".":
            found.hidden[id_] = _names_of_hidden(entry, is_cancelled)
        elif entry.is_file():
            found.files.append((id_, entry.path))
            if entry.is_symlink() and not os.path.realpath(entry.path).startswith(real_root):
                found.outside.append(id_)
        elif entry.is_dir():
            if depth + 1 >= MAX_DEPTH:
                found.too_deep.append(id_)
            else:
                (links if _is_link(entry) else folders).append((id_ + "/", entry.path, depth + 1))
        elif entry.is_symlink() and not os.path.exists(entry.path):
            found.broken_links.append(id_)
        else:
            found.num_ignored += 1
    except OSError as exc:
        kinds = {errno.ELOOP: found.broken_links, errno.ENAMETOOLONG: found.too_long}
        kinds.get(exc.errno, found.denied).append(id_)


def _is_link(folder: os.DirEntry) -> bool:
    """Also a junction of Windows, which Python tells from 3.12 on."""
    return folder.is_symlink() or hasattr(folder, "is_junction") and folder.is_junction()


def _names_of_hidden(entry: os.DirEntry, is_cancelled: Callable[[], bool] | None) -> list[str]:
    """The names of the files in what is left out for its name, so that it can be said; links are not followed. Raises Cancelled."""
    if not entry.is_dir(follow_symlinks=False):
        return [path_to_text(entry.name)] if entry.is_file(follow_symlinks=False) else []
    found = []
    for _, _, names in os.walk(entry.path):
        if is_cancelled and is_cancelled():
            raise Cancelled
        found += map(path_to_text, names)
    return found
