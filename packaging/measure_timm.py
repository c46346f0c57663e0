"""Measures every timm network that has pretrained weights, with shapes only, and writes resources/timm.json: parameters and GFLOPs.

`python packaging/measure_timm.py [SECONDS]`. timm ships neither. What is there already is kept, so a run that ends at its limit of CPU
seconds can be followed by another; of networks that cannot be built or run with shapes only the error is kept in place of figures.
Parameters are those with timm's classifier for ImageNet's 1,000 classes where there are such weights, as papers count them; GFLOPs are multiply-adds of convolutions, linear layers and attention's products of one
image at the size the weights were made for, as torch.utils.flop_counter counts them, halved (it counts a multiply-add as two).
Of 62 networks that torchvision has too and states figures of, the median differs by 0.0 %, the largest by 6 % (RegNet-Y 8 GF, which timm
builds with other widths).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

IMAGENET = 1000  # classes
FILE = Path(__file__).parents[1] / "resources" / "timm.json"
RESULTS = FILE.with_name("timm_results.json")


def main() -> None:
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    from timm import __version__
    from timm.models import get_pretrained_cfg, list_models

    known = json.loads(FILE.read_bytes()) if FILE.exists() else {}
    is_same = known.get("timm") == __version__
    found, failed = (dict(known.get(part, {})) if is_same else {} for part in ("networks", "not_counted"))
    sizes = {}
    for name in list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        if cfg.input_size[0] == 3 and cfg.input_size[1] == cfg.input_size[2]:
            key = f"{name.partition('.')[0]} {cfg.input_size[1]}"
            if key not in sizes or cfg.num_classes == IMAGENET != get_pretrained_cfg(sizes[key]).num_classes:
                sizes[key] = name
    scored = frozenset(name.partition(".")[0] for name in json.loads(RESULTS.read_bytes())["networks"])
    todo = [key for key in sorted(sizes, key=lambda key: _popular(key, scored)) if key not in found and key not in failed]
    for number, key in enumerate(todo):
        if time.process_time() > limit:
            print(f"{len(todo) - number} left")  # noqa: T201
            break
        try:
            found[key] = measure(sizes[key], int(key.split()[1]))
        except Exception as exc:  # whatever its first layer that needs values raises
            failed[key] = f"{type(exc).__name__}: {str(exc).splitlines()[0][:120] if str(exc) else ''}"
        if number % 20 == 19:
            write(__version__, found, failed)
    write(__version__, found, failed)


def write(version: str, found: dict[str, list[float]], failed: dict[str, str]) -> None:
    networks, not_counted = (
        ",\n".join(f"  {json.dumps(key)}: {json.dumps(part[key])}" for key in sorted(part)) for part in (found, failed)
    )
    FILE.write_text(f'{{"timm": "{version}", "not_counted": {{\n{not_counted}\n}}, "networks": {{\n{networks}\n}}}}\n', encoding="utf-8")


def measure(name: str, size: int) -> list[float]:
    """[parameters, GFLOPs]. Raises whatever a network raises that does not pass with shapes only."""
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from studio.catalog.backbones.shapes import parameters_on_meta

    cfg = timm.get_pretrained_cfg(name)
    options = {"img_size": size} if cfg.fixed_input_size else {}
    try:
        with parameters_on_meta():
            network = timm.create_model(name, pretrained=False, **options)
    except RuntimeError:  # a constructor that computes with its new parameters (rotary embeddings)
        network = timm.create_model(name, pretrained=False, **options)
    network = network.to("meta").eval().requires_grad_(False)  # the counter asks a parameter that is passed on for its gradient
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size, size, device="meta"))
    return [sum(p.numel() for p in network.parameters()), round(counter.get_total_flops() / 2e9, 3)]


def _popular(key: str, scored: frozenset[str]) -> tuple[bool, bool, int, str]:
    """Those whose accuracy is known come first, as they are drawn; then families that people look for, and of each the plain ones, whose names
    are short."""
    first = ("resnet", "efficientnet", "mobilenet", "convnext", "vit_", "deit", "regnet", "swin", "tf_eff", "densenet", "eva02", "mixer")
    return key.split()[0] not in scored, not key.startswith(first), len(key), key


if __name__ == "__main__":
    main()
