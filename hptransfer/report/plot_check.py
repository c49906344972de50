"""The coordinate check as a picture: mean |activation| over the first steps, against density or width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.report.canvas import caption, empty, key, panels, share_axis, unit_axis
from hptransfer.report.style import look, order_series, power_text, sequence, series_text
from hptransfer.report.tidy import AXES

__all__ = ["check_axis", "check_columns", "check_points", "plot_check"]

_VALUES = ("activation", "mean_abs", "mean_abs_activation", "value")
_GROUPS = ("part", "role", "layer", "module", "kind", "name")
MARKERS = "osD^vPX<>h"


def check_columns(check: pd.DataFrame) -> tuple[str, str]:
    """(column of the activation, column that tells the parts of the model apart or "")."""
    value = next((c for c in _VALUES if c in check), "")
    group = next((c for c in _GROUPS if c in check and check[c].nunique() > 1), "")
    return value, group


def check_axis(check: pd.DataFrame) -> str:
    """The axis that the check compares: the first of density, width, depth with several values; "" for none."""
    return next((a for a in AXES if a in check and check[a].nunique() > 1), "")


def check_points(check: pd.DataFrame) -> pd.DataFrame:
    """One row a (rule, part, step, x): geometric mean over seeds and over the other axes' largest value.

    Columns rule, part, step, x, activation; empty when the frame is not a check.
    """
    value, group = check_columns(check)
    axis = check_axis(check)
    if not value or not axis or "step" not in check or "rule" not in check:
        return pd.DataFrame(columns=["rule", "part", "step", "x", "activation"])
    rows = check[(check[value] > 0) & np.isfinite(check[value])]
    for other in (a for a in AXES if a in rows and a != axis):
        rows = rows[rows[other] == rows[other].max()]
    table = rows.assign(part=rows[group].astype(str) if group else "", x=rows[axis].astype(float))
    table["activation"] = np.log(table[value].astype(float))
    mean = table.groupby(["rule", "part", "step", "x"], as_index=False)["activation"].mean()
    mean["activation"] = np.exp(mean["activation"])
    return mean


def plot_check(check: pd.DataFrame) -> Figure:
    """Mean |activation| against density (or width), a column a rule, a row a part of the model, a line a step.

    Level lines pass: the size of the activations does not depend on the axis. Both axes are logarithmic.
    """
    table = check_points(check)
    if table.empty:
        with look():
            return empty("No coordinate check of several densities or widths was stored.")
    axis = check_axis(check)
    rules, parts = order_series(list(table["rule"])), list(dict.fromkeys(table["part"]))[:4]
    steps = _some(sorted(int(s) for s in table["step"].unique()))
    colours = sequence("width", len(steps))
    with look():
        figure, axes = panels(len(rules) * len(parts), columns=len(rules), width=2.5, height=2.0, right=0.95)
        for i, ax in enumerate(axes):
            part, rule = parts[i // len(rules)], rules[i % len(rules)]
            ax.set_yscale("log", base=2)
            mine = table[(table["rule"] == rule) & (table["part"] == part)]
            _lines(ax, mine, steps, colours)
            values = [float(x) for x in table["x"].unique()]
            share_axis(ax, values) if axis == "density" else unit_axis(ax, values, axis)
            ax.set_title(series_text(rule) + (f"   {part}" if part else ""))
            if i % len(rules) == 0:
                ax.set_ylabel("mean |activation|")
        _same_limits(axes, table[table["part"].isin(parts)])
        key(
            axes[len(rules) - 1], "step", [str(s) for s in steps], colours, [MARKERS[i % 10] for i in range(len(steps))]
        )
        caption(figure, "Level lines pass. Geometric mean over seeds; the same batch at every step.")
    return figure


def _some(steps: Sequence[int], most: int = 6) -> list[int]:
    """At most `most` of the steps, always the first and the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def _lines(ax: Axes, mine: pd.DataFrame, steps: Sequence[int], colours: Sequence[str]) -> None:
    for i, (step, colour) in enumerate(zip(steps, colours, strict=True)):
        line = mine[mine["step"] == step].sort_values("x")
        ax.plot(line["x"], line["activation"], color=colour, marker=MARKERS[i % 10], ms=3.5, lw=1.4)


def _same_limits(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    low, high = float(table["activation"].min()), float(table["activation"].max())
    for ax in axes:
        ax.set_ylim(low / 1.3, max(high * 1.3, low * 2))
        ax.yaxis.set_major_formatter(lambda v, _: power_text(v))
        ax.yaxis.minorticks_off()
