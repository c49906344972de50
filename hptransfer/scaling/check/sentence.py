"""What a coordinate check came to, in words: one clause a rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.scaling.check.allowed import Allowed
from hptransfer.scaling.check.caught import Caught
from hptransfer.scaling.check.slopes import Axis

__all__ = ["check_sentence"]


def check_sentence(slopes: pd.DataFrame, by_rule: Mapping[str, str], caught: Mapping[str, Caught], axis: Axis) -> str:
    """One clause a rule: what it did, by which row, and for a rule that passed what would not have."""
    parts = []
    for rule, outcome in by_rule.items():
        judged = slopes[(slopes["rule"] == rule) & slopes["allowed_high"].notna()]
        if outcome == "PASS":
            parts.append(f"{rule} passes over {axis}{_closest(judged)}{_would_have_caught(caught[rule], judged)}")
        elif outcome == "FAIL":
            failed = judged[judged["outcome"] == "FAIL"]
            of = f"{len(failed)} of {len(judged)} beyond tolerance"
            parts.append(f"{rule} fails over {axis}: {of}, worst is {_worst(failed)}")
        else:
            parts.append(f"{rule} is INCONCLUSIVE over {axis}, which is no pass: {_undecided(judged)}")
    return "; ".join(parts) + "."


def _closest(judged: pd.DataFrame) -> str:
    """Of rows that are to be level: what may shrink is near its limit where all is well."""
    level = judged[-judged["allowed_low"] <= judged["allowed_high"]]
    rows = judged if level.empty else level
    return "" if rows.empty else f": closest to its tolerance is {_worst(rows)}"


def _undecided(judged: pd.DataFrame) -> str:
    undecided = judged[judged["outcome"] == "INCONCLUSIVE"]
    seeds = int(undecided["seeds"].max())
    count = f"{len(undecided)} of {len(judged)} slopes neither within tolerance nor beyond it after {_count(seeds)}"
    return f"{count}, worst is {_worst(undecided)}; more seeds or widths further apart would decide it"


def _would_have_caught(caught: Caught, judged: pd.DataFrame) -> str:
    said = [
        f"{what} exponent off by {error:.2f}"
        for what, error in (("an LR", caught.lr), ("an init", caught.init_std))
        if not math.isnan(error)
    ]
    return f"; at {_count(int(judged['seeds'].max()))} it would have caught {' and '.join(said)}" if said else ""


def _worst(rows: pd.DataFrame) -> str:
    """The row whose interval reaches furthest into what it is allowed, or beyond."""
    records = rows.to_dict("records")
    reach = [Allowed.of(row).reach(row["slope_low"], row["slope_high"]) for row in records]
    return _words(records[int(np.nan_to_num(reach, nan=math.inf).argmax())])


def _words(row: Mapping[Any, Any]) -> str:
    where, allowed = f"the {row['kind'].replace('_', ' ')} of {row['module']} at step {row['step']}", Allowed.of(row)
    if math.isnan(row["slope"]):
        return f"{where}, slope not finite (allowed {allowed})"
    slope, low, high = (allowed.number(row[name]) for name in ("slope", "slope_low", "slope_high"))
    interval = "" if math.isinf(row["slope_low"]) else f" [{low}, {high}]"
    return f"{where}, slope {slope}{interval} (allowed {allowed})"


def _count(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"
