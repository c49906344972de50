"""The coordinate check and the proxy search as charts of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import percent_text, power_text, value_text
from hptransfer.report import chart_kit as kit
from hptransfer.report.chart_kit import LOSS, Chart
from hptransfer.report.plot_check import check_axes, check_parts, check_points, some_steps
from hptransfer.report.plot_sweep import NAMES
from hptransfer.report.plot_tuning import tune_limits, tune_rows
from hptransfer.report.points import axis_text
from hptransfer.report.style import MARKERS, order_series, sequence, series_styles, series_text

__all__ = ["check_chart", "tuning_chart"]

MOST_PANELS = 6


def check_chart(check: pd.DataFrame | None, verdict: Sequence[str] = ()) -> Chart | None:
    """A view a part of the model and axis, a panel a rule; with one rule a view an axis, a panel a part."""
    views = []
    for axis in check_axes(check) if check is not None else []:
        assert check is not None
        table = check_points(check, axis)
        parts, rules = check_parts(table), order_series(list(table["rule"]))
        if len(rules) == 1:
            pairs = [(part, part, rules[0]) for part in parts[:MOST_PANELS]]
            views.append(_check_view(f"{series_text(rules[0])} against {axis}", table, axis, pairs))
        else:
            for part in parts:
                pairs = [(series_text(rule), part, rule) for rule in rules]
                views.append(_check_view(f"{part} against {axis}", table[table["part"] == part], axis, pairs))
    if not views:
        return None
    return {
        "id": "check",
        "pick": "Of",
        "title": "Coordinate check",
        "lead": "The size of the activations over the first steps. Level lines pass: it depends on neither axis.",
        "note": " ".join([*verdict, "Geometric mean over seeds; the same batch at every step. Both axes logarithmic."]),
        "views": views,
    }


def _check_view(name: str, table: pd.DataFrame, axis: str, pairs: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """One view; `pairs` are (title, part, rule) of its panels."""
    mine = table[table["part"].isin([part for _, part, _ in pairs])]
    steps = some_steps(sorted(int(s) for s in mine["step"].unique()))
    light, dark = sequence("width", len(steps)), sequence("width", len(steps), dark=True)
    blank = [kit.line(f"step {s}", light[i], dark[i], (), MARKERS[i % 10]) for i, s in enumerate(steps)]
    low, high = math.log2(mine["activation"].min()), math.log2(mine["activation"].max())
    y = kit.octaves("mean |activation|", min(low, high - 2) - 0.4, high + 0.4, pad=0)
    places = kit.places(axis, [float(v) for v in mine["x"]])
    panels = []
    for title, part, rule in pairs:
        rows = mine[(mine["rule"] == rule) & (mine["part"] == part)]
        lines = [_check_line(rows[rows["step"] == s], b, axis) for s, b in zip(steps, blank, strict=True)]
        panels.append({"title": title, "x": places, "y": y, "lines": lines, "rules": []})
    return {"name": name, "key": kit.keys(blank[::-1]), "panels": panels}


def _check_line(rows: pd.DataFrame, blank: Mapping[str, Any], axis: str) -> dict[str, Any]:
    tips = [
        [
            kit.short(kit.place(axis, r["x"])),
            kit.short(math.log2(r["activation"])),
            None,
            None,
            0,
            f"{blank['name']}, {axis} {axis_text(axis, r['x'])}\nmean |activation| {value_text(r['activation'])}",
        ]
        for r in rows.to_dict("records")
    ]
    return dict(blank) | {"points": sorted(tips, key=lambda tip: tip[0] or 0.0)}


def tuning_chart(results: Results) -> Chart | None:
    rows = tune_rows(results.frame) if len(results.frame) else pd.DataFrame()
    if rows.empty:
        return None
    style = series_styles(["supar"])["supar"]
    low, high = tune_limits(rows)
    trial = kit.line("trial", "#667080", "#9aa4b2") | {"dots": 1}
    best = kit.line("best so far", style.colour, style.dark) | {"steps": 1, "bare": 1}
    trial["points"], trial["lost"] = _dots(rows, "number")
    best["points"] = [
        [r["number"], kit.short(r["best"]), None, None, 0, f"after {r['number']} trials\nbest {r['best']:.4f}"]
        for r in rows.to_dict("records")
        if math.isfinite(r["best"])
    ]
    panels: list[dict[str, Any]] = [
        {
            "title": "history",
            "x": kit.plain_axis("trial", 0, len(rows) + 1),
            "y": kit.plain_axis(LOSS, low, high),
            "lines": [trial, best],
            "rules": [],
        }
    ]
    for axis in ("lr", "init_std"):
        if rows[axis].nunique() < 2:
            continue
        line = kit.line("trial", style.colour, style.dark) | {"dots": 1}
        line["points"], line["lost"] = _dots(rows, axis)
        value = results.base_values.get(axis)
        known = isinstance(value, int | float) and value > 0
        panel = {
            "title": "learning rate" if axis == "lr" else "init std",
            "x": kit.octaves(NAMES[axis], float(np.log2(rows[axis].min())), float(np.log2(rows[axis].max()))),
            "y": kit.plain_axis(LOSS, low, high),
            "lines": [line],
            "rules": [{"x": kit.short(math.log2(value))}] if known and value else [],
        }
        panels.append(panel)
    return {
        "id": "tuning",
        "title": "The proxy search",
        "lead": "Every trial on the small dense model, in the order they finished, and as slices.",
        "note": "Trials far above the best lie outside the panels. Cross: diverged."
        + _importances(results.base_values),
        "views": [{"name": "", "key": [], "dotted": "chosen" if results.base else "", "panels": panels}],
    }


def _importances(base: Mapping[str, Any] | None) -> str:
    """What mattered to the loss, as base.json has it; empty where it has nothing."""
    found = (base or {}).get("importances")
    if not isinstance(found, Mapping) or not found:
        return ""
    shares = sorted(((str(k), float(v)) for k, v in found.items()), key=lambda pair: -pair[1])
    return " What mattered: " + ", ".join(f"{NAMES.get(k, k)} {percent_text(v, 0)}" for k, v in shares) + "."


def _dots(rows: pd.DataFrame, column: str) -> tuple[list[list[Any]], list[list[Any]]]:
    fine, lost = [], []
    for row in rows.to_dict("records"):
        x = kit.short(row[column] if column == "number" else math.log2(row[column]))
        head = f"trial {row['number']}: LR {power_text(row['lr'])}, init {value_text(row['init_std'])}"
        if row["diverged"]:
            lost.append([x, f"{head}\ndiverged"])
        else:
            fine.append([x, kit.short(row["loss"]), None, None, 0, f"{head}\nloss {row['loss']:.4f}"])
    return fine, lost
