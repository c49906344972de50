"""The coordinate check as a picture: mean |activation| over the first steps, against density or width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.common.number_text import power_text
from hptransfer.report.canvas import caption, empty, key, panels, share_axis, unit_axis
from hptransfer.report.style import MARKERS, look, order_series, sequence, series_text
from hptransfer.scaling.check.judge import module_kind

__all__ = ["check_axes", "check_parts", "check_points", "plot_check", "some_steps"]

MOST_PARTS = 3
_TELLING = ("attention", "ffn", "mixer", "mlp", "(model)")
_COLUMNS = ("rule", "width", "density", "seed", "step", "module", "kind", "value")


def check_axes(check: pd.DataFrame) -> list[str]:
    """The axes a check compares: density, width, those with two values or more; none when it is no check."""
    if not set(_COLUMNS) <= set(check.columns):
        return []
    return [axis for axis in ("density", "width") if check[axis].nunique() > 1]


def check_points(check: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Columns rule, part, step, x, activation: a part is a kind of module, as `judge_check` groups them.

    The geometric mean over seeds of the mean over a kind's modules, at the largest value of the other axis. Sizes
    that are zero or not finite have no place on a logarithmic axis and are left out; the check's verdict has them.
    """
    other = "width" if axis == "density" else "density"
    rows = check[(check["kind"] == "activation") & (check[other] == check[other].max())]
    rows = rows.assign(part=rows["module"].astype(str).map(module_kind), x=rows[axis].astype(float))
    mean = rows.groupby(["rule", "part", "step", "x", "seed"], as_index=False, sort=False)["value"].mean()
    mean = mean[(mean["value"] > 0) & np.isfinite(mean["value"])]
    mean = mean.assign(activation=np.log(mean["value"].astype(float)))
    table: pd.DataFrame = mean.groupby(["rule", "part", "step", "x"], as_index=False, sort=False)["activation"].mean()
    return table.assign(activation=np.exp(table["activation"]))


def check_parts(table: pd.DataFrame) -> list[str]:
    """The parts, the most telling first: attention and FFN blocks, the model's output, then the rest as they come."""
    parts = list(dict.fromkeys(table["part"]))

    def rank(part: str) -> int:
        last = part.rsplit(".", 1)[-1]
        return _TELLING.index(last) if last in _TELLING else len(_TELLING)

    return sorted(parts, key=rank)


def plot_check(check: pd.DataFrame, axis: str = "") -> Figure:
    """Mean |activation| against density (or width), a column a rule, a row a part of the model, a line a step.

    Level lines pass: the size of the activations does not depend on the axis. Both axes are logarithmic.
    """
    axes_known = check_axes(check)
    table = check_points(check, axis or axes_known[0]) if axes_known else pd.DataFrame()
    if table.empty:
        with look():
            return empty("No coordinate check of several densities or widths was stored.")
    axis = axis or axes_known[0]
    rules, parts = order_series(list(table["rule"])), check_parts(table)[:MOST_PARTS]
    steps = some_steps(sorted(int(s) for s in table["step"].unique()))
    colours = sequence("width", len(steps))
    with look():
        columns = len(rules) if len(rules) > 1 else len(parts)
        figure, axes = panels(len(rules) * len(parts), columns=columns, width=2.5, height=2.0, right=0.95)
        for i, ax in enumerate(axes):
            part, rule = parts[i // len(rules)], rules[i % len(rules)]
            ax.set_yscale("log", base=2)
            mine = table[(table["rule"] == rule) & (table["part"] == part)]
            _lines(ax, mine, steps, colours)
            values = [float(x) for x in table["x"].unique()]
            share_axis(ax, values) if axis == "density" else unit_axis(ax, values, axis)
            ax.set_title(series_text(rule) + (f"   {part}" if part else ""))
            if i % columns == 0:
                ax.set_ylabel("mean |activation|")
        _same_limits(axes, table[table["part"].isin(parts)])
        key(axes[columns - 1], "step", [str(s) for s in steps], colours, [MARKERS[i % 10] for i in range(len(steps))])
        caption(figure, "Level lines pass. Geometric mean over seeds; the same batch at every step.")
    return figure


def some_steps(steps: Sequence[int], most: int = 6) -> list[int]:
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
