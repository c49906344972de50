"""What the transferred value costs in every cell: relative regret, wider upwards, sparser to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, percent_text, regret_text
from hptransfer.report.figures.chart import Grid, Map, Square
from hptransfer.report.figures.labels import interval_text
from hptransfer.report.series_look import order_series, series_text

__all__ = ["regret", "regret_edges"]

EDGES = (0.01, 0.02, 0.05, 0.1)
"""Where the colour of a regret changes, above the study's delta."""


def regret_edges(delta: float) -> list[float]:
    """Where the colour of a regret changes: at delta, then at the fixed steps above it."""
    return [delta, *(edge for edge in EDGES if edge > delta)]


def regret(results: Results) -> Map | None:
    """A map per series (and depth). Bold: the interval's lower end is above delta."""
    cells = results.cells
    if all(math.isnan(cell.regret.value) for cell in cells):
        return None
    delta = results.settings.delta
    edges = regret_edges(delta)
    maps: dict[tuple[str, int], list[CellVerdict]] = {}
    for name in order_series([cell.key.series for cell in cells]):
        for cell in sorted((c for c in cells if c.key.series == name), key=lambda c: c.key.depth):
            maps.setdefault((name, cell.key.depth), []).append(cell)
    deep = len({depth for _, depth in maps}) > 1
    grids = [
        _grid(part, series_text(name) + (f", depth {depth}" if deep else ""), edges)
        for (name, depth), part in maps.items()
    ]
    return Map(
        "regret",
        "What the transferred value costs",
        "Regret: how much lower the loss of a cell would be at its own best value.",
        f"Bold: the interval lies above {percent_text(delta, 1)}. ≥: not run there. Question mark: the cell is open.",
        "width",
        "density",
        (f"at most {100 * edges[0]:g}%", *(f"above {100 * edge:g}%" for edge in edges)),
        tuple(grids),
    )


def _grid(cells: Sequence[CellVerdict], title: str, edges: Sequence[float]) -> Grid:
    widths = sorted({cell.key.width for cell in cells}, reverse=True)
    densities = sorted({cell.key.density for cell in cells}, reverse=True)
    known = {(cell.key.width, cell.key.density): _square(cell, edges) for cell in cells}
    squares = tuple(tuple(known.get((w, d)) for d in densities) for w in widths)
    return Grid(title, tuple(map(str, widths)), tuple(map(density_text, densities)), squares)


def _square(cell: CellVerdict, edges: Sequence[float]) -> Square:
    value, low, high = cell.regret.value, cell.regret.low, cell.regret.high
    settled = math.isfinite(value) and math.isfinite(low) and cell.word != "INCONCLUSIVE"
    text = "–" if math.isnan(value) else "div." if math.isinf(value) else regret_text(value, high, 1)
    tip = f"width {cell.key.width}, density {density_text(cell.key.density)}\nregret {regret_text(value, high)}"
    tip += interval_text(low, high, percent_text) + (f"\n{cell.why}" if cell.why else "")
    shade = None if math.isnan(value) else sum(value > edge for edge in edges)
    return Square(text + ("" if settled else " ?"), shade, low > edges[0], tip)
