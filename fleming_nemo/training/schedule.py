"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math

from fleming_nemo.config.schema import OptimConfig


def learning_rate(optim: OptimConfig, step: int, steps: int) -> float:
    """Rate of the update number `step` (from 0) of `steps`: linear warm-up, then constant or cosine to a tenth."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    if optim.decay == "constant":
        return optim.lr
    progress = (step - optim.warmup_steps) / max(1, steps - optim.warmup_steps)
    return optim.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))
