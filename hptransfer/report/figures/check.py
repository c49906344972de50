"""The coordinate check: mean |activation| over the first steps, against density or width. Level lines pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.module_kind import module_kind
from hptransfer.common.number_text import value_text
from hptransfer.report.figures.chart import Chart, Line, Panel, Point, View
from hptransfer.report.figures.limits import activation_limits, octave_axis, place, scaled_axis
from hptransfer.report.points import axis_text
from hptransfer.report.series_look import LineStyle, axis_styles, order_series, series_text

__all__ = ["check"]

MOST_PARTS = 3
"""Parts of the model that are drawn into a file, one row each."""
MOST_PANELS = 6
MOST_STEPS = 6
_TELLING = ("attention", "ffn", "mixer", "mlp", "(model)")
_COLUMNS = ("rule", "width", "density", "seed", "step", "module", "kind", "value")


def check(results: Results) -> Chart | None:
    """A view per part of the model and axis, a panel per rule; of one rule a view per axis, a panel per part."""
    frame, views = results.check, []
    if frame is None or not set(_COLUMNS) <= set(frame.columns):
        return None
    for number, axis in enumerate(axis for axis in ("density", "width") if frame[axis].nunique() > 1):
        table = _points(frame, axis)
        parts, rules = _parts(table), order_series(list(table["rule"]))
        file = f"check-{axis}" if number else "check"
        if len(rules) == 1:
            shown = [(series_text(rules[0]), [(part, part, rules[0]) for part in parts[:MOST_PANELS]])]
        else:
            shown = [(part, [(series_text(rule), part, rule) for rule in rules]) for part in parts]
        for row, (name, pairs) in enumerate(shown):
            views.append(_view(f"{name} against {axis}", table, axis, pairs, file if row < MOST_PARTS else ""))
    if not views:
        return None
    lead = "The size of the activations over the first steps. Level lines pass: it depends on neither axis."
    said = "Geometric mean over seeds; the same batch at every step. Both axes logarithmic."
    return Chart("check", "Coordinate check", lead, " ".join([*results.check_says, said]), tuple(views), "Of")


def _view(name: str, table: pd.DataFrame, axis: str, pairs: Sequence[tuple[str, str, str]], file: str) -> View:
    """One view; `pairs` are (title, part, rule) of its panels."""
    mine = table[table["part"].isin([part for _, part, _ in pairs])]
    steps = _some(sorted(map(int, mine["step"].unique())))
    styles = axis_styles("width", len(steps))
    y = octave_axis("mean |activation|", *activation_limits(mine["activation"]), pad=0)
    x = scaled_axis(axis, [float(v) for v in mine["x"]])
    panels = []
    for title, part, rule in pairs:
        rows = mine[(mine["rule"] == rule) & (mine["part"] == part)]
        lines = [_line(rows[rows["step"] == s], s, style, axis) for s, style in zip(steps, styles, strict=True)]
        panels.append(Panel(title, x, y, tuple(lines)))
    key = [Line(f"step {s}", style) for s, style in zip(steps, styles, strict=True)]
    return View(name, tuple(panels), tuple(key[::-1]), file=file)


def _line(rows: pd.DataFrame, step: int, style: LineStyle, axis: str) -> Line:
    marks = []
    for x, size in zip(rows["x"], rows["activation"], strict=True):
        tip = f"step {step}, {axis} {axis_text(axis, x)}\nmean |activation| {value_text(size)}"
        marks.append(Point(place(axis, x), math.log2(size), tip))
    return Line(f"step {step}", style, tuple(sorted(marks, key=lambda mark: mark.x)))


def _points(check: pd.DataFrame, axis: str) -> pd.DataFrame:
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


def _parts(table: pd.DataFrame) -> list[str]:
    """The parts, the most telling first: attention and FFN blocks, the model's output, then the rest as they come."""
    rank = {last: place_of for place_of, last in enumerate(_TELLING)}
    return sorted(dict.fromkeys(table["part"]), key=lambda part: rank.get(part.rpartition(".")[2], len(rank)))


def _some(steps: Sequence[int]) -> list[int]:
    """At most `MOST_STEPS` of the steps, always the first and the last."""
    return [steps[round(at)] for at in np.linspace(0, len(steps) - 1, min(len(steps), MOST_STEPS))]
