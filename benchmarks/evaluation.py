"""Scoring a network on photographs: the engine's pass against a loop as in torchvision's references, and metrics after a cached run.

Both sides run the same network on normalised pictures in memory, in turn; a figure is the median of the ratios of the rounds. The stock side is
float32, channels first, batches of 32, in inference mode, in a process of its own: there the C library gives large tensors back at once, and each
batch takes their pages again, as it does wherever nobody has set it otherwise. The compiled network runs here also where the engine would not take it, because
it measures slower. The last column is what metrics, thresholds and calibration of all pictures take from cached
features, as a share of one forward pass over them.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.capped import obey_cap, processor
from benchmarks.side import serve, side
from studio.engine.main import be_a_good_neighbour

if "--stock" not in sys.argv:
    be_a_good_neighbour()

NETWORKS = (("torchvision", "resnet18"), ("bundled", "tf_efficientnet_lite0"), ("torchvision", "mobilenet_v3_small"))
NUM_IMAGES, STOCK_BATCH, ROUNDS = 64, 32, 5


def main() -> None:
    capped = obey_cap()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--networks", nargs="*", default=[name for _, name in NETWORKS])
    parser.add_argument("--no-compiler", action="store_true", help="leave out the compiled network, which takes half a minute or more each")
    parser.add_argument("--stock", nargs=2, metavar=("SOURCE", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stock:
        return serve(lambda: _stock(*options.stock))
    rows = [_compare(source, name, options.rounds, not options.no_compiler) for source, name in NETWORKS if name in options.networks]
    print(f"## Evaluation{capped}\n")
    print(
        "| network | stock fp32 | engine | format | engine : stock | largest difference of a probability | compiled : stock | compiled in | metrics, thresholds and calibration from features : forward pass |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        "\nLimits: 3.5 with matrix units and no compiler, 6 compiled; metrics, thresholds and calibration 1 %. Without matrix units (AVX2) bf16 does not pay and arithmetic is the limit: "
        "1.3 for ResNet-18, whose convolutions run at the processor's peak already, 2 for EfficientNet-Lite0; never below 1."
    )
    print(f"{processor()}. CPU time of one thread; {NUM_IMAGES} pictures, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}.")
    return None


def _stock(source: str, name: str):
    """A pass over all pictures, as a tutorial does it."""
    import torch

    torch.set_num_threads(1)
    module, images = _module(source, name), torch.randn(NUM_IMAGES, 3, 224, 224)

    def one_pass() -> None:
        with torch.inference_mode():
            for part in images.split(STOCK_BATCH):
                module(part)

    one_pass()
    return one_pass, {}


def _module(source: str, name: str):
    from studio.catalog.backbones import build_backbone

    return build_backbone(source, name, num_classes=10, pretrained=source == "bundled", input_size=224).module.eval()


def _compare(source: str, name: str, rounds: int, compiles: bool) -> str:
    import torch

    from studio.engine.fast_pass import FastPass

    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    module = _module(source, name)
    images = torch.randn(NUM_IMAGES, 3, 224, 224)
    fast = FastPass(module, cpu, 224, is_long=True)
    form = f"{fast.precision.name}, channels {'last' if fast.precision.channels_last else 'first'}, {fast.name}"

    def engine() -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([fast(part) for part in images.split(STOCK_BATCH)])

    with torch.inference_mode():
        plain = torch.cat([module(part) for part in images.split(STOCK_BATCH)])
    apart = (plain.softmax(1) - engine().float().softmax(1)).abs().max()
    compiled, took = "", ""
    with side("benchmarks.evaluation", "--stock", source, name) as stock:
        stock()
        ratio, own, seconds = _ratio(stock, engine, rounds)
        share = _metrics_seconds(module) / (seconds / NUM_IMAGES)
        if compiles:
            took = f"{_take_compiled(fast, module, images[: fast.chunk]):.0f} s"
            compiled = f"**{_ratio(stock, engine, rounds)[0]:.2f}**"
    return (
        f"| {name} | {own / NUM_IMAGES * 1e3:.1f} ms | {seconds / NUM_IMAGES * 1e3:.1f} ms | {form} | **{ratio:.2f}** | {apart:.4f} | "
        f"{compiled} | {took} | **{share:.2%}** |"
    )


def _ratio(stock, engine, rounds: int) -> tuple[float, float, float]:
    """(median of the ratios of the rounds, median CPU seconds of either side)."""

    def engine_seconds() -> float:
        start = time.process_time()
        engine()
        return time.process_time() - start

    sides = {"stock": lambda: stock(1)["cpu"], "engine": engine_seconds}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sides if number % 2 == 0 else reversed(sides):
            times[name].append(sides[name]())
    ratio = statistics.median(a / b for a, b in zip(times["stock"], times["engine"], strict=True))
    return ratio, *(statistics.median(t) for t in times.values())


def _take_compiled(fast, module, images) -> float:
    """Let the pass run the compiled network, whether it is faster or not; seconds that compiling took."""
    from studio.engine.compiling import load_library, write_library

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch
        path = Path(scratch) / "network.pt2"
        write_library(copy.deepcopy(module), images, fast.precision.name, path)
        took = time.perf_counter() - start
        if not fast.offer(load_library(path, "cpu"), 0.0):
            raise SystemExit("The compiled network answers differently.")
    return took


def _metrics_seconds(module) -> float:
    """Seconds per image of head, scores, confusion matrix, calibration (with temperature) and thresholds from features in memory."""
    import numpy as np
    import torch

    from studio.engine.evaluate import answer, score, scores_json
    from studio.engine.loader import Batch
    from studio.engine.prefix import HEAD_BATCH, NO_IMAGES

    count = 4 * HEAD_BATCH
    features = torch.randn(count, module.head.linear.in_features)
    with torch.inference_mode():
        features *= 3 / module.head(features).std()
        chances = (module.head(features) / 1.5).softmax(1)  # a network as they are: mostly right, and surer than it should be
        labels = torch.multinomial(chances, 1)[:, 0].numpy()
    batches = [
        Batch(NO_IMAGES, np.arange(start, start + HEAD_BATCH), features=features[start : start + HEAD_BATCH])
        for start in range(0, count, HEAD_BATCH)
    ]
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        answers = answer(module.head, batches, labels, lambda head, batch: head(batch.features))
        scores_json(score(answers, 10), [""] * 10, answers)
        best = min(best, time.perf_counter() - start)
    return best / count


if __name__ == "__main__":
    main()
