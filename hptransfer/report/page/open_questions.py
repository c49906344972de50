"""What is open, and the commands that run what would settle it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.cells import CellKey
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, power_text
from hptransfer.report.page.answer import base_hps, study_path
from hptransfer.report.page.elements import command_block, section
from hptransfer.report.page.markup import Markup, tag
from hptransfer.report.series_look import series_text
from hptransfer.store.folders import is_local
from hptransfer.study.axes import swept_label

__all__ = ["add_command", "open_section"]

MOST_REASONS = 40
SEED_STEPS = (3, 5, 10, 20)


def open_section(results: Results) -> Markup | None:
    """What was inconclusive, why, and the command that runs the trials which settle it."""
    cells = [cell for cell in results.cells if cell.word == "INCONCLUSIVE"]
    if not cells:
        return None
    grouped: dict[tuple[object, ...], list[CellVerdict]] = {}
    for cell in cells:
        grouped.setdefault((cell.key.series, cell.suggest_values, _seeds_to_run(cell)), []).append(cell)
    items = [_question(results, group) for group in list(grouped.values())[:MOST_REASONS]]
    more = len(grouped) - len(items)
    lead = f"{len(cells)} of {len(results.cells)} cells {'is' if len(cells) == 1 else 'are'} open."
    return section(
        "open",
        "What is open, and what would settle it",
        tag("ul", *items, class_="todo"),
        tag("p", f"And {more} more groups: see the table of cells.", class_="note") if more > 0 else None,
        lead=f"{lead} Trials already stored are not run again.",
    )


def _question(results: Results, cells: Sequence[CellVerdict]) -> Markup:
    """One line of enquiry: cells of one series that want the same trials."""
    places = [f"{cell.key.width} at {density_text(cell.key.density)}" for cell in cells]
    shown = ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")
    reasons = list(dict.fromkeys(cell.why for cell in cells))
    why = reasons[0] + (f" (and {len(reasons) - 1} like it)" if len(reasons) > 1 else "")
    advice, command = _advice(cells[0]), add_command(results, cells)
    return tag(
        "li",
        tag("p", tag("b", f"{series_text(cells[0].key.series)}, width {shown}"), f": {why}."),
        tag("p", f"To settle it, {advice}{':' if command else '.'}") if advice else None,
        command_block(command) if command else None,
    )


def _seeds_to_run(cell: CellVerdict) -> int:
    """The seeds an open cell wants, rounded up so that cells with like wants share a command; 0 for no more."""
    wanted = cell.suggest_seeds
    return next((step for step in SEED_STEPS if step >= wanted), wanted) if wanted else 0


def _advice(cell: CellVerdict) -> str:
    values, seeds = ", ".join(map(power_text, cell.suggest_values)), _seeds_to_run(cell)
    parts = [f"add {swept_label(cell.swept)} {values}"] if values else []
    return " and ".join([*parts, *([f"run {seeds} seeds"] if seeds else [])])


def add_command(results: Results, cells: Sequence[CellVerdict]) -> str:
    """The command that runs what these cells of one series want; empty where nothing is wanted or no study is known."""
    first, seeds = cells[0], _seeds_to_run(cells[0])
    if results.study is None or not (first.suggest_values or seeds):
        return ""
    grid = results.study.get("grid") or {}
    settings: dict[str, object] = {"grid.rules": [first.key.rule], "grid.cells": [_cell(cell.key) for cell in cells]}
    if grid.get("nonzeros_per_neuron"):
        settings["grid.nonzeros_per_neuron"] = None
    if grid.get("search") == "bracket":
        settings["grid.search"] = "fixed"
    if first.suggest_values:
        settings |= _values_to_run(results, first)
    if seeds:
        settings["grid.seeds"] = seeds
    folder = results.uri.rstrip("/").rpartition("/")[0] if is_local(results.uri) else ""
    parts = [shlex.join(["hptransfer", "fanout", study_path(results)])]
    parts += [shlex.join(["--set", f"{key}={json.dumps(value)}"]) for key, value in settings.items()]
    parts += [shlex.join(["--results", folder])] if folder else []
    return " \\\n  ".join(parts)


def _cell(key: CellKey) -> dict[str, float]:
    return {"width": key.width, "density": key.density} | ({"depth": key.depth} if key.depth else {})


def _values_to_run(results: Results, cell: CellVerdict) -> dict[str, object]:
    """The settings of the grid that hold the values which an open cell wants."""
    grid = (results.study or {}).get("grid") or {}
    values = [float(f"{value:.9g}") for value in cell.suggest_values]
    sweep = grid.get("sweep") or {}
    if cell.swept in sweep or cell.swept not in ("lr", "init_std"):
        return {"grid.sweep": {**sweep, cell.swept: {"values": values}}}
    if cell.swept == "lr":
        return ({"grid.lr_multiples": None} if grid.get("lr_multiples") else {}) | {"grid.lr": values}
    base = _init_std(results, cell.key.series)
    return {"grid.init_multiples": [float(f"{value / base:.9g}") for value in cell.suggest_values]}


def _init_std(results: Results, series: str) -> float:
    """What the grid's multiples of init multiply: the base's, or what a rule or a variant puts in its place."""
    base = base_hps(results)
    return results.own_base.get(series, {}).get("init_std", base.init_std if base else 1.0)
