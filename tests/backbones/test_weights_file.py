"""A weights file is data: what fits is loaded and reported, what does not is named, and nothing in it is ever run."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import stat
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from studio.catalog.backbones import build_backbone
from studio.catalog.backbones.weights_file import read_tensors
from studio.core.experiment_file import write_experiment
from studio.core.file import sha256_of
from studio.core.path_text import path_to_text
from studio.core.problem import BadInput


@pytest.fixture(scope="module")
def resnet18() -> dict[str, torch.Tensor]:
    return models.resnet18(weights=None).state_dict()


def build(path: Path, num_classes: int = 3, name: str = "resnet18"):
    return build_backbone("torchvision", name, num_classes=num_classes, pretrained=True, weights_file=path_to_text(path))


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        build(path)
    (problem,) = caught.value.problems
    assert problem.field == "model.weights_file"
    return problem.sentence


def as_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped", "data parallel", "legacy"])
def test_every_common_form_of_a_state_dict_is_read(kind, resnet18, tmp_path):
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    match kind:
        case "safetensors":
            as_safetensors(resnet18, path)
        case "wrapped":
            torch.save({"epoch": 3, "state_dict": resnet18, "best": 0.5}, path)
        case "data parallel":
            torch.save({f"module.{key}": tensor for key, tensor in resnet18.items()}, path)
        case _:
            torch.save(resnet18, path, _use_new_zipfile_serialization=kind != "legacy")
    built = build(path)
    assert torch.equal(built.module.backbone.layer4[1].conv2.weight, resnet18["layer4.1.conv2.weight"])
    assert len(built.report.matched) == 120
    assert not (built.report.missing or built.report.unexpected or built.report.wrong_shape)


def test_a_classifier_for_other_classes_is_reported_and_left_out(resnet18, tmp_path):
    built = build(as_safetensors(resnet18, tmp_path / "w.safetensors"), num_classes=3)
    assert built.report.skipped_classifier == ("bias: 1000", "weight: 1000 × 512")
    assert built.report.sentence == "120 tensors matched, its classifier is for other classes and was left out."


def test_a_classifier_for_as_many_classes_is_loaded(resnet18, tmp_path):
    built = build(as_safetensors(resnet18, tmp_path / "w.safetensors"), num_classes=1000)
    assert torch.equal(built.module.head.linear.weight, resnet18["fc.weight"])
    assert len(built.report.matched) == 122


@pytest.mark.parametrize("name", ["resnet18", "mnasnet0_5", "shufflenet_v2_x0_5"])
def test_the_model_of_a_run_of_ours_can_be_a_weights_file(name, tmp_path):
    trained = build_backbone("torchvision", name, num_classes=5, pretrained=False, seed=9)
    path = as_safetensors(trained.module.state_dict(), tmp_path / "model.safetensors")
    again = build(path, num_classes=5, name=name)
    assert all(torch.equal(a, b) for a, b in zip(trained.module.state_dict().values(), again.module.state_dict().values(), strict=True))
    assert not (again.report.missing or again.report.unexpected or again.report.skipped_classifier)
    other = build(path, num_classes=6, name=name)
    assert other.report.skipped_classifier == ("bias: 5", "weight: 5 × " + str(trained.num_features))


@pytest.mark.parametrize("name", ["mnasnet0_5", "densenet121", "swin_v2_t"])
def test_a_checkpoint_of_ours_loads_without_the_version_notes_of_torch(name, tmp_path):
    trained = build_backbone("torchvision", name, num_classes=2, pretrained=False, seed=9).module
    path = as_safetensors(trained.state_dict(), tmp_path / "model.safetensors")
    again = build_backbone("torchvision", name, num_classes=2, pretrained=False).module
    again.load_state_dict(load_file(path))
    assert all(torch.equal(a, b) for a, b in zip(trained.state_dict().values(), again.state_dict().values(), strict=True))


def test_missing_unexpected_and_wrong_shapes_are_each_reported(resnet18, tmp_path):
    tensors = dict(resnet18)
    del tensors["layer1.0.conv1.weight"]
    tensors["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    tensors["extra.weight"] = torch.zeros(2)
    report = build(as_safetensors(tensors, tmp_path / "w.safetensors")).report
    assert report.missing == ("backbone.layer1.0.conv1.weight",)
    assert report.unexpected == ("extra.weight",)
    assert report.wrong_shape == ("conv1.weight: 64 × 3 × 3 × 3 in the file, 64 × 3 × 7 × 7 here",)
    assert len(report.matched) == 118


def test_what_the_file_lacks_starts_from_the_seed(resnet18, tmp_path):
    tensors = {key: tensor for key, tensor in resnet18.items() if key != "layer1.0.conv1.weight"}
    path = as_safetensors(tensors, tmp_path / "w.safetensors")
    fresh = build_backbone("torchvision", "resnet18", num_classes=3, pretrained=False)
    assert torch.equal(build(path).module.backbone.layer1[0].conv1.weight, fresh.module.backbone.layer1[0].conv1.weight)


def test_weights_of_another_network_are_refused_with_the_differences_named(tmp_path):
    path = as_safetensors(models.squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.safetensors")
    sentence = refusal(path)
    assert sentence.startswith("“squeeze.safetensors” holds another network: 0 of 120 tensors of the chosen backbone are in it.")
    assert "Not in the file: conv1.weight" in sentence
    assert "not in the network: classifier.1.bias" in sentence


def test_half_precision_weights_are_loaded_as_the_networks_own_type(resnet18, tmp_path):
    half = {key: t.bfloat16() if t.is_floating_point() else t for key, t in resnet18.items()}
    built = build(as_safetensors(half, tmp_path / "w.safetensors"))
    assert built.module.backbone.conv1.weight.dtype == torch.float32
    assert torch.equal(built.module.backbone.conv1.weight, resnet18["conv1.weight"].bfloat16().float())


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("form", ["torch", "torch legacy", "plain pickle", "named .safetensors"])
def test_a_pickle_with_code_in_it_is_refused_and_nothing_is_run(form, resnet18, tmp_path):
    trace = tmp_path / "executed"
    content = {"state_dict": dict(resnet18), "extra": Attack(trace)}
    path = tmp_path / ("w.safetensors" if form == "named .safetensors" else "w.pth")
    if form.startswith("torch"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    else:
        path.write_bytes(pickle.dumps(Attack(trace)))
    sentence = refusal(path)
    assert not trace.exists()
    if form.startswith("torch"):
        assert "Studio runs no code from files, so it is refused" in sentence
    pickle.loads(pickle.dumps(Attack(trace)))
    assert trace.exists(), "the attack itself must work, or this test shows nothing"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value, resnet18, tmp_path):
    tensors = {key: tensor.clone() for key, tensor in resnet18.items()}
    tensors["layer2.0.conv1.weight"][0, 0, 0, 0] = value
    sentence = refusal(as_safetensors(tensors, tmp_path / "w.safetensors"))
    assert sentence.startswith("The tensor layer2.0.conv1.weight in “w.safetensors” holds values that are not finite numbers.")


def test_finite_weights_whose_sum_overflows_are_not_taken_for_broken(tmp_path):
    path = as_safetensors({"a": torch.full((4,), 3e38)}, tmp_path / "w.safetensors")
    assert read_tensors(path)["a"].shape == (4,)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8])
def test_values_that_are_no_floating_point_numbers_are_refused(dtype, resnet18, tmp_path):
    path = as_safetensors(resnet18 | {"conv1.weight": torch.zeros(64, 3, 7, 7, dtype=dtype)}, tmp_path / "w.safetensors")
    assert f"The tensor conv1.weight{'' if dtype is torch.int8 else ' in “w.safetensors”'} holds {str(dtype)[6:]} values" in refusal(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 46830571\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "is a web page, not weights"),
        (b"\n  <html>", "is a web page, not weights"),
        (b"", "is empty"),
        (b"PK\x03\x04 broken", "cannot be read as a weights file"),
        (b"hello world, these are no weights", "not"),
        (b"\x80\x04", "not"),
        (b"\x80\x04junk", "not"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_are_no_weights_are_named_as_what_they_are(content, sentence, suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    found = refusal(path)
    assert (sentence if suffix == ".pth" or "cannot" not in sentence else "cut short") in found


@pytest.mark.parametrize("num_bytes_left", [4, 9, 200, 0.5, -1])
def test_a_truncated_file_is_refused(num_bytes_left, resnet18, tmp_path):
    whole = as_safetensors(resnet18, tmp_path / "whole.safetensors").read_bytes()
    torch.save(resnet18, tmp_path / "whole.pth")
    pth = (tmp_path / "whole.pth").read_bytes()
    for name, content in (("cut.safetensors", whole), ("cut.pth", pth)):
        end = int(len(content) * num_bytes_left) if isinstance(num_bytes_left, float) else num_bytes_left
        (tmp_path / name).write_bytes(content[:end])
        assert "cut" in refusal(tmp_path / name)


def with_parts(path: Path, tensors: dict[str, torch.Tensor], *parts: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    """A .pth file, which is a ZIP archive, with more in it."""
    torch.save(tensors, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts:
            archive.writestr(part, content)
    return path


def special(kind: int) -> zipfile.ZipInfo:
    part = zipfile.ZipInfo("w/data/extra")
    part.external_attr = (kind | 0o777) << 16
    return part


PARTS = {
    "leads out": ("../../evil", b"x"),
    "absolute": ("/tmp/evil of studio", b"x"),
    "link": (special(stat.S_IFLNK), b"/etc"),
    "device": (special(stat.S_IFCHR), b""),
    "archive": ("w/inner.zip", b"PK\x05\x06" + bytes(18)),
}


@pytest.mark.parametrize("kind", PARTS)
def test_nothing_in_an_archive_of_weights_is_ever_unpacked_to_a_disk(kind, resnet18, tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = with_parts(folder / "w.pth", resnet18, PARTS[kind])
    with contextlib.suppress(BadInput):  # what torch makes of a second root is its own affair
        assert len(build(path).report.matched) == 120
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "b", "w.pth"] and not Path("/tmp/evil of studio").exists()


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused_before_that(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive, archive.open("w/data.pkl", "w") as part:
        for _ in range(300):
            part.write(bytes(1_000_000))
    assert "unpacks to 300 MB, 1,0" in refusal(path)


def header_file(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def test_a_safetensors_header_with_a_name_twice_is_refused(tmp_path):
    entry = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    path = header_file(tmp_path / "w.safetensors", f'{{"a": {entry}, "a": {entry}}}'.encode(), b"\0\0\0\0")
    assert load_file(path), "the library itself accepts it: that is why it is checked here"
    assert "names the tensor a twice" in refusal(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a": {"dtype": "F32", "shape": [9223372036854775807, 8], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}',
        b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]}}',
        b'{"a": 5}',
        b"{}",
    ],
)
def test_a_malformed_safetensors_header_is_refused_in_words(header, tmp_path):
    sentence = refusal(header_file(tmp_path / "w.safetensors", header, b"\0\0\0\0"))
    assert sentence.startswith("“w.safetensors” ")
    assert "Error" not in sentence


def test_a_header_longer_than_any_file_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "w.safetensors"
    for length in (2**63, 200_000_000):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        with open(path, "r+b") as file:
            file.truncate(210_000_000)  # all of it is there, in no blocks of the disk
        assert "cut short or is not a safetensors file" in refusal(path)


def test_a_folder_a_missing_file_and_a_pipe_are_refused_without_waiting(tmp_path):
    assert "is not a file" in refusal(tmp_path)
    assert "There is no file" in refusal(tmp_path / "none.pth")
    os.mkfifo(tmp_path / "pipe.pth")
    assert "is not a file" in refusal(tmp_path / "pipe.pth")


def test_a_file_name_that_is_not_utf8_is_read(resnet18, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/w\xff.safetensors"))
    plain = as_safetensors(resnet18, tmp_path / "w.safetensors")
    os.rename(plain, path)
    assert len(build(path).report.matched) == 120


@pytest.fixture
def flipped(resnet18, tmp_path) -> tuple[Path, str]:
    """A file in which one bit of a weight has flipped since, and the SHA-256 that it had."""
    path = as_safetensors(resnet18, tmp_path / "weights.safetensors")
    sha256, content = sha256_of(path), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path, sha256


def test_a_file_with_a_bit_flipped_since_it_was_chosen_is_refused_and_can_be_taken_as_it_is(flipped):
    path, sha256 = flipped
    asked = {"num_classes": 3, "pretrained": True, "weights_file": path_to_text(path)}
    with pytest.raises(BadInput) as caught:
        build_backbone("torchvision", "resnet18", weights_sha256=sha256, **asked)
    (problem,) = caught.value.problems
    assert f"its SHA-256 is {sha256_of(path)[:12]}…, {sha256[:12]}… was remembered" in problem.sentence
    now = problem.repair.values["model.weights_sha256"]
    assert len(build_backbone("torchvision", "resnet18", weights_sha256=now, **asked).report.matched) == 120


def test_a_checksum_beside_a_file_is_looked_at(flipped):
    path, sha256 = flipped
    beside = path.with_name(f"{path.name}.sha256")
    beside.write_text(f"{sha256.upper()}  {path.name}\n")
    assert "is damaged" in refusal(path) and f"{path.name}.sha256 beside it says {sha256[:12]}…" in refusal(path)
    beside.write_text(f"{sha256_of(path)}\n")
    build(path)
    beside.write_text("no checksum\n")
    build(path)


def test_the_command_line_remembers_the_checksum_of_the_weights_it_is_given(flipped):
    from studio.command.train import planned

    path, _ = flipped
    now = sha256_of(path)
    assert planned(None, str(path.parent), [f"model.weights_file={path}"]).model.weights_sha256 == now
    kept = planned(None, str(path.parent), [f"model.weights_file={path}", f"model.weights_sha256={'0' * 64}"])
    assert kept.model.weights_sha256 == "0" * 64, "what is said stands"
    file = path.with_name("experiment.toml")
    write_experiment(kept, file)
    assert planned(file, None, []).model.weights_sha256 == "0" * 64, "and is compared in later runs"
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe := path.with_name("pipe.pth"))
        assert planned(None, str(path.parent), [f"model.weights_file={pipe}"]).model.weights_sha256 == "", "nobody waits for a pipe"
