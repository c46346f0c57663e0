from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from studio.core.experiment import Experiment
from studio.core.run_folder import RunFolder, create_run
from studio.engine.export import ExportReport, export
from tests.builders import build_dataset

CLASSES = ("boot", "hat <b>", "größe")


def make_run(
    root: Path,
    source: str = "bundled",
    backbone: str = "tf_efficientnet_lite0",
    input_size: int = 64,
    is_pretrained: bool = True,
    seed: int = 0,
    **model,
) -> RunFolder:
    """A run folder with one checkpoint of a network with a new, random head, and images to compare on."""
    import torch

    from studio.catalog.backbones import backbone_info
    from studio.engine.checkpoint import save_checkpoint
    from studio.engine.network import build_network

    dataset = build_dataset(root / "images", CLASSES, num_train=2, num_validation=6, size_px=80)
    experiment = Experiment().changed(
        {
            "data.source": dataset.root,
            "model.source": source,
            "model.backbone": backbone,
            "model.input_size": input_size,
            "model.pretrained": is_pretrained,
            "training.seed": seed,
        }
        | {f"model.{name}": value for name, value in model.items()}
    )
    folder = create_run(root / "runs", experiment, dataset.to_json())
    info = backbone_info(source, backbone)
    network = build_network(experiment, len(CLASSES))
    torch.manual_seed(0)
    with torch.no_grad():  # a head that is sure of itself: differences would show
        network.module.head.linear.weight.mul_(6)
    view = {
        "input_size": input_size,
        "mean": list(info.mean),
        "std": list(info.std),
        "interpolation": info.interpolation,
        "crop_fraction": info.crop_fraction,
    }
    state = {"progress": {"step": 1}, "best_step": 1, "classes": list(CLASSES), "view": view}
    save_checkpoint(folder, 1, network.module.state_dict(), {"none": torch.zeros(1)}, state)
    return folder


def with_answers(folder: RunFolder) -> RunFolder:
    """Stored answers to 200 validation images, as of a network that is too sure."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (200, len(CLASSES))), rng.integers(0, len(CLASSES), 200)
    logits[np.arange(200), labels] += 2
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    losses = -log_p[np.arange(200), labels].astype(np.float32)
    path = folder.results_path / "validation_predictions.npz"
    np.savez(path, ids=np.array(json.dumps([str(i) for i in range(200)])), labels=labels, log_p=log_p.astype(np.float16), losses=losses)
    return folder


@pytest.fixture(scope="session")
def bundled_run(tmp_path_factory) -> RunFolder:
    return with_answers(make_run(tmp_path_factory.mktemp("bundled")))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> RunFolder:
    """A network of a second's export, where any will do."""
    return with_answers(make_run(tmp_path_factory.mktemp("small"), "timm", "test_efficientnet", 64, is_pretrained=False))


@pytest.fixture(scope="session")
def onnx_export(bundled_run, tmp_path_factory) -> tuple[Path, ExportReport]:
    """The bundled backbone as ONNX, and what was reported."""
    folder = tmp_path_factory.mktemp("exports") / "onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return folder, export(bundled_run, "onnx", folder)


@pytest.fixture(scope="session")
def views() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), np.uint8)
