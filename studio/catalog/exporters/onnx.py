"""ONNX with normalisation and softmax in the graph, and class names and the resize recipe in its metadata.

Input "image": uint8[N, S, S, 3], RGB, after the documented resize. Output "probabilities": float32[N, C].
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

from studio.catalog.exporters.exporter import Answer, Exportable, Exporter
from studio.core.problem import BadInput

MAIN_FILE = "model.onnx"
MAX_SINGLE_FILE_BYTES = 1_800_000_000  # one protobuf message ends at 2 GiB


def write(exportable: Exportable, folder: Path) -> dict[str, Any]:
    """Raises BadInput naming the operator when the network cannot be written as ONNX."""
    import onnx
    import torch

    network = _with_preprocessing(exportable)
    size = exportable.input_size
    images = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    path = folder / MAIN_FILE
    num_bytes = sum(p.numel() * p.element_size() for p in network.parameters())
    with _silence(), torch.no_grad():
        exporter = _write_traced_by_dynamo
        try:
            exporter(network, images, path, num_bytes)
        except Exception as first:  # whatever the new exporter stumbles over, the old one may manage
            exporter = _write_traced_by_script
            try:
                exporter(network, images, path)
            except Exception as second:
                raise BadInput(_refusal(exportable, second, first)) from second
    model = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(model, _metadata(exportable))
    model.producer_name = "finetune-studio"
    onnx.save(model, str(path))
    return {"opset": next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))}


def open_(folder: Path) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / MAIN_FILE), options, providers=["CPUExecutionProvider"])
    return lambda images_NHWC: session.run(["probabilities"], {"image": images_NHWC})[0]


def _with_preprocessing(exportable: Exportable):
    import torch
    from torch import nn

    class WithPreprocessing(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = exportable.module
            # The same arithmetic as in training, so that the answers agree to the last digits.
            self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in exportable.std]).view(1, 3, 1, 1))
            shift = [-m / s for m, s in zip(exportable.mean, exportable.std, strict=True)]
            self.register_buffer("shift", torch.tensor(shift).view(1, 3, 1, 1))

        def forward(self, image):
            return self.network(image.permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift).softmax(1)

    return WithPreprocessing().eval()


def _write_traced_by_dynamo(network, images, path: Path, num_bytes: int) -> None:
    import torch

    torch.onnx.export(
        network,
        (images,),
        str(path),
        dynamo=True,
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
        external_data=num_bytes > MAX_SINGLE_FILE_BYTES,
        verbose=False,
    )


def _write_traced_by_script(network, images, path: Path) -> None:
    import torch

    torch.onnx.export(
        network,
        (images,),
        str(path),
        dynamo=False,
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_axes={"image": {0: "batch"}, "probabilities": {0: "batch"}},
    )


def _metadata(exportable: Exportable) -> dict[str, str]:
    return {
        "classes": json.dumps(exportable.classes, ensure_ascii=False),
        "input": f"image: uint8[batch, {exportable.input_size}, {exportable.input_size}, 3], RGB; normalisation and softmax are in the graph",
        "recipe": exportable.recipe,
        "mean": json.dumps(exportable.mean),
        "std": json.dumps(exportable.std),
        "interpolation": exportable.interpolation,
        "crop_fraction": repr(exportable.crop_fraction),
        "backbone": f"{exportable.source}/{exportable.backbone}",
        **({"reliability": json.dumps(exportable.reliability)} if exportable.reliability else {}),
    }


def _refusal(exportable: Exportable, error: Exception, first: Exception) -> str:
    text = f"{error} {first}"
    operator = re.search(r"aten[:.]+[\w.]+", text)
    name = operator[0] if operator else (str(first).strip().splitlines() or [type(first).__name__])[0][:160]
    return f"{exportable.backbone} cannot be written as ONNX: “{name}” has no counterpart there. Export it as safetensors instead."


@contextlib.contextmanager
def _silence():
    """The exporters' running commentary on standard output, in warnings and in logs says nothing a person could use."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


USAGE = '''import json
from pathlib import Path

import onnxruntime

HERE = Path(__file__).parent
session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])


def probabilities(views_NHWC):
    """uint8[N, size, size, 3] -> float32[N, classes]"""
    return session.run(["probabilities"], {"image": views_NHWC})[0]
'''

EXPORTER = Exporter(
    key="onnx",
    title="ONNX",
    detail="One file for onnxruntime and most devices, with normalisation, class probabilities and class names inside.",
    main_file=MAIN_FILE,
    write=write,
    open=open_,
    usage=USAGE,
)
