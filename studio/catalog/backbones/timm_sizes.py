"""Parameters and multiply-adds of timm's networks, which its configurations do not say: measured once, kept in timm_sizes.json.

`python -m studio.catalog.backbones.timm_sizes` measures every network again, with shapes only (about ten minutes).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

_FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Size:
    """Of one architecture without its classifier. `gflops` are multiply-adds of one image of `input_size` px, in 1e9."""

    num_parameters: int
    num_features: int
    gflops: float
    input_size: int
    has_batch_norm: bool

    def num_parameters_with(self, num_classes: int) -> int:
        return self.num_parameters + (self.num_features + 1) * num_classes


def size_of(architecture: str) -> Size | None:
    """None for an architecture that is newer than the table."""
    return _table().get(architecture)


@lru_cache(maxsize=1)
def _table() -> dict[str, Size]:
    return {name: Size(*row) for name, row in json.loads(_FILE.read_text())["sizes"].items()}


def measure(architecture: str) -> Size:
    """Runs one image through the network on the meta device and counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from studio.catalog.backbones.build import build_backbone

    built = build_backbone("timm", architecture, num_classes=1, pretrained=False, device="meta")
    backbone = built.module.backbone.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.empty(1, 3, built.input_size, built.input_size, device="meta"))
    return Size(
        num_parameters=sum(p.numel() for p in backbone.parameters()),
        num_features=built.num_features,
        gflops=float(f"{counter.get_total_flops() / 2e9:.3g}"),
        input_size=built.input_size,
        has_batch_norm=any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in backbone.modules()),
    )


def main(part: int = 0, num_parts: int = 1) -> None:
    """Writes the table; with parts, writes one part beside it for `num_parts` processes to share the work."""
    from timm.models import list_models

    rows = {}
    for name in list_models()[part::num_parts]:
        try:
            rows[name] = list(asdict(measure(name)).values())
        except Exception as exc:  # a network that only takes other input is left out of the table, and named
            sys.stderr.write(f"{name}: {exc}\n")
    path = _FILE if num_parts == 1 else _FILE.with_suffix(f".{part}")
    path.write_text(_text(rows))


def _text(rows: dict[str, list]) -> str:
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))
    return f'{{"timm": "{version("timm")}", "columns": {json.dumps(list(Size.__slots__))}, "sizes": {{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    main()
