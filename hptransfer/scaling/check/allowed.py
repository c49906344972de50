"""Which slope each row of a coordinate check is allowed: level, but for what does not grow, at the start.

Over width, at the first step, the size of a tensor that does not grow itself may shrink down to m^−½, forwards and
backwards, wherever in the model it is and whatever it is called:

- forwards, as a readout does: m terms of random sign, divided by m, add up to √m/m;
- backwards: the gradient of a number that the model reads in m places is a sum of m terms of random sign, each ∝ 1/m
  behind a 1/m readout. (A tensor that grows has one of these terms a feature, and is compared by their sum.)

How far it shrinks depends on what made it: logits do, outputs of a hidden matrix do not, for its init is larger. Once
weights have learned the terms line up and nothing shrinks, so that a later step is judged as any other. A tensor does
not grow when it has as many numbers a sequence at every width: logits, keys that all heads share, what a router says
of its experts, the state and the steps of a state space, and every module that hands one of these on. So with what
acts on the loss through such numbers alone: queries and keys of a fixed number of heads act through as many scores at
every width, whose gradient shrinks, and theirs with it. Of a tensor that acts around the scores as well (values beside
queries in one matrix, the norm before them) that part of the gradient is judged (`slopes.sizes`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hptransfer.scaling.check.slopes import Axis, MeanSlope

__all__ = ["FIRST", "GRADIENT", "LAST", "UPDATE", "Allowed", "Tolerances"]

FIRST, GRADIENT, UPDATE, LAST = 0.1, 0.15, 0.15, 0.5
"""|slope| that is allowed of an activation at the first step, of a gradient and an update there, and of an activation
at the last step. An exponent off by ¼ gives 0.25 at the first step. A sound rule is level there up to what few weights
do: measured at widths 64 to 256 and 8 weights per neuron or more, 0.03 (updates over width 0.04). After some steps it
is not: published code reaches 0.26 at step 10 over density, SμPar 0.28 at step 5 over these widths; rules that are
wrong reach 1 to 2.7. So the first step decides on exponents, and the last on what grows out of hand.
"""

_MAY_SHRINK = ("activation", "gradient", "input_gradient")
_SHRINKS_TO = -0.5
_SHARED = -0.25
"""Of the update of scores. Keys that many heads share learn what is asked of them on the mean, of which each head's own
wish is the less the more there are; queries learn their own. Measured with one key head: −0.14 from 4 heads to 16."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The slopes a row may have, from `low` to `high`; NaN where it is not judged."""

    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Allowed:
        """From a row of the verdict's table."""
        return cls(row["allowed_low"], row["allowed_high"])

    @property
    def judged(self) -> bool:
        """Whether the row is judged at all."""
        return not math.isnan(self.high)

    @property
    def may_shrink(self) -> bool:
        """Whether more is allowed below than above."""
        return -self.low > self.high

    def holds(self, low: float, high: float) -> bool:
        """Whether an interval lies within."""
        return self.low <= low and high <= self.high

    def chance(self, found: MeanSlope) -> float:
        """How likely a slope at its limit looks as bad as this one."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return MeanSlope(found.slope - middle, found.error, found.seeds).chance_beyond(half)

    def reach(self, low: float, high: float) -> float:
        """How far an interval reaches from the middle of what is allowed; 1 is the limit."""
        return max(high - (self.low + self.high) / 2, (self.low + self.high) / 2 - low) / ((self.high - self.low) / 2)

    def number(self, slope: float) -> str:
        """A slope in two decimals, or in as many as show on which side of the limits it is."""
        for decimals in range(2, 7):
            text = f"{slope:+.{decimals}f}"
            if self.holds(slope, slope) == self.holds(float(text), float(text)):
                break
        return text

    def __str__(self) -> str:
        """`0.1` where both sides are, else `-0.6 to +0.1`."""
        return f"{self.low:+g} to {self.high:+g}" if self.may_shrink else f"{self.high:g}"


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far from level the rows of one check may be, between its first step and its last."""

    axis: Axis
    first_step: int
    last_step: int
    first: float = FIRST
    update: float = UPDATE
    last: float = LAST

    def of(self, kind: str, step: int, role: str, sizes: pd.DataFrame) -> Allowed:
        """What is allowed of a row; `sizes` are its sizes, one a place and seed, as `slopes.sizes` gives them."""
        if step == self.last_step != self.first_step:
            return Allowed(-self.last, self.last) if kind == "activation" else Allowed()
        at_first = {
            "activation": self.first,
            "gradient": GRADIENT,
            "input_gradient": GRADIENT,
            # of a sum its aligned part is judged instead of its mean size
            "aligned_update": self.update,
            **({"update": self.update} if role == "embedding" else {}),
        }
        if step != self.first_step or kind not in at_first:
            return Allowed()
        below = 0.0
        if self.axis == "width" and kind in _MAY_SHRINK and _does_not_grow(sizes):
            below = _SHRINKS_TO
        elif self.axis == "width" and (kind, role) == ("aligned_update", "scores"):
            below = _SHARED
        return Allowed(-at_first[kind] + below, at_first[kind])


def _does_not_grow(sizes: pd.DataFrame) -> bool:
    """Whether a tensor, or what its gradient comes through, has as many numbers at every width."""
    return bool(sizes["through"].all()) or sizes["features"].nunique() == 1
