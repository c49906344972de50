"""Slopes of a coordinate check, and whether they are flat."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from hptransfer.errors import InputError
from hptransfer.scaling.recorder import MODEL

__all__ = ["CheckVerdict", "judge_check", "module_kind"]

Axis = Literal["width", "density"]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class CheckVerdict:
    """What a coordinate check came to.

    `slopes` has a row for every (rule, module kind, kind, step): rule, module, kind, step, slope, slope_low,
    slope_high (95%), points, tolerance (NaN where not judged), passed, why.
    """

    axis: Axis
    slopes: pd.DataFrame
    by_rule: dict[str, bool]
    sentence: str

    @property
    def passed(self) -> bool:
        """Whether every rule in the frame passed."""
        return all(self.by_rule.values())

    def failures(self) -> pd.DataFrame:
        """The judged rows that did not pass, worst first; non-finite slopes count as worst."""
        failed = self.slopes[~self.slopes["passed"]]
        order = failed["slope"].abs().fillna(math.inf).sort_values(ascending=False).index
        return failed.loc[order].reset_index(drop=True)


def module_kind(module: str) -> str:
    """Modules that differ in their numbers alone are of one kind: `blocks.0.ffn.up` → `blocks.*.ffn.up`."""
    return re.sub(r"(^|\.)\d+(?=\.|$)", r"\1*", module)


def judge_check(
    frame: pd.DataFrame,
    *,
    axis: Axis = "density",
    first_tolerance: float = 0.05,
    last_tolerance: float = 0.35,
    rules: Sequence[str] | None = None,
) -> CheckVerdict:
    """Fit log size against log `axis` for each kind of module, and judge.

    Judged: activations and gradients at the first step (|slope| ≤ `first_tolerance`), activations at the last
    (≤ `last_tolerance`), updates at the first (≤ `last_tolerance`). Known exception: what comes out of the readout
    may shrink with width at the start, and with it what depends on it. Gradients are compared as sums over features
    along the width. Where a size is not finite the rule fails there.
    """
    if axis not in ("width", "density"):
        raise InputError("no such axis", where="axis", found=axis, allowed="width, density")
    other = "density" if axis == "width" else "width"
    chosen = frame if rules is None else frame[frame["rule"].isin(list(rules))]
    if chosen.empty or chosen[axis].nunique() < 2:
        raise InputError(
            "a slope needs two points at least", where=axis, found=sorted(chosen[axis].unique()), allowed="two or more"
        )
    steps = (int(chosen["step"].min()), int(chosen["step"].max()))
    rows = [
        _judged(key, group, axis, steps, first_tolerance, last_tolerance)
        for key, group in _points(chosen, axis, other).groupby(["rule", "module", "kind", "step"], sort=False)
    ]
    slopes = pd.DataFrame(rows)
    by_rule = {str(rule): bool(part["passed"].all()) for rule, part in slopes.groupby("rule", sort=False)}
    return CheckVerdict(axis, slopes, by_rule, _sentence(slopes, by_rule, axis))


def _points(frame: pd.DataFrame, axis: Axis, other: str) -> pd.DataFrame:
    """One size for each kind of module, seed and place on the axes: the mean over the modules of that kind."""
    values = frame.assign(module=frame["module"].map(module_kind))
    gradient = values["kind"].isin(["gradient", "input_gradient"])
    if axis == "width":  # behind a 1/m readout the gradient of one unit is ∝ 1/m, the sum over units is Θ(1)
        values.loc[gradient, "value"] *= values.loc[gradient, "features"]
    keys = ["rule", "module", "kind", "step", axis, other, "seed"]
    return values.groupby(keys, sort=False).agg(value=("value", "mean"), role=("role", "first")).reset_index()


def _judged(
    key: tuple[Any, ...],
    group: pd.DataFrame,
    axis: Axis,
    steps: tuple[int, int],
    first_tolerance: float,
    last_tolerance: float,
) -> dict[str, object]:
    rule, module, kind, step = key
    slope, low, high = _slope(group[axis].to_numpy(float), group["value"].to_numpy(float), group.iloc[:, 5])
    tolerance = _tolerance(kind, step, steps, first_tolerance, last_tolerance)
    is_output = module == MODEL or (group["role"] == "readout").any()
    passed, why = True, "not judged"
    if not math.isnan(tolerance):
        passed = abs(slope) <= tolerance  # a NaN slope fails
        why = "within tolerance" if passed else "not finite" if math.isnan(slope) else "beyond tolerance"
        if not passed and is_output and axis == "width" and kind == "activation" and step == steps[0] and slope < 0:
            passed, why = True, "known exception: the output shrinks with width at the start"
    return {
        "rule": rule,
        "module": module,
        "kind": kind,
        "step": step,
        "slope": slope,
        "slope_low": low,
        "slope_high": high,
        "points": len(group),
        "tolerance": tolerance,
        "passed": passed,
        "why": why,
    }


def _tolerance(kind: str, step: int, steps: tuple[int, int], first: float, last: float) -> float:
    """What is allowed of this row; NaN: it is not judged."""
    if step == steps[0] and kind in ("activation", "gradient", "input_gradient"):
        return first
    if (step == steps[1] and kind == "activation") or (step == steps[0] and kind == "update"):
        return last
    return math.nan


def _slope(x: FloatArray, y: FloatArray, other: pd.Series[Any]) -> tuple[float, float, float]:
    """Slope of ln y on ln x and its 95% interval; points of different `other` have their own level.

    NaN where a size is not finite. Sizes of exactly zero (a module that does nothing) have no slope: 0.
    """
    if not np.isfinite(y).all():
        return math.nan, math.nan, math.nan
    if (y <= 0).all():
        return 0.0, 0.0, 0.0
    if (y <= 0).any():
        return math.nan, math.nan, math.nan
    log_x, log_y = np.log(x), np.log(y)
    levels = pd.factorize(other)[0]
    for level in np.unique(levels):
        here = levels == level
        log_x[here] -= log_x[here].mean()
        log_y[here] -= log_y[here].mean()
    spread = float((log_x**2).sum())
    slope = float((log_x * log_y).sum() / spread)
    freedom = len(x) - 1 - (levels.max() + 1)
    if freedom < 1:
        return slope, -math.inf, math.inf
    error = math.sqrt(float(((log_y - slope * log_x) ** 2).sum()) / freedom / spread)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return slope, slope - half, slope + half


def _sentence(slopes: pd.DataFrame, by_rule: dict[str, bool], axis: Axis) -> str:
    """What a person wants to know, one clause a rule."""
    parts = []
    for rule, passed in by_rule.items():
        judged = slopes[(slopes["rule"] == rule) & slopes["tolerance"].notna()]
        failed = judged[~judged["passed"]]
        shown = judged[judged["why"] == "within tolerance"] if passed else failed
        if shown.empty:
            parts.append(f"{rule} passes over {axis}")
            continue
        excess = (shown["slope"].abs() / shown["tolerance"]).fillna(math.inf)
        words = _words(shown.to_dict("records")[int(excess.to_numpy().argmax())])
        told = "passes over" if passed else "fails over"
        count = "closest to its tolerance" if passed else f"{len(failed)} of {len(judged)} beyond tolerance, worst"
        parts.append(f"{rule} {told} {axis}: {count} is {words}")
    return "; ".join(parts) + "."


def _words(row: Mapping[Any, Any]) -> str:
    slope = "not finite" if math.isnan(row["slope"]) else f"slope {row['slope']:+.2f}"
    kind = row["kind"].replace("_", " ")
    return f"the {kind} of {row['module']} at step {row['step']}, {slope} (allowed {row['tolerance']:g})"
