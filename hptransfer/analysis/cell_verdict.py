"""Single cells judged: what the transferred value costs there, whether that can be told, what to run to settle it.

That a cell's regret is above δ is said of all cells of a series together: Holm's procedure holds the chance that any of
them is said so falsely to that of one interval. That it is at most δ needs no such care, since every cell must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hptransfer.analysis.cells import CellKey, Cells, OwnBase
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import CellPoints, Optimum, at_confidence, fit_optimum, own_noise
from hptransfer.analysis.regret import Regret, regret_at
from hptransfer.common.holm import holm
from hptransfer.study.axes import place_axes, swept_label
from hptransfer.study.thresholds import VerdictSpec

__all__ = ["CellVerdict", "Word", "fit_cells", "judge_cells", "reference_of"]

Word = Literal["STABLE", "DRIFT", "INCONCLUSIVE"]
MOST_SEEDS = 20
SAME_OCTAVES = 1e-3


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """One cell judged. `suggest` says in words, `suggest_values` and `suggest_seeds` in numbers what to run."""

    key: CellKey
    where: str
    """`width 256, density 1/16`."""
    swept: str
    optimum: Optimum
    transferred: float
    regret: Regret
    word: Word
    why: str
    is_reference: bool = False
    suggest: str = ""
    suggest_values: tuple[float, ...] = ()
    suggest_seeds: int = 0

    def row(self) -> dict[str, Any]:
        """As `Judgement.cells` and JSON have it."""
        optimum, regret = self.optimum, self.regret
        return {
            "rule": self.key.rule,
            "variant": self.key.variant,
            "series": self.key.series,
            **dict(self.key.place),
            "axis_name": self.swept,
            "optimum": optimum.vertex,
            "optimum_log2": optimum.log2,
            "optimum_low": optimum.low if math.isfinite(optimum.log2_low) else math.nan,
            "optimum_high": optimum.high if math.isfinite(optimum.log2_high) else math.nan,
            "curvature": optimum.curvature,
            "min_loss": optimum.min_loss,
            "transferred": self.transferred,
            "transferred_loss": regret.loss,
            "regret": regret.value,
            "regret_low": regret.low,
            "regret_high": regret.high,
            "n_points": optimum.n_points,
            "n_seeds": optimum.n_seeds,
            "n_diverged": optimum.n_diverged,
            "status": self.word,
            "fit": optimum.status,
            "is_base": self.is_reference,
            "why": self.why,
            "suggest": self.suggest,
            "suggest_values": list(self.suggest_values),
            "suggest_seeds": self.suggest_seeds,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """What the verdict on one cell rests on."""

    key: CellKey
    where: str
    swept: str
    points: CellPoints
    optimum: Optimum
    log2: float
    """Of the transferred value; NaN where there is none."""
    carried: Optimum | None
    """The fitted optimum that value is, at the base cell; None for one that is given."""
    is_reference: bool
    regret: Regret
    delta: float

    @property
    def label(self) -> str:
        return swept_label(self.swept)

    @property
    def transferred(self) -> str:
        return f"the transferred {self.label} {_power(self.log2)}"

    def least(self, level: float) -> float:
        """Least regret that the data allow, when it may be higher than that by chance `level` of the time."""
        carried = self.carried and at_confidence(self.carried, 1 - 2 * level)
        return regret_at(at_confidence(self.optimum, 1 - 2 * level), self.log2, carried).low


@dataclass(frozen=True, slots=True)
class _Family:
    """The cells of a series whose regrets are weighed: which are above δ all together, and what the others missed."""

    cells: int
    above: frozenset[CellKey]
    level: float
    """Chance of a false alarm that each of the others was held to."""


def _measured(points: CellPoints, log2: float) -> float:
    """Mean loss of the runs at that very value, infinite when a seed diverged; NaN where none was made."""
    losses = points.losses[:, np.abs(points.x - log2) < SAME_OCTAVES]
    return math.nan if np.isnan(losses).all() else float(np.nanmean(losses))


def _power(log2: float) -> str:
    return f"2^{log2:.2f}".replace(".00", "")


def fit_cells(points: Mapping[CellKey, CellPoints], *, confidence: float) -> dict[CellKey, Optimum]:
    """Fit every cell with the noise pooled over all of them."""
    pooled = zip(points.items(), pool_noise([own_noise(p) for p in points.values()]), strict=True)
    return {key: fit_optimum(p, noise, confidence=confidence) for (key, p), noise in pooled}


def reference_of(keys: Sequence[CellKey]) -> CellKey:
    """The base cell of a series: its smallest width and depth, and there the densest."""
    axes = sorted(place_axes(), key=lambda axis: axis.falls)
    return min(keys, key=lambda key: [-key[axis.name] if axis.falls else key[axis.name] for axis in axes])


def judge_cells(
    cells: Cells, base: Mapping[str, Any] | None, settings: VerdictSpec, own: OwnBase | None = None
) -> list[CellVerdict]:
    """Fit and judge every cell. Transferred is the base's value or what its series has in place of it (`own`), else
    the optimum of the series' base cell."""
    cases = _cases(cells, base, settings, own)
    early = {case.key: _before_regret(case) for case in cases}
    families = {}
    for series in dict.fromkeys(case.key.series for case in cases):
        weighed = [c for c in cases if c.key.series == series and early[c.key] is None and not c.is_reference]
        families[series] = _family(weighed, (1 - settings.confidence) / 2)
    return [_verdict(case, early[case.key], families[case.key.series]) for case in cases]


def _cases(cells: Cells, base: Mapping[str, Any] | None, settings: VerdictSpec, own: OwnBase | None) -> list[_Case]:
    optima = fit_cells(cells.points, confidence=settings.confidence)
    cases = []
    for (key, optimum), points, where in zip(optima.items(), cells.points.values(), cells.words(), strict=True):
        value = base and {**base, **(own or {}).get(key.series, {})}.get(cells.swept)
        given = float(value) if value else math.nan
        log2, carried, is_reference = math.log2(given), None, False
        if math.isnan(given):
            home = reference_of([other for other in optima if other.series == key.series])
            source, is_reference = optima[home], home == key
            log2, carried = source.log2, None if is_reference else source
        regret = regret_at(optimum, log2, carried) if math.isfinite(log2) else Regret()
        if math.isnan(regret.loss):
            regret = replace(regret, loss=_measured(points, log2))
        cases.append(
            _Case(key, where, cells.swept, points, optimum, log2, carried, is_reference, regret, settings.delta)
        )
    return cases


def _family(weighed: Sequence[_Case], level: float) -> _Family:
    """Holm's procedure over cells; one that is not above δ by itself is not above it among others."""

    def test(case: _Case) -> Callable[[float], bool]:
        return lambda each: case.regret.low > case.delta and case.least(each) > case.delta

    above, each = holm({case.key: test(case) for case in weighed}, level)
    return _Family(len(weighed), frozenset(above), each)


def _verdict(case: _Case, early: tuple[Word, str] | None, family: _Family) -> CellVerdict:
    word, why = early or _by_regret(case, family)
    transferred = 2.0**case.log2 if math.isfinite(case.log2) else math.nan
    verdict = CellVerdict(
        case.key, case.where, case.swept, case.optimum, transferred, case.regret, word, why, case.is_reference
    )
    return _with_advice(verdict, case, family) if word == "INCONCLUSIVE" else verdict


def _before_regret(case: _Case) -> tuple[Word, str] | None:
    """What settles or opens a cell whatever its regret: a divergence, or a minimum in doubt. None when nothing does."""
    lost = _diverged_share(case.points, case.log2)
    if lost == 1:
        return "DRIFT", f"every seed diverges at {case.transferred}"
    if doubt := _doubt(case.optimum, case.label):
        return "INCONCLUSIVE", doubt
    if not math.isfinite(case.log2):
        return "INCONCLUSIVE", "no base value is given and the base cell's own optimum is not settled"
    if case.carried is not None and not case.carried.settled:
        return "INCONCLUSIVE", f"the {case.label} comes from the base cell, where {_doubt(case.carried, case.label)}"
    if lost > 0:
        return "INCONCLUSIVE", f"some seeds diverge at {case.transferred}, others do not"
    return None


def _by_regret(case: _Case, family: _Family) -> tuple[Word, str]:
    """The word of a cell whose minimum is settled."""
    delta, regret = _percent(case.delta), case.regret
    span = f"{_percent(regret.low)} to {_percent(regret.high)}"
    costs = f"the transferred {case.label} costs {_percent(regret.value)} ({span})"
    outside = f"{case.transferred} lies outside the values that were run"
    if regret.low > case.delta:
        said = f"{outside} and costs at least {_percent(regret.low)}" if regret.how == "outside" else costs
        if case.key in family.above:
            return "DRIFT", f"{said}, more than {delta}"
        return "INCONCLUSIVE", f"{said}, more than {delta} by itself, but not surely so as one of {family.cells} cells"
    if regret.high <= case.delta:
        return "STABLE", f"{costs}, at most {delta}"
    if regret.how == "outside":
        return "INCONCLUSIVE", outside
    return "INCONCLUSIVE", f"the regret's interval, {span}, holds the margin {delta}"


def _doubt(optimum: Optimum, label: str) -> str:
    """Why the minimum of a cell cannot be relied on; empty when it can."""
    texts = {
        "ok": "",
        "edge": f"the lowest loss sits at the {optimum.side} edge of the {label}s that finished",
        "one-sided": f"fewer than two finite {label}s lie on the {optimum.side} side of the minimum",
        "open": f"the interval of the best {label} reaches the edge of the grid",
        "flat": "the loss shows no minimum beyond its noise",
        "few points": f"too few finite {label}s around the minimum ({optimum.n_points})",
        "one seed": "with one seed there is no noise estimate, so no interval",
    }
    return texts[optimum.status]


def _percent(x: float) -> str:
    return "unbounded" if math.isinf(x) else "unknown" if math.isnan(x) else f"{100 * x:.2g}%"


def _diverged_share(points: CellPoints, log2: float) -> float:
    """Share of seeds that diverged at the highest value not above the transferred one; 0 when it lies on no wall."""
    column = points.losses[:, points.x <= log2 + 1e-6][:, -1:]  # none for NaN
    ran = column[~np.isnan(column)]
    return float(np.isinf(ran).mean()) if len(ran) else 0.0


def _with_advice(verdict: CellVerdict, case: _Case, family: _Family) -> CellVerdict:
    """An open cell with what would settle it: which values, and how many seeds in all."""
    n_seeds, xs = case.optimum.n_seeds, set(np.round(case.points.x, 6).tolist())
    wanted, seeds = _advice(case, family)
    values = tuple(2.0**x for x in sorted({round(x, 6) for x in wanted} - xs))
    more = seeds if seeds > n_seeds else 0
    parts = [f"add {case.label} " + ", ".join(_power(math.log2(v)) for v in values)] if values else []
    parts += [f"run {more} seeds"] if more else []
    return replace(verdict, suggest=" and ".join(parts), suggest_values=values, suggest_seeds=more)


def _least_that_counts(case: _Case, family: _Family) -> float:
    """Where a regret that looks higher than δ is shown to be: the end that Holm's procedure held to δ."""
    return case.least(family.level) if case.regret.value > case.delta else case.regret.low


def _advice(case: _Case, family: _Family) -> tuple[list[float], int]:
    """log2 of the values and the number of seeds that would settle an open cell; some may have been run already."""
    optimum, regret = case.optimum, case.regret
    low, high = float(case.points.x.min()), float(case.points.x.max())
    seeds = max(optimum.n_seeds, 1)
    step = optimum.step if math.isfinite(optimum.step) else 1.0
    wanted: list[float] = []
    if optimum.side == "low":
        wanted = [low - step, low - 2 * step]
    elif optimum.side == "high" and optimum.ceiling < math.inf:  # on the way to the value that diverged
        wanted = [optimum.best_seen + (optimum.ceiling - optimum.best_seen) * k / 3 for k in (-1, 1, 2)]
    elif optimum.side == "high":
        wanted = [high + step, high + 2 * step]
    elif optimum.status == "few points":
        centre = optimum.log2 if math.isfinite(optimum.log2) else optimum.best_seen
        middle = centre if math.isfinite(centre) else low - 2 * step  # everything diverged: go lower
        wanted = [middle + k * step for k in (-2, -1, 0, 1, 2) if middle + k * step < optimum.ceiling - 1e-6]
    elif optimum.status in ("open", "flat"):
        wanted = [low - step] if optimum.ceiling < math.inf else [low - step, high + step]
        seeds *= 2
    elif optimum.status == "one seed":
        seeds = 3
    elif regret.how == "outside":
        wanted = [case.log2]
    elif math.isfinite(regret.high) and (least := _least_that_counts(case, family)) <= case.delta < regret.high:
        room = abs(regret.value - case.delta)
        end = least if regret.value > case.delta else regret.high
        ratio = ((end - regret.value) / room) ** 2 if room > 0 else math.inf
        seeds = int(min(MOST_SEEDS, max(seeds + 1, math.ceil(min(seeds * ratio, MOST_SEEDS)))))
    elif not math.isfinite(regret.high):
        seeds += 2
    return wanted, 3 if seeds < 2 and optimum.status != "ok" else seeds
