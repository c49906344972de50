"""The table of cells: every number of the judgement, to sort and to filter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, exponent_text, percent_text, regret_text
from hptransfer.report.page.elements import badge, number, sample
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.points import judged_cells
from hptransfer.report.series_look import order_series, series_text
from hptransfer.study.axes import swept_label

__all__ = ["cells_section"]


def cells_section(results: Results) -> Markup | None:
    """Filters, a count and the table; rows carry the raw values that sorting and filtering read."""
    rows = judged_cells(results).to_dict("records")
    if not rows:
        return None
    names = order_series([str(r["series"]) for r in rows])
    deep = len({r.get("depth") for r in rows}) > 1
    rows.sort(key=lambda r: (names.index(str(r["series"])), r["width"], -r["density"], r.get("depth") or 0))
    axis = swept_label(str(rows[0]["axis_name"]))
    heads = [
        ("rule", ""),
        ("width", "num"),
        ("density", "num"),
        *([("depth", "num")] if deep else []),
        ("regret", "num"),
        ("state", ""),
        (f"best {axis}", "num"),
        ("best loss", "num"),
        ("transferred", "num"),
        ("runs", "num"),
        ("diverged", "num"),
    ]
    head = tag("tr", *(tag("th", tag("button", h, type="button"), scope="col", class_=c or None) for h, c in heads))
    body = [_row(row, names, deep) for row in rows]
    return tag(
        "section",
        tag("h2", "Every cell"),
        tag(
            "p",
            "One rule at one width and density. Intervals in parentheses, of the best value as exponents;"
            " runs are values × seeds, of which a bracket search leaves some out.",
            class_="lead",
        ),
        tag("div", *_filters(rows, names, deep), tag("span", id="count", role="status"), class_="filters"),
        tag(
            "div",
            tag("table", tag("caption", "Cells", class_="sr"), tag("thead", head), tag("tbody", *body), id="cells"),
            class_="scroll tall",
            tabindex=0,
            role="region",
            aria_label="Table of cells",
        ),
        id="table",
    )


def _filters(rows: list[dict[Any, Any]], names: list[str], deep: bool) -> list[Markup]:
    choices: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("series", "Rule", [(n, series_text(n)) for n in names]),
        ("width", "Width", [(f"{w:g}", f"{w:g}") for w in sorted({r["width"] for r in rows})]),
        (
            "density",
            "Density",
            [(f"{d:.9g}", density_text(d)) for d in sorted({r["density"] for r in rows}, reverse=True)],
        ),
    ]
    if deep:
        choices.append(("depth", "Depth", [(f"{d:g}", f"{d:g}") for d in sorted({r["depth"] for r in rows})]))
    choices.append(("state", "State", [(s, s) for s in sorted({str(r["status"]) for r in rows})]))
    out = []
    for key, label, options in choices:
        listed = [tag("option", "all", value=""), *(tag("option", t, value=v) for v, t in options)]
        out.append(tag("label", label, tag("select", *listed, id=f"filter-{key}", data_filter=key)))
    return out


def _row(row: Mapping[Any, Any], names: list[str], deep: bool) -> Markup:
    series, state = str(row["series"]), str(row["status"])
    best, low, high = (number(row[k]) for k in ("optimum", "optimum_low", "optimum_high"))
    known = math.isfinite(low) and math.isfinite(high) and low > 0
    span = f" ({exponent_text(low, 2)} to {exponent_text(high, 2)})" if known else None
    regret, below, above = (number(row[k]) for k in ("regret", "regret_low", "regret_high"))
    unsure = (
        f" ({percent_text(below)} to {percent_text(above) if math.isfinite(above) else '∞'})"
        if math.isfinite(below)
        else ""
    )
    diverged = int(row.get("n_diverged") or 0)
    counts = f"{int(row.get('n_points') or 0)} × {int(row.get('n_seeds') or 0)}"
    cells = [
        _cell(series, join([sample(series, names), " ", series_text(series)])),
        _cell(row["width"], f"{row['width']:g}", "num"),
        _cell(row["density"], density_text(float(row["density"])), "num"),
        *([_cell(row["depth"], f"{row['depth']:g}", "num")] if deep else []),
        _cell(regret, join([regret_text(regret, above), tag("small", unsure)]), "num"),
        _cell(state, join([tag("span", badge(state), data_tip=row["why"]), tag("span", row["why"], class_="sr")])),
        _cell(best, join([power(best, 2), tag("small", span)]), "num"),
        _cell(number(row["min_loss"]), _loss(number(row["min_loss"])), "num"),
        _cell(number(row["transferred_loss"]), _loss(number(row["transferred_loss"])), "num"),
        _cell(row.get("n_points"), counts, "num"),
        _cell(diverged, str(diverged) if diverged else "–", "num"),
    ]
    depth = f"{row['depth']:g}" if deep else None
    return tag(
        "tr",
        *cells,
        data_series=series,
        data_width=f"{row['width']:g}",
        data_density=f"{row['density']:.9g}",
        data_depth=depth,
        data_state=state,
    )


def _cell(value: object, shown: object, kind: str = "") -> Markup:
    raw = "" if isinstance(value, float) and math.isnan(value) else "1e999" if value == math.inf else str(value)
    return tag("td", shown, class_=kind or None, data_v=raw)


def _loss(value: float) -> str:
    return "diverged" if value == math.inf else f"{value:.4f}" if math.isfinite(value) else "–"
