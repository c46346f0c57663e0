"""Methods of the preview worker: what augmentation makes of images, by the code that training runs.

Tiles are sent ahead as parts, the first one as soon as it is made: {"tile": its number, "image": reference, ...}. What is wrong with one
file is said on its tile, {"tile", "error"}; what is wrong with the pipeline ends the request, with the field in the sentence.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from studio.catalog.augments import Applied, Pipeline, evaluation_view, pipeline_of
from studio.catalog.augments.catalog import COMPOSITIONS, Param, catalog
from studio.catalog.augments.check import pipeline_problems
from studio.catalog.augments.drawn import drawn_values
from studio.catalog.augments.trail import Trail
from studio.catalog.augments.view import resize
from studio.core.experiment import Augment, Experiment, TransformSpec, parse_experiment, plain_value
from studio.core.problem import BadInput
from studio.core.rng import sample_seed
from studio.dataset.image import ImageRefused
from studio.engine.loader import import_without_torch
from studio.engine.worker.pictures import working_picture
from studio.engine.worker.place import openable
from studio.engine.worker.service import Call, Method

Normalisation = Sequence[Sequence[float]]  # mean and deviation of red, green and blue, in [0, 1]
PictureOf = Callable[[str], np.ndarray]  # by path: the decoded picture, not to be written into

MOST_TILES = 64
MIXES = {"MixUp": "mixup_p", "CutMix": "cutmix_p"}
_GLIMPSE_S = 0.0004  # in which the window shows the first picture, where it shares a core with this process: a turn there lasts several ms
_built = threading.local()  # steps hold state while they run: one set per thread
_MOST_BUILT = 256
_TRAIL_BYTES = 128 << 20  # of each lane


def warm_up(call: Call) -> dict[str, Any]:
    """Import albumentations before the first picture is asked for."""
    _say_loading(call)
    spec = parse_experiment({"augment": {"preset": "medium"}})
    _pipeline(pipeline_of(spec.augment), 64)(np.zeros((64, 64, 3), np.uint8), 0)
    return {}


def tiles(
    call: Call,
    experiment: dict[str, Any],
    subjects: list[dict[str, Any]],
    size_px: int | None = None,
    is_normalised: bool = False,
    measured: Normalisation | None = None,
) -> dict[str, Any]:
    """What the network is given of training images, bit for bit, before batches are blended.

    A subject is {"path", "index": its position in the training part, "epoch"}. Parts: {"tile", "image", "seed", "drawn"}, where "drawn" lists
    the steps that acted: {"step": position in the pipeline, "name", "title", "values": [[name, text], ...], "failure"}. With `size_px` the
    finished pictures are shrunk to that side, as for a slider that moves: of those asked for before, pictures that change and are made soonest
    then come first. `is_normalised` as in `batch`. Result: {"count", "ms_per_image": processor time of the pipeline,
    the median; None without a picture}.
    """
    spec, pipeline = _asked(call, experiment, len(subjects))
    picture_of, show, spent = _pictures(spec), Show(size_px, _normalisation(spec, measured) if is_normalised else None), []
    order = list(range(len(subjects)))
    if size_px:
        order.sort(key=lambda number: pipeline.left(_trail(call.key, _seed(spec, subjects[number]))))
    for place, number in enumerate(order):
        call.check()
        spent += _send_tile(call, number, spec, pipeline, subjects[number], picture_of, show)
        if size_px and place == 0:
            time.sleep(_GLIMPSE_S)
    return {"count": len(subjects), "ms_per_image": 1000 * statistics.median(spent) if spent else None}


def strip(
    call: Call, experiment: dict[str, Any], subject: dict[str, Any], step: int, param: str, values: list[Any] | None = None, count: int = 5
) -> dict[str, Any]:
    """One photo with one parameter of one step from its low to its high end; the step is always applied, all else as in `tiles`.

    Without `values`, `count` values between the ends of the parameter's slider, or its choices. Parts: {"tile", "value", "image", "drawn"},
    or "error" where a value cannot be. Result: {"values"}.
    """
    spec = parse_experiment(experiment)
    steps = pipeline_of(spec.augment)
    if not 0 <= step < len(steps):
        raise BadInput("The step is no longer in the pipeline.")
    known = catalog()[steps[step].name].param(param) if steps[step].name in catalog() else None
    if known is None:
        raise BadInput(f"{steps[step].name} has no parameter “{param}”.")
    picture_of = _pictures(spec)
    picture_of(subject["path"])  # what is wrong with the file is no value's fault
    shown = [plain_value(v) for v in values] if values is not None else strip_values(known, count)
    _say_loading(call)
    for number, value in enumerate(shown):
        call.check()
        params = steps[step].params | {param: as_param(known, value)}
        at_value = steps[step].model_copy(update={"params": params, "p": 1.0, "is_on": True})
        changed = (*steps[:step], at_value, *steps[step + 1 :])
        try:
            pipeline = _pipeline(changed, spec.model.input_size)
        except BadInput as exc:
            call.part({"tile": number, "value": value, "error": exc.problems[0].sentence})
            continue
        _send_tile(call, number, spec, pipeline, subject, picture_of, Show(), value=value)
    return {"values": shown}


def gallery(
    call: Call,
    experiment: dict[str, Any],
    subject: dict[str, Any],
    names: list[str] | None = None,
    size_px: int = 112,
    partner: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Every transform, or those named, with its defaults applied alone to the photo; MixUp and CutMix of it and its `partner`, another photo.

    Parts: {"tile", "name", "image", "drawn"}, or {"tile", "name", "error"} where the partner cannot be read."""
    spec = parse_experiment(experiment)
    picture_of, show = _pictures(spec), Show(size_px)
    picture_of(subject["path"])  # what is wrong with the file is no transform's fault
    wanted = [name for name in (names or catalog()) if name in catalog() and name not in COMPOSITIONS]
    _say_loading(call)
    if names is None:
        wanted.sort(key=lambda name: name in ("PiecewiseAffine", "Superpixels"))  # seconds; after all others
    for number, name in enumerate(wanted):
        call.check()
        pipeline = _pipeline((TransformSpec(name=name, p=1.0),), spec.model.input_size)
        _send_tile(call, number, spec, pipeline, subject, picture_of, show, name=name)
    mixes = [name for name in names or () if name in MIXES and partner is not None]
    for number, name in enumerate(mixes, len(wanted)):
        call.check()
        told = {"tile": number, "name": name, "drawn": []}
        try:
            pair = [evaluation_view(picture_of(each["path"]), spec.model.input_size) for each in (subject, partner)]
            call.part(told | {"image": call.image(show(_typical_mix(name, spec).of_pair(*pair)))})
        except BadInput as exc:
            call.part(told | {"error": exc.problems[0].sentence})
    return {"count": len(wanted) + len(mixes)}


def _typical_mix(name: str, spec: Experiment):
    """The first that training would draw of two photos in which both are plainly seen."""
    from studio.engine.mix import draw_mix

    augment = Augment(**{MIXES[name]: 1.0})
    drawn = (draw_mix(augment, 2, spec.model.input_size, spec.training.seed, step, 0) for step in range(1000))
    return next(mix for mix in drawn if 0.5 <= mix.share <= 0.75)


def batch(
    call: Call,
    experiment: dict[str, Any],
    subjects: list[dict[str, Any]],
    step: int = 0,
    batch: int = 0,
    count: int = 16,
    is_normalised: bool = False,
    measured: Normalisation | None = None,
) -> dict[str, Any]:
    """The first `count` pictures of a training batch as the network sees them, after MixUp or CutMix: subjects as in `tiles`, with a "label".

    Given all samples of a batch in their order, its optimiser step in the run and its place within that, these are the pictures that training
    blends there. `is_normalised` shows the numbers that the network gets: -2.5 is black, 2.5 white; `measured` are mean and deviation of the
    training images, for experiments that normalise with them. Parts: {"tile", "image", "seed", "drawn",
    "labels": [[label, share], ...]} or {"tile", "error", "labels"}. Result: {"count", "kind": "MixUp", "CutMix" or "", "share": of the own
    picture, "box": [top, left, bottom, right] or None, "num_images": of the batch, "ms_per_image" as in `tiles`}.
    """
    from studio.engine.mix import draw_mix

    count = min(count, len(subjects))
    spec, pipeline = _asked(call, experiment, count)
    size, picture_of, show, spent = (
        spec.model.input_size,
        _pictures(spec),
        Show(None, _normalisation(spec, measured) if is_normalised else None),
        [],
    )
    mix = draw_mix(spec.augment, len(subjects), size, spec.training.seed, step, batch)
    names = [str(subject.get("label", "")) for subject in subjects]

    @cache
    def varied(place: int) -> tuple[np.ndarray, int, list[Applied]]:
        call.check()
        image, seed = picture_of(subjects[place]["path"]), _seed(spec, subjects[place])
        trail = _trail(call.key, seed)
        picture, applied = pipeline.traced(image, seed, trail)
        spent.append(trail.seconds)
        return picture, seed, applied

    for number in range(count):
        other = int(mix.partners_N[number]) if mix else number
        labels = [[names[number], 1.0]]
        if names[other] != names[number]:
            labels = [[names[number], mix.share], [names[other], 1 - mix.share]]
        try:
            (picture, seed, applied), second = varied(number), varied(other)[0]
        except BadInput as exc:
            words = f"{exc.problems[0].sentence} Training takes the next image in its place."
            call.part({"tile": number, "error": words, "labels": labels})
            continue
        if mix:
            picture = mix.of_pair(picture, second)
        drawn = [_drawn(a) for a in applied]
        call.part({"tile": number, "image": call.image(show(picture)), "seed": seed, "drawn": drawn, "labels": labels})
    return {
        "count": count,
        "num_images": len(subjects),
        "kind": mix.kind if mix else "",
        "share": mix.share if mix else 1.0,
        "box": list(mix.box) if mix and mix.box else None,
        "ms_per_image": 1000 * statistics.median(spent) if spent else None,
    }


def check_pipeline(call: Call, experiment: dict[str, Any]) -> dict[str, Any]:
    """What only the library can find: {"problems": [{"field", "sentence"}, ...]}."""
    spec = parse_experiment(experiment)
    _say_loading(call)
    found = pipeline_problems(pipeline_of(spec.augment))
    if not found:
        try:
            _pipeline(pipeline_of(spec.augment), spec.model.input_size)
        except BadInput as exc:
            found = list(exc.problems)
    return {"problems": [{"field": p.field, "sentence": p.sentence} for p in found]}


def look(call: Call, paths: list[str], classes: list[str], data: dict[str, Any] | None = None) -> dict[str, Any]:
    """What pictures look like and what follows: dataset.look. `data`: how the files are read, as settings of experiment.Data. {"hints": [{"kind", "sentence", "avoid", "preset"}], "look": fields of Look}."""
    from dataclasses import asdict

    from studio.dataset.look import hints, look_at
    from studio.dataset.thumbnail import thumbnail

    reading = parse_experiment({"data": data or {}}).data.reading
    small = []
    for done, path in enumerate(paths[:MOST_TILES]):
        call.progress(done, min(len(paths), MOST_TILES), "looking")
        try:
            small.append(thumbnail(openable(path), 64, reading))
        except ImageRefused:
            continue
    found = look_at(small)
    return {"look": asdict(found), "hints": [asdict(hint) for hint in hints(classes, found)]}


# What a strip shows


def strip_values(param: Param, count: int) -> list[Any]:
    """From the low to the high end of a parameter: numbers, or all of its choices."""
    match param.kind:
        case "switch":
            return [False, True]
        case "choice":
            return [choice.value for choice in param.choices]
        case "colour":
            return [*(choice.value for choice in param.choices), *np.linspace(0, 255, count).astype(int).tolist()]
        case "input size" | "box":
            return [param.default]
    low, high = param.slider
    found = np.linspace(low, high, count)
    numbers = [int(round(v)) for v in found] if param.is_whole else [round(float(v), 4) for v in found]
    return list(dict.fromkeys(numbers))


def as_param(param: Param, value: Any) -> Any:
    """A single value for a parameter that holds two: both ends there, so that the picture shows this value."""
    return (value, value) if param.kind in ("range", "pair") and not isinstance(value, tuple) else value


# Inside


def _asked(call: Call, experiment: dict[str, Any], count: int) -> tuple[Experiment, Pipeline]:
    spec = parse_experiment(experiment)
    if not 1 <= count <= MOST_TILES:
        raise BadInput(f"{count} pictures cannot be shown; 1 to {MOST_TILES} can.")
    _say_loading(call)
    return spec, _pipeline(pipeline_of(spec.augment), spec.model.input_size)


def _say_loading(call: Call) -> None:
    if not hasattr(_built, "steps"):
        call.progress(0, None, "loading albumentations")
        import_without_torch()


def _pipeline(steps: tuple[TransformSpec, ...], input_size: int) -> Pipeline:
    """The training loader's own pipeline; steps that have not changed are taken from the one before."""
    if not hasattr(_built, "steps"):
        import cv2

        cv2.setNumThreads(1)  # as in training: to wake others takes longer than a picture
        _built.steps, _built.trails = {}, OrderedDict()
    kept = _built.steps
    if len(kept) > _MOST_BUILT:
        kept.clear()
    while sum(trail.num_bytes for trail in _built.trails.values()) > _TRAIL_BYTES:
        _built.trails.popitem(last=False)
    return Pipeline(steps, input_size, kept)


@dataclass(frozen=True)
class Show:
    """How finished pictures are shown: no larger than this, and whether as the numbers that the network gets."""

    size_px: int | None = None
    normalisation: Normalisation | None = None

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        if self.normalisation:
            picture = _as_normalised(self.normalisation, picture)
        factor = picture.shape[0] // self.size_px if self.size_px else 1
        if factor > 1:  # averaging by whole factors takes a tenth of the time of others
            side = picture.shape[0] // factor
            picture = resize(picture[: side * factor, : side * factor], side, side)
        if self.size_px and picture.shape[0] > self.size_px:
            picture = resize(picture, self.size_px, self.size_px)
        return picture


def _send_tile(
    call: Call, number: int, spec: Experiment, pipeline: Pipeline, subject: dict[str, Any], picture_of: PictureOf, show: Show, **more: Any
) -> list[float]:
    """The seconds of processor time that the pipeline took, without reading the file; nothing where that failed."""
    try:
        image = picture_of(subject["path"])
    except BadInput as exc:
        call.part({"tile": number, "error": exc.problems[0].sentence} | more)
        return []
    seed = _seed(spec, subject)
    trail = _trail(call.key, seed)
    picture, applied = pipeline.traced(image, seed, trail)
    call.part({"tile": number, "image": call.image(show(picture)), "seed": seed, "drawn": [_drawn(a) for a in applied]} | more)
    return [trail.seconds]


def _trail(key: str, seed: int) -> Trail:
    """Of an earlier question of this kind: the picture behind the steps that have not changed since is there already."""
    trail = _built.trails.setdefault((key, seed), Trail())
    _built.trails.move_to_end((key, seed))
    return trail


def _pictures(spec: Experiment) -> PictureOf:
    """For one question, in which a file is looked at once."""
    return lru_cache(maxsize=4)(lambda path: working_picture(path, spec.data.reading, spec.model.input_size))


def _seed(spec: Experiment, subject: dict[str, Any]) -> int:
    return _sample_seed(spec.training.seed, int(subject.get("epoch", 0)), int(subject.get("index", 0)))


_sample_seed = lru_cache(maxsize=1024)(sample_seed)  # a tenth of a millisecond each


def _drawn(applied: Applied) -> dict[str, Any]:
    known = catalog().get(applied.name)
    return {
        "step": applied.step,
        "name": applied.name,
        "title": known.title if known else applied.name,
        "values": drawn_values(applied.params),
        "failure": applied.failure,
    }


@lru_cache(maxsize=8)
def _statistics(source: str, name: str) -> Normalisation:
    """Of a backbone, from the list that was made of all of them before; its library would load torch."""
    from studio.catalog.backbones import backbone_info, cached_backbones

    info = next((each for each in cached_backbones() if (each.source, each.name) == (source, name)), None) or backbone_info(source, name)
    return info.mean, info.std


def _normalisation(spec: Experiment, measured: Normalisation | None) -> Normalisation:
    """Mean and deviation of each channel, as engine.setup.view_for has them; those of the images have to be measured by the caller."""
    model = spec.model
    if model.normalisation == "custom":
        return model.custom_mean, model.custom_std
    if model.normalisation == "data":
        if measured is None:
            raise BadInput("Mean and deviation of the images are not measured yet: the scan of the folder goes on.")
        return measured
    if model.start_run:
        from studio.engine.start_run import start_checkpoint

        view = start_checkpoint(model).state["view"]
        return view["mean"], view["std"]
    return _statistics(model.source, model.backbone)


def _as_normalised(normalisation: Normalisation, picture_HWC: np.ndarray) -> np.ndarray:
    """The network's numbers as grey levels: -2.5 is 0, 2.5 is 255."""
    mean, std = (np.array(values, np.float32) for values in normalisation)
    values = (picture_HWC / np.float32(255) - mean) / np.maximum(std, np.float32(1e-3))
    return np.clip(np.rint((values + 2.5) * 51), 0, 255).astype(np.uint8)


METHODS = {
    "warm_up": Method(warm_up),
    "tiles": Method(tiles),
    "strip": Method(strip, "strip"),
    "gallery": Method(gallery, "gallery"),
    "batch": Method(batch),
    "look": Method(look, "look"),
    "check_pipeline": Method(check_pipeline),
}
