"""Which rows become which points and lines."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from fake_results import grid_frame

from hptransfer.analysis.results import results_of
from hptransfer.report.points import cell_slices, line_views, places_in, points, prepared, swept_axes, transferred
from hptransfer.study.base import BaseHPs, TunedBase


def rows(**columns) -> pd.DataFrame:
    """A frame of the few columns a foreign folder may have."""
    return pd.DataFrame({"rule": "supar", "width": 64, "density": 1.0, **columns})


def test_a_point_is_the_mean_of_its_seeds_with_their_range():
    table = points(prepared(rows(lr=[0.5, 0.5, 0.5], seed=[0, 1, 2], loss=[2.0, 2.2, 2.4])), "lr")
    assert table[["mean", "low", "high", "n", "n_diverged"]].iloc[0].tolist() == pytest.approx([2.2, 2.0, 2.4, 3, 0])


def test_a_diverged_seed_counts_as_infinitely_bad_and_is_never_dropped():
    frame = rows(lr=[0.5] * 3 + [1.0] * 3, seed=[0, 1, 2] * 2, loss=[2.0, math.nan, 2.4, 2.0, math.nan, math.nan])
    table = points(prepared(frame), "lr")
    assert table["mean"].tolist() == [2.4, math.inf]  # medians of (2.0, 2.4, ∞) and (2.0, ∞, ∞)
    assert table["n_diverged"].tolist() == [1, 2]


def test_short_probes_pruned_runs_and_the_search_are_not_points():
    frame = rows(lr=[0.25, 0.5, 0.5, 0.5], loss=[9.0, 2.0, 2.0, 2.0], steps=[50, 200, 200, 200], seed=range(4))
    frame["phase"] = ["grid", "grid", "tune", "grid"]
    frame["status"] = ["ok", "ok", "ok", "pruned"]
    assert points(prepared(frame), "lr")[["x", "n"]].values.tolist() == [[0.5, 1]]


def test_the_other_hyperparameter_is_held_at_the_transferred_value():
    frame = rows(lr=[0.5, 0.5, 1.0], init_std=[0.06, 0.12, 0.06], loss=[2.0, 1.0, 3.0])
    assert points(prepared(frame), "lr", TunedBase(BaseHPs(init_std=0.061)))["mean"].tolist() == [2.0, 3.0]


def test_it_is_held_at_a_series_own_value_where_it_has_one():
    both = [rows(lr=[0.5] * 2, init_std=[0.02, 0.06], loss=[2.0, 1.0]).assign(rule=rule) for rule in ("sp", "supar")]
    table = points(prepared(pd.concat(both)), "lr", TunedBase(BaseHPs(init_std=0.06)), own={"sp": {"init_std": 0.02}})
    assert table[["series", "mean"]].values.tolist() == [["sp", 2.0], ["supar", 1.0]]


def test_a_series_that_never_ran_at_the_transferred_value_stays():
    both = [
        rows(lr=[0.5], init_std=[init], loss=[2.0]).assign(rule=rule) for rule, init in (("sp", 0.02), ("mup", 0.06))
    ]
    assert points(prepared(pd.concat(both)), "lr", TunedBase(BaseHPs(init_std=0.06)))["series"].tolist() == [
        "mup",
        "sp",
    ]


def test_the_transferred_value_is_the_base_files_or_the_only_one_there_is():
    frame = prepared(rows(lr=[0.5, 1.0], loss=[1.0, 1.0], init_std=[0.06, 0.06]))
    assert transferred(frame, TunedBase(BaseHPs(lr=0.25)), "lr") == 0.25
    assert transferred(frame, None, "init_std") == 0.06
    assert math.isnan(transferred(frame, None, "lr"))


def test_lines_run_along_each_axis_and_the_largest_sparsest_slice_comes_first():
    views = line_views(places_in(prepared(grid_frame(widths=(64, 128), densities=(1, 0.25)))))
    assert [(v.by, v.held_text()) for v in views] == [
        ("density", "width 128"),
        ("density", "width 64"),
        ("width", "density 1/4"),
        ("width", "density 1"),
    ]
    assert views[0].labels == ("1", "1/4")


def test_width_and_density_that_move_together_are_lines_of_cells():
    wide, narrow = grid_frame(widths=(128,), densities=(0.5,)), grid_frame(widths=(64,), densities=(1,), start=10**6)
    (view,) = line_views(places_in(prepared(pd.concat([wide, narrow]))))
    assert (view.by, view.labels) == ("cell", ("64 · 1", "128 · 1/2"))


def test_a_slice_of_cells_holds_the_other_axes(results):
    slices = cell_slices(results.cells)
    assert [(by, held) for by, held, _ in slices] == [("density", "width 256"), ("width", "density 1/16")]
    assert [len(part) for _, _, part in slices] == [9, 9]


def test_a_foreign_frame_without_status_phase_or_depth_is_prepared():
    frame = prepared(rows(lr=[0.5, 1.0], loss=[2.0, math.inf]))
    assert frame["diverged"].tolist() == [False, True]
    assert set(frame["phase"]) == {"grid"}


def test_a_swept_axis_of_your_own_has_a_column_and_is_held_like_the_others():
    """At gain 1 and 2 the losses of either LR differ; the axis is read from the JSON of the rows."""
    axes = [json.dumps({"mine.axes:gain": gain}) for gain in (1.0, 2.0, 1.0)]
    frame = rows(lr=[0.5, 0.5, 1.0], loss=[2.0, 9.0, 3.0], axes=axes)
    results = results_of(frame, study={"grid": {"sweep": {"mine.axes:gain": {"values": [1, 2]}, "lr": {}}}})
    assert swept_axes(results) == ("lr", "init_std", "mine.axes:gain")
    wide = prepared(frame)
    assert points(wide, "lr", swept=swept_axes(results))["mean"].tolist() == [2.0, 3.0]
    assert points(wide.assign(lr=0.5), "mine.axes:gain", swept=swept_axes(results))["x"].tolist() == [1.0, 2.0]
    assert points(prepared(rows(lr=[0.5], loss=[2.0])), "mine.axes:gain").empty
