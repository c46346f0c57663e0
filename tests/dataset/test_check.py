"""Verifying, finding issues, statistics."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from studio.core.experiment import Data
from studio.core.problem import Severity
from studio.dataset.check import find_issues
from studio.dataset.dataset import Cancelled
from studio.dataset.name_group import groups_by_name
from studio.dataset.scan import scan
from studio.dataset.statistics import pixel_statistics
from studio.dataset.verify import verify

from .conftest import make_images
from .corpus import encoded, grey16, jpeg, one_bit_png, with_exif


def picture(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """A picture unlike those of other seeds: a coarse random pattern, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Two classes, train and val, no two images alike."""
    seed = 0
    for part, number in (("train", 12), ("val", 6)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(number):
                picture(seed).save(tmp_path / part / name / f"{i}.jpg", quality=92)
                seed += 1
    return tmp_path


def issues(folder, **options):
    return {issue.kind: issue for issue in find_issues(scan(Data(source=str(folder))), **options)}


# --- verify ---------------------------------------------------------------------------------------


def test_verifying_sets_aside_what_does_not_decode_and_keeps_the_rest(folder):
    whole = jpeg(300, 300)
    (folder / "train/cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "train/cat/tail.jpg").write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    scanned = scan(Data(source=str(folder)))
    assert len(scanned.samples) == 38  # the headers are whole
    said = []
    found = verify(scanned, lambda *args: said.append(args))
    assert len(found.samples) == 36 and found.classes == scanned.classes
    assert [a.id for a in found.set_aside] == ["train/cat/cut.jpg", "train/cat/tail.jpg"]
    assert found.set_aside[1].reason.startswith("zero-filled tail")
    assert any("2 files of 38 cannot be used" in p.sentence for p in found.problems)
    assert said[-1] == (38, 38, "Checking images")


def test_a_class_that_loses_all_its_images_keeps_its_index_and_is_an_error(folder):
    for path in (folder / "train/cat").iterdir():
        path.write_bytes(jpeg()[:300] + b"junk")
    before = scan(Data(source=str(folder)))
    found = verify(before)
    assert found.classes == ("cat", "dog")
    assert any(p.severity is Severity.ERROR and "no training images: cat" in p.sentence for p in found.problems)


def test_a_file_that_vanishes_between_scan_and_check_is_set_aside(folder):
    scanned = scan(Data(source=str(folder)))
    (folder / "train/cat/0.jpg").unlink()
    assert verify(scanned).set_aside[0].reason == "there is no such file"
    assert any(i.kind == "unreadable" for i in find_issues(scanned))


def test_unusual_images_are_used_and_noted_once_for_each_kind(folder):
    for i in range(3):
        (folder / f"train/cat/dark{i}.png").write_bytes(grey16(4000))
    (folder / "train/cat/short.jpg").write_bytes(jpeg()[:-2])
    found = verify(scan(Data(source=str(folder))))
    assert len(found.samples) == 40
    text = "\n".join(p.sentence for p in found.problems)
    assert "3 images: uses 6 % of the 16-bit range (train/cat/dark0.png)." in text
    assert "1 image: missing end marker (train/cat/short.jpg)." in text


def test_verifying_a_sound_folder_changes_nothing(folder):
    scanned = scan(Data(source=str(folder)))
    assert verify(scanned) == scanned


@pytest.mark.parametrize("task", [verify, find_issues, lambda d, **k: pixel_statistics(d, **k)])
def test_long_tasks_can_be_cancelled(folder, task):
    calls = []

    def is_cancelled():
        calls.append(1)
        return len(calls) > 3

    with pytest.raises(Cancelled):
        task(scan(Data(source=str(folder))), is_cancelled=is_cancelled)
    assert len(calls) == 4


def test_every_reading_keeps_the_limit_that_the_scan_was_given(folder):
    (folder / "train/cat/large.png").write_bytes(one_bit_png(9_200))
    assert [a.id for a in scan(Data(source=str(folder))).set_aside] == ["train/cat/large.png"]
    allowed = scan(Data(source=str(folder), max_megapixels=100))
    assert verify(allowed).set_aside == () and pixel_statistics(allowed).num_images == 25
    assert "unreadable" not in {issue.kind for issue in find_issues(allowed)}


# --- issues ---------------------------------------------------------------------------------------


def test_a_sound_folder_has_no_issues(folder):
    assert issues(folder) == {}


def test_the_same_file_in_train_and_validation_is_found_with_a_way_out(folder):
    (folder / "val/cat/copy.jpg").write_bytes((folder / "train/cat/3.jpg").read_bytes())
    found = issues(folder)
    assert set(found) == {"duplicates_across"}
    issue = found["duplicates_across"]
    assert issue.pairs == (("train/cat/3.jpg", "val/cat/copy.jpg"),)
    assert issue.moves == {"val/cat/copy.jpg": "train"}
    assert "1 of 13 validation images; its accuracy may read up to 7.7 points too high" in issue.detail
    moved = scan(Data(source=str(folder), moved=issue.moves))
    assert not any(i.kind == "duplicates_across" for i in find_issues(moved))


def reencoded(im):
    return encoded(im, "JPEG", quality=55)


def halved(im):
    return encoded(im.resize((80, 60), Image.Resampling.LANCZOS), "PNG")


def mirrored(im):
    return encoded(im.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "JPEG", quality=90)


def brighter(im):
    return encoded(im.point(lambda v: min(255, v + 2)), "WEBP", quality=90)


@pytest.mark.parametrize("change", [reencoded, halved, mirrored, brighter])
def test_a_changed_copy_in_another_part_is_found(folder, change):
    (folder / "val/cat/copy.jpg").write_bytes(change(Image.open(folder / "train/cat/3.jpg")))
    found = issues(folder)
    assert set(found) == {"near_duplicates_across"}
    assert found["near_duplicates_across"].moves == {"val/cat/copy.jpg": "train"}


def test_images_that_belong_together_by_name_are_pointed_out_across_parts(tmp_path):
    for number in range(6):  # six people, each with two images to train and one to validate
        make_images(tmp_path, f"train/cat/p{number}_slice-01.jpg train/cat/p{number}_slice-02.jpg val/cat/p{number}_slice-03.jpg")
    make_images(tmp_path, {"train/dog": 12, "val/dog": 6})
    found = next(i for i in find_issues(scan(Data(source=str(tmp_path)))) if i.kind == "groups_across")
    assert found.severity is Severity.NOTE and found.title == "6 groups by name in several parts"
    assert "p0 (3), p1 (3), p2 (3) and 3 more" in found.detail and "Put each group into one part" in found.detail
    assert found.moves == {f"val/cat/p{number}_slice-03.jpg": "train" for number in range(6)}


@pytest.mark.parametrize("names", ["{n:04}", "cat_{n:04}", "class1_{n}", "IMG_{n}", "a{n}b", "7-{n}"])
def test_names_that_only_count_make_no_groups(tmp_path, names):
    for part, numbers in (("train", range(12)), ("val", range(12, 18))):
        for label in ("cat", "dog"):
            make_images(tmp_path, " ".join(f"{part}/{label}/{names.format(n=n)}.jpg" for n in numbers))
    assert groups_by_name(scan(Data(source=str(tmp_path)))) == {}


def test_three_copies_in_three_parts_go_to_train_together(folder):
    data = (folder / "train/cat/3.jpg").read_bytes()
    (folder / "test/cat").mkdir(parents=True)
    (folder / "test/dog").mkdir(parents=True)
    picture(900).save(folder / "test/dog/0.jpg")
    (folder / "test/cat/a.jpg").write_bytes(data)
    (folder / "val/cat/b.jpg").write_bytes(data)
    assert issues(folder)["duplicates_across"].moves == {"test/cat/a.jpg": "train", "val/cat/b.jpg": "train"}


def test_the_same_picture_in_two_classes_is_found_even_if_encoded_anew(folder):
    (folder / "train/dog/copy.jpg").write_bytes((folder / "train/cat/3.jpg").read_bytes())
    (folder / "train/dog/again.jpg").write_bytes(reencoded(Image.open(folder / "train/cat/5.jpg")))
    found = issues(folder)
    assert set(found) == {"conflicting_labels", "near_conflicting_labels"}
    assert found["conflicting_labels"].severity is Severity.WARNING


def test_copies_inside_a_class_are_a_note(folder):
    (folder / "train/cat/copy.jpg").write_bytes((folder / "train/cat/3.jpg").read_bytes())
    (folder / "train/cat/again.jpg").write_bytes(reencoded(Image.open(folder / "train/cat/5.jpg")))
    found = issues(folder)
    assert set(found) == {"duplicates", "near_duplicates"}
    assert {issue.severity for issue in found.values()} == {Severity.NOTE}


def test_blank_tiny_and_very_long_images_are_found(folder):
    (folder / "train/cat/blank.png").write_bytes(encoded(Image.new("RGB", (90, 90), (9, 9, 9)), "PNG"))
    picture(901, 20, 20).save(folder / "train/cat/tiny.jpg")
    picture(902, 600, 90).save(folder / "train/cat/long.jpg")
    found = issues(folder)
    assert {kind: issue.ids for kind, issue in found.items()} == {
        "blank": ("train/cat/blank.png",),
        "tiny": ("train/cat/tiny.jpg",),
        "extreme_aspect": ("train/cat/long.jpg",),
    }


def test_two_blank_images_are_not_called_duplicates_of_each_other_by_look(folder):
    for part, colour in (("train", 10), ("val", 200)):
        (folder / part / "cat/blank.png").write_bytes(encoded(Image.new("RGB", (90, 90), (colour,) * 3), "PNG"))
    assert set(issues(folder)) == {"blank"}


def test_a_class_that_is_grey_among_coloured_ones_is_a_warning(folder):
    for path in [*(folder / "train/cat").iterdir(), *(folder / "val/cat").iterdir()]:
        Image.open(path).convert("L").save(path, quality=92)
    issue = issues(folder)["mixed_modes"]
    assert issue.severity is Severity.WARNING and len(issue.ids) == 18
    assert "All images of cat are grey, none of dog" in issue.detail


def test_some_grey_deep_and_turned_images_are_notes(folder):
    (folder / "train/cat/deep.png").write_bytes(grey16(65535))
    (folder / "train/dog/turned.jpg").write_bytes(with_exif(6))
    found = issues(folder)
    assert set(found) == {"mixed_modes", "deep", "turned"}
    assert {issue.severity for issue in found.values()} == {Severity.NOTE}


def test_imbalance_and_few_validation_images_are_counted(tmp_path):
    seed = 0
    for place, number in {"train/cat": 30, "train/dog": 5, "val/cat": 6, "val/dog": 2}.items():
        (tmp_path / place).mkdir(parents=True)
        for i in range(number):
            picture(seed).save(tmp_path / place / f"{i}.jpg")
            seed += 1
    found = issues(tmp_path)
    assert found["imbalance"].title == "Classes are 1 : 6" and len(found["imbalance"].ids) == 5
    assert found["few_validation_images"].ids == ("val/dog/0.jpg", "val/dog/1.jpg")


def test_the_most_harmful_come_first(folder):
    (folder / "train/cat/broken.jpg").write_bytes(b"")
    (folder / "train/cat/copy.jpg").write_bytes((folder / "train/cat/3.jpg").read_bytes())
    assert [i.severity for i in find_issues(scan(Data(source=str(folder))))] == [Severity.WARNING, Severity.NOTE]


def test_with_a_memory_only_new_files_are_read_again(folder):
    memory = {}
    dataset = scan(Data(source=str(folder)))
    first = find_issues(dataset, memory=memory)
    for path in (folder / "train/cat").iterdir():
        path.unlink()
    assert find_issues(dataset, memory=memory) == first and len(memory) == 36


# --- statistics -----------------------------------------------------------------------------------


def test_statistics_equal_those_of_numpy_over_the_training_images(folder):
    dataset = scan(Data(source=str(folder)))
    found = pixel_statistics(dataset)
    pixels = np.concatenate([np.asarray(Image.open(dataset.path_of(s))).reshape(-1, 3) for s in dataset.part("train")]) / 255
    assert found.num_images == 24
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-9)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-9)
    assert found.histograms.shape == (3, 64) and found.histograms.sum(axis=1) == pytest.approx(1)
    expected = np.histogram(pixels[:, 0], bins=64, range=(0, 256 / 255))[0] / len(pixels)
    assert found.histograms[0] == pytest.approx(expected, abs=1e-9)


def test_statistics_skip_what_cannot_be_read_and_take_at_most_so_many(folder):
    dataset = scan(Data(source=str(folder)))
    (folder / "train/cat/0.jpg").write_bytes(b"")
    assert pixel_statistics(dataset).num_images == 23
    assert pixel_statistics(dataset, max_images=5).num_images in (4, 5)


def test_no_readable_image_gives_no_statistics(tmp_path):
    dataset = scan(Data(source=str(make_images(tmp_path, {"cat": 2, "dog": 2}))))
    for s in dataset.samples:
        open(dataset.path_of(s), "wb").close()
    assert pixel_statistics(dataset) is None
