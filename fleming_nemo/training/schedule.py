"""Learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable

from fleming_nemo.config.schema import OptimConfig

FLOOR = 0.1
"""Share of the peak at which every decay but `constant` ends."""

WSD_DECAY = 0.2
"""Share of the steps over which `wsd` (warm-up, stable, decay) falls."""

# What lies between the floor (0) and the peak (1), by the share of the decay that is done.
_FALL: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
    "wsd": lambda done: 1 - done,
}


def learning_rate(optim: OptimConfig, step: int, steps: int) -> float:
    """Rate of the update number `step` (from 0) of `steps`: linear warm-up to `optim.lr`, then `optim.decay`.

    A decay begins with the update after the warm-up (`wsd`: with the last fifth of the steps, or after a warm-up that
    is longer than the rest) and would reach a tenth of the peak at the update number `steps`, the first that is not
    made.
    """
    warmup = optim.warmup_steps
    if step < warmup:
        return optim.lr * ((step + 1) / warmup)  # in this order the last one is the peak to the last bit
    start = max(warmup, steps * (1 - WSD_DECAY)) if optim.decay == "wsd" else warmup
    done = min(1.0, max(0.0, (step - start) / (steps - start))) if steps > start else 0.0
    fall = _FALL[optim.decay](done)
    return optim.lr if fall == 1 else optim.lr * (FLOOR + (1 - FLOOR) * fall)
