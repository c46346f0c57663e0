"""CSV files: encodings, separators, columns, and rows that cannot be used."""

from __future__ import annotations

import sys

import pytest

from studio.core.experiment import Data
from studio.core.problem import BadInput, Severity
from studio.dataset.scan import scan

from .conftest import make_images

NAMES = [f"images/{i}.jpg" for i in range(40)]


@pytest.fixture
def folder(tmp_path):
    return make_images(tmp_path, " ".join(NAMES))


def rows(separator=",", header="path,label", extra=()):
    lines = [header.replace(",", separator)]
    lines += [separator.join([name, "cat" if i % 2 else "dog"]) for i, name in enumerate(NAMES)]
    return "\n".join([*lines, *extra]) + "\n"


def scanned(folder, content: str | bytes, **data):
    path = folder / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return scan(Data(source=str(path), **data))


def refusal(folder, content, **data) -> BadInput:
    with pytest.raises(BadInput) as refused:
        scanned(folder, content, **data)
    return refused.value


def test_a_csv_file_gives_labels_to_files_relative_to_it(folder):
    found = scanned(folder, rows())
    assert found.layout == "csv" and found.classes == ("cat", "dog") and len(found.samples) == 40
    assert {s.id: s.label for s in found.samples}["images/1.jpg"] == "cat"
    assert found.part("train") and found.part("validation")


def test_a_folder_with_one_csv_file_beside_a_folder_of_images_is_read_as_a_table(folder):
    (folder / "labels.csv").write_text(rows())
    assert scan(Data(source=str(folder))).layout == "csv"


def test_two_csv_files_are_not_guessed_between(folder):
    (folder / "a.csv").write_text(rows())
    (folder / "b.csv").write_text(rows())
    with pytest.raises(BadInput, match="2 CSV files: a.csv and b.csv. Choose the CSV file itself."):
        scan(Data(source=str(folder), layout="csv"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(folder, separator):
    assert len(scanned(folder, rows(separator)).samples) == 40


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_the_encoding_is_found(folder, encoding):
    found = scanned(folder, rows().replace("cat", "Kätzchen").encode(encoding))
    assert found.classes == ("dog", "Kätzchen")
    assert any("Latin-1" in p.sentence for p in found.problems) == (encoding == "latin-1")


def test_an_encoding_that_is_not_sure_is_asked_about_until_it_is_said(folder):
    content = rows().replace("cat", "кошка").encode("cp1251")
    (asked,) = [p for p in scanned(folder, content).problems if p.field == "data.encoding"]
    assert asked.severity is Severity.WARNING and "--set data.encoding=cp1252" in asked.sentence
    found = scanned(folder, content, encoding="cp1251")
    assert found.classes == ("dog", "кошка") and not [p for p in found.problems if p.field == "data.encoding"]
    wrong = scanned(folder, content, encoding="utf-8")  # five letters in each of twenty rows
    assert any("100 places in the CSV file cannot be UTF-8" in p.sentence for p in wrong.problems)


def test_lines_in_another_encoding_than_the_others_are_named(folder):
    lines = rows().replace("cat", "Kätzchen").splitlines()
    mixed = b"\n".join(line.encode("latin-1" if i in (2, 6) else "utf-8") for i, line in enumerate(lines))
    found = scanned(folder, mixed)
    assert found.classes == ("dog", "Kätzchen") and len(found.samples) == 40
    (asked,) = [p for p in found.problems if p.field == "data.encoding"]
    assert "but lines 3 and 7 are not" in asked.sentence


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_are_read(folder, end):
    assert len(scanned(folder, rows().replace("\n", end).rstrip().encode()).samples) == 40


@pytest.mark.parametrize("header", ["path,label", "Filename,Class", "image_path,category", "FILE, Target "])
def test_columns_are_found_by_their_usual_names(folder, header):
    assert len(scanned(folder, rows(header=header)).samples) == 40


def test_columns_can_be_named(folder):
    assert len(scanned(folder, rows(header="wo,was"), path_column="wo", label_column="was").samples) == 40


def test_missing_columns_are_reported_all_at_once_with_the_columns_there_are(folder):
    refused = refusal(folder, rows(header="wo,was"))
    assert [p.field for p in refused.problems] == ["data.path_column", "data.label_column"]
    assert "The CSV file has no path column. The columns are: wo and was." in str(refused)
    named = refusal(folder, rows(), label_column="breed", split_column="fold")
    assert [p.field for p in named.problems] == ["data.label_column", "data.split_column"]
    assert "The CSV file has no column “breed”. The columns are: path and label." in str(named)


def test_the_example_of_a_column_is_one_that_says_nothing_and_not_the_one_that_is_known(folder):
    assert 'with --set "data.label_column=column 2"' in str(refusal(folder, rows(header="path,breed")))
    assert 'with --set "data.path_column=column 1"' in str(refusal(folder, rows(header="where,label")))


def test_two_columns_of_one_name_are_refused(folder):
    assert "Two columns of the CSV file are called “label”" in str(refusal(folder, rows(header="path,label,label")))


def test_a_column_can_be_said_by_its_place(folder):
    found = scanned(folder, rows(header="path,path"), path_column="column 1", label_column="column 2")
    assert found.classes == ("cat", "dog")
    assert "no column 3; it has 2" in str(refusal(folder, rows(), label_column="column 3"))
    assert 'or with --set "data.label_column=column 2"' in str(refusal(folder, rows(header="path,label,label")))


def test_rows_with_more_cells_than_names_wait_for_somebody_who_knows(folder):
    wider = "\n".join(["path,label", *(f"{i},{name},{'cat' if i % 2 else 'dog'}" for i, name in enumerate(NAMES))])
    refused = refusal(folder, wider)
    assert "names 2 columns and most rows have 3 cells" in str(refused) and refused.problems[0].field == "data.path_column"
    found = scanned(folder, wider, path_column="column 2", label_column="column 3")
    assert found.classes == ("cat", "dog") and len(found.samples) == 40
    some = scanned(folder, rows(extra=["images/3,x.jpg,cat"]))
    assert len(some.samples) == 40 and "1 row is not used because it has more cells than the first line names: row 42" in str(
        some.problems[0]
    )


def test_a_split_column_decides_the_parts_and_empty_cells_are_split_by_share(folder):
    lines = ["path,label,split"]
    lines += [f"{name},{'cat' if i % 2 else 'dog'},{['train', 'VAL', 'Test', ''][i // 2 % 4]}" for i, name in enumerate(NAMES)]
    found = scanned(folder, "\n".join(lines))
    parts = {s.id: s.split for s in found.samples}
    assert (parts["images/0.jpg"], parts["images/2.jpg"], parts["images/4.jpg"]) == ("train", "validation", "test")
    assert len(found.samples) == 40 and found.has_given_parts


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("images/gone.jpg,cat", "there is no such file"),
        ("/etc/hostname,cat", "the path is absolute"),
        ("C:\\pictures\\a.jpg,cat", "the path is absolute"),
        ("\\\\server\\share\\a.jpg,cat", "the path is absolute"),
        ("~/a.jpg,cat", "the path is absolute"),
        ("../a.jpg,cat", "the path leads out of the folder"),
        ("images/../../a.jpg,cat", "the path leads out of the folder"),
        ("..\\a.jpg,cat", "the path leads out of the folder"),
        ("https://example.org/a.jpg,cat", "the path is a web address"),
        ("file:///etc/passwd,cat", "the path is a web address"),
        ("images/0.jpg", "no class is given"),
        (",cat", "no path is given"),
        ("images/\0.jpg,cat", "characters that no file name has"),
        ("images/1.jpg,cat", "the file is named twice"),
        ("images/1.jpg,dog", "another row that says something else"),
    ],
)
def test_a_row_that_cannot_be_used_is_reported_with_its_number_and_the_rest_is_read(folder, row, reason):
    found = scanned(folder, rows(extra=[row]))
    said = [p for p in found.problems if reason in p.sentence]
    assert len(said) == 1 and said[0].severity is Severity.WARNING
    assert "1 row is not used because" in said[0].sentence and "row 42" in said[0].sentence
    assert len(found.samples) >= 39


def test_a_file_with_two_classes_is_set_aside(folder):
    found = scanned(folder, rows(extra=["images/1.jpg,dog"]))
    assert found.set_aside[0].id == "images/1.jpg" and found.set_aside[0].reason == "rows 3 and 42 say different things about it"


def test_many_bad_rows_are_one_sentence_with_the_first_numbers(folder):
    found = scanned(folder, rows(extra=[f"gone{i}.jpg,cat" for i in range(30)]))
    text = next(p.sentence for p in found.problems if "no such file" in p.sentence)
    assert text.startswith("30 rows are not used because there is no such file: rows 42, 43,") and "22 more" in text


def test_backslashes_are_folder_separators(folder):
    assert len(scanned(folder, rows().replace("/", "\\")).samples) == 40


def test_quoted_cells_may_hold_separators_and_new_lines(folder):
    make_images(folder, {"odd": 1})
    (folder / "odd" / "0000.jpg").rename(folder / "odd" / "a,b.jpg")
    found = scanned(folder, rows(extra=['"odd/a,b.jpg","two\nlines"', "gone.jpg,cat"]))
    assert "two\nlines" in found.classes
    assert any("row 44" in p.sentence for p in found.problems)  # the line, as an editor counts


def test_labels_lose_spaces_at_their_ends(folder):
    assert scanned(folder, rows().replace(",cat", ", cat ")).classes == ("cat", "dog")


def test_labels_that_are_the_same_number_are_pointed_out(folder):
    found = scanned(folder, rows().replace(",cat", ",1").replace(",dog", ",1.0"))
    assert any("“1” and “1.0” look alike" in p.sentence for p in found.problems)


def test_a_table_without_any_usable_row_says_why(folder):
    text = str(refusal(folder, "path,label\nx.jpg,cat\n/y.jpg,dog\n"))
    assert "None of the 2 rows" in text and "row 2" in text and "row 3" in text and "relative to the CSV file" in text


@pytest.mark.parametrize(("content", "sentence"), [("", "empty"), ("\n\n", "empty"), ("path,label\n", "no rows")])
def test_an_empty_table_says_so(folder, content, sentence):
    assert sentence in str(refusal(folder, content))


def test_a_cell_of_ten_megabytes_is_refused_with_its_line(folder):
    assert "from line 42 on" in str(refusal(folder, rows(extra=['"' + "x" * 10_000_000])))


def test_images_named_as_csv_are_not_a_table(folder):
    (folder / "labels.csv").write_bytes((folder / NAMES[0]).read_bytes())
    with pytest.raises(BadInput):
        scan(Data(source=str(folder / "labels.csv")))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_a_latin_1_table_finds_files_with_latin_1_names(tmp_path):
    import os

    from .corpus import jpeg

    for i in range(20):
        with open(os.fsencode(tmp_path) + b"/caf\xe9%d.jpg" % i, "wb") as f:
            f.write(jpeg())
    found = scanned(tmp_path, b"path,label\n" + b"".join(b"caf\xe9%d.jpg,%s\n" % (i, [b"a", b"b"][i % 2]) for i in range(20)))
    assert len(found.samples) == 20 and found.samples[0].id == "caf\\xE90.jpg"
