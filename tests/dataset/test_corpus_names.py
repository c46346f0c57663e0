"""Names, paths and kinds of files as file systems really hold them, and what the scan makes of each."""

from __future__ import annotations

import os
import socket
import stat
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio.core.path_text import path_to_text, shown
from studio.core.problem import Severity
from studio.dataset import header
from studio.dataset.check import find_issues
from studio.dataset.image import decode
from studio.dataset.thumbnail import thumbnail
from studio.dataset.verify import verify

from .conftest import make_images
from .corpus import jpeg
from .test_scan import refusal, scanned, sentences, tree_hash

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any name, and links")

NAMES = [  # of files; the number is the row of docs/bad-inputs.md
    pytest.param(b"caf\xe9.jpg", id="62 not UTF-8"),
    pytest.param(b"\xed\xa0\x80.jpg", id="63 lone surrogate"),
    pytest.param(b"a" * 251 + b".jpg", id="64 255 bytes"),
    pytest.param("ü".encode() * 125 + b".png", id="64 255 bytes of two-byte letters"),
    pytest.param(unicodedata.normalize("NFD", "é.jpg").encode(), id="65 decomposed"),
    pytest.param(b" spaces .jpg ", id="66 spaces at the ends"),
    pytest.param(b"dot.jpg.", id="66 trailing dot"),
    pytest.param(b"new\nline\tand tab.jpg", id="66 line break"),
    pytest.param(b"\"quote' %41 #1 & ;.jpg", id="66 signs"),
    pytest.param("\u202egpj.jpg".encode(), id="66 right to left"),
    pytest.param("zero\u200bwidth 🦊.jpg".encode(), id="66 zero width and emoji"),
    pytest.param(b"NUL.jpg", id="67 reserved on Windows"),
    pytest.param(b"COM1", id="67 reserved, without an ending"),
    pytest.param(b"<img src=x>.jpg", id="69 markup"),
    pytest.param(b"=1+1.jpg", id="69 formula"),
    pytest.param(b"{0.__class__}%s%n.jpg", id="69 format string"),
]


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_images(tmp_path / "data", {"cat": 12, "dog": 12})


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_read_under_its_own_bytes_and_shown_on_one_line(folder, name):
    raw = os.path.join(os.fsencode(folder), b"cat", name)
    Path(os.fsdecode(raw)).write_bytes(jpeg(90, 70))
    before = tree_hash(folder)
    found = verify(scanned(folder))
    (sample,) = [s for s in found.samples if (s.width, s.height) == (90, 70)]
    assert os.fsencode(found.path_of(sample)) == raw
    assert sample.id == "cat/" + path_to_text(name)
    assert shown(sample.id).isprintable() and sample.id.encode("utf-8")
    assert thumbnail(found.path_of(sample), 32).shape == (25, 32, 3)
    assert tree_hash(folder) == before


def test_a_name_of_more_than_255_bytes_cannot_even_be_asked_for(folder):
    assert "File name too long" in refusal(folder / ("a" * 256))


def test_a_path_longer_than_the_system_opens_is_named_and_the_rest_is_used(folder):
    here = os.open(folder / "cat", os.O_RDONLY)
    for _ in range(20):  # 20 folders of 220 letters: more than the 4,096 bytes that a path may have
        os.mkdir("d" * 220, dir_fd=here)
        inner = os.open("d" * 220, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    fd = os.open("deep.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(fd, jpeg())
    os.close(fd)
    os.close(here)
    found = scanned(folder)
    assert len(found.samples) == 24
    assert "path is too long" in sentences(found, Severity.WARNING)


@pytest.mark.parametrize("name", ["..", ".", "../../x", "/abs", "a\\b", ""])
def test_a_class_named_like_a_path_never_leads_out_of_the_folder(folder, name, tmp_path):
    """Classes come from folders, rows and hands; none is ever used as a path."""
    found = scanned(folder, relabelled={f"cat/{i:04}.jpg": name for i in range(6)})
    if name:
        assert name in found.classes
    else:
        assert "The new class of" in sentences(found, Severity.ERROR)
    assert all(Path(found.path_of(s)).is_relative_to(folder) for s in found.samples)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_names_that_are_equal_after_normalisation_are_two_files(folder):
    names = {unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")} | {"a.JPG", "A.jpg"}
    for number, name in enumerate(sorted(names)):
        (folder / "cat" / name).write_bytes(jpeg(90 + number, 70))
    found = verify(scanned(folder))
    assert {(s.id, s.width) for s in found.samples if s.height == 70} == {(f"cat/{n}", 90 + i) for i, n in enumerate(sorted(names))}


def test_classes_equal_after_normalisation_are_pointed_out(tmp_path):
    make_images(tmp_path, {unicodedata.normalize(form, "café"): 12 for form in ("NFC", "NFD")} | {"dog": 12})
    found = scanned(tmp_path)
    assert len(found.classes) == 3
    assert "look alike" in sentences(found, Severity.WARNING)


def test_links_to_files_outside_are_used_and_asked_about_until_it_is_decided(folder, tmp_path):
    make_images(tmp_path / "store", {"x": 3})
    for i in range(3):
        os.symlink(tmp_path / "store" / "x" / f"{i:04}.jpg", folder / "cat" / f"link{i}.jpg")
    os.symlink(folder / "cat" / "0000.jpg", folder / "cat" / "inside.jpg")
    found = scanned(folder)
    assert len(found.samples) == 28
    assert "3 files are links to places outside the folder" in sentences(found, Severity.WARNING)
    for answer, number in (("use", 28), ("leave out", 25)):
        decided = scanned(folder, outside_links=answer)
        assert len(decided.samples) == number and "outside" not in sentences(decided)


def test_hard_links_are_found_as_copies(folder):
    (folder / "cat" / "one.jpg").write_bytes(jpeg(90, 70))
    os.link(folder / "cat" / "one.jpg", folder / "dog" / "two.jpg")
    issue = next(i for i in find_issues(scanned(folder)) if i.kind == "conflicting_labels")
    assert ("cat/one.jpg", "dog/two.jpg") in issue.pairs


def test_sockets_and_devices_named_like_images_are_not_opened(folder):
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder / "cat")  # a socket's path may be no longer than 108 bytes
        try:
            server.bind("s.jpg")
        finally:
            os.chdir(here)
        if os.geteuid() == 0:
            os.mknod(folder / "cat" / "zero.jpg", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        assert len(scanned(folder).samples) == 24


def test_a_file_without_permission_is_set_aside_and_listed(open_folder, as_ordinary_user):
    make_images(open_folder, {"cat": 30, "dog": 30})
    (open_folder / "cat" / "0000.jpg").chmod(0)
    with as_ordinary_user:
        found = scanned(open_folder)
    assert [(a.id, a.reason) for a in found.set_aside] == [("cat/0000.jpg", "no permission to read it")]


@pytest.mark.parametrize(
    ("status", "is_away"),
    [({"st_file_attributes": 0x400020}, True), ({"st_file_attributes": 0x1020}, True), ({"st_file_attributes": 0x20}, False), ({"st_flags": 0x40000060}, True), ({"st_flags": 0x60}, False), ({}, False)],
)  # fmt: skip
def test_files_that_lie_in_a_cloud_only_are_warned_about(folder, monkeypatch, status, is_away):
    """What Windows and macOS say of such files; there are none here."""
    monkeypatch.setattr(header, "_status", lambda path: SimpleNamespace(**status) if path.endswith("0003.jpg") else None)
    words = sentences(scanned(folder), Severity.WARNING)
    assert ("2 images lie on a server only and are fetched when read: cat/0003.jpg and dog/0003.jpg" in words) == is_away


def test_a_name_shown_escaped_leads_back_to_the_same_pixels(folder):
    raw = os.path.join(os.fsencode(folder), b"dog", b"\xff\n.jpg")
    Path(os.fsdecode(raw)).write_bytes(jpeg(90, 70))
    found = scanned(folder)
    (sample,) = [s for s in found.samples if s.width == 90]
    assert decode(Path(found.path_of(sample)).read_bytes()).shape == (70, 90, 3)
    assert shown(sample.id) == "dog/\\xFF\\u000A.jpg"
