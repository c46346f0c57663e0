"""The engine trains without torch's compiler in memory, and can still have it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TRAIN = """
import sys
from studio.engine.no_compiler import load_torch
torch = load_torch()
import torchvision
from studio.core.experiment import Experiment
from studio.engine.main import set_up_torch
set_up_torch(torch, Experiment())
layer = torch.nn.Linear(3, 2)
optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
layer(torch.ones(4, 3)).sum().backward()
optimiser.step(); optimiser.zero_grad(); optimiser.state_dict()
"""


def _last_line(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", _TRAIN + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_an_optimiser_steps_and_processes_meet_without_loading_the_compiler_and_who_compiles_gets_the_real_one():
    code = """
import torch.distributed as dist
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
dist.broadcast_object_list([1], src=0)
heavy = ("sympy", "torch._inductor", "torch._dynamo.eval_frame", "torch.distributed.fsdp", "torch._refs")
loaded = [m for m in heavy if m in sys.modules]
f = torch.compile(lambda x: x + 1, backend="eager")
print(loaded, f(torch.ones(1)).item(), "torch._dynamo.eval_frame" in sys.modules)
"""
    assert _last_line(code) == "[] 2.0 True"


@pytest.mark.parametrize("first", ["torch._refs", "torch._meta_registrations"])
def test_what_was_left_out_of_torch_is_there_for_whoever_asks(first):
    code = f"""
import importlib, torch.func
from studio.catalog.backbones.build import check_input_size
from studio.catalog.backbones.sources import source_of
from studio.engine.footprint import without_values
importlib.import_module("{first}")
shape = torch.broadcast_shapes((3, 1), (1, 4))
check_input_size(source_of("bundled"), "tf_efficientnet_lite0", 160)
block = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
slope = torch.func.jvp(torch.nn.functional.softplus, (torch.zeros(1),), (torch.ones(1),))[1]
seed = torch.Generator().manual_seed(3).initial_seed()
print(tuple(shape), tuple(without_values(block)(torch.empty(2, 3, 32, 32, device="meta")).shape), slope.item(), seed)
"""
    assert _last_line(code) == "(3, 4) (2, 4) 0.5 3"
