"""How the loss, the hyperparameters and intervals are written in pictures and on the page."""

from __future__ import annotations

import math
from collections.abc import Callable

from hptransfer.analysis.results import Results
from hptransfer.common.seams import AXES
from hptransfer.study.axes import swept_label

__all__ = ["base_label", "file_name", "full_name", "interval_text", "loss_label"]


def loss_label(results: Results) -> str:
    """`held-out loss (nats per token)`: in the unit that the run stored, for the code of a task is not here to ask.

    Rows older than stored units are of the language task; without a unit where theirs is another.
    """
    unit = (results.tensors or {}).get("unit")
    if unit is None:
        said = list(results.frame["task"].dropna().unique()) if "task" in results.frame else []
        tasks = said or [(results.study or {}).get("task") or "language"]
        unit = "nats per token" if tasks == ["language"] else ""
    return f"held-out loss ({unit})" if unit else "held-out loss"


def full_name(axis: str) -> str:
    """A swept axis as titles write it: `learning rate`."""
    return "learning rate" if axis == "lr" else swept_label(axis)


def base_label(axis: str) -> str:
    """The same as a panel's axis is labelled: `base learning rate`."""
    return f"base {full_name(axis)}" if axis in AXES.built_in else full_name(axis)


def file_name(axis: str) -> str:
    """The same in a file's name: `weight-decay`."""
    return axis.rpartition(":")[2].replace("_", "-")


def interval_text(low: float, high: float, write: Callable[[float], str]) -> str:
    """` (0.1% to 0.4%)`; empty where it is not known."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" ({write(low)} to {'unbounded' if math.isinf(high) else write(high)})"
