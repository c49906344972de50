"""A stored study and the verdict on it: what the pictures and the report show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.verdict import Judgement, judge
from hptransfer.common.errors import InputError
from hptransfer.store.results import StoredStudy, read_study
from hptransfer.study.study import VerdictSpec

__all__ = ["Results", "load_results", "results_of"]

OTHER_BUDGET = "other budget"
"""Phase, in memory, of grid rows whose number of steps is not the study's."""


@dataclass(frozen=True)
class Results(StoredStudy):
    """What is known about one study, judged."""

    judgement: Judgement | None = None
    no_judgement: str = ""
    """Why there is no judgement; empty when there is one."""

    @property
    def cells(self) -> tuple[CellVerdict, ...]:
        """Every cell judged; none without a judgement."""
        return self.judgement.judged if self.judgement else ()

    @property
    def settings(self) -> VerdictSpec:
        """What the study counts as stable; the defaults where it does not say so legibly."""
        try:
            return VerdictSpec.model_validate((self.study or {}).get("verdict") or {}, strict=False)
        except ValueError:
            return VerdictSpec()


def load_results(uri: str) -> Results:
    """Read a results folder, a path or any URI that `pyarrow.fs` knows (see `read_study`), and judge its rows."""
    stored = read_study(uri)
    return results_of(**{part.name: getattr(stored, part.name) for part in fields(stored)})


def results_of(frame: pd.DataFrame, *, name: str = "", study: Mapping[str, Any] | None = None, **known: Any) -> Results:
    """Results from what is in memory, the further fields of a `StoredStudy` by name; judges the rows."""
    frame = _of_this_budget(frame, study)
    names = frame["study"].dropna() if "study" in frame else pd.Series(dtype=str)
    name = name or (str(names.iloc[0]) if len(names) else "results")
    results = Results(frame, name=name, study=study, **known)
    if frame.empty:
        return replace(results, no_judgement="no trial has finished yet")
    try:
        return replace(results, judgement=judge(frame, settings=results.settings, base=results.transferred))
    except InputError as error:
        return replace(results, no_judgement=str(error))


def _of_this_budget(frame: pd.DataFrame, study: Mapping[str, Any] | None) -> pd.DataFrame:
    """Rows of the grid that an earlier form of the study trained longer or shorter get a phase of their own.

    The study says how many steps its series take (a variant may have its own); where it does not, or a series has no
    such row, the rows stay as they are, and the verdict goes by what most rows have.
    """
    if not study or not {"phase", "steps"} <= set(frame.columns):
        return frame
    asked = (study.get("training") or {}).get("steps")
    variants = (study.get("grid") or {}).get("variants") or {}
    labels = frame["variant"].fillna("") if "variant" in frame else pd.Series("", index=frame.index)
    wanted = labels.map(lambda name: (variants.get(name) or {}).get("training.steps", asked))
    grid, fits = frame["phase"] == "grid", frame["steps"] == pd.to_numeric(wanted, errors="coerce")
    known = labels[grid & fits].unique()
    other = grid & ~fits & labels.isin(known)
    return frame.assign(phase=frame["phase"].mask(other, OTHER_BUDGET)) if other.any() else frame
