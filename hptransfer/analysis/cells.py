"""From a frame of trial rows to cells ready to fit: checks what came in and says what was left out.

Frames of other people's tools are welcome: `rule`, `width`, `density`, `lr`, `seed` and `loss` are all it takes, in
the meanings of `hptransfer.store.store`. Whatever cannot be judged honestly is refused with the reason.

What was swept is found, not asked: the first of all known axes (`study.axes.swept_names`) that varies within a cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.optimum import CellPoints
from hptransfer.common.errors import InputError
from hptransfer.study.axes import ScaledAxis, place_axes, swept_names
from hptransfer.study.series_name import series_name

__all__ = ["REQUIRED_COLUMNS", "CellKey", "CellRows", "Cells", "full_budget", "read_cells", "with_axis_columns"]

REQUIRED_COLUMNS = ("rule", "width", "density", "lr", "seed", "loss")
"""Columns a frame must have; `phase`, `study`, `variant`, `depth`, `status`, `steps` and `init_std` may lack."""
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
class CellRows:
    """The points of one cell."""

    key: CellKey
    points: CellPoints


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Every cell, the hyperparameter swept, and plain sentences on what was left out."""

    cells: tuple[CellRows, ...]
    swept: str
    notes: tuple[str, ...]

    def words(self) -> list[str]:
        """Every cell in words, `width 256, density 1/16`; of the other axes those along which cells differ."""
        axes = [a for a in place_axes() if a.name in REQUIRED_COLUMNS or len({c.key[a.name] for c in self.cells}) > 1]
        return [", ".join(f"{axis.label} {axis.text(cell.key[axis.name])}" for axis in axes) for cell in self.cells]


def read_cells(frame: pd.DataFrame, base: Mapping[str, Any] | None = None) -> Cells:
    """Check the frame and group it into cells; raises InputError on what cannot be judged."""
    _require(frame)
    notes: list[str] = []
    rows = _typed(_grid_rows(with_axis_columns(frame), notes))
    every, rows = len(rows), full_budget(rows)
    if left := every - len(rows):
        notes.append(f"{left} rows of other budgets than {_budgets(rows)} steps were left out")
    rows = _finished(rows, notes)
    axes = _axes(rows)
    cell = ["rule", "variant", *(axis.name for axis in axes)]
    varying = _varying(rows, cell)
    swept = varying[0] if varying else "lr"
    rows = _with_value(_numeric(rows, varying), swept, notes)
    for other in varying[1:]:
        rows = _one_slice(rows, cell, swept, other, base, notes)
    _refuse_mixtures(rows, cell, swept)
    cells = []
    for _, group in rows.groupby(cell, sort=True):
        first = group.iloc[0]
        key = CellKey(first["rule"], first["variant"], tuple((a.name, a.number(first[a.name])) for a in axes))
        values = zip(group[swept], group["seed"], group["loss"], strict=True)
        cells.append(CellRows(key, CellPoints.of(values)))
    return Cells(tuple(cells), swept, tuple(notes))


def with_axis_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column per outside swept axis, which the store keeps together as JSON in the column `axes`."""
    if "axes" not in frame:
        return frame
    found = []
    for text in frame["axes"].fillna("{}"):
        try:
            found.append(dict(json.loads(text)))
        except (ValueError, TypeError):
            raise InputError("not a JSON object", where="results, column axes", found=text) from None
    names = dict.fromkeys(name for values in found for name in values)
    columns = {name: [values.get(name, math.nan) for values in found] for name in names}
    return frame.drop(columns="axes").assign(**columns)


def _axes(rows: pd.DataFrame) -> list[ScaledAxis]:
    """The scaled axes that make a place in these rows, as a place is told."""
    return [axis for axis in place_axes() if axis.name in EVERYWHERE or axis.name in _further(rows)]


def _further(rows: pd.DataFrame) -> list[str]:
    """Scaled axes beyond width, density and depth along which some series is scaled."""
    names = [axis.name for axis in place_axes() if axis.name in rows and axis.name not in EVERYWHERE]
    counts = rows.groupby(["rule", "variant"], dropna=False)[names].nunique().max()
    return [name for name in names if counts[name] > 1]


def _varying(rows: pd.DataFrame, cell: list[str]) -> list[str]:
    """Swept axes of which some cell has several values, the one to judge first."""
    names = swept_names(rows.columns)
    counts = rows.groupby(cell, dropna=False)[names].nunique().max()
    return [name for name in names if counts[name] > 1]


def _require(frame: pd.DataFrame) -> None:
    missing = [c for c in REQUIRED_COLUMNS if c not in frame.columns]
    if missing and len(frame.columns):
        raise InputError(
            f"columns are missing: {', '.join(missing)}",
            where="results",
            allowed=f"at least {', '.join(REQUIRED_COLUMNS)}",
        )
    if frame.empty:
        raise InputError(
            "there are no trials to judge", where="results", hint="run the study first: hptransfer run STUDY"
        )
    if "study" in frame:
        names = sorted(frame["study"].dropna().astype(str).unique())
        if len(names) > 1:
            raise InputError(
                "rows of several studies are mixed", where="results", found=names, hint="judge one study at a time"
            )


def _grid_rows(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if "phase" not in frame or frame["phase"].isna().all():
        return frame.copy()
    grid = frame[frame["phase"] == "grid"]
    if grid.empty:
        found = {str(k): int(v) for k, v in frame["phase"].value_counts().items()}
        raise InputError(
            "no rows of phase 'grid', the only ones that are judged",
            where="results",
            found=found,
            hint="run the fan-out: hptransfer fanout STUDY",
        )
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
    run = list(dict.fromkeys(["lr", "init_std", *_varying(grid, ["rule", "variant", *EVERYWHERE]), "seed"]))
    recorded = dict.fromkeys([*DESCRIBED_BY, *SAME_SINCE_2, *swept_names(grid.columns)])
    described = [c for c in recorded if c in grid and c not in run and not grid[c].isna().all()]
    cells = set(grid[described].itertuples(index=False, name=None))
    there = set(grid[[*described, *run]].itertuples(index=False, name=None))
    taken = [
        cell in cells and (*cell, *values) not in there
        for cell, values in zip(
            others[described].itertuples(index=False, name=None),
            others[run].itertuples(index=False, name=None),
            strict=True,
        )
    ]
    on_grid = np.logical_and.reduce([others[c].isin(grid[c].unique()) for c in run])
    kept: pd.DataFrame = others[np.array(taken) & on_grid]
    return kept


def _numeric(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The rows with these columns as numbers."""
    found = {}
    for column in columns:
        try:
            found[column] = pd.to_numeric(rows[column]).astype(float)
        except (ValueError, TypeError) as error:
            raise InputError("not a number", where=f"results, column {column}", found=str(error)) from None
    return rows.assign(**found)


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers within their ranges; without variant or depth, one of no name and 0."""
    rows["variant"] = rows["variant"].fillna("").astype(str) if "variant" in rows else ""
    rows["rule"] = rows["rule"].astype(str)
    further = _further(rows)
    numbers = (
        "width",
        "density",
        "lr",
        "seed",
        "loss",
        *further,
        *({"init_std", "depth", "steps"} & set(rows.columns)),
    )
    rows = _numeric(rows, numbers)
    rows["depth"] = rows["depth"].fillna(0).astype(int) if "depth" in rows else 0
    bounds = {"width": (1, math.inf), "density": (1e-12, 1.0), "lr": (1e-300, 1e300), "seed": (0, math.inf)}
    for column, (low, high) in {**bounds, **dict.fromkeys(further, (1e-12, math.inf))}.items():
        bad = rows[column][~rows[column].between(low, high)]
        if len(bad):
            allowed = "a number above 0" + (", at most 1" if column == "density" else "")
            allowed = "a whole number, 0 or above" if column == "seed" else allowed
            raise InputError(
                "value out of range", where=f"results, column {column}", found=bad.iloc[0], allowed=allowed
            )
    rows["density"] = rows["density"].round(9)
    if "trial_id" in rows:
        rows = rows.drop_duplicates("trial_id")
    return rows


def full_budget(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of each series' own budget, which most of them have (the longer of equals): losses of different budgets
    are not comparable. Scaled further, a series has a budget at each value of that axis."""
    if "steps" not in rows or rows["steps"].nunique() < 2:
        return rows
    series = [rows[name] for name in ("rule", "variant", *_further(rows))]
    counts = rows.groupby([*series, rows["steps"]])["steps"].transform("size")
    most = counts == counts.groupby(series).transform("max")
    steps = rows["steps"].where(most).groupby(series).transform("max")
    kept: pd.DataFrame = rows[rows["steps"] == steps]
    return kept


def _budgets(rows: pd.DataFrame) -> str:
    return " or ".join(f"{steps:g}" for steps in sorted(rows["steps"].unique()))


def _finished(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if "status" not in rows:
        return rows
    status = rows["status"].fillna("ok").astype(str)
    unknown = sorted(set(status) - {"ok", "diverged", "pruned"})
    if unknown:
        raise InputError(
            "unknown status", where="results, column status", found=unknown, allowed="ok, diverged, pruned"
        )
    rows = rows.assign(loss=rows["loss"].where(status != "diverged", math.nan))
    if pruned := int((status == "pruned").sum()):
        notes.append(f"{pruned} pruned rows were left out")
    kept = rows[status != "pruned"]
    if kept.empty:
        raise InputError("every row is pruned: there is no final loss to judge", where="results")
    if (kept["loss"] <= 0).any():
        raise InputError(
            "regret is relative to the loss, which must be above 0",
            where="results, column loss",
            found=float(kept["loss"].min()),
        )
    return kept


def _with_value(rows: pd.DataFrame, swept: str, notes: list[str]) -> pd.DataFrame:
    """The rows that have a value of the hyperparameter that is judged; it must be above 0."""
    known = rows[swept].notna()
    if left := int((~known).sum()):
        notes.append(f"{left} rows without a value of {swept} were left out")
    kept: pd.DataFrame = rows[known]
    if (kept[swept] <= 0).any():
        raise InputError(
            "value out of range",
            where=f"results, column {swept}",
            found=float(kept[swept].min()),
            allowed="a number above 0: optima are sought in its log2",
        )
    return kept


def _one_slice(
    rows: pd.DataFrame, cell: list[str], swept: str, other: str, base: Mapping[str, Any] | None, notes: list[str]
) -> pd.DataFrame:
    """One value of a hyperparameter that is not judged: the base's if a cell has several, else the middle one.

    All stay where each value of it belongs to one of the judged one, as a decay set in proportion to 1/LR.
    """
    if rows.groupby(cell)[other].nunique().max() < 2:
        return rows
    pairs = rows.drop_duplicates([*cell, swept, other]).groupby(cell)
    if all((pairs[name].nunique() == pairs.size()).all() for name in (swept, other)):
        notes.append(f"{other} moves together with {swept}, value by value")
        return rows
    logs = np.log2(rows[other].clip(lower=1e-300))
    wanted = (
        math.log2(float(base[other]))
        if base and base.get(other)
        else float(np.median(np.unique(logs.dropna().round(6))))
    )
    nearest = float(logs.iloc[int((logs - wanted).abs().argmin())])
    keep = (logs - nearest).abs() < 1e-6
    notes.append(f"several {other} were run; judged at {other} = {2.0**nearest:g} ({int((~keep).sum())} rows left out)")
    kept: pd.DataFrame = rows[keep]
    return kept


def _refuse_mixtures(rows: pd.DataFrame, cell: list[str], swept: str) -> None:
    for column in (*SAME_IN_A_SERIES, *SAME_SINCE_2):
        if column not in rows or column in cell:
            continue
        for _, part in rows.groupby(["rule", "variant"]):
            found = sorted(map(str, part[column].dropna().unique()))
            if len(found) > 1:
                name = series_name(*part[["rule", "variant"]].iloc[0])
                raise InputError(
                    f"series '{name}' mixes several values of {column}",
                    where="results",
                    found=found,
                    hint="tell them apart by the column `variant`",
                )
    place = [*cell, swept, "seed"]
    doubled = rows[rows.duplicated(place, keep=False)]
    if doubled.empty:
        return
    first = doubled.groupby(place, sort=False).get_group(tuple(doubled.iloc[0][place]))
    if first["loss"].nunique(dropna=False) == 1 and doubled.groupby(place)["loss"].nunique(dropna=False).max() == 1:
        return
    differ = [c for c in first.columns if c not in {*place, "loss", "trial_id"} and first[c].astype(str).nunique() > 1]
    raise InputError(
        "two runs share cell, value and seed but not the loss",
        where="results",
        found={c: str(first.iloc[0][c]) for c in place},
        hint=f"they differ in {', '.join(differ) or 'nothing recorded'}; tell them apart by the column `variant`",
    )
