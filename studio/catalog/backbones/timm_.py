"""timm's networks with pretrained weights, with the metadata of their configurations."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version as version_of
from pathlib import Path

from studio.catalog.backbones import installed
from studio.catalog.backbones.backbone import BackboneInfo, year_of
from studio.catalog.backbones.body import Body, Tensors, unknown_name
from studio.catalog.backbones.stage import group_by_size, merge_same_size
from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput, error
from studio.core.resource import resource

KEY = "timm"
TITLE = "timm"


def version() -> str:
    return version_of("timm")


def infos() -> tuple[BackboneInfo, ...]:
    """Every network with pretrained weights that takes square colour images and whose weights are plain tensor files."""
    from timm.models import get_pretrained_cfg, list_models

    found = []
    for name in list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        channels, height, width = cfg.input_size
        is_encoder = name.partition(".")[0].endswith("_enc")  # gives one vector per place, not per image
        is_file_of_tensors = bool(cfg.hf_hub_id) or not cfg.custom_load  # what is loaded in its own way has its tensors on the hub too
        if channels == 3 and height == width and is_file_of_tensors and not is_encoder and _weights_url(cfg):
            found.append(_info(name, cfg))
    return tuple(found)


def info(name: str) -> BackboneInfo:
    """`name` is "architecture.tag", or an architecture, which means its usual weights."""
    found = _info_of(name)
    return replace(found, is_installed=weights_path(found) is not None)


@lru_cache(maxsize=64)
def _info_of(name: str) -> BackboneInfo:
    from timm.models import get_pretrained_cfg, is_model, list_models

    if not is_model(name):
        raise unknown_name(TITLE, name, list_models() + list_models(pretrained=True))
    try:
        cfg = get_pretrained_cfg(name)
    except RuntimeError:  # the architecture is known, its tag is not
        architecture = name.partition(".")[0]
        raise unknown_name(TITLE, name, list_models(f"{architecture}*", pretrained=True)) from None
    return _info(f"{cfg.architecture}.{cfg.tag}" if cfg.tag else name, cfg)


def weights_path(info: BackboneInfo) -> Path | None:
    return installed.find(info)


def build(name: str, input_size: int, weights: Path | None = None) -> Body:
    import timm
    from timm.models import model_entrypoint

    cfg = timm.get_pretrained_cfg(name)
    options: dict = {}
    if cfg.fixed_input_size and input_size != cfg.input_size[-1]:
        options["img_size"] = input_size
    if weights is None:
        network = timm.create_model(name, num_classes=0, **options)
    else:
        # With its own classifier, as timm lets weights that do not fit pass when the number of classes differs.
        overlay = {"file": str(weights), "source": "", "hf_hub_filename": None, "custom_load": False}
        options |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
        try:
            network = timm.create_model(name, **options)
        except Exception as exc:  # timm and safetensors raise whatever the first tensor that does not fit raises
            sentence = f"The weights in {shown(path_to_text(weights))} are damaged or do not fit this version of timm. Delete the file and"
            raise BadInput(error("model.backbone", f"{sentence} download it again.")) from exc
        network.reset_classifier(0)
    classifier = cfg.classifier or ()
    entry = sys.modules[model_entrypoint(name).__module__]
    return Body(
        network,
        network.head_hidden_size if hasattr(network, "head_hidden_size") else network.num_features,
        _groups(network),
        (classifier,) if isinstance(classifier, str) else tuple(classifier),
        partial(_translate, network, getattr(entry, "checkpoint_filter_fn", None)),
    )


def _groups(network) -> list[tuple[str, list[str]]]:
    """Stages by timm's own grouping of layers; by size where it has none."""
    from timm.models import group_parameters

    try:
        matcher = network.group_matcher(coarse=True)
    except (AttributeError, AssertionError):  # RDNet has no coarse grouping
        return group_by_size(network)
    by_layer: dict[int, list[str]] = {}
    for parameter, layer in group_parameters(network, matcher, reverse=True).items():
        # Position tables that every block reads are not matched by some networks and would come last.
        layer = 0 if parameter.startswith(("rope.", "rel_pos_bias.", "shared_rel_pos.", "pos_embed")) else layer
        by_layer.setdefault(layer, []).append(parameter)
    groups = merge_same_size(network, [by_layer[layer] for layer in sorted(by_layer)])
    kind = "block" if hasattr(network, "blocks") and hasattr(network, "patch_embed") else "stage"
    return [(f"{kind} {i}" if i else "stem", members) for i, members in enumerate(groups)]


def _translate(network, filter_weights, tensors: Tensors) -> Tensors:
    """timm's own conversion of other libraries' names and of position embeddings for another input size."""
    if filter_weights is None:
        return tensors
    try:
        return filter_weights(dict(tensors), network)
    except (KeyError, RuntimeError, AttributeError, ValueError, IndexError, TypeError):
        return tensors  # not a file this conversion is for; the report will name what does not fit


def _info(name: str, cfg) -> BackboneInfo:
    paper = _arxiv(cfg.paper_ids) or _arxiv(_paper(name))
    figures = _figures().get(f"{name.partition('.')[0]} {cfg.input_size[-1]}")
    top1, top5 = _results().get(name, (None, None))
    return BackboneInfo(
        source=KEY,
        name=name,
        title=name,
        family=_family(name),
        num_parameters=int(figures[0]) if figures else None,  # not in timm's configurations: measured, see packaging/measure_timm.py
        gflops=figures[1] if figures else None,
        input_size=cfg.input_size[-1],
        top1=top1 and top1 / 100,
        top5=top5 and top5 / 100,
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        interpolation="bilinear" if cfg.interpolation == "bilinear" else "bicubic",
        crop_fraction=cfg.crop_pct,
        weights_bytes=None,
        weights_url=_weights_url(cfg),
        weights_sha256=None,
        licence=cfg.license or None,
        year=year_of(paper),
        paper=paper and f"arXiv {paper}",
        has_batch_norm=None,
        is_installed=False,
    )


@lru_cache(maxsize=1)
def _results() -> dict[str, list[float]]:
    """[top-1, top-5] in per cent by name, taken over from timm's results; the file names source and licence."""
    return json.loads(resource("timm_results.json").read_text(encoding="utf-8"))["networks"]


@lru_cache(maxsize=1)
def _papers() -> dict[str, str]:
    """arXiv numbers of the papers that introduced families, by the beginning of their names."""
    return json.loads(resource("timm_papers.json").read_text(encoding="utf-8"))


def _paper(name: str) -> str | None:
    """Of the longest beginning that is known. What another paper trained (CLIP, DINO and the like) has no year from here."""
    architecture = name.partition(".")[0]
    if re.search(r"_(clip|dinov?\d?|siglip|reg\d|mci|aimv2|intern|gap|ft)", architecture):
        return None
    found = [start for start in _papers() if re.match(rf"{start}(?![a-uw-z])", architecture)]
    return _papers()[max(found, key=len)] if found else None


@lru_cache(maxsize=1)
def _figures() -> dict[str, list[float]]:
    """[parameters, GFLOPs] by "architecture px", as far as they were measured with this version of timm."""
    try:
        content = json.loads(resource("timm.json").read_text(encoding="utf-8"))
    except OSError:
        return {}
    return content["networks"] if content["timm"] == version() else {}


def _arxiv(paper_ids) -> str | None:
    """Number of the first paper that timm names by it: "arXiv:2201.03545"."""
    ids = [paper_ids] if isinstance(paper_ids, str) else list(paper_ids or ())
    return next((match[0] for each in ids if (match := re.search(r"\d{4}\.\d{4,5}", each))), None)


def _family(name: str) -> str:
    from timm.models import model_entrypoint

    return model_entrypoint(name).__module__.rpartition(".")[2].replace("_", " ")


def _weights_url(cfg) -> str | None:
    if cfg.hf_hub_id:
        return f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{cfg.hf_hub_filename or 'model.safetensors'}"
    return cfg.url or None
