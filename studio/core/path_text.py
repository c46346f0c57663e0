r"""File names as text that survives JSON, TOML, SQLite and Qt.

A name on disk is bytes; not every name is valid UTF-8. The text form is the UTF-8 decoding where that works and writes each
undecodable byte as `\xNN`; a real backslash doubles. On Windows a name is 16-bit units, and half of a surrogate pair that stands
alone is written as `\uNNNN`. The mapping is one to one, so the bytes can always be had back.
"""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(r"\\(\\|x[0-9A-Fa-f]{2}|uD[89A-F][0-9A-F]{2})")


def path_to_text(path: str | bytes | os.PathLike) -> str:
    """The text form of a path as the operating system gives it (str with surrogate escapes, or bytes)."""
    text = os.fsdecode(path).replace("\\", "\\\\")
    if text.isascii():  # nearly all names: a scan of 100,000 files spends its time elsewhere
        return text
    return "".join(_escape(c) if "\ud800" <= c <= "\udfff" else c for c in text)


def _escape(surrogate: str) -> str:
    return f"\\x{ord(surrogate) - 0xDC00:02X}" if "\udc80" <= surrogate <= "\udcff" else f"\\u{ord(surrogate):04X}"


def text_to_path(text: str) -> str:
    """The path to hand to the operating system; inverse of `path_to_text`."""
    return _ESCAPE.sub(lambda m: "\\" if m[1] == "\\" else chr(int(m[1][1:], 16) + (0xDC00 if m[1][0] == "x" else 0)), text)


def shown(text: str) -> str:
    """A name safe to show on one line: control and direction-changing characters are written as escapes."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text)
