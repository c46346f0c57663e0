"""Running a network in two parts at the freeze boundary: the frozen prefix once, what lies behind it as often as needed.

No network is taken apart. The prefix stops a normal forward pass at the last frozen module; the rest is a normal forward pass in
which the frozen modules hand on what they are given and the last one gives out the prefix's features. Networks that add something
between their modules before the boundary (the position embedding of a ViT) keep their first stage running there, on an empty picture,
so that everything has its usual shape. `find_cut` compares both roads on real pictures and gives no cut where they differ by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from studio.catalog.backbones import Stage


class _Reached(Exception):
    def __init__(self, output: torch.Tensor):
        super().__init__()
        self.output = output


class Cut:
    """A network cut behind `frozen`, modules in the order in which they run, of which the first `num_running` run in `rest` too.

    Both parts expect autocast as in training, and the same size of pictures.
    """

    def __init__(self, module: nn.Module, frozen: Sequence[nn.Module], num_running: int, image_shape: Sequence[int]):
        self._module, self._frozen, self._num_running, self._image_shape = module, tuple(frozen), num_running, tuple(image_shape)
        self._given = _Given()

    @property
    def description(self) -> list:
        """Which modules lie before the cut, by name; part of the name of what was computed there."""
        names = {part: name for name, part in self._module.named_modules()}
        return [self._num_running, *(names[part] for part in self._frozen)]

    def on(self, module: nn.Module) -> Cut:
        """The same cut of a network made alike, such as the running mean of the weights."""
        names = {part: name for name, part in self._module.named_modules()}
        frozen = [module.get_submodule(names[part]) for part in self._frozen]
        return Cut(module, frozen, self._num_running, self._image_shape)

    def prefix(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """What the last frozen module gives out, without a graph: features whose first axis is N."""
        return self.prefixes([images_NCHW])[0]

    def prefixes(self, pieces: Iterable[torch.Tensor], run: Callable[..., Iterable[torch.Tensor]] = map) -> list[torch.Tensor]:
        """`prefix` of each piece. `run` stands in for `map`, and may do several at once."""

        def stop(_module, _inputs, output):
            raise _Reached(output)

        handle = self._frozen[-1].register_forward_hook(stop)
        try:
            return list(run(self._until_stopped, pieces))
        finally:
            handle.remove()

    def _until_stopped(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        try:
            with torch.no_grad():
                self._module(images_NCHW)
        except _Reached as reached:
            return reached.output
        raise RuntimeError("The network never came to its freeze boundary.")

    def rest(self, features: torch.Tensor, run: Callable | None = None) -> torch.Tensor:
        """logits_NC from what `prefix` gave. `run` stands in for the module's call."""
        *between, last = self._frozen[self._num_running :]
        start = features
        if self._num_running:
            start = torch.zeros(1, device=features.device).expand(len(features), *self._image_shape)
        own = {module: module.__dict__.get("forward") for module in (*between, last)}
        try:
            for module in between:
                module.forward = _hand_on  # an instance's own attribute comes before the method of its class
            self._given.features, last.forward = features, self._given
            return (run or self._module)(start)
        finally:
            self._given.features = None
            for module, forward in own.items():
                if forward is None:
                    del module.forward
                else:
                    module.forward = forward


class _Given:
    """Stands in for `forward` of the last frozen module: gives out features. Always the same one, so that a compiled network knows it again."""

    features: torch.Tensor | None = None

    def __call__(self, *_args, **_kwargs) -> torch.Tensor:
        return self.features


def _hand_on(given: torch.Tensor, *_args, **_kwargs) -> torch.Tensor:
    return given


def find_cut(module: nn.Module, stages: Sequence[Stage], is_frozen: Sequence[bool], images_NCHW: torch.Tensor) -> Cut | None:
    """The cut behind the frozen stages at the start of the network; None where there are none, or where it would not be exact.

    The module must be in the mode it trains in; dropout behind the boundary is the same on both roads (the random state is put back).
    `images_NCHW` are real pictures, at least two, so that batch norm behind the boundary works.
    """
    num_frozen = next((i for i, frozen in enumerate(is_frozen) if not frozen), len(stages))
    if num_frozen == 0 or num_frozen == len(stages):
        return None
    if num_frozen == len(stages) - 1 and isinstance(getattr(module, "backbone", None), nn.Module):
        names = ["backbone"]  # the head alone trains: pooling and the like lie before the boundary too
    else:
        names = [name for stage in stages[:num_frozen] for name in stage.module_names]
    behind = [name for stage in stages[num_frozen:] for name in stage.module_names]
    frozen = [module.get_submodule(name) for name in names]
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[images_NCHW.device] if images_NCHW.is_cuda else []):
        try:
            order, whole = _trace(module, frozen, [module.get_submodule(name) for name in behind], images_NCHW)
            num_stem = sum(module.get_submodule(name) in order for name in stages[0].module_names)
            for num_running in (0, num_stem) if order else ():
                _put_back(module, buffers)
                cut = Cut(module, order, num_running, images_NCHW.shape[1:])
                if num_running < len(order) and _is_exact(cut, images_NCHW, whole):
                    return cut
        finally:
            _put_back(module, buffers)
    return None


def _trace(module: nn.Module, frozen: Sequence[nn.Module], behind: Sequence[nn.Module], images_NCHW: torch.Tensor):
    """(`frozen` in the order they run, logits); no modules when one runs twice or after one that trains."""
    ran: list[nn.Module] = []
    handles = [m.register_forward_hook(lambda m, *_: ran.append(m)) for m in (*frozen, *behind)]
    try:
        torch.manual_seed(0)
        logits_NC = module(images_NCHW)
    finally:
        for handle in handles:
            handle.remove()
    order = [m for m in ran if m in frozen]
    is_prefix = len(order) == len(set(order)) and ran[: len(order)] == order
    return (order if is_prefix else []), logits_NC


def _is_exact(cut: Cut, images_NCHW: torch.Tensor, whole_NC: torch.Tensor) -> bool:
    try:
        torch.manual_seed(1)
        again = cut.prefix(images_NCHW)
        torch.manual_seed(0)
        features = cut.prefix(images_NCHW)
        if not torch.equal(features, again):  # something random lies before the boundary
            return False
        return isinstance(features, torch.Tensor) and len(features) == len(images_NCHW) and torch.equal(cut.rest(features), whole_NC)
    except (RuntimeError, TypeError, IndexError, ValueError, AttributeError, AssertionError):
        return False  # what lies between the frozen modules did not take the features for a picture


def _put_back(module: nn.Module, buffers: dict[str, torch.Tensor]) -> None:
    for name, buffer in module.named_buffers():
        buffer.copy_(buffers[name])
