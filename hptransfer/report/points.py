"""From trial rows to what a picture draws: which rows, which lines, which points. Pure, DataFrames in and out.

A diverged seed is never dropped: a point some of whose seeds diverged is their median with the diverged counted as
infinitely bad, and it says how many there were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.cells import full_budget, with_axis_columns
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text
from hptransfer.common.seams import AXES
from hptransfer.report.series_look import order_series
from hptransfer.study.base import TunedBase
from hptransfer.study.series_name import series_name

__all__ = [
    "Lines",
    "axis_text",
    "cell_slices",
    "grid_rows",
    "judged_cells",
    "line_views",
    "points",
    "prepared",
    "series_in",
    "swept_axes",
    "transferred",
]

SCALED = ("density", "width", "depth")
_DEFAULTS: Mapping[str, Any] = {
    "rule": "unnamed",
    "variant": "",
    "phase": "grid",
    "status": "",
    "width": 0,
    "depth": 0,
    "density": 1.0,
    "lr": math.nan,
    "init_std": math.nan,
    "seed": 0,
    "loss": math.nan,
}


_JUDGED = (
    *("series", "width", "density", "depth", "axis_name", "optimum", "optimum_low", "optimum_high", "min_loss"),
    *("transferred", "transferred_loss", "regret", "regret_low", "regret_high", "status", "why"),
)


def judged_cells(results: Results) -> pd.DataFrame:
    """The judgement's cells; without one an empty frame of the same columns."""
    cells = results.judgement.cells if results.judgement else None
    return pd.DataFrame(columns=list(_JUDGED)) if cells is None or cells.empty else cells


def swept_axes(results: Results) -> tuple[str, ...]:
    """The hyperparameters that a cell's runs may differ in: LR and init std, those the study names, the one judged."""
    named = ((results.study or {}).get("grid") or {}).get("sweep") or {}
    judged = [results.judgement.swept] if results.judgement else []
    return tuple(dict.fromkeys(("lr", "init_std", *named, *judged)))


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy in which every column that a picture may ask for exists, with `series` added.

    Rows of a foreign schema get defaults; a missing status is told from the loss. A row is diverged when its status
    says so or when it is not pruned and its loss is not finite.
    """
    out = with_axis_columns(frame).copy()
    for name, value in _DEFAULTS.items():
        if name not in out:
            out[name] = value
    for name in ("density", "lr", "init_std", "loss", "width", "depth"):
        out[name] = pd.to_numeric(out[name], errors="coerce").astype(float)
    for name in ("rule", "variant", "phase", "status"):
        out[name] = out[name].fillna("").astype(str)
    out.loc[out["phase"] == "", "phase"] = "grid"
    if "trial_id" in out and out["trial_id"].notna().all():
        out = out.drop_duplicates("trial_id")
    finite = np.isfinite(out["loss"])
    out["diverged"] = (out["status"] == "diverged") | ((out["status"] != "pruned") & ~finite)
    out["series"] = [series_name(rule, variant) for rule, variant in zip(out["rule"], out["variant"], strict=True)]
    return out.reset_index(drop=True)


def grid_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The fan-out's rows of the full budget: neither the proxy search nor the check, nothing pruned, no short probe."""
    return full_budget(frame[(frame["phase"] == "grid") & (frame["status"] != "pruned")])


def series_in(frame: pd.DataFrame) -> list[str]:
    """The series of a prepared frame, in the order they are shown."""
    return order_series(list(frame["series"].unique()))


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
    frame: pd.DataFrame, axis: str, base: TunedBase | None = None, swept: Sequence[str] = ("lr", "init_std")
) -> pd.DataFrame:
    """One row per (series, width, density, depth, value of `axis`): mean, low, high over seeds, n, n_diverged.

    The other swept hyperparameters are held at their transferred values. `mean` is the mean of the seeds when all are
    finite, else their median with the diverged as infinity (so it may be infinite); `low` and `high` are the extremes
    of the finite seeds.
    """
    rows = grid_rows(frame)
    rows = rows.assign(**{axis: rows.get(axis, math.nan)})
    rows = rows[rows[axis].notna()]
    for other in swept:
        if other != axis and other in rows:
            rows = _held(rows, other, transferred(rows, base, other))
    keys = ["series", "width", "density", "depth", axis]
    out = []
    for key, group in rows.groupby(keys, sort=True, dropna=False):
        losses = group["loss"].where(~group["diverged"], math.inf).to_numpy(float)
        finite = losses[np.isfinite(losses)]
        n_diverged = len(losses) - len(finite)
        centre = float(np.median(losses)) if n_diverged else float(finite.mean())
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
        assert isinstance(key, tuple)
        out.append((*key, centre, low, high, len(losses), n_diverged))
    columns = ["series", "width", "density", "depth", "x", "mean", "low", "high", "n", "n_diverged"]
    return pd.DataFrame(out, columns=columns)


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
    keys: tuple[tuple[float, float, float], ...]
    labels: tuple[str, ...]

    def held_text(self) -> str:
        """`width 512, density 1/16`; empty when nothing else varies."""
        return ", ".join(f"{name} {axis_text(name, value)}" for name, value in self.held.items())


def axis_text(axis: str, value: float) -> str:
    """A value of width, density or depth as text."""
    return density_text(value) if axis == "density" else f"{value:g}"


def line_views(cells: pd.DataFrame) -> list[Lines]:
    """Every slice of the grid worth a picture, the most telling first.

    Where an axis has several values with the others held, one view for each way to hold them, those at the largest
    width, the lowest density and the largest depth first. Where width and density move together: one view of cells.
    """
    unique = cells[["width", "density", "depth"]].drop_duplicates()
    varying = [axis for axis in SCALED if unique[axis].nunique() > 1]
    views: list[Lines] = []
    for by in SCALED:
        if by not in varying:
            continue
        others = [a for a in SCALED if a != by]
        found = []
        for key, group in unique.groupby(others):
            if len(group) > 1:
                held = dict(zip(others, (float(str(k)) for k in key), strict=True))
                found.append((held, group))
        found.sort(key=lambda pair: (-pair[0].get("width", 0), pair[0].get("density", 0), -pair[0].get("depth", 0)))
        views += [_view(by, held, group, varying) for held, group in found]
    if not views and len(unique):
        views.append(_view("cell" if varying else "density", {}, unique, varying))
    return views


def _view(by: str, held: Mapping[str, float], group: pd.DataFrame, varying: list[str]) -> Lines:
    ordered = group.sort_values(["width", "density", "depth"], ascending=[True, False, True])
    keys = tuple((float(w), float(d), float(h)) for w, d, h in ordered.itertuples(index=False))
    if by == "cell":
        labels = tuple(
            " · ".join(
                axis_text(a, k[("width", "density", "depth").index(a)])
                for a in ("width", "density", "depth")
                if a in varying
            )
            for k in keys
        )
    else:
        labels = tuple(axis_text(by, k[("width", "density", "depth").index(by)]) for k in keys)
    return Lines(by, {a: v for a, v in held.items() if a in varying}, keys, labels)


def cell_slices(cells: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """For every axis that varies: (axis, how the others are held as text, those cells).

    The others are held where the most cells lie; among equals at the largest width, lowest density, largest depth.
    """
    if cells.empty:
        return []
    views = line_views(cells.assign(depth=cells["depth"].fillna(0) if "depth" in cells else 0.0))
    best: dict[str, Lines] = {}
    for view in views:
        by = "density" if view.by == "cell" else view.by
        if len(view.keys) > 1 and (by not in best or len(view.keys) > len(best[by].keys)):
            best[by] = view
    out = []
    for by, view in best.items():
        keys = set(view.keys)
        inside = [(float(w), float(d), float(h)) in keys for w, d, h in _cell_keys(cells)]
        out.append((by, view.held_text(), cells[inside]))
    return out


def _cell_keys(cells: pd.DataFrame) -> list[tuple[float, float, float]]:
    depth = cells["depth"].fillna(0) if "depth" in cells else pd.Series(0.0, index=cells.index)
    return list(zip(cells["width"].astype(float), cells["density"].astype(float), depth.astype(float), strict=True))
