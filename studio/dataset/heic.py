"""HEIC by pillow-heif, where somebody has installed it.

It does not come with Studio: its binaries carry an encoder under the GPL, and libheif before 1.23.4 can be taken over by a crafted file
(the advisories of September 2026), so older ones are not used.
"""

from __future__ import annotations

from functools import cache

LEAST = (1, 23, 4)  # of libheif
INSTALL = f"pip install -U pillow-heif (with libheif {'.'.join(map(str, LEAST))} or newer)"


@cache
def can_read_heic() -> bool:
    """Whether HEIC can be read in this process; Pillow knows the format from then on."""
    try:
        import pillow_heif

        version = tuple(int(part) for part in pillow_heif.libheif_version().split(".")[:3])
    except (ImportError, AttributeError, ValueError, OSError):
        return False
    if version < LEAST:
        return False
    pillow_heif.register_heif_opener()
    return True
