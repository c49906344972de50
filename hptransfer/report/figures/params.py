"""Loss against the parameters that are not zero: what a sparse model is worth, and the law through all sizes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from hptransfer.analysis.compute import fit_loss_curve
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, quantity
from hptransfer.report.figures.chart import Chart, Line, Panel, Point, View
from hptransfer.report.figures.labels import loss_label
from hptransfer.report.figures.scales import around, linear_axis, quantity_axis
from hptransfer.report.points import grid_rows, judged_cells, prepared
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["params"]

SIZES_FOR_A_LAW = 4
"""The law has three constants; three sizes would always lie on it."""
CURVE_POINTS = 30
_PLACE = ["series", "width", "density", "depth"]


def params(results: Results) -> Chart | None:
    """Loss at the transferred HPs against non-zero parameters, a colour per series, whatever the width and density.

    Where a series has four sizes or more and they determine its exponent: the law L = floor + scale / N^exponent.
    """
    table = _sized(results)
    if table["params"].nunique() < 2:
        return None
    styles = series_styles(order_series(list(table["series"])))
    lines = [line for name in styles for line in _lines(table[table["series"] == name], name, styles[name])]
    x = quantity_axis("non-zero parameters", table["params"].tolist())
    panel = Panel(
        "loss at the transferred HPs",
        x,
        linear_axis(loss_label(results), *around(table["loss"].tolist())),
        tuple(lines),
    )
    law = any(line.bare for line in lines)
    return Chart(
        "params",
        "Loss against size",
        "What a model reaches with the weights that are not zero, whatever its width and density.",
        "A mark per cell." + (" Curve: the law, where the sizes determine it." if law else ""),
        (
            View(
                "",
                (panel,),
                tuple(line for line in lines if not line.bare),
                "series and fitted law" if law else "series",
                file="params",
            ),
        ),
    )


def _sized(results: Results) -> pd.DataFrame:
    """The cells whose loss at the transferred HPs is known, with `params`: the mean of their non-zero parameters."""
    cells, frame = judged_cells(results), results.frame
    if cells.empty or "params_nonzero" not in frame:
        return pd.DataFrame(columns=[*_PLACE, "loss", "params"])
    sizes = grid_rows(prepared(frame)).groupby(_PLACE, as_index=False)["params_nonzero"].mean()
    known = cells[[*_PLACE, "transferred_loss"]].astype(dict.fromkeys(_PLACE[1:], float))
    both = known.merge(sizes, on=_PLACE).rename(columns={"params_nonzero": "params", "transferred_loss": "loss"})
    finite: pd.DataFrame = both[np.isfinite(both["loss"]) & (both["params"] > 0)]
    return finite.sort_values("params")


def _lines(rows: pd.DataFrame, name: str, style: LineStyle) -> list[Line]:
    marks = tuple(
        Point(
            math.log10(row["params"]),
            row["loss"],
            f"{series_text(name)}, width {row['width']:g}, density {density_text(row['density'])}\n"
            f"{quantity(row['params'])} non-zero parameters\nloss {row['loss']:.4f}",
        )
        for row in rows.to_dict("records")
    )
    own = Line(series_text(name), style, marks, drawn="dots")
    if rows["params"].nunique() < SIZES_FOR_A_LAW:
        return [own]
    law = fit_loss_curve(rows["params"].tolist(), rows["loss"].tolist())
    if not law.determined:
        return [own]
    named = f"{own.name}   {law.loss_text}"
    places = np.linspace(marks[0].x, marks[-1].x, CURVE_POINTS)
    curve = tuple(Point(float(x), law.loss(10.0**x), named) for x in places)
    return [Line(named, style, marks, drawn="dots"), Line(named, style, curve, drawn="curve")]
