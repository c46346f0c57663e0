"""How the letters of a text file are stored: by its mark, by what its bytes can be, or as somebody said."""

from __future__ import annotations

from dataclasses import dataclass

UNSURE = "latin-1"  # what bytes that are not UTF-8 are taken for: every byte is a letter of it
NAMES = {
    "utf-8": "UTF-8", "utf-16": "UTF-16", "latin-1": "Latin-1 (Western Europe)", "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)", "cp1251": "Windows-1251 (Cyrillic)", "mac-roman": "Mac Roman", "shift-jis": "Shift JIS (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
}  # fmt: skip
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True)
class Decoded:
    text: str
    encoding: str  # a key of NAMES
    is_sure: bool  # found by its mark or valid UTF-8, or said by somebody
    mixed: tuple[int, ...] = ()  # lines, from 1, that are not UTF-8 where others are; read as UNSURE
    wrong: int = 0  # places where the encoding that was said has no letter


def decode(data: bytes, wanted: str = "auto") -> Decoded:
    """The text of `data`. Never raises: bytes that mean nothing become U+FFFD, and are counted."""
    if wanted != "auto":
        text = _without_mark(data.decode(wanted, "replace"))
        return Decoded(text, wanted, True, wrong=text.count("\ufffd") - (data.count("\ufffd".encode()) if wanted == "utf-8" else 0))
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Decoded(_without_mark(data.decode(encoding, "replace")), encoding, True)
    if len(data) >= 4 and data[1:2] == b"\0" and data[3:4] == b"\0":
        return Decoded(data.decode("utf-16-le", "replace"), "utf-16", True)
    try:
        return Decoded(data.decode("utf-8"), "utf-8", True)
    except UnicodeDecodeError:
        pass
    lines = data.split(b"\n")
    wide = [i for i, line in enumerate(lines) if not line.isascii()]
    bad = [i for i in wide if not _is_utf_8(lines[i])]
    if len(bad) < len(wide):
        others = set(bad)
        text = "\n".join(line.decode(UNSURE if i in others else "utf-8") for i, line in enumerate(lines))
        return Decoded(text, "utf-8", False, tuple(i + 1 for i in bad))
    return Decoded(data.decode(UNSURE), UNSURE, False)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(text: str) -> str:
    return text.removeprefix("\ufeff")
