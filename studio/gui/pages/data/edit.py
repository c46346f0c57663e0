"""What editing the data set means for the experiment. The user's files are never touched: each function gives the settings to change.

Results go to `store.set(values, label)`, so every edit is one undo step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from studio.core.experiment import Data
from studio.dataset.dataset import Dataset

Values = dict[str, Any]


def leave_out(data: Data, ids: Iterable[str]) -> Values:
    """These files are not used."""
    return {"data.left_out": _joined(data.left_out, ids)}


def take_back(data: Data, ids: Iterable[str]) -> Values:
    """These files are used again."""
    gone = set(ids)
    return {"data.left_out": tuple(i for i in data.left_out if i not in gone)}


def relabel(data: Data, ids: Iterable[str], label: str) -> Values:
    """These files count for the class `label`, whatever their folder says."""
    return {"data.relabelled": data.relabelled | dict.fromkeys(ids, label)}


def move(data: Data, ids: Iterable[str], part: str) -> Values:
    """These files belong to the part: train, validation or test."""
    return {"data.moved": data.moved | dict.fromkeys(ids, part)}


def leave_out_classes(data: Data, names: Iterable[str]) -> Values:
    return {"data.left_out_classes": _joined(data.left_out_classes, names)}


def take_back_classes(data: Data, names: Iterable[str]) -> Values:
    gone = set(names)
    return {"data.left_out_classes": tuple(n for n in data.left_out_classes if n not in gone)}


def share(validation: float, test: float) -> Values:
    return {"data.validation_fraction": validation, "data.test_fraction": test}


def edited(dataset: Dataset, data: Data) -> Dataset:
    """`dataset` as it will be once the scan has caught up with the edits in `data`, so that a view can answer at once."""
    gone, gone_classes = set(data.left_out), set(data.left_out_classes)
    if not (gone or gone_classes or data.relabelled or data.moved):
        return dataset
    samples = []
    for sample in dataset.samples:
        label = data.relabelled.get(sample.id, sample.label)
        if sample.id in gone or label in gone_classes or sample.label in gone_classes:
            continue
        part = data.moved.get(sample.id, sample.split)
        if label != sample.label or part != sample.split:
            sample = dataclasses.replace(sample, label=label, split=part)
        samples.append(sample)
    known = set(dataset.classes)
    new = dict.fromkeys(s.label for s in samples if s.label not in known)
    classes = tuple(c for c in (*dataset.classes, *new) if c not in gone_classes)
    return dataset.changed(samples=tuple(samples), classes=classes)


def _joined(old: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *more)))
