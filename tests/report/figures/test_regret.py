"""The map of regret: a number in every cell, bold where it is sure."""

from __future__ import annotations

import pandas as pd
from fake_results import BASE, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.figures.regret import regret, regret_edges


def test_a_number_in_every_cell_and_bold_where_it_is_surely_above_delta(results: Results) -> None:
    found = regret(results)
    squares = [square for grid in found.grids for row in grid.squares for square in row]
    assert len(squares) == 27
    sure = (results.judgement.cells["regret_low"] > 0.005).sum()
    assert sum(square.bold for square in squares) == sure > 5
    assert [grid.title for grid in found.grids] == ["SP", "μP", "SμPar"]
    assert found.grids[0].rows == ("256", "128", "64")
    assert found.grids[0].columns == ("1", "1/4", "1/16")


def test_the_shade_is_the_number_of_edges_below_the_regret(results: Results) -> None:
    cells = results.judgement.cells
    row = cells[(cells["series"] == "sp") & (cells["width"] == 256) & (cells["density"] == 1 / 16)].iloc[0]
    square = regret(results).grids[0].squares[0][2]
    assert square.shade == sum(row["regret"] > edge for edge in (0.005, 0.01, 0.02, 0.05, 0.1))
    assert square.tip.startswith("width 256, density 1/16\nregret ")
    assert square.tip.endswith(row["why"])


def test_shades_change_at_delta_and_above_it() -> None:
    assert regret_edges(0.005) == [0.005, 0.01, 0.02, 0.05, 0.1]
    assert regret_edges(0.03) == [0.03, 0.05, 0.1]


def test_an_unsettled_cell_has_a_question_mark_and_a_cell_that_did_not_run_is_empty() -> None:
    frame = grid_frame(rules=("mup",), octaves=(-10, -9, -8, -7, -6, -5))
    frame = frame[~((frame["width"] == 64) & (frame["density"] == 1 / 16))]
    squares = regret(results_of(frame, base=BASE)).grids[0].squares
    assert squares[2][2] is None
    assert squares[0][2].text.endswith(" ?")
    assert squares[0][0].text == "0.0%"


def test_a_regret_that_is_only_perhaps_above_delta_is_not_bold() -> None:
    results = results_of(grid_frame(rules=("mup",), seeds=3, noise=0.2), base=BASE)
    cells = results.judgement.cells
    perhaps = cells[(cells["regret"] > 0.005) & (cells["regret_low"] <= 0.005)]
    assert len(perhaps) > 0
    squares = [square for row in regret(results).grids[0].squares for square in row]
    assert sum(square.bold for square in squares) == (cells["regret_low"] > 0.005).sum()


def test_two_depths_have_maps_of_their_own(results: Results) -> None:
    frame = results.frame.query("phase == 'grid'")
    deep = pd.concat([frame, frame.assign(depth=4, trial_id=frame["trial_id"] + "d")], ignore_index=True)
    titles = [grid.title for grid in regret(results_of(deep, base=BASE)).grids]
    assert titles[:2] == ["SP, depth 2", "SP, depth 4"]
