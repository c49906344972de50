"""Does the optimum stay put? STABLE, DRIFT or INCONCLUSIVE for every series and axis, with the reason.

A series is a rule, or a rule and a variant. On an axis it is

- DRIFT when some cell's regret lies above δ with its whole interval, or every seed diverges there;
- STABLE when every cell's regret lies below δ with its whole interval and the optimum's slope along the axis is
  equivalent to zero within the margin (two one-sided tests);
- INCONCLUSIVE otherwise; a cell whose minimum sits on the grid's edge, has fewer than two finite values on a side, or
  whose interval is too wide to tell, is never more than that.

Cells on an axis: all, except where another axis is told after it (`ScaledAxis.after`). Density comes after width: for
width speak the cells of the greatest density (of each depth); for density all, save the widths whose densest cell
drifts already (width is to blame there). Along a joint path all speak.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.cell_verdict import CellVerdict, Word, judge_cells
from hptransfer.analysis.cells import Cells, OwnBase, read_cells
from hptransfer.analysis.drift import OptimumErrors, Path, Slope, drift_slopes
from hptransfer.analysis.seed_spread import TYPICAL, SeedSpread, seed_spread
from hptransfer.common.json_values import plain
from hptransfer.common.seams import SCALED
from hptransfer.study.axes import ScaledAxis, scaled_axes, swept_label
from hptransfer.study.thresholds import VerdictSpec

__all__ = ["AxisVerdict", "Judgement", "judge", "judge_prepared"]


@dataclass(frozen=True, slots=True)
class AxisVerdict:
    """What is found of one series along one axis.

    Regrets are relative (0.005 is half a percent) and those of the worst cell; slopes are octaves of optimum per octave
    of axis, so negative for density when the optimum rises as density falls. Unknown numbers are NaN.
    """

    rule: str
    axis: str
    verdict: Word
    regret: float
    regret_low: float
    regret_high: float
    slope: float
    slope_low: float
    slope_high: float
    why: str
    series: str
    variant: str
    swept: str
    path: Path
    worst: str
    """The cell with that regret, in words."""
    n_cells: int
    delta: float
    slope_margin: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdicts of a study, one per series and axis, and the cells that they rest on.

    `stable`: every series expected to be stable is STABLE on every axis it has.
    """

    verdicts: tuple[AxisVerdict, ...]
    judged: tuple[CellVerdict, ...]
    sentence: str
    stable: bool
    swept: str
    notes: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell."""
        return pd.DataFrame([cell.row() for cell in self.judged])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values (unknown and unbounded numbers are None)."""
        return {
            "sentence": self.sentence,
            "stable": self.stable,
            "swept": self.swept,
            "notes": list(self.notes),
            "verdicts": [plain(asdict(verdict)) for verdict in self.verdicts],
            "cells": [plain(cell.row()) for cell in self.judged],
        }

    def to_json(self) -> str:
        """The list of verdicts as JSON text."""
        return json.dumps(self.to_dict()["verdicts"], indent=2, ensure_ascii=False, allow_nan=False)


def judge(
    frame: pd.DataFrame,
    *,
    settings: VerdictSpec | None = None,
    base: Mapping[str, Any] | None = None,
    own: OwnBase | None = None,
) -> Judgement:
    """Judge a frame of trial rows (see `cells.REQUIRED_COLUMNS`); InputError when it cannot be judged.

    `base` holds transferred values by the names of swept axes (`lr`, `init_std`, …); without that of the one that was
    swept, each series' own optimum at its base cell is transferred and its uncertainty carried along. `own` holds by
    the name of a series what it has in place of the base's.
    """
    return judge_prepared(read_cells(frame, base, own), settings or VerdictSpec(), base, own)


def judge_prepared(
    cells: Cells, settings: VerdictSpec, base: Mapping[str, Any] | None = None, own: OwnBase | None = None
) -> Judgement:
    """The same from cells already read."""
    judged = judge_cells(cells, base, settings, own)
    spread = seed_spread(cells.points, {c.key: c.optimum for c in judged})
    verdicts: list[AxisVerdict] = []
    for series in dict.fromkeys(c.key.series for c in judged):
        verdicts += _verdicts([c for c in judged if c.key.series == series], spread, settings)
    expected = [v for v in verdicts if {v.rule, v.series} & set(settings.expect_stable)]
    missing = [name for name in settings.expect_stable if not any(name in (v.rule, v.series) for v in expected)]
    stable = not missing and all(v.verdict == "STABLE" for v in expected)
    notes = (*cells.notes, *(f"no rows of '{m}', which is expected to be stable" for m in missing))
    notes += _of_the_seeds(spread)
    sentence = _sentence(sorted(verdicts, key=lambda v: v not in expected), missing)
    return Judgement(tuple(verdicts), tuple(judged), sentence, stable, cells.swept, notes)


def _of_the_seeds(spread: SeedSpread) -> tuple[str, ...]:
    """What the notes say of the seeds' own optima."""
    if spread.octaves > 0:
        return (f"seeds differ in their own optimum by {spread.octaves:.2f} octaves (standard deviation)",)
    if math.isnan(spread.octaves) and spread.shift:
        said = "too few runs tell by how far seeds differ in their own optimum"
        return (f"{said}; the drift's interval takes them to differ by about {TYPICAL:g} octaves, as is typical",)
    return ()


def _verdicts(cells: list[CellVerdict], spread: SeedSpread, settings: VerdictSpec) -> list[AxisVerdict]:
    """One verdict per axis of one series."""
    slopes = _slopes(cells, spread, settings)
    joint = any(s.path == "joint" for s in slopes.values())
    present = [axis for axis in scaled_axes() if _varies(cells, axis)] or scaled_axes()[:1]
    lines = [(axis, cells if joint else _line(cells, axis)) for axis in present]
    return [_verdict(line, axis, slopes.get(axis.name, Slope()), settings) for axis, line in lines]


def _varies(cells: Sequence[CellVerdict], axis: ScaledAxis) -> bool:
    return len({c.key[axis.name] for c in cells}) > 1


def _slopes(cells: Sequence[CellVerdict], spread: SeedSpread, settings: VerdictSpec) -> dict[str, Slope]:
    fitted = [(c, c.optimum.fit) for c in cells if c.optimum.status in ("ok", "one seed") and c.optimum.fit]
    if len(fitted) < 2:
        return {}
    axes = {a.name: np.array([a.octaves(c.key[a.name]) for c, _ in fitted]) for a in scaled_axes()}
    optimum = np.array([c.optimum.log2 for c, _ in fitted])
    noise = np.array([c.optimum.half_width / fit.t for c, fit in fitted])
    shift = np.array([spread.shift.get(c.key, 0.0) for c, _ in fitted])
    errors = OptimumErrors(noise, min(fit.df for _, fit in fitted), shift, spread.df)
    return drift_slopes(axes, optimum, errors, confidence=settings.confidence)


def _line(cells: list[CellVerdict], axis: ScaledAxis) -> list[CellVerdict]:
    """The cells that speak for an axis (module docstring); all, where too few would be left to speak of it."""
    later = next((other for other in scaled_axes() if other.after == axis.name), None)
    kept = cells
    if later:
        kept = _at_base_of(later, cells)
    elif axis.after:
        smallest = min(c.key[axis.after] for c in cells)
        drifted = [c for c in _at_base_of(axis, cells) if c.word == "DRIFT" and c.key[axis.after] > smallest]
        guilty = {c.key.but(axis.name) for c in drifted}
        kept = [c for c in cells if c.key.but(axis.name) not in guilty]
    return kept if _varies(kept, axis) else cells


def _at_base_of(axis: ScaledAxis, cells: Sequence[CellVerdict]) -> list[CellVerdict]:
    """The cells nearest the base on an axis, of all that differ in it and in the one that it comes after."""
    best = max if axis.falls else min
    nearest: dict[object, float] = {}
    for c in cells:
        rest, value = c.key.but(axis.name, axis.after), c.key[axis.name]
        nearest[rest] = best(nearest.get(rest, value), value)
    return [c for c in cells if c.key[axis.name] == nearest[c.key.but(axis.name, axis.after)]]


def _decide(
    cells: Sequence[CellVerdict], slope: Slope, axis: ScaledAxis, settings: VerdictSpec
) -> tuple[Word, CellVerdict, str]:
    if len(cells) == 1:
        (only,) = cells
        why = f"only one cell, {only.where}: nothing is transferred across an axis; {only.why}"
        return "INCONCLUSIVE", only, why
    drifting = [c for c in cells if c.word == "DRIFT"]
    if drifting:
        worst = max(drifting, key=lambda c: _order(c.regret.low))
        return "DRIFT", worst, f"at {worst.where} {worst.why}" + _others(len(drifting), len(cells), "drift")
    doubtful = [c for c in cells if c.word == "INCONCLUSIVE"]
    worst = max(doubtful or cells, key=lambda c: _order(c.regret.high))
    if doubtful:
        return "INCONCLUSIVE", worst, f"at {worst.where} {worst.why}" + _others(len(doubtful), len(cells), "are open")
    path = " along the joint path" if slope.path == "joint" else ""
    moved = f"the optimum moves {_span(slope)} octaves per octave of {axis.label}{path}"
    margin, delta = f"±{settings.slope_margin:g}", f"{100 * settings.delta:.2g}%"
    if slope.equivalent(settings.slope_margin):
        costs = f"the transferred {swept_label(worst.swept)} costs at most {100 * worst.regret.high:.2g}%"
        return "STABLE", worst, f"in every cell {costs}, and {moved}, within {margin}"
    if slope.beyond(settings.slope_margin):
        return "INCONCLUSIVE", worst, f"{moved}, beyond {margin}, though no cell's regret exceeds {delta}"
    return "INCONCLUSIVE", worst, f"{moved}, which is not shown to lie within {margin}"


def _order(x: float) -> float:
    """Unknown counts as the worst."""
    return math.inf if math.isnan(x) else x


def _others(count: int, of: int, what: str) -> str:
    return f"; {count} of {of} cells {what}" if count > 1 else ""


def _span(slope: Slope) -> str:
    if math.isnan(slope.value):
        return "an unknown number of"
    return f"{slope.value:+.2f} ({slope.low:+.2f} to {slope.high:+.2f})"


def _verdict(cells: Sequence[CellVerdict], axis: ScaledAxis, slope: Slope, settings: VerdictSpec) -> AxisVerdict:
    """What the cells that speak for an axis say of it."""
    word, worst, why = _decide(cells, slope, axis, settings)
    return AxisVerdict(
        rule=worst.key.rule,
        axis=axis.name,
        verdict=word,
        regret=worst.regret.value,
        regret_low=worst.regret.low,
        regret_high=worst.regret.high,
        slope=slope.value,
        slope_low=slope.low,
        slope_high=slope.high,
        why=why,
        series=worst.key.series,
        variant=worst.key.variant,
        swept=worst.swept,
        path=slope.path,
        worst=worst.where,
        n_cells=len(cells),
        delta=settings.delta,
        slope_margin=settings.slope_margin,
    )


def _sentence(verdicts: Sequence[AxisVerdict], missing: Sequence[str]) -> str:
    """One plain sentence for the study, a clause for each series in the order of the verdicts."""
    parts = []
    for series in dict.fromkeys(v.series for v in verdicts):
        mine = [v for v in verdicts if v.series == series]
        words = dict.fromkeys(v.verdict for v in mine)
        said = []
        for word in sorted(words, key=("DRIFT", "INCONCLUSIVE", "STABLE").index):
            axes = [v for v in mine if v.verdict == word]
            chosen = max(axes, key=lambda v: _order(v.regret_high))
            text = f"costs at most {100 * chosen.regret_high:.2g}%" if word == "STABLE" else chosen.why
            over = " and ".join(SCALED.get(v.axis).label for v in axes)
            said.append(f"{word} over {over} ({text})")
        parts.append(f"{series} is " + " and ".join(said))
    parts += [f"{name} was expected to be stable but has no rows" for name in missing]
    return "; ".join(parts) + "."
