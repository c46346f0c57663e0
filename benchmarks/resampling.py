"""What the resampling filter, and keeping pictures a little larger than asked, do to the answers: the bundled backbone with a linear head.

Features of the bundled EfficientNet-Lite0 in front of its head, standardised; scikit-learn's logistic regression. C, of 0.001 to 1, is the best
on the first part with the reference's pictures, and the same for all filters.
Every filter makes the training and the test pictures, as in the program. Five parts take turns as the test, so that all pictures count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from studio.engine.main import be_a_good_neighbour

be_a_good_neighbour()  # threads as the engine has them

import cv2  # noqa: E402 - after the number of threads is set
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from studio.catalog.augments import build_pipeline, evaluation_view, view  # noqa: E402
from studio.core.experiment import Augment  # noqa: E402
from studio.core.rng import sample_seed  # noqa: E402
from studio.dataset.image import decode  # noqa: E402
from studio.engine.folding import Folding  # noqa: E402
from studio.engine.network import Normaliser, bundled_network  # noqa: E402

SHARED = Path(__file__).parents[2] / "shared" / "data"
BATCH, VIEWS = 16, 2
DATA = {"clothing": 100_000, "signs": 1_031}  # at most so many images; signs are enlarged, where no filter but the reference's differs
CS = (1e-3, 1e-2, 1e-1, 1)
Pictures = Iterable[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000, help="at most so many of each")
    options = parser.parse_args()
    embed = Embedding()
    print("## The resampling filter, and what it does to the answers\n")
    print(
        "| images | filter | top-1, five parts | same answers as Pillow's bicubic | head of area averaging on these |\n|---|---|---|---|---|"
    )
    for name, most in DATA.items():
        _report_filters(name, embed, min(most, options.images))
    print("\nThe photographs of `clothing` are shrunk by 1.56, those of `signs` are enlarged.\n")
    _report_kept(embed, options.images)


class Embedding:
    """uint8[224, 224, 3] pictures to float32[N, 1280], what the bundled network gives to its head."""

    def __init__(self):
        trained = bundled_network()
        self.info, self.size = trained.info, trained.input_size
        self._normaliser = Normaliser(trained.mean, trained.std, torch.device("cpu"), channels_last=True)
        with torch.inference_mode():
            folded = Folding(trained.module).fold(trained.module, torch.randn(2, 3, self.size, self.size))
            self._run = (folded or trained.module).to(memory_format=torch.channels_last)
        head = [part for part in self._run.modules() if isinstance(part, nn.Linear)][-1]
        self._caught: list[np.ndarray] = []
        head.register_forward_pre_hook(lambda _head, inputs: self._caught.append(inputs[0].float().numpy()))

    def __call__(self, pictures: Pictures) -> np.ndarray:
        self._caught.clear()
        with torch.inference_mode():
            batch: list[np.ndarray] = []
            for picture in pictures:
                batch.append(picture)
                if len(batch) == BATCH:
                    self._run(self._normaliser(np.stack(batch)))
                    batch = []
            if batch:
                self._run(self._normaliser(np.stack(batch)))
        return np.concatenate(self._caught)


def files_of(name: str, most: int) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Files, their classes, and which of them are validation."""
    paths = sorted(p for p in (SHARED / name).rglob("*") if p.suffix.lower() == ".jpg")
    paths = paths[:: max(1, len(paths) // most)]
    labels = np.unique([p.parent.name for p in paths], return_inverse=True)[1]
    return [p.read_bytes() for p in paths], labels, np.array(["val" in p.parts for p in paths])


def splits_of(labels: np.ndarray) -> list[np.ndarray]:
    """Five parts, every picture in one of them, each class spread evenly: which pictures are tested, per part."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    return [np.isin(np.arange(len(labels)), chosen) for _, chosen in folds]


def fitted(train_NC: np.ndarray, labels_N: np.ndarray, c: float):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # two that wait for one another took forty times as long
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300)).fit(train_NC, labels_N)


def best_c(train_NC: np.ndarray, labels_N: np.ndarray, test_NC: np.ndarray, answers_N: np.ndarray) -> float:
    return max(CS, key=lambda c: fitted(train_NC, labels_N, c).score(test_NC, answers_N))


def _area(image: np.ndarray, size: int) -> np.ndarray:
    is_smaller = image.shape[0] < size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC if is_smaller else cv2.INTER_AREA)


def _pillow(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def filters(embed: Embedding) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    def centre(resize) -> Callable[[np.ndarray], np.ndarray]:
        def of(image: np.ndarray) -> np.ndarray:
            height, width = image.shape[:2]
            side = round(min(height, width) * embed.info.crop_fraction)
            top, left = (height - side) // 2, (width - side) // 2
            return resize(np.ascontiguousarray(image[top : top + side, left : left + side]), embed.size)

        return of

    return {
        "Pillow bicubic": centre(_pillow),
        "area averaging, as before": centre(_area),
        "**Studio**": lambda image: evaluation_view(image, embed.size, embed.info.interpolation, embed.info.crop_fraction),
    }


def _report_filters(name: str, embed: Embedding, most: int) -> None:
    files, labels, _ = files_of(name, most)
    features = {title: embed(made(decode(data)) for data in files) for title, made in filters(embed).items()}
    answers: dict[str, list[np.ndarray]] = {}
    scores: dict[str, list[float]] = {}
    foreign: dict[str, list[float]] = {title: [] for title in features}
    splits, usual = splits_of(labels), features["Pillow bicubic"]
    c = best_c(usual[~splits[0]], labels[~splits[0]], usual[splits[0]], labels[splits[0]])
    for test in splits:
        for title, found in features.items():
            head = fitted(found[~test], labels[~test], c)
            answers.setdefault(title, []).append(head.predict(found[test]))
            scores.setdefault(title, []).append(head.score(found[test], labels[test]))
            if title.startswith("area"):
                for other, theirs in features.items():
                    foreign[other].append(head.score(theirs[test], labels[test]))
    reference = np.concatenate(answers["Pillow bicubic"])
    for title in features:
        same = (np.concatenate(answers[title]) == reference).mean()
        print(f"| {name}, {len(labels):,} | {title} | {np.mean(scores[title]):.2%} | {same:.1%} | {np.mean(foreign[title]):.2%} |")


def _report_kept(embed: Embedding, most: int) -> None:
    """Training views of the light preset from pictures that are kept as they are, and from reduced ones."""
    files, labels, test = files_of("clothing", most)
    pictures = [decode(data) for data in files]
    usual = embed(
        evaluation_view(p, embed.size, embed.info.interpolation, embed.info.crop_fraction) for p, is_test in zip(pictures, test) if is_test
    )
    pipeline = build_pipeline(Augment(preset="light"), embed.size)
    chosen = np.flatnonzero(~test)
    print(f"| clothing, {VIEWS} light views of each training picture | top-1 on validation |\n|---|---|")
    before, c = view.SPARED_FACTOR, None
    try:
        for factor in (1.0, before):
            view.SPARED_FACTOR = factor
            varied = embed(pipeline(pictures[i], sample_seed(0, epoch, int(i))) for epoch in range(VIEWS) for i in chosen)
            answers = np.tile(labels[chosen], VIEWS)
            c = c or best_c(varied, answers, usual, labels[test])
            score = fitted(varied, answers, c).score(usual, labels[test])
            print(f"| kept as they are up to {factor:g} times the working size | {score:.2%} |")
    finally:
        view.SPARED_FACTOR = before


if __name__ == "__main__":
    main()
