"""The benchmarks' pictures, drawn from the rows that lie in results/benchmarks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hptransfer.common.number_text import density_text
from hptransfer.report.draw import look
from hptransfer.report.series_look import INK, MARKERS, MUTED, sequence

Row = dict[str, Any]

OURS, OTHER, THIRD = "#15568f", "#c8553d", "#d99a00"


def draw(path: Path) -> None:
    """Write the picture of a benchmark beside its rows, `<name>.json`, where it has one."""
    if path.stem not in PICTURES:
        return
    with look():
        figure = PICTURES[path.stem](json.loads(path.read_text(encoding="utf-8"))["rows"])
        figure.tight_layout()
        figure.savefig(path.with_suffix(".png"), dpi=150)


def step(rows: Sequence[Row]) -> Figure:
    """Speed-up of a dense step over the baseline against width; the line is the target."""
    figure, (axis,) = _panels(1, 6.4)
    kinds = ("bf16 over plain", "bf16 over plain, a process a core", "fp32 over plain")
    for kind, marker, colour in zip(kinds, MARKERS, (OURS, THIRD, OTHER), strict=False):
        points = [(r["width"], r["ratio"]) for r in rows if r["name"].endswith(f", {kind}")]
        axis.plot(*zip(*points, strict=True), marker=marker, color=colour, label=kind)
    axis.axhline(next(r["target"] for r in rows if r["name"].endswith(kinds[0])), color=INK, linewidth=0.8)
    axis.set_xscale("log", base=2)
    widths = sorted({r["width"] for r in rows})
    axis.set_xticks(widths, [str(w) for w in widths])
    axis.set(xlabel="width", ylabel="times faster a trial-step", ylim=(0, None), title="A dense step; line: target")
    _key(axis)
    return figure


def sparse(rows: Sequence[Row]) -> Figure:
    """The break-even curve, dense over sparse time against density, and a step's speed-up, a line a width."""
    figure, axes = _panels(3, 11.4)
    for axis, precision in zip(axes, ("fp32", "bf16"), strict=False):
        lines = [(r["width"], r["density"], r["ratio"]) for r in rows if r.get("precision") == precision]
        _by_density(axis, lines)
        axis.set(title=f"Three products, {precision}", ylabel="dense time / sparse time")
    over_plain = [(*_size(r["name"]), r["ratio"]) for r in rows if r["name"].endswith(") over plain")]
    _by_density(axes[2], over_plain)
    axes[2].set(title="A step, bf16, over plain", ylabel="times faster")
    _key(axes[0])
    return figure


def sweep(rows: Sequence[Row]) -> Figure:
    """Wall time against the number of trials, both sides."""
    figure, (axis,) = _panels(1, 6.4)
    points = [r for r in rows if "trials" in r]
    for side, marker, colour, label in (
        ("ours", "o", OURS, "hptransfer, start to end"),
        ("baseline", "s", OTHER, "a process a trial"),
    ):
        axis.loglog([r["trials"] for r in points], [r[side] for r in points], marker=marker, color=colour, label=label)
    axis.set(xlabel="trials", ylabel="wall time, s", title="Sweeps of one shape")
    _key(axis)
    return figure


def bracket(rows: Sequence[Row]) -> Figure:
    """Each cell's optimum: reference, grid and searches, a panel a width."""
    cells = rows[-1]["cells"]
    widths = sorted({cell["width"] for cell in cells})
    figure, panels = _panels(len(widths), 4.4 * len(widths))
    marks = (
        ("grid", -0.2, "s", OTHER, "12 × 3 grid"),
        ("searches", 0.0, "D", INK, "bracket search, by default"),
        ("few", 0.2, "o", OURS, "bracket search, 7 trials a cell"),
    )
    for axis, width in zip(panels, widths, strict=True):
        mine = [cell for cell in cells if cell["width"] == width]
        for place, cell in enumerate(mine):
            told = "" if place else "reference of eight seeds"
            axis.plot([place - 0.35, place + 0.35], [cell["reference"]] * 2, color=INK, lw=1.8, label=told)
            for key, aside, marker, colour, label in marks:
                values = cell[key] if isinstance(cell[key], list) else [cell[key]]
                where, label = [place + aside] * len(values), "" if place else label
                axis.plot(where, values, marker, color=colour, mfc="none", ms=5, label=label)
        axis.set_xticks(range(len(mine)), [density_text(cell["density"]) for cell in mine])
        axis.set(xlabel="density", ylabel="log2 of the best LR", title=f"d = {width}")
        axis.set_ylim(*_around([v for c in cells for v in (c["reference"], c["grid"], *c["few"], *c["searches"])]))
    _key(panels[0])
    return figure


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Limits that hold all finite values with a little room."""
    finite = [v for v in values if math.isfinite(v)]
    return min(finite) - 0.15, max(finite) + 0.15


def _panels(count: int, width: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, 3.6))
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _by_density(axis: Axes, points: Sequence[tuple[int, float, float]]) -> None:
    widths = sorted({width for width, _, _ in points})
    for width, colour, marker in zip(widths, sequence("width", len(widths)), MARKERS, strict=False):
        line = sorted((density, ratio) for w, density, ratio in points if w == width)
        axis.loglog(*zip(*line, strict=True), marker=marker, color=colour, base=2, label=f"d = {width}")
    axis.axhline(1, color=INK, linewidth=0.8)
    axis.set(xlabel="density")
    axis.xaxis.set_major_formatter(lambda value, _: f"1/{round(1 / value)}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _size(name: str) -> tuple[int, float]:
    """Width and density out of a row's name: `step, d=512, density 1/8 (…) over plain`."""
    width, density = name.split("d=")[1].split(",")[0], name.split("density 1/")[1].split(" ")[0]
    return int(width), 1 / int(density)


def _key(axis: Axes) -> None:
    axis.legend(frameon=False, fontsize=8, labelcolor=MUTED)


PICTURES: dict[str, Callable[[Sequence[Row]], Figure]] = {
    "step": step,
    "sparse": sparse,
    "sweep": sweep,
    "bracket": bracket,
}
"""The benchmarks that have a picture."""
