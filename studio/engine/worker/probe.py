"""Methods of the probe worker: it lists and describes networks, predicts, explains, evaluates, exports and downloads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import asdict
from typing import Any

from studio.core.experiment import Model, Optimiser, Training, parse_experiment
from studio.core.file import sha256_of
from studio.core.path_text import path_to_text, text_to_path
from studio.core.problem import BadInput
from studio.core.run_folder import RunFolder
from studio.engine.worker import model as looking
from studio.engine.worker.place import openable, shown_name
from studio.engine.worker.service import Call, Method, Superseded

_MAX_LOADED = 2  # trained networks kept in each lane
_loaded = threading.local()
_loading = threading.Lock()


def warm_up(call: Call) -> dict[str, Any]:
    """Import torch before the first question."""
    _load_torch(call)
    return {}


def list_backbones(call: Call) -> dict[str, Any]:
    """{"backbones": [fields of BackboneInfo, ...]}; seconds the first time, then from the cache."""
    from studio.catalog.backbones import list_backbones as listed

    _load_torch(call)
    return {"backbones": [asdict(info) for info in listed()]}


def describe_model(
    call: Call,
    model: dict[str, Any],
    num_classes: int,
    training: dict[str, Any] | None = None,
    optimiser: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """See engine.describe.describe_model."""
    _load_torch(call)
    from studio.engine.describe import describe_model as described

    spec = _spec(model, training, optimiser)
    return described(spec.model, spec.training, spec.optimiser, num_classes)


def cut_points(call: Call, model: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """Where the backbone can end: {"points": [fields of CutPoint without its modules], "num_features": what its own pooling gives}."""
    _load_torch(call)
    from studio.catalog.backbones import cut_points as found
    from studio.engine.describe import shapes_of

    spec = _spec(model).model
    points = [
        {"stage": p.stage, "title": p.title, "outlet": asdict(p.outlet) if p.outlet else None, "reason": p.reason}
        for p in found(spec.source, spec.backbone, spec.input_size)
    ]
    whole = shapes_of(spec.model_copy(update={"cut": "", "head": ()}), num_classes)
    return {"points": points, "num_features": whole.built.num_features}


def check_model(call: Call, model: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """{"problems": [{"field", "severity", "sentence"}, ...]} of building this network with its weights."""
    _load_torch(call)
    from studio.engine.preflight import check_model as checked

    spec = _spec(model)
    return {"problems": [{"field": p.field, "severity": str(p.severity), "sentence": p.sentence} for p in checked(spec.model, num_classes)]}


def check_weights_file(call: Call, model: dict[str, Any], num_classes: int, path: str | None = None) -> dict[str, Any]:
    """What a weights file gives this backbone: the fields of WeightsReport, its "sentence", and the file's "sha256". An error says why it cannot be
    used."""
    _load_torch(call)
    from studio.catalog.backbones import build_model

    spec = _spec(model).model
    path = path or spec.weights_file
    built = build_model(spec.model_copy(update={"pretrained": True, "weights_file": path, "weights_sha256": ""}), num_classes)
    return asdict(built.report) | {"sentence": built.report.sentence, "sha256": sha256_of(text_to_path(path))}


def measure(
    call: Call, model: dict[str, Any], num_classes: int, training: dict[str, Any] | None = None, optimiser: dict[str, Any] | None = None
) -> dict[str, Any]:
    """See engine.measure.measure_training: the time of one image in training, measured for two seconds."""
    _load_torch(call)
    from studio.engine.measure import measure_training

    return measure_training(_spec(model, training, optimiser), num_classes, call.check)


def predict(call: Call, run: str, paths: list[str], which: str = "best", top: int = 6, test_time: str = "off") -> dict[str, Any]:
    """{"classes", "predictions": [{"path", "top": [[class index, probability]], "reason"}], "note"}; the note says where the checkpoint that was
    asked for is damaged and another one answers.

    Folders are searched through; `test_time` is a key of catalog.augments.test_time; a file that cannot be read has a "reason" and an empty "top".
    From which probability on an answer counts is for who shows it: see core.unsure.
    """
    predictor = _predictor(call, run, which, test_time)
    from studio.engine.predict import find_images

    files = find_images([openable(path) for path in paths])
    rows = []
    for prediction in predictor.predict(files, progress=call.progress, is_cancelled=call.is_cancelled):
        is_readable = prediction.probabilities_C is not None
        rows.append(
            {
                "path": path_to_text(prediction.path),
                "top": prediction.top(top) if is_readable else [],
                "reason": prediction.reason,
            }
        )
    return {"classes": list(predictor.trained.classes), "predictions": rows, "note": predictor.trained.note}


def label_safety(
    call: Call, experiment: dict[str, Any], samples: list[dict[str, Any]], run: str | None = None, sweep: dict[str, Any] | None = None
) -> dict[str, Any]:
    """How far steps of augmentation move pictures from themselves, against the distance to other classes: engine.label_safety.

    `samples` are {"path", "label"}, some of each class; two classes at least. Without `sweep` every step of the pipeline that is on is
    measured as it is set; with {"step", "param", "values"} one step at these values of a parameter. The network is that of a run, else the
    bundled backbone. Parts: {"step", "name", "value", "ratio", "verdict": "fine", "look" or "flagged", "accuracy", "accuracy_before": shares of
    right answers on the varied pictures and on the same ones as they are, None without a run that knows the classes} or
    {"step", "name", "value", "error"}. Result: {"count", "flagged_from", "look_from", "unreadable"}.
    """
    from studio.catalog.augments import pipeline_of
    from studio.catalog.augments.catalog import catalog
    from studio.core.experiment import plain_value
    from studio.engine.label_safety import FLAGGED_FROM, LOOK_FROM, LabelSafety
    from studio.engine.worker.pictures import working_picture
    from studio.engine.worker.preview import as_param

    spec = parse_experiment(experiment)
    steps = pipeline_of(spec.augment)
    trained, known = _safety_network(call, run)
    size = trained.input_size
    pictures, labels, unreadable = [], [], []
    for done, sample in enumerate(samples):
        call.progress(done, len(samples), "reading")
        try:
            pictures.append(working_picture(sample["path"], spec.data.reading, size))
            labels.append(str(sample["label"]))
        except BadInput as exc:
            unreadable.append(exc.problems[0].sentence)
    index = {name: i for i, name in enumerate(trained.classes)} if known and set(labels) <= set(trained.classes) else None
    call.progress(0, None, "measuring")
    safety = LabelSafety(
        trained.module, trained.module.head, trained.normaliser(), pictures, labels, size, spec.training.seed, index, call.check
    )
    if sweep:
        number, name = int(sweep["step"]), str(sweep["param"])
        if not 0 <= number < len(steps) or (param := catalog()[steps[number].name].param(name)) is None:
            raise BadInput("The step is no longer in the pipeline.")
        asked = []
        for value in map(plain_value, sweep["values"]):
            changed = steps[number].model_copy(update={"params": steps[number].params | {name: as_param(param, value)}})
            asked.append((number, changed, value))
    else:
        asked = [(i, step, None) for i, step in enumerate(steps) if step.is_on and step.p > 0]
    for done, (number, step, value) in enumerate(asked):
        call.progress(done, len(asked), "measuring")
        told = {"step": number, "name": step.name, "value": value}
        try:
            shift = safety.measure(step)
        except BadInput as exc:
            call.part(told | {"error": exc.problems[0].sentence})
            continue
        accuracies = {"accuracy": shift.accuracy, "accuracy_before": safety.accuracy}
        call.part(told | {"ratio": shift.ratio, "verdict": shift.verdict} | accuracies)
    return {"count": len(asked), "flagged_from": FLAGGED_FROM, "look_from": LOOK_FROM, "unreadable": unreadable}


def explain(call: Call, run: str, path: str, class_index: int | None = None, which: str = "best") -> dict[str, Any]:
    """Grad-CAM: {"heat", "image": references of equal size, "class_index", "probabilities", "layer",
    "box": [left, top, side] of the view in the upright picture in px, "size": [width, height] of that picture}."""
    predictor = _predictor(call, run, which)
    from studio.dataset.image import ImageRefused, read_image
    from studio.engine.explain import explain as explained

    trained = predictor.trained
    try:
        image = read_image(openable(path), trained.experiment.data.reading)
    except ImageRefused as exc:
        raise BadInput(f"{shown_name(path)} cannot be shown: {exc.reason}.") from None
    view = predictor.view(image)
    found = explained(trained, view, class_index)
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * trained.crop_fraction))
    return {
        "heat": call.heat(found.heat_HW),
        "image": call.image(view),
        "class_index": found.class_index,
        "probabilities": [float(p) for p in found.probabilities_C],
        "classes": list(trained.classes),
        "layer": found.layer,
        "box": [(width - side) // 2, (height - side) // 2, side],
        "size": [width, height],
    }


def evaluate(
    call: Call, run: str, data: dict[str, Any] | str, which: str = "best", part: str = "all", test_time: str = "off"
) -> dict[str, Any]:
    """Scores of a run on labelled images, as engine.score_run gives them. `data` is a folder or the fields of experiment.Data."""
    _load_torch(call)
    from studio.engine.score_run import score_run

    wanted = {"source": data} if isinstance(data, str) else data
    spec = parse_experiment({"data": wanted}).data
    return score_run(
        RunFolder(openable(run)), spec, which=which, part=part, test_time=test_time, progress=call.progress, is_cancelled=call.is_cancelled
    )


def export(call: Call, run: str, format: str, destination: str | None = None, which: str = "best", replace: bool = False) -> dict[str, Any]:
    """The fields of ExportReport and its "sentence"."""
    _load_torch(call)
    from studio.engine.export import export as exported

    target = openable(destination) if destination else None
    report = exported(
        RunFolder(openable(run)), format, target, which=which, may_replace=replace, progress=call.progress, is_cancelled=call.is_cancelled
    )
    return asdict(report) | {"sentence": report.sentence}


def download_weights(call: Call, source: str, name: str) -> dict[str, Any]:
    """Fetch the weights of a backbone; progress is in bytes. {"path"}"""
    from studio.catalog.backbones import backbone_info
    from studio.catalog.backbones.download import DownloadCancelled
    from studio.catalog.backbones.download import download_weights as downloaded

    _load_torch(call)
    info = backbone_info(source, name)
    try:
        path = downloaded(info, lambda done, total: call.progress(done, total, "downloading"), call.is_cancelled)
    except DownloadCancelled:
        raise Superseded from None
    return {"path": path_to_text(path)}


def doctor(call: Call) -> dict[str, Any]:
    """{"findings": [{"title", "status", "detail", "fix"}, ...]}"""
    from studio.engine.doctor import examine

    call.progress(0, None, "loading torch")
    return {"findings": [asdict(finding) for finding in examine()]}


def _spec(model: dict[str, Any], training: dict[str, Any] | None = None, optimiser: dict[str, Any] | None = None):
    return parse_experiment(
        {
            "model": Model().model_dump() | model,
            "training": Training().model_dump() | (training or {}),
            "optimiser": Optimiser().model_dump() | (optimiser or {}),
        }
    )


def _load_torch(call: Call) -> None:
    """Say so while torch and the model libraries are imported: seconds on a cold disk, once.

    One thread at a time: two lanes importing torchvision at once see it half made.
    """
    import sys

    if "torch" not in sys.modules:
        call.progress(0, None, "loading torch")
    with _loading:
        import timm  # noqa: F401
        import torch  # noqa: F401
        import torchvision.models  # noqa: F401
    call.check()


def _safety_network(call: Call, run: str | None):
    """(the network of a run or the bundled backbone, whether it knows the classes)."""
    if run:
        return _predictor(call, run, "best").trained, True
    _load_torch(call)
    from studio.engine.network import bundled_network

    if not hasattr(_loaded, "bundled"):
        call.progress(0, None, "loading the network")
        _loaded.bundled = bundled_network()
    return _loaded.bundled, False


def _predictor(call: Call, run: str, which: str, test_time: str = "off"):
    """The run's trained network, kept until its checkpoint changes. Each lane has its own: they run side by side."""
    _load_torch(call)
    from studio.engine.network import load_trained
    from studio.engine.predict import Predictor

    folder = RunFolder(openable(run))
    cache = _loaded.__dict__.setdefault("predictors", OrderedDict())
    newest = max((p.name for p in folder.checkpoints_path.glob("step-*")), default="")
    key = (os.fspath(folder.path), which, newest, test_time)
    if key not in cache:
        call.progress(0, None, "loading the network")
        cache[key] = Predictor(load_trained(folder, which), test_time=test_time)
    cache.move_to_end(key)
    while len(cache) > _MAX_LOADED:
        cache.popitem(last=False)
    return cache[key]


def _with_torch(method):
    def run(call: Call, **params: Any) -> dict[str, Any]:
        _load_torch(call)
        return method(call, **params)

    return run


METHODS = {
    "model_tree": Method(_with_torch(looking.model_tree)),
    "signal": Method(_with_torch(looking.signal), "look"),
    "first_loss": Method(_with_torch(looking.first_loss), "look"),
    "domain_shift": Method(_with_torch(looking.domain_shift), "look"),
    "advice": Method(_with_torch(looking.advice)),
    "warm_up": Method(warm_up),
    "list_backbones": Method(list_backbones, "list"),
    "describe_model": Method(describe_model),
    "cut_points": Method(cut_points),
    "check_model": Method(check_model),
    "check_weights_file": Method(check_weights_file),
    "measure": Method(measure, "long"),
    "predict": Method(predict),
    "label_safety": Method(label_safety, "long"),
    "predict_folder": Method(predict, "folder"),
    "explain": Method(explain),
    "evaluate": Method(evaluate, "long"),
    "export": Method(export, "long"),
    "download_weights": Method(download_weights, "download"),
    "doctor": Method(doctor, "long"),
}
