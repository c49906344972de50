"""Every picture shows what it says, and only pictures with data are written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import BASE, DRIFT, TUNED, grid_frame
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from hptransfer.analysis.results import results_of
from hptransfer.common.errors import InputError
from hptransfer.report.page import render_report
from hptransfer.report.plot_cells import regret_edges
from hptransfer.report.plot_tuning import tune_limits, tune_rows
from hptransfer.report.plots import (
    draw,
    figure_bytes,
    plot_check,
    plot_init,
    plot_lr,
    plot_params,
    plot_regret,
    plot_stability,
    plot_tuning,
    save_plots,
)
from hptransfer.report.style import DIVERGED
from hptransfer.store.folders import open_folder


def lines(ax, **wanted):
    """The lines of an axes with these properties (marker, colour)."""
    return [line for line in ax.lines if all(getattr(line, f"get_{k}")() == v for k, v in wanted.items())]


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts] + [t.get_text() for t in figure.texts]


def test_lr_has_a_panel_a_series_in_the_papers_order(results):
    figure = plot_lr(results.frame, results.judgement.cells, base=results.base_values)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["SP", "μP", "SμPar"]
    assert {"density", "1", "1/4", "1/16"} <= set(texts(figure))


def test_lr_marks_the_fitted_optimum_where_the_truth_is(results):
    """At width 256 sp's optimum is 2^(−7 − 0.8·2 + 0.67·halvings)."""
    figure = plot_lr(results.frame, results.judgement.cells, base=results.base_values)
    found = sorted(math.log2(line.get_xdata()[0]) for line in lines(figure.axes[0], marker="D", markersize=6.5))
    per_density, per_width = DRIFT["sp"]
    assert found == pytest.approx([-7 + 2 * per_width + per_density * h for h in (0, 2, 4)], abs=0.15)


def test_lr_draws_the_transferred_value_and_diverged_seeds_at_the_top_edge(results):
    figure = plot_lr(results.frame, results.judgement.cells, base=results.base_values)
    for ax in figure.axes:
        assert any(list(line.get_xdata()) == [BASE["lr"]] * 2 for line in ax.lines)
        for cross in lines(ax, marker="x"):
            assert to_hex(cross.get_color()) == DIVERGED
            assert set(cross.get_ydata()) <= {ax.get_ylim()[1]}
    assert sum(len(line.get_xdata()) for line in lines(figure.axes[0], marker="x")) > 0


def test_every_optimum_lies_inside_the_panel(results):
    figure = plot_lr(results.frame, results.judgement.cells, base=results.base_values)
    low, high = figure.axes[0].get_ylim()
    losses = results.judgement.cells.query("width == 256")["min_loss"]
    assert low < losses.min()
    assert losses.max() < high


def test_stability_shows_the_optimum_in_octaves_against_both_axes(results):
    figure = plot_stability(results.judgement.cells)
    assert [ax.get_xlabel() for ax in figure.axes] == ["density", "width"]
    supar = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 3 and line.get_linestyle() == "-")
    assert supar.get_ydata() == pytest.approx([-7, -7, -7], abs=0.1)


def test_regret_writes_a_number_into_every_cell_and_bold_where_it_is_sure(results):
    figure = plot_regret(results.judgement.cells)
    inside = [t for ax in figure.axes for t in ax.texts]
    assert len(inside) == 27
    sure = (results.judgement.cells["regret_low"] > 0.005).sum()
    assert sum(t.get_fontweight() == "bold" for t in inside) == sure > 5


def test_the_colours_of_regret_change_at_delta_and_above_it():
    assert regret_edges(0.005) == [0.005, 0.01, 0.02, 0.05, 0.1]
    assert regret_edges(0.03) == [0.03, 0.05, 0.1]


def test_check_has_a_row_a_part_and_level_lines_for_supar(results):
    figure = plot_check(results.check)
    assert len(figure.axes) == 9
    titles = [ax.get_title(loc="left") for ax in figure.axes[:3]]
    assert titles == ["SP   blocks.*.attention", "μP   blocks.*.attention", "SμPar   blocks.*.attention"]
    first = figure.axes[2].lines[0]
    assert np.ptp(first.get_ydata()) == pytest.approx(0, abs=1e-12)
    assert np.ptp(figure.axes[0].lines[0].get_ydata()) > 0.1


def test_init_is_drawn_when_init_was_swept():
    frame = grid_frame(octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in (-2, -1, 0, 1, 2)), widths=(64,))
    results = results_of(frame, base=TUNED)
    names = [name for name, _ in draw(results, ["init", "lr", "stability"])]
    assert names == ["init", "stability-init"]
    assert plot_init(frame).axes[0].get_xlabel() == "base init std"


def test_a_search_without_a_base_file_still_has_its_history(results):
    def count(base):
        return len([ax for ax in plot_tuning(results.frame, base).axes if ax.get_visible()])

    assert count(None) == 4  # history, two slices, their contour
    assert count(results.base_values) == 5  # and what mattered


def test_captions_name_only_what_is_there(results):
    def said(figure: Figure) -> str:
        return " ".join(texts(figure))

    frame = results.frame.assign(status="ok")
    sound = frame[np.isfinite(frame["loss"])]
    assert "diverged" not in said(plot_lr(sound))
    assert "diverged" not in said(plot_tuning(sound))
    lost = sound["loss"].where(np.arange(len(sound)) % 7 > 0, math.inf)
    broken = sound.assign(loss=lost, status=np.where(np.isinf(lost), "diverged", "ok"))
    assert "× a seed diverged there" in said(plot_lr(broken))
    assert "× diverged" in said(plot_tuning(broken))


def test_a_search_says_how_many_trials_its_frame_leaves_out(results):
    rows = tune_rows(results.frame)
    above = int((rows["loss"] > tune_limits(rows)[1]).sum())
    assert above
    assert any(f"{above} trials lie above the frame" in text for text in texts(plot_tuning(results.frame)))


def test_save_plots_writes_what_has_data(results, tmp_path):
    folder = open_folder(str(tmp_path), create=True)
    written = save_plots(results, folder, formats=("png",))
    stems = [Path(path).stem for path in written]
    assert stems == ["lr", "lr-width", "stability", "regret", "sparsity", "params", "check", "tuning", "cost"]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in written)


def test_a_study_of_one_lr_draws_what_it_knows(results, tmp_path):
    """No minimum, and with nothing tuned no transferred value: neither regret nor sparsity has anything to show."""
    one = results.frame[(results.frame["phase"] == "grid") & (results.frame["lr"] == 2.0**-7)]
    assert one["density"].nunique() > 1
    alone = results_of(one, name="one", study=results.study)
    (tmp_path / "plots").mkdir()
    for earlier in ("regret.png", "sparsity.png", "mine.png", "regret.pdf"):
        (tmp_path / "plots" / earlier).touch()
    stems = [Path(path).stem for path in save_plots(alone, open_folder(str(tmp_path), create=True), formats=("png",))]
    assert "cost" in stems
    assert not {"regret", "sparsity"} & set(stems)
    left = {path.name for path in (tmp_path / "plots").iterdir()}
    assert not {"regret.png", "sparsity.png"} & left, "no picture stays of what is known no more"
    assert {"mine.png", "regret.pdf"} <= left
    assert 'id="regret"' not in render_report(alone)


def test_pictures_of_a_remote_folder_lie_in_it(results, tmp_path):
    folder = open_folder(f"fsspec+memory://{tmp_path.name}/results", create=True)
    written = save_plots(results, folder, ["cost"], formats=("png",))
    assert written == [f"fsspec+memory://{tmp_path.name}/results/plots/cost.png"]
    assert folder.read("plots/cost.png").startswith(b"\x89PNG")


def test_loss_against_parameters_has_a_mark_a_cell_and_the_law_through_them(results):
    cells = results.judgement.cells
    (ax,) = plot_params(results.frame, cells).axes
    marks = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in marks] == [
        int((cells["series"] == s).sum()) for s in ("sp", "mup", "supar")
    ]
    own = cells[cells["series"] == "supar"]
    dense = own[(own["width"] == 256) & (own["density"] == 1)].iloc[0]
    nonzero = results.frame[(results.frame["width"] == 256) & (results.frame["density"] == 1)]["params_nonzero"].iloc[0]
    assert (nonzero, dense["transferred_loss"]) in zip(marks[2].get_xdata(), marks[2].get_ydata(), strict=True)
    curves = [line for line in ax.lines if line.get_linestyle() != "None"]
    assert len(curves) == sum("L = " in text for text in texts(ax.figure)) >= 1  # a law where the sizes determine it
    assert any("Curve" in text for text in texts(ax.figure))


def test_the_caption_names_a_law_only_where_one_is_drawn(results):
    few = results.judgement.cells.query("width == 256")
    (ax,) = plot_params(results.frame, few).axes
    assert all(line.get_linestyle() == "None" for line in ax.lines)
    assert not any("Curve" in text for text in texts(ax.figure))


def test_kinds_without_data_are_left_out(tmp_path):
    results = results_of(grid_frame(widths=(64,), densities=(1,), octaves=(-7,), rules=("supar",)))
    assert [name for name, _ in draw(results, ["lr", "init", "stability", "sparsity", "check", "tuning"])] == []
    assert [name for name, _ in draw(results_of(pd.DataFrame()))] == []


def test_an_unknown_kind_or_format_is_refused_with_what_is_allowed(results):
    with pytest.raises(InputError, match="allowed: lr, stability, regret"):
        list(draw(results, ["lrr"]))
    with pytest.raises(InputError, match="allowed: png, svg, pdf"):
        figure_bytes(plot_stability(results.judgement.cells), "gif")


def test_the_same_picture_is_the_same_bytes(results):
    once, again = (figure_bytes(plot_stability(results.judgement.cells), "svg") for _ in range(2))
    assert once == again


def test_a_function_without_data_says_so_instead_of_failing():
    figure = plot_lr(grid_frame(octaves=(-7,)))
    assert "No two values" in figure.axes[0].texts[0].get_text()
