"""What harms a result or its figures, found by looking at every image. Each issue names count, effect and fix."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field

import numpy as np

from studio.core.path_text import shown
from studio.core.problem import Repair, Severity
from studio.core.words import counted
from studio.dataset.bands import BandsUndecided
from studio.dataset.dataset import Dataset, Sample, Split
from studio.dataset.header import ImageRefused
from studio.dataset.image import decode_noted, read_bytes
from studio.dataset.likeness import Look, alike_pairs, groups_of, look_at
from studio.dataset.name_group import groups_by_name
from studio.dataset.shape import FEW_VALIDATION_IMAGES, IMBALANCE, WEIGHT_CLASSES
from studio.dataset.verify import in_threads
from studio.dataset.words import listed

TINY_PX = 32  # shorter side; networks see 224 and more
EXTREME_ASPECT = 4.0
_BLANK_CONTRAST = 1.0  # standard deviation, of 255
_LEAST_PX = 64  # comparisons need no more
_ALL_PAIRS_UP_TO = 30_000  # images; above, only pairs across parts are looked for
_GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Issue:
    """`moves` is what “Move to train” would do: a part for each id. `pairs` are images to show side by side."""

    kind: str
    severity: Severity
    title: str
    detail: str
    ids: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    moves: dict[str, Split] = field(default_factory=dict)
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a file left: about a kilobyte."""

    content: bytes  # 16 bytes, equal for equal files
    look: Look
    mode: str
    is_turned: bool


# Kept by the caller between checks, so that only new and changed files are read again.
Memory = MutableMapping[tuple[str, int, int, str], "Seen | str"]


def find_issues(
    dataset: Dataset,
    progress: Callable[[int, int | None, str], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
    *,
    memory: Memory | None = None,
) -> tuple[Issue, ...]:
    """All issues, most harmful first; empty when there is nothing to say. Raises Cancelled."""
    seen, broken = _look_at_all(dataset, progress, is_cancelled, {} if memory is None else memory)
    samples = [s for s in dataset.samples if s.id in seen]
    found = [
        *_unreadable(dataset, broken),
        *_same_content(dataset, samples, seen),
        *_near_duplicates(dataset, samples, seen),
        *_groups_across(dataset),
        *_few_validation_images(dataset),
        *_imbalance(dataset),
        *_blank(samples, seen),
        *_extreme_aspect(samples),
        *_tiny(samples),
        *_modes(dataset, samples, seen),
        *_turned(samples, seen),
    ]
    order = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    return tuple(sorted(found, key=lambda issue: order.index(issue.severity)))


def _look_at_all(dataset, progress, is_cancelled, memory: Memory) -> tuple[dict[str, Seen], dict[str, str]]:
    """What was seen by id, and the reasons of those that cannot be read."""

    def look(sample: Sample) -> Seen | str:
        key = (sample.id, sample.num_bytes, sample.mtime_ns, dataset.reading.key)
        if key not in memory:
            try:
                data = read_bytes(dataset.path_of(sample))
                decoded = decode_noted(data, dataset.reading, least_px=_LEAST_PX)
            except BandsUndecided:
                memory[key] = ""  # a sound file; the scan asks which bands to use
            except ImageRefused as exc:
                memory[key] = exc.reason
            else:
                content = hashlib.blake2b(data, digest_size=16).digest()
                memory[key] = Seen(content, look_at(decoded.pixels), decoded.mode, decoded.is_turned)
        return memory[key]

    seen: dict[str, Seen] = {}
    broken: dict[str, str] = {}
    total = len(dataset.samples)
    for done, (sample, result) in enumerate(zip(dataset.samples, in_threads(look, dataset.samples, is_cancelled)), 1):
        if isinstance(result, str):
            if result:
                broken[sample.id] = result
        else:
            seen[sample.id] = result
        if progress and (done % 32 == 0 or done == total):
            progress(done, total, "Comparing images")
    return seen, broken


def _unreadable(dataset: Dataset, broken: dict[str, str]) -> Iterable[Issue]:
    reasons = {a.id: a.reason for a in dataset.set_aside} | broken
    if reasons:
        ids = tuple(sorted(reasons))
        names = "; ".join(f"{shown(id_.rpartition('/')[2])}: {reasons[id_]}" for id_ in ids[:2])
        more = f"; and {len(ids) - 2:,} more" if len(ids) > 2 else ""
        detail = f"{names}{more}. They are left out; copy them again to use them."
        yield Issue("unreadable", Severity.WARNING, f"{counted(len(ids), 'file')} cannot be read", detail, ids)


def _same_content(dataset: Dataset, samples: list[Sample], seen: dict[str, Seen]) -> Iterable[Issue]:
    by_content: dict[bytes, list[Sample]] = {}
    for sample in samples:
        by_content.setdefault(seen[sample.id].content, []).append(sample)
    groups = [group for group in by_content.values() if len(group) > 1]
    conflicting = [g for g in groups if len({s.label for s in g}) > 1]
    across = [g for g in groups if len({s.split for s in g}) > 1]
    inside = [g for g in groups if len({(s.label, s.split) for s in g}) == 1]
    if conflicting:
        yield Issue(
            "conflicting_labels",
            Severity.WARNING,
            f"{counted(len(conflicting), 'image')} in more than one class",
            f"The same file is {_labels_of(conflicting[0])}. The network cannot learn both. Relabel or leave out the wrong ones.",
            _ids(conflicting),
            _pairs(conflicting),
        )
    if across:
        yield _across(dataset, "duplicates_across", "the same file in two parts", across, _pairs(across))
    if inside:
        spare = sum(len(g) - 1 for g in inside)
        detail = "The same file is there more than once in its class and part, so it counts more than others. Leave the copies out."
        yield Issue("duplicates", Severity.NOTE, f"{counted(spare, 'exact copy', 'exact copies')}", detail, _ids(inside), _pairs(inside))


def _near_duplicates(dataset: Dataset, samples: list[Sample], seen: dict[str, Seen]) -> Iterable[Issue]:
    splits = np.array([("train", "validation", "test").index(s.split) for s in samples], np.int64)
    found = alike_pairs([seen[s.id].look for s in samples], splits, across_only=len(samples) > _ALL_PAIRS_UP_TO)
    pairs = [(i, j) for i, j in found if seen[samples[i].id].content != seen[samples[j].id].content]
    across = [(i, j) for i, j in pairs if splits[i] != splits[j]]
    inside = [(i, j) for i, j in pairs if splits[i] == splits[j] and samples[i].label == samples[j].label]
    conflicting = [(i, j) for i, j in pairs if samples[i].label != samples[j].label]
    if conflicting:
        i, j = conflicting[0]
        yield Issue(
            "near_conflicting_labels",
            Severity.WARNING,
            f"{counted(len(conflicting), 'pair')} of nearly the same image in two classes",
            f"For instance {_labels_of([samples[i], samples[j]])}. The network cannot learn both. Relabel or leave out the wrong ones.",
            tuple(sorted({samples[i].id for pair in conflicting for i in pair})),
            _named(samples, conflicting),
        )
    if across:
        groups = [[samples[i] for i in group] for group in groups_of(across)]
        yield _across(dataset, "near_duplicates_across", "nearly the same image in two parts", groups, _named(samples, across))
    if inside:
        ids = tuple(sorted({samples[i].id for pair in inside for i in pair}))
        detail = "They lie in the same part and add little. Leave some out if a few scenes fill most of a class."
        yield Issue(
            "near_duplicates",
            Severity.NOTE,
            f"{counted(len(inside), 'pair')} of nearly the same image",
            detail,
            ids,
            _named(samples, inside),
        )


def _across(dataset: Dataset, kind: str, what: str, groups: list[list[Sample]], pairs: tuple[tuple[str, str], ...]) -> Issue:
    """Groups that lie in several parts; each is put together into training, or into validation if none of it trains."""
    moves: dict[str, Split] = {}
    known: Counter[Split] = Counter()
    for group in groups:
        target = _one_part(group)
        for sample in group:
            if sample.split != target:
                moves[sample.id] = target
                known[sample.split] += 1
    effects = []
    for split in ("validation", "test"):
        if known[split]:
            share = 100 * known[split] / len(dataset.part(split))
            effects.append(
                f"{known[split]:,} of {len(dataset.part(split)):,} {split} images; its accuracy may read up to {share:.1f} points too high"
            )
    title = f"{counted(len(moves), 'image')}: {what}"
    where = "Move them to train." if set(moves.values()) == {"train"} else "Put each of them into one part."
    detail = f"They are known from another part: {'; '.join(effects)}. {where}"
    return Issue(kind, Severity.WARNING, title, detail, _ids(groups), pairs, moves)


def _groups_across(dataset: Dataset) -> Iterable[Issue]:
    groups = {name: group for name, group in groups_by_name(dataset).items() if len({s.split for s in group}) > 1}
    if groups:
        moves = {s.id: target for group in groups.values() for target in [_one_part(group)] for s in group if s.split != target}
        examples = listed([f"{name} ({len(group)})" for name, group in groups.items()], 3)
        yield Issue(
            "groups_across",
            Severity.NOTE,
            f"{counted(len(groups), 'group')} by name in several parts",
            f"{examples}. If such images show one person, object or scene, its figures read too high. Put each group into one part.",
            _ids(list(groups.values())),
            _pairs(list(groups.values())),
            moves,
        )


def _one_part(group: list[Sample]) -> Split:
    """Where all of a group go: into training, or into validation if none of it trains."""
    return "train" if any(s.split == "train" for s in group) else "validation"


def _few_validation_images(dataset: Dataset) -> Iterable[Issue]:
    if dataset.is_unmeasured:
        return
    few = {name: n["validation"] for name, n in dataset.counts().items() if n["validation"] < FEW_VALIDATION_IMAGES}
    if few:
        words = listed([f"{name} ({n})" for name, n in sorted(few.items(), key=lambda item: item[1])])
        ids = tuple(s.id for s in dataset.part("validation") if s.label in few)
        yield Issue(
            "few_validation_images",
            Severity.WARNING,
            f"{counted(len(few), 'class', 'classes')} with fewer than {FEW_VALIDATION_IMAGES} validation images",
            f"{words}. One image more or less changes the accuracy of such a class by 20 points or more. Add images, or raise the validation share.",
            ids,
        )


def _imbalance(dataset: Dataset) -> Iterable[Issue]:
    trained = sorted((n["train"], name) for name, n in dataset.counts().items() if n["train"])
    if len(trained) > 1 and trained[-1][0] >= IMBALANCE * trained[0][0]:
        (least, rare), (most, common) = trained[0], trained[-1]
        yield Issue(
            "imbalance",
            Severity.WARNING,
            f"Classes are 1 : {most / least:,.0f}",
            f"{shown(rare)} has {counted(least, 'training image')}, {shown(common)} {most:,}. Rare classes are learned less. "
            "Add images of them, or let their images count more.",
            tuple(s.id for s in dataset.part("train") if s.label == rare),
            repair=WEIGHT_CLASSES,
        )


def _blank(samples: list[Sample], seen: dict[str, Seen]) -> Iterable[Issue]:
    ids = tuple(s.id for s in samples if seen[s.id].look.contrast < _BLANK_CONTRAST)
    if ids:
        detail = "They show one even colour, so there is nothing to learn from. Leave them out."
        yield Issue("blank", Severity.WARNING, f"{counted(len(ids), 'blank image')}", detail, ids)


def _extreme_aspect(samples: list[Sample]) -> Iterable[Issue]:
    ids = tuple(s.id for s in samples if max(s.width, s.height) > EXTREME_ASPECT * min(s.width, s.height))
    if ids:
        detail = f"One side is more than {EXTREME_ASPECT:g} times the other, so the square that the network sees holds little of them. Crop them."
        yield Issue("extreme_aspect", Severity.WARNING, f"{counted(len(ids), 'very long image')}", detail, ids)


def _tiny(samples: list[Sample]) -> Iterable[Issue]:
    ids = tuple(s.id for s in samples if min(s.width, s.height) < TINY_PX)
    if ids:
        least = min(min(s.width, s.height) for s in samples)
        detail = f"Their shorter side has fewer than {TINY_PX} pixels (least: {least}); they are enlarged and show little. Use larger ones if you can."
        yield Issue("tiny", Severity.WARNING, f"{counted(len(ids), 'tiny image')}", detail, ids)


def _modes(dataset: Dataset, samples: list[Sample], seen: dict[str, Seen]) -> Iterable[Issue]:
    grey = [s for s in samples if seen[s.id].mode in _GREY_MODES]
    if grey and len(grey) < len(samples):
        of_class = Counter(s.label for s in samples)
        grey_of_class = Counter(s.label for s in grey)
        all_grey = [name for name, n in grey_of_class.items() if n == of_class[name]]
        no_grey = [name for name in dataset.classes if not grey_of_class[name] and of_class[name]]
        ids = tuple(s.id for s in grey)
        title = f"{len(grey):,} of {counted(len(samples), 'image')} {'is' if len(grey) == 1 else 'are'} grey"
        if all_grey and no_grey:
            detail = (
                f"All images of {listed(all_grey)} are grey, none of {listed(no_grey)}. The network may learn the colour instead of the object. "
                "Mix them, or make all grey."
            )
            yield Issue("mixed_modes", Severity.WARNING, title, detail, ids)
        else:
            detail = "They are used as grey images in three channels. Nothing to do if new images are mixed as well."
            yield Issue("mixed_modes", Severity.NOTE, title, detail, ids)
    deep = tuple(s.id for s in samples if seen[s.id].mode.startswith(("I", "F")))
    if deep:
        title = f"{counted(len(deep), 'image')} with more than 8 bits per channel"
        yield Issue("deep", Severity.NOTE, title, "They are scaled to 8 bits, not clipped.", deep)


def _turned(samples: list[Sample], seen: dict[str, Seen]) -> Iterable[Issue]:
    ids = tuple(s.id for s in samples if seen[s.id].is_turned)
    if ids:
        detail = "Their files say how they were held (EXIF). They are turned upright everywhere, in training and later use."
        yield Issue("turned", Severity.NOTE, f"{counted(len(ids), 'image')} stored sideways or upside down", detail, ids)


def _ids(groups: list[list[Sample]]) -> tuple[str, ...]:
    return tuple(s.id for group in groups for s in group)


def _pairs(groups: list[list[Sample]]) -> tuple[tuple[str, str], ...]:
    """The first of each group with each other; where parts differ, a training image comes first."""
    found = []
    for group in groups:
        first, *rest = sorted(group, key=lambda s: (s.split != "train", s.split != "validation", s.id))
        found += [(first.id, other.id) for other in rest]
    return tuple(found)


def _named(samples: list[Sample], pairs: list[tuple[int, int]]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for i, j in pairs for pair in _pairs([[samples[i], samples[j]]]))


def _labels_of(group: list[Sample]) -> str:
    return " and ".join(f"“{shown(s.id)}”" for s in group[:2])
