"""What searches at the targets themselves came to: the comparison on the page."""

from __future__ import annotations

import math

from hptransfer.analysis.direct import DirectVerdict, Interval
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import percent_text, value_text
from hptransfer.report.figures.labels import interval_text
from hptransfer.report.page.elements import section, table
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.series_look import order_series, series_text
from hptransfer.study.base import BaseHPs

__all__ = ["direct_section"]

_LEAD = (
    "The search of the proxy once more in every cell, with as many trials. Own: the lowest loss over LRs at what it"
    " found. Given up: what the transferred base HPs lose against it, seed by seed. Intervals in parentheses."
)
_PLAIN = {name: info.default for name, info in BaseHPs.model_fields.items() if info.default == 1}
"""Multipliers, which say nothing at 1."""


def direct_section(results: Results) -> Markup | None:
    """A row per series and cell; None where no such search was asked for, or none has runs."""
    found = results.directly()
    if not found:
        return None
    order = order_series([one.key.series for one in found])
    found.sort(key=lambda one: (one.key.width, -one.key.density, one.key.depth, order.index(one.key.series)))
    reference = next((series_text(one.key.series) for one in found if one.is_reference), "")
    heads = [("cell", ""), ("series", ""), *((name, "num") for name in ("own LR", "own loss", "given up"))]
    if reference:
        heads.append((f"own loss against {reference}'s", "num"))
    heads.append(("what it found", "wide"))
    rows = [_cells(one, bool(reference)) for one in found]
    return section("direct", "Tuned directly, cell by cell", table(heads, rows), lead=_LEAD)


def _cells(one: DirectVerdict, compared: bool) -> list[object]:
    shares = [one.given_up, one.against] if compared else [one.given_up]
    said = ", ".join(f"{name} {value_text(value)}" for name, value in one.hps.items() if _PLAIN.get(name) != value)
    doubts = tag("small", " ".join(f" {doubt}." for doubt in one.doubts)) if one.doubts else None
    loss = "–" if math.isnan(one.loss) else f"{one.loss:.4f}"
    lr = "–" if math.isnan(one.lr) else power(one.lr)
    return [one.where, series_text(one.key.series), lr, loss, *map(_share, shares), join([said, doubts])]


def _share(share: Interval) -> str:
    if math.isinf(share.value) and share.value < 0:
        return "the other diverged"
    return percent_text(share.value) + interval_text(share.low, share.high, percent_text)
