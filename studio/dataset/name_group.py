"""Images that belong together by their names: “patient12_03” and “patient12_04”, the frames of one burst or film."""

from __future__ import annotations

import re
from collections import Counter

from studio.dataset.dataset import Dataset, Sample

# A beginning with a number in it, a sign between, and a number that counts, with or without a word before it: “p12-slice_007”.
_COUNTED = re.compile(r"(?P<group>.*\d.*?)[ _.\-]+(?:[a-z]+[ _\-]?)?\d+", re.IGNORECASE)
_FEWEST_GROUPS = 3
_LARGEST_SHARE = 0.5  # of a class; a beginning that more of it has names the class or the project


def groups_by_name(dataset: Dataset) -> dict[str, list[Sample]]:
    """The beginning of a name to the images that share it, two at least, in the order of names; empty where names do not tell groups."""
    found: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        stem = sample.id.rpartition("/")[2].rpartition(".")[0]
        if match := _COUNTED.fullmatch(stem):
            found.setdefault(match["group"], []).append(sample)
    sizes = Counter(sample.label for sample in dataset.samples)

    def is_small(group: list[Sample]) -> bool:
        return all(number <= _LARGEST_SHARE * sizes[label] for label, number in Counter(s.label for s in group).items())

    groups = {name: group for name, group in sorted(found.items()) if len(group) > 1 and is_small(group)}
    return groups if len(groups) >= _FEWEST_GROUPS else {}
