"""From trial rows to what a picture draws: which rows, which lines, which points. Pure, DataFrames in and out.

A diverged seed is never dropped: a point some of whose seeds diverged is their median with the diverged counted as
infinitely bad, and it says how many there were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.cells import EVERYWHERE, OwnBase, full_budget, with_axis_columns
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text
from hptransfer.common.seams import AXES
from hptransfer.store.read_results import diverged
from hptransfer.study.base import TunedBase
from hptransfer.study.series_name import series_name

__all__ = [
    "PLACE",
    "Lines",
    "Place",
    "axis_text",
    "cell_slices",
    "grid_rows",
    "line_views",
    "place_of",
    "places_in",
    "points",
    "prepared",
    "swept_axes",
    "transferred",
]

PLACE = EVERYWHERE
Place = tuple[float, float, float]
"""Values of `PLACE`."""
_TEXTS = {"rule": "unnamed", "variant": "", "phase": "grid", "status": ""}
_NUMBERS = {"width": 0.0, "depth": 0.0, "density": 1.0, "lr": math.nan, "init_std": math.nan, "loss": math.nan}


def swept_axes(results: Results) -> tuple[str, ...]:
    """The hyperparameters that a cell's runs may differ in: LR and init std, those the study names, the one judged."""
    named = ((results.study or {}).get("grid") or {}).get("sweep") or {}
    judged = [results.judgement.swept] if results.judgement else []
    return tuple(dict.fromkeys(("lr", "init_std", *named, *judged)))


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy in which every column that a picture may ask for exists, with `series` added.

    Rows of a foreign schema get defaults.
    """
    out = with_axis_columns(frame).copy()
    for name, text in _TEXTS.items():
        out[name] = out[name].fillna("").astype(str) if name in out else text
    for name, number in _NUMBERS.items():
        out[name] = pd.to_numeric(out[name], errors="coerce").astype(float) if name in out else number
    out["density"], out["depth"] = out["density"].round(9), out["depth"].fillna(0.0)  # as cells are told apart
    out.loc[out["phase"] == "", "phase"] = "grid"
    if "trial_id" in out and out["trial_id"].notna().all():
        out = out.drop_duplicates("trial_id")
    out["diverged"] = diverged(out)
    out["series"] = [series_name(rule, variant) for rule, variant in zip(out["rule"], out["variant"], strict=True)]
    return out.reset_index(drop=True)


def grid_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The fan-out's rows of the full budget: neither the proxy search nor the check, nothing pruned, no short probe."""
    return full_budget(frame[(frame["phase"] == "grid") & (frame["status"] != "pruned")])


def transferred(frame: pd.DataFrame, base: TunedBase | None, axis: str) -> float:
    """The base value of a swept axis that was carried over.

    Where no base HP is known: the only value there is, else the one that most rows share; NaN when that says nothing.
    """
    if base is not None and axis in AXES.built_in:
        return float(getattr(base.hps, axis))
    counts = frame[axis].dropna().value_counts()
    if len(counts) == 0:
        return math.nan
    return float(counts.index[0]) if len(counts) == 1 or counts.iloc[0] >= 2 * counts.iloc[1] else math.nan


def points(
    frame: pd.DataFrame,
    axis: str,
    base: TunedBase | None = None,
    swept: Sequence[str] = ("lr", "init_std"),
    own: OwnBase | None = None,
) -> pd.DataFrame:
    """One row per (series, width, density, depth, value of `axis`): mean, low, high over seeds, n, n_diverged.

    The other swept hyperparameters are held at their transferred values, `own` ones where a series has such. `mean` is
    the mean of the seeds when all are finite, else their median with the diverged as infinity (so it may be infinite);
    `low` and `high` are the extremes of the finite seeds.
    """
    rows = grid_rows(frame)
    rows = rows.assign(**{axis: rows.get(axis, math.nan)})
    rows = rows[rows[axis].notna()]
    for other in swept:
        if other != axis and other in rows and len(rows):
            value, said = transferred(rows, base, other), own or {}
            parts = rows.groupby("series", sort=False)
            rows = pd.concat([_held(part, other, said.get(str(name), {}).get(other, value)) for name, part in parts])
    out = []
    for key, group in rows.groupby(["series", *PLACE, axis], sort=True):
        losses = group["loss"].where(~group["diverged"], math.inf).to_numpy(float)
        finite = losses[np.isfinite(losses)]
        n_diverged = len(losses) - len(finite)
        centre = float(np.median(losses)) if n_diverged else float(finite.mean())
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
        assert isinstance(key, tuple)
        out.append((*key, centre, low, high, len(losses), n_diverged))
    return pd.DataFrame(out, columns=["series", *PLACE, "x", "mean", "low", "high", "n", "n_diverged"])


def _held(rows: pd.DataFrame, column: str, value: float) -> pd.DataFrame:
    """Rows whose `column` is the known value nearest to `value`; all of them when there is nothing to choose."""
    values = rows[column].dropna()
    if values.nunique() <= 1:
        return rows
    if math.isnan(value):
        value = float(values.mode().iloc[0])
    known = np.sort(values.unique())
    nearest = known[np.argmin(np.abs(np.log(known) - math.log(value)))]
    return rows[np.isclose(rows[column], nearest, rtol=1e-9) | rows[column].isna()]


@dataclass(frozen=True)
class Lines:
    """One way to slice the grid into lines: along `by`, with the other axes held at `held`.

    `by` is an axis, or "cell" when width and density move together. `keys` are the lines' cells in drawing order,
    `labels` their names.
    """

    by: str
    held: Mapping[str, float]
    keys: tuple[Place, ...]
    labels: tuple[str, ...]

    def held_text(self) -> str:
        """`width 512, density 1/16`; empty when nothing else varies."""
        return ", ".join(f"{name} {axis_text(name, value)}" for name, value in self.held.items())


def axis_text(axis: str, value: float) -> str:
    """A value of width, density or depth as text."""
    return density_text(value) if axis == "density" else f"{value:g}"


def place_of(cell: CellVerdict) -> Place:
    """Where a judged cell lies."""
    return float(cell.key.width), float(cell.key.density), float(cell.key.depth)


def places_in(table: pd.DataFrame) -> list[Place]:
    """Where each row lies."""
    return list(zip(*(table[name] for name in PLACE), strict=True))


def line_views(places: Iterable[Place]) -> list[Lines]:
    """Every slice of the grid worth a picture, the most telling first.

    Where an axis has several values with the others held, one view for each way to hold them, those at the largest
    width, the lowest density and the largest depth first. Where width and density move together: one view of cells.
    """
    unique = sorted(set(places), key=lambda place: (place[0], -place[1], place[2]))
    varying = [axis for axis, *values in zip(PLACE, *unique, strict=True) if len(set(values)) > 1]
    views: list[Lines] = []
    for by in ("density", "width", "depth"):
        ways: dict[tuple[tuple[str, float], ...], list[Place]] = {}
        for place in unique:
            held = tuple((axis, value) for axis, value in zip(PLACE, place, strict=True) if axis != by)
            ways.setdefault(held, []).append(place)
        found = [_lines(by, dict(held), keys, varying) for held, keys in ways.items() if len(keys) > 1]
        views += sorted(found, key=_telling)
    if not views and unique:
        views.append(_lines("cell" if varying else "density", {}, unique, varying))
    return views


def _telling(view: Lines) -> Place:
    """Sorts the largest width, the lowest density and the largest depth first."""
    return -view.held.get("width", 0), view.held.get("density", 0), -view.held.get("depth", 0)


def _lines(by: str, held: Mapping[str, float], keys: Sequence[Place], varying: Sequence[str]) -> Lines:
    named = varying if by == "cell" else [by]
    labels = [" · ".join(axis_text(axis, key[PLACE.index(axis)]) for axis in named) for key in keys]
    return Lines(by, {axis: value for axis, value in held.items() if axis in varying}, tuple(keys), tuple(labels))


def cell_slices(cells: Sequence[CellVerdict]) -> list[tuple[str, str, list[CellVerdict]]]:
    """For every axis that varies: (axis, how the others are held as text, those cells).

    The others are held where the most cells lie; among equals at the largest width, lowest density, largest depth.
    """
    best: dict[str, Lines] = {}
    for view in line_views(map(place_of, cells)):
        by = "density" if view.by == "cell" else view.by
        if len(view.keys) > 1 and (by not in best or len(view.keys) > len(best[by].keys)):
            best[by] = view
    return [(by, view.held_text(), [c for c in cells if place_of(c) in view.keys]) for by, view in best.items()]
