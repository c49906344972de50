"""Single cells judged: what the transferred value costs there, whether that can be told, what to run to settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hptransfer.analysis.cells import CellKey, Cells, OwnBase
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import CellPoints, Optimum, fit_optimum, own_noise
from hptransfer.analysis.regret import Regret, regret_at
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

    points: CellPoints
    optimum: Optimum
    log2: float
    """Of the transferred value; NaN where there is none."""
    carried: Optimum | None
    """The fitted optimum that value is, at the base cell; None for one that is given."""
    regret: Regret
    label: str
    delta: float

    @property
    def transferred(self) -> str:
        return f"the transferred {self.label} {_power(self.log2)}"


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
    optima = fit_cells(cells.points, confidence=settings.confidence)
    judged = []
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
        case = _Case(points, optimum, log2, carried, regret, swept_label(cells.swept), settings.delta)
        word, why = _word(case)
        transferred = 2.0**log2 if math.isfinite(log2) else math.nan
        verdict = CellVerdict(key, where, cells.swept, optimum, transferred, regret, word, why, is_reference)
        judged.append(_with_advice(verdict, case) if word == "INCONCLUSIVE" else verdict)
    return judged


def _word(case: _Case) -> tuple[Word, str]:
    """The verdict rules of one cell. What makes the minimum doubtful comes before any regret."""
    label, delta, regret = case.label, case.delta, case.regret
    lost = _diverged_share(case.points, case.log2)
    if lost == 1:
        return "DRIFT", f"every seed diverges at {case.transferred}"
    if doubt := _doubt(case.optimum, label):
        return "INCONCLUSIVE", doubt
    if not math.isfinite(case.log2):
        return "INCONCLUSIVE", "no base value is given and the base cell's own optimum is not settled"
    if case.carried is not None and not case.carried.settled:
        return "INCONCLUSIVE", f"the {label} comes from the base cell, where {_doubt(case.carried, label)}"
    if lost > 0:
        return "INCONCLUSIVE", f"some seeds diverge at {case.transferred}, others do not"
    span = f"{_percent(regret.low)} to {_percent(regret.high)}"
    costs = f"the transferred {label} costs {_percent(regret.value)} ({span})"
    outside = f"{case.transferred} lies outside the values that were run"
    if regret.low > delta and regret.how == "outside":
        return "DRIFT", f"{outside} and costs at least {_percent(regret.low)}, more than {_percent(delta)}"
    if regret.low > delta:
        return "DRIFT", f"{costs}, more than {_percent(delta)}"
    if regret.high <= delta:
        return "STABLE", f"{costs}, at most {_percent(delta)}"
    if regret.how == "outside":
        return "INCONCLUSIVE", outside
    return "INCONCLUSIVE", f"the regret's interval, {span}, holds the margin {_percent(delta)}"


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


def _with_advice(verdict: CellVerdict, case: _Case) -> CellVerdict:
    """An open cell with what would settle it: which values, and how many seeds in all."""
    n_seeds, xs = case.optimum.n_seeds, set(np.round(case.points.x, 6).tolist())
    wanted, seeds = _advice(case)
    values = tuple(2.0**x for x in sorted({round(x, 6) for x in wanted} - xs))
    more = seeds if seeds > n_seeds else 0
    parts = [f"add {case.label} " + ", ".join(_power(math.log2(v)) for v in values)] if values else []
    parts += [f"run {more} seeds"] if more else []
    return replace(verdict, suggest=" and ".join(parts), suggest_values=values, suggest_seeds=more)


def _advice(case: _Case) -> tuple[list[float], int]:
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
    elif math.isfinite(regret.high) and regret.low <= case.delta < regret.high:
        room = case.delta - regret.value
        ratio = ((regret.high - regret.value) / room) ** 2 if room > 0 else math.inf
        seeds = int(min(MOST_SEEDS, max(seeds + 1, math.ceil(min(seeds * ratio, MOST_SEEDS)))))
    elif not math.isfinite(regret.high):
        seeds += 2
    return wanted, 3 if seeds < 2 and optimum.status != "ok" else seeds
