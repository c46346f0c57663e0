"""Counter-based randomness: every draw is a function of what it is for, never of what was drawn before.

So the result does not depend on the number of loader workers, and a resume in mid-epoch is exact.
Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np

_ORDER, _SAMPLE, _STEP, _INIT, _MIX, _SYNTHETIC = range(6)  # separate streams, so that equal counters never share draws


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def epoch_order(seed: int, epoch: int, num_samples: int) -> np.ndarray:
    """The order in which an epoch visits the samples: int64[num_samples], a permutation, f(seed, epoch)."""
    return _generator(_ORDER, seed, epoch).permutation(num_samples)


def synthetic_per_epoch(num_real: int, num_synthetic: int, fraction: float) -> int:
    """How many made images an epoch sees besides every real one, so that they are `fraction` of all; none where there are none."""
    return round(num_real * fraction / (1 - fraction)) if num_synthetic and fraction > 0 else 0


def training_order(seed: int, epoch: int, num_real: int, num_synthetic: int = 0, num_taken: int = 0) -> np.ndarray:
    """The samples of an epoch in their order, int64: every real one (0 to num_real - 1) once, and `num_taken` of the made ones that follow.

    Made images take turns: over the epochs each is seen equally often, give or take one. Without them, `epoch_order`.
    """
    if not num_taken:
        return epoch_order(seed, epoch, num_real)
    turns = np.arange(epoch * num_taken, (epoch + 1) * num_taken)
    rounds = {number: _generator(_SYNTHETIC, seed, number).permutation(num_synthetic) for number in set((turns // num_synthetic).tolist())}
    made = np.array([rounds[turn // num_synthetic][turn % num_synthetic] for turn in turns.tolist()])
    everything = np.concatenate([np.arange(num_real), num_real + made])
    return everything[epoch_order(seed, epoch, len(everything))]


def sample_seed(seed: int, epoch: int, sample_index: int) -> int:
    """The seed of one sample's augmentation: 32 bits, f(seed, epoch, sample index)."""
    return int(np.random.SeedSequence((_SAMPLE, seed, epoch, sample_index)).generate_state(1)[0])


def step_seed(seed: int, step: int, batch: int = 0) -> int:
    """The seed of what is random inside one batch of a step (dropout, drop-path): 32 bits, f(seed, step, batch)."""
    return int(np.random.SeedSequence((_STEP, seed, step, batch)).generate_state(1)[0])


def mix_draws(seed: int, step: int, batch: int = 0) -> np.random.Generator:
    """The draws that blend the images of one batch of a step: f(seed, step, batch)."""
    return _generator(_MIX, seed, step, batch)


def init_seed(seed: int) -> int:
    """The seed of the new layers' initialisation: 32 bits, f(seed)."""
    return int(np.random.SeedSequence((_INIT, seed)).generate_state(1)[0])
