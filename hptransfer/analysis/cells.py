"""From a frame of trial rows to cells ready to fit: checks what came in and says what was left out.

Frames of other people's tools are welcome: `rule`, `width`, `density`, `lr`, `seed` and `loss` are all it takes, in
the meanings of `hptransfer.store.columns`. Whatever cannot be judged honestly is refused with the reason.

What was swept is found, not asked: the first of all known axes (`study.axes.swept_names`) that varies within a cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.optimum import CellPoints
from hptransfer.common.errors import InputError
from hptransfer.common.seams import versions_in
from hptransfer.study.axes import ScaledAxis, place_axes, swept_names
from hptransfer.study.series_name import series_name

__all__ = [
    "REQUIRED_COLUMNS",
    "CellKey",
    "Cells",
    "OwnBase",
    "full_budget",
    "places_in_words",
    "read_cells",
    "with_axis_columns",
]

REQUIRED_COLUMNS = ("rule", "width", "density", "lr", "seed", "loss")
"""Columns a frame must have; `phase`, `study`, `variant`, `depth`, `status`, `steps` and `init_std` may lack."""
SERIES = ["rule", "variant"]
EVERYWHERE = ("width", "density", "depth")
"""Scaled axes that every cell has a place on; others belong to a place where a series is scaled along them."""
SAME_IN_A_SERIES = ("model", "optimizer", "data_id", "sparsity_kind", "sparsity_distribution", "schedule", "decay",
                    "batch_size", "sequence_length", "precision")  # fmt: skip
"""What must not vary within a series: differences belong into `variant`, else a curve mixes two questions."""
SAME_SINCE_2 = ("task", "trainer", "sparsity_method")
"""The same, of what rows hold since version 2 of their schema."""
DESCRIBED_BY = ("rule", "variant", "width", "depth", "density", "alpha_input", "alpha_output", "weight_decay", "warmup",
                "beta1", "beta2", "steps", *SAME_IN_A_SERIES)  # fmt: skip
"""What, with the swept values and the seed, makes a trial in the store's schema."""
OwnBase = Mapping[str, Mapping[str, float]]
"""Base HPs that a series has in place of the base's, by the names of both."""
RANGES = {"width": (1.0, math.inf, "above 0"), "depth": (0.0, math.inf, "0 or above"),
          "density": (1e-12, 1.0, "above 0, at most 1"), "seed": (0.0, math.inf, "0 or above")}  # fmt: skip
"""Least, most, and in words; of other columns a number above 0."""


@dataclass(frozen=True, slots=True)
class CellKey:
    """One target: a series (rule and variant) at one place."""

    rule: str
    variant: str
    place: tuple[tuple[str, float], ...]
    """Scaled axes and the values there, as a place is told: the width first."""

    def __getitem__(self, axis: str) -> float:
        """The value on a scaled axis; 0 where the cell has no place on it."""
        return dict(self.place).get(axis, 0)

    def but(self, *axes: str) -> tuple[tuple[str, float], ...]:
        """The place without these axes."""
        return tuple((name, value) for name, value in self.place if name not in axes)

    @property
    def width(self) -> int:
        """Its width."""
        return int(self["width"])

    @property
    def density(self) -> float:
        """Its density."""
        return self["density"]

    @property
    def depth(self) -> int:
        """Its depth; 0 where rows do not say."""
        return int(self["depth"])

    @property
    def series(self) -> str:
        """The rule, with its variant when it has one."""
        return series_name(self.rule, self.variant)


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The points of every cell, the hyperparameter swept, and plain sentences on what was left out."""

    points: Mapping[CellKey, CellPoints]
    swept: str
    notes: tuple[str, ...]

    def words(self) -> list[str]:
        """Every cell in words, see `places_in_words`."""
        return places_in_words(list(self.points))


def places_in_words(keys: Sequence[CellKey]) -> list[str]:
    """Every cell in words, `width 256, density 1/16`; of the other axes those along which cells differ."""
    axes = [a for a in place_axes() if a.name in REQUIRED_COLUMNS or len({key[a.name] for key in keys}) > 1]
    return [", ".join(f"{axis.label} {axis.text(key[axis.name])}" for axis in axes) for key in keys]


def read_cells(frame: pd.DataFrame, base: Mapping[str, Any] | None = None, own: OwnBase | None = None) -> Cells:
    """Check the frame and group it into cells; raises InputError on what cannot be judged."""
    _require(frame)
    notes: list[str] = []
    rows = _typed(_grid_rows(with_axis_columns(frame), notes))
    every, rows = len(rows), full_budget(rows)
    if left := every - len(rows):
        budgets = " or ".join(f"{steps:g}" for steps in sorted(rows["steps"].unique()))
        notes.append(f"{left} rows of other budgets than {budgets} steps were left out")
    rows = _finished(rows, notes)
    axes = _axes(rows)
    cell = [*SERIES, *(axis.name for axis in axes)]
    varying = _varying(rows, cell)
    swept = varying[0] if varying else "lr"
    rows = _with_value(_numbers(rows, varying), swept, notes)
    for other in varying[1:]:
        rows = _one_slice(rows, cell, swept, other, _wanted(rows, other, base, own or {}), notes)
    _refuse_mixtures(rows, cell, swept)
    points = {}
    for _, group in rows.groupby(cell, sort=True):
        first = group.iloc[0]
        key = CellKey(first["rule"], first["variant"], tuple((a.name, a.number(first[a.name])) for a in axes))
        points[key] = CellPoints.of(zip(group[swept], group["seed"], group["loss"], strict=True))
    return Cells(points, swept, tuple(notes))


def with_axis_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column per outside swept axis, which the store keeps together as JSON in the column `axes`."""
    if "axes" not in frame:
        return frame
    found = []
    for text in frame["axes"].fillna("{}"):
        try:
            found.append(dict(json.loads(text)))
        except (ValueError, TypeError):
            raise _refusal("not a JSON object", "axes", found=text) from None
    columns = {str(name): values for name, values in pd.DataFrame(found, index=frame.index).items()}
    return frame.drop(columns="axes").assign(**columns)


def _refusal(what: str, column: str = "", **details: Any) -> InputError:
    return InputError(what, where=f"results, column {column}" if column else "results", **details)


def _several(rows: pd.DataFrame, by: list[str], column: str) -> bool:
    """Whether some group of the rows has several values of a column."""
    return bool(rows.groupby(by, dropna=False)[column].nunique().max() > 1)


def _axes(rows: pd.DataFrame) -> list[ScaledAxis]:
    """The scaled axes that make a place in these rows, as a place is told."""
    return [a for a in place_axes() if a.name in EVERYWHERE or (a.name in rows and _several(rows, SERIES, a.name))]


def _varying(rows: pd.DataFrame, cell: list[str]) -> list[str]:
    """Swept axes of which some cell has several values; the first is judged."""
    return [name for name in swept_names(rows.columns) if _several(rows, cell, name)]


def _require(frame: pd.DataFrame) -> None:
    missing = [c for c in REQUIRED_COLUMNS if c not in frame.columns]
    if missing and len(frame.columns):
        raise _refusal(f"columns are missing: {', '.join(missing)}", allowed=f"at least {', '.join(REQUIRED_COLUMNS)}")
    if frame.empty:
        raise _refusal("there are no trials to judge", hint="run the study first: hptransfer run STUDY")
    if "study" in frame:
        names = sorted(frame["study"].dropna().astype(str).unique())
        if len(names) > 1:
            raise _refusal("rows of several studies are mixed", found=names, hint="judge one study at a time")


def _grid_rows(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if "phase" not in frame or frame["phase"].isna().all():
        return frame
    grid = frame[frame["phase"] == "grid"]
    if grid.empty:
        found, hint = frame["phase"].value_counts().to_dict(), "run the fan-out: hptransfer fanout STUDY"
        raise _refusal("no rows of phase 'grid', the only ones that are judged", found=found, hint=hint)
    shared = _shared_rows(grid, frame[frame["phase"] != "grid"])
    if len(shared):
        notes.append(f"trials of the grid that another phase had run before: {len(shared)}")
    return pd.concat([grid, shared], ignore_index=True)


def _shared_rows(grid: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Rows of other phases that are trials of the grid: the store keeps a run once, under the phase that ran it first.

    They agree with a cell in all that is recorded, lie on the grid's values and seeds, and fill a hole there. Without
    the columns that make a trial (`DESCRIBED_BY`) nothing is taken over.
    """
    if others.empty or not {*DESCRIBED_BY, "lr", "init_std", "seed"} <= set(grid.columns):
        return others.iloc[:0]
    run = list(dict.fromkeys(["lr", "init_std", *_varying(grid, [*SERIES, *EVERYWHERE]), "seed"]))
    recorded = dict.fromkeys([*DESCRIBED_BY, *SAME_SINCE_2, *swept_names(grid.columns)])
    described = [c for c in recorded if c in grid and c not in run and not grid[c].isna().all()]
    if "entries" in grid:  # another version of an entry comes to other numbers
        grid, others = (
            rows.assign(told=[json.dumps(versions_in(text)) for text in rows["entries"]]) for rows in (grid, others)
        )
        described.append("told")
    whole = [*described, *run]
    cells, there = set(_tuples(grid, described)), set(_tuples(grid, whole))
    pairs = zip(_tuples(others, described), _tuples(others, whole), strict=True)
    taken = np.array([cell in cells and row not in there for cell, row in pairs])
    on_grid = np.logical_and.reduce([others[c].isin(grid[c].unique()) for c in run])
    kept: pd.DataFrame = others[taken & on_grid].drop(columns="told", errors="ignore")
    return kept


def _tuples(rows: pd.DataFrame, columns: list[str]) -> list[tuple[object, ...]]:
    return list(rows[columns].itertuples(index=False, name=None))


def _numbers(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The rows with these columns as numbers."""
    found = {}
    for column in columns:
        try:
            found[column] = pd.to_numeric(rows[column]).astype(float)
        except (ValueError, TypeError) as error:
            raise _refusal("not a number", column, found=str(error)) from None
    return rows.assign(**found)


def _refuse_out_of_range(values: pd.Series, *, whole: bool) -> None:
    low, high, words = RANGES.get(str(values.name), (1e-300, 1e300, "above 0"))
    bad = values[~values.between(low, high) | (whole & (values % 1 != 0))]
    if len(bad):
        allowed = f"a {'whole ' if whole else ''}number{',' if words[0] == '0' else ''} {words}"
        raise _refusal("value out of range", str(values.name), found=bad.tolist()[0], allowed=allowed)


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers within their ranges; where rows do not say, the variant has no name and the depth is 0."""
    rows = rows.assign(
        rule=rows["rule"].astype(str),
        variant=rows["variant"].fillna("").astype(str) if "variant" in rows else "",
        depth=rows["depth"].fillna(0) if "depth" in rows else 0,
    )
    further = [axis.name for axis in _axes(rows) if axis.name not in EVERYWHERE]
    optional = {"init_std", "steps"} & set(rows.columns)
    rows = _numbers(rows, [*EVERYWHERE, *further, "lr", "seed", "loss", *optional])
    whole = {"seed", *(axis.name for axis in _axes(rows) if axis.whole)}
    for column in (*EVERYWHERE, *further, "lr", "seed"):
        _refuse_out_of_range(rows[column], whole=column in whole)
    rows["density"] = rows["density"].round(9)
    return rows.drop_duplicates("trial_id") if "trial_id" in rows else rows


def full_budget(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of each series' own budget, which most of them have (the longer of equals): losses of different budgets
    are not comparable. Scaled further, a series has a budget at each value of that axis."""
    if "steps" not in rows or rows["steps"].nunique() < 2:
        return rows
    series = [rows[name] for name in (*SERIES, *(a.name for a in _axes(rows) if a.name not in EVERYWHERE))]
    counts = rows.groupby([*series, rows["steps"]])["steps"].transform("size")
    most = counts == counts.groupby(series).transform("max")
    steps = rows["steps"].where(most).groupby(series).transform("max")
    return rows.loc[rows["steps"] == steps]


def _finished(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if "status" not in rows:
        return rows
    status = rows["status"].fillna("ok").astype(str)
    if unknown := sorted(set(status) - {"ok", "diverged", "pruned"}):
        raise _refusal("unknown status", "status", found=unknown, allowed="ok, diverged, pruned")
    rows = rows.assign(loss=rows["loss"].where(status != "diverged", math.nan))
    if pruned := int((status == "pruned").sum()):
        notes.append(f"{pruned} pruned rows were left out")
    kept = rows[status != "pruned"]
    if kept.empty:
        raise _refusal("every row is pruned: there is no final loss to judge")
    if (kept["loss"] <= 0).any():
        raise _refusal("regret is relative to the loss, which must be above 0", "loss", found=float(kept["loss"].min()))
    return kept


def _with_value(rows: pd.DataFrame, swept: str, notes: list[str]) -> pd.DataFrame:
    """The rows that have a value of the hyperparameter that is judged; optima are sought in its log2."""
    kept: pd.DataFrame = rows[rows[swept].notna()]
    if left := len(rows) - len(kept):
        notes.append(f"{left} rows without a value of {swept} were left out")
    _refuse_out_of_range(kept[swept], whole=False)
    return kept


def _wanted(rows: pd.DataFrame, other: str, base: Mapping[str, Any] | None, own: OwnBase) -> pd.Series:
    """For every row the value at which a hyperparameter that is not judged is wanted: what its series has of its own,
    else the base's; NaN where neither is known."""
    pairs = zip(rows["rule"], rows["variant"], strict=True)
    given = (base or {}).get(other) or math.nan
    values = [own.get(series_name(*pair), {}).get(other) or given for pair in pairs]
    return pd.Series(values, index=rows.index, dtype=float)


def _one_slice(
    rows: pd.DataFrame, cell: list[str], swept: str, other: str, wanted: pd.Series, notes: list[str]
) -> pd.DataFrame:
    """One value of a hyperparameter that is not judged: the nearest to the wanted one if a cell has several, else the
    middle one.

    All stay where each value of it belongs to one of the judged one, as a decay set in proportion to 1/LR.
    """
    if not _several(rows, cell, other):
        return rows
    pairs = rows.drop_duplicates([*cell, swept, other]).groupby(cell)
    if all((pairs[name].nunique() == pairs.size()).all() for name in (swept, other)):
        notes.append(f"{other} moves together with {swept}, value by value")
        return rows
    logs, goals = (np.log2(values.clip(lower=1e-300)).to_numpy() for values in (rows[other], wanted))
    keep, at = np.zeros(len(rows), dtype=bool), []
    for goal in np.unique(goals):
        mine = (goals == goal) | (np.isnan(goals) & np.isnan(goal))
        known = logs[mine & np.isfinite(logs)]
        if len(known):
            aim = np.median(np.unique(known.round(6))) if np.isnan(goal) else goal
            nearest = known[np.abs(known - aim).argmin()]
            keep |= mine & (np.abs(logs - nearest) < 1e-6)
            at.append(f"{2.0**nearest:g}")
    notes.append(f"several {other} were run; judged at {other} = {' or '.join(at)} ({(~keep).sum()} rows left out)")
    kept: pd.DataFrame = rows[keep]
    return kept


def _refuse_mixtures(rows: pd.DataFrame, cell: list[str], swept: str) -> None:
    for column in (*SAME_IN_A_SERIES, *SAME_SINCE_2):
        if column not in rows or column in cell:
            continue
        for name, part in rows.groupby(SERIES):
            found = sorted(map(str, part[column].dropna().unique()))
            if len(found) > 1:
                raise _refusal(
                    f"series '{series_name(*map(str, name))}' mixes several values of {column}",
                    found=found,
                    hint="tell them apart by the column `variant`",
                )
    place = [*cell, swept, "seed"]
    unlike = rows.drop_duplicates([*place, "loss"])
    doubled = unlike[unlike.duplicated(place, keep=False)]
    if doubled.empty:
        return
    first = doubled.groupby(place, sort=False).get_group(tuple(doubled.iloc[0][place]))
    differ = [c for c in first.columns if c not in {*place, "loss", "trial_id"} and first[c].astype(str).nunique() > 1]
    raise _refusal(
        "two runs share cell, value and seed but not the loss",
        found={c: str(first.iloc[0][c]) for c in place},
        hint=f"they differ in {', '.join(differ) or 'nothing recorded'}; tell them apart by the column `variant`",
    )
