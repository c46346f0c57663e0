"""The whole corpus as one folder of a user: everything that reads it leaves every byte, and no process dies of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from studio.catalog.augments.load import load_albumentations
from studio.core.experiment import Augment, Data
from studio.core.path_text import path_to_text
from studio.dataset.check import find_issues
from studio.dataset.dataset import Dataset
from studio.dataset.header import ImageRefused
from studio.dataset.scan import scan
from studio.dataset.statistics import pixel_statistics
from studio.dataset.thumbnail import thumbnail
from studio.dataset.verify import verify

from .conftest import make_images
from .corpus import BANDS, CASES, Asked, Case, Good
from .test_scan import tree_hash

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")  # Pillow's, about damaged metadata


@pytest.fixture(scope="module")
def corpus_files() -> list[tuple[Case, bytes]]:
    return [(case, case.data()) for case in CASES]


def write_corpus(root: Path, files: list[tuple[Case, bytes]]) -> Path:
    """Half of the corpus in each of two classes, every file named .jpg, beside sound images of both."""
    make_images(root, {"cat": 12, "dog": 12})
    for number, (_, data) in enumerate(files):
        (root / ("cat", "dog")[number % 2] / f"case-{number:03}.jpg").write_bytes(data)
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0000.jpg"):
        (root / "cat" / name).write_bytes(b"not for us")
    os.mkfifo(root / "cat" / "pipe.jpg")
    return root


def make_read_only(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        path.chmod(0o555 if path.is_dir() else 0o444)


def use_all(root: Path) -> Dataset:
    """All that reads the images of a folder: listing, checks, statistics, thumbnails, pictures for training and for scoring."""
    from studio.catalog.augments import build_pipeline, evaluation_view, shrink_to_working_size
    from studio.dataset.image import read_image

    found = verify(scan(Data(source=path_to_text(root), bands=BANDS)))
    find_issues(found)
    pixel_statistics(found)
    pipeline = build_pipeline(Augment(), 32)
    for sample in found.samples:
        path = found.path_of(sample)
        assert max(thumbnail(path, 24, found.reading).shape[:2]) <= 24
        image = read_image(path, found.reading)
        assert evaluation_view(image, 32, "bilinear", 0.9).shape == (32, 32, 3)
        assert pipeline(shrink_to_working_size(image, 32), 1).shape == (32, 32, 3)
    for aside in found.set_aside:
        with pytest.raises(ImageRefused):
            thumbnail(found.path_of(aside), 24)
    return found


@pytest.mark.skipif(os.name == "nt", reason="needs a FIFO and file permissions")
@pytest.mark.parametrize("is_read_only", [False, True], ids=["writable", "read-only"])
def test_the_whole_corpus_is_used_or_set_aside_and_no_byte_of_the_folder_changes(open_folder, as_ordinary_user, corpus_files, is_read_only):
    write_corpus(open_folder, corpus_files)
    if is_read_only:
        make_read_only(open_folder)
    before = tree_hash(open_folder)
    if is_read_only:
        load_albumentations()  # root's Python may not be nobody's to read
        with as_ordinary_user:
            with pytest.raises(PermissionError):
                (open_folder / "cat" / "new").touch()
            found = use_all(open_folder)
    else:
        found = use_all(open_folder)
    assert tree_hash(open_folder) == before
    used, aside = {s.id for s in found.samples}, {a.id: a.reason for a in found.set_aside}
    for number, (case, _) in enumerate(corpus_files):
        id_ = f"{('cat', 'dog')[number % 2]}/case-{number:03}.jpg"
        if isinstance(case.verdict, (Good, Asked)):
            assert id_ in used, case.name
        else:
            assert aside[id_].startswith(case.verdict), case.name
    assert len(used) + len(aside) == len(CASES) + 24, "pipes and hidden files are not even set aside"


def test_a_folder_for_runs_that_may_only_be_read_blocks_the_run_and_is_left_as_it_is(open_folder, as_ordinary_user):
    from studio.core.experiment import Experiment
    from studio.core.problem import BadInput
    from studio.core.run_folder import create_run

    open_folder.chmod(0o555)
    with as_ordinary_user, pytest.raises(BadInput, match="Permission denied. Choose another place for runs"):
        create_run(open_folder / "runs", Experiment(), b"{}")
    assert not any(open_folder.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a FIFO")
def test_training_and_prediction_on_the_whole_corpus_end_well_and_write_nothing_into_it(
    open_folder, as_ordinary_user, monkeypatch, corpus_files
):
    root = write_corpus(open_folder / "images", corpus_files)
    before = tree_hash(root)
    train_and_predict(root, open_folder / "runs")  # root's Python may not be nobody's to read: all of it is loaded now
    assert tree_hash(root) == before
    make_read_only(root)
    before = tree_hash(root)
    (open_folder / "nobody").mkdir()
    (open_folder / "nobody").chmod(0o777)
    monkeypatch.setenv("STUDIO_HOME", str(open_folder / "nobody" / "home"))
    for name in ("HF_HOME", "TORCH_HOME"):  # somebody else's: the weights in it are as good as not there
        (open_folder / name).mkdir(mode=0)
        monkeypatch.setenv(name, str(open_folder / name))
    with as_ordinary_user:
        with pytest.raises(PermissionError):
            (root / "cat" / "new").touch()
        train_and_predict(root, open_folder / "nobody" / "runs")
    assert tree_hash(root) == before
    found = sorted(path.name for path in open_folder.iterdir())
    assert found == ["HF_HOME", "TORCH_HOME", "images", "nobody", "runs"], "a class named like a path is no path"


def train_and_predict(root: Path, runs: Path) -> None:
    from engine_runs import SMALL, train_here

    from studio.core.experiment import Experiment
    from studio.core.outcome import Status
    from studio.core.run_folder import create_run
    from studio.engine.network import load_trained
    from studio.engine.predict import Predictor

    left_out = tuple(aside.id for aside in scan(Data(source=path_to_text(root))).set_aside)
    away = {f"{was}/{i:04}.jpg": name for was, name in (("cat", "../../x"), ("dog", "/abs")) for i in range(6)}
    data = Data(source=path_to_text(root), left_out=left_out, bands=BANDS, relabelled=away)
    dataset = scan(data)  # not verified: what only decoding finds is met in mid-run
    settings = SMALL | {
        "data.source": data.source,
        "data.left_out": left_out,
        "data.bands": BANDS,
        "data.relabelled": away,
        "schedule.epochs": 1,
        "model.input_size": 32,
        "training.batch_size": 16,
    }
    assert {"../../x", "/abs"} < set(dataset.classes)
    folder = create_run(runs, Experiment().changed(settings), dataset.to_json())
    assert train_here(folder) == 0
    state = folder.read_state()
    assert state.status is Status.FINISHED
    assert any("truncated" in w.sentence or "zero-filled" in w.sentence for w in state.warnings)
    paths = [str(path) for path in sorted(root.rglob("*.jpg")) if path.is_file()][:60]
    answers = list(Predictor(load_trained(folder)).predict(paths))
    assert len(answers) == len(paths) and all((a.reason == "") == (a.probabilities_C is not None) for a in answers)
    assert any(a.reason for a in answers)
