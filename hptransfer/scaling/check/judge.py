"""Slopes of a coordinate check, and whether they are flat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from hptransfer.common.errors import InputError
from hptransfer.common.module_kind import module_kind
from hptransfer.scaling.check.recorder import MODEL
from hptransfer.study.axes import FEW_NONZEROS

__all__ = ["Axis", "CheckVerdict", "judge_check"]

Axis = Literal["width", "density"]
GRADIENT, UPDATE = 0.1, 0.5
"""|slope| that is allowed of a gradient and of an update."""

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


def judge_check(
    frame: pd.DataFrame,
    *,
    axis: Axis = "density",
    first_tolerance: float = 0.05,
    last_tolerance: float = 0.35,
    min_nonzeros: float = FEW_NONZEROS,
) -> CheckVerdict:
    """Fit log size against log `axis` for each kind of module, and judge.

    Judged, by |slope| and its interval: activations at the first step (`first_tolerance`) and at the last
    (`last_tolerance`), gradients (`GRADIENT`) and updates (`UPDATE`) at the first. The last two are products of more
    random numbers, so they reach their limit later in width and are judged less strictly; a rule that is wrong is off
    by 0.5 at least.

    Known exception: what comes out of the readout may shrink with width at the start. Gradients are compared as sums
    over features along the width. Where a size is not finite the rule fails there. Points with fewer than
    `min_nonzeros` weights per neuron (width × density) are left out, where the theory, which needs many, says nothing;
    the two best points stay in any case.
    """
    if axis not in get_args(Axis):
        raise InputError("no such axis", where="axis", found=axis, allowed=", ".join(get_args(Axis)))
    if frame[axis].nunique() < 2:
        raise InputError(
            "a slope needs two points at least", where=axis, found=sorted(frame[axis].unique()), allowed="two or more"
        )
    chosen, left_out = _with_enough_weights(frame, axis, min_nonzeros)
    steps = (int(chosen["step"].min()), int(chosen["step"].max()))
    allowed = _allowed(steps, first_tolerance, last_tolerance)
    slopes = pd.DataFrame(
        _judged(key, group, axis, steps[0], allowed.get((key[3], key[2]), math.nan))
        for key, group in _points(chosen, axis).groupby(["rule", "module", "kind", "step"], sort=False)
    )
    by_rule = {str(rule): bool(part["passed"].all()) for rule, part in slopes.groupby("rule", sort=False)}
    sentence = _sentence(slopes, by_rule, axis)
    if left_out:
        places = ", ".join(f"{value:g}" for value in left_out)
        sentence += f" Left out: {axis} {places}, with fewer than {min_nonzeros:g} weights per neuron."
    return CheckVerdict(axis, slopes, by_rule, sentence)


_BY_CHANCE = "beyond tolerance, but not significantly"


def _within(slope: float, low: float, high: float, tolerance: float) -> tuple[bool, str]:
    """Whether a slope is allowed. A NaN slope is not.

    A slope that is beyond its tolerance by chance, up to twice and with an interval that reaches back, is let pass:
    otherwise one of sixty rows of a sound rule always fails.
    """
    if math.isnan(slope):
        return False, "not finite"
    if abs(slope) <= tolerance:
        return True, "within tolerance"
    nearest = max(low, -high)  # of |slope|, on the side of zero
    if math.isfinite(nearest) and nearest <= tolerance and abs(slope) <= 2 * tolerance:
        return True, _BY_CHANCE
    return False, "beyond tolerance"


def _allowed(steps: tuple[int, int], first: float, last: float) -> dict[Any, float]:
    """What is allowed of each (step, kind) that is judged, of the first and the last step."""
    at_first = {"activation": first, "gradient": GRADIENT, "input_gradient": GRADIENT, "update": UPDATE}
    return {(steps[1], "activation"): last} | {(steps[0], kind): most for kind, most in at_first.items()}


def _with_enough_weights(frame: pd.DataFrame, axis: Axis, least: float) -> tuple[pd.DataFrame, list[float]]:
    """The frame without places on the axis that have too few weights per neuron, and those places."""
    best = (frame["width"] * frame["density"]).groupby(frame[axis]).max().sort_values(ascending=False)
    kept = set(best.index[:2]) | set(best.index[best >= least])
    left_out = sorted(float(place) for place in best.index if place not in kept)
    enough = frame[axis].isin(kept) & ((frame["width"] * frame["density"] >= least) | frame[axis].isin(best.index[:2]))
    return frame[enough], left_out


def _other(axis: Axis) -> Axis:
    return "density" if axis == "width" else "width"


def _points(frame: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """One size for each kind of module, seed and place on the axes: the mean over the modules of that kind."""
    values = frame.assign(module=frame["module"].map(module_kind))
    gradient = values["kind"].isin(["gradient", "input_gradient"])
    if axis == "width":  # behind a 1/m readout the gradient of one unit is ∝ 1/m, the sum over units is Θ(1)
        values.loc[gradient, "value"] *= values.loc[gradient, "features"]
    keys = ["rule", "module", "kind", "step", axis, _other(axis), "seed"]
    return values.groupby(keys, sort=False).agg(value=("value", "mean"), role=("role", "first")).reset_index()


def _judged(
    key: tuple[Any, ...], group: pd.DataFrame, axis: Axis, first_step: int, tolerance: float
) -> dict[str, object]:
    """A row of the slopes; not judged where the tolerance is NaN."""
    rule, module, kind, step = key
    slope, low, high = _slope(group[axis].to_numpy(float), group["value"].to_numpy(float), group[_other(axis)])
    is_output = module == MODEL or (group["role"] == "readout").any()
    passed, why = True, "not judged"
    if not math.isnan(tolerance):
        passed, why = _within(slope, low, high, tolerance)
        if not passed and is_output and axis == "width" and kind == "activation" and step == first_step and slope < 0:
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
    half = float(stdtrit(freedom, 0.975)) * error
    return slope, slope - half, slope + half


def _sentence(slopes: pd.DataFrame, by_rule: dict[str, bool], axis: Axis) -> str:
    """What a person wants to know, one clause a rule."""
    parts = []
    for rule, passed in by_rule.items():
        judged = slopes[(slopes["rule"] == rule) & slopes["tolerance"].notna()]
        failed = judged[~judged["passed"]]
        shown = judged[~judged["why"].str.startswith("known")] if passed else failed
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
    passing = "; not significantly beyond" if row["passed"] and row["why"] == _BY_CHANCE else ""
    return f"the {kind} of {row['module']} at step {row['step']}, {slope} (allowed {row['tolerance']:g}{passing})"
