"""Loss against the parameters that are not zero, and the law through them."""

from __future__ import annotations

import math

import pytest
from fake_results import BASE

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.figures.params import params


def test_a_mark_per_cell_and_the_law_where_the_sizes_determine_it(results: Results) -> None:
    cells = results.judgement.cells
    (panel,) = params(results).views[0].panels
    dots = [line for line in panel.lines if line.drawn == "dots"]
    carried = cells[cells["transferred_loss"].map(math.isfinite)]
    assert [len(line.points) for line in dots] == [int((carried["series"] == s).sum()) for s in ("sp", "mup", "supar")]
    own = cells[cells["series"] == "supar"]
    dense = own[(own["width"] == 256) & (own["density"] == 1)].iloc[0]
    size = results.frame[(results.frame["width"] == 256) & (results.frame["density"] == 1)]["params_nonzero"].iloc[0]
    places = [(point.x, point.y) for point in dots[2].points]
    assert (pytest.approx(math.log10(size)), pytest.approx(dense["transferred_loss"])) in places
    laws = [line for line in panel.lines if line.bare]
    assert len(laws) == sum("L = " in line.name for line in params(results).views[0].key) >= 1
    assert "Curve" in params(results).note


def test_the_note_names_a_law_only_where_one_is_drawn(results: Results) -> None:
    chart = params(results_of(results.frame.query("width == 256"), base=BASE))
    assert not any(line.bare for line in chart.views[0].panels[0].lines)
    assert chart.note == "A mark per cell."


def test_one_size_is_no_picture(results: Results) -> None:
    assert params(results_of(results.frame.query("width == 256 and density == 1"), base=BASE)) is None
