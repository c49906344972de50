"""The judgement of single cells: fit, regret, what it says, and what to run to settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hptransfer.analysis.cells import CellKey, CellRows, Cells
from hptransfer.analysis.noise import pool_noise
from hptransfer.analysis.optimum import Optimum, fit_optimum, own_noise
from hptransfer.analysis.regret import Regret, regret_at
from hptransfer.common.number_text import density_text
from hptransfer.study.study import VerdictSpec

__all__ = ["CellVerdict", "Word", "fit_cells", "judge_cells", "reference_of"]

Word = Literal["STABLE", "DRIFT", "INCONCLUSIVE"]
LABELS = {"lr": "LR", "init_std": "init std"}
MOST_SEEDS = 20
SAME_OCTAVES = 1e-3


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """One cell judged. `suggest` says in words, `suggest_values` and `suggest_seeds` in numbers what to run."""

    key: CellKey
    swept: str
    optimum: Optimum
    transferred: float
    regret: Regret
    word: Word
    why: str
    is_reference: bool = False
    suggest: str = ""
    suggest_values: tuple[float, ...] = field(default=())
    suggest_seeds: int = 0

    @property
    def where(self) -> str:
        """`width 256, density 1/16`."""
        return f"width {self.key.width}, density {density_text(self.key.density)}"


def _measured(rows: CellRows, log2: float) -> float:
    """Mean loss of the runs at that very value, infinite when a seed diverged; NaN where none was made."""
    at = np.flatnonzero(np.abs(rows.points.x - log2) < SAME_OCTAVES)
    losses = rows.points.losses[:, at]
    return float(np.nanmean(losses)) if len(at) and not np.isnan(losses).all() else math.nan


def _lr_text(log2: float) -> str:
    return f"2^{log2:.2f}".replace(".00", "")


def fit_cells(cells: Cells, *, confidence: float) -> list[Optimum]:
    """Fit every cell with the noise pooled over all of them."""
    points = [c.points for c in cells.cells]
    noise = pool_noise([own_noise(p) for p in points])
    return [fit_optimum(p, n, confidence=confidence) for p, n in zip(points, noise, strict=True)]


def reference_of(keys: Sequence[CellKey]) -> CellKey:
    """The base cell of a series: its smallest width and depth, and there the densest."""
    return min(keys, key=lambda k: (k.width, k.depth, -k.density))


def judge_cells(cells: Cells, base: Mapping[str, Any] | None, settings: VerdictSpec) -> list[CellVerdict]:
    """Fit and judge every cell. Transferred is the base's value, else the optimum of the series' base cell."""
    optima = fit_cells(cells, confidence=settings.confidence)
    given = float(base[cells.swept]) if base and base.get(cells.swept) else math.nan
    judged = []
    for rows, optimum in zip(cells.cells, optima, strict=True):
        if math.isfinite(given):
            log2, carried, is_reference = math.log2(given), None, False
        else:
            same = [c.key for c in cells.cells if c.key.series == rows.key.series]
            home = reference_of(same)
            at = next(i for i, c in enumerate(cells.cells) if c.key == home)
            log2, is_reference = optima[at].log2, home == rows.key
            carried = None if is_reference else optima[at]
        judged.append(_judge(rows, optimum, log2, carried, is_reference, cells.swept, settings))
    return judged


def _judge(
    rows: CellRows,
    optimum: Optimum,
    log2: float,
    carried: Optimum | None,
    is_reference: bool,
    swept: str,
    settings: VerdictSpec,
) -> CellVerdict:
    known = math.isfinite(log2)
    regret = regret_at(optimum, log2, carried) if known else Regret()
    if math.isnan(regret.loss):
        regret = replace(regret, loss=_measured(rows, log2))
    values, seeds, advice = _suggest(rows, optimum, regret, log2, swept, settings)
    word, why = _word(rows, optimum, regret, log2, carried, swept, settings)
    open_question = word == "INCONCLUSIVE"
    return CellVerdict(
        rows.key,
        swept,
        optimum,
        2.0**log2 if known else math.nan,
        regret,
        word,
        why,
        is_reference,
        advice if open_question else "",
        values if open_question else (),
        seeds if open_question else 0,
    )


def _word(
    rows: CellRows,
    optimum: Optimum,
    regret: Regret,
    log2: float,
    carried: Optimum | None,
    swept: str,
    settings: VerdictSpec,
) -> tuple[Word, str]:
    """The verdict rules of one cell. What makes the minimum doubtful comes before any regret."""
    label, delta = LABELS[swept], settings.delta
    lost = _diverged_share(rows, log2)
    if lost == 1:
        return "DRIFT", f"every seed diverges at the transferred {label} {_lr_text(log2)}"
    if doubt := _doubt(optimum, swept):
        return "INCONCLUSIVE", doubt
    if not math.isfinite(log2):
        return "INCONCLUSIVE", "no base value is given and the base cell's own optimum is not settled"
    if carried is not None and not carried.settled:
        return "INCONCLUSIVE", f"the {label} comes from the base cell, where {_doubt(carried, swept)}"
    if lost > 0:
        return "INCONCLUSIVE", f"some seeds diverge at the transferred {label} {_lr_text(log2)}, others do not"
    span = f"{_percent(regret.low)} to {_percent(regret.high)}"
    if regret.low > delta and regret.how == "outside":
        return "DRIFT", (
            f"the transferred {label} {_lr_text(log2)} lies outside the values that were run and costs at least"
            f" {_percent(regret.low)}, more than {_percent(delta)}"
        )
    if regret.low > delta:
        return "DRIFT", f"the transferred {label} costs {_percent(regret.value)} ({span}), more than {_percent(delta)}"
    if regret.high <= delta:
        return "STABLE", f"the transferred {label} costs {_percent(regret.value)} ({span}), at most {_percent(delta)}"
    if regret.how == "outside":
        return "INCONCLUSIVE", f"the transferred {label} {_lr_text(log2)} lies outside the values that were run"
    return "INCONCLUSIVE", f"the regret's interval, {span}, holds the margin {_percent(delta)}"


def _doubt(optimum: Optimum, swept: str) -> str:
    """Why the minimum of a cell cannot be relied on; empty when it can."""
    label = LABELS[swept]
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


def _diverged_share(rows: CellRows, log2: float) -> float:
    """Share of seeds that diverged at the highest value not above the transferred one; 0 when it lies on no wall."""
    if not math.isfinite(log2):
        return 0.0
    points = rows.points
    below = np.flatnonzero(points.x <= log2 + 1e-6)
    if not len(below):
        return 0.0
    column = points.losses[:, below[-1]]
    ran = ~np.isnan(column)
    return float(np.isinf(column[ran]).mean()) if ran.any() else 0.0


def _suggest(
    rows: CellRows, optimum: Optimum, regret: Regret, log2: float, swept: str, settings: VerdictSpec
) -> tuple[tuple[float, ...], int, str]:
    """Which values and how many seeds in all would settle an open cell."""
    xs = set(np.round(rows.points.x, 6).tolist())
    seeds = max(optimum.n_seeds, 1)
    centre = optimum.log2 if math.isfinite(optimum.log2) else optimum.best_seen
    step = optimum.step if math.isfinite(optimum.step) else 1.0
    wanted: list[float] = []
    if optimum.status in ("edge", "one-sided"):
        wanted = _beyond(rows, optimum, step)
    elif optimum.status == "few points":
        middle = centre if math.isfinite(centre) else min(xs) - 2 * step  # everything diverged: go lower
        wanted = [middle + k * step for k in (-2, -1, 0, 1, 2) if middle + k * step < optimum.ceiling - 1e-6]
    elif optimum.status in ("open", "flat"):
        wanted = [min(xs) - step] if optimum.ceiling < math.inf else [min(xs) - step, max(xs) + step]
        seeds *= 2
    elif optimum.status == "one seed":
        seeds = 3
    elif regret.how == "outside":
        wanted = [log2]
    elif math.isfinite(regret.high) and regret.low <= settings.delta < regret.high:
        room = settings.delta - regret.value
        ratio = ((regret.high - regret.value) / room) ** 2 if room > 0 else math.inf
        seeds = int(min(MOST_SEEDS, max(seeds + 1, math.ceil(min(seeds * ratio, MOST_SEEDS)))))
    elif not math.isfinite(regret.high):
        seeds += 2
    if seeds < 2 and optimum.status != "ok":
        seeds = 3
    values = tuple(2.0**x for x in sorted({round(x, 6) for x in wanted} - xs))
    parts = []
    if values:
        parts.append(f"add {LABELS[swept]} " + ", ".join(_lr_text(math.log2(v)) for v in values))
    more = seeds if seeds > optimum.n_seeds else 0
    if more:
        parts.append(f"run {more} seeds")
    return values, more, " and ".join(parts)


def _beyond(rows: CellRows, optimum: Optimum, step: float) -> list[float]:
    """Values on the side that lacks them; half-way to a value that diverged when that is near."""
    best = optimum.best_seen
    if optimum.side == "low":
        lowest = float(rows.points.x.min())
        return [lowest - step, lowest - 2 * step]
    if optimum.ceiling < math.inf:
        gap = optimum.ceiling - best
        return [best + gap * k / 3 for k in (-1, 1, 2)]
    highest = float(rows.points.x.max())
    return [highest + step, highest + 2 * step]
