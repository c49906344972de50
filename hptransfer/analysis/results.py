"""A results folder as one object: what the verdict, the pictures and the report read.

It takes any folder that holds rows of the documented schema, ours or not: only the rows are needed, everything else
(`study.yaml`, `base.json`, `check.parquet`, `running.json`, curves) may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from hptransfer.analysis.verdict import Judgement, judge
from hptransfer.common.errors import InputError
from hptransfer.store.file_names import BASE_FILE, BRACKET_FILE, CHECK_FILE, CHECK_FRAME_FILE, RUNNING_FILE, STUDY_FILE
from hptransfer.store.folders import Folder, is_local, open_folder
from hptransfer.study.study import VerdictSpec

__all__ = ["Results", "load_results", "results_of", "tuned_base", "where_results_are"]

STALE_S = 900.0
"""A running study writes `running.json` every few seconds; after this long without news it is taken for dead."""
RELISTS = 5
OTHER_BUDGET = "other budget"
"""Phase, in memory, of grid rows whose number of steps is not the study's."""
CURVE_COLUMNS = ("trial_id", "step", "train_loss", "validation_loss")


@dataclass(frozen=True)
class Results:
    """What is known about one study."""

    name: str
    uri: str
    study: Mapping[str, Any] | None
    """`study.yaml` as plain values; None when the folder holds none that can be read."""
    frame: pd.DataFrame
    """One row a trial."""
    curves: pd.DataFrame
    base: Mapping[str, Any] | None
    """`base.json`: the base HPs and what tuning them cost."""
    search: Mapping[str, Any] | None
    """`bracket.json`: where a bracket search spent its trials; None without one."""
    judgement: Judgement | None
    no_judgement: str
    """Why there is no judgement; empty when there is one."""
    check: pd.DataFrame | None
    """Rows of the coordinate check."""
    check_says: tuple[str, ...]
    """The check's verdict, a sentence an axis; empty without one."""
    progress: Mapping[str, Any] | None
    """`running.json`; None when nothing is running (nothing in flight, or no news for a quarter of an hour)."""
    problems: tuple[str, ...] = field(default=())
    """What was found but could not be read, each in one sentence."""

    @property
    def settings(self) -> VerdictSpec:
        """What the study counts as stable; the defaults where it does not say so legibly."""
        return _settings(self.study)

    @property
    def running(self) -> bool:
        """Whether the study was still running when this was read."""
        return self.progress is not None


def results_of(
    frame: pd.DataFrame,
    *,
    name: str = "",
    uri: str = "",
    study: Mapping[str, Any] | None = None,
    curves: pd.DataFrame | None = None,
    base: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
    check: pd.DataFrame | None = None,
    check_says: tuple[str, ...] = (),
    progress: Mapping[str, Any] | None = None,
    problems: tuple[str, ...] = (),
) -> Results:
    """Results from what is in memory; judges the rows."""
    frame = _of_this_budget(frame, study)
    judgement, why = _judge(frame, study, base)
    return Results(
        name=name or _study_name(frame) or "results",
        uri=uri,
        study=study,
        frame=frame,
        curves=pd.DataFrame(columns=list(CURVE_COLUMNS)) if curves is None else curves,
        base=base,
        search=search,
        judgement=judgement,
        no_judgement=why,
        check=check,
        check_says=check_says,
        progress=progress,
        problems=problems,
    )


def where_results_are(uri: str) -> str:
    """A hint for a folder without results of its own: the studies right below it, else how to make some."""
    below = sorted(path.parent.name for path in Path(uri).glob(f"*/{STUDY_FILE}")) if is_local(uri) else []
    return f"it holds the results of {', '.join(below)}: name one" if below else "`hptransfer run STUDY` fills one"


def load_results(uri: str) -> Results:
    """Read a results folder: a path or any URI that `pyarrow.fs` knows.

    Raises InputError when there is no such folder or it holds neither rows nor a check. A part that cannot be read is
    named in `problems`, and the rest is used.
    """
    folder = open_folder(uri, create=False)
    problems: list[str] = []
    trials = _read_parts(folder, "trials", problems)
    loose = folder.names("")
    if trials is None:
        trials = _read_tables(folder, [name for name in loose if name != CHECK_FRAME_FILE], problems)
    study = _read_mapping(folder, STUDY_FILE, problems)
    progress = _read_mapping(folder, RUNNING_FILE, problems)
    check = _read_tables(folder, [name for name in loose if name == CHECK_FRAME_FILE], problems)
    if trials is None and progress is None and check is None:
        reason = f"; {problems[0]}" if problems else ""
        raise InputError(
            f"no trial rows here{reason}",
            where=uri,
            allowed="a folder with trials/*.parquet or *.parquet of the documented columns",
            hint=where_results_are(uri),
        )
    return results_of(
        pd.DataFrame() if trials is None else trials,
        name=str((study or {}).get("name") or PurePosixPath(folder.uri).name),
        uri=uri,
        study=study,
        curves=_read_parts(folder, "curves", problems),
        base=_read_mapping(folder, BASE_FILE, problems),
        search=_read_mapping(folder, BRACKET_FILE, problems),
        check=check,
        check_says=_sentences(_read_mapping(folder, CHECK_FILE, problems)),
        progress=progress if _is_fresh(progress) else None,
        problems=tuple(problems),
    )


def _is_fresh(progress: Mapping[str, Any] | None) -> bool:
    """Whether a `running.json` speaks of work in flight now: a killed driver leaves one behind."""
    if not progress or not progress.get("in_flight"):
        return False
    try:
        updated = datetime.fromisoformat(str(progress.get("updated")))
    except ValueError:
        return True
    now = datetime.now(updated.tzinfo or UTC)
    return (now - updated.replace(tzinfo=updated.tzinfo or UTC)).total_seconds() < STALE_S


def _read_parts(folder: Folder, kind: str, problems: list[str]) -> pd.DataFrame | None:
    """The parts of a store as one frame. A driver that merges small parts takes them away: then all are listed anew."""
    for _ in range(RELISTS):
        found: list[str] = []
        names = folder.names(kind)
        try:
            frame = _read_tables(folder, names, found)
        except FileNotFoundError:
            continue
        problems += found
        return frame
    problems.append(f"{kind}/ changed {RELISTS} times while it was read")
    return None


def _read_tables(folder: Folder, names: Iterable[str], problems: list[str]) -> pd.DataFrame | None:
    """The Parquet files among `names` as one frame, or None when none could be read."""
    parts = []
    for name in names:
        if not name.endswith(".parquet"):
            continue
        try:
            parts.append(pq.read_table(pa.BufferReader(folder.read(name))).to_pandas())
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            problems.append(f"{PurePosixPath(name).name} cannot be read ({str(error).splitlines()[0]})")
    if not parts:
        return None
    whole: pd.DataFrame = pd.concat(parts, ignore_index=True)
    if _rows_of_trials(whole):
        whole = whole.drop_duplicates("trial_id", ignore_index=True)
    return whole


def _rows_of_trials(frame: pd.DataFrame) -> bool:
    return "trial_id" in frame and "step" not in frame and bool(frame["trial_id"].notna().all())


def _read_mapping(folder: Folder, name: str, problems: list[str]) -> Mapping[str, Any] | None:
    """The mapping in a JSON or YAML file, else None; where there is a file all the same, `problems` gets a word."""
    try:
        text = folder.read(name).decode("utf-8")
        value = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except FileNotFoundError:
        return None
    except (ValueError, yaml.YAMLError, OSError) as error:
        problems.append(f"{name} cannot be read ({str(error).splitlines()[0]})")
        return None
    if not isinstance(value, dict):
        problems.append(f"{name} does not hold a mapping")
        return None
    return value


def _sentences(report: Mapping[str, Any] | None) -> tuple[str, ...]:
    found = (report or {}).get("sentences")
    return tuple(str(sentence) for sentence in found) if isinstance(found, list) else ()


def _study_name(frame: pd.DataFrame) -> str:
    if "study" not in frame or frame["study"].dropna().empty:
        return ""
    return str(frame["study"].dropna().iloc[0])


def _settings(study: Mapping[str, Any] | None) -> VerdictSpec:
    try:
        return VerdictSpec.model_validate((study or {}).get("verdict") or {}, strict=False)
    except ValueError:
        return VerdictSpec()


def tuned_base(base: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The HPs whose transfer is judged: those of a base.json that something chose.

    None where nothing was tuned (`trials` is 0): then each series' own optimum at its base cell is what transfers.
    """
    return base if base and base.get("trials") != 0 else None


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


def _judge(
    frame: pd.DataFrame, study: Mapping[str, Any] | None, base: Mapping[str, Any] | None
) -> tuple[Judgement | None, str]:
    """The verdict on these rows, or why there can be none."""
    if frame.empty:
        return None, "no trial has finished yet"
    try:
        return judge(frame, settings=_settings(study), base=tuned_base(base)), ""
    except InputError as error:
        return None, str(error)
