"""From a frame of trial rows to cells ready to fit: checks what came in and says what was left out.

Frames of other people's tools are welcome: `rule`, `width`, `density`, `lr`, `seed` and `loss` are all it takes, in
the meanings of `hptransfer.store.store`. Whatever cannot be judged honestly is refused with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from hptransfer.analysis.optimum import CellPoints
from hptransfer.common.errors import InputError
from hptransfer.study.series_name import series_name

__all__ = ["REQUIRED_COLUMNS", "CellKey", "CellRows", "Cells", "full_budget", "read_cells"]

REQUIRED_COLUMNS = ("rule", "width", "density", "lr", "seed", "loss")
"""Columns a frame must have; `phase`, `study`, `variant`, `depth`, `status`, `steps` and `init_std` may lack."""
SweptName = Literal["lr", "init_std"]
SAME_IN_A_SERIES = ("model", "optimizer", "data_id", "sparsity_kind", "sparsity_distribution", "schedule", "decay",
                    "batch_size", "sequence_length", "precision")  # fmt: skip
"""What must not vary within a series: differences belong into `variant`, else a curve mixes two questions."""
DESCRIBED_BY = ("rule", "variant", "width", "depth", "density", "alpha_input", "alpha_output", "weight_decay", "warmup",
                "beta1", "beta2", "steps", *SAME_IN_A_SERIES)  # fmt: skip
"""What, with the swept values and the seed, makes a trial in the store's schema."""


@dataclass(frozen=True, slots=True, order=True)
class CellKey:
    """One target: a series (rule and variant) at one width, density and depth."""

    rule: str
    variant: str
    width: int
    density: float
    depth: int

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
    swept: SweptName
    notes: tuple[str, ...]


def read_cells(frame: pd.DataFrame, base: Mapping[str, Any] | None = None) -> Cells:
    """Check the frame and group it into cells; raises InputError on what cannot be judged."""
    _require(frame)
    notes: list[str] = []
    rows = _grid_rows(frame, notes)
    rows = _typed(rows)
    every, rows = len(rows), full_budget(rows)
    if left := every - len(rows):
        notes.append(f"{left} rows of other budgets than {_budgets(rows)} steps were left out")
    rows = _finished(rows, notes)
    swept = _swept(rows)
    rows = _one_slice(rows, swept, base, notes)
    _refuse_mixtures(rows, swept)
    cells = []
    for _, group in rows.groupby(["rule", "variant", "width", "density", "depth"], sort=True):
        first = group.iloc[0]
        name = CellKey(
            str(first["rule"]), str(first["variant"]), int(first["width"]), float(first["density"]), int(first["depth"])
        )
        values = zip(group[swept], group["seed"], group["loss"], strict=True)
        cells.append(CellRows(name, CellPoints.of(values)))
    return Cells(tuple(cells), swept, tuple(notes))


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
    described = [c for c in DESCRIBED_BY if not grid[c].isna().all()]
    run = ["lr", "init_std", "seed"]
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


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    for column in ("width", "density", "lr", "seed", "loss", *({"init_std", "depth", "steps"} & set(rows.columns))):
        try:
            rows[column] = pd.to_numeric(rows[column]).astype(float)
        except (ValueError, TypeError) as error:
            raise InputError("not a number", where=f"results, column {column}", found=str(error)) from None
    bounds = {"width": (1, math.inf), "density": (1e-12, 1.0), "lr": (1e-300, 1e300), "seed": (0, math.inf)}
    for column, (low, high) in bounds.items():
        bad = rows[column][~rows[column].between(low, high)]
        if len(bad):
            allowed = "a number above 0" + (", at most 1" if column == "density" else "")
            allowed = "a whole number, 0 or above" if column == "seed" else allowed
            raise InputError(
                "value out of range", where=f"results, column {column}", found=bad.iloc[0], allowed=allowed
            )
    rows["variant"] = rows["variant"].fillna("").astype(str) if "variant" in rows else ""
    rows["depth"] = rows["depth"].fillna(0).astype(int) if "depth" in rows else 0
    rows["density"] = rows["density"].round(9)
    if "trial_id" in rows:
        rows = rows.drop_duplicates("trial_id")
    return rows


def full_budget(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of each series' own budget, which most of them have (the longer of equals): losses of different
    budgets are not comparable."""
    if "steps" not in rows or rows["steps"].nunique() < 2:
        return rows
    series = [rows["rule"], rows["variant"]]
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


def _swept(rows: pd.DataFrame) -> SweptName:
    cells = rows.groupby(["rule", "variant", "width", "density", "depth"])
    if "init_std" in rows and cells["lr"].nunique().max() < 2 <= cells["init_std"].nunique().max():
        return "init_std"
    return "lr"


def _one_slice(rows: pd.DataFrame, swept: SweptName, base: Mapping[str, Any] | None, notes: list[str]) -> pd.DataFrame:
    """One value of the hyperparameter that is not judged: the base's if a cell has several, else the middle one."""
    other = "init_std" if swept == "lr" else "lr"
    if other not in rows or rows.groupby(["rule", "variant", "width", "density", "depth"])[other].nunique().max() < 2:
        return rows
    logs = np.log2(rows[other])
    wanted = math.log2(float(base[other])) if base and base.get(other) else float(np.median(np.unique(logs.round(6))))
    nearest = float(logs.iloc[int((logs - wanted).abs().argmin())])
    keep = (logs - nearest).abs() < 1e-6
    notes.append(f"several {other} were run; judged at {other} = {2.0**nearest:g} ({int((~keep).sum())} rows left out)")
    kept: pd.DataFrame = rows[keep]
    return kept


def _refuse_mixtures(rows: pd.DataFrame, swept: SweptName) -> None:
    for column in SAME_IN_A_SERIES:
        if column not in rows:
            continue
        for _, part in rows.groupby(["rule", "variant"]):
            found = sorted(map(str, part[column].dropna().unique()))
            if len(found) > 1:
                name = series_name(str(part["rule"].iloc[0]), str(part["variant"].iloc[0]))
                raise InputError(
                    f"series '{name}' mixes several values of {column}",
                    where="results",
                    found=found,
                    hint="tell them apart by the column `variant`",
                )
    place = ["rule", "variant", "width", "density", "depth", swept, "seed"]
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
