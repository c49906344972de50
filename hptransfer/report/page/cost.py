"""What the study cost, what transfer saves, and what a rule is worth in compute."""

from __future__ import annotations

import math

from hptransfer.analysis.compute import CHINCHILLA, rule_gains, tuning_cost
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, flops_text, percent_text, seconds_text, value_text
from hptransfer.report.figures.cost import cost, cost_table
from hptransfer.report.page.elements import number, section, table
from hptransfer.report.page.markup import Markup, tag
from hptransfer.report.page.picture_markup import bars_markup
from hptransfer.report.series_look import order_series, series_text
from hptransfer.study.series_name import split_series

__all__ = ["cost_section"]


def cost_section(results: Results) -> Markup | None:
    """Compute and time of every part as bars with their numbers; what transfer saves; what a rule gains."""
    bars = cost(results)
    if bars is None:
        return None
    parts = cost_table(results.frame)
    spent, wall = float(parts["flops_nonzero"].sum()), float(parts["wall_s"].sum())
    total = f"{int(parts['trials'].sum())} trials"
    total += f", {flops_text(spent)} on non-zeros" if spent > 0 else ""
    total += f", {seconds_text(wall)} summed over trials" if wall > 0 else ""
    words = [f"{total}.", *_savings(results), *_gains(results)]
    said = [tag("p", sentence, class_="lead") for sentence in words]
    return section("cost", "What it cost, and what it is worth", *said, bars_markup(bars), _search(results))


def _search(results: Results) -> Markup | None:
    """Where a bracket search spent its trials, cell by cell, and why it stopped there."""
    cells = (results.search or {}).get("cells") or []
    if not cells:
        return None
    numbers = {"width": value_text, "density": density_text, "trials": value_text, "probes": value_text}
    heads = [("series", ""), *((name, "num") for name in numbers), ("why it stopped", "")]
    rows = []
    for cell in cells:
        found = [write(number(cell.get(name))) for name, write in numbers.items()]
        why = ("fixed axis: " if cell.get("fell_back") else "") + str(cell.get("why", ""))
        rows.append([series_text(str(cell.get("series", ""))), *found, why])
    spent, fixed = (int((results.search or {}).get(name) or 0) for name in ("trials", "fixed_grid"))
    summary = f"The bracket search took {spent} trials, where the fixed grid has {fixed}"
    return tag("details", tag("summary", summary), table(heads, rows))


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
    names = order_series([cell.key.series for cell in results.cells])
    expected = [n for n in names if {n, split_series(n)[0]} & set(results.settings.expect_stable)]
    if not expected or len(names) < 2 or results.judgement is None:
        return []
    said = []
    for other in (n for n in names if n != expected[-1]):
        pairs = rule_gains(results.judgement.cells, expected[-1], other)
        pairs = pairs.sort_values(["width", "density"], ascending=[False, True])
        if len(pairs) and math.isfinite(gain := float(pairs["gain_transferred"].iloc[0])):
            tuned = float(pairs["gain_tuned"].iloc[0])
            each = f" ({tuned:.2g} times with each tuned there)" if math.isfinite(tuned) else ""
            said.append(f"{series_text(other)} would need {gain:.2g} times the compute{each}")
    if not said:
        return []
    cell = f"In the largest, sparsest cell, for the loss {series_text(expected[-1])} reaches at the transferred value, "
    return [f"{cell}{'; '.join(said)}. By the law {CHINCHILLA.convention}."]
