"""What a results folder holds, as one value: the one door for all that judges, draws, counts or exports.

Rows and curves come through the store, which verifies digest and schema version and lets duplicates fall together; a
folder of Parquet that is no store of ours has a reader of its own (`foreign`), and is said to be unverified. All that
lies beside the rows may be missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import yaml

from hptransfer.common.errors import InputError
from hptransfer.store.columns import CURVE_SCHEMA
from hptransfer.store.file_names import (
    BASE_FILE,
    BRACKET_FILE,
    CHECK_FILE,
    CHECK_FRAME_FILE,
    DIRECT_FILE,
    RUNNING_FILE,
    STUDY_FILE,
    TENSORS_FILE,
)
from hptransfer.store.folders import is_local
from hptransfer.store.foreign import UNVERIFIED, foreign_files, read_unverified
from hptransfer.store.parts import digest_in
from hptransfer.store.store import Store
from hptransfer.study.base import TunedBase
from hptransfer.study.direct import DirectCell, direct_cells

__all__ = ["StoredStudy", "diverged", "read_results", "read_rows", "read_study", "where_results_are"]

log = logging.getLogger("hptransfer")

Found = TypeVar("Found")
STALE_S = 900.0
"""A running study writes `running.json` every few seconds; after this long without news it is taken for dead."""


@dataclass(frozen=True)
class StoredStudy:
    """What is known about one study. Only the rows are needed."""

    frame: pd.DataFrame
    """One row per trial."""
    name: str = ""
    uri: str = ""
    study: Mapping[str, Any] | None = None
    """`study.yaml` as plain values; None when the folder holds none that can be read."""
    curves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CURVE_SCHEMA.names))
    base: TunedBase | None = None
    """`base.json`: the base HPs and what tuning them cost."""
    search: Mapping[str, Any] | None = None
    """`bracket.json`: where a bracket search spent its trials; None without one."""
    direct: tuple[DirectCell, ...] = ()
    """`direct.json`: what searches at the targets themselves found."""
    check: pd.DataFrame | None = None
    """Rows of the coordinate check."""
    check_says: tuple[str, ...] = ()
    """The check's verdict, a sentence per axis; empty without one."""
    progress: Mapping[str, Any] | None = None
    """`running.json`; None when nothing is running (nothing in flight, or no news for a quarter of an hour)."""
    tensors: Mapping[str, Any] | None = None
    """`tensors.json`: what each rule does to every tensor of the largest, sparsest cell."""
    problems: tuple[str, ...] = ()
    """What was found but could not be read or verified, each in one sentence."""

    @property
    def running(self) -> bool:
        """Whether the study was still running when this was read."""
        return self.progress is not None

    @property
    def base_values(self) -> Mapping[str, Any]:
        """Everything in `base.json` by name; empty without one."""
        return self.base.document() if self.base else {}

    @property
    def transferred(self) -> Mapping[str, float] | None:
        """The values whose transfer is judged; None where nothing was tuned, or nothing is known of it."""
        return self.base.transferred() if self.base else None


def read_results(uri: str) -> pd.DataFrame:
    """The one call: every stored trial of a results folder (path or URI) as a dataframe, a row each.

    Columns are described in `docs/results-schema.md`. Diverged and pruned trials have a NaN loss.
    """
    return Store.open(uri, create=False).read()


def read_study(uri: str) -> StoredStudy:
    """Read a results folder: a path or any URI that `pyarrow.fs` knows.

    A damaged part is named in `problems` and on stderr, and the rest is used; what else cannot be read is named too.
    InputError when there is no such folder, a newer schema wrote it, or it holds neither rows nor a check; also when
    damaged parts are all it has of rows.
    """
    store = Store.open(uri, create=False)
    problems: list[str] = []
    frame = read_rows(store, problems)
    if UNVERIFIED in problems:
        curves = read_unverified(store.folder, store.names("curves"), problems)
    else:
        curves = store.read_curves()
        problems += _amiss(store)
    check = _named(problems, lambda: store.read_frame(CHECK_FRAME_FILE))
    progress, study, base, search, direct, report, tensors = (
        _named(problems, partial(_mapping, store, name))
        for name in (RUNNING_FILE, STUDY_FILE, BASE_FILE, BRACKET_FILE, DIRECT_FILE, CHECK_FILE, TENSORS_FILE)
    )
    if frame.empty and (store.damaged or (progress is None and check is None)):
        raise InputError(
            "; ".join(["no trial rows here", *problems]),
            where=uri,
            allowed="a folder with trials/*.parquet or *.parquet of the documented columns",
            hint=where_results_are(uri),
        )
    return StoredStudy(
        frame,
        name=str((study or {}).get("name") or PurePosixPath(store.uri).name),
        uri=uri,
        study=study,
        curves=curves,
        base=None if base is None else _named(problems, lambda: TunedBase.read(base, BASE_FILE)),
        search=search,
        direct=(_named(problems, lambda: direct_cells(direct, DIRECT_FILE)) or ()) if direct is not None else (),
        check=check,
        check_says=_sentences(report),
        progress=progress if _is_fresh(progress) else None,
        tensors=tensors,
        problems=tuple(problems),
    )


def where_results_are(uri: str) -> str:
    """A hint for a folder without results of its own: the studies right below it, else how to make some."""
    below = sorted(path.parent.name for path in Path(uri).glob(f"*/{STUDY_FILE}")) if is_local(uri) else []
    return f"it holds the results of {', '.join(below)}: name one" if below else "`hptransfer run STUDY` fills one"


def read_rows(store: Store, problems: list[str]) -> pd.DataFrame:
    """The rows that count: a row per trial, verified, or of a foreign folder, which `problems` and stderr then say."""
    files = foreign_files(store.folder)
    if not files:
        return store.read()
    problems.append(UNVERIFIED)
    log.warning("%s: %s", store.uri, UNVERIFIED)
    return read_unverified(store.folder, files, problems)


def diverged(frame: pd.DataFrame) -> pd.Series:
    """Which rows diverged: those whose status says so, or that were not pruned and have no finite loss."""
    status = frame["status"] if "status" in frame else pd.Series("", index=frame.index)
    lost = ~np.isfinite(pd.to_numeric(frame["loss"], errors="coerce").astype(float)) if "loss" in frame else False
    found: pd.Series = (status == "diverged") | ((status != "pruned") & lost)
    return found


def _amiss(store: Store) -> list[str]:
    """What is wrong with the parts of a store, each in one sentence."""
    whole = [n for n in store.names("trials") if n.endswith(".parquet") and n not in store.damaged]
    return [
        *(f"{name} {why}; left out" for name, why in store.damaged.items()),
        *(f"{n} carries no digest in its name, so nothing about it is verified" for n in whole if not digest_in(n)),
    ]


def _named(problems: list[str], read: Callable[[], Found]) -> Found | None:
    """What can be read, else None and a word in `problems`."""
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return None


def _mapping(store: Store, name: str) -> dict[str, Any] | None:
    """The mapping in a JSON or YAML file; None where there is no file."""
    try:
        text = store.read_text(name)
        value = None if text is None else json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, OSError) as error:
        raise InputError("cannot be read", where=name, hint=str(error).splitlines()[0]) from None
    if text is not None and not isinstance(value, dict):
        raise InputError("does not hold a mapping", where=name)
    return value


def _sentences(report: Mapping[str, Any] | None) -> tuple[str, ...]:
    found = (report or {}).get("sentences")
    return tuple(str(sentence) for sentence in found) if isinstance(found, list) else ()


def _is_fresh(progress: Mapping[str, Any] | None) -> bool:
    """Whether a `running.json` speaks of work in flight now: a killed driver leaves one behind."""
    if not progress or not progress.get("in_flight"):
        return False
    try:
        updated = datetime.fromisoformat(str(progress.get("updated")))
    except ValueError:
        return True
    return (datetime.now(UTC) - updated.replace(tzinfo=updated.tzinfo or UTC)).total_seconds() < STALE_S
