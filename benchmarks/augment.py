"""Decoding and varying photographs, on one core, and the preview of a slider's move: Studio beside Pillow with albumentations, torchvision and fastai.

Photographs are brought to 500 x 375 and held in memory as JPEG. Every side does what the medium preset does: random crop, mirror, turn of
12 degrees, colour; all end as normalised floats in batches of 32. CPU seconds of this process; sides take turns, medians of the passes.
"""

from __future__ import annotations

import argparse
import io
import os
import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import numpy as np  # noqa: E402 - after the number of threads is set

SIZE, BATCH = 224, 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared" / "data" / "clothing"))
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--passes", type=int, default=7)
    options = parser.parse_args()
    files = photographs(Path(options.data), options.images)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("STUDIO_HOME", f"{scratch}/home")
        _report_loading(_timed(_sides(files, Path(scratch)), options.passes, len(files)))
        _report_preview(files, Path(scratch), 4 * options.passes)


def photographs(folder: Path, count: int) -> list[bytes]:
    """JPEGs of 500 x 375 or upright, with the noise of a camera's own."""
    from PIL import Image

    paths = sorted(folder.glob("train/*/*.jpg"))
    found = []
    for path in paths[:: max(1, len(paths) // count)][:count]:
        with Image.open(path) as picture:
            upright = picture.width < picture.height
            out = io.BytesIO()
            picture.convert("RGB").resize((375, 500) if upright else (500, 375), Image.Resampling.LANCZOS).save(out, "JPEG", quality=93)
            found.append(out.getvalue())
    return found


def _timed(sides: dict[str, Callable[[], object]], passes: int, num_images: int) -> dict[str, float]:
    """Milliseconds of CPU per image, medians of the passes."""
    for side in sides.values():
        side()  # caches, imports, first touches
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(passes):
        for name, side in sides.items():
            start = time.process_time()
            side()
            found[name].append((time.process_time() - start) / num_images * 1e3)
    return {name: statistics.median(values) for name, values in found.items()}


def _sides(files: list[bytes], scratch: Path) -> dict[str, Callable[[], object]]:
    import albumentations as alb
    import cv2
    import torch
    from albumentations.pytorch import ToTensorV2
    from PIL import Image
    from torchvision.transforms import v2

    from studio.catalog.augments import build_pipeline, shrink_to_working_size
    from studio.core.experiment import Augment
    from studio.dataset.decoded import DecodedCache, content_of
    from studio.dataset.image import decode
    from studio.engine.network import Normaliser

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    normalise = Normaliser(MEAN, STD, torch.device("cpu"), channels_last=True)
    medium, light = build_pipeline(Augment(preset="medium"), SIZE), build_pipeline(Augment(preset="light"), SIZE)
    working = [shrink_to_working_size(decode(data), SIZE) for data in files]
    disk = DecodedCache(scratch / "decoded")
    for data, picture in zip(files, working, strict=True):
        disk.put(content_of(data), "w", picture)

    def batched(pictures) -> None:
        batch: list[np.ndarray] = []
        for picture in pictures:
            batch.append(picture)
            if len(batch) == BATCH:
                normalise(np.stack(batch))
                batch = []

    crop = alb.RandomResizedCrop(size=(SIZE, SIZE), scale=(0.35, 1.0), interpolation=cv2.INTER_CUBIC, area_for_downscale="image")
    flip = alb.HorizontalFlip(p=0.5)
    turn = alb.Affine(rotate=(-12, 12), border_mode=cv2.BORDER_REFLECT_101, p=0.5)
    colour = alb.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.02, 0.02), p=0.7)
    end = [alb.Normalize(MEAN, STD), ToTensorV2()]
    full = alb.Compose([flip, turn, colour, crop, *end])
    crop_first = alb.Compose([crop, flip, turn, colour, *end])
    tv = v2.Compose([
        v2.RandomResizedCrop(SIZE, scale=(0.35, 1.0), antialias=True), v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.RandomAffine(12)], 0.5), v2.RandomApply([v2.ColorJitter(0.2, 0.2, 0.2, 0.02)], 0.7),
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    pil_crop = v2.RandomResizedCrop(SIZE, scale=(0.5, 1.0), antialias=True)

    def pillow(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")

    def stacked(transform, load) -> None:
        batch = []
        for data in files:
            batch.append(transform(load(data)))
            if len(batch) == BATCH:
                torch.stack(batch)
                batch = []

    def as_array(transform):
        return lambda picture: transform(image=np.asarray(picture))["image"]

    sides = {
        "studio": lambda: batched(medium(decode(data), i) for i, data in enumerate(files)),
        "studio cached": lambda: batched(medium(picture, i) for i, picture in enumerate(working)),
        "full size": lambda: stacked(as_array(full), pillow),
        "crop first": lambda: stacked(as_array(crop_first), pillow),
        "torchvision": lambda: stacked(tv, pillow),
        "crop studio": lambda: [light(picture, i) for i, picture in enumerate(working)],
        "crop disk": lambda: [light(disk.get(content_of(data), "w"), i) for i, data in enumerate(files)],
        "crop pillow": lambda: [np.asarray(pil_crop(pillow(data))) for data in files],
    }
    if fastai := _fastai(files, scratch):
        sides["fastai"] = fastai
    return sides


def _fastai(files: list[bytes], scratch: Path) -> Callable[[], object] | None:
    """fastai's own road: RandomResizedCrop per image, aug_transforms and Normalize per batch. None where it is not installed."""
    try:
        from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, Normalize, RandomResizedCrop, aug_transforms, imagenet_stats
    except ImportError:
        return None
    paths = []
    for i, data in enumerate(files):
        paths.append(scratch / f"{i:04d}.jpg")
        paths[-1].write_bytes(data)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=["a", "b"])), get_y=lambda path: "ab"[int(path.stem) % 2], splitter=lambda items: (range(len(items)), [0]),
        item_tfms=RandomResizedCrop(SIZE, min_scale=0.35),
        batch_tfms=[*aug_transforms(max_rotate=12, max_zoom=1.0, max_lighting=0.2, max_warp=0, p_affine=0.5, p_lighting=0.7),
                    Normalize.from_stats(*imagenet_stats)],
    )  # fmt: skip
    loader = block.dataloaders(paths, bs=BATCH, num_workers=0).train
    return lambda: [None for _ in loader]


def _report_loading(ms: dict[str, float]) -> None:
    titles = {
        "studio": "**Studio**: decode, crop, vary, normalise per batch",
        "full size": "Pillow, albumentations at full size, then crop",
        "crop first": "Pillow, albumentations, crop first",
        "torchvision": "Pillow, torchvision v2",
        "fastai": "fastai",
        "studio cached": "Studio from decoded pictures in memory",
    }
    print("## Decoding and varying photographs of 500 x 375, one core\n")
    print("| medium preset | ms per image | images/s | : Studio |\n|---|---|---|---|")
    for name, title in titles.items():
        if name in ms:
            print(f"| {title} | {ms[name]:.2f} | {1e3 / ms[name]:,.0f} | {ms[name] / ms['studio']:.2f} |")
    print("\n| decode and crop to 224 | ms per image | Pillow : this |\n|---|---|---|")
    for name, title in (
        ("crop pillow", "Pillow"),
        ("crop studio", "Studio, decoded pictures in memory"),
        ("crop disk", "Studio, decoded pictures on disk, found by content"),
    ):
        print(f"| {title} | {ms[name]:.3f} | {ms['crop pillow'] / ms[name]:.1f} |")
    print(f"\nLimits: full size : Studio >= 1.4 (here **{ms['full size'] / ms['studio']:.2f}**), Pillow : memory >= 8 (here "
          f"**{ms['crop pillow'] / ms['crop studio']:.1f}**). Load {os.getloadavg()[0]:.1f}.")  # fmt: skip


def _report_preview(files: list[bytes], scratch: Path, moves: int) -> None:
    """A slider of the medium pipeline moves: first tile and all 16 from the worker, against a matplotlib grid of the same tiles."""
    from studio.catalog.augments import pipeline_of
    from studio.core.experiment import Experiment
    from studio.supervise.worker import Worker

    paths = []
    for i, data in enumerate(files[:16]):
        paths.append(scratch / f"tile-{i}.jpg")
        paths[-1].write_bytes(data)
    steps = pipeline_of(Experiment().changed({"augment.preset": "medium"}).augment)
    subjects = [{"path": str(path), "index": i, "epoch": 0} for i, path in enumerate(paths)]
    worker = Worker("preview")
    first_ms, all_ms = [], []
    try:
        for move in range(moves + 2):
            turned = steps[2].model_copy(update={"params": steps[2].params | {"rotate": (-12.0 - move / 10, 12.0)}})
            spec = Experiment().changed({"augment.preset": "custom", "augment.transforms": (*steps[:2], turned, *steps[3:])})
            raw = spec.model_dump(mode="json", include={"schema_version", "model", "augment", "training"})
            answers: queue.SimpleQueue = queue.SimpleQueue()
            start = time.perf_counter()
            arrived: list[float] = []

            def on_part(part: dict, start=start, arrived=arrived) -> None:
                arrived.append(time.perf_counter() - start)

            worker.call("tiles", {"experiment": raw, "subjects": subjects}, answers.put, answers.put, on_part=on_part)
            answers.get(timeout=120)
            if move >= 2:
                first_ms.append(arrived[0] * 1e3)
                all_ms.append(arrived[-1] * 1e3)
    finally:
        worker.close(5)
    grid = _matplotlib_ms(files[:16])
    first, everything = statistics.median(first_ms), statistics.median(all_ms)
    print("\n## A slider of the medium pipeline moves: 16 tiles of 224 px from the preview worker\n")
    print("| | first tile | all 16 |\n|---|---|---|")
    print(f"| Studio, from the request to pixels in the window's process | {first:.1f} ms | {everything:.1f} ms |")
    grid_words = f"{grid:.0f} ms" if grid else "not installed"
    print(f"| matplotlib grid of varied pictures, drawn with Agg | | {grid_words} |")
    ratio = f", matplotlib : Studio >= 5 (here **{grid / everything:.1f}**)" if grid else ""
    print(f"\nLimits: 5 ms, 33 ms{ratio}. Medians of {moves} moves; load {os.getloadavg()[0]:.1f}.")


def _matplotlib_ms(files: list[bytes], rounds: int = 5) -> float | None:
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from studio.catalog.augments import build_pipeline
    from studio.core.experiment import Augment
    from studio.dataset.image import decode

    pipeline, pictures = build_pipeline(Augment(preset="medium"), SIZE), [decode(data) for data in files]
    seen = []
    for number in range(rounds + 1):
        start = time.perf_counter()
        figure, axes = plt.subplots(4, 4, figsize=(9, 9))
        for i, axis in enumerate(axes.flat):
            axis.imshow(pipeline(pictures[i], number * 16 + i))
            axis.axis("off")
        figure.canvas.draw()
        plt.close(figure)
        seen.append((time.perf_counter() - start) * 1e3)
    return statistics.median(seen[1:])


if __name__ == "__main__":
    main()
