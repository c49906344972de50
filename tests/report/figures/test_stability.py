"""The optimum over density and width, in octaves."""

from __future__ import annotations

import math

import pytest
from fake_results import BASE, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.figures.stability import stability


def test_a_panel_per_scaled_axis_and_a_level_line_for_what_transfers(results: Results) -> None:
    (view,) = stability(results).views
    assert [panel.title for panel in view.panels] == ["against density, at width 256", "against width, at density 1/16"]
    supar = view.panels[0].lines[2]
    assert supar.name == "SμPar"
    assert [point.x for point in supar.points] == [0, 2, 4]
    assert [point.y for point in supar.points] == pytest.approx([-7, -7, -7], abs=0.1)
    assert view.panels[0].at_y == (math.log2(BASE.hps.lr),)


def test_limits_hold_every_optimum_and_bars_are_cut_an_octave_outside_them(results: Results) -> None:
    (view,) = stability(results).views
    optima = [math.log2(value) for value in results.judgement.cells["optimum"].astype(float)]
    for panel in view.panels:
        assert panel.y.low < min(optima) < max(optima) < panel.y.high
        bars = [point for line in panel.lines for point in line.points if point.low is not None]
        assert all(panel.y.low - 1 <= point.low <= point.high <= panel.y.high + 1 for point in bars)


def test_a_cell_without_an_interval_is_open() -> None:
    results = results_of(grid_frame(seeds=1, widths=(64,)))
    marks = [point for line in stability(results).views[0].panels[0].lines for point in line.points]
    assert all(point.open and point.low is None and "no interval" in point.tip for point in marks)


def test_of_init_std_the_file_says_so() -> None:
    frame = grid_frame(octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in (-2, -1, 0, 1, 2)), widths=(64,))
    chart = stability(results_of(frame, base=BASE))
    assert list(chart.files()) == ["stability-init"]
    assert chart.views[0].panels[0].y.label == "best base init std"


def test_one_cell_has_nothing_to_compare() -> None:
    assert stability(results_of(grid_frame(widths=(64,), densities=(1,)))) is None
