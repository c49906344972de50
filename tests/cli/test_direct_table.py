"""Searches at the targets on a terminal, in 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from hptransfer.analysis.cells import CellKey
from hptransfer.analysis.direct import DirectVerdict, Interval
from hptransfer.cli.direct_table import direct_table

PLACE = (("width", 128), ("density", 0.0625), ("depth", 2))
GIVEN_UP, AGAINST = Interval(0.031, 0.02, 0.042), Interval(-0.012, -0.02, -0.004)
SP = DirectVerdict(CellKey("sp", "", PLACE), {"lr": 0.01}, 64, 2.0**-5, 2.1234, GIVEN_UP, AGAINST)
SUPAR = DirectVerdict(CellKey("supar", "", PLACE), {"lr": 0.01}, 64, 2.0**-7, 2.15, Interval(0.001), Interval(), "edge")


def shown(*found: DirectVerdict) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    console.print(direct_table(found))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_holds_the_own_best_and_both_comparisons() -> None:
    lines = shown(SP)
    told = "sp 128, 1/16 2⁻⁵ 2.1234 +3.10 [+2.00, +4.20] -1.20 [-2.00, -0.40]"
    assert lines[-1].split() == told.split()
    assert "…" not in "".join(lines)


def test_a_minimum_at_the_end_of_its_line_is_marked_and_what_is_unknown_is_a_dash() -> None:
    lines = shown(SP, SUPAR)
    assert next(line for line in lines if line.startswith("supar")).split()[3] == "2⁻⁷?"
    assert next(line for line in lines if line.startswith("supar")).endswith("–")
    assert "no minimum inside its line" in lines[-1]
