"""A stored study and the verdict on it: what the pictures and the report show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pandas as pd

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.direct import DirectVerdict, compare_directly
from hptransfer.analysis.verdict import Judgement, judge
from hptransfer.common.errors import InputError
from hptransfer.common.seams import identities_in, versions_in
from hptransfer.store.read_results import StoredStudy, read_study
from hptransfer.study.series_name import series_name
from hptransfer.study.study import GridSpec
from hptransfer.study.thresholds import VerdictSpec

__all__ = ["Results", "load_results", "results_of"]

OTHER_BUDGET = "other budget"
"""Phase, in memory, of grid rows whose number of steps is not the study's."""

OTHER_VERSION = "other version"
"""Phase, in memory, of grid rows of another version of a user's own entry than the newest of their series."""


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

    def directly(self, settings: VerdictSpec | None = None) -> list[DirectVerdict]:
        """What searches at the targets came to, held against the first series expected to be stable; none without."""
        chosen = settings or self.settings
        return compare_directly(self.frame, self.direct, references=chosen.expect_stable, confidence=chosen.confidence)

    @property
    def settings(self) -> VerdictSpec:
        """What the study counts as stable; the defaults where it does not say so legibly."""
        try:
            return VerdictSpec.model_validate((self.study or {}).get("verdict") or {}, strict=False)
        except ValueError:
            return VerdictSpec()

    @property
    def grid(self) -> GridSpec:
        """The grid that the study asks for; an empty one where it does not say so legibly."""
        return _grid_of(self.study)

    @property
    def own_base(self) -> Mapping[str, Mapping[str, float]]:
        """Base HPs that a series has of its own, by the names of both: what its rule or its variant overrides."""
        grid = self.grid
        pairs = product(dict.fromkeys((*grid.rules, *grid.by_rule)), grid.variants or ("",))
        try:
            found = {series_name(*pair): grid.own_base(*pair) for pair in pairs}
        except ValueError:
            return {}
        return {series: own for series, own in found.items() if own}


def load_results(uri: str) -> Results:
    """Read a results folder, a path or any URI that `pyarrow.fs` knows (see `read_study`), and judge its rows."""
    return results_of(**vars(read_study(uri)))


def results_of(frame: pd.DataFrame, *, name: str = "", study: Mapping[str, Any] | None = None, **known: Any) -> Results:
    """Results from what is in memory, the further fields of a `StoredStudy` by name; judges the rows."""
    frame, apart = _of_newest_version(_of_this_budget(frame, study))
    if apart:
        known["problems"] = (*known.get("problems", ()), apart)
    names = frame["study"].dropna().astype(str) if "study" in frame else ()
    results = Results(frame, name=name or next(iter(names), "results"), study=study, **known)
    if frame.empty:
        return replace(results, no_judgement="no trial has finished yet")
    try:
        base, own = results.transferred, results.own_base
        return replace(results, judgement=judge(frame, settings=results.settings, base=base, own=own))
    except InputError as error:
        return replace(results, no_judgement=str(error))


def _grid_of(study: Mapping[str, Any] | None) -> GridSpec:
    try:
        return GridSpec.model_validate((study or {}).get("grid") or {}, strict=False)
    except ValueError:
        return GridSpec()


def _of_this_budget(frame: pd.DataFrame, study: Mapping[str, Any] | None) -> pd.DataFrame:
    """Rows of the grid that an earlier form of the study trained longer or shorter get a phase of their own.

    The study says how many steps its series take (a rule or a variant may have its own); where it does not, or a
    variant has no such row, the rows stay as they are, and the verdict goes by what most rows have.
    """
    if not study or not {"phase", "steps"} <= set(frame.columns):
        return frame
    said, asked = _grid_of(study), (study.get("training") or {}).get("steps")
    labels = frame["variant"].fillna("") if "variant" in frame else pd.Series("", index=frame.index)
    rules = frame["rule"] if "rule" in frame else pd.Series("", index=frame.index)
    pairs = zip(rules, labels, strict=True)
    wanted = pd.Series([said.overrides_of(*pair).get("training.steps", asked) for pair in pairs], index=frame.index)
    grid, fits = frame["phase"] == "grid", frame["steps"] == pd.to_numeric(wanted, errors="coerce")
    known = labels[grid & fits].unique()
    other = grid & ~fits & labels.isin(known)
    return frame.assign(phase=frame["phase"].mask(other, OTHER_BUDGET)) if other.any() else frame


def _of_newest_version(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of the grid that another version of an entry came to get a phase of their own, and a word that says so: they
    are runs of the same cells with other numbers. What counts in a series is its newest row."""
    if frame.empty or not {"phase", "rule", "variant", "entries", "finished_at"} <= set(frame.columns):
        return frame, ""
    apart: list[object] = []
    for _, rows in frame[frame["phase"] == "grid"].groupby(["rule", "variant"], dropna=False):
        newest = rows.sort_values("finished_at", na_position="first")["entries"].iloc[-1]
        others = [text for text in rows["entries"].unique() if _another_version(text, newest)]
        apart += list(rows.index[rows["entries"].isin(others)])
    if not apart:
        return frame, ""
    said = f"{len(apart)} rows of an earlier version of an entry of your own were left out of the verdict"
    return frame.assign(phase=frame["phase"].mask(frame.index.isin(apart), OTHER_VERSION)), said


def _another_version(entries: object, newest: object) -> bool:
    """Whether an entry that both rows name has a version, and not the same one. A changed source is asked about when
    the study runs."""
    shared = identities_in(entries).keys() & identities_in(newest).keys()
    mine, theirs = versions_in(entries), versions_in(newest)
    return any(mine.get(name) != theirs.get(name) for name in shared)
