"""The verdict as a table for the terminal."""

from __future__ import annotations

import math

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hptransfer.analysis.verdict import AxisVerdict, Judgement

__all__ = ["verdict_table"]

STYLES = {"STABLE": "green", "DRIFT": "red", "INCONCLUSIVE": "yellow"}


def verdict_table(judgement: Judgement) -> Group:
    """One line per series and axis: the word, the worst cell's regret and the drift, each with its interval.

    The reasons follow below, so that the numbers stay in line on a narrow terminal.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("series", "axis", "verdict", "regret", "drift, oct/oct"):
        table.add_column(name, no_wrap=True)
    for verdict in judgement.verdicts:
        table.add_row(
            verdict.series,
            verdict.axis + ("*" if verdict.path == "joint" else ""),
            Text(verdict.verdict, style=STYLES[verdict.verdict]),
            _interval(verdict, "regret", 100, "%"),
            _interval(verdict, "slope", 1, ""),
        )
    if any(v.path == "joint" for v in judgement.verdicts):
        table.caption = "* the axes move together; the drift is along that path"
    reasons = [Text(f"{v.series}, {v.axis}: {v.why}") for v in judgement.verdicts]
    return Group(table, Text(), *reasons)


def _interval(verdict: AxisVerdict, name: str, scale: float, unit: str) -> str:
    value, low, high = (getattr(verdict, k) * scale for k in (name, f"{name}_low", f"{name}_high"))
    if math.isnan(value):
        return "–"
    least = "≥ " if name == "regret" and math.isinf(high) and math.isfinite(value) else ""
    return f"{least}{_number(value)}{unit} [{_number(low)}, {_number(high)}]"


def _number(x: float) -> str:
    return "–" if math.isnan(x) else "∞" if math.isinf(x) else f"{x:.2f}"
