"""The proxy search: its history, its slices, and what its frame leaves out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hptransfer.analysis.results import Results
from hptransfer.report.figures.tuning import BANDS, tuning, tuning_together


def test_history_and_a_slice_per_searched_value_with_and_without_a_base_file(results: Results) -> None:
    for given in (results, replace(results, base=None)):
        (view,) = tuning(given).views
        assert [panel.title for panel in view.panels] == ["history", "learning rate", "init std"]
    chosen = [panel.at_x for panel in tuning(results).views[0].panels]
    assert chosen == [(), (-7.0,), (math.log2(0.06),)]


def test_every_base_hp_that_was_searched_has_a_slice_and_flat_directions_are_named(results: Results) -> None:
    tune = results.frame["phase"] == "tune"
    searched = np.where(tune, 2.0 ** (np.arange(len(results.frame)) % 4), 1.0)
    flat = {"direction": {"alpha_input": 0.8, "lr_embedding": -0.6}, "reach": 4.2}
    assert results.base is not None
    base = replace(results.base, further={**results.base.further, "flat_directions": [flat]})
    chart = tuning(replace(results, frame=results.frame.assign(alpha_output=searched, lr_vector=1.0), base=base))
    titles = [panel.title for panel in chart.views[0].panels]
    assert titles == ["history", "learning rate", "init std", "α_out"]
    assert chart.note.endswith("Hardly known to the loss: α_in against embedding LR multiplier.")


def test_the_best_so_far_never_rises(results: Results) -> None:
    trials, best = tuning(results).views[0].panels[0].lines
    heights = [point.y for point in best.points]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == min(point.y for point in trials.points)


def test_the_note_counts_the_trials_above_the_frame_and_says_what_mattered(results: Results) -> None:
    chart = tuning(results)
    panel = chart.views[0].panels[0]
    above = sum(point.y > panel.y.high for point in panel.lines[0].points)
    assert above > 0
    assert chart.note == (
        f"{above} trials lie above the frame. Cross: diverged. As good within the noise: LR 2⁻⁷·⁶ to 2⁻⁶·⁵."
        " What mattered: learning rate 78.0%, init std 22.0%."
    )


def test_crosses_are_named_only_where_there_are_some(results: Results) -> None:
    sound = results.frame[np.isfinite(results.frame["loss"])].assign(status="ok")
    assert "Cross" not in tuning(replace(results, frame=sound)).note


def test_both_values_together_lie_in_five_bands_of_loss(results: Results) -> None:
    (view,) = tuning_together(results).views
    lines = view.panels[0].lines
    tops = [max(float(point.tip.rpartition(" ")[2]) for point in line.points) for line in lines]
    assert tops == sorted(tops, reverse=True)  # the best is drawn last, on top, and named first
    assert [line.name for line in view.key] == [line.name for line in lines][::-1] == list(BANDS)
    finished = (results.frame["phase"] == "tune") & (results.frame["status"] == "ok")
    assert sum(len(line.points) for line in lines) == finished.sum()
    assert max(len(line.points) for line in lines) - min(len(line.points) for line in lines) <= 1


def test_where_one_value_was_searched_there_is_no_picture_of_both(results: Results) -> None:
    one = results.frame.assign(init_std=0.06)
    assert tuning_together(replace(results, frame=one)) is None
    assert len(tuning(replace(results, frame=one)).views[0].panels) == 2


def test_a_study_that_tuned_nothing_has_neither(results: Results) -> None:
    none = replace(results, frame=results.frame[results.frame["phase"] == "grid"])
    assert (tuning(none), tuning_together(none)) == (None, None)
