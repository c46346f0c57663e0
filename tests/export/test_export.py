"""What is exported answers as the original does, for every kind of network, and says so only after looking."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from studio.catalog.exporters import EXPORTERS, exporter_of
from studio.core.problem import BadInput
from studio.dataset.dataset import Cancelled
from studio.engine.export import as_exportable, export
from studio.engine.network import load_trained
from studio.engine.predict import Predictor
from tests.export.conftest import CLASSES, make_run

pytestmark = pytest.mark.filterwarnings("ignore")  # what the exporters' libraries say among themselves

# (source, backbone, input size): each needs its names or its head treated differently
NETWORKS = [
    ("torchvision", "squeezenet1_1", 64),
    ("timm", "test_vit", 160),
]


def test_the_bundled_backbone_keeps_its_answers_as_onnx(onnx_export):
    folder, report = onnx_export
    assert report.is_good and report.are_real_images
    assert report.max_difference < 1e-3 and report.agreement == 1
    assert report.num_images == 18
    assert (folder / report.main_file).is_file()
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(CLASSES)


@pytest.mark.parametrize(("source", "backbone", "size"), NETWORKS)
def test_other_networks_keep_their_answers_in_both_formats(tmp_path, source, backbone, size):
    folder = make_run(tmp_path, source, backbone, size, is_pretrained=False)
    for exporter in EXPORTERS:
        report = export(folder, exporter.key)
        assert report.is_good and report.max_difference < 1e-3, exporter.key


def test_a_cut_network_with_a_head_of_parts_keeps_its_answers_as_onnx_and_is_refused_where_no_library_knows_it(tmp_path):
    head = [{"kind": "convolution", "channels": 8}, {"kind": "pooling", "method": "gem"}, {"kind": "hidden", "width": 8}]
    folder = make_run(tmp_path, "timm", "test_efficientnet", 64, is_pretrained=False, cut="stage 3", head=head)
    report = export(folder, "onnx")
    assert report.is_good and report.agreement == 1
    with pytest.raises(BadInput, match="no library can load it from safetensors. Export it as ONNX"):
        export(folder, "safetensors")


def test_onnx_takes_any_batch_size_and_carries_names_and_recipe(bundled_run, onnx_export, views):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_export[0] / "model.onnx"), providers=["CPUExecutionProvider"])
    expected = Predictor(load_trained(bundled_run)).probabilities(views)
    for batch in (1, 5):
        found = session.run(None, {"image": views[:batch]})[0]
        assert found.shape == (batch, len(CLASSES))
        np.testing.assert_allclose(found, expected[:batch], atol=1e-4)
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == list(CLASSES)
    assert json.loads(kept["mean"]) == [0.5, 0.5, 0.5]
    assert "centre square" in kept["recipe"] and "64 x 64" in kept["recipe"]


def test_exports_carry_the_temperature_and_the_thresholds_that_the_run_has_found(small_run, onnx_export, tmp_path):
    import onnxruntime

    assert export(small_run, "safetensors", tmp_path / "st").is_good
    config, told = (json.loads((tmp_path / "st" / name).read_text()) for name in ("config.json", "report.json"))
    found = config["reliability"]
    assert found["temperature"] > 1.5 and found["ece_after"] < found["ece"] and all(0 < t < 1 for t in found["thresholds"])
    session = onnxruntime.InferenceSession(str(onnx_export[0] / "model.onnx"), providers=["CPUExecutionProvider"])
    assert found == told["reliability"] == json.loads(session.get_modelmeta().custom_metadata_map["reliability"])


def test_safetensors_load_into_timm_bit_for_bit(bundled_run, tmp_path):
    import timm
    import torch

    export(bundled_run, "safetensors", tmp_path / "st")
    ours = load_trained(bundled_run).module
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    by_folder = timm.create_model(f"local-dir:{tmp_path / 'st'}", pretrained=True).eval()
    by_file = timm.create_model(
        "tf_efficientnet_lite0", num_classes=len(CLASSES), checkpoint_path=str(tmp_path / "st" / "model.safetensors")
    ).eval()
    with torch.inference_mode():
        expected = ours(images)
        assert torch.equal(by_folder(images), expected)
        assert torch.equal(by_file(images), expected)
    assert by_folder.pretrained_cfg["label_names"] == list(CLASSES)
    assert tuple(by_folder.pretrained_cfg["mean"]) == (0.5, 0.5, 0.5)


def test_the_example_beside_an_export_runs_and_agrees(bundled_run, onnx_export, tmp_path):
    rng = np.random.default_rng(3)
    picture = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).resize((240, 180)).save(picture)
    done = subprocess.run(
        [sys.executable, str(onnx_export[0] / "preprocess.py"), str(picture)], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    prediction = next(Predictor(load_trained(bundled_run)).predict([str(picture)]))
    assert f"{CLASSES[prediction.best]} ({prediction.confidence:.1%})" in done.stdout


def test_a_file_that_answers_differently_is_kept_aside_and_not_offered(small_run, tmp_path, monkeypatch):
    """A real export with its mean shifted: the comparison must notice."""
    import studio.engine.export as module

    monkeypatch.setattr(module, "as_exportable", lambda *given: dataclasses.replace(as_exportable(*given), mean=(0.2, 0.5, 0.5)))
    report = export(small_run, "safetensors", tmp_path / "st")
    assert not report.is_good and report.max_difference > 1e-3
    assert not (tmp_path / "st").exists() and (tmp_path / "st.failed" / "model.safetensors").is_file()
    (tmp_path / "st.failed" / "notes.txt").write_text("why?")
    export(small_run, "safetensors", tmp_path / "st")
    assert (tmp_path / "st.failed" / "notes.txt").is_file() and (tmp_path / "st.failed-2" / "model.safetensors").is_file()
    assert "answers differently" in report.sentence


def test_nothing_is_overwritten_without_being_asked_and_nothing_but_exports_at_all(small_run, tmp_path):
    target = tmp_path / "st"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    for may_replace in (False, True):
        with pytest.raises(BadInput):
            export(small_run, "safetensors", target, may_replace=may_replace)
    assert os.listdir(target) == ["thesis.txt"] and os.listdir(tmp_path) == ["st"]
    export(small_run, "safetensors", tmp_path / "new")
    assert export(small_run, "safetensors", tmp_path / "new", may_replace=True).is_good
    assert sorted(os.listdir(tmp_path)) == ["new", "st"], "no leftovers"


def test_an_export_to_which_something_was_added_or_that_was_changed_is_not_replaced(small_run, tmp_path):
    target = tmp_path / "st"
    export(small_run, "safetensors", target)
    example = target / "preprocess.py"
    was = example.read_text()
    example.write_text(was + "# mine")
    with pytest.raises(BadInput, match="or changed ones"):
        export(small_run, "safetensors", target, may_replace=True)
    assert example.read_text().endswith("# mine")
    example.write_text(was)
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="other files than an export"):
        export(small_run, "safetensors", target, may_replace=True)
    (target / "thesis.txt").rename(target / "model.onnx")  # as an export of another format would have
    with pytest.raises(BadInput, match="other files than an export"):
        export(small_run, "safetensors", target, may_replace=True)
    (target / "model.onnx").rename(target / ".DS_Store")  # nobody's
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_text("ref: refs/heads/main")
    with pytest.raises(BadInput, match="other files than an export"):
        export(small_run, "safetensors", target, may_replace=True)
    (target / ".git").rename(tmp_path / ".git")
    assert export(small_run, "safetensors", target, may_replace=True).is_good

    project = tmp_path / "project"
    project.mkdir()
    (project / "report.json").write_text('{"tests": 5}')
    with pytest.raises(BadInput):
        export(small_run, "safetensors", project, may_replace=True)
    assert os.listdir(project) == ["report.json"]


def test_an_export_that_is_stopped_at_the_last_moment_writes_nothing(small_run, tmp_path, monkeypatch):
    import studio.engine.export as module

    real, stops = module._compare, []
    monkeypatch.setattr(module, "_compare", lambda *given: (real(*given), stops.append(True))[0])
    export(small_run, "safetensors", tmp_path / "st")
    before, stops[:] = (tmp_path / "st" / "report.json").stat().st_ino, []
    with pytest.raises(Cancelled):
        export(small_run, "safetensors", tmp_path / "st", may_replace=True, is_cancelled=lambda: bool(stops))
    assert (tmp_path / "st" / "report.json").stat().st_ino == before and os.listdir(tmp_path) == ["st"]


def test_the_folder_that_one_is_in_can_be_named_by_a_dot(small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    assert export(small_run, "safetensors", ".").is_good
    assert (tmp_path / "out" / "model.safetensors").is_file() and os.listdir(tmp_path) == ["out"]


def test_without_validation_images_random_pictures_are_compared_and_the_report_says_so(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(type(small_run), "dataset_path", tmp_path / "gone.json")
    report = export(small_run, "safetensors", tmp_path / "st")
    assert report.is_good and not report.are_real_images and "random pictures" in report.sentence


def test_a_network_that_cannot_be_written_is_refused_naming_the_operator(small_run, tmp_path):
    import torch

    class Odd(torch.nn.Module):
        def forward(self, images):
            return torch.linalg.eigvals(images[:, 0]).real[:, :3]

    exportable = dataclasses.replace(as_exportable(load_trained(small_run)), module=Odd())
    with pytest.raises(BadInput, match="linalg_eigvals.*safetensors instead"):
        exporter_of("onnx").write(exportable, tmp_path)


def test_an_unknown_format_names_those_there_are():
    with pytest.raises(BadInput, match="onnx and safetensors"):
        exporter_of("tflite")
