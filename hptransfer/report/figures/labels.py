"""How the loss, the hyperparameters and intervals are written in pictures and on the page."""

from __future__ import annotations

import math
from collections.abc import Callable

from hptransfer.analysis.results import Results
from hptransfer.common.seams import AXES
from hptransfer.study.axes import swept_label

__all__ = ["base_label", "file_name", "full_name", "interval_text", "loss_label"]

UNITS = {"language": "nats per token"}
"""What the built-in tasks measure their loss in. A results folder is read without the code of its task."""


def loss_label(results: Results) -> str:
    """`held-out loss (nats per token)`; without a unit where the task is not known."""
    frame = results.frame
    if results.study is not None:
        task = str(results.study.get("task") or "language")
    else:
        task = str(frame["task"].iloc[0]) if "task" in frame and len(frame) else ""
    return f"held-out loss ({UNITS[task]})" if task in UNITS else "held-out loss"


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
