"""How small an error of an exponent a passed check would have caught.

What an error of e does to the rows it touches is known, not measured:

- LR of the hidden matrices: the first update is proportional to the LR, so every `aligned_update` of a hidden matrix is
  tilted by e exactly.
- Init of the hidden matrices: the first output of a hidden matrix is proportional to its init, so where its input is
  level, as behind a norm, its activation is tilted by e exactly; further down a branch the errors of two matrices add
  up, so by more.

Caught means: would not have passed in 95 of 100 checks with these seeds and this spread, whichever sign the error has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy.special import nctdtrinc

from hptransfer.scaling.check.slopes import quantile

__all__ = ["Caught", "smallest_caught"]

HIDDEN = ("hidden", "residual")
MISSED = 0.05


@dataclass(frozen=True)
class Caught:
    """The smallest errors of the hidden matrices' exponents that would have been caught; NaN where nothing tells."""

    lr: float = math.nan
    init_std: float = math.nan


def smallest_caught(slopes: pd.DataFrame, first_step: int, alpha: float) -> Caught:
    """Of one rule's rows; NaN unless they all passed, each test made at `alpha`."""
    if not slopes["passed"].all():
        return Caught()
    hidden = slopes[slopes["role"].isin(HIDDEN) & (slopes["step"] == first_step) & slopes["allowed_high"].notna()]
    return Caught(*(_smallest(hidden[hidden["kind"] == kind], alpha) for kind in ("aligned_update", "activation")))


def _smallest(rows: pd.DataFrame, alpha: float) -> float:
    """The least tilt, in the direction where it is larger, that takes one row where it passes in 5 of 100 checks.

    A true slope so many standard errors within its limit gives a t statistic that is noncentral by as many: it
    exceeds the test's quantile, so that the row passes, with the chance sought.
    """
    if rows.empty:
        return math.nan
    freedom = rows["seeds"].to_numpy(float) - 1
    below = nctdtrinc(freedom, 1 - MISSED, [quantile(1 - alpha, seeds) for seeds in rows["seeds"]])
    up, down = rows["allowed_high"] - rows["slope"], rows["slope"] - rows["allowed_low"]
    return float(max((room - below * rows["error"]).min() for room in (up, down)))
