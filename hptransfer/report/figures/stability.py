"""Does the optimum stay put? The best value of every cell over density, width and depth: level lines transfer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import power_text, value_text
from hptransfer.report.figures.chart import Axis, Chart, Line, Panel, Point, View
from hptransfer.report.figures.labels import base_label, file_name
from hptransfer.report.figures.limits import octave_axis, optimum_limits, place, scaled_axis
from hptransfer.report.points import axis_text, cell_slices
from hptransfer.report.series_look import LineStyle, order_series, series_styles, series_text

__all__ = ["stability"]


def stability(results: Results) -> Chart | None:
    """A panel per scaled axis that varies, the others held where most cells are."""
    if results.judgement is None:
        return None
    axis = results.judgement.swept
    cells = [cell for cell in results.cells if math.isfinite(cell.optimum.log2)]
    styles = series_styles(order_series([cell.key.series for cell in cells]))
    slices = cell_slices(cells)
    if not slices:
        return None
    y = octave_axis(f"best {base_label(axis)}", *optimum_limits(cells), pad=0)
    panels = [_panel(by, held, part, styles, y) for by, held, part in slices]
    ending = {"lr": "", "init_std": "-init"}.get(axis, f"-{file_name(axis)}")
    lead = "A level line transfers. A slope is the number of octaves the best value moves."
    note = "Bars: interval of the fitted optimum. Open: no interval."
    view = View(base_label(axis), tuple(panels), direct=True, dotted="transferred", file=f"stability{ending}")
    return Chart("stability", "Does the optimum stay put?", lead, note, (view,), "Optimum of the")


def _panel(by: str, held: str, cells: Sequence[CellVerdict], styles: Mapping[str, LineStyle], y: Axis) -> Panel:
    lines = []
    for name in order_series([cell.key.series for cell in cells]):
        marks = [_mark(cell, by, y) for cell in cells if cell.key.series == name]
        lines.append(Line(series_text(name), styles[name], tuple(sorted(marks, key=lambda mark: mark.x))))
    carried = {cell.transferred for cell in cells if cell.transferred > 0}
    title = f"against {by}" + (f", at {held}" if held else "")
    x = scaled_axis(by, [cell.key[by] for cell in cells])
    return Panel(title, x, y, tuple(lines), at_y=(math.log2(carried.pop()),) if len(carried) == 1 else ())


def _mark(cell: CellVerdict, by: str, y: Axis) -> Point:
    """The optimum of a cell, open without an interval; a bar is cut an octave outside the panel."""
    best, value = cell.optimum, cell.key[by]
    known = math.isfinite(best.log2_low) and math.isfinite(best.log2_high)
    ends = f"between {power_text(best.low)} and {power_text(best.high)}" if known else "no interval"
    tip = f"{series_text(cell.key.series)}, {by} {axis_text(by, value)}\n"
    tip += f"best {power_text(best.vertex)} = {value_text(best.vertex)}\n{ends}"
    mark = Point(place(by, value), best.log2, tip, open=not known)
    low, high = (min(max(end, y.low - 1), y.high + 1) for end in (best.log2_low, best.log2_high))
    return replace(mark, low=low, high=high) if known else mark
