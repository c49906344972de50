"""When a run counts as diverged. One place, for the program, the outcome and the documentation.

A run has diverged at step t when its training loss at t (measured before the update of step t, counted from 0) is not
finite or lies above three times the larger of its own first loss and its task's chance level (ln(vocabulary) for
`language`, the loss of a uniform guess); of its first loss alone where the task has none. A run that only spikes stays
below that; a run that has blown up passes it within a few steps.
"""

from __future__ import annotations

__all__ = ["CEILING_FACTOR", "ceiling_of"]

CEILING_FACTOR = 3.0


def ceiling_of(first_loss: float, chance: float) -> float:
    """Loss above which a run has diverged, from its loss before any update; `chance` may be NaN."""
    return CEILING_FACTOR * max(first_loss, chance)  # in this order a chance that is NaN counts for nothing
