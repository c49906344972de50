"""Searches at the targets on a terminal, in 80 columns."""

from __future__ import annotations

import io
from dataclasses import replace
from math import inf

from rich.console import Console

from hptransfer.analysis.cells import CellKey
from hptransfer.analysis.direct import DirectVerdict, Interval
from hptransfer.cli.direct_table import direct_table, interval_text

PLACE, WHERE = (("width", 128), ("density", 0.0625), ("depth", 2)), "width 128, density 1/16"
GIVEN_UP, AGAINST = Interval(0.031, 0.02, 0.042), Interval(-0.012, -0.02, -0.004)
SP = DirectVerdict(CellKey("sp", "", PLACE), WHERE, {"lr": 0.01}, 2.0**-5, 2.1234, GIVEN_UP, AGAINST)
SUPAR = DirectVerdict(
    CellKey("supar", "", PLACE), WHERE, {"lr": 0.01}, 2.0**-7, 2.15, Interval(0.001), is_reference=True
)


def shown(*found: DirectVerdict) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    console.print(direct_table(found))
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def test_a_line_holds_the_own_best_and_both_comparisons() -> None:
    lines = shown(SP, SUPAR)
    assert lines[2].endswith("against supar, %")
    assert lines[2].startswith("series  width, density")
    assert " ".join(lines[3].split()) == "sp 128, 1/16 2.1234 +3.10 [2.00, 4.20] -1.20 [-2.00, -0.40]"
    assert " ".join(lines[4].split()) == "supar 128, 1/16 2.1500 +0.10 –"
    assert "…" not in "".join(lines)


def test_without_a_reference_nothing_is_held_against_it() -> None:
    lines = shown(replace(SP, against=Interval()))
    assert lines[2].endswith("given up, %")


def test_what_is_doubtful_is_marked_and_says_why() -> None:
    lines = shown(SP, replace(SUPAR, doubts=("the best lr lies at the low end",)))
    assert "2.1500?" in lines[4]
    assert lines[-1] == "? supar at width 128, density 1/16: the best lr lies at the low end"


def test_a_divergence_is_a_word() -> None:
    assert [interval_text(Interval(value)) for value in (inf, -inf)] == ["diverged", "the other diverged"]
