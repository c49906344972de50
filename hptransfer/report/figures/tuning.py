"""The proxy search: its history, slices through what was searched, and LR and init std together."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import percent_text, power_text, value_text
from hptransfer.report.figures.chart import Axis, Chart, Line, Lost, Panel, Point, View
from hptransfer.report.figures.labels import base_label, full_name, loss_label
from hptransfer.report.figures.limits import linear_axis, octave_axis, trial_limits
from hptransfer.report.points import prepared
from hptransfer.report.series_look import NEUTRAL, axis_styles, series_styles
from hptransfer.study.axes import swept_names
from hptransfer.study.base import TunedBase

__all__ = ["tuning", "tuning_together"]

_BLUE = series_styles(["supar"])["supar"]
BANDS = ("best fifth", "second fifth", "third fifth", "fourth fifth", "worst fifth")


def tuning(results: Results) -> Chart | None:
    """Every trial in the order they finished, and a slice through each base HP that was searched."""
    rows = _rows(results)
    if rows.empty:
        return None
    low, high = trial_limits(rows)
    y = linear_axis(loss_label(results), low, high)
    known = [(n, best) for n, best in zip(rows["number"], rows["best"], strict=True) if math.isfinite(best)]
    climbs = tuple(Point(n, best, f"after {n} trials\nbest {best:.4f}") for n, best in known)
    trials = Line("trial", NEUTRAL, *_dots(rows, "number"), drawn="dots")
    history = (trials, Line("best so far", _BLUE, climbs, drawn="steps"))
    panels = [Panel("history", linear_axis("trial", 0, len(rows) + 1), y, history)]
    for axis in swept_names(rows.columns):
        if rows[axis].nunique() > 1 and rows[axis].min() > 0:
            line = Line("trial", _BLUE, *_dots(rows, axis), drawn="dots")
            chosen = (math.log2(getattr(results.base.hps, axis)),) if results.base else ()
            panels.append(Panel(full_name(axis), _octaves(rows, axis), y, (line,), chosen))
    lead = "Every trial on the small dense model, in the order they finished, and as slices."
    view = View("", tuple(panels), dotted="chosen" if results.base else "", file="tuning")
    return Chart("tuning", "The proxy search", lead, _note(rows, high, results.base), (view,))


def tuning_together(results: Results) -> Chart | None:
    """Where in LR and init std the trials lay, in five bands of loss; None where one of them alone was searched."""
    rows = _rows(results)
    fine = rows[~rows["diverged"]] if len(rows) else rows
    if len(fine) < len(BANDS) or rows["lr"].nunique() < 2 or rows["init_std"].nunique() < 2:
        return None
    rank = fine["loss"].rank(method="first", pct=True)
    band = np.ceil(rank * len(BANDS)).astype(int) - 1
    lines = []
    for number, (name, style) in enumerate(zip(BANDS, axis_styles("width", len(BANDS))[::-1], strict=True)):
        mine = fine[band == number].to_dict("records")
        marks = [Point(math.log2(r["lr"]), math.log2(r["init_std"]), f"{_head(r)}\nloss {r['loss']:.4f}") for r in mine]
        lines.append(Line(name, style, tuple(marks), drawn="dots"))
    base = results.base
    at = ((math.log2(base.hps.lr),), (math.log2(base.hps.init_std),)) if base else ((), ())
    x, y, best_on_top = _octaves(rows, "lr"), _octaves(rows, "init_std"), tuple(lines[::-1])
    panel = Panel("learning rate and init std", x, y, best_on_top, *at)
    lead = "Each trial where its learning rate and its init std lie; the darker, the lower its loss."
    view = View("", (panel,), tuple(lines), "loss", dotted="chosen" if base else "", file="tuning-together")
    note = "Trials that finished, by their loss."
    return Chart("tuning_together", "Both searched values together", lead, note, (view,))


def _rows(results: Results) -> pd.DataFrame:
    """The proxy search's rows in the order they finished, numbered from 1; `best` is the lowest loss so far."""
    rows = prepared(results.frame)
    rows = rows[(rows["phase"] == "tune") & (rows["status"] != "pruned")]
    if "finished_at" in rows:
        rows = rows.sort_values("finished_at", kind="stable")
    finite = rows["loss"].where(~rows["diverged"])
    return rows.assign(number=np.arange(1, len(rows) + 1), best=finite.cummin().ffill())


def _octaves(rows: pd.DataFrame, axis: str) -> Axis:
    return octave_axis(base_label(axis), float(np.log2(rows[axis].min())), float(np.log2(rows[axis].max())))


def _note(rows: pd.DataFrame, top: float, base: TunedBase | None) -> str:
    """What the marks mean, how many finished trials the frame leaves out, what mattered to the loss."""
    said = []
    if above := int((rows.loc[~rows["diverged"], "loss"] > top).sum()):
        said.append(f"{above} trials lie above the frame.")
    if rows["diverged"].any():
        said.append("Cross: diverged.")
    if base and base.flat_low and base.flat_high:
        said.append(f"As good within the noise: LR {power_text(base.flat_low)} to {power_text(base.flat_high)}.")
    shares = base.further.get("importances") if base else None
    if isinstance(shares, dict) and shares:
        ranked = sorted(shares.items(), key=lambda pair: -float(pair[1]))
        named = ", ".join(f"{full_name(name)} {percent_text(float(share), 0)}" for name, share in ranked)
        said.append(f"What mattered: {named}.")
    flat = (base.further.get("flat_directions") if base else None) or ()
    said += [f"Hardly known to the loss: {_direction(one['direction'])}." for one in flat if isinstance(one, dict)]
    return " ".join(said)


def _direction(weights: Mapping[str, float]) -> str:
    """`α_in against embedding LR multiplier`: what may move together at hardly any cost."""
    ranked = sorted(weights.items(), key=lambda pair: -abs(pair[1]))
    lead, *others = ranked
    words = [("with " if value * lead[1] > 0 else "against ") + full_name(name) for name, value in others]
    return " ".join([full_name(lead[0]), *words])


def _dots(rows: pd.DataFrame, column: str) -> tuple[tuple[Point, ...], tuple[Lost, ...]]:
    fine, lost = [], []
    for row in rows.to_dict("records"):
        x = row[column] if column == "number" else math.log2(row[column])
        if row["diverged"]:
            lost.append(Lost(x, f"{_head(row)}\ndiverged"))
        else:
            fine.append(Point(x, row["loss"], f"{_head(row)}\nloss {row['loss']:.4f}"))
    return tuple(fine), tuple(lost)


def _head(row: Mapping[Hashable, Any]) -> str:
    return f"trial {row['number']}: LR {power_text(row['lr'])}, init {value_text(row['init_std'])}"
