"""Damage and oddities that decoders pass over in silence: found by the structure of the file, without decoding it again."""

from __future__ import annotations

import re
import struct
import zlib

_CHUNK = 1 << 16
# Adam7, PNG specification 8.2: first column and row of each pass, and the steps between them.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_MOST_RESTARTS = 1 << 20
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the marker behind entropy-coded bytes
_LOST = bytes(1024)
_PACKED_METADATA = (b"zTXt", b"iTXt", b"iCCP")
_MOST_METADATA = 1 << 20  # bytes; for a longer one Pillow refuses the picture, and of shorter ones it keeps sixty in memory


def without_long_metadata(data: bytes) -> bytes:
    """A PNG without the packed texts and the colour profile that go beyond a megabyte in all, unpacked: no pixel needs them, and 200 MB of text
    fit into a file of 200 KB. PNG specification, sections 11.3.2.3 and 11.3.3."""
    kept, start, total, at = [], 0, 0, 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind in _PACKED_METADATA:
            size = _unpacked_size(kind, data[at + 8 : end - 4])
            if total + size > _MOST_METADATA:
                kept.append(data[start:at])
                start = end
            else:
                total += size
        at = end
    return b"".join((*kept, data[start:])) if kept else data


def _unpacked_size(kind: bytes, chunk: bytes) -> int:
    """Bytes of a text or profile, counted to just above the limit; 0 for one that is not packed, or not readable."""
    _, _, rest = chunk.partition(b"\0")  # behind the name: how it is packed, of an iTXt also its language and translated name
    if kind == b"iTXt" and rest[:1] in (b"", b"\0"):
        return 0
    packed = rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else rest[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST_METADATA + 1))
    except zlib.error:
        return 0


def lacks_rows(data: bytes) -> bool:
    """Whether a PNG whose chunks are whole holds fewer rows than its header says: Pillow leaves those black. Inflates all of it."""
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _CHANNELS.get(colour, 1)
    wanted = 0
    for x, y, dx, dy in _PASSES if interlace == 1 else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            wanted += rows * (1 + (columns * bits + 7) // 8)
    return _inflated_size(data, wanted) < wanted


def _inflated_size(data: bytes, most: int) -> int:
    """Bytes in the image data of a PNG, counted up to `most`, in little memory."""
    inflate, total, at = zlib.decompressobj(), 0, 8
    while at + 12 <= len(data) and total < most:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            part = data[at + 8 : at + 8 + length]
            while part and total < most:
                try:
                    total += len(inflate.decompress(part, _CHUNK))
                except zlib.error:
                    return total
                part = inflate.unconsumed_tail
        at += 12 + length
    return total


def has_lost_restarts(data: bytes) -> bool:
    """Whether the numbered markers in the scan of a baseline JPEG do not count 0 to 7 over and over, or some are missing.

    Decoders go on at the next marker and leave a band of the picture grey or shifted. ITU T.81, B.2.1 and E.1.4.
    """
    found = _frame_and_scan(data)
    if found is None:
        return False
    num_units, interval, scan = found
    numbers = [m[1] - 0xD0 for m in re.findall(rb"\xff[\xd0-\xd7]", scan)]
    expected = -(-num_units // interval) - 1
    return len(numbers) != expected or any(number != i % 8 for i, number in enumerate(numbers))


def _frame_and_scan(data: bytes) -> tuple[int, int, bytes] | None:
    """(coded units of the picture, units between two markers, entropy-coded bytes) of a JPEG with one scan and restart markers."""
    at, interval, num_units = 2, 0, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDD:
            interval = struct.unpack_from(">H", data, at + 4)[0]
        elif marker in (0xC0, 0xC1):
            height, width, parts = struct.unpack_from(">HHB", data, at + 5)
            factors = [data[at + 11 + 3 * i] for i in range(parts)]
            # one component is coded block by block, several in groups of the largest sampling factors
            across, down = (8 * max(f >> 4 for f in factors), 8 * max(f & 15 for f in factors)) if parts > 1 else (8, 8)
            num_units = -(-width // across) * -(-height // down)
        elif marker == 0xC2:
            return None  # progressive: several scans
        elif marker == 0xDA:
            if not interval or not num_units or data[at + 4] != len(factors) or num_units // interval > _MOST_RESTARTS:
                return None
            end = _AFTER_SCAN.search(data, at + 2 + length)
            return num_units, interval, data[at + 2 + length : end.start() if end else len(data)]
        at += 2 + length
    return None


def has_lost_bytes(data: bytes) -> bool:
    """Whether a kibibyte of zeros stands in a scan of a baseline JPEG where no picture puts them: what a disk gives back for a sector that it lost.

    Zeros are the shortest code of each table (ITU T.81, C.2). Where that says "nothing more in this block" they are an even picture; in the usual
    tables it says that a frequency of luminance is -1. A progressive file may hold such bits anywhere.
    """
    if _LOST not in data:
        return False
    at, shortest = 2, {}
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, end = data[at + 1], at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xC4:
            shortest |= _shortest_codes(data[at + 4 : end])
        elif marker == 0xC2:
            return False
        elif marker == 0xDA:
            found = _AFTER_SCAN.search(data, end)
            return any(shortest.values()) and data.find(_LOST, end, found.start() if found else len(data)) >= 0
        at = end
    return False


def _shortest_codes(segment: bytes) -> dict[int, int]:
    """What the shortest code means in each table of a DHT segment for other frequencies than 0, by the number of the table."""
    found, at = {}, 0
    while at + 17 < len(segment):
        if segment[at] >> 4 == 1:
            found[segment[at]] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])
    return found


def has_archive_behind(data: bytes) -> bool:
    """Whether a ZIP archive ends the file: it opens as a picture and as an archive."""
    return data.rfind(b"PK\x05\x06", max(0, len(data) - 66_000)) > 0
