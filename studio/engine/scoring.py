"""Scoring the network of a run on a part of its data, in the least work that gives the same answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from studio.engine.caching import follow_boundary
from studio.engine.checkpoint import find_checkpoint
from studio.engine.evaluate import Answers, Scores, answer, joined, score, write_results
from studio.engine.failure import NoReadableImages
from studio.engine.prefix import LANE_CHUNK
from studio.engine.setup import Setup
from studio.engine.wishes import listen

LEAST_FOLDED = 64  # images to score: folding batch norms costs a few forward passes


def evaluate(s: Setup, part: str, *, is_again: bool = False) -> tuple[Scores, Answers]:
    """Scores and answers on a part of the data. Raises StopAsked between batches, where pausing works too, and NoReadableImages. `is_again`: of
    validation with the best weights in place, as the test part always is; they must not be saved as the last."""
    is_last = part == "validation" and not is_again

    indices, module = s.parts[part], scored_module(s)
    # on a processor few enough for its caches
    size = LANE_CHUNK * torch.get_num_threads() if s.device.type == "cpu" else 2 * s.experiment.training.batch_size
    follow_boundary(s, is_last)

    def between(_done: int, refused: dict[int, str]) -> None:
        s.reporter.unreadable({s.ids[i]: reason for i, reason in refused.items()})
        listen(s, is_last)

    batches = s.prefix.evaluation_batches(indices, min(size, s.loader.max_batch), module, between)
    answers = answer(_without_batch_norms(s, module, indices), _warned(s, batches), s.labels, s.forward, lambda: listen(s, is_last))
    answers = joined(s.ranks.gather(answers))
    if not len(answers.labels_N):
        raise NoReadableImages(part)
    s.reporter.unreadable_in_all()
    return score(answers, len(s.dataset.classes)), answers


def scored_module(s: Setup) -> nn.Module:
    """The network that is validated and kept: the running mean where there is one."""
    return s.average.module if s.average else s.network.module


def _without_batch_norms(s: Setup, module: nn.Module, part: range) -> nn.Module:
    """What gives the same answers in less time, where the pass is long enough for that to matter."""
    if len(part) < LEAST_FOLDED or s.prefix.leaves_a_head(module) or len(pictures := s.prefix.chunk()) == 0:
        return module
    return s.folding.fold(module, pictures) or module


def _warned(s: Setup, batches):
    for batch in batches:
        s.reporter.unreadable({s.ids[i]: reason for i, reason in batch.refused.items()})
        yield batch


def write_part(s: Setup, part: str, scores: Scores, answers: Answers, step: int | None = None) -> None:
    """Store answers of the network after `step` steps, by default those done."""
    ids, step = [s.ids[i] for i in answers.indices_N], s.progress.step if step is None else step

    def write() -> None:
        s.reporter.with_room(lambda: write_results(s.folder.results_path, part, s.dataset.classes, scores, answers, ids, step))

    s.ranks.from_first(write)


def answer_again(s: Setup) -> None:
    """After the run went back behind its best epoch: put the answers of the best that is left in place of those stored."""
    if best := s.progress.best:  # else the first epoch to end is the best
        s.reporter.phase("validating", f"epoch {best['epoch'] + 1} again, the best that is left")
        follow_boundary(s)  # features to train from are those of the last weights
        with best_weights(s):
            scores, answers = evaluate(s, "validation", is_again=True)
        write_part(s, "validation", scores, answers, best["step"])
    s.is_behind_best = False


@contextlib.contextmanager
def best_weights(s: Setup) -> Iterator[None]:
    """The network of the best epoch; the last one is back afterwards, whatever happens, since a checkpoint may be saved then."""
    from safetensors.torch import load_file

    module, best = scored_module(s), find_checkpoint(s.folder, "best")
    last = {name: tensor.to("cpu", copy=True) for name, tensor in module.state_dict().items()}
    if best:
        s.reporter.damaged(best.damaged, f"step {best.step:,} is scored instead")
    try:
        if best:
            module.load_state_dict(load_file(best.weights_path))
        yield
    finally:
        module.load_state_dict(last)
