"""Data sets and tables of awkward shape: what keeps a run from starting, what is only said, and what takes how long."""

from __future__ import annotations

import os
import re
import sys

import pytest

from studio.core.problem import Severity
from studio.dataset.dataset import Dataset
from studio.dataset.verify import verify

from .conftest import make_images, measured
from .corpus import jpeg
from .test_scan import scanned, sentences
from .test_table import NAMES, refusal, rows
from .test_table import scanned as table


def test_two_images_in_each_class_are_enough_to_train_and_to_measure(tmp_path):
    found = scanned(make_images(tmp_path, {"cat": 2, "dog": 2}))
    assert not sentences(found, Severity.ERROR)
    assert all(n["train"] == n["validation"] == 1 for n in found.counts().values())
    assert "fewer than 5 validation images" in sentences(found, Severity.WARNING)


def test_a_class_with_one_image_in_twenty_broken_waits_until_they_are_left_out(tmp_path):
    make_images(tmp_path, {"cat": 57, "dog": 60})
    make_images(tmp_path, "cat/a.jpg cat/b.jpg cat/c.jpg", jpeg()[:200])
    found = verify(scanned(tmp_path))
    blocked = sentences(found, Severity.ERROR)
    assert "3 of 60 files of “cat” cannot be used" in blocked and "leave them out" in blocked
    accepted = verify(scanned(tmp_path, left_out=("cat/a.jpg", "cat/b.jpg", "cat/c.jpg")))
    assert not sentences(accepted, Severity.ERROR) and len(accepted.samples) == 117


def test_a_few_broken_files_do_not_keep_a_run_from_starting(tmp_path):
    make_images(tmp_path, {"cat": 100, "dog": 100})
    make_images(tmp_path, "cat/a.jpg cat/b.jpg", b"")
    assert not sentences(verify(scanned(tmp_path)), Severity.ERROR)


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_ten_thousand_images_of_one_class_for_one_of_another_are_warned_about(tmp_path):
    make_images(tmp_path, {"cat": 1, "newt": 2})  # of two one trains
    for number in range(11_900):
        os.link(tmp_path / "cat" / "0000.jpg", tmp_path / "cat" / f"{number}.jpg")
    found = scanned(tmp_path)
    said = next(p for p in found.problems if "Classes are" in p.sentence)
    assert re.search(r"Classes are 1 : 10,\d{3}\. “newt” has 1 training image", said.sentence) and said.repair
    assert not sentences(found, Severity.ERROR)


def test_a_thousand_classes_are_scanned_and_keep_their_numbers(tmp_path):
    make_images(tmp_path, {f"class {i}": 2 for i in range(1000)})
    found = scanned(tmp_path)
    assert len(found.classes) == 1000 and found.class_index["class 999"] == 999
    assert not sentences(found, Severity.ERROR)


def test_an_earlier_list_of_images_keeps_its_classes_in_their_order(tmp_path):
    before = scanned(make_images(tmp_path, {"dog": 12, "emu": 12})).to_json()
    make_images(tmp_path, {"ant": 12})
    assert scanned(tmp_path).class_index["dog"] == 1
    assert Dataset.from_json(before).class_index["dog"] == 0


# --- tables ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return make_images(tmp_path, " ".join(NAMES))


def test_mixed_line_ends_and_a_missing_last_one_are_read(folder):
    lines = rows().splitlines()
    mixed = "".join(line + end for line, end in zip(lines, ["\n", "\r\n", "\r"] * 20, strict=False)).rstrip()
    assert len(table(folder, mixed.encode()).samples) == 40


def test_a_table_cut_in_the_middle_of_a_row_says_which_row(folder):
    whole = rows()
    cut = whole[: whole.rindex("images/39.jpg") + len("images/39.jpg")]
    found = table(folder, cut)
    assert len(found.samples) == 39
    assert "no class is given: row 41" in sentences(found, Severity.WARNING)


def test_a_column_without_a_name_is_said_to_be_one(folder):
    assert "(no name)" in str(refusal(folder, rows(header=",label").replace("path", "")))


def test_labels_that_read_as_nothing_are_words_like_any_other(folder):
    assert table(folder, rows().replace(",cat", ",NaN").replace(",dog", ",None")).classes == ("NaN", "None")


def test_decimal_commas_beside_semicolons_do_not_confuse_the_separator(folder):
    lines = ["weight;path;label", *(f"1,5;{name};{'cat' if i % 2 else 'dog'}" for i, name in enumerate(NAMES))]
    assert len(table(folder, "\n".join(lines)).samples) == 40


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("content", ["x" * 10_000_000, "ab," * 3_400_000, '"' + "x" * 10_000_000])
def test_a_line_of_ten_megabytes_is_refused_with_its_number(folder, where, content):
    text = content + "\n" + rows() if where == "first" else rows() + content
    assert f"cannot be read from line {1 if where == 'first' else 42} on" in str(refusal(folder, text))


def test_a_table_of_zeros_alone_is_said_to_be_lost(folder):
    assert "holds zeros alone; its content is lost" in str(refusal(folder, bytes(20_000)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_rows_are_read_in_seconds_and_within_their_share_of_half_a_gigabyte_for_a_million(folder):
    with open(folder / "labels.csv", "w") as file:
        file.write(rows())
        file.writelines(f"gone/photo_{number:07}.jpg,{'cat' if number % 2 else 'dog'}\n" for number in range(50_000))
    before = "from studio.core.experiment import Data\nfrom studio.dataset.scan import scan"
    code = "assert len(scan(Data(source=sys.argv[1])).samples) == 40"
    seconds, mb = measured(before, code, folder / "labels.csv")
    assert seconds < 10 and mb < 40


@pytest.mark.timeout(60)
def test_a_hundred_thousand_columns_are_read_or_refused_in_seconds(folder):
    wide = ",".join(f"c{i}" for i in range(100_000))
    lines = [f"path,label,{wide}", *(f"{name},{'cat' if i % 2 else 'dog'}" for i, name in enumerate(NAMES))]
    assert len(table(folder, "\n".join(lines)).samples) == 40


@pytest.mark.timeout(60)
def test_quotes_in_quotes_in_quotes_end(folder):
    refused_or_read = '"' * 300_001 + "\n"
    assert table(folder, rows(extra=[refused_or_read])).part("train")
