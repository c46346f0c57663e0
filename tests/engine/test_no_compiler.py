"""The engine trains without torch's compiler in memory, and can still have it."""

from __future__ import annotations

import subprocess
import sys

_TRAIN = """
import sys, torch
from studio.engine.no_compiler import keep_compiler_out
keep_compiler_out()
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


def test_an_optimiser_steps_without_loading_the_compiler():
    code = "print([m for m in ('sympy', 'torch._inductor', 'torch._dynamo.eval_frame', 'torch.distributed.fsdp') if m in sys.modules])"
    assert _last_line(code) == "[]"


def test_who_compiles_gets_the_real_compiler():
    code = "f = torch.compile(lambda x: x + 1, backend='eager')\nprint(f(torch.ones(1)).item(), 'torch._dynamo.eval_frame' in sys.modules)"
    assert _last_line(code) == "2.0 True"
