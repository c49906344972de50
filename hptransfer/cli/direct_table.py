"""What searches at the targets themselves came to, as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hptransfer.analysis.direct import DirectVerdict, Interval

__all__ = ["direct_table"]


def direct_table(found: Sequence[DirectVerdict]) -> Group:
    """One line per series and cell: its own best, what transferring gives up, and how it stands to the reference.

    80 columns are enough; LRs and what was found stand in the report.
    """
    reference = next((one.key.series for one in found if one.is_reference), "")
    axes = ", ".join(part.rpartition(" ")[0] for part in found[0].where.split(", ")) if found else ""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("series", axes, "own loss", "given up, %", *([f"against {reference}, %"] if reference else [])):
        table.add_column(name, no_wrap=True)
    for one in found:
        place = ", ".join(part.rpartition(" ")[2] for part in one.where.split(", "))
        loss = "–" if math.isnan(one.loss) else f"{one.loss:.4f}" + ("?" if one.doubts else "")
        shares = [one.given_up, one.against] if reference else [one.given_up]
        table.add_row(one.key.series, place, loss, *map(interval_text, shares))
    doubts = [Text(f"? {one.key.series} at {one.where}: {doubt}") for one in found for doubt in one.doubts]
    return Group(Text("\nTuned directly, cell by cell:"), table, *doubts)


def interval_text(share: Interval) -> str:
    """`+1.20 [0.40, 2.00]` in percent; without ends from one seed, `diverged` where the transferred runs did."""
    if math.isnan(share.value):
        return "–"
    if math.isinf(share.value):
        return "diverged" if share.value > 0 else "the other diverged"
    ends = "" if math.isnan(share.low) else f" [{100 * share.low:.2f}, {100 * share.high:.2f}]"
    return f"{100 * share.value:+.2f}{ends}"
