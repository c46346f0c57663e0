"""What a scan finds in folders: layout, classes, edits, and what it says about folders that cannot be used."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio.core.experiment import Data, Experiment
from studio.core.path_text import path_to_text
from studio.core.problem import BadInput, Severity, errors_in
from studio.dataset import walk
from studio.dataset.dataset import Cancelled, Dataset
from studio.dataset.scan import scan
from studio.dataset.walk import list_files

from .conftest import make_images
from .corpus import encoded, jpeg, photo

needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names and links")


def scanned(root, **data) -> Dataset:
    return scan(Data(source=path_to_text(root), **data))


def sentences(dataset: Dataset, severity: Severity | None = None) -> str:
    return "\n".join(p.sentence for p in dataset.problems if severity in (None, p.severity))


def refusal(root, **data) -> str:
    with pytest.raises(BadInput) as refused:
        scanned(root, **data)
    assert len(refused.value.problems) >= 1 and refused.value.problems[0].field.startswith("data.")
    return str(refused.value)


# --- layouts --------------------------------------------------------------------------------------


def test_class_folders_give_classes_in_natural_order_and_ids_relative_to_the_root(tmp_path):
    found = scanned(make_images(tmp_path, {"class 10": 20, "class 2": 20, "Ant": 20}))
    assert found.layout == "class folders"
    assert found.classes == ("Ant", "class 2", "class 10")
    assert found.samples[0].id == "Ant/0000.jpg" and found.samples[0].label == "Ant"
    assert (found.samples[0].width, found.samples[0].height) == (40, 32)
    assert found.path_of(found.samples[0]) == str(tmp_path / "Ant" / "0000.jpg")
    assert found.root == path_to_text(tmp_path)
    assert not [p for p in found.problems if p.severity is Severity.ERROR]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "test")])
def test_split_folders_are_known_by_their_usual_names_in_any_case(tmp_path, names):
    train, val, test = names
    make_images(tmp_path, {f"{train}/cat": 6, f"{train}/dog": 6, f"{val}/cat": 5, f"{val}/dog": 5, f"{test}/cat": 2, f"{test}/dog": 2})
    found = scanned(tmp_path)
    assert found.layout == "split folders" and found.classes == ("cat", "dog")
    assert found.counts() == {name: {"train": 6, "validation": 5, "test": 2} for name in ("cat", "dog")}
    assert found.problems == ()


def test_train_and_val_folders_without_test_give_no_test_part(tmp_path):
    make_images(tmp_path, {"train/cat": 20, "train/dog": 20, "val/cat": 5, "val/dog": 5})
    found = scanned(tmp_path, test_fraction=0.3)
    assert [len(found.part(split)) for split in ("train", "validation", "test")] == [40, 10, 0]


def test_train_and_test_folders_hold_validation_back_from_train(tmp_path):
    make_images(tmp_path, {"train/cat": 100, "train/dog": 100, "test/cat": 5, "test/dog": 5})
    found = scanned(tmp_path)
    assert len(found.part("test")) == 10
    assert all(s.id.startswith("train/") for s in found.part("validation"))
    assert 10 <= len(found.part("validation")) <= 50
    assert "held back" in sentences(found)


def test_a_class_called_train_among_other_classes_is_a_class(tmp_path):
    make_images(tmp_path, {"train": 20, "car": 20, "bus": 20})
    assert scanned(tmp_path).classes == ("bus", "car", "train")


def test_the_layout_can_be_said_instead_of_found(tmp_path):
    make_images(tmp_path, {"train/cat": 6, "train/dog": 6, "val/cat": 5, "val/dog": 5})
    assert scanned(tmp_path, layout="class folders").classes == ("train", "val")
    make_images(tmp_path, {"extra/bird": 3})
    assert scanned(tmp_path).layout == "split folders"
    assert "3 images outside the train, validation and test folders" in sentences(scanned(tmp_path))


def test_images_deep_inside_a_class_folder_belong_to_it_and_it_is_asked_once_whether_they_do(tmp_path):
    make_images(tmp_path, {"cat/indoor/night": 10, "cat/outdoor": 10, "dog": 20})
    found = scanned(tmp_path)
    assert {s.label for s in found.samples if "indoor" in s.id} == {"cat"}
    assert "“cat” holds indoor and outdoor" in sentences(found, Severity.WARNING)
    decided = scanned(tmp_path, layout="class folders")
    assert decided.classes == found.classes == ("cat", "dog") and "folders inside" not in sentences(decided)
    own = scanned(tmp_path, layout="inner folders")
    assert own.classes == ("cat/indoor/night", "cat/outdoor", "dog") and "folders inside" not in sentences(own)


def test_broken_files_count_for_the_class_of_their_innermost_folder(tmp_path):
    make_images(tmp_path, {"cat/indoor": 20, "cat/outdoor": 20, "dog": 20})
    make_images(tmp_path, "cat/indoor/a.jpg cat/indoor/b.jpg cat/indoor/c.jpg", b"")
    assert "3 of 23 files of “cat/indoor” cannot be used" in sentences(scanned(tmp_path, layout="inner folders"), Severity.ERROR)
    assert "3 of 43 files of “cat” cannot be used" in sentences(scanned(tmp_path, layout="class folders"), Severity.ERROR)


def test_a_folder_above_the_class_folders_says_which_folder_to_choose(tmp_path):
    make_images(tmp_path, {"pets/cat": 8, "pets/dog": 8})
    found = scanned(tmp_path)
    assert "only one class, “pets”" in sentences(found, Severity.ERROR)
    assert "If cat and dog are the classes, choose the folder “pets” itself." in sentences(found)


def test_loose_images_beside_class_folders_are_counted_and_named(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    make_images(tmp_path, "stray.jpg")
    (tmp_path / "LICENSE").write_text("free")
    found = scanned(tmp_path)
    assert len(found.samples) == 40
    assert "1 image lies beside the class folders and has no class: stray.jpg." in sentences(found)
    assert "LICENSE" not in sentences(found)


# --- folders that cannot be used ------------------------------------------------------------------


def test_no_folder_chosen_says_what_to_choose():
    with pytest.raises(BadInput, match="No images chosen. Choose a folder"):
        scan(Data(source=""))


def test_a_folder_that_is_gone_is_named(tmp_path):
    assert f"There is no folder or file “{tmp_path}/gone”" in refusal(tmp_path / "gone")


def test_an_empty_folder_says_so_and_shows_the_three_layouts(tmp_path):
    text = refusal(tmp_path)
    assert "No images in this folder. It is empty." in text
    assert "one sub-folder per class" in text and "train/ and val/" in text and "CSV file" in text


def test_folders_without_images_are_counted(tmp_path):
    for i in range(12):
        (tmp_path / f"empty {i}").mkdir()
    assert "No images in this folder. It holds 12 folders without images." in refusal(tmp_path)


def test_images_without_class_folders_show_the_three_layouts(tmp_path):
    make_images(tmp_path, "a.jpg b.jpg c.jpg")
    assert "All 3 images lie directly in the folder, so the classes are not known." in refusal(tmp_path)


def test_train_and_val_without_class_folders_are_explained(tmp_path):
    make_images(tmp_path, "train/a.jpg val/b.jpg")
    assert "no class folders" in refusal(tmp_path, layout="split folders")


def test_a_single_image_file_is_not_a_data_set(tmp_path):
    make_images(tmp_path, "a.jpg")
    assert "“a.jpg” is a file. Choose the folder" in refusal(tmp_path / "a.jpg")


def test_a_folder_of_broken_files_names_one_and_its_reason(tmp_path):
    make_images(tmp_path, {"cat": 3, "dog": 3}, b"<html>404</html>")
    assert "None of the 6 images can be read. cat/0000.jpg: a web page, not an image." in refusal(tmp_path)


def test_a_run_folder_is_not_taken_for_images(tmp_path):
    (tmp_path / "journal.jsonl").touch()
    (tmp_path / "experiment.toml").touch()
    assert "This is a run folder of Studio" in refusal(tmp_path)


def test_runs_kept_among_the_images_are_skipped(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20, "runs/one/results": 3})
    (tmp_path / "runs/one/journal.jsonl").touch()
    (tmp_path / "runs/one/experiment.toml").touch()
    found = scanned(tmp_path)
    assert found.classes == ("cat", "dog") and "Run folders of Studio are skipped: runs/one" in sentences(found)


def test_a_folder_that_may_not_be_read_is_named(open_folder, as_ordinary_user):
    make_images(open_folder, {"cat": 20, "dog": 20, "secret": 20})
    (open_folder / "secret").chmod(0)
    with as_ordinary_user:
        assert "no permission to read secret" in sentences(scanned(open_folder), Severity.WARNING)


def test_a_source_that_may_not_be_read_is_named(open_folder, as_ordinary_user):
    make_images(open_folder, {"data/cat": 2, "data/dog": 2})
    (open_folder / "data").chmod(0)
    with as_ordinary_user:
        assert f"There is no permission to read “{open_folder}/data”" in refusal(open_folder / "data")


# --- files and names ------------------------------------------------------------------------------


def test_the_content_decides_the_format_and_not_the_name(tmp_path):
    make_images(tmp_path, {"cat": 10, "dog": 10})
    (tmp_path / "cat" / "really.jpg").write_bytes(encoded(photo(), "PNG"))
    (tmp_path / "cat" / "no suffix").write_bytes(jpeg())
    (tmp_path / "cat" / "README").write_text("about cats")
    ids = {s.id for s in scanned(tmp_path).samples}
    assert {"cat/really.jpg", "cat/no suffix"} <= ids and "cat/README" not in ids
    assert scanned(tmp_path).set_aside == ()


def test_broken_files_are_set_aside_with_their_reason_and_the_rest_is_used(tmp_path):
    make_images(tmp_path, {"cat": 30, "dog": 30})
    make_images(tmp_path, "cat/page.jpg", b"<html>404")
    make_images(tmp_path, "cat/empty.png", b"")
    found = scanned(tmp_path)
    assert len(found.samples) == 60
    assert {a.id: a.reason for a in found.set_aside} == {"cat/empty.png": "empty file", "cat/page.jpg": "a web page, not an image"}
    assert "2 files of 62 cannot be used and are set aside" in sentences(found)


def test_what_systems_and_tools_leave_behind_is_ignored_without_a_word(tmp_path):
    make_images(tmp_path, {"cat": 60, "dog": 60})
    make_images(tmp_path, "cat/._0000.jpg cat/Thumbs.db __MACOSX/cat/x.jpg .git/x.jpg .ipynb_checkpoints/x.png .Trash-1000/x.jpg", b"x")
    make_images(tmp_path, "dog/desktop.ini cat/.DS_Store .gitignore .notes/todo.txt", b"x")
    found = scanned(tmp_path)
    assert len(found.samples) == 120 and found.set_aside == () and found.problems == ()
    assert found.num_ignored == 8 and Dataset.from_json(found.to_json()).num_ignored == 8, "counted"


def test_images_hidden_by_their_names_are_left_out_and_said(tmp_path):
    make_images(tmp_path, {"cat": 60, "dog": 60})
    make_images(tmp_path, "cat/.one.jpg .old/cat/a.jpg .old/cat/b.png .old/readme.txt dog/.later/.c.jpg", b"x")
    found = scanned(tmp_path)
    assert len(found.samples) == 120 and found.set_aside == () and found.classes == ("cat", "dog")
    [said] = found.problems
    assert said.severity is Severity.NOTE
    assert said.sentence == (
        "4 images are not used, because names that begin with a dot are hidden: .old, cat/.one.jpg and dog/.later. Rename them to use them."
    )


def test_a_folder_of_hidden_images_only_says_so(tmp_path):
    make_images(tmp_path, ".cat/a.jpg")
    assert "1 image is not used, because names that begin with a dot are hidden: .cat. Rename it" in refusal(tmp_path)


@needs_posix
def test_only_regular_files_are_read(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "folder.jpg").mkdir()
    os.symlink("nowhere.jpg", tmp_path / "cat" / "dangling.jpg")
    os.symlink("loop.jpg", tmp_path / "cat" / "loop.jpg")
    found = scanned(tmp_path)
    assert len(found.samples) == 40
    assert {a.id for a in found.set_aside} == {"cat/dangling.jpg", "cat/loop.jpg"}


@needs_posix
def test_a_loop_of_links_is_walked_once(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    os.symlink("..", tmp_path / "cat" / "up")
    os.symlink("cat", tmp_path / "again")
    found = scanned(tmp_path)
    assert len(found.samples) == 40 and found.classes == ("cat", "dog")
    assert "skipped: again and cat/up" in sentences(found)


class SystemOf:
    """`os` as another system shows it to a walk: its name, its folders' numbers, and its links to folders, which are no symbolic ones."""

    def __init__(self, name: str, *, has_numbers: bool, junctions: tuple[str, ...] = ()):
        self.name, self._has_numbers, self._junctions = name, has_numbers, junctions

    def __getattr__(self, attribute: str):
        return getattr(os, attribute)

    def stat(self, path: str):
        info = os.stat(path)
        return SimpleNamespace(st_dev=info.st_dev, st_ino=info.st_ino if self._has_numbers else 0)

    @contextmanager
    def scandir(self, path: str):
        with os.scandir(path) as entries:
            yield [self._entry(entry) for entry in entries]

    def _entry(self, entry: os.DirEntry) -> SimpleNamespace:
        is_junction = entry.name in self._junctions
        return SimpleNamespace(
            name=entry.name, path=entry.path, is_file=entry.is_file, is_dir=entry.is_dir, is_junction=lambda: is_junction,
            is_symlink=lambda: entry.is_symlink() and not is_junction,
        )  # fmt: skip


@needs_posix
def test_folders_are_known_again_on_windows_too_and_are_all_read_where_they_have_no_numbers(tmp_path, monkeypatch):
    make_images(tmp_path, {"cat": 2, "dog": 2})
    for name in ("a", "z"):
        os.symlink("dog", tmp_path / name)
    os.symlink("..", tmp_path / "cat" / "up")
    monkeypatch.setattr(walk, "os", SystemOf("nt", has_numbers=True, junctions=("a", "z", "up")))
    found = list_files(str(tmp_path))
    assert (found.folders, found.repeated, len(found.files)) == (["cat", "dog"], ["a", "cat/up", "z"], 4)
    (tmp_path / "cat" / "up").unlink()
    monkeypatch.setattr(walk, "os", SystemOf("nt", has_numbers=False))
    found = list_files(str(tmp_path))
    assert (found.folders, found.repeated, len(found.files)) == (["a", "cat", "dog", "z"], [], 8)


@needs_posix
def test_links_to_files_elsewhere_are_used(tmp_path):
    make_images(tmp_path / "store", {"x": 20})
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(10):
            os.symlink(tmp_path / "store" / "x" / f"{i:04}.jpg", tmp_path / "data" / name / f"{i}.jpg")
    assert len(scanned(tmp_path / "data").samples) == 20


@needs_posix
def test_a_tree_deeper_than_64_levels_ends_with_a_note(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20, "cat/" + "/".join(["d"] * 60): 1, "cat/" + "/".join(["d"] * 200): 1})
    found = scanned(tmp_path)
    assert len(found.samples) == 41 and "more than 64 levels deep" in sentences(found)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_names_that_are_not_utf_8_are_read_and_shown_as_text(tmp_path):
    make_images(tmp_path, {"dog": 20})
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    for i in range(20):
        with open(folder + b"/\xff%d.jpg" % i, "wb") as f:
            f.write(jpeg())
    found = scanned(tmp_path)
    assert found.classes == ("caf\\xE9", "dog")
    assert found.samples[0].id == "caf\\xE9/\\xFF0.jpg"
    assert Path(found.path_of(found.samples[0])).read_bytes() == jpeg()
    assert Dataset.from_json(found.to_json()) == found


@needs_posix
@pytest.mark.parametrize("name", ["<b>", "=1+1", "{0.__class__}", "%s%n", "a\\b", "x..", "new\nline", "\u202egnp", "CON", " x ", "é"])
def test_any_class_name_is_just_text(tmp_path, name):
    make_images(tmp_path, {"dog": 20})
    (tmp_path / name).mkdir()
    for i in range(20):
        (tmp_path / name / f"{i}.jpg").write_bytes(jpeg(32, 32))
    found = scanned(tmp_path)
    assert path_to_text(name) in found.classes
    assert all(os.path.isfile(found.path_of(s)) for s in found.samples)
    assert "\n" not in "".join(p.sentence for p in found.problems)


def test_classes_that_differ_in_case_only_raise_a_warning(tmp_path):
    make_images(tmp_path, {"Cat": 20, "cat": 20})
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell case")
    assert "“Cat” and “cat” look alike" in sentences(scanned(tmp_path), Severity.WARNING)


# --- edits ----------------------------------------------------------------------------------------


def test_edits_leave_out_relabel_and_move(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20, "bird": 20})
    plain = scanned(tmp_path)
    moved = next(s.id for s in plain.part("train") if s.label == "dog")
    found = scanned(
        tmp_path, left_out=("cat/0000.jpg",), relabelled={"cat/0001.jpg": "dog"}, moved={moved: "test"}, left_out_classes=("bird",)
    )
    by_id = {s.id: s for s in found.samples}
    assert found.classes == ("cat", "dog")
    assert "cat/0000.jpg" not in by_id and by_id["cat/0001.jpg"].label == "dog" and by_id[moved].split == "test"
    assert len(found.samples) == 39


def test_a_class_can_be_made_by_relabelling(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    found = scanned(tmp_path, relabelled={f"cat/{i:04}.jpg": "lynx" for i in range(12)})
    assert found.classes == ("cat", "dog", "lynx")


def test_edits_of_files_that_are_gone_are_noted_and_not_fatal(tmp_path):
    make_images(tmp_path, {"cat": 60, "dog": 60})
    found = scanned(tmp_path, left_out=("x",), relabelled={"y": "cat"}, moved={"z": "train"}, left_out_classes=("w",))
    assert [p.field for p in found.problems] == ["data.left_out", "data.relabelled", "data.moved", "data.left_out_classes"]
    assert {p.severity for p in found.problems} == {Severity.NOTE}


def test_leaving_everything_out_says_so(tmp_path):
    make_images(tmp_path, {"cat": 2})
    assert "Every image is left out" in refusal(tmp_path, left_out_classes=("cat",))


# --- shape ----------------------------------------------------------------------------------------


def test_one_class_is_an_error(tmp_path):
    assert "needs at least two" in sentences(scanned(make_images(tmp_path, {"cat": 20})), Severity.ERROR)


def test_one_image_in_each_class_is_an_error(tmp_path):
    text = sentences(scanned(make_images(tmp_path, {"cat": 1, "dog": 1, "bird": 1})), Severity.ERROR)
    assert "Each class has one image" in text and "at least one more" in text
    (problem,) = errors_in(scanned(tmp_path).problems)
    mended = scan(Data(source=str(tmp_path)).model_copy(update={"validation_fraction": problem.repair.values["data.validation_fraction"]}))
    assert not errors_in(mended.problems) and len(mended.part("train")) == 3 and "nothing says how good" in sentences(mended, Severity.NOTE)
    assert Dataset.from_json(mended.to_json()).is_unmeasured


def test_a_class_with_one_image_is_named(tmp_path):
    text = sentences(scanned(make_images(tmp_path, {"cat": 60, "dog": 60, "newt": 1})), Severity.WARNING)
    assert "1 class has no validation images, so no accuracy: newt" in text


def test_an_empty_class_folder_is_left_out_with_a_warning(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    (tmp_path / "bird").mkdir()
    found = scanned(tmp_path)
    assert found.classes == ("cat", "dog") and "no usable image and is left out: bird" in sentences(found, Severity.WARNING)
    assert not [p for p in scanned(tmp_path, empty_classes="leave out").problems if p.field == "data.empty_classes"]


def test_an_empty_class_keeps_its_place_where_that_is_said(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    (tmp_path / "bird").mkdir()
    found = scanned(tmp_path, empty_classes="keep")
    assert found.classes == ("bird", "cat", "dog") and found.class_index["dog"] == 2 and not errors_in(found.problems)
    assert "1 class without images keeps its place among the classes: bird" in sentences(found, Severity.NOTE)
    assert Dataset.from_json(found.to_json()).kept_empty == ("bird",)
    make_images(tmp_path, {"bird": 3})
    assert scanned(tmp_path, empty_classes="keep").classes == found.classes, "the map stays when images come"
    make_images(tmp_path / "one", {"cat": 5})
    (tmp_path / "one" / "dog").mkdir()
    assert "only one class with images" in sentences(scan(Data(source=str(tmp_path / "one"), empty_classes="keep")), Severity.ERROR)


def test_train_and_val_with_different_classes_show_the_difference(tmp_path):
    make_images(tmp_path, {"train/cat": 6, "train/dog": 6, "train/bird": 6, "val/cat": 5, "val/dog": 5, "val/newt": 5})
    text = sentences(scanned(tmp_path), Severity.ERROR)
    assert "no training images: newt" in text and "missing in validation: bird" in text
    assert not sentences(scanned(tmp_path, left_out_classes=("bird", "newt")), Severity.ERROR)
    make_images(tmp_path, {"test/cat": 5, "test/dog": 5, "test/swan": 5})
    assert "no training images: newt and swan" in sentences(scanned(tmp_path), Severity.ERROR), "also one that is in test only"


def test_imbalance_is_warned_about_with_numbers(tmp_path):
    make_images(tmp_path, {"cat": 200, "newt": 10})
    text = sentences(scanned(tmp_path), Severity.WARNING)
    assert "Classes are 1 : " in text and "“newt” has " in text
    (problem,) = [p for p in scanned(tmp_path).problems if p.sentence in text and "Classes are" in p.sentence]
    assert Experiment().changed(problem.repair.values).training.class_weights == "balanced"


def test_few_validation_images_are_counted_for_each_class(tmp_path):
    make_images(tmp_path, {"train/cat": 9, "train/dog": 9, "val/cat": 8, "val/dog": 2})
    assert "1 class has fewer than 5 validation images: dog (2)" in sentences(scanned(tmp_path), Severity.WARNING)


# --- real data --------------------------------------------------------------------------------------


def test_the_development_data_sets_are_read_whole(shared_data):
    clothing, signs = scanned(shared_data / "clothing"), scanned(shared_data / "signs")
    assert (clothing.layout, len(clothing.part("train")), len(clothing.part("validation"))) == ("split folders", 1100, 341)
    assert (signs.layout, len(signs.samples), len(signs.classes)) == ("class folders", 2062, 10)
    assert len(signs.part("validation")) / 2062 == pytest.approx(0.15, abs=0.02)
    for found in (clothing, signs):
        assert found.problems == () and found.set_aside == ()


# --- conduct --------------------------------------------------------------------------------------


def tree_hash(root: Path) -> str:
    h = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        h.update(os.fsencode(path) + f" {info.st_mode} {info.st_size} {info.st_mtime_ns}".encode())
        if path.is_file():
            h.update(path.read_bytes())
    return h.hexdigest()


def test_the_users_folder_is_never_written_to(open_folder, as_ordinary_user, tmp_path):
    from studio.dataset.check import find_issues
    from studio.dataset.statistics import pixel_statistics
    from studio.dataset.thumbnail import thumbnail
    from studio.dataset.verify import verify

    make_images(open_folder, {"cat": 20, "dog": 20})
    for folder in (open_folder / "cat", open_folder / "dog", open_folder):
        folder.chmod(0o555)
    before = tree_hash(open_folder)
    with as_ordinary_user:
        found = verify(scanned(open_folder))
        find_issues(found)
        pixel_statistics(found)
        assert thumbnail(found.path_of(found.samples[0]), 16).shape[1] == 16
    assert len(found.samples) == 40 and tree_hash(open_folder) == before


def test_a_scan_reports_progress_and_can_be_cancelled(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    said = []
    scan(Data(source=str(tmp_path)), progress=lambda *args: said.append(args))
    assert said[0][1] is None and said[-1] == (40, 40, "Reading images")
    with pytest.raises(Cancelled):
        scan(Data(source=str(tmp_path)), is_cancelled=lambda: True)


def test_looking_through_a_hidden_folder_can_be_cancelled(tmp_path):
    (tmp_path / ".large").mkdir()
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        list_files(str(tmp_path), is_cancelled=lambda: next(answers))


def test_scanning_twice_gives_the_same_and_a_dataset_survives_json(tmp_path):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    make_images(tmp_path, "cat/bad.jpg", b"")
    first, second = scanned(tmp_path), scanned(tmp_path)
    assert first == second and first.fingerprint() == second.fingerprint()
    again = Dataset.from_json(first.to_json())
    assert again == first and again.fingerprint() == first.fingerprint()


@pytest.mark.parametrize("change", [{"split_seed": 1}, {"relabelled": {"cat/0000.jpg": "dog"}}, {"left_out": ("cat/0000.jpg",)}])
def test_the_fingerprint_changes_with_what_is_trained_on(tmp_path, change):
    make_images(tmp_path, {"cat": 20, "dog": 20})
    assert scanned(tmp_path).fingerprint() != scanned(tmp_path, **change).fingerprint()


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(tmp_path):
    a, b = (scanned(make_images(tmp_path / name, {"cat": 9, "dog": 9})) for name in "ab")
    assert a.fingerprint() == b.fingerprint()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"classes": []}', b"[" * 100_000])
def test_a_damaged_list_of_images_is_refused(data):
    with pytest.raises(BadInput, match="Scan the folder again"):
        Dataset.from_json(data)


def test_a_list_with_an_unknown_class_number_is_refused(tmp_path):
    raw = json.loads(scanned(make_images(tmp_path, {"cat": 2, "dog": 2})).to_json())
    raw["samples"]["label"][0] = 7
    with pytest.raises(BadInput):
        Dataset.from_json(json.dumps(raw).encode())
