"""What the transferred value costs in every cell: relative regret, wider upwards, sparser to the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, percent_text, regret_text
from hptransfer.report.figures.chart import Grid, Map, Square
from hptransfer.report.figures.labels import interval_text
from hptransfer.report.points import judged_cells
from hptransfer.report.series_look import order_series, series_text

__all__ = ["regret", "regret_edges"]

EDGES = (0.01, 0.02, 0.05, 0.1)
"""Where the colour of a regret changes, above the study's delta."""


def regret_edges(delta: float) -> list[float]:
    """Where the colour of a regret changes: at delta, then at the fixed steps above it."""
    return [delta, *(edge for edge in EDGES if edge > delta)]


def regret(results: Results) -> Map | None:
    """A map per series (and depth). Bold: the interval's lower end is above delta."""
    cells = judged_cells(results)
    if cells["regret"].isna().all():
        return None
    delta = results.settings.delta
    edges = regret_edges(delta)
    depths = sorted(cells["depth"].unique())
    grids = []
    for name in order_series(list(cells["series"])):
        for depth in depths:
            mine = cells[(cells["series"] == name) & (cells["depth"] == depth)]
            title = series_text(name) + (f", depth {depth:g}" if len(depths) > 1 else "")
            grids += [_grid(mine, title, edges)] if len(mine) else []
    return Map(
        "regret",
        "What the transferred value costs",
        "Regret: how much lower the loss of a cell would be at its own best value.",
        f"Bold: surely above {percent_text(delta, 1)}. ≥: not run there. Question mark: the cell is not settled.",
        "width",
        "density",
        (f"at most {100 * edges[0]:g}%", *(f"above {100 * edge:g}%" for edge in edges)),
        tuple(grids),
    )


def _grid(cells: pd.DataFrame, title: str, edges: Sequence[float]) -> Grid:
    widths = sorted(cells["width"].unique(), reverse=True)
    densities = sorted(cells["density"].unique(), reverse=True)
    known = {(row["width"], row["density"]): _square(row, edges) for row in cells.to_dict("records")}
    squares = tuple(tuple(known.get((w, d)) for d in densities) for w in widths)
    return Grid(title, tuple(f"{w:g}" for w in widths), tuple(density_text(float(d)) for d in densities), squares)


def _square(row: Mapping[Any, Any], edges: Sequence[float]) -> Square:
    value, low, high = (float(row[name]) for name in ("regret", "regret_low", "regret_high"))
    settled = math.isfinite(value) and math.isfinite(low) and row["status"] != "INCONCLUSIVE"
    text = "–" if math.isnan(value) else "div." if math.isinf(value) else regret_text(value, high, 1)
    tip = f"width {row['width']:g}, density {density_text(float(row['density']))}\nregret {regret_text(value, high)}"
    tip += interval_text(low, high, percent_text) + (f"\n{row['why']}" if row["why"] else "")
    shade = None if math.isnan(value) else sum(value > edge for edge in edges)
    return Square(text + ("" if settled else " ?"), shade, low > edges[0], tip)
