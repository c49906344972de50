"""Learning-rate schedules, as the factor of the peak LR at each step."""

from __future__ import annotations

import math

from hptransfer.study.pieces import ScheduleName

__all__ = ["lr_factor"]

FLOOR = 0.1
"""Where `tenth` and `cosine` end, as a share of the peak."""

WSD_DECAY = 0.2
"""Share of the steps that `wsd` spends on its final linear decay to zero."""


def lr_factor(schedule: ScheduleName, step: int, steps: int, warmup: float) -> float:
    """Factor of the peak LR at `step` (0-based) of `steps`; `warmup` is the share spent rising linearly.

    The rise takes w = round(warmup · steps) steps and goes 1/w, 2/w, … 1: no step is wasted at zero. After it the
    decay is read at x = (step − w) / (steps − w), so that the last step still moves and x = 1 falls just after it.
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    x = (step - rise) / max(1, steps - rise)
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - x
    if schedule == "tenth":
        return 1.0 - (1.0 - FLOOR) * x
    if schedule == "cosine":
        return FLOOR + (1.0 - FLOOR) * 0.5 * (1.0 + math.cos(math.pi * x))
    decay = max(1, round(WSD_DECAY * steps))
    return min(1.0, (steps - step) / decay)
