"""What is wrong with the shape of a data set: too few classes, parts that do not fit together, counts that mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from studio.core.path_text import shown
from studio.core.problem import Problem, Repair, error, note, warning
from studio.core.reading import suggested_bands
from studio.core.words import counted
from studio.dataset.dataset import Dataset, SetAside, Split
from studio.dataset.words import listed, look_alikes

FEW_VALIDATION_IMAGES = 5
IMBALANCE = 5  # largest to smallest class
MISSING_IN_TABLE = "there is no such file (row"  # the reading of the table reports these with their rows
WEIGHT_CLASSES = Repair("Weight classes", {"training.class_weights": "balanced"})
_MANY_BROKEN = 0.05
_FEWEST_BROKEN = 3  # one bad file of twenty says nothing about how the class was copied


def shape_problems(dataset: Dataset, named: Mapping[str, set[Split]]) -> list[Problem]:
    """`named` maps the classes that the folder or table names, with or without images, to the parts it names them in."""
    counts = dataset.counts()
    found: list[Problem] = []
    empty = sorted(name for name in named if name not in counts)
    with_images = [name for name in dataset.classes if name not in dataset.kept_empty]
    if len(with_images) == 1:
        only = shown(with_images[0])
        found.append(
            error(
                "data.source",
                f"There is only one class{' with images' if dataset.kept_empty else ''}, “{only}”. A classifier needs at least two. Add a folder with another class.",
            )
        )
    if empty:
        found.append(
            warning(
                "data.empty_classes",
                f"{counted(len(empty), 'class has', 'classes have')} no usable image and {'is' if len(empty) == 1 else 'are'} left out: {listed(empty)}. "
                f"Say whether {'its place' if len(empty) == 1 else 'their places'} among the classes {'is' if len(empty) == 1 else 'are'} kept, on the "
                'Data page or with --set "data.empty_classes=keep" or "data.empty_classes=leave out".',
            )
        )
    if dataset.kept_empty:
        keep = "keeps its place" if len(dataset.kept_empty) == 1 else "keep their places"
        kept = counted(len(dataset.kept_empty), "class without images", "classes without images")
        found.append(
            note("data.empty_classes", f"{kept} {keep} among the classes: {listed(dataset.kept_empty)}. Nothing is learnt of them.")
        )
    counts = {name: n for name, n in counts.items() if name not in dataset.kept_empty}
    found += _part_problems(counts, dataset)
    found += _balance_problems(counts)
    for group in look_alikes(dataset.classes):
        names = " and ".join(f"“{shown(name)}”" for name in group)
        found.append(
            warning(
                "data.source", f"The classes {names} look alike. If they are the same, relabel one or put their images into one folder."
            )
        )
    found += _set_aside_problems(dataset)
    return found


def band_problems(dataset: Dataset) -> list[Problem]:
    """A run waits until somebody has said which bands are red, green and blue, and all files have them."""
    banded = [s for s in (*dataset.samples, *dataset.synthetic) if s.num_bands > 3]
    if not banded:
        return []
    fewest, most = min(s.num_bands for s in banded), max(s.num_bands for s in banded)
    bands = dataset.reading.bands
    have = "has" if len(banded) == 1 else "have"
    numbers = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    what = f"{counted(len(banded), 'image')} {have} {numbers} bands"
    how = f"on the Data page, or with --set data.bands=[{','.join(map(str, suggested_bands(fewest)))}]"
    if not bands:
        return [error("data.bands", f"{what}. Choose which three are red, green and blue, {how}.")]
    if max(bands) > fewest:
        return [error("data.bands", f"{what}, and band {max(bands)} is chosen. Choose three of {fewest}, {how}.")]
    return []


def _part_problems(counts: dict[str, dict[str, int]], dataset: Dataset) -> list[Problem]:
    found = []
    several = len(counts) > 1
    if several and not dataset.is_unmeasured and all(sum(n.values()) == 1 for n in counts.values()):
        return [
            error(
                "data.source",
                "Each class has one image, so none is left to measure progress with. Add at least one more image to each class, or train on "
                "all of them without measuring, on the Data page or with --set data.validation_fraction=0.",
                Repair("Train on all", {"data.validation_fraction": 0.0}),
            )
        ]
    untrained = [name for name, n in counts.items() if not n["train"]]
    unmeasured = [name for name, n in counts.items() if n["train"] and not n["validation"] and not dataset.is_unmeasured]
    if dataset.is_unmeasured:
        found.append(
            note(
                "data.validation_fraction",
                "All images train and none is held back, so nothing says how good the network is; the last epoch is kept. Measure it on images "
                "of its own with `studio evaluate`.",
            )
        )
    if untrained:
        found.append(
            error(
                "data.source",
                f"{counted(len(untrained), 'class has', 'classes have')} no training images: {listed(untrained)}. "
                "Add training images, or leave the class out.",
            )
        )
    if unmeasured and dataset.has_given_parts:
        found.append(
            error(
                "data.source",
                f"{counted(len(unmeasured), 'class of', 'classes of')} the training images {'is' if len(unmeasured) == 1 else 'are'} missing "
                f"in validation: {listed(unmeasured)}. Add validation images, move some there, or leave the class out.",
            )
        )
    elif unmeasured:
        make = error if len(unmeasured) == len(counts) else warning
        found.append(
            make(
                "data.validation_fraction",
                f"{counted(len(unmeasured), 'class has', 'classes have')} no validation images, so no accuracy: {listed(unmeasured)}. "
                "Add images, or move one to validation.",
            )
        )
    if any(n["test"] for n in counts.values()):
        untested = [name for name, n in counts.items() if n["train"] and not n["test"]]
        if untested:
            found.append(note("data.source", f"{counted(len(untested), 'class has', 'classes have')} no test images: {listed(untested)}."))
    few = [(n["validation"], name) for name, n in counts.items() if 0 < n["validation"] < FEW_VALIDATION_IMAGES]
    if few:
        words = listed([f"{name} ({n})" for n, name in sorted(few)])
        found.append(
            warning(
                "data.validation_fraction",
                f"{counted(len(few), 'class has', 'classes have')} fewer than {FEW_VALIDATION_IMAGES} validation images: {words}. "
                f"{'Its' if len(few) == 1 else 'Their'} accuracy will jump. Add images, or raise the validation share.",
            )
        )
    return found


def _balance_problems(counts: dict[str, dict[str, int]]) -> list[Problem]:
    trained = sorted((n["train"], name) for name, n in counts.items() if n["train"])
    if len(trained) < 2 or trained[-1][0] < IMBALANCE * trained[0][0]:
        return []
    (least, rare), (most, common) = trained[0], trained[-1]
    return [
        warning(
            "data.source",
            f"Classes are 1 : {most / least:,.0f}. “{shown(rare)}” has {counted(least, 'training image')}, “{shown(common)}” {most:,}. "
            "Rare classes are learned less. Add images of them, or weight the classes, on the Schedule page or with --set "
            "training.class_weights=balanced.",
            WEIGHT_CLASSES,
        )
    ]


def _set_aside_problems(dataset: Dataset) -> list[Problem]:
    aside = [a for a in dataset.set_aside if not a.reason.startswith(MISSING_IN_TABLE)]
    if not aside:
        return []
    total = len(aside) + len(dataset.samples)
    words = "; ".join(f"{shown(a.id)}: {a.reason}" for a in aside[:2])
    more = f"; and {len(aside) - 2:,} more" if len(aside) > 2 else ""
    make = warning if len(aside) > _MANY_BROKEN * total else note
    return [
        *_much_of_a_class(dataset, aside),
        make(
            "data.source",
            f"{counted(len(aside), 'file')} of {total:,} cannot be used and {'is' if len(aside) == 1 else 'are'} set aside. {words}{more}.",
        ),
    ]


def _class_of(id_: str, layout: str) -> str:
    """The class of a file by its place; "" where it has none."""
    folders = id_.split("/")[:-1]
    if layout == "inner folders":
        return "/".join(folders)
    depth = 1 if layout == "split folders" else 0
    return folders[depth] if len(folders) > depth else ""


def _much_of_a_class(dataset: Dataset, aside: list[SetAside]) -> list[Problem]:
    """A class that lost so much is a half-finished copy more often than not: the run waits until somebody has decided."""
    if dataset.layout == "csv":  # a table has named each of them already
        return []
    lost = Counter(label for a in aside if (label := _class_of(a.id, dataset.layout)))
    used = Counter(sample.label for sample in dataset.samples)
    return [
        error(
            "data.source",
            f"{number:,} of {number + used[label]:,} files of “{shown(label)}” cannot be used. Copy them again, or leave them out on the Data page.",
        )
        for label, number in sorted(lost.items())
        if number >= max(_FEWEST_BROKEN, _MANY_BROKEN * (number + used[label]))
    ]
