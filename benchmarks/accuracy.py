"""What the default experiment reaches, without a window: `studio train --data DIR` on both data sets, beside a linear probe.

The probe is scikit-learn's logistic regression on the standardised features that the same pretrained network gives to its head, on the
pictures and the parts of that very run; of C = 0.001 to 1 the best on validation. A frozen network must reach it, and fine-tuning beat it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = {"clothing": 0.86, "signs": 0.96}  # limits of top-1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data"), help="the folder with both data sets")
    parser.add_argument(
        "--per-class", type=int, help="so many images of each class folder only: to try this module, its figures say nothing"
    )
    parser.add_argument("--epochs", type=int, help="instead of the default's; as above")
    parser.add_argument("--probe", metavar="RUN", type=Path, help="only the probe on the images of a run, as JSON")
    options = parser.parse_args()
    if options.probe:
        print(json.dumps(_probe(options.probe)))
        return
    part = f", a try with {options.per_class} images of each class folder" if options.per_class else ""
    print(f"## Accuracy of the default experiment{part}\n")
    print("Bundled EfficientNet-Lite0, all defaults, no window: `studio train --data DIR`; figures of the best epoch on validation.\n")
    print("| data | train, validation | top-1 | top-5 | loss | best epoch | limit | linear probe |")
    print("|---|---|---|---|---|---|---|---|")
    for name, limit in DATA.items():
        with tempfile.TemporaryDirectory() as scratch:
            data = Path(options.data) / name
            if options.per_class:
                data = _part_of(data, Path(scratch) / name, options.per_class)
            print(_row(name, data, Path(scratch), limit, options.epochs), flush=True)
    print(
        "\nOne seed each. The hands of `signs` belong to 218 people who appear in both parts of a random split, so its figures say how well a "
        "network knows these people's hands, not hands in general."
    )


def _row(name: str, data: Path, scratch: Path, limit: float, epochs: int | None) -> str:
    command = [sys.executable, "-m", "studio", "train", "--data", str(data), "--runs", str(scratch / "runs"), "--json"]
    if epochs:
        command += ["--set", f"schedule.epochs={epochs}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"STUDIO_HOME": f"{scratch}/home"}, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    command = [sys.executable, "-m", "benchmarks.accuracy", "--probe", found["run"]]  # apart: it sets threads for its whole process
    num_train, num_validation, probe = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return (
        f"| {name} | {num_train:,}, {num_validation:,} | **{found['top1']:.2%}** | {found['top5']:.2%} | {found['loss']:.3f} | "
        f"{found['best_epoch']} of {found['epochs']} | {limit:.0%} | {probe:.2%} |"
    )


def _probe(run: Path) -> tuple[int, int, float]:
    """Images of both parts of a run, and top-1 of the probe on them."""
    from benchmarks.resampling import Embedding, best_c, fitted
    from studio.catalog.augments import evaluation_view
    from studio.dataset.dataset import Dataset
    from studio.dataset.image import read_image

    dataset, embed = Dataset.from_json((run / "dataset.json").read_bytes()), Embedding()
    parts = {}
    for part in ("train", "validation"):
        samples = dataset.part(part)
        pictures = (evaluation_view(read_image(dataset.path_of(s)), embed.size, embed.info.interpolation, embed.info.crop_fraction) for s in samples)  # fmt: skip
        parts[part] = embed(pictures), [dataset.class_index[s.label] for s in samples]
    (train_NC, labels), (test_NC, answers) = parts.values()
    c = best_c(train_NC, labels, test_NC, answers)
    return len(labels), len(answers), fitted(train_NC, labels, c).score(test_NC, answers)


def _part_of(data: Path, to: Path, per_class: int) -> Path:
    """A copy with the first images of every folder."""
    for folder in sorted({p.parent for p in data.rglob("*") if p.suffix.lower() == ".jpg"}):
        home = to / folder.relative_to(data)
        home.mkdir(parents=True)
        for file in sorted(folder.iterdir())[:per_class]:
            shutil.copy(file, home)
    return to


if __name__ == "__main__":
    main()
