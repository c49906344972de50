"""Loss against the parameters that are not zero: what a sparse model is worth, and the law through all sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.compute import fit_loss_curve
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, quantity
from hptransfer.report.figures.chart import Chart, Line, Panel, Point, View
from hptransfer.report.figures.labels import loss_label
from hptransfer.report.figures.limits import around, linear_axis, quantity_axis
from hptransfer.report.points import PLACE, grid_rows, place_of, prepared
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["params"]

SIZES_FOR_A_LAW = 4
"""The law has three constants; three sizes would always lie on it."""
CURVE_POINTS = 30


def params(results: Results) -> Chart | None:
    """Loss at the transferred HPs against non-zero parameters, a colour per series, whatever the width and density.

    Where a series has four sizes or more and they determine its exponent: the law L = floor + scale / N^exponent.
    """
    sized = _sized(results)
    if len({size for size, _ in sized}) < 2:
        return None
    styles = series_styles(order_series([cell.key.series for _, cell in sized]))
    lines = [line for name in styles for line in _lines(sized, name, styles[name], results.settings.confidence)]
    x = quantity_axis("non-zero parameters", [size for size, _ in sized])
    y = linear_axis(loss_label(results), *around([cell.regret.loss for _, cell in sized]))
    panel = Panel("loss at the transferred HPs", x, y, tuple(lines))
    law, named = any(line.bare for line in lines), tuple(line for line in lines if not line.bare)
    lead = "What a model reaches with the weights that are not zero, whatever its width and density."
    note = "A mark per cell." + (" Curve: the law, where the sizes determine it." if law else "")
    view = View("", (panel,), named, "series and fitted law" if law else "series", file="params")
    return Chart("params", "Loss against size", lead, note, (view,))


def _sized(results: Results) -> list[tuple[float, CellVerdict]]:
    """The cells whose loss at the transferred HPs is known, behind the mean of their non-zero parameters, rising."""
    if not results.cells or "params_nonzero" not in results.frame:
        return []
    sizes = grid_rows(prepared(results.frame)).groupby(["series", *PLACE])["params_nonzero"].mean().to_dict()
    sized = [(float(sizes.get((cell.key.series, *place_of(cell)), 0)), cell) for cell in results.cells]
    known = [(size, cell) for size, cell in sized if size > 0 and math.isfinite(cell.regret.loss)]
    return sorted(known, key=lambda pair: pair[0])


def _lines(sized: Sequence[tuple[float, CellVerdict]], name: str, style: LineStyle, confidence: float) -> list[Line]:
    mine = [(size, cell) for size, cell in sized if cell.key.series == name]
    marks = []
    for size, cell in mine:
        tip = f"{series_text(name)}, width {cell.key.width}, density {density_text(cell.key.density)}\n"
        tip += f"{quantity(size)} non-zero parameters\nloss {cell.regret.loss:.4f}"
        marks.append(Point(math.log10(size), cell.regret.loss, tip))
    own = Line(series_text(name), style, tuple(marks), drawn="dots")
    if len({size for size, _ in mine}) < SIZES_FOR_A_LAW:
        return [own]
    losses = [cell.regret.loss for _, cell in mine]
    law = fit_loss_curve([size for size, _ in mine], losses, confidence=confidence)
    if not law.determined:
        return [own]
    named = f"{own.name}   {law.loss_text}"
    places = np.linspace(marks[0].x, marks[-1].x, CURVE_POINTS)
    curve = tuple(Point(float(x), law.loss(10.0**x), named) for x in places)
    return [replace(own, name=named), Line(named, style, curve, drawn="curve")]
