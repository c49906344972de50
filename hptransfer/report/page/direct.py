"""What searches at the targets themselves came to: the comparison on the page."""

from __future__ import annotations

from hptransfer.analysis.direct import DirectVerdict
from hptransfer.analysis.results import Results
from hptransfer.common.number_text import density_text, percent_text, value_text
from hptransfer.report.figures.labels import interval_text
from hptransfer.report.page.elements import section, table
from hptransfer.report.page.markup import Markup, join, power, tag
from hptransfer.report.series_look import order_series, series_text

__all__ = ["direct_section"]

_LEAD = (
    "The search of the proxy once more in every cell, with as many trials. Own: the lowest loss over LRs at what it"
    " found. Given up: what the transferred base HPs lose against it, seed by seed. Intervals in parentheses."
)


def direct_section(results: Results) -> Markup | None:
    """A row per series and cell; None where no such search was asked for, or none has runs."""
    found = results.directly
    if not found:
        return None
    order = order_series([one.key.series for one in found])
    found.sort(key=lambda one: (order.index(one.key.series), one.key.width, -one.key.density, one.key.depth))
    reference = next(iter(results.settings.expect_stable), "")
    numeric = ("width", "density", "own LR", "own loss", "given up")
    heads = [("series", ""), *((name, "num") for name in numeric)]
    if reference:
        heads.append((f"own loss against {series_text(reference)}'s", "num"))
    heads.append(("what it found", ""))
    return section(
        "direct", "Tuned directly, cell by cell", table(heads, [_cells(o, reference) for o in found]), lead=_LEAD
    )


def _cells(one: DirectVerdict, reference: str) -> list[object]:
    lr = join([power(one.lr), tag("small", f" ({one.doubt})") if one.doubt else None])
    shares = [one.given_up, one.against] if reference else [one.given_up]
    written = [percent_text(s.value) + interval_text(s.low, s.high, percent_text) for s in shares]
    found = ", ".join(f"{name} {value_text(value)}" for name, value in one.hps.items() if value != 1 and name != "lr")
    key = one.key
    return [series_text(key.series), key.width, density_text(key.density), lr, f"{one.loss:.4f}", *written, found]
