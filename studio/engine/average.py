"""The running mean of the weights (EMA), which is validated and kept instead of the weights themselves."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """A second module with the mean of the first one's weights. Buffers (batch norm's statistics) are copied: they are means already.

    The decay begins low and rises to the one asked for, min(decay, (1 + n) / (10 + n)) after n updates, as in TensorFlow's
    ExponentialMovingAverage: else the mean of a short run would be made of the weights it started from.
    """

    def __init__(self, module: nn.Module, num_updates: int = 0, weights: Mapping[str, torch.Tensor] | None = None):
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.num_updates = num_updates
        if weights is not None:
            self.module.load_state_dict(weights)

    def update(self, module: nn.Module, decay: float) -> None:
        """Take in the weights after a step."""
        n = self.num_updates
        with torch.no_grad():
            mine, theirs = list(self.module.parameters()), list(module.parameters())
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(mine, theirs, n)
        self.num_updates = n + 1

    def finished(self, module: nn.Module) -> nn.Module:
        """The mean's module with the buffers of `module`, ready to be used or saved."""
        with torch.no_grad():
            for mine, theirs in zip(self.module.buffers(), module.buffers(), strict=True):
                mine.copy_(theirs)
        return self.module
