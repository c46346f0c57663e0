"""The preview shows what training is given, bit for bit, with any number of loader processes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from studio.catalog.augments import PRESETS, Pipeline
from studio.catalog.augments.catalog import COMPOSITIONS, Param, catalog
from studio.catalog.augments.check import pipeline_problems
from studio.core.experiment import Experiment, TransformSpec
from studio.core.problem import BadInput
from studio.core.reading import Reading
from studio.core.rng import sample_seed
from studio.engine.loader import Loader, Request, Source
from studio.supervise.worker import Worker
from tests.builders import build_dataset
from tests.worker.conftest import Asker

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's, of values that it rounds, and numpy's

SIZE, SEED = 24, 11


def drawn_value(param: Param, draws: random.Random) -> object:
    """Something within the useful range of a parameter."""
    low, high = param.slider
    number = (lambda: draws.randint(int(low), int(high))) if param.is_whole else (lambda: draws.uniform(low, high))
    match param.kind:
        case "switch":
            return draws.random() < 0.5
        case "choice":
            return draws.choice(param.choices).value
        case "range":
            return tuple(sorted((number(), number())))
        case "number":
            return number()
    return param.default


def drawn_step(name: str, draws: random.Random) -> TransformSpec:
    """With some of its parameters away from their defaults, where the library takes them."""
    params = {p.name: drawn_value(p, draws) for p in catalog()[name].params if p.kind != "input size" and draws.random() < 0.5}
    step = TransformSpec(name=name, p=draws.choice((0.5, 0.9, 1.0)), params={k: v for k, v in params.items() if v is not None})
    try:
        if not pipeline_problems((step,)):
            Pipeline((step,), SIZE)
            return step
    except BadInput:
        pass
    return step.model_copy(update={"params": {}})


def random_pipelines(count: int) -> list[tuple[TransformSpec, ...]]:
    """Of one to three steps, every transform of the catalogue among them, most of them away from their defaults."""
    draws = random.Random(5)
    names = [name for name in catalog() if name not in COMPOSITIONS]
    found = []
    for number in range(count):
        chosen = [names[number % len(names)], *draws.sample(names, draws.randint(0, 2))]
        steps = [drawn_step(name, draws) for name in chosen]
        if number % 10 == 0:
            steps.append(TransformSpec(name="OneOf", p=0.8, of=(TransformSpec(name="Blur"), TransformSpec(name="GaussNoise"))))
        found.append(tuple(steps))
    return found


def experiments() -> list[Experiment]:
    """One of every preset, and of 200 random pipelines."""
    pipelines = random_pipelines(200)
    assert sum(bool(step.params) for steps in pipelines for step in steps) > 200
    values = [{"augment.preset": preset.key} for preset in PRESETS]
    values += [{"augment.preset": "custom", "augment.transforms": steps} for steps in pipelines]
    return [Experiment().changed({"model.input_size": SIZE, "training.seed": SEED} | each) for each in values]


def indices_of(number: int) -> tuple[int, int]:
    return number % 8, (number + 3) % 8


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[str, ...]:
    dataset = build_dataset(tmp_path_factory.mktemp("photos"), ("a", "b"), num_train=4, num_validation=1, size_px=40)
    return tuple(dataset.path_of(s) for s in dataset.part("train"))


@pytest.fixture(scope="module")
def shown(tmp_path_factory, photos) -> list[tuple[Experiment, np.ndarray, set[str]]]:
    """Every experiment, what the preview worker gives for two images of it, and the steps that failed on them."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("preview-home")))
        worker = Worker("preview")
        try:
            for number, spec in enumerate(experiments()):
                subjects = [{"path": photos[i], "index": i, "epoch": number} for i in indices_of(number)]
                _, parts = Asker(worker).parts("tiles", experiment=spec.model_dump(mode="json"), subjects=subjects)
                parts.sort(key=lambda part: part["tile"])
                pixels = [np.frombuffer(part["image"]["content"], np.uint8).reshape(SIZE, SIZE, 3) for part in parts]
                found.append((spec, np.stack(pixels), {drawn["name"] for part in parts for drawn in part["drawn"] if drawn["failure"]}))
        finally:
            worker.close(5)
    return found


@pytest.mark.parametrize("num_workers", [0, 2])
def test_tiles_are_the_pictures_of_the_training_loader_for_every_preset_and_200_pipelines(shown, photos, num_workers):
    specs = [spec for spec, *_ in shown]
    source = Source(photos, specs[0].augment, SIZE, "bicubic", 0.875, Reading(), len(photos), cache_bytes=1 << 20)
    requests = (Request(indices_of(n), tuple(sample_seed(SEED, n, i) for i in indices_of(n)), spec.augment) for n, spec in enumerate(specs))
    compared = 0
    with Loader(source, 2, num_workers) as loader:
        for (spec, pictures, failed), batch in zip(shown, loader.batches(requests), strict=True):
            np.testing.assert_array_equal(pictures, batch.images_NHWC, str(spec.augment))
            assert failed == {name for name, _ in batch.tally.failures}
            compared += 1
    assert compared == len(PRESETS) + 200
