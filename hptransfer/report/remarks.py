"""The page's sections around the finding: what would settle open cells, what it cost, where it comes from."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hptransfer.analysis.compute import CHINCHILLA, rule_gains, tuning_cost
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, flops_text, percent_text, power_text, seconds_text, value_text
from hptransfer.report.answer import base_hps
from hptransfer.report.markup import Markup, tag
from hptransfer.report.plot_cost import cost_table
from hptransfer.report.sections import colours, is_settled, number, study_path
from hptransfer.report.style import order_series, series_text
from hptransfer.store.folders import is_local
from hptransfer.study.series_name import split_series

__all__ = ["add_command", "cost_section", "provenance_section", "todo_section"]

MOST_REASONS = 40
SEED_STEPS = (3, 5, 10, 20)
_PROVENANCE = (
    ("models", "model"),
    ("data", "data_id"),
    ("code", "code_version"),
    ("devices", "device"),
    ("products", "products"),
    ("precision", "precision"),
    ("optimizer", "optimizer"),
    ("schema", "schema_version"),
)


def todo_section(results: Results) -> Markup | None:
    """What was inconclusive, why, and the command that runs the trials which settle it."""
    cells = results.judgement.cells if results.judgement else pd.DataFrame()
    rows = [row for row in cells.to_dict("records") if not is_settled(row)]
    if not rows:
        return None
    grouped: dict[tuple[object, ...], list[Mapping[Any, Any]]] = {}
    for row in rows:
        key = (row["rule"], row["variant"], tuple(row["suggest_values"]), seeds_to_run(row))
        grouped.setdefault(key, []).append(row)
    items = [_todo(results, group) for group in list(grouped.values())[:MOST_REASONS]]
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


def _todo(results: Results, rows: Sequence[Mapping[Any, Any]]) -> Markup:
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
        tag("pre", tag("code", command)) if command else None,
    )


def seeds_to_run(row: Mapping[Any, Any]) -> int:
    """The seeds an open cell wants, rounded up so that cells with like wants share a command; 0 for no more."""
    wanted = int(row["suggest_seeds"])
    return next((step for step in SEED_STEPS if step >= wanted), wanted) if wanted else 0


def _advice(row: Mapping[Any, Any]) -> str:
    name = "LR" if row["axis_name"] == "lr" else "init std"
    values, seeds = row["suggest_values"], seeds_to_run(row)
    parts = [f"add {name} " + ", ".join(power_text(float(v)) for v in values)] if len(values) else []
    return " and ".join([*parts, *([f"run {seeds} seeds"] if seeds else [])])


def add_command(results: Results, rows: Sequence[Mapping[Any, Any]]) -> str:
    """The command that runs what these cells of one series want; empty where nothing is wanted or no study is known."""
    values, seeds = rows[0]["suggest_values"], seeds_to_run(rows[0])
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


def cost_section(results: Results) -> Markup | None:
    """Compute and time of every part as bars with their numbers; what transfer saves; what a rule gains."""
    if results.frame.empty:
        return None
    table = cost_table(results.frame)
    names = order_series([s for s in table["series"] if s])
    top = float(table["flops_dense"].max()) or 1.0
    bars = [_bar(row, names, top) for row in table.to_dict("records")]
    spent, wall = float(table["flops_nonzero"].sum()), float(table["wall_s"].sum())
    total = f"{int(table['trials'].sum())} trials"
    total += f", {flops_text(spent)} on non-zeros" if spent > 0 else ""
    total += f", {seconds_text(wall)} summed over trials" if wall > 0 else ""
    words = [f"{total}.", *_savings(results), *_gains(results)]
    return tag(
        "section",
        tag("h2", "What it cost, and what it is worth"),
        *(tag("p", sentence, class_="lead") for sentence in words),
        tag("div", *bars, class_="costs"),
        tag("p", "Whole bar: FLOPs with the zeros. Solid part: on non-zero weights.", class_="note"),
        _search(results),
        id="cost",
    )


def _search(results: Results) -> Markup | None:
    """Where a bracket search spent its trials, cell by cell, and why it stopped there."""
    cells = (results.search or {}).get("cells") or []
    if not cells:
        return None
    heads = ("series", "width", "density", "trials", "probes", "why it stopped")
    rows = [
        tag(
            "tr",
            tag("td", series_text(str(cell.get("series", "")))),
            tag("td", value_text(number(cell.get("width"))), class_="num"),
            tag("td", density_text(number(cell.get("density"))), class_="num"),
            tag("td", value_text(number(cell.get("trials"))), class_="num"),
            tag("td", value_text(number(cell.get("probes"))), class_="num"),
            tag("td", ("fixed axis: " if cell.get("fell_back") else "") + str(cell.get("why", ""))),
        )
        for cell in cells
    ]
    spent, fixed = (int((results.search or {}).get(name) or 0) for name in ("trials", "fixed_grid"))
    head = tag(
        "tr", *(tag("th", h, scope="col", class_="num" if h not in (heads[0], heads[-1]) else None) for h in heads)
    )
    return tag(
        "details",
        tag("summary", f"The bracket search took {spent} trials, where the fixed grid has {fixed}"),
        tag("div", tag("table", tag("thead", head), tag("tbody", *rows)), class_="scroll", tabindex=0),
    )


def _bar(row: Mapping[Any, Any], names: Sequence[str], top: float) -> Markup:
    style = colours(row["series"], names) if row["series"] else "--l:#5d6b7a;--d:#9aa5b1"
    name = f"grid, {series_text(row['series'])}" if row["series"] else row["part"]
    own = min(1.0, row["flops_nonzero"] / row["flops_dense"]) if row["flops_dense"] > 0 else 0.0
    solid = tag("span", class_="nonzero", style=f"width:{100 * own:.2f}%")
    whole = tag("span", solid, class_="dense", style=f"width:{max(100 * row['flops_dense'] / top, 0.4):.2f}%")
    words = f"{flops_text(row['flops_nonzero'])} · {seconds_text(row['wall_s'])} · {row['trials']} trials"
    return tag("div", tag("span", name), whole, tag("span", words, class_="words"), class_="cost c", style=style)


def _savings(results: Results) -> list[str]:
    """What the search on the proxy saves against the same search at the costliest cell."""
    if not {"phase", "flops_dense"} <= set(results.frame.columns):
        return []
    cost = tuning_cost(results.frame, results.base_values)
    if not math.isfinite(cost.saved) or cost.saved <= 0:
        return []
    return [
        f"Tuning on the proxy took {flops_text(cost.proxy_flops)}; the same {cost.proxy_trials} trials at the costliest"
        f" cell would take {flops_text(cost.target_flops)}: transfer saves {percent_text(cost.saved, 1)} of it."
    ]


def _gains(results: Results) -> list[str]:
    """How much more compute the others need in the largest, sparsest cell for the loss of a rule expected to hold."""
    if results.judgement is None:
        return []
    cells = results.judgement.cells
    names = order_series(list(cells["series"]))
    expected = [n for n in names if {n, split_series(n)[0]} & set(results.settings.expect_stable)]
    if not expected or len(names) < 2:
        return []
    said = []
    for other in (n for n in names if n != expected[-1]):
        pairs = rule_gains(cells, expected[-1], other).sort_values(["width", "density"], ascending=[False, True])
        if len(pairs) and math.isfinite(gain := float(pairs["gain_transferred"].iloc[0])):
            tuned = float(pairs["gain_tuned"].iloc[0])
            each = f" ({tuned:.2g} times with each tuned there)" if math.isfinite(tuned) else ""
            said.append(f"{series_text(other)} would need {gain:.2g} times the compute{each}")
    if not said:
        return []
    cell = f"In the largest, sparsest cell, for the loss {series_text(expected[-1])} reaches at the transferred value, "
    return [f"{cell}{'; '.join(said)}. By the law {CHINCHILLA.convention}."]


def provenance_section(results: Results) -> Markup:
    """What ran where, from which data and code; the study file as run."""
    frame = results.frame
    facts: list[object] = []
    for label, column in _PROVENANCE:
        if column in frame and len(values := frame[column].dropna().astype(str).unique()):
            facts += [tag("dt", label), tag("dd", ", ".join(sorted(values)[:8]))]
    if versions := _versions(frame):
        facts += [tag("dt", "versions"), tag("dd", versions)]
    if "finished_at" in frame and frame["finished_at"].notna().any():
        stamps = frame["finished_at"].dropna().astype(str)
        facts += [tag("dt", "ran"), tag("dd", f"{stamps.min()[:19]} to {stamps.max()[:19]}")]
    facts += [tag("dt", "results"), tag("dd", results.uri or "in memory")]
    parts: list[object] = [
        tag("h2", "Where this comes from"),
        *(tag("p", problem, class_="problem") for problem in results.problems),
        tag("dl", *facts, class_="facts"),
    ]
    if results.study is not None:
        dump = json.dumps(dict(results.study), indent=2, ensure_ascii=False, default=str)
        parts.append(tag("details", tag("summary", "The study as run"), tag("pre", tag("code", dump))))
    return tag("section", *parts, id="provenance")


def _versions(frame: pd.DataFrame) -> str:
    if "versions" not in frame:
        return ""
    found: dict[str, set[str]] = {}
    for given in frame["versions"].dropna().astype(str).unique()[:20]:
        try:
            read = json.loads(given)
        except ValueError:
            continue
        if isinstance(read, dict):
            for name, value in read.items():
                found.setdefault(str(name), set()).add(str(value))
    return ", ".join(f"{name} {' / '.join(sorted(values))}" for name, values in found.items())
