"""What the parts of a study cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hptransfer.analysis.results import OTHER_BUDGET, OTHER_VERSION, Results
from hptransfer.report.figures.cost import cost, cost_table


def test_a_bar_per_phase_and_of_the_grid_one_per_series(results: Results) -> None:
    bars = cost(results).bars
    assert [bar.name for bar in bars] == ["proxy search", "grid, SP", "grid, μP", "grid, SμPar"]
    mine = results.frame[(results.frame["rule"] == "mup") & (results.frame["phase"] == "grid")]
    assert bars[2].whole == pytest.approx(mine["flops_dense"].sum())
    assert bars[2].part == pytest.approx(mine["flops_nonzero"].sum())
    assert bars[2].words.endswith(f"{len(mine)} trials")


def test_sums_are_those_of_all_rows(results: Results) -> None:
    table = cost_table(results.frame)
    assert table["trials"].sum() == len(results.frame)
    assert table["wall_s"].sum() == pytest.approx(results.frame["wall_s"].sum())


@pytest.mark.parametrize(("phase", "name"), [(OTHER_BUDGET, "other budgets"), (OTHER_VERSION, "other versions")])
def test_rows_that_were_set_apart_have_a_bar_of_their_own(results: Results, phase: str, name: str) -> None:
    apart = results.frame["phase"].mask(results.frame["rule"] == "mup", phase)
    table = cost_table(results.frame.assign(phase=apart)).set_index("part")
    assert table.loc[name, "trials"] == (results.frame["rule"] == "mup").sum()
    assert "" not in list(table.loc[["grid"], "series"])


def test_nothing_ran_nothing_to_draw(results: Results) -> None:
    assert cost(replace(results, frame=results.frame[:0])) is None
