"""Loss against the learning rate, or another swept axis: where each line's optimum lies, and the transferred value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.optimum import Optimum
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import power_text, value_text
from hptransfer.report.figures.chart import Chart, Line, Lost, Panel, Point, View
from hptransfer.report.figures.labels import base_label, file_name, full_name, loss_label
from hptransfer.report.figures.limits import linear_axis, loss_limits, octave_axis
from hptransfer.report.points import (
    Lines,
    axis_text,
    line_views,
    place_of,
    places_in,
    points,
    prepared,
    swept_axes,
    transferred,
)
from hptransfer.report.series_look import LineStyle, axis_styles, order_series, series_text
from hptransfer.study.axes import swept_label

__all__ = ["sweep"]

MOST_VIEWS = 12
"""Ways to slice the grid that are offered; the most telling come first."""
Optima = Mapping[tuple[str, float, float, float], Optimum]


def sweep(results: Results, axis: str) -> Chart | None:
    """A view for each way to slice the grid, a panel per series, a line per cell; the first of each way has a file."""
    rows = prepared(results.frame)
    own = results.own_base
    table = points(rows, axis, results.base, swept_axes(results), own)
    if table["x"].nunique() < 2:
        return None
    cells = [cell for cell in results.cells if cell.swept == axis]
    optima = {(cell.key.series, *place_of(cell)): cell.optimum for cell in cells}
    fallback = transferred(rows, results.base, axis)
    known = {name: own.get(name, {}).get(axis, fallback) for name in order_series(list(rows["series"]))}
    values = {name: _carried(cells, name, value) for name, value in known.items()}
    stem = {"lr": "lr", "init_std": "init"}.get(axis, f"sweep-{file_name(axis)}")
    views: list[View] = []
    ways: set[str] = set()
    for number, way in enumerate(line_views(places_in(table))):
        if number < MOST_VIEWS or way.by not in ways:
            file = "" if way.by in ways else f"{stem}-{way.by}" if ways else stem
            views.append(_view(table, optima, way, axis, values, loss_label(results), file))
            ways.add(way.by)
    said = "Bars: range over seeds."
    said += " Diamond: fitted optimum." if any(math.isfinite(optimum.log2) for optimum in optima.values()) else ""
    said += " Cross: a seed diverged." if (table["n_diverged"] > 0).any() else ""
    name = full_name(axis)
    lead = f"Where a line's lowest point sits away from the dotted line, the transferred {name} is not the best."
    return Chart(axis, f"Loss against {name}", lead, said, tuple(views), "Lines")


def _carried(cells: Sequence[CellVerdict], series: str, fallback: float) -> float:
    """The transferred value of a series: as judged, else as the rows tell it; NaN where it is unknown."""
    known = (cell.transferred for cell in cells if cell.key.series == series and cell.transferred > 0)
    return next(known, fallback)


def _view(
    table: pd.DataFrame, optima: Optima, way: Lines, axis: str, values: Mapping[str, float], loss: str, file: str
) -> View:
    mine = table[[place in way.keys for place in places_in(table)]]
    styles = axis_styles("density" if way.by == "density" else "width", len(way.keys))
    x = octave_axis(base_label(axis), float(np.log2(mine["x"].min())), float(np.log2(mine["x"].max())))
    y = linear_axis(loss, *loss_limits(mine))
    panels = []
    for name, value in values.items():
        if lines := _lines(mine[mine["series"] == name], optima, way, axis, styles):
            panels.append(Panel(series_text(name), x, y, lines, (math.log2(value),) if value > 0 else ()))
    by, held = "width · density" if way.by == "cell" else way.by, way.held_text()
    key = [Line(label, style) for label, style in zip(way.labels, styles, strict=True)] if len(styles) > 1 else []
    key = key[::-1] if way.by == "density" else key  # as the lines lie: sparser is worse, wider is better
    name = f"by {by}" + (f", at {held}" if held else "")
    return View(name, tuple(panels), tuple(key), by, dotted=_dotted(values), file=file)


def _lines(rows: pd.DataFrame, optima: Optima, way: Lines, axis: str, styles: Sequence[LineStyle]) -> tuple[Line, ...]:
    """Of one series a line per cell of the view."""
    lines = []
    for key, label, style in zip(way.keys, way.labels, styles, strict=True):
        part = rows[[place == key for place in places_in(rows)]]
        if len(part):
            optimum = optima.get((str(part["series"].iloc[0]), *key))
            lines.append(_line(part.sort_values("x"), optimum, label, style, axis))
    return tuple(lines)


def _line(rows: pd.DataFrame, optimum: Optimum | None, label: str, style: LineStyle, axis: str) -> Line:
    """Mean of the seeds with their range; points where a seed diverged are open, and a cross marks the top edge."""
    first = rows.iloc[0]
    where = f"{series_text(str(first['series']))}, width {first['width']:g}, density "
    where += axis_text("density", float(first["density"]))
    fine, crosses = [], []
    for row in rows.to_dict("records"):
        x, n, lost = math.log2(row["x"]), int(row["n"]), int(row["n_diverged"])
        head = f"{where}\n{swept_label(axis)} {power_text(row['x'])} = {value_text(row['x'])}"
        if math.isfinite(row["mean"]):
            span = f" ({row['low']:.3f}–{row['high']:.3f})" if n - lost > 1 else ""
            seeds = f"{n} seed{'s' * (n != 1)}" + (f", {lost} diverged" if lost else "")
            tip = f"{head}\nloss {row['mean']:.4f}{span}\n{seeds}"
            fine.append(Point(x, row["mean"], tip, row["low"], row["high"], open=lost > 0))
        if lost:
            crosses.append(Lost(x, f"{head}\n{lost} of {n} seeds diverged"))
    star = None
    if optimum and math.isfinite(optimum.log2) and math.isfinite(optimum.min_loss):
        best, loss = optimum.vertex, optimum.min_loss
        tip = f"{where}\nfitted optimum {power_text(best)} = {value_text(best)}\nloss there {loss:.4f}"
        star = Point(optimum.log2, loss, tip)
    return Line(label, style, tuple(fine), tuple(crosses), star)


def _dotted(values: Mapping[str, float]) -> str:
    """What the dotted line is: `transferred 2⁻⁷` when it is one value for all series; empty when none is known."""
    known = {value for value in values.values() if math.isfinite(value)}
    if len(known) != 1:
        return "transferred" if known else ""
    value = known.pop()
    power = power_text(value)
    return f"transferred {power}" if "·" not in power else f"transferred {value_text(value)} ({power})"
