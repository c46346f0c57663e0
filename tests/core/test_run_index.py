"""The run index is a cache: never wrong, made anew when it is damaged, and shared by several windows."""

from __future__ import annotations

import os
import sqlite3
import threading
from types import SimpleNamespace

import pytest
from builders import build_dataset, build_run

from studio.core import event as ev
from studio.core import run_index
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.core.run_digest import RunDigest, summarise
from studio.core.run_index import RunIndex, read_digests, stamp_of, unpacked


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("indexed")
    dataset = build_dataset(root / "images", num_train=2, num_validation=1)
    for status, nickname in ((Status.FINISHED, "calm-otter"), (Status.FAILED, "keen-finch"), (Status.STOPPED, "quick-fox")):
        build_run(root / "runs", dataset, status, nickname=nickname)
    return root / "runs"


@pytest.fixture
def indexed(runs, tmp_path):
    """The path of an index that knows all runs."""
    index = RunIndex(runs, tmp_path / "runs.sqlite")
    index.put((f.name, stamp_of(f.path), RunDigest.of(f.experiment(), f.read_state())) for f, _ in read_digests(runs)[0])
    index.close()
    return tmp_path / "runs.sqlite"


def test_a_digest_shows_a_run_as_its_journal_does(runs):
    for folder, digest in read_digests(runs, is_whole=True)[0]:
        whole, short = folder.read_state(), digest.state()
        assert digest.summary == summarise(folder.experiment(), whole) == summarise(digest.experiment(), short)
        assert digest.experiment() == folder.experiment()
        for name in ("status", "step", "t", "description", "best", "test", "finished", "stopped", "failed"):
            expected, found = getattr(whole, name), getattr(short, name)
            assert found == (type(expected)(**vars(expected) | {"class_recalls": ()}) if name == "best" and expected else expected), name
        assert not short.is_whole and not len(short.train_loss)


def test_a_journal_read_in_short_gives_the_same_digest_also_where_the_run_went_back(runs, tmp_path):
    folder = read_digests(runs)[0][0][0]
    lines = folder.journal_path.read_bytes().splitlines(keepends=True)
    again = ev.encode(ev.RunStarted(wall_time=9.0, pid=7, session=1, resumed_step=2, t=1e4))
    back = ev.encode(ev.WarningRaised(code="loss-not-finite", sentence="Back.", t=2e4))
    journals = [(path / "journal.jsonl").read_bytes() for path in sorted(runs.iterdir())]
    journals += [b"".join([*lines[:-9], again, *lines[4:-20]]), b"".join([*lines[:-9], back, *lines[20:40]])]
    journals += [b"".join(lines[: len(lines) // 2]), b""]
    for number, content in enumerate(journals):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(content)
        whole, short = fold(RunState(), JournalReader(path).read_columns()), fold(RunState(), JournalReader(path).read_rare())
        assert RunDigest.of(folder.experiment(), short) == RunDigest.of(folder.experiment(), whole)
        assert short.is_whole == (not len(whole.train_loss)) and not len(short.train_loss)


def test_only_runs_whose_files_have_changed_are_read_again(runs):
    """A journal overwritten with its size and time kept is not read; one that grew is."""
    before = {folder.name: digest.summary.top1 for folder, digest in read_digests(runs)[0]}
    first, second, _ = (folder for folder, _ in read_digests(runs)[0])
    kept = {folder: (folder.journal_path.read_bytes(), folder.journal_path.stat()) for folder in (first, second)}
    try:
        for folder, (content, info) in kept.items():
            folder.journal_path.write_bytes(b"\n" * (len(content) + (folder == second)))
            os.utime(folder.journal_path, ns=(info.st_atime_ns, info.st_mtime_ns))
        after = {folder.name: digest.summary.top1 for folder, digest in read_digests(runs)[0]}
        assert after[first.name] == before[first.name] and after[second.name] is None
    finally:
        for folder, (content, _) in kept.items():
            folder.journal_path.write_bytes(content)


def test_what_is_packed_comes_from_the_index_and_without_one_from_the_files_of_the_run(runs, studio_home):
    read_digests(runs)
    folder, short = read_digests(runs)[0][0]
    _, whole = read_digests(runs, is_whole=True)[0][0]
    assert short.packed is None and whole.packed
    assert unpacked(folder, short) == whole
    for path in studio_home.rglob("runs.sqlite*"):
        path.unlink()
    assert unpacked(folder, short) == whole


def damage_bytes(path):
    path.write_bytes(b"not a data base" * 400)


def damage_middle(path):
    content = bytearray(path.read_bytes())
    content[2000 : len(content) - 500] = b"\xff" * (len(content) - 2500)
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def empty(path):
    path.write_bytes(b"")


def change_version(path):
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


def put_a_view_in_its_place(path):
    db = sqlite3.connect(path)
    db.executescript("DROP TABLE runs; CREATE VIEW runs AS SELECT 1 AS place;")
    db.close()


@pytest.mark.parametrize("harm", [damage_bytes, damage_middle, cut, empty, change_version, put_a_view_in_its_place])
def test_a_damaged_or_foreign_index_is_made_anew(runs, indexed, harm):
    harm(indexed)
    index = RunIndex(runs, indexed)
    index.load()
    folder, digest = read_digests(runs)[0][0]
    index.put([(folder.name, stamp_of(folder.path), digest)])
    found = index.load()
    index.close()
    assert found.get(folder.name, (None, None))[1] == digest


def test_a_row_that_is_nonsense_is_left_out(runs, indexed):
    db = sqlite3.connect(indexed)
    with db:
        name = os.fsencode(read_digests(runs)[0][0][0].name)
        db.execute("UPDATE runs SET summary = '[3]' WHERE name = ?", (name,))
    db.close()
    index = RunIndex(runs, indexed)
    assert len(index.load()) == 2
    index.close()


def test_without_a_place_for_the_index_everything_works_without_it(runs, tmp_path):
    (tmp_path / "file").write_text("")
    index = RunIndex(runs, tmp_path / "file" / "runs.sqlite")
    index.put([(f.name, stamp_of(f.path), d) for f, d in read_digests(runs)[0]])
    assert index.load() == {}
    index.close()


def test_who_finds_another_window_at_the_new_file_waits_for_it(runs, tmp_path, monkeypatch):
    other = sqlite3.connect(tmp_path / "runs.sqlite", isolation_level=None)
    for statement in ("CREATE TABLE something (it)", "BEGIN", "SELECT * FROM something"):
        other.execute(statement).fetchall()
    monkeypatch.setattr(run_index, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: other.execute("COMMIT")))
    index = RunIndex(runs, tmp_path / "runs.sqlite")
    assert index.is_usable
    index.close()
    other.close()


def test_two_windows_write_at_the_same_time_and_nothing_is_lost(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(run_index, "PATIENCE_S", 60.0)
    folder, digest = read_digests(runs)[0][0]
    path = tmp_path / "runs.sqlite"

    def write(which: int) -> None:
        index = RunIndex(runs, path)
        for number in range(20):
            index.put([(f"{which}-{number}", (1, 2, 3, 4), digest)])
        index.close()

    threads = [threading.Thread(target=write, args=(which,)) for which in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    index = RunIndex(runs, path)
    assert len(index.load()) == 40
    index.forget(["0-0"])
    assert len(index.load()) == 39
    index.close()
