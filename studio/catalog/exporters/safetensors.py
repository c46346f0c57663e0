"""Safetensors under the library's own names, with a config.json that timm (bundled and timm backbones) loads by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from studio.catalog.exporters.exporter import Answer, Exportable, Exporter
from studio.core.problem import BadInput

MAIN_FILE = "model.safetensors"


def write(exportable: Exportable, folder: Path) -> dict[str, Any]:
    """Raises BadInput for a network that no library can build: it would have the weights and not know what to do with them."""
    from safetensors.torch import save_file

    if not exportable.is_library_network:
        raise BadInput(
            "This network is cut or has a head of its own, so no library can load it from safetensors. Export it as ONNX, which holds the "
            "whole network; its bare weights are in the run's checkpoint (model.safetensors)."
        )
    config = _config(exportable)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in _library_state(exportable).items()}
    save_file(tensors, str(folder / MAIN_FILE), metadata={"format": "pt", "classes": json.dumps(exportable.classes)})
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return {"architecture": config["architecture"]}


def open_(folder: Path) -> Answer:
    """The network as the library builds it, with the file loaded strictly: nothing of Studio's own is used."""
    import torch

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    module = load_module(folder, config).eval()
    cfg = config["pretrained_cfg"]
    mean, std = (torch.tensor(cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))

    def answer(images_NHWC):
        with torch.inference_mode():
            images = torch.as_tensor(images_NHWC).permute(0, 3, 1, 2).float() / 255
            return module((images - mean) / std).softmax(1).numpy()

    return answer


def load_module(folder: Path, config: dict[str, Any]):
    if config["library"] == "timm":
        import timm

        return timm.create_model(f"local-dir:{folder}", pretrained=True)
    import torch
    import torchvision
    from safetensors.torch import load_file

    module = torchvision.models.get_model(config["architecture"], weights=None, num_classes=config["num_classes"], **config["model_args"])
    for name in config["identity"]:
        module.set_submodule(name, torch.nn.Identity())
    module.load_state_dict(load_file(folder / MAIN_FILE))
    return module


def _config(exportable: Exportable) -> dict[str, Any]:
    size = exportable.input_size
    library = "torchvision" if exportable.source == "torchvision" else "timm"
    return {
        "library": library,
        "architecture": exportable.backbone.partition(".")[0],
        "num_classes": len(exportable.classes),
        "label_names": list(exportable.classes),
        "model_args": _model_args(exportable),
        **({"reliability": exportable.reliability} if exportable.reliability else {}),
        "identity": ["classifier.2"] if _is_squeezenet(exportable) else [],  # its logits would be cut off at zero
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": library == "timm" and _timm_cfg(exportable).fixed_input_size,
            "interpolation": exportable.interpolation,
            "crop_pct": exportable.crop_fraction,
            "crop_mode": "center",
            "mean": list(exportable.mean),
            "std": list(exportable.std),
            "num_classes": len(exportable.classes),
            "label_names": list(exportable.classes),
        },
    }


def _model_args(exportable: Exportable) -> dict[str, Any]:
    """What the library's constructor needs beside the number of classes."""
    architecture, size = exportable.backbone.partition(".")[0], exportable.input_size
    if exportable.source != "torchvision":
        cfg = _timm_cfg(exportable)
        return {"img_size": size} if cfg.fixed_input_size and size != cfg.input_size[-1] else {}
    if architecture in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "transform_input": False, "init_weights": False}
    if architecture.startswith("vit_"):
        return {"image_size": size}
    return {"input_size": [size, size]} if architecture == "maxvit_t" else {}


def _timm_cfg(exportable: Exportable):
    import timm

    return timm.get_pretrained_cfg(exportable.backbone)


def _library_state(exportable: Exportable) -> dict[str, Any]:
    """The network's tensors under the names its library gives them: backbone as it is, head in the classifier's place."""
    from studio.catalog.backbones.build import build_shapes
    from studio.catalog.backbones.sources import source_of

    body = build_shapes(source_of(exportable.source), exportable.backbone, exportable.input_size)
    state = exportable.module.state_dict()
    found = {key.removeprefix("backbone."): t for key, t in state.items() if key.startswith("backbone.")}
    for prefix in body.classifier:  # networks with two classifiers average them: the same one twice gives the same answer
        for key in ("weight", "bias"):
            tensor = state[f"head.linear.{key}"]
            found[f"{prefix}.{key}"] = tensor[:, :, None, None] if _is_squeezenet(exportable) and key == "weight" else tensor
    return found


def _is_squeezenet(exportable: Exportable) -> bool:
    return exportable.source == "torchvision" and exportable.backbone.startswith("squeezenet")


USAGE = '''import json
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
classes = config["label_names"]
if config["library"] == "timm":
    import timm

    model = timm.create_model(f"local-dir:{HERE}", pretrained=True)
else:
    import torchvision

    model = torchvision.models.get_model(config["architecture"], num_classes=config["num_classes"], **config["model_args"])
    for name in config["identity"]:
        model.set_submodule(name, torch.nn.Identity())
    model.load_state_dict(load_file(HERE / "model.safetensors"))
model.eval()
mean, std = (torch.tensor(config["pretrained_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))


def probabilities(views_NHWC):
    """uint8[N, size, size, 3] -> float32[N, classes]"""
    with torch.inference_mode():
        images = torch.as_tensor(views_NHWC).permute(0, 3, 1, 2).float() / 255
        return model((images - mean) / std).softmax(1).numpy()
'''

EXPORTER = Exporter(
    key="safetensors",
    title="Safetensors",
    detail="The weights under the library's own names, with a config.json that timm loads by itself.",
    main_file=MAIN_FILE,
    write=write,
    open=open_,
    usage=USAGE,
)
