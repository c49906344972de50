"""Loss against a swept axis: panels in order, optima where the truth is, limits that show them."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from fake_results import BASE, DRIFT, grid_frame

from hptransfer.analysis.results import Results, results_of
from hptransfer.report.figures.chart import Chart
from hptransfer.report.figures.sweep import sweep


@pytest.fixture(scope="module")
def chart(results: Results) -> Chart:
    found = sweep(results, "lr")
    assert found is not None
    return found


def test_a_panel_per_series_in_the_papers_order_and_a_line_per_density(chart: Chart) -> None:
    view = chart.views[0]
    assert [panel.title for panel in view.panels] == ["SP", "μP", "SμPar"]
    assert (view.name, view.key_title, view.dotted) == ("by density, at width 256", "density", "transferred 2⁻⁷")
    assert [line.name for line in view.key] == ["1/16", "1/4", "1"]


def test_the_fitted_optimum_lies_where_the_truth_is(chart: Chart) -> None:
    """At width 256 sp's optimum is 2^(−7 − 0.8·2 + 0.67·halvings)."""
    found = [line.star.x for line in chart.views[0].panels[0].lines]
    per_density, per_width = DRIFT["sp"]
    assert found == pytest.approx([-7 + 2 * per_width + per_density * h for h in (0, 2, 4)], abs=0.15)


def test_the_transferred_value_is_dotted_and_diverged_seeds_are_crosses(chart: Chart, results: Results) -> None:
    panels = chart.views[0].panels
    assert [panel.at_x for panel in panels] == [(math.log2(BASE.hps.lr),)] * 3
    wide = results.frame[(results.frame["width"] == 256) & (results.frame["phase"] == "grid")]
    lost = wide[wide["status"] == "diverged"].groupby(["rule", "density", "lr"]).size()
    assert sum(len(line.lost) for panel in panels for line in panel.lines) == len(lost) > 0
    assert chart.note == "Bars: range over seeds. Diamond: fitted optimum. Cross: a seed diverged."


def test_a_point_is_open_where_a_seed_diverged_and_its_bar_is_the_range_of_the_others(chart: Chart) -> None:
    marks = [p for v in chart.views for panel in v.panels for line in panel.lines for p in line.points]
    assert {mark.open for mark in marks} == {True, False}
    assert all(mark.low <= mark.y for mark in marks if not mark.open)
    assert all(("diverged" in mark.tip) == mark.open for mark in marks)


def test_every_optimum_lies_inside_the_panel(chart: Chart, results: Results) -> None:
    y = chart.views[0].panels[0].y
    losses = results.judgement.cells.query("width == 256")["min_loss"]
    assert y.low < losses.min()
    assert losses.max() < y.high


def test_the_first_view_along_each_axis_has_a_file(chart: Chart) -> None:
    assert {view.file: view.name for view in chart.views if view.file} == {
        "lr": "by density, at width 256",
        "lr-width": "by width, at density 1/16",
    }


def test_of_many_slices_the_most_telling_twelve_are_kept_and_one_along_every_axis() -> None:
    """Fourteen widths of two densities: fourteen slices along density come first."""
    widths = [64 + 8 * k for k in range(14)]
    frame = grid_frame(rules=("supar",), widths=widths, densities=(1, 0.25), octaves=(-8, -7, -6), seeds=2)
    chart = sweep(results_of(frame), "lr")
    assert [view.key_title for view in chart.views] == ["density"] * 12 + ["width"]
    assert list(chart.files()) == ["lr", "lr-width"]


def test_a_swept_init_std_has_a_picture_of_its_own() -> None:
    frame = grid_frame(octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in (-2, -1, 0, 1, 2)), widths=(64,))
    results = results_of(frame, base=BASE)
    assert sweep(results, "lr") is None
    chart = sweep(results, "init_std")
    assert list(chart.files()) == ["init"]
    assert chart.views[0].panels[0].x.label == "base init std"
    assert chart.title == "Loss against init std"


def test_an_axis_of_your_own_is_drawn_by_the_part_of_its_name_after_the_colon() -> None:
    frame = grid_frame(rules=("supar",), widths=(64,), octaves=(-7,))
    parts = [
        frame.assign(axes=json.dumps({"mine.axes:gain": gain}), trial_id=frame["trial_id"] + str(gain))
        for gain in (0.5, 1.0, 2.0)
    ]
    study = {"grid": {"sweep": {"mine.axes:gain": {"values": [0.5, 1, 2]}}}}
    results = results_of(pd.concat(parts, ignore_index=True), study=study)
    chart = sweep(results, "mine.axes:gain")
    assert (chart.title, list(chart.files())) == ("Loss against gain", ["sweep-gain"])
    panel = chart.views[0].panels[0]
    assert panel.x.label == "gain"
    assert [point.x for point in panel.lines[0].points] == [-1.0, 0.0, 1.0]


def test_what_is_not_there_is_not_named(results: Results) -> None:
    sound = results.frame[np.isfinite(results.frame["loss"])].assign(status="ok")
    assert "Cross" not in sweep(results_of(sound), "lr").note
    two = grid_frame(rules=("sp",), widths=(64,), octaves=(-8, -7))
    assert "Diamond" not in sweep(results_of(two), "lr").note


def test_points_of_a_line_rise_in_x(chart: Chart) -> None:
    for view in chart.views:
        for line in (line for panel in view.panels for line in panel.lines):
            assert all(a.x < b.x for a, b in pairwise(line.points))


def test_where_every_run_diverged_there_are_crosses_alone() -> None:
    lost = grid_frame(rules=["supar"], widths=[64]).assign(status="diverged", loss=math.nan)
    found = sweep(results_of(lost, base=BASE), "lr")
    assert found is not None
    panel = found.views[0].panels[0]
    assert math.isfinite(panel.y.low)
    assert all(line.points == () and len(line.lost) == 9 for line in panel.lines)
