"""Finds labels and parts from folder names: one folder per class, or train, validation and test folders with those inside."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.core.path_text import shown
from studio.core.problem import BadInput, Problem, error, note, warning
from studio.core.words import counted
from studio.dataset.dataset import Split
from studio.dataset.suffix import IMAGE_SUFFIXES, OTHER_SUFFIXES, suffix_of
from studio.dataset.walk import Listing
from studio.dataset.words import listed

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
THREE_LAYOUTS = "Use one sub-folder per class (cat/, dog/), or train/ and val/ folders with those inside, or a CSV file with the columns path and label."


@dataclass
class Labelled:
    """Files with what their place says about them. `splits` holds only ids whose part is given."""

    layout: str
    labels: dict[str, str] = field(default_factory=dict)  # id -> class, in order of ids
    paths: dict[str, str] = field(default_factory=dict)  # id -> path to open
    splits: dict[str, Split] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)  # id -> why it is set aside already
    named: dict[str, set[Split]] = field(default_factory=dict)  # class -> parts in which it was named, with or without images
    unlabelled: dict[str, str] = field(default_factory=dict)  # id -> path of files that lie where no class is
    problems: list[Problem] = field(default_factory=list)
    num_ignored: int = 0  # see Listing


def is_named_like_an_image(id_: str) -> bool:
    return suffix_of(id_) in IMAGE_SUFFIXES


def may_be_image(id_: str) -> bool:
    """By its name; the content decides later."""
    return suffix_of(id_) not in OTHER_SUFFIXES


def decide_layout(listing: Listing) -> str:
    """Which layout a folder has, by names alone: "class folders", "split folders" or "csv"."""
    with_images = _tops_with_images(listing)
    splits = {SPLIT_NAMES[top.casefold()] for top in with_images if top.casefold() in SPLIT_NAMES}
    others = [top for top in with_images if top.casefold() not in SPLIT_NAMES]
    if "train" in splits and _has_class_folders(listing, "train") and (len(splits) > 1 or not others):
        return "split folders"
    if len(with_images) < 2 and len(tables_in(listing)) == 1:
        return "csv"
    return "class folders"


def tables_in(listing: Listing) -> list[tuple[str, str]]:
    """The CSV files directly in the folder: (id, path)."""
    return [(id_, path) for id_, path in listing.files if "/" not in id_ and suffix_of(id_) in (".csv", ".tsv")]


def class_folders(listing: Listing, layout: str = "class folders", *, is_asked: bool = True) -> Labelled:
    """The folders at the top are the classes, with all that is below; or, as "inner folders", every folder with images is one, named by its path.

    Where there are folders inside and nobody has chosen between the two, `is_asked`, it is asked.
    """
    found = Labelled(layout)
    is_inner = layout == "inner folders"
    for folder in listing.folders:
        if "/" not in folder and not is_inner:
            found.named[folder] = set()
    nested: dict[str, set[str]] = {}
    for id_, path in listing.files:
        if not may_be_image(id_):
            continue
        label, _, rest = id_.partition("/")
        if not rest:
            found.unlabelled[id_] = path
            continue
        found.labels[id_], found.paths[id_] = id_.rpartition("/")[0] if is_inner else label, path
        if "/" in rest and is_named_like_an_image(id_):
            nested.setdefault(label, set()).add(rest.partition("/")[0])
    if is_asked and not is_inner:
        _ask_about_nested(found, nested)
    return found


def _ask_about_nested(found: Labelled, nested: dict[str, set[str]]) -> None:
    if nested and len(set(found.labels.values())) == 1:
        label = min(nested)
        words = f"If {listed(sorted(nested[label]), 3)} are the classes, choose the folder “{shown(label)}” itself."
        found.problems.append(warning("data.layout", words))
    elif nested:
        label = min(nested)
        what = (
            f"{counted(len(nested), 'class has', 'classes have')} folders inside: “{shown(label)}” holds {listed(sorted(nested[label]), 3)}"
        )
        how = 'on the Data page or with --set "data.layout=class folders" or "data.layout=inner folders"'
        found.problems.append(
            warning(
                "data.layout", f"{what}. Their images count for the class around them. Say whether they are classes of their own, {how}."
            )
        )


def split_folders(listing: Listing) -> Labelled:
    found = Labelled("split folders")
    nested: dict[str, set[str]] = {}
    ignored: dict[str, int] = {}
    for folder in listing.folders:
        parts = folder.split("/")
        split = SPLIT_NAMES.get(parts[0].casefold())
        if len(parts) == 2 and split:
            found.named.setdefault(parts[1], set()).add(split)
    for id_, path in listing.files:
        if not may_be_image(id_):
            continue
        top, *rest = id_.split("/")
        split = SPLIT_NAMES.get(top.casefold()) if rest else None
        if split is None:
            if is_named_like_an_image(id_):
                ignored[top if rest else ""] = ignored.get(top if rest else "", 0) + 1
        elif len(rest) == 1:
            found.unlabelled[id_] = path
        else:
            found.labels[id_], found.paths[id_], found.splits[id_] = rest[0], path, split
            if len(rest) > 2:
                nested.setdefault(rest[0], set()).add(rest[1])
    if not found.labels and found.unlabelled:
        raise BadInput(
            error(
                "data.source", "The train and validation folders hold images but no class folders. Make one sub-folder per class in each."
            )
        )
    if ignored:
        where = listed([f"“{top}”" if top else "the folder itself" for top in sorted(ignored)])
        found.problems.append(
            note(
                "data.source",
                f"{counted(sum(ignored.values()), 'image')} outside the train, validation and test folders, in {where}, not used.",
            )
        )
    _note_nested(found, nested)
    return found


def no_images(listing: Listing) -> BadInput:
    """Why a folder holds nothing to train on, and what to do."""
    if listing.runs and not listing.files:
        return BadInput(error("data.source", "This is a run folder of Studio, not a folder of images. Choose the folder with the images."))
    holds = []
    if listing.folders:
        holds.append(counted(len(listing.folders), "folder") + " without images")
    if listing.files:
        holds.append(counted(len(listing.files), "other file"))
    if listing.denied:
        return BadInput(
            error("data.source", f"No images in this folder that may be read. There is no permission to read {listed(listing.denied)}.")
        )
    if hidden := _hidden_images(listing):
        return BadInput(error("data.source", f"No images in this folder but hidden ones. {hidden}"))
    what = f"It holds {' and '.join(holds)}." if holds else "It is empty."
    return BadInput(error("data.source", f"No images in this folder. {what} {THREE_LAYOUTS}"))


def only_loose_images(num_images: int) -> BadInput:
    lie = "The one image lies" if num_images == 1 else f"All {num_images:,} images lie"
    return BadInput(error("data.source", f"{lie} directly in the folder, so the classes are not known. {THREE_LAYOUTS}"))


def decide_links(listing: Listing, answer: str) -> None:
    """What becomes of files that are links to places outside, once it was said: then nobody is asked any more."""
    if answer == "leave out":
        gone = set(listing.outside)
        listing.files[:] = [(id_, path) for id_, path in listing.files if id_ not in gone]
    if answer != "ask":
        listing.outside.clear()


def listing_problems(listing: Listing) -> list[Problem]:
    """What was skipped while walking."""
    found = []
    if listing.denied:
        found.append(warning("data.source", f"There is no permission to read {listed(listing.denied)}; what is inside is not used."))
    if listing.too_deep:
        found.append(note("data.source", f"Folders more than 64 levels deep are not read: {listed(listing.too_deep, 2)}."))
    if listing.too_long:
        found.append(warning("data.source", f"Not read, because the path is too long for this system: {listed(listing.too_long, 2)}."))
    if listing.outside:
        are = counted(len(listing.outside), "file is a link to a place", "files are links to places")
        found.append(
            warning(
                "data.outside_links",
                f"{are} outside the folder and used like the others: {listed(listing.outside, 3)}. Say whether they are meant, on the Data page "
                'or with --set "data.outside_links=use" or "data.outside_links=leave out".',
            )
        )
    if listing.repeated:
        found.append(note("data.source", f"Links to folders that are read already are skipped: {listed(listing.repeated)}."))
    if listing.runs:
        found.append(note("data.source", f"Run folders of Studio are skipped: {listed(listing.runs)}."))
    if hidden := _hidden_images(listing):
        found.append(note("data.source", hidden))
    return found


def _hidden_images(listing: Listing) -> str:
    """How many files named like images are hidden, where, and what to do; "" for none."""
    counts = {id_: sum(map(is_named_like_an_image, names)) for id_, names in sorted(listing.hidden.items())}
    where = [id_ for id_, count in counts.items() if count]
    if not where:
        return ""
    number = sum(counts.values())
    are, them = ("is", "it") if number == 1 else ("are", "them")
    return f"{counted(number, 'image')} {are} not used, because names that begin with a dot are hidden: {listed(where, 3)}. Rename {them} to use {them}."


def _tops_with_images(listing: Listing) -> list[str]:
    return sorted({id_.partition("/")[0] for id_, _ in listing.files if "/" in id_ and is_named_like_an_image(id_)})


def _has_class_folders(listing: Listing, split: Split) -> bool:
    for id_, _ in listing.files:
        top, *rest = id_.split("/")
        if len(rest) > 1 and SPLIT_NAMES.get(top.casefold()) == split and is_named_like_an_image(id_):
            return True
    return False


def _note_nested(found: Labelled, nested: dict[str, set[str]]) -> None:
    if nested:
        label = min(nested)
        found.problems.append(
            note(
                "data.source",
                f"{counted(len(nested), 'class has', 'classes have')} folders inside; their images count for the class. "
                f"“{shown(label)}” holds {listed(sorted(nested[label]), 3)}.",
            )
        )
