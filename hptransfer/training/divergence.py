"""When a run counts as diverged. One place, for the program, the outcome and the documentation.

A run has diverged at step t when its training loss at t (measured before the update of step t, counted from 0) is not
finite or lies above three times the larger of its own first loss and ln(vocabulary), the loss of a uniform guess. A run
that only spikes stays below that; a run that has blown up passes it within a few steps.
"""

from __future__ import annotations

import math

__all__ = ["CEILING_FACTOR", "ceiling_of"]

CEILING_FACTOR = 3.0


def ceiling_of(first_loss: float, vocab_size: int) -> float:
    """Loss above which a run has diverged, from its loss before any update."""
    return CEILING_FACTOR * max(first_loss, math.log(vocab_size))
