"""What only a GPU shows: speed against the same network on tensors that never leave the card, waiting for the device, memory foretold and taken,
what happens when it runs out, and the same bits after a kill.

Every part prints a table of its own and stands for itself: `python -m benchmarks.gpu speed memory`. Without a GPU nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from studio.engine.main import be_a_good_neighbour, set_up_torch

be_a_good_neighbour()  # before torch is loaded, as in the engine

BATCH, STEPS, ROUNDS = 128, 60, 3
NETWORKS = (
    ("torchvision", "resnet18", 64, -1),
    ("torchvision", "resnet50", 64, 1),
    ("bundled", "tf_efficientnet_lite0", 64, -1),
    ("timm", "vit_small_patch16_224", 64, -1),
    ("torchvision", "convnext_tiny", 64, 2),
)
RECORDED = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"), ("torchvision", "convnext_tiny"))
PLANTED_ROOM = 6e9  # bytes the process may take in the part that runs out of memory
KILLS = 2


def main() -> None:
    import torch

    from studio.core.experiment import Experiment

    parts = {
        "speed": speed,
        "recording": recording,
        "waits": waits,
        "memory": memory,
        "out_of_memory": out_of_memory,
        "exact": exact,
        "road": road,
    }
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="which of them (default: all)")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "clothing")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("No GPU was found.")
    set_up_torch(torch, Experiment())
    print(f"## On a GPU: {torch.cuda.get_device_name(0)}, torch {torch.__version__}, {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        for number, name in enumerate(options.parts or parts):
            start = time.perf_counter()
            try:
                parts[name](options.data, Path(scratch) / str(number))
            except Exception:
                traceback.print_exc()
                print(f"\n{name}: failed, see above")
            print(f"\n({name}: {time.perf_counter() - start:.0f} s)", flush=True)
            torch.cuda.empty_cache()


def speed(data: Path, scratch: Path) -> None:
    """Full fine-tuning of ResNet-50: the engine with its loaders, its own network on random tensors, and a plain float32 loop on those."""
    import torch

    setup = _engine(_many(data, scratch), scratch, "torchvision", "resnet50", **{"training.batch_size": BATCH})
    first = _seconds(lambda: _epoch(setup))
    sides = {"engine": lambda: _epoch(setup)} | {form: _loop(setup, form) for form in ("synthetic", "recorded", "plain")}
    for side in sides.values():
        side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS):
        for name in sides if number % 2 == 0 else reversed(sides):
            times[name].append(_seconds(sides[name]))
    num = dict.fromkeys(times, STEPS * BATCH) | {"engine": setup.epoch_size}  # images; the engine takes all there are
    per_s = {name: num[name] / statistics.median(seconds) for name, seconds in times.items()}
    share = {name: num["engine"] / num[name] for name in times}
    against = {name: share[name] * statistics.median(t / e for t, e in zip(times[name], times["engine"], strict=True)) for name in times}
    waited = _last(setup.folder, "StepsReported")["data_wait_fraction"]
    form = f"{setup.precision.name}, channels {'last' if setup.precision.channels_last else 'first'}"
    setup.loader.close()
    print(f"\n### Full fine-tuning of ResNet-50, batch {BATCH}, 224 px\n")
    print("| | images/s | engine : this | limit |\n|---|---|---|---|")
    print(f"| engine, photographs from its {setup.loader.num_workers} loaders ({form}) | {per_s['engine']:,.0f} | | |")
    print(f"| the same network and optimiser on random tensors | {per_s['synthetic']:,.0f} | **{against['synthetic']:.3f}** | 0.95 |")
    print(f"| the same, played from a recording | {per_s['recorded']:,.0f} | {against['recorded']:.3f} | |")
    print(f"| plain float32 loop, channels first, on random tensors | {per_s['plain']:,.0f} | **{against['plain']:.2f}** | 2 |")
    print(f"\n{_timeline(setup.folder)}")
    print(f"\nFirst epoch, which decodes: {setup.epoch_size / first:,.0f} images/s. Waiting for data in the last report: {waited:.1%}.")
    print("".join(f"{event['sentence']} " for event in _events(setup.folder) if event["event"] == "StepCompiled"))
    print(f"Medians of {ROUNDS} rounds of {STEPS} steps. Peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB.")


def recording(data: Path, scratch: Path) -> None:
    """Steps played from a recording against the same steps put into the queue kernel by kernel: their losses and their time."""
    import torch

    from studio.engine import recorded_step

    print("\n### Steps played from a recording\n")
    print(
        "| network | as it is, ms per step | recorded | largest difference of a loss in 8 steps | what the run says |\n|---|---|---|---|---|"
    )
    for source, name in RECORDED:
        losses, seconds, told = [], [], ""
        for least in (10**9, 1):
            recorded_step.LEAST_STEPS = least
            values = {"training.batch_size": 32, "model.input_size": 224, "training.precision": "bf16", "training.seed": 1}
            setup = _engine(_many(data, scratch, times=2), scratch / str(least), source, name, **values)
            _epoch(setup)
            seconds.append(_seconds(lambda setup=setup: _epoch(setup)) / setup.steps_per_epoch)
            events = _events(setup.folder)
            losses.append([loss for e in events if e["event"] == "StepsReported" for loss in e["losses"]][:8])
            told = next((e["sentence"] for e in events if e["event"] == "StepCompiled"), "nothing")
            setup.loader.close()
            del setup
            torch.cuda.empty_cache()
        apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
        print(f"| {name} | {seconds[0] * 1e3:.1f} | {seconds[1] * 1e3:.1f} | {apart:.1e} | {told} |", flush=True)
    print(_broken_off())


def _broken_off() -> str:
    """A recording that fails in the middle, and a network that draws afterwards."""
    import torch
    from torch import nn

    from studio.engine.precision import Precision
    from studio.engine.recorded_step import record

    class Looks(nn.Linear):
        def forward(self, x):
            return super().forward(x) * float(self.weight.sum())  # waits for the device

    images, form = torch.rand(8, 64, device="cuda"), Precision("fp32", False)
    net = nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.5)).cuda().train()
    torch.cuda.manual_seed(3)
    before = net(images)
    try:
        record(Looks(64, 64).cuda(), form, images)
        return "\nA network that waits for the device was recorded, which cannot be."
    except RuntimeError as exc:
        words = str(exc).splitlines()[0][:80]
    torch.cuda.manual_seed(3)
    after, play = net(images), record(net, form, images)
    torch.cuda.manual_seed(3)
    same = torch.equal(before, after), torch.equal(before, play(images))
    return (
        f"\nA recording that breaks off ({words}) leaves the draws as they were: {same[0]}; dropout draws the same when played: {same[1]}."
    )


def waits(data: Path, scratch: Path) -> None:
    """How often a step makes the processor wait for the GPU, as torch itself reports it."""
    import torch

    print("\n### Waiting for the device\n")
    for values in ({}, {"training.not_finite": "lower the rate"}):
        setup = _engine(_many(data, scratch, times=4), scratch, "torchvision", "resnet18", **{"training.batch_size": 32}, **values)
        _epoch(setup)
        places: Counter[str] = Counter()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _epoch(setup)
        torch.cuda.set_sync_debug_mode("default")
        for warning in caught:
            if "synchroniz" in str(warning.message):
                places[f"{Path(warning.filename).name}:{warning.lineno}"] += 1
        setup.loader.close()
        where = ", ".join(f"{place} ({count})" for place, count in places.most_common(6)) or "nowhere"
        print(f"- {values or 'as set up'}: {sum(places.values())} in {setup.steps_per_epoch} steps: {where}")


def memory(data: Path, scratch: Path) -> None:
    """Peak of a step as the Model page foretells it, and as the allocator saw it."""
    import torch

    from benchmarks.estimates import training
    from studio.catalog.backbones import backbone_info
    from studio.core.experiment import Experiment
    from studio.engine.describe import describe_model

    print("\n### Memory of a step: foretold and taken\n")
    print("| network | form | foretold | taken | difference |\n|---|---|---|---|---|")
    for source, name, batch, stages in NETWORKS:
        for precision in ("bf16", "fp32"):
            size = backbone_info(source, name).input_size
            values = {
                "model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": stages,
                "model.input_size": size, "training.batch_size": batch, "training.precision": precision, "training.device": "cuda",
            }  # fmt: skip
            experiment = Experiment().changed(values)
            foretold = sum(describe_model(experiment.model, experiment.training, experiment.optimiser, 10)["memory"].values())
            torch.cuda.empty_cache()
            before = torch.cuda.memory_allocated()
            step = training(experiment, batch, size, "cuda")
            step()
            torch.cuda.reset_peak_memory_stats()
            step()
            taken = torch.cuda.max_memory_allocated() - before
            del step
            trained = "all trains" if stages < 0 else f"last {stages} train"
            print(
                f"| {name}, batch {batch}, {trained} | {precision} | {foretold / 1e6:,.0f} MB | {taken / 1e6:,.0f} MB | {foretold / taken - 1:+.0%} |"
            )
    print("\nLimit: 15 %.")


def out_of_memory(data: Path, scratch: Path) -> None:
    """A real out-of-memory error in a step: the process is told that it may take less than the card says is free."""
    import torch

    from studio.engine.loop import train

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(PLANTED_ROOM / total)
    try:
        few = {"training.batch_size": 256, "schedule.epochs": 2}
        setup = _engine(_many(data, scratch, times=2), scratch, "torchvision", "resnet50", **few)
        train(setup)
        setup.loader.close()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    told = [f"{e['sentence']} {e.get('fix', '')}" for e in _events(setup.folder) if e["event"] == "WarningRaised"]
    print(
        f"\n### Out of memory\n\nResNet-50 at batch 256 with {PLANTED_ROOM / 1e9:.0f} GB: {setup.progress.step} steps of 256 images done, "
    )
    print(f"at the end {setup.micro_batch} images went through the network at once. What the user read:\n")
    print("\n".join(f"> {line}" for line in told))


def exact(data: Path, scratch: Path) -> None:
    """The same bits after SIGKILLs, in exact mode, and which networks have it."""
    values = {
        "model.train_stages": "-1", "model.input_size": "128", "training.exact": "true", "training.precision": "bf16",
        "training.checkpoint_seconds": "1", "schedule.epochs": "25", "training.device": "cuda",
    }  # fmt: skip
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    studio = [sys.executable, "-m", "studio", "train"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    calm, killed = scratch / "calm", scratch / "killed"
    undisturbed = subprocess.Popen([*studio, "--data", str(data), "--runs", str(calm), *settings], **pipes)
    _wait_for_checkpoint(calm, 1, undisturbed)  # by then the trial of formats is over, whose verdict both share
    command = [*studio, "--data", str(data), "--runs", str(killed), *settings]
    for number in range(KILLS + 1):
        before = _num_saved(killed)
        process = subprocess.Popen(command, **pipes)
        if number < KILLS:
            _wait_for_checkpoint(killed, before + 1, process)
            folder = next(killed.iterdir())
            os.kill(json.loads((folder / "engine.json").read_text())["pid"], signal.SIGKILL)
            command = [*studio, "--resume", str(folder)]
        told = process.communicate()[0]
    told = {calm: undisturbed.communicate()[0], killed: told}
    records = [next(runs.iterdir()) / "results" / "metrics.json" for runs in told]
    sums = [json.loads(record.read_text())["state_sha256"] for record in records if record.is_file()]
    print("\n### Exact mode\n")
    if len(sums) == 2:
        words = "the same" if sums[0] == sums[1] else "NOT the same"
        print(
            f"SHA-256 over model, buffers and optimiser, undisturbed and after {KILLS} kills: **{words}** ({', '.join(v[:16] for v in sums)})."
        )
    else:
        print("\n".join(text[-1200:] for text in told.values()))
    print(_networks_in_exact_mode())


def _networks_in_exact_mode() -> str:
    import torch

    from studio.catalog.backbones import build_backbone

    found = {}
    torch.use_deterministic_algorithms(True)
    for source, name in (
        ("torchvision", "resnet18"),
        ("torchvision", "alexnet"),
        ("torchvision", "googlenet"),
        ("timm", "vit_tiny_patch16_224"),
    ):
        module = build_backbone(source, name, num_classes=10, pretrained=False, input_size=224).module.cuda().train()
        try:
            torch.nn.functional.cross_entropy(
                module(torch.rand(4, 3, 224, 224, device="cuda")), torch.zeros(4, dtype=torch.long, device="cuda")
            ).backward()
            found[name] = "yes"
        except RuntimeError as exc:
            found[name] = str(exc)[:80]
    torch.use_deterministic_algorithms(False)
    return "One step in exact mode: " + ", ".join(f"{name}: {words}" for name, words in found.items()) + "."


def road(data: Path, scratch: Path) -> None:
    """The default experiment by the command line, and what follows it."""
    runs = scratch / "runs"
    print("\n### The default experiment\n")
    for command in (
        ["doctor"],
        ["train", "--data", data, "--runs", runs, "--json"],
        ["evaluate", "last", "--runs", runs, "--data", data / "val"],
        ["export", "last", "--runs", runs, "--format", "onnx"],
    ):
        done = subprocess.run([sys.executable, "-m", "studio", *map(str, command)], capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.strip()][-12:]
        print(f"`studio {command[0]}`: exit code {done.returncode}\n\n```\n" + "\n".join(lines))
        print(("" if done.returncode == 0 else done.stderr[-1500:]) + "```")


def _many(data: Path, scratch: Path, times: int = 0) -> Path:
    """The same photographs under many names: an epoch of `STEPS` batches, or each `times` times. Three of each class for validation."""
    files = sorted((data / "train").rglob("*.*"))
    for number in range(times or -(-BATCH * STEPS // len(files))):
        for file in files:
            link = scratch / "data" / "train" / file.parent.name / f"{number}-{file.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.resolve())
    for folder in sorted((data / "val").iterdir()):
        for file in sorted(folder.iterdir())[:3]:
            link = scratch / "data" / "val" / folder.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.resolve())
    return scratch / "data"


def _engine(data: Path, scratch: Path, source: str, name: str, **values):
    """A run, prepared as the engine prepares it."""
    from studio.core.experiment import Experiment
    from studio.core.run_folder import create_run
    from studio.engine.control import Control
    from studio.engine.reporter import Reporter
    from studio.engine.setup import prepare

    base = {
        "data.source": str(data), "model.source": source, "model.backbone": name, "model.pretrained": False, "model.train_stages": -1,
        "training.device": "cuda", "training.checkpoint_seconds": 86_400, "schedule.epochs": 100, "schedule.peak_lr": 1e-4,
    }  # fmt: skip
    folder = create_run(scratch / "runs", Experiment().changed(base | values))
    control = Control(folder.commands_path)
    return prepare(folder, folder.experiment(), control, Reporter(folder, control), None)


def _epoch(setup) -> None:
    """`STEPS` steps of the engine, or what its epoch has."""
    import torch

    from studio.engine.loop import train_epoch

    train_epoch(setup)
    torch.cuda.synchronize()
    setup.progress.count_epoch({"top1": 0.0, "top5": 0.0, "loss": 1.0, "macro_f1": 0.0})


def _loop(setup, form: str):
    """`STEPS` training steps on tensors that stay on the device: in the engine's number format ("synthetic"), that "recorded", or "plain", which is
    float32 with channels first."""
    import copy

    import torch

    from studio.catalog.optimisers import build_optimiser
    from studio.engine.precision import Precision
    from studio.engine.recorded_step import record

    plain = form == "plain"
    network = copy.deepcopy(setup.network)
    network.train_mode()
    precision = Precision("fp32", False) if plain else setup.precision
    precision.place(network.module, setup.device)
    groups, _ = network.parameter_groups(0.01)
    optimiser = (
        torch.optim.AdamW([w for g in groups for w in g["params"]], lr=1e-5)
        if plain
        else build_optimiser(setup.experiment.optimiser, groups)
    )
    for group in optimiser.param_groups:
        group["lr"] = 1e-5
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    images = torch.randn(BATCH, 3, 224, 224, device=setup.device).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (BATCH,), device=setup.device)

    call = record(network.module, precision, images) if form == "recorded" else network.module
    optimiser.zero_grad(set_to_none=True)

    def run() -> None:
        for _ in range(STEPS):
            with precision.autocast(setup.device):
                logits = call(images)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        torch.cuda.synchronize()

    return run


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _events(folder) -> list[dict]:
    return [json.loads(line) for line in folder.journal_path.read_bytes().splitlines()]


def _last(folder, kind: str) -> dict:
    return [event for event in _events(folder) if event["event"] == kind][-1]


def _timeline(folder) -> str:
    """How long after its beginning the session came where, in words."""
    events = _events(folder)
    told = [(e["t"], e["phase"]) for e in events if e["event"] == "PhaseStarted"]
    told.append((next(e["t"] for e in events if e["event"] == "StepsReported"), "first steps reported"))
    return "Seconds from the start: " + ", ".join(f"{words} {t - events[0]['t']:.1f}" for t, words in told)


def _wait_for_checkpoint(runs: Path, count: int, process: subprocess.Popen) -> None:
    """Until so many checkpoints were told of, by all sessions, or the process has ended."""
    while process.poll() is None and _num_saved(runs) < count:
        time.sleep(0.1)


def _num_saved(runs: Path) -> int:
    return sum(journal.read_text().count('"CheckpointSaved"') for journal in runs.glob("*/journal.jsonl"))


if __name__ == "__main__":
    main()
