"""A backbone whose library fails while it is built, in the real worker process: named with its error, and the worker goes on."""

from __future__ import annotations

import sys

import pytest

from studio.core.experiment import Model
from studio.supervise.worker import Worker
from tests.worker.conftest import Asker

# The probe as it is, with one more network in timm: its constructor makes a layer that does not fit what comes before it.
PROBE = """
import runpy, sys, torch
from timm.models import register_model
from timm.models._registry import generate_default_cfgs
__all__ = ["ajar"]
default_cfgs = generate_default_cfgs({"ajar.in1k": dict(
    hf_hub_id="nobody/ajar", input_size=(3, 32, 32), num_classes=10, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic", crop_pct=1.0,
    classifier="head", paper_ids=None,
)})
@register_model
def ajar(pretrained=False, **options):
    weights = torch.zeros(4, 3)
    return torch.nn.functional.linear(torch.zeros(1, 5), weights)
sys.modules["ajar"] = sys.modules["__main__"]
runpy.run_module("studio.engine.worker", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("broken-home")))
        worker = Worker("probe", [sys.executable, "-c", PROBE])
        yield Asker(worker)
        worker.close(5)


def test_a_backbone_whose_library_fails_is_named_with_its_error_and_the_worker_goes_on(probe):
    broken = Model(source="timm", backbone="ajar", input_size=32, pretrained=False).model_dump()
    problems = probe.ask("check_model", model=broken, num_classes=3)["problems"]
    pid = probe.worker.pid
    assert [(p["field"], p["severity"]) for p in problems] == [("model.backbone", "error")]
    assert problems[0]["sentence"].startswith("timm/ajar cannot be built: RuntimeError: ") and "5 and 3x4" in problems[0]["sentence"]
    failed = probe.fail("describe_model", model=broken, num_classes=3)
    assert "5 and 3x4" in failed.sentence and failed.trace
    assert probe.ask("check_model", model={}, num_classes=3)["problems"] == [] and probe.worker.pid == pid
