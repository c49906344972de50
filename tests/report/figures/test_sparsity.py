"""Loss against sparsity: one set of limits, of what is shown."""

from __future__ import annotations

import numpy as np
import pytest
from fake_results import BASE, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.figures.sparsity import sparsity


def test_each_series_has_a_line_at_its_own_best_and_one_at_the_transferred_values(results: Results) -> None:
    panel = sparsity(results).views[0].panels[0]
    assert [(line.name, line.drawn) for line in panel.lines[:2]] == [("SP", "thin"), ("SP", "joined")]
    best, carried = panel.lines[:2]
    assert all(a.y <= b.y + 0.01 for a, b in zip(best.points, carried.points, strict=False))
    assert panel.x.ticks == ((0.0, "0%"), (2.0, "75%"), (4.0, "93.8%"))


def test_of_five_widths_the_three_largest_are_shown_and_their_losses_alone_set_the_limits() -> None:
    """The two smallest widths are a nat worse: limits that held them would press the lines shown into a corner."""
    frame = grid_frame(rules=("sp", "supar"), widths=(64, 128, 256, 512, 1024), seeds=2)
    frame["loss"] += np.where(frame["width"] <= 128, 1.0, 0.0)
    results = results_of(frame, base=BASE)
    panels = sparsity(results).views[0].panels
    assert [panel.title for panel in panels] == ["width 256", "width 512", "width 1024"]
    shown = results.judgement.cells.query("width > 128")[["min_loss", "transferred_loss"]].to_numpy(float)
    shown = shown[np.isfinite(shown)]
    pad = 0.08 * (shown.max() - shown.min())
    for panel in panels:
        assert (panel.y.low, panel.y.high) == pytest.approx((shown.min() - pad, shown.max() + pad))


def test_a_cross_where_the_transferred_values_diverge_and_the_note_says_so() -> None:
    """sp's optimum falls 0.8 octaves per doubling of the width, and 3.2 octaves above it every seed diverges."""
    frame = grid_frame(rules=("sp",), widths=(64, 2048), octaves=(-13, -12, -11, -10, -9, -8, -7), densities=(1, 0.5))
    chart = sparsity(results_of(frame, base=BASE))
    lost = [cross for line in chart.views[0].panels[1].lines for cross in line.lost]
    assert len(lost) > 0
    assert "Cross: diverged." in chart.note


def test_one_density_has_nothing_to_compare() -> None:
    assert sparsity(results_of(grid_frame(densities=(1,)))) is None
