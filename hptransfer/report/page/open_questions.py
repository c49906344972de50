"""What is open, and the commands that run what would settle it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, power_text
from hptransfer.report.page.answer import base_hps, study_path
from hptransfer.report.page.elements import command_block
from hptransfer.report.page.markup import Markup, tag
from hptransfer.report.points import judged_cells
from hptransfer.report.series_look import series_text
from hptransfer.store.folders import is_local
from hptransfer.study.axes import swept_label

__all__ = ["add_command", "open_section"]

MOST_REASONS = 40
SEED_STEPS = (3, 5, 10, 20)


def open_section(results: Results) -> Markup | None:
    """What was inconclusive, why, and the command that runs the trials which settle it."""
    cells = judged_cells(results)
    rows = cells[cells["status"] == "INCONCLUSIVE"].to_dict("records")
    if not rows:
        return None
    grouped: dict[tuple[object, ...], list[Mapping[Any, Any]]] = {}
    for row in rows:
        key = (row["rule"], row["variant"], tuple(row["suggest_values"]), _seeds_to_run(row))
        grouped.setdefault(key, []).append(row)
    items = [_question(results, group) for group in list(grouped.values())[:MOST_REASONS]]
    more = len(grouped) - len(items)
    one = len(rows) == 1
    lead = f"{len(rows)} of {len(cells)} cells {'is' if one else 'are'} open. Trials already stored are not run again."
    return tag(
        "section",
        tag("h2", "What is open, and what would settle it"),
        tag("p", lead, class_="lead"),
        tag("ul", *items, class_="todo"),
        tag("p", f"And {more} more groups: see the table of cells.", class_="note") if more > 0 else None,
        id="open",
    )


def _question(results: Results, rows: Sequence[Mapping[Any, Any]]) -> Markup:
    """One line of enquiry: cells of one series that want the same trials."""
    places = [f"{r['width']:g} at {density_text(float(r['density']))}" for r in rows]
    shown = ", ".join(places[:6]) + (f" and {len(places) - 6} more" if len(places) > 6 else "")
    reasons = list(dict.fromkeys(str(r["why"]) for r in rows))
    why = reasons[0] + (f" (and {len(reasons) - 1} like it)" if len(reasons) > 1 else "")
    advice = _advice(rows[0])
    command = add_command(results, rows)
    return tag(
        "li",
        tag("p", tag("b", f"{series_text(str(rows[0]['series']))}, width {shown}"), f": {why}."),
        tag("p", f"To settle it, {advice}:" if command else f"To settle it, {advice}.") if advice else None,
        command_block(command) if command else None,
    )


def _seeds_to_run(row: Mapping[Any, Any]) -> int:
    """The seeds an open cell wants, rounded up so that cells with like wants share a command; 0 for no more."""
    wanted = int(row["suggest_seeds"])
    return next((step for step in SEED_STEPS if step >= wanted), wanted) if wanted else 0


def _advice(row: Mapping[Any, Any]) -> str:
    name = swept_label(str(row["axis_name"]))
    values, seeds = row["suggest_values"], _seeds_to_run(row)
    parts = [f"add {name} " + ", ".join(power_text(float(v)) for v in values)] if len(values) else []
    return " and ".join([*parts, *([f"run {seeds} seeds"] if seeds else [])])


def add_command(results: Results, rows: Sequence[Mapping[Any, Any]]) -> str:
    """The command that runs what these cells of one series want; empty where nothing is wanted or no study is known."""
    values, seeds = rows[0]["suggest_values"], _seeds_to_run(rows[0])
    if results.study is None or not (len(values) or seeds):
        return ""
    grid = results.study.get("grid") or {}
    cells = [{"width": int(r["width"]), "density": float(r["density"])} | _depth(r) for r in rows]
    settings: dict[str, object] = {"grid.rules": [str(rows[0]["rule"])], "grid.cells": cells}
    if grid.get("nonzeros_per_neuron"):
        settings["grid.nonzeros_per_neuron"] = None
    if grid.get("search") == "bracket":
        settings["grid.search"] = "fixed"
    if len(values) and rows[0]["axis_name"] == "lr":
        settings |= {"grid.lr_multiples": None} if grid.get("lr_multiples") else {}
        settings["grid.lr"] = [float(f"{v:.9g}") for v in values]
    elif len(values):
        settings["grid.init_multiples"] = [float(f"{v / _init_std(results, rows[0]):.9g}") for v in values]
    if seeds:
        settings["grid.seeds"] = seeds
    folder = results.uri.rstrip("/").rpartition("/")[0] if is_local(results.uri) else ""
    parts = [shlex.join(["hptransfer", "fanout", study_path(results)])]
    parts += [shlex.join(["--set", f"{key}={json.dumps(value)}"]) for key, value in settings.items()]
    parts += [shlex.join(["--results", folder])] if folder else []
    return " \\\n  ".join(parts)


def _init_std(results: Results, row: Mapping[Any, Any]) -> float:
    """What the grid's multiples of init multiply: the base's, or what the row's variant puts in its place."""
    variants = ((results.study or {}).get("grid") or {}).get("variants") or {}
    own = (variants.get(row["variant"]) or {}).get("base.init_std")
    base = base_hps(results)
    return float(own) if own else base.init_std if base else 1.0


def _depth(row: Mapping[Any, Any]) -> dict[str, int]:
    return {"depth": int(row["depth"])} if row.get("depth") else {}
