"""Scoring a trained run on labelled images it may never have seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from studio.catalog.augments.test_time import test_time as choose_test_time
from studio.core.experiment import Data
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder
from studio.dataset.scan import Cancelled, scan
from studio.dataset.words import listed
from studio.engine.compiling import Asked, compiling_for
from studio.engine.device import choose_device
from studio.engine.evaluate import Answers, answer, score, scores_json
from studio.engine.fast_pass import LONG_PASS, FastPass
from studio.engine.loader import Loader, Source, choose_num_workers
from studio.engine.network import Trained, load_trained
from studio.engine.plan import evaluation_requests
from studio.engine.predict import Predictor

BATCH_SIZE = 32  # on a GPU

Progress = Callable[[int, int | None, str], None]


def score_run(
    folder: RunFolder,
    data: Data,
    *,
    which: Literal["best", "last"] = "best",
    part: Literal["all", "train", "validation", "test"] = "all",
    device: str = "auto",
    test_time: str = "off",
    compile_: Asked = "auto",
    progress: Progress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Scores as evaluate.scores_json gives them, with "unknown_classes", "unreadable" (id to reason), "test_time", "note" (that the best
    checkpoint is damaged and another one was taken), and "speed": {"form", "gain" over the
    network as it is stored, "compiled"}, in words, with "" where nothing was to be compiled.

    Images of classes that the run was not trained on are left out. Raises BadInput when nothing is left to score, Cancelled.
    """
    chosen = choose_device(device)
    dataset = scan(data, progress=progress, is_cancelled=is_cancelled)
    trained = load_trained(folder, which)
    index = {name: i for i, name in enumerate(trained.classes)}
    samples = [s for s in dataset.samples if part in ("all", s.split)]
    unknown = sorted({s.label for s in samples} - index.keys())
    known = [s for s in samples if s.label in index]
    if not samples:
        kind, way_out = ("", "") if part == "all" else (f"{part} ", " Choose another part, or all of them.")
        raise BadInput(f"There are no {kind}images in {shown(data.source)} to score.{way_out}")
    if not known:
        raise BadInput(
            f"None of the classes there is known to {folder.nickname}: it knows {listed(trained.classes)}, the folder has {listed(unknown)}."
        )
    labels = np.array([index[s.label] for s in known], np.int64)
    unreadable = {s.id: s.reason for s in dataset.set_aside}
    paths = [dataset.path_of(s) for s in known]
    trained.module.to(chosen)
    num_views = choose_test_time(test_time).num_views * len(paths)
    fast = FastPass(trained.module, chosen, trained.input_size, is_long=num_views >= LONG_PASS or compile_ == "on")
    with contextlib.closing(compiling_for(folder, which, trained, fast, num_views, compile_)) as compiling:
        compiling.wait_if_forced(progress, is_cancelled)

        def watched(done: int, total: int | None, what: str) -> None:
            compiling.look()
            if progress:
                progress(done, total, f"{what} while the network is compiled" if compiling.is_running else what)

        watch = {"progress": watched, "is_cancelled": is_cancelled}
        size = -(-BATCH_SIZE // fast.chunk) * fast.chunk  # whole parts: the compiled network takes no other number of images
        if test_time == "off":
            answers, refused = _answers(trained, fast, size, paths, labels, **watch)
        else:
            answers, refused = _averaged(trained, fast, size, paths, labels, test_time, **watch)
    unreadable.update({known[i].id: reason for i, reason in refused.items()})
    if not len(answers.labels_N):
        raise BadInput(f"None of the {len(known):,} images can be read. Check that the files were copied completely.")
    scores = score(answers, len(trained.classes))
    return scores_json(scores, trained.classes, answers) | {
        "unknown_classes": unknown,
        "unreadable": unreadable,
        "step": trained.step,
        "test_time": test_time,
        "note": trained.note,
        "speed": {"form": fast.name, "gain": round(fast.gain, 2), "compiled": compiling.sentence},
    }


def _answers(trained: Trained, fast: FastPass, batch_size: int, paths, labels, *, progress, is_cancelled) -> tuple[Answers, dict[int, str]]:
    """One view of each image, read by loader processes."""
    source = Source(
        paths=tuple(paths),
        augment=trained.experiment.augment,
        input_size=trained.input_size,
        interpolation=trained.interpolation,
        crop_fraction=trained.crop_fraction,
        reading=trained.experiment.data.reading,
        num_trained=0,
        cache_bytes=0,
    )
    to_input = trained.normaliser(fast.device)
    refused: dict[int, str] = {}
    done = 0

    def counted(batches):
        nonlocal done
        for batch in batches:
            if is_cancelled and is_cancelled():
                raise Cancelled
            refused.update(batch.refused)
            yield batch
            done += len(batch.indices)
            progress(done, len(paths), "Scoring")

    with Loader(source, batch_size, choose_num_workers(-1, fast.device.type)) as loader:
        batches = counted(loader.batches(evaluation_requests(0, len(paths), batch_size)))
        return answer(trained.module, batches, labels, lambda _module, batch: fast(to_input(batch.images_NHWC))), refused


def _averaged(
    trained: Trained, fast: FastPass, batch_size: int, paths, labels, test_time: str, *, progress, is_cancelled
) -> tuple[Answers, dict[int, str]]:
    """The mean probabilities of several views; their loss is minus the logarithm of the mean."""
    predictor = Predictor(trained, fast.device, test_time, fast)
    found = list(predictor.predict(paths, batch_size=batch_size, progress=progress, is_cancelled=is_cancelled, words="Scoring"))
    refused = {i: prediction.reason for i, prediction in enumerate(found) if prediction.probabilities_C is None}
    shown = np.array([i for i in range(len(found)) if i not in refused], np.int64)
    if not len(shown):
        return Answers(shown, shown, np.empty((0, len(trained.classes)), np.float32), np.empty(0, np.float32)), refused
    probabilities_NC = np.stack([found[i].probabilities_C for i in shown])
    own = probabilities_NC[np.arange(len(shown)), labels[shown]]
    return Answers(shown, labels[shown], probabilities_NC, -np.log(np.maximum(own, np.finfo(np.float32).tiny))), refused
