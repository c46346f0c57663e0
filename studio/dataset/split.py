"""Which part an image falls into: a function of its path and the seed, so that adding images moves none.

Every image has a fixed position in [0, 1), the first 8 bytes of SHA-256 over "path|seed". Positions below the validation
share are validation, positions in the last `test share` are test, the rest trains. Labels and other files play no role.
The shares are therefore met on average, class by class, not exactly.

A validation share of 0 leaves validation empty.

The one exception, for tiny classes: a class in which no image falls into validation gives its image with the lowest
position to it, and a class with none left to train on gives its highest to training. Only in such a class can a new image
take the place of another. A class with a single image trains with it and has nothing to validate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from studio.dataset.dataset import Split


def position(id_: str, seed: int) -> float:
    """A fixed place in [0, 1) for this path and seed, uniform over paths."""
    return int.from_bytes(hashlib.sha256(f"{id_}|{seed}".encode("utf-8", "surrogatepass")).digest()[:8]) / 2**64


def split_by_hash(
    labels: Mapping[str, str],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    fixed: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """A part for each id. `labels` maps ids to class names, `fixed` holds decisions made by hand, which stand."""
    fixed = fixed or {}
    by_class: dict[str, list[str]] = {}
    for id_, label in labels.items():
        by_class.setdefault(label, []).append(id_)
    found: dict[str, Split] = {}
    for ids in by_class.values():
        found |= _split_class(ids, validation_fraction, test_fraction, seed, fixed)
    return found


def _split_class(ids: Iterable[str], validation_fraction: float, test_fraction: float, seed: int, fixed: Mapping[str, Split]):
    found: dict[str, Split] = {}
    free = []
    for id_ in ids:
        if id_ in fixed:
            found[id_] = fixed[id_]
            continue
        at = position(id_, seed)
        found[id_] = "validation" if at < validation_fraction else "test" if at >= 1 - test_fraction else "train"
        free.append((at, id_))
    parts = list(found.values())
    if "train" not in parts and free:
        found[max(free)[1]] = "train"
    if "validation" not in found.values() and validation_fraction:
        # From training as long as one image is left to train on; else from test.
        trains = sorted(f for f in free if found[f[1]] == "train")
        enough = list(found.values()).count("train") > 1
        candidates = trains if enough and trains else sorted(f for f in free if found[f[1]] == "test")
        if candidates:
            found[candidates[0][1]] = "validation"
    return found
