"""The verdict on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from math import inf, nan

from rich.console import Console

from hptransfer.analysis.verdict import AxisVerdict, Judgement
from hptransfer.cli.verdict_table import verdict_table

FOUND = AxisVerdict(
    rule="supar", axis="density", verdict="STABLE", regret=0.001, regret_low=0.0, regret_high=0.00234, slope=-0.02,
    slope_low=-0.08, slope_high=0.04, why="it holds", series="supar", variant="", swept="lr", path="alone",
    worst="width 64, density 1/16", n_cells=3, delta=0.005, slope_margin=0.1,
)  # fmt: skip


def shown(*verdicts: AxisVerdict) -> list[str]:
    console = Console(width=120, file=io.StringIO())
    console.print(verdict_table(Judgement(verdicts, (), "", True, "lr")))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_line_holds_the_word_and_both_numbers_with_their_intervals() -> None:
    head, line, *_, reason = shown(FOUND)
    assert head.split("  ")[0] == "series"
    assert line.split() == ["supar", "density", "STABLE", "0.10%", "[0.00,", "0.23]", "-0.02", "[-0.08,", "0.04]"]
    assert reason == "supar, density: it holds"


def test_what_is_unknown_is_a_dash() -> None:
    """One cell has no drift, one seed no interval."""
    line = shown(replace(FOUND, regret_low=nan, regret_high=nan, slope=nan, slope_low=nan, slope_high=nan))[1]
    assert line.split()[3:] == ["0.10%", "[–,", "–]", "–"]


def test_a_regret_without_an_upper_bound_is_told_as_the_least_it_can_be() -> None:
    line = shown(replace(FOUND, verdict="DRIFT", regret=0.04, regret_low=0.03, regret_high=inf))[1]
    assert "≥ 4.00% [3.00, ∞]" in line


def test_axes_that_move_together_are_marked() -> None:
    lines = shown(replace(FOUND, path="joint"))
    assert lines[1].split()[1] == "density*"
    assert any("along that path" in line for line in lines)
