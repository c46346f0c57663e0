"""Each JSON file of the program may have been cut, emptied or changed: what cannot be read counts as missing or is refused, in words."""

from __future__ import annotations

import contextlib
import json

import pytest

from studio.catalog.augments.own import own_presets, save_preset
from studio.catalog.backbones.listing import cached_backbones
from studio.core.event import decode
from studio.core.experiment import Augment
from studio.core.head_sweep import HeadSweep
from studio.core.place import cache_dir
from studio.core.problem import BadInput
from studio.core.queue import QUEUE, RunQueue
from studio.core.rate_test import RateTest
from studio.core.run_folder import RunFolder, read_commands
from studio.dataset.dataset import Dataset
from studio.engine.checkpoint import MANIFEST, MODEL, OPTIMISER, STATE, find_checkpoint
from studio.engine.verdict import remembered
from studio.gui.pages.results.notes import FILE, Notes, read_notes
from studio.gui.pages.results.scores import read_scores
from studio.supervise.engine import _pid_of

SCORES = {
    "classes": ["a", "b"], "confusion": [[1, 0], [0, 1]], "per_class": [{"precision": 1, "recall": 1, "f1": 1, "support": 1}] * 2,
    "top1": 1, "loss": 0, "macro_f1": 1, "num_images": 2,
}  # fmt: skip
MADE = {  # of each file, what it may say
    "queue": ["2026_calm-otter"],
    "notes": {"tags": ["x"], "confirmed": [], "num_test_looks": 2},
    "scores": SCORES,
    "dataset": json.loads(Dataset("/x", "class folders", (), ()).to_json()),
    "rate test": {"version": 1, "rates": [0.1], "losses": [0.1]},
    "head sweep": {"version": 1, "heads": [[0.1, 1.2, 0.5]], "epochs": 3, "feature_seconds": 1.0, "head_seconds": 1.0, "made_with": {}},
    "manifest": {"schema": 1, "files": {name: {"sha256": "0", "bytes": 1} for name in (MODEL, OPTIMISER, STATE)}},
    "engine": {"pid": 7, "host": "x"},
    "command": {"command": "stop", "values": {}},
    "event": {"event": "RunStarted", "wall_time": 1.0, "pid": 7, "session": 0, "t": 1},
    "listing": {"versions": [], "backbones": []},
    "verdict": {"key": True},
    "preset": {"schema": 1, "name": "Mine", "augment": {}},
}


def damaged(plain) -> list[bytes]:
    """All the ways of row 112 of docs/bad-inputs.md, and each number in the file as one that no number can be."""
    whole = json.dumps(plain).encode()
    ways = [whole[: len(whole) // 2], whole[:-1], b"", bytes(100), whole[:-4] + bytes(4), b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe"]
    ways += [b"null", b"7", b'"text"', b"[1, 2]", b"[[1]]", b"{}", b"NaN", b"1e400", b"9" * 5000]
    if isinstance(plain, dict):
        ways += [whole[:-1] + b', "%s": null}' % key.encode() for key in plain]  # a name twice
        for value in (b"1e400", b"-Infinity", b"NaN", b"9" * 5000, b'"text"', b"[]", b"{}", b"[1e400]", b"[[1e400]]"):
            ways += [json.dumps(plain | {key: "HERE"}).encode().replace(b'"HERE"', value) for key in plain]
    return ways


def read_back(kind: str, content: bytes, tmp_path) -> object:
    """What a reader makes of the file; BadInput is the only exception that it may raise."""
    folder = RunFolder(tmp_path / "2026-11-23_101500_calm-otter")
    for path in (folder.results_path, folder.checkpoints_path / "step-00000001", cache_dir()):
        path.mkdir(parents=True, exist_ok=True)
    match kind:
        case "queue":
            (tmp_path / QUEUE).write_bytes(content)
            return RunQueue(tmp_path).names
        case "notes":
            (folder.path / FILE).write_bytes(content)
            return read_notes(folder)
        case "scores":
            (folder.results_path / "validation.json").write_bytes(content)
            return read_scores(folder)
        case "dataset":
            return Dataset.from_json(content)
        case "rate test":
            return RateTest.from_json(content)
        case "head sweep":
            return HeadSweep.from_json(content)
        case "manifest":
            (folder.checkpoints_path / "step-00000001" / MANIFEST).write_bytes(content)
            return find_checkpoint(folder)
        case "engine":
            folder.engine_path.write_bytes(content)
            return _pid_of(folder)
        case "command":
            folder.commands_path.write_bytes(content + b"\n")
            return read_commands(folder.commands_path, 0)[0]
        case "event":
            return decode(content + b"\n")
        case "listing":
            (cache_dir() / "backbones.json").write_bytes(content)
            return cached_backbones()
        case "verdict":
            (cache_dir() / "x.json").write_bytes(content)
            return remembered("x", "key")
        case "preset":
            path = save_preset("Mine", Augment()).path
            path.write_bytes(content)
            return own_presets()


@pytest.mark.parametrize("kind", MADE)
def test_a_damaged_file_is_read_as_missing_or_refused_and_nothing_else_is_raised(kind, tmp_path):
    for content in damaged(MADE[kind]):
        with contextlib.suppress(BadInput):
            read_back(kind, content, tmp_path)


@pytest.mark.parametrize(
    ("kind", "nothing"), [("queue", ()), ("notes", Notes()), ("scores", None), ("manifest", None), ("command", []), ("event", None), ("verdict", None)]
)  # fmt: skip
@pytest.mark.parametrize("content", [b"", bytes(100), b"[" * 100_000, b"7", b"\xff\xfe"])
def test_what_cannot_be_read_counts_as_missing(kind, nothing, content, tmp_path):
    assert read_back(kind, content, tmp_path) == nothing
    assert read_back(kind, json.dumps(MADE[kind]).encode(), tmp_path) != nothing or kind == "manifest", "a whole one"
