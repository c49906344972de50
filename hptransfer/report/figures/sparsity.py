"""Loss against sparsity: each series at the transferred HPs and at its own best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import regret_text, sparsity_text
from hptransfer.report.figures.chart import Chart, Line, Lost, Panel, Point, View
from hptransfer.report.figures.labels import loss_label
from hptransfer.report.figures.limits import around, linear_axis, place, scaled_axis
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["sparsity"]

MOST_WIDTHS = 3


def sparsity(results: Results) -> Chart | None:
    """A panel per width, at most the three largest; the limits are those of what is shown."""
    densities: dict[int, set[float]] = {}
    for cell in results.cells:
        densities.setdefault(cell.key.width, set()).add(cell.key.density)
    widths = sorted(width for width, several in densities.items() if len(several) > 1)[-MOST_WIDTHS:]
    cells = [cell for cell in results.cells if cell.key.width in widths]
    losses = [loss for cell in cells for loss in (cell.optimum.min_loss, cell.regret.loss) if math.isfinite(loss)]
    if not losses:
        return None
    styles = series_styles(order_series([cell.key.series for cell in cells]))
    y = linear_axis(loss_label(results), *around(losses))
    panels = []
    for width in widths:
        mine = [cell for cell in cells if cell.key.width == width]
        x = scaled_axis("density", sorted(densities[width]), as_sparsity=True)
        lines = [line for name in styles for line in _lines(mine, name, styles[name])]
        panels.append(Panel(f"width {width}", x, y, tuple(lines)))
    lead = "The gap between a rule's filled and open marks is what tuning every cell anew would buy."
    note = "Filled: at the transferred values, where they were run. Open, thin: each cell at its own best."
    crosses = " Cross: diverged." if any(cell.regret.loss == math.inf for cell in cells) else ""
    view = View("", tuple(panels), direct=True, file="sparsity")
    return Chart("sparsity", "Loss against sparsity", lead, note + crosses, (view,))


def _lines(cells: Sequence[CellVerdict], name: str, style: LineStyle) -> tuple[Line, Line]:
    best, carried, lost = [], [], []
    for cell in sorted((c for c in cells if c.key.series == name), key=lambda c: -c.key.density):
        x, own, moved = place("density", cell.key.density), cell.optimum.min_loss, cell.regret.loss
        head = f"{series_text(name)}, {sparsity_text(cell.key.density)} sparse"
        if math.isfinite(own):
            best.append(Point(x, own, f"{head}\nat its own best: loss {own:.4f}", open=True))
        if math.isfinite(moved):
            regret = regret_text(cell.regret.value, cell.regret.high)
            carried.append(Point(x, moved, f"{head}\ntransferred: loss {moved:.4f}\nregret {regret}"))
        elif math.isinf(moved):
            lost.append(Lost(x, f"{head}\ndiverged at the transferred values"))
    text = series_text(name)
    return Line(text, style, tuple(best), drawn="thin"), Line(text, style, tuple(carried), tuple(lost))
