"""Whether the slopes of a coordinate check are flat: shown to be, shown not to be, or not known.

A row (a kind of module, a kind of size, a step) passes when the interval of its slope lies within the tolerance, fails
when it lies outside, and is open otherwise. Not having been seen to drift is no pass.

- Passing is an equivalence test: a one-sided test at `ALPHA` on either side. A rule passes when every row does, so a
  rule with one slope at its tolerance or beyond passes by chance at most once in 1/`ALPHA` checks (an
  intersection–union test, which needs no correction for the number of rows).
- Failing is one row's doing, so it is held to `ALPHA` for all rows of a rule and axis together (Holm).
- Seeds are added until a rule is decided, and each look could err, so each has an equal share of `ALPHA`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

from hptransfer.common.errors import InputError
from hptransfer.common.holm import holm
from hptransfer.scaling.check.allowed import FIRST, LAST, UPDATE, Allowed, Tolerances
from hptransfer.scaling.check.caught import Caught, smallest_caught
from hptransfer.scaling.check.sentence import check_sentence
from hptransfer.scaling.check.slopes import Axis, MeanSlope, mean_slope, seed_slopes, sizes
from hptransfer.study.axes import FEW_NONZEROS

__all__ = [
    "ALPHA",
    "Axis",
    "CheckVerdict",
    "Outcome",
    "judge_check",
    "with_enough_weights",
]

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]

ALPHA = 0.05
"""How often, at most, a rule that should not pass passes, and one that should not fail fails."""


@dataclass(frozen=True)
class CheckVerdict:
    """What a coordinate check came to.

    `slopes` has a row for every (rule, module kind, kind) at the first and the last step: rule, module, kind, step,
    role, slope, slope_low, slope_high (the interval by which it is judged), error (standard), seeds, allowed_low,
    allowed_high (NaN where not judged), outcome, passed, why. `caught`: the smallest errors with which a rule would not
    have passed.
    """

    axis: Axis
    slopes: pd.DataFrame
    by_rule: dict[str, Outcome]
    caught: dict[str, Caught]
    sentence: str

    @property
    def passed(self) -> bool:
        """Whether every rule in the frame passed."""
        return all(outcome == "PASS" for outcome in self.by_rule.values())

    def failures(self) -> pd.DataFrame:
        """The judged rows that did not pass, worst first; non-finite slopes count as worst."""
        failed = self.slopes[~self.slopes["passed"]]
        order = failed["slope"].abs().fillna(math.inf).sort_values(ascending=False).index
        return failed.loc[order].reset_index(drop=True)


def judge_check(
    frame: pd.DataFrame,
    *,
    axis: Axis = "density",
    first_tolerance: float = FIRST,
    update_tolerance: float = UPDATE,
    last_tolerance: float = LAST,
    min_nonzeros: float = FEW_NONZEROS,
    looks: int = 1,
) -> CheckVerdict:
    """Fit log size against log `axis` for each kind of module, and judge.

    Judged: activations at the first step and at the last, gradients and updates at the first. An update is judged by
    its part along the gradient (`aligned_update`), which is proportional to the LR and level in the theory; that of an
    embedding, a lookup, by its mean size.

    What does not grow may shrink with width at the start (`allowed.py` says why and how far). Gradients are compared as
    sums over features along the width. Where a size is not finite the rule fails there. Points with fewer than
    `min_nonzeros` weights per neuron (width × density) are left out, where the theory, which needs many, says nothing;
    the two best points stay in any case. `looks`: how often at most this check is judged, with more seeds each time.
    """
    if axis not in get_args(Axis):
        raise InputError("no such axis", where="axis", found=axis, allowed=", ".join(get_args(Axis)))
    if frame[axis].nunique() < 2:
        raise InputError(
            "a slope needs two points at least", where=axis, found=sorted(frame[axis].unique()), allowed="two or more"
        )
    chosen, left_out = with_enough_weights(frame, axis, min_nonzeros)
    first, last = int(chosen["step"].min()), int(chosen["step"].max())
    tolerances = Tolerances(axis, first, last, first_tolerance, update_tolerance, last_tolerance)
    alpha = ALPHA / looks
    ends = chosen[chosen["step"].isin([first, last])]
    rows = [
        _row(key, group, tolerances)
        for key, group in sizes(ends, axis).groupby(["rule", "module", "kind", "step"], sort=False)
    ]
    judged = [row for name in frame["rule"].unique() for row in _judged([r for r in rows if r.rule == name], alpha)]
    slopes = pd.DataFrame(judged)
    by_rule = {str(rule): _outcome(part["outcome"]) for rule, part in slopes.groupby("rule", sort=False)}
    caught = {rule: smallest_caught(slopes[slopes["rule"] == rule], first, alpha) for rule in by_rule}
    sentence = check_sentence(slopes, by_rule, caught, axis)
    if left_out:
        places = ", ".join(f"{value:g}" for value in left_out)
        sentence += f" Left out: {axis} {places}, with fewer than {min_nonzeros:g} weights per neuron."
    return CheckVerdict(axis, slopes, by_rule, caught, sentence)


def with_enough_weights(frame: pd.DataFrame, axis: Axis, least: float) -> tuple[pd.DataFrame, list[float]]:
    """The rows at places on the axis with enough weights per neuron to be judged, and the places left out."""
    best = (frame["width"] * frame["density"]).groupby(frame[axis]).max().sort_values(ascending=False)
    kept = set(best.index[:2]) | set(best.index[best >= least])
    left_out = sorted(float(place) for place in best.index if place not in kept)
    enough = frame[axis].isin(kept) & ((frame["width"] * frame["density"] >= least) | frame[axis].isin(best.index[:2]))
    return frame[enough], left_out


@dataclass(frozen=True)
class _Row:
    """One slope and what it is allowed to be."""

    rule: str
    module: str
    kind: str
    step: int
    role: str
    found: MeanSlope
    allowed: Allowed


def _row(key: tuple[Any, ...], group: pd.DataFrame, tolerances: Tolerances) -> _Row:
    rule, module, kind, step = key
    role = str(group["role"].iloc[0])
    found = mean_slope(seed_slopes(group, tolerances.axis))
    return _Row(rule, module, kind, step, role, found, tolerances.of(kind, step, role, group))


def _judged(rows: Sequence[_Row], alpha: float) -> list[dict[str, object]]:
    """The rows of one rule as the table holds them."""
    chances = {at: chance for at, row in enumerate(rows) if not math.isnan(chance := _chance(row))}
    fails, _ = holm({at: _below(chance) for at, chance in chances.items()}, alpha)
    table = []
    for at, row in enumerate(rows):
        half = row.found.half_width(alpha)
        low, high = row.found.slope - half, row.found.slope + half
        outcome, why = _row_outcome(row, low, high, at in fails)
        table.append(
            {
                "rule": row.rule,
                "module": row.module,
                "kind": row.kind,
                "step": row.step,
                "role": row.role,
                "slope": row.found.slope,
                "slope_low": low,
                "slope_high": high,
                "error": row.found.error,
                "seeds": row.found.seeds,
                "allowed_low": row.allowed.low,
                "allowed_high": row.allowed.high,
                "outcome": outcome,
                "passed": outcome == "PASS",
                "why": why,
            }
        )
    return table


def _below(chance: float) -> Callable[[float], bool]:
    return lambda level: chance <= level


def _row_outcome(row: _Row, low: float, high: float, fails: bool) -> tuple[Outcome, str]:
    if not row.allowed.judged:
        return "PASS", "not judged"
    if math.isnan(row.found.slope):
        return "FAIL", "not finite"
    if row.allowed.holds(low, high):
        may_shrink = ", which lets it shrink with width at the start" if row.allowed.may_shrink else ""
        return "PASS", f"within tolerance{may_shrink}"
    return ("FAIL", "beyond tolerance") if fails else ("INCONCLUSIVE", f"open after {row.found.seeds} seeds")


def _chance(row: _Row) -> float:
    """How likely a slope at its tolerance looks as bad as this one; NaN where the interval is not asked."""
    asked = row.allowed.judged and not math.isnan(row.found.slope)
    return row.allowed.chance(row.found) if asked else math.nan


def _outcome(rows: pd.Series[Any]) -> Outcome:
    found = set(rows)
    return "FAIL" if "FAIL" in found else "INCONCLUSIVE" if "INCONCLUSIVE" in found else "PASS"
