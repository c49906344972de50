"""Every picture of a study, by name. Each is also a function of DataFrames returning a Figure."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from hptransfer.analysis.results import Results
from hptransfer.common.errors import InputError
from hptransfer.report.plot_cells import plot_regret, plot_sparsity, plot_stability
from hptransfer.report.plot_check import check_axes, check_points, plot_check
from hptransfer.report.plot_cost import plot_cost
from hptransfer.report.plot_params import plot_params, sized_cells
from hptransfer.report.plot_sweep import plot_init, plot_lr
from hptransfer.report.plot_tuning import plot_tuning, tune_rows
from hptransfer.report.points import cell_slices, line_views, points, prepared
from hptransfer.report.style import look
from hptransfer.store.file_names import PLOTS_FOLDER
from hptransfer.store.folders import Folder

__all__ = [
    "FORMATS",
    "KINDS",
    "draw",
    "figure_bytes",
    "plot_check",
    "plot_cost",
    "plot_init",
    "plot_lr",
    "plot_params",
    "plot_regret",
    "plot_sparsity",
    "plot_stability",
    "plot_tuning",
    "save_plots",
]

FORMATS = ("png", "svg", "pdf")
Named = Iterator[tuple[str, Figure]]


def _sweep(results: Results, axis: str, name: str) -> Named:
    """One picture for each axis that lines can run along, named `lr`, then `lr-width`, `lr-depth`."""
    rows = prepared(results.frame)
    table = points(rows, axis, results.base_values)
    if table["x"].nunique() < 2:
        return
    cells = results.judgement.cells if results.judgement else None
    plot = plot_lr if axis == "lr" else plot_init
    seen: set[str] = set()
    for view in line_views(table):
        if view.by not in seen:
            yield (
                (name if not seen else f"{name}-{view.by}"),
                plot(results.frame, cells, base=results.base_values, view=view),
            )
            seen.add(view.by)


def _stability(results: Results) -> Named:
    cells = results.judgement.cells if results.judgement else None
    if cells is None or cells.empty:
        return
    for axis, name in (("lr", "stability"), ("init_std", "stability-init")):
        mine = cells[(cells["axis_name"] == axis) & np.isfinite(cells["optimum"].astype(float))]
        if cell_slices(mine):
            yield name, plot_stability(cells, axis=axis)


def _regret(results: Results) -> Named:
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    if len(cells) and cells["regret"].notna().any():
        yield "regret", plot_regret(cells, delta=results.settings.delta)


def _sparsity(results: Results) -> Named:
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    if cells.empty or cells["density"].nunique() < 2:
        return
    if cells[["min_loss", "transferred_loss"]].notna().to_numpy().any():
        yield "sparsity", plot_sparsity(cells)


def _params(results: Results) -> Named:
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    if sized_cells(results.frame, cells)["params"].nunique() > 1:
        yield "params", plot_params(results.frame, cells)


def _check(results: Results) -> Named:
    if results.check is None:
        return
    for i, axis in enumerate(check_axes(results.check)):
        if len(check_points(results.check, axis)):
            yield ("check" if i == 0 else f"check-{axis}"), plot_check(results.check, axis)


def _tuning(results: Results) -> Named:
    if len(tune_rows(results.frame)):
        yield "tuning", plot_tuning(results.frame, results.base_values)


def _cost(results: Results) -> Named:
    if "flops_dense" in results.frame and len(results.frame):
        yield "cost", plot_cost(results.frame)


_DRAW: dict[str, Callable[[Results], Named]] = {
    "lr": lambda results: _sweep(results, "lr", "lr"),
    "stability": _stability,
    "regret": _regret,
    "sparsity": _sparsity,
    "params": _params,
    "check": _check,
    "init": lambda results: _sweep(results, "init_std", "init"),
    "tuning": _tuning,
    "cost": _cost,
}
KINDS = tuple(_DRAW)
"""The kinds of picture `--kind` takes."""


def draw(results: Results, kinds: Sequence[str] | None = None) -> Named:
    """(file stem, Figure) for every picture of these kinds that has data."""
    unknown = sorted(set(kinds or ()) - set(KINDS))
    if unknown:
        raise InputError("no such kind of picture", where="--kind", found=", ".join(unknown), allowed=", ".join(KINDS))
    for kind in kinds or KINDS:
        yield from _DRAW[kind](results)


def figure_bytes(figure: Figure, fmt: str) -> bytes:
    """A figure as a PNG, SVG or PDF file; the same figure always gives the same bytes."""
    if fmt not in FORMATS:
        raise InputError("no such picture format", where="--format", found=fmt, allowed=", ".join(FORMATS))
    buffer = io.BytesIO()
    stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[fmt]
    with look():
        figure.savefig(buffer, format=fmt, metadata=stamp)
    return _with_palette(buffer) if fmt == "png" else buffer.getvalue()


def _with_palette(png: io.BytesIO) -> bytes:
    """The same picture in at most 256 colours: a third of the size, and nothing to see of it in line drawings."""
    small = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def save_plots(
    results: Results, folder: Folder, kinds: Sequence[str] | None = None, formats: Sequence[str] = ("png", "svg")
) -> list[str]:
    """Write the pictures that have data into the plots/ of a results folder; returns the paths or URIs written.

    Earlier pictures of these kinds and formats that have data no more are removed.
    """
    names = []
    for stem, figure in draw(results, kinds):
        for fmt in formats:
            names.append(f"{PLOTS_FOLDER}/{stem}.{fmt}")
            folder.write(names[-1], figure_bytes(figure, fmt))
    for name in folder.names(PLOTS_FOLDER):
        stem, _, fmt = name.removeprefix(f"{PLOTS_FOLDER}/").rpartition(".")
        if name not in names and fmt in formats and stem.partition("-")[0] in (kinds or KINDS):
            folder.remove(name)
    return [folder.path_of(name) for name in names]
