"""What searches at the targets themselves came to, as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hptransfer.analysis.direct import DirectVerdict, Interval
from hptransfer.common.number_text import density_text, power_text

__all__ = ["direct_table"]


def direct_table(found: Sequence[DirectVerdict]) -> Group:
    """One line per series and cell: its own best, what transferring gives up, and how it stands to the reference."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("series", "cell", "own LR", "loss", "transfer gives up, %", "against reference, %"):
        table.add_column(name, no_wrap=True)
    for one in found:
        own = (power_text(one.lr) + ("?" if one.doubt else ""), f"{one.loss:.4f}")
        cell = f"{one.key.width}, {density_text(one.key.density)}"
        table.add_row(one.key.series, cell, *own, _interval(one.given_up), _interval(one.against))
    if any(one.doubt for one in found):
        table.caption = "? no minimum inside its line of LRs: the lowest value stands for it"
    return Group(Text("\nTuned directly, cell by cell:"), table)


def _interval(share: Interval) -> str:
    if math.isnan(share.value):
        return "–"
    return f"{100 * share.value:+.2f} [{100 * share.low:+.2f}, {100 * share.high:+.2f}]"
