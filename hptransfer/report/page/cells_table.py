"""The table of cells: every number of the judgement, to sort and to filter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, exponent_text, percent_text, regret_text
from hptransfer.report.page.elements import badge, number, sample
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.points import judged_cells
from hptransfer.report.series_look import order_series, series_text
from hptransfer.study.axes import swept_label

__all__ = ["cells_section"]

_LEAD = (
    "One rule at one width and density. Intervals in parentheses, of the best value as exponents;"
    " runs are values × seeds, of which a bracket search leaves some out."
)
Row = Mapping[Any, Any]
Entry = tuple[str, str, object, object]
"""Of one place in the table: its head, its class, the raw value that sorting reads, and what is shown."""


def cells_section(results: Results) -> Markup | None:
    """Filters, a count and the table; rows carry the raw values that sorting and filtering read."""
    rows: list[Row] = list(judged_cells(results).to_dict("records"))
    if not rows:
        return None
    names = order_series([str(r["series"]) for r in rows])
    deep = len({r["depth"] for r in rows}) > 1
    rows.sort(key=lambda r: (names.index(str(r["series"])), r["width"], -r["density"], r["depth"]))
    entries = [_entries(row, names, deep) for row in rows]
    head = [
        tag("th", tag("button", name, type="button"), scope="col", class_=kind or None) for name, kind, *_ in entries[0]
    ]
    body = [_row(row, cells, deep) for row, cells in zip(rows, entries, strict=True)]
    caption = tag("caption", "Cells", class_="sr")
    table = tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *body), id="cells")
    filters = tag("div", *_filters(rows, names, deep), tag("span", id="count", role="status"), class_="filters")
    box = tag("div", table, class_="scroll tall", tabindex=0, role="region", aria_label="Table of cells")
    return tag("section", tag("h2", "Every cell"), tag("p", _LEAD, class_="lead"), filters, box, id="table")


def _filters(rows: Sequence[Row], names: Sequence[str], deep: bool) -> list[Markup]:
    densities = sorted({r["density"] for r in rows}, reverse=True)
    choices = [
        ("series", "Rule", [(name, series_text(name)) for name in names]),
        ("width", "Width", [(f"{w:g}", f"{w:g}") for w in sorted({r["width"] for r in rows})]),
        ("density", "Density", [(f"{d:.9g}", density_text(d)) for d in densities]),
        ("depth", "Depth", [(f"{d:g}", f"{d:g}") for d in sorted({r["depth"] for r in rows})] if deep else []),
        ("state", "State", [(s, s) for s in sorted({str(r["status"]) for r in rows})]),
    ]
    out = []
    for key, label, options in choices:
        listed = [tag("option", "all", value=""), *(tag("option", text, value=value) for value, text in options)]
        out += [tag("label", label, tag("select", *listed, id=f"filter-{key}", data_filter=key))] if options else []
    return out


def _entries(row: Row, names: Sequence[str], deep: bool) -> list[Entry]:
    series, state, axis = str(row["series"]), str(row["status"]), swept_label(str(row["axis_name"]))
    best, low, high = (number(row[k]) for k in ("optimum", "optimum_low", "optimum_high"))
    known = math.isfinite(low) and math.isfinite(high) and low > 0
    span = f" ({exponent_text(low, 2)} to {exponent_text(high, 2)})" if known else None
    regret, below, above = (number(row[k]) for k in ("regret", "regret_low", "regret_high"))
    top = percent_text(above) if math.isfinite(above) else "∞"
    unsure = f" ({percent_text(below)} to {top})" if math.isfinite(below) else ""
    why = [tag("span", badge(state), data_tip=row["why"]), tag("span", row["why"], class_="sr")]
    own, moved, diverged = number(row["min_loss"]), number(row["transferred_loss"]), int(row["n_diverged"])
    return [
        ("rule", "", series, join([sample(series, names), " ", series_text(series)])),
        ("width", "num", row["width"], f"{row['width']:g}"),
        ("density", "num", row["density"], density_text(float(row["density"]))),
        *([("depth", "num", row["depth"], f"{row['depth']:g}")] if deep else []),
        ("regret", "num", regret, join([regret_text(regret, above), tag("small", unsure)])),
        ("state", "", state, join(why)),
        (f"best {axis}", "num", best, join([power(best, 2), tag("small", span)])),
        ("best loss", "num", own, _loss(own)),
        ("transferred", "num", moved, _loss(moved)),
        ("runs", "num", row["n_points"], f"{row['n_points']} × {row['n_seeds']}"),
        ("diverged", "num", diverged, str(diverged) if diverged else "–"),
    ]


def _row(row: Row, entries: Sequence[Entry], deep: bool) -> Markup:
    return tag(
        "tr",
        *(tag("td", shown, class_=kind or None, data_v=_raw(value)) for _, kind, value, shown in entries),
        data_series=row["series"],
        data_width=f"{row['width']:g}",
        data_density=f"{row['density']:.9g}",
        data_depth=f"{row['depth']:g}" if deep else None,
        data_state=row["status"],
    )


def _raw(value: object) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else "1e999" if value == math.inf else str(value)


def _loss(value: float) -> str:
    return "diverged" if value == math.inf else f"{value:.4f}" if math.isfinite(value) else "–"
