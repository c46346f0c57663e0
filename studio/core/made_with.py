"""Which settings a finding that is kept beside a draft was made with, so that it can name those that have changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache

from studio.core.experiment import SECTIONS, Experiment

Counts = Callable[[str], bool]  # whether a finding depends on the setting of this path


def digests(experiment: Experiment, counts: Counts) -> dict[str, str]:
    """Each setting that counts, with a short SHA-256 of its value."""
    raw = experiment.model_dump(mode="json")
    return {
        f"{section}.{name}": _digest(value) for section in SECTIONS for name, value in raw[section].items() if counts(f"{section}.{name}")
    }


def changed_since(made_with: Mapping[str, str], experiment: Experiment, counts: Counts) -> tuple[str, ...]:
    """Settings that count and have another value now; a setting that an older version did not know had its default."""
    now, then = digests(experiment, counts), _defaults(counts) | made_with
    return tuple(path for path in sorted(now.keys() | then.keys()) if now.get(path) != then.get(path))


@cache
def _defaults(counts: Counts) -> dict[str, str]:
    return digests(Experiment(), counts)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
