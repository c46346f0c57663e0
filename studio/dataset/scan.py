"""From the chosen folder or CSV file to a Dataset: list names, find labels, apply edits, read headers, split, say what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from studio.core.experiment import Data
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import BadInput, Problem, error, note, warning
from studio.core.words import counted
from studio.dataset import layout as layouts
from studio.dataset.dataset import Cancelled, Dataset, Sample, SetAside, Split
from studio.dataset.header import Header, ImageRefused, read_header
from studio.dataset.layout import Labelled
from studio.dataset.shape import band_problems, shape_problems
from studio.dataset.split import split_by_hash
from studio.dataset.suffix import TABLE_SUFFIXES, suffix_of
from studio.dataset.synthetic import synthetic_samples, without_synthetic
from studio.dataset.table import labels_from_table
from studio.dataset.walk import list_files
from studio.dataset.words import listed, natural_key

__all__ = ["Cancelled", "scan"]

Progress = Callable[[int, int | None, str], None]
_REPORT_EVERY = 512  # files; a report per file would cost more than the file


def scan(data: Data, *, progress: Progress | None = None, is_cancelled: Callable[[], bool] | None = None) -> Dataset:
    """Read names and headers of all images of `data.source`; nothing is decoded, nothing written.

    `progress(done, total or None, what)` is called from this thread. Raises BadInput when nothing can be used, Cancelled
    when `is_cancelled()` says so. All else is in `problems` (errors keep a run from starting) and `set_aside`.
    """
    source = _source_path(data)
    root, labelled = _label(data, source, progress, is_cancelled)
    _apply_edits(data, labelled)
    headers = _read_headers(labelled, data.max_megapixels, progress, is_cancelled)
    labels = {id_: label for id_, label in labelled.labels.items() if id_ in headers}
    if away := [id_ for id_, header in headers.items() if header.is_placeholder]:
        labelled.problems.append(
            warning(
                "data.source",
                f"{counted(len(away), 'image lies', 'images lie')} on a server only and {'is' if len(away) == 1 else 'are'} fetched when read: "
                f"{listed(away, 3)}. Make the folder available offline first, or training waits for the network.",
            )
        )
    splits = _split(data, labelled, labels)
    left_out = set(data.left_out_classes)
    named = {name: parts for name, parts in labelled.named.items() if name not in left_out}
    empty = sorted({*named} - {*labels.values()}, key=natural_key)
    kept = tuple(empty) if data.empty_classes == "keep" else ()
    classes = tuple(sorted(({*labels.values()} | {*kept}) - left_out, key=natural_key))
    samples = tuple(
        Sample(id_, label, splits[id_], h.width, h.height, h.num_bytes, h.mtime_ns, h.num_bands)
        for id_, label in labels.items()
        for h in (headers[id_],)
    )
    dataset = Dataset(
        root=path_to_text(root),
        layout=labelled.layout,
        classes=classes,
        samples=samples,
        set_aside=tuple(SetAside(id_, reason) for id_, reason in sorted(labelled.reasons.items())),
        has_given_parts=bool(labelled.splits),
        kept_empty=kept,
        num_ignored=labelled.num_ignored,
        is_unmeasured=data.validation_fraction == 0 and "validation" not in splits.values(),
        reading=data.reading,
    )
    made, refused, findings = synthetic_samples(data, root, classes, is_cancelled)
    dataset = dataset.changed(synthetic=made, set_aside=(*dataset.set_aside, *refused))
    if data.empty_classes == "leave out":
        named = {name: parts for name, parts in named.items() if name not in empty}
    return dataset.changed(problems=(*labelled.problems, *findings, *band_problems(dataset), *shape_problems(dataset, named)))


def _source_path(data: Data) -> str:
    """The absolute path of the source, which may be given in text form or as it is."""
    if not data.source.strip():
        raise _bad("No images chosen. Choose a folder with one sub-folder per class, or a CSV file.")
    if "\0" in data.source:
        raise _bad("The path of the images holds a NUL character, which no path has.")
    path = text_to_path(data.source)
    try:
        if not os.path.exists(path) and os.path.exists(data.source):
            path = data.source
        os.stat(path)
    except PermissionError:
        raise _bad(f"There is no permission to read “{shown(data.source)}”.") from None
    except OSError as exc:
        reason = "" if isinstance(exc, FileNotFoundError) else f" ({exc.strerror})"
        raise _bad(f"There is no folder or file “{shown(data.source)}”{reason}. Choose it again if it was moved or renamed.") from None
    return os.path.abspath(path)


def _label(data: Data, source: str, progress: Progress | None, is_cancelled) -> tuple[str, Labelled]:
    """The root that ids are relative to, and the files with their labels."""
    if not os.path.isdir(source):
        if data.layout in ("auto", "csv") and (data.layout == "csv" or suffix_of(source) in TABLE_SUFFIXES):
            return os.path.dirname(source), _table(data, source)
        raise _bad(f"“{shown(path_to_text(os.path.basename(source)))}” is a file. Choose the folder that holds the images, or a CSV file.")
    try:
        listing = list_files(source, on_found=progress and (lambda n: progress(n, None, "Looking for images")), is_cancelled=is_cancelled)
    except PermissionError:
        raise _bad(f"There is no permission to read “{shown(data.source)}”.") from None
    except OSError as exc:
        raise _bad(f"“{shown(data.source)}” cannot be read ({exc.strerror}).") from None
    without_synthetic(listing, data.synthetic, source)
    layouts.decide_links(listing, data.outside_links)
    layout = layouts.decide_layout(listing) if data.layout == "auto" else data.layout
    if layout == "csv":
        tables = layouts.tables_in(listing)
        if len(tables) != 1:
            what = f"{len(tables)} CSV files: {listed([id_ for id_, _ in tables])}" if tables else "no CSV file"
            raise _bad(f"The folder holds {what}. Choose the CSV file itself.")
        return source, _table(data, tables[0][1])
    if not any(layouts.may_be_image(id_) for id_, _ in listing.files):
        raise layouts.no_images(listing)
    labelled = (
        layouts.split_folders(listing)
        if layout == "split folders"
        else layouts.class_folders(listing, layout, is_asked=data.layout == "auto")
    )
    if layout == "split folders" and not labelled.labels:
        raise _bad(f"There are no train, validation or test folders with class folders in them. {layouts.THREE_LAYOUTS}")
    _look_at_unlabelled(labelled, listing, source, data.max_megapixels)
    labelled.problems += layouts.listing_problems(listing)
    labelled.num_ignored = listing.num_ignored
    for id_ in listing.broken_links:
        if layouts.may_be_image(id_):
            labelled.reasons[id_] = "a link to a file that is not there"
    return source, labelled


def _table(data: Data, path: str) -> Labelled:
    columns = {"path_column": data.path_column, "label_column": data.label_column, "split_column": data.split_column}
    return labels_from_table(path, **columns, encoding=data.encoding)


def _look_at_unlabelled(labelled: Labelled, listing, root: str, max_megapixels: float) -> None:
    """Say how many real images lie where no class is; a LICENSE file does not count."""
    images = [id_ for id_, path in labelled.unlabelled.items() if layouts.is_named_like_an_image(id_) or _is_image(path, max_megapixels)]
    if not labelled.labels:
        raise layouts.only_loose_images(len(images)) if images else layouts.no_images(listing)
    if images:
        lie, have = ("lies", "has") if len(images) == 1 else ("lie", "have")
        labelled.problems.append(
            warning(
                "data.source",
                f"{counted(len(images), 'image')} {lie} beside the class folders and {have} no class: {listed(images, 3)}. "
                "Move them into a class folder to use them.",
            )
        )


def _is_image(path: str, max_megapixels: float) -> bool:
    try:
        read_header(path, max_megapixels=max_megapixels)
    except ImageRefused:
        return False
    return True


def _apply_edits(data: Data, labelled: Labelled) -> None:
    """Labels changed and files left out by hand; ids that are not there are noted."""
    known = labelled.labels.keys() | labelled.reasons.keys()
    for field, ids in (("left_out", data.left_out), ("relabelled", data.relabelled), ("moved", data.moved)):
        _note_unknown(labelled.problems, f"data.{field}", [i for i in ids if i not in known], "file", "files")
    classes = set(labelled.labels.values()) | labelled.named.keys()
    unknown = [name for name in data.left_out_classes if name not in classes]
    _note_unknown(labelled.problems, "data.left_out_classes", unknown, "class", "classes")
    for id_ in data.left_out:
        labelled.labels.pop(id_, None)
        labelled.reasons.pop(id_, None)
    for id_, label in data.relabelled.items():
        if id_ in labelled.labels:
            if not label.strip():
                labelled.problems.append(error("data.relabelled", f"The new class of “{shown(id_)}” is empty. Give it a name."))
                continue
            labelled.labels[id_] = label
            if id_ in labelled.splits:
                labelled.named.setdefault(label, set()).add(labelled.splits[id_])
    gone = set(data.left_out_classes)
    if gone:
        for id_ in [i for i, label in labelled.labels.items() if label in gone]:
            del labelled.labels[id_]
    if not labelled.labels and known:
        raise _bad("Every image is left out. Take some back to go on.")


def _note_unknown(problems: list[Problem], field: str, unknown: Iterable[str], singular: str, plural: str) -> None:
    unknown = list(unknown)
    if unknown:
        is_, them = ("is", "it") if len(unknown) == 1 else ("are", "them")
        what = counted(len(unknown), singular, plural)
        problems.append(
            note(field, f"{what} named here {is_} not in the folder: {listed(unknown, 3)}. What was set for {them} has no effect.")
        )


def _read_headers(labelled: Labelled, max_megapixels: float, progress, is_cancelled) -> Mapping[str, Header]:
    """Headers of the usable files; the others go to `labelled.reasons`, or nowhere if they do not even claim to be images."""
    found: dict[str, Header] = {}
    total = len(labelled.labels)
    is_table = labelled.layout == "csv"
    for i, id_ in enumerate(labelled.labels):
        if i % _REPORT_EVERY == 0:
            if is_cancelled and is_cancelled():
                raise Cancelled
            if progress:
                progress(i, total, "Reading images")
        try:
            found[id_] = read_header(labelled.paths[id_], max_megapixels=max_megapixels)
        except ImageRefused as exc:
            if is_table or layouts.is_named_like_an_image(id_):
                labelled.reasons[id_] = exc.reason
    if progress:
        progress(total, total, "Reading images")
    if not found:
        raise _all_broken(labelled)
    return found


def _all_broken(labelled: Labelled) -> BadInput:
    if not labelled.reasons:
        return _bad(f"No images in these folders. {layouts.THREE_LAYOUTS}")
    first = sorted(labelled.reasons)[0]
    many = "The one image" if len(labelled.reasons) == 1 else f"None of the {len(labelled.reasons):,} images"
    can = "cannot" if len(labelled.reasons) == 1 else "can"
    return _bad(f"{many} {can} be read. {shown(first)}: {labelled.reasons[first]}. Check that the files were copied completely.")


def _split(data: Data, labelled: Labelled, labels: Mapping[str, str]) -> dict[str, Split]:
    """The part of each image: by hand, then as the folder or table says, then by hash."""
    given = {id_: split for id_, split in labelled.splits.items() if id_ in labels}
    by_hand = {id_: split for id_, split in data.moved.items() if id_ in labels}
    parts = set(given.values())
    free = {id_: label for id_, label in labels.items() if id_ not in given}
    if given and "validation" not in parts and data.validation_fraction:
        # A test part but nothing to measure progress with: hold back some of what trains.
        free |= {id_: labels[id_] for id_, split in given.items() if split == "train"}
        given = {id_: split for id_, split in given.items() if split != "train"}
        _say_validation_is_held_back(data, labelled)
    test_fraction = 0.0 if "test" in parts or "validation" in parts else data.test_fraction
    hashed = split_by_hash(
        free,
        validation_fraction=data.validation_fraction,
        test_fraction=test_fraction,
        seed=data.split_seed,
        fixed={id_: split for id_, split in by_hand.items() if id_ in free},
    )
    return given | hashed | by_hand


def _say_validation_is_held_back(data: Data, labelled: Labelled) -> None:
    labelled.problems.append(
        note(
            "data.validation_fraction",
            f"There are no validation images, so {data.validation_fraction:.0%} of the training images are held back to measure progress.",
        )
    )


def _bad(sentence: str) -> BadInput:
    return BadInput(error("data.source", sentence))
