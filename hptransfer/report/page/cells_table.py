"""The table of cells: every number of the judgement, to sort and to filter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hptransfer.analysis.cell_verdict import CellVerdict
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, exponent_text, percent_text, regret_text
from hptransfer.report.page.elements import badge, head_of, sample, section
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.series_look import order_series, series_text
from hptransfer.study.axes import swept_label

__all__ = ["cells_section"]

_LEAD = (
    "One rule at one width and density. Intervals in parentheses, of the best value as exponents;"
    " runs are values × seeds, of which a bracket search leaves some out."
)
Entry = tuple[str, str, object, object]
"""Of one place in the table: its head, its class, the raw value that sorting reads, and what is shown."""


def cells_section(results: Results) -> Markup | None:
    """Filters, a count and the table; rows carry the raw values that sorting and filtering read."""
    if not results.cells:
        return None
    names = order_series([cell.key.series for cell in results.cells])
    deep = len({cell.key.depth for cell in results.cells}) > 1
    cells = sorted(results.cells, key=lambda c: (names.index(c.key.series), c.key.width, -c.key.density, c.key.depth))
    entries = [_entries(cell, names, deep) for cell in cells]
    heads = [(tag("button", name, type="button"), kind) for name, kind, *_ in entries[0]]
    body = [_row(cell, entry, deep) for cell, entry in zip(cells, entries, strict=True)]
    whole = tag("table", tag("caption", "Cells", class_="sr"), head_of(heads), tag("tbody", *body), id="cells")
    filters = tag("div", *_filters(cells, names, deep), tag("span", id="count", role="status"), class_="filters")
    box = tag("div", whole, class_="scroll tall", tabindex=0, role="region", aria_label="Table of cells")
    return section("table", "Every cell", filters, box, lead=_LEAD)


def _filters(cells: Sequence[CellVerdict], names: Sequence[str], deep: bool) -> list[Markup]:
    densities = sorted({cell.key.density for cell in cells}, reverse=True)
    widths, depths = (sorted({cell.key[axis] for cell in cells}) for axis in ("width", "depth"))
    choices: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("series", "Rule", [(name, series_text(name)) for name in names]),
        ("width", "Width", [(f"{w:g}", f"{w:g}") for w in widths]),
        ("density", "Density", [(f"{d:.9g}", density_text(d)) for d in densities]),
        ("depth", "Depth", [(f"{d:g}", f"{d:g}") for d in depths] if deep else []),
        ("state", "State", [(word, word) for word in sorted({cell.word for cell in cells})]),
    ]
    out = []
    for key, label, options in choices:
        listed = [tag("option", "all", value=""), *(tag("option", text, value=value) for value, text in options)]
        out += [tag("label", label, tag("select", *listed, id=f"filter-{key}", data_filter=key))] if options else []
    return out


def _entries(cell: CellVerdict, names: Sequence[str], deep: bool) -> list[Entry]:
    key, best, regret = cell.key, cell.optimum, cell.regret
    known = math.isfinite(best.log2_low) and math.isfinite(best.log2_high)
    span = f" ({exponent_text(best.low, 2)} to {exponent_text(best.high, 2)})" if known else None
    top = percent_text(regret.high) if math.isfinite(regret.high) else "∞"
    unsure = f" ({percent_text(regret.low)} to {top})" if math.isfinite(regret.low) else ""
    why = [tag("span", badge(cell.word), data_tip=cell.why), tag("span", cell.why, class_="sr")]
    costs = join([regret_text(regret.value, regret.high), tag("small", unsure)])
    return [
        ("rule", "", key.series, join([sample(key.series, names), " ", series_text(key.series)])),
        ("width", "num", key.width, f"{key.width}"),
        ("density", "num", key.density, density_text(key.density)),
        *([("depth", "num", key.depth, f"{key.depth}")] if deep else []),
        ("regret", "num", regret.value, costs),
        ("state", "", cell.word, join(why)),
        (f"best {swept_label(cell.swept)}", "num", best.vertex, join([power(best.vertex, 2), tag("small", span)])),
        ("best loss", "num", best.min_loss, _loss(best.min_loss)),
        ("transferred", "num", regret.loss, _loss(regret.loss)),
        ("runs", "num", best.n_points, f"{best.n_points} × {best.n_seeds}"),
        ("diverged", "num", best.n_diverged, str(best.n_diverged or "–")),
    ]


def _row(cell: CellVerdict, entries: Sequence[Entry], deep: bool) -> Markup:
    return tag(
        "tr",
        *(tag("td", shown, class_=kind or None, data_v=_raw(value)) for _, kind, value, shown in entries),
        data_series=cell.key.series,
        data_width=cell.key.width,
        data_density=f"{cell.key.density:.9g}",
        data_depth=cell.key.depth if deep else None,
        data_state=cell.word,
    )


def _raw(value: object) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else "1e999" if value == math.inf else str(value)


def _loss(value: float) -> str:
    return "diverged" if value == math.inf else f"{value:.4f}" if math.isfinite(value) else "–"
