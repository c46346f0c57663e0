"""Class probabilities for files and folders. A file that cannot be read is reported and stops nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from studio.catalog.augments import evaluation_view
from studio.catalog.augments.test_time import test_time as choose_test_time
from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput
from studio.dataset.dataset import Cancelled
from studio.dataset.image import ImageRefused, read_image
from studio.dataset.layout import may_be_image
from studio.dataset.walk import list_files
from studio.engine.network import Trained

NUM_READERS = 4  # threads that decode while the network computes

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Prediction:
    """`path` as the operating system gave it. Exactly one of `probabilities_C` (float32) and `reason` is there."""

    path: str
    probabilities_C: np.ndarray | None
    reason: str = ""

    @property
    def best(self) -> int:
        """The most likely class."""
        return int(self.probabilities_C.argmax())

    @property
    def confidence(self) -> float:
        return float(self.probabilities_C.max())

    def top(self, count: int) -> list[tuple[int, float]]:
        """The most likely classes with their probabilities, best first."""
        order = np.argsort(-self.probabilities_C, kind="stable")[:count]
        return [(int(i), float(self.probabilities_C[i])) for i in order]


def find_images(paths: Sequence[str]) -> list[str]:
    """Files as they are given; of folders every file below that may be an image, in order of name. Raises BadInput."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            try:
                files = list_files(path).files
            except OSError as exc:
                raise BadInput(f"{shown(path_to_text(path))} cannot be read: {exc.strerror}.") from None
            found += [file for id_, file in files if may_be_image(id_)]
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise BadInput(f"There is no file or folder {shown(path_to_text(path))}. Check the spelling, or whether it was moved.")
    if not found:
        raise BadInput(
            f"There are no images in {', '.join(shown(path_to_text(p)) for p in paths)}. Give images, or folders in which they lie."
        )
    return found


class Predictor:
    """A trained network on a device. Not thread-safe."""

    def __init__(
        self,
        trained: Trained,
        device: torch.device | str = "cpu",
        test_time: str = "off",
        logits: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ):
        """`test_time` is the key of a test-time augmentation, which `predict` uses. `logits` stands in for the network in long passes: images_NCHW
        on the device to logits_NC. Raises BadInput for an unknown augmentation."""
        self.trained = trained
        self.test_time = choose_test_time(test_time)
        self._device = torch.device(device)
        module = trained.module.to(self._device).eval()
        self._logits = logits or module
        self._normalise = trained.normaliser(self._device)

    def view(self, image: np.ndarray) -> np.ndarray:
        """uint8[H, W, 3] -> what the network sees, uint8[S, S, 3]."""
        t = self.trained
        return evaluation_view(image, t.input_size, t.interpolation, t.crop_fraction)

    def views(self, image: np.ndarray) -> np.ndarray:
        """uint8[H, W, 3] -> the views of the test-time augmentation, uint8[V, S, S, 3]; the usual one first."""
        t = self.trained
        return np.stack(self.test_time.views(image, t.input_size, t.interpolation, t.crop_fraction))

    def probabilities(self, views_NHWC: np.ndarray) -> np.ndarray:
        """uint8[N, S, S, 3] -> float32[N, C]."""
        with torch.inference_mode():
            return self._logits(self._normalise(views_NHWC)).float().softmax(1).cpu().numpy()

    def predict(
        self,
        paths: Sequence[str],
        *,
        batch_size: int = 32,
        progress: Progress | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        words: str = "Predicting",
    ) -> Iterator[Prediction]:
        """Predictions in the order of `paths`, as they come. Raises Cancelled between batches."""
        remaining = iter(paths)
        done = 0
        with ThreadPoolExecutor(NUM_READERS) as pool:
            ahead = [pool.submit(self._read, path) for path in islice(remaining, 2 * batch_size)]
            while ahead:
                if is_cancelled and is_cancelled():
                    pool.shutdown(cancel_futures=True)
                    raise Cancelled
                batch, ahead = [f.result() for f in ahead[:batch_size]], ahead[batch_size:]
                ahead += [pool.submit(self._read, path) for path in islice(remaining, batch_size)]
                yield from self._predict_batch(batch)
                done += len(batch)
                if progress:
                    progress(done, len(paths), words)

    def _read(self, path: str) -> tuple[str, np.ndarray | None, str]:
        try:
            image = read_image(path, self.trained.experiment.data.reading)
            return path, self.views(image), ""
        except (ImageRefused, OSError) as exc:
            return path, None, str(exc)

    def _predict_batch(self, batch: list[tuple[str, np.ndarray | None, str]]) -> Iterator[Prediction]:
        num_views = self.test_time.num_views
        views = [view for _, views_VHWC, _ in batch if views_VHWC is not None for view in views_VHWC]
        rows = iter(())
        if views:
            size = max(1, len(batch))  # the memory of a batch, whatever the number of views
            parts = [self.probabilities(np.stack(views[i : i + size])) for i in range(0, len(views), size)]
            rows = iter(np.concatenate(parts).reshape(-1, num_views, len(self.trained.classes)).mean(1))
        for path, views_VHWC, reason in batch:
            yield Prediction(path, next(rows) if views_VHWC is not None else None, reason)
