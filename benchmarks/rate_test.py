"""The range test's suggestion against a small sweep of peak learning rates, on the bundled backbone with all other settings as they are.

Each run of the sweep trains on the same part of the data for the same few epochs. The best peak is found as Studio finds the best epoch: by
top-1 on the validation images, then by the smaller loss.
`--case NAME --seconds N` does a piece of the work; what is finished is kept in a scratch file and not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from studio.engine.main import be_a_good_neighbour

be_a_good_neighbour()  # threads and memory as the engine has them

from studio.core.experiment import Experiment  # noqa: E402
from studio.core.rate_test import RULES, RateTest  # noqa: E402
from studio.dataset.dataset import Dataset  # noqa: E402

FACTORS = (1, 2, 4, 8, 16, 32, 64)  # of the sweep, times a case's least peak
EPOCHS = 3
NUM_TRAIN, NUM_VALIDATION = 480, 200
CASES = {  # data set, settings, least peak
    "clothing": ("clothing", {}, 2.5e-4),
    "signs": ("signs", {}, 2.5e-4),
    "clothing, SGD": ("clothing", {"optimiser.kind": "sgd", "optimiser.weight_decay": 1e-4}, 1e-2),
}
SHARED = Path(__file__).parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append", choices=tuple(CASES), help="one case; all by default")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of every run of the sweep")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further run after so long; call again to go on")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "studio-rate-test-sweep.json")
    options = parser.parse_args()
    kept = json.loads(options.kept.read_text()) if options.kept.exists() else {}
    end = time.monotonic() + options.seconds
    for name in options.case or CASES:
        experiment, dataset = part_of(*CASES[name][:2], options.epochs)
        found = kept.setdefault(name, {})
        for peak in (None, *peaks_of(name)):  # None is the range test
            key = f"{peak:g}" if peak else "test"
            if key not in found and time.monotonic() < end:
                found[key] = measured_run(experiment, dataset, peak) if peak else measured_test(experiment, dataset)
                options.kept.write_text(json.dumps(kept))
    print(section(kept, options.epochs))


def peaks_of(name: str) -> list[float]:
    return [CASES[name][2] * factor for factor in FACTORS]


def part_of(name: str, settings: dict, epochs: int) -> tuple[Experiment, Dataset]:
    """An experiment on the first images of every class, the same share of each."""
    from studio.dataset.scan import scan

    experiment = Experiment().changed({"data.source": str(SHARED / name), "schedule.epochs": epochs} | settings)
    dataset = scan(experiment.data)
    samples = []
    for part, most in (("train", NUM_TRAIN), ("validation", NUM_VALIDATION)):
        of_part = dataset.part(part)
        for label in dataset.classes:
            mine = [s for s in of_part if s.label == label]
            samples += mine[: round(len(mine) * min(1.0, most / len(of_part)))]
    return experiment, dataset.changed(samples=tuple(sorted(samples, key=lambda s: s.id)))


def measured_test(experiment: Experiment, dataset: Dataset) -> dict:
    from studio.engine.rate_test import find_rate

    return json.loads(find_rate(experiment, dataset).to_json())


def measured_run(experiment: Experiment, dataset: Dataset, peak: float) -> dict:
    """The scores of the last epoch of a real run with this peak."""
    from studio.core.run_folder import create_run

    with tempfile.TemporaryDirectory() as scratch:
        folder = create_run(Path(scratch), experiment.changed({"schedule.peak_lr": peak}), dataset.to_json())
        subprocess.run([sys.executable, "-m", "studio.engine", str(folder.path)], check=True, stdout=subprocess.DEVNULL)
        last = folder.read_state().epochs[-1]
        return {"loss": last.validation_loss, "top1": last.validation_top1}


def section(kept: dict, epochs: int) -> str:
    """A table of all runs, and one of what the rules suggest."""
    lines = [
        "## The learning-rate range test against a sweep of peaks",
        "",
        f"Bundled EfficientNet-Lite0, default settings but for what is named, {NUM_TRAIN} training images, {epochs} epochs, seed 0; "
        f"top-1 and loss on {NUM_VALIDATION} validation images at the end. The best as Studio chooses, top-1 and then loss, is bold.",
        "",
        "| | " + " | ".join(f"{factor:g} ×" if factor > 1 else "least peak" for factor in FACTORS) + " |",
        "|---|" + "---|" * len(FACTORS),
    ]
    for name, found in kept.items():
        runs = runs_of(name, found)
        best = best_of(runs)
        cells = []
        for peak in peaks_of(name):
            words = f"{peak:g}: {runs[peak]['top1']:.1%}, {runs[peak]['loss']:.3f}" if peak in runs else "–"
            cells.append(f"**{words}**" if peak == best else words)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| suggested, times the best peak by top-1, by loss | " + " | ".join(kept) + " |", "|---|" + "---|" * len(kept)]
    for rule in RULES:
        cells = [in_words(name, found, test_of(found).suggestions.get(rule.key)) for name, found in kept.items()]
        lines.append(f"| {rule.title.lower()} | " + " | ".join(cells) + " |")
    cells = [f"**{in_words(name, found, test_of(found).best)}**" for name, found in kept.items()]
    lines.append("| the middle one, taken when in doubt (limit: a factor of 3) | " + " | ".join(cells) + " |")
    tests = [test_of(found) for found in kept.values()]
    lines.append("| steps, seconds | " + " | ".join(f"{len(test.rates)}, {test.seconds:.0f} s" for test in tests) + " |")
    return "\n".join(lines)


def runs_of(name: str, found: dict) -> dict[float, dict]:
    return {peak: found[f"{peak:g}"] for peak in peaks_of(name) if f"{peak:g}" in found}


def test_of(found: dict) -> RateTest:
    return RateTest.from_json(json.dumps(found["test"]).encode())


def in_words(name: str, found: dict, value: float | None) -> str:
    """A suggestion, and its factor from the best peak of the sweep, by top-1 and by loss."""
    runs = runs_of(name, found)
    if value is None or not runs:
        return "nothing"
    least_loss = min(runs, key=lambda peak: runs[peak]["loss"])
    return f"{value:g}: × {value / best_of(runs):.2g}, × {value / least_loss:.2g}"


def best_of(runs: dict[float, dict]) -> float | None:
    return max(runs, key=lambda peak: (runs[peak]["top1"], -runs[peak]["loss"]), default=None)


if __name__ == "__main__":
    main()
