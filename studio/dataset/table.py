"""Labels from a CSV file: one row per image with its path, its class and, if wanted, its part. No cell is ever fetched or run."""

from __future__ import annotations

import contextlib
import csv
import heapq
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput, Problem, error, warning
from studio.core.words import counted
from studio.dataset.dataset import Split
from studio.dataset.encoding import NAMES, Decoded, decode
from studio.dataset.header import ImageRefused
from studio.dataset.image import read_bytes
from studio.dataset.layout import SPLIT_NAMES, Labelled
from studio.dataset.shape import MISSING_IN_TABLE
from studio.dataset.words import listed

_PATH_NAMES = (
    "path file filename file_name filepath file_path image image_path image_name image_file imagename imagepath img img_path name id image_id"
).split()
_LABEL_NAMES = "label labels class class_name classname class_label category category_name target y".split()
_SPLIT_NAMES = "split set subset partition part data_set dataset".split()
_PARTS: dict[str, Split] = SPLIT_NAMES | {"dev": "validation"}
MOST_COLUMNS = 64  # that are shown to choose from
_MAX_CELL = 1 << 20  # characters; a longer cell is no path
_MOST_CELLS = 1 << 17  # of a line; a longer one is not of a table that people make
_LONGEST_NAME = 4096
_PLAIN = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_. -]*+(?:/[A-Za-z0-9_][A-Za-z0-9_. -]*+)*+"
)  # names of which nothing needs to be asked: nearly all
_LONGEST_FILE = 200_000_000  # bytes: three million rows; twice as much is in memory for a moment


@dataclass(frozen=True)
class Table:
    """A file whose every row can be read."""

    columns: tuple[str, ...]
    num_rows: int
    width: int  # cells of the widest row
    separator: str
    letters: Decoded

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line number from 1, cells) below the header, read anew each time: the cells of a million rows take half a gigabyte."""
        return islice(_rows(self.letters.text, self.separator), 1, None)

    @property
    def names(self) -> tuple[str, ...]:
        """One for every column that the widest row has, by which it can be chosen: its own, or “column 3” where it has none or shares it."""
        times = Counter(name.casefold() for name in self.columns)
        own = [*self.columns, *[""] * (self.width - len(self.columns))]
        return tuple(name if name and times[name.casefold()] == 1 else f"column {i}" for i, name in enumerate(own, 1))

    def has_more_cells(self, cells: list[str]) -> bool:
        """Whether a row goes on behind the last column that has a name."""
        return any(cell.strip() for cell in cells[len(self.columns) :])


def read_table(path: str, encoding: str = "auto") -> Table:
    """Separator by the first line. Raises BadInput."""
    try:
        data = read_bytes(path, longest=_LONGEST_FILE)
    except ImageRefused as exc:
        raise _bad(f"The CSV file cannot be used: {exc.reason}.") from None
    if data and not data.strip(b"\0"):
        raise _bad("The CSV file holds zeros alone; its content is lost. Copy it again.")
    letters = decode(data, encoding)
    del data
    first = next((line for line in _lines(letters.text) if line.strip()), "")
    separator = max(",;\t", key=lambda c: _outside_quotes(first).count(c))
    rows = _rows(letters.text, separator)
    header = next(rows, None)
    if header is None:
        raise _bad("The CSV file is empty. Its first line names the columns, each further line an image.")
    columns = tuple(cell.strip() for cell in header[1])
    num_rows, width = 0, len(columns)
    for _, cells in rows:
        num_rows += 1
        width = max(width, len(cells))
    return Table(columns, num_rows, width, separator, letters)


def _lines(text: str) -> Iterator[str]:
    """With their ends, of any system, and without a copy of the text as io.StringIO makes, of four bytes a letter."""
    return (found[0] for found in re.finditer(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text))


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of each row that holds something. Raises BadInput."""

    has_zeros = "\0" in text

    def lines() -> Iterator[str]:
        for line in _lines(text):
            if len(line) > _MOST_CELLS and line.count(separator) >= _MOST_CELLS:
                raise csv.Error(f"more than {_MOST_CELLS:,} cells in one line")
            yield line.replace("\0", "\ufffd") if has_zeros else line

    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(lines(), delimiter=separator)
    start = 1
    try:
        for cells in reader:
            if "".join(cells).strip():
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as exc:
        raise _bad(f"The CSV file cannot be read from line {start:,} on: {exc}. Check the quotation marks there.") from None


def labels_from_table(
    path: str, *, path_column: str = "", label_column: str = "", split_column: str = "", encoding: str = "auto"
) -> Labelled:
    """Read the table at `path`; ids are relative to its folder. Raises BadInput when a column is missing or no row is usable."""
    table = read_table(path, encoding)
    missing = []
    at_path = _find(table, path_column, _PATH_NAMES, "path", missing)
    at_label = _find(table, label_column, _LABEL_NAMES, "label", missing)
    at_split = _find(table, split_column, _SPLIT_NAMES, "split", missing, optional=True)
    if not missing and at_path == at_label:
        missing.append(
            error("data.label_column", f"“{shown(table.names[at_path])}” cannot hold both the paths and the labels. Choose another.")
        )
    if missing:
        raise BadInput(*missing)
    if not table.num_rows:
        raise _bad("The CSV file names its columns but holds no rows.")
    may_be_wide = table.width > len(table.columns) and not (path_column and label_column)
    if may_be_wide and 2 * sum(table.has_more_cells(cells) for _, cells in table.rows()) > table.num_rows:
        names = counted(len(table.columns), "column")
        raise BadInput(
            error(
                "data.path_column",
                f"The first line of the CSV file names {names} and most rows have {table.width} cells, so it is not clear which is which. Give every "
                f"column a name, or say which ones hold the path and the label, {_how('path', 'column 1')}.",
            )
        )
    found = Labelled("csv")
    reading = _Reading(found, os.path.dirname(os.path.abspath(path)), table.letters.encoding, at_path, at_label, at_split)
    for line, cells in table.rows():
        reading.add(line, cells, is_wide=may_be_wide and table.has_more_cells(cells))
    reading.finish(table.num_rows)
    found.problems += _letter_problems(table.letters)
    return found


def _letter_problems(letters: Decoded) -> list[Problem]:
    """What is to be asked, or is wrong, about how the letters are stored."""
    how = "Say how its letters are stored, on the Data page or with --set data.encoding=cp1252."
    if letters.mixed:
        lines = listed(letters.mixed, 8)
        which = f"line {lines} is" if len(letters.mixed) == 1 else f"lines {lines} are"
        return [warning("data.encoding", f"The CSV file is UTF-8, but {which} not; read as Latin-1 there. Check names with accents. {how}")]
    if not letters.is_sure:
        return [warning("data.encoding", f"The CSV file is not UTF-8 and was read as Latin-1. Check names with accents. {how}")]
    if letters.wrong:
        what = counted(letters.wrong, "place")
        return [warning("data.encoding", f"{what} in the CSV file cannot be {NAMES[letters.encoding]}. Choose another encoding, or auto.")]
    return []


@dataclass(frozen=True)
class TablePreview:
    """What a person needs to see to say which column is which."""

    path: str
    columns: tuple[str, ...]  # as Table.names
    rows: tuple[tuple[str, ...], ...]  # the first few
    num_rows: int
    separator: str
    encoding: str
    is_sure: bool  # of the encoding


def preview_table(source: str, encoding: str = "auto", num_rows: int = 3) -> TablePreview | None:
    """The table that `source` is, or the only one in that folder; None where there is none. Raises BadInput."""
    if os.path.isdir(source):
        tables = [name for name in os.listdir(source) if name.lower().endswith((".csv", ".tsv")) and not name.startswith(".")]
        if len(tables) != 1:
            return None
        source = os.path.join(source, tables[0])
    table = read_table(source, encoding)
    names = table.names[:MOST_COLUMNS]
    if table.letters.is_sure:
        first = islice(table.rows(), num_rows)
    else:  # those that show whether the letters are right
        first = heapq.nsmallest(num_rows, table.rows(), key=lambda row: "".join(row[1]).isascii())
    rows = tuple(tuple(cell[:80] for cell in [*cells, *[""] * len(names)][: len(names)]) for _, cells in first)
    return TablePreview(source, names, rows, table.num_rows, table.separator, table.letters.encoding, table.letters.is_sure)


class _Reading:
    """Turns rows into labelled files, and collects by kind what is wrong with rows."""

    def __init__(self, found: Labelled, root: str, encoding: str, at_path: int, at_label: int, at_split: int | None):
        self._found, self._root, self._encoding = found, root, encoding
        self._before = os.path.join(root, "")
        self._at = at_path, at_label, at_split
        self._refused: dict[str, list[int]] = {}
        self._line_of: dict[str, int] = {}
        self._gone: set[str] = set()  # folders; nothing needs to be asked of a million files in them

    def add(self, line: int, cells: list[str], *, is_wide: bool = False) -> None:
        name, label, part = [cells[at].strip() if at is not None and at < len(cells) else "" for at in self._at]
        split = _PARTS.get(part.casefold()) if part else None
        is_plain = len(name) <= _LONGEST_NAME and _PLAIN.fullmatch(name)
        reason = (
            ("it has more cells than the first line names" if is_wide else "")
            or ("" if is_plain else _refuse(name))
            or ("no class is given" if not label else "")
            or ("the part is not train, val or test" if part and not split else "")
        )
        if reason:
            self._refused.setdefault(reason, []).append(line)
            return
        id_, path = (name, self._before + name) if is_plain else self._resolve(name)
        if not self._exists(path):
            self._refused.setdefault("there is no such file", []).append(line)
            self._found.reasons[id_] = f"{MISSING_IN_TABLE} {line})"
            return
        found = self._found
        if id_ in found.reasons:
            return
        if id_ in found.labels:
            if found.labels[id_] != label or found.splits.get(id_) != split:
                del found.labels[id_], found.paths[id_]
                found.splits.pop(id_, None)
                found.reasons[id_] = f"rows {self._line_of[id_]} and {line} say different things about it"
                self._refused.setdefault("the file has another row that says something else", []).append(line)
            else:
                self._refused.setdefault("the file is named twice", []).append(line)
            return
        self._line_of[id_] = line
        found.labels[id_], found.paths[id_] = label, path
        if split:
            found.splits[id_] = split
        found.named.setdefault(label, set())
        if split:
            found.named[label].add(split)

    def _exists(self, path: str) -> bool:
        folder = os.path.dirname(path)
        if folder in self._gone:
            return False
        if os.path.exists(path):
            return True
        if not os.path.exists(folder):
            self._gone.add(folder)
        return False

    def _resolve(self, name: str) -> tuple[str, str]:
        """Id and path of a relative name; a backslash is a folder separator unless a file has just this name."""
        relative = posixpath.normpath(name)
        path = os.path.join(self._root, relative)
        if "\\" in name and not os.path.lexists(path):
            relative = posixpath.normpath(name.replace("\\", "/"))
            path = os.path.join(self._root, relative)
        if self._encoding not in ("utf-8", "utf-16") and not relative.isascii() and not os.path.lexists(path):
            with contextlib.suppress(UnicodeEncodeError):  # the bytes of the table may be the bytes of the names
                relative = os.fsdecode(relative.encode(self._encoding))
            path = os.path.join(self._root, relative)
        return "/".join(path_to_text(part) for part in relative.split("/")), path

    def finish(self, num_rows: int) -> None:
        found = self._found
        for reason, lines in self._refused.items():
            found.problems.append(
                warning(
                    "data.source",
                    f"{counted(len(lines), 'row is', 'rows are')} not used because {reason}: "
                    f"{'row' if len(lines) == 1 else 'rows'} {listed(lines, 8)}.",
                )
            )
        if not found.labels:
            reasons = " ".join(p.sentence for p in found.problems)
            raise _bad(f"None of the {counted(num_rows, 'row')} of the CSV file can be used. {reasons} Paths are relative to the CSV file.")
        found.labels = dict(sorted(found.labels.items()))


def _refuse(name: str) -> str:
    """Why a path cell is not followed, or ""."""
    if not name:
        return "no path is given"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) or name.lower().startswith(("data:", "file:")):
        return "the path is a web address, which is never fetched"
    if name.startswith(("/", "\\\\", "~")) or re.match(r"[A-Za-z]:[\\/]", name):
        return "the path is absolute; use paths relative to the CSV file"
    for variant in (name, name.replace("\\", "/")):
        if posixpath.normpath(variant).split("/")[0] == "..":
            return "the path leads out of the folder of the CSV file"
    if "\ufffd" in name or len(name) > _LONGEST_NAME:
        return "the path holds characters that no file name has"
    if posixpath.normpath(name) == ".":
        return "the path is a folder"
    return ""


def _find(table: Table, wanted: str, usual: list[str], role: str, missing: list, *, optional: bool = False) -> int | None:
    names = [name.casefold() for name in table.columns]
    there = f"The columns are: {listed([c or '(no name)' for c in table.columns], 12)}."
    field = f"data.{role}_column"
    candidates = [wanted.casefold()] if wanted else usual
    if (number := re.fullmatch(r"column (\d{1,6})", wanted.casefold())) and wanted.casefold() not in names:
        if 1 <= int(number[1]) <= len(table.names):
            return int(number[1]) - 1
        missing.append(error(field, f"The CSV file has no column {number[1]}; it has {len(table.names)}. {there}"))
        return None
    for candidate in candidates:
        if names.count(candidate) > 1:
            missing.append(
                error(
                    field,
                    f"Two columns of the CSV file are called “{shown(candidate)}”. Rename one, or say which one it is, {_how(role, 'column 2')}.",
                )
            )
            return None
        if candidate in names:
            return names.index(candidate)
    if wanted:
        missing.append(error(field, f"The CSV file has no column “{shown(wanted)}”. {there}"))
    elif not optional:
        missing.append(
            error(
                field,
                f"The CSV file has no {role} column. {there} Name one “{role}”, or say which one it is, {_how(role, _likely(names))}.",
            )
        )
    return None


def _likely(names: list[str]) -> str:
    """The first column whose name says nothing, for an example: it may be the one that is missing."""
    known = {*_PATH_NAMES, *_LABEL_NAMES, *_SPLIT_NAMES}
    return f"column {next((i for i, name in enumerate(names, 1) if name not in known), 1)}"


def _how(role: str, column: str) -> str:
    return f'on the Data page or with --set "data.{role}_column={column}"'


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"?', "", line)


def _bad(sentence: str) -> BadInput:
    return BadInput(error("data.source", sentence))
