"""The pictures as files: which there are, what they are called, and that they are reproducible."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fake_results import grid_frame

from hptransfer.analysis.results import results_of
from hptransfer.common.errors import InputError
from hptransfer.report.page import render_report
from hptransfer.report.plots import figure_bytes, named_figures, plot, save_plots
from hptransfer.store.folders import open_folder


def test_save_plots_writes_what_has_data(results, tmp_path):
    folder = open_folder(str(tmp_path), create=True)
    written = save_plots(results, folder, formats=("png",))
    stems = [Path(path).stem for path in written]
    assert stems == [
        "lr",
        "lr-width",
        "stability",
        "regret",
        "sparsity",
        "params",
        "check",
        "tuning",
        "tuning-together",
        "cost",
    ]
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


def test_kinds_without_data_are_left_out(tmp_path):
    results = results_of(grid_frame(widths=(64,), densities=(1,), octaves=(-7,), rules=("supar",)))
    assert [
        name for name, _ in named_figures(results, ["lr", "init", "stability", "sparsity", "check", "tuning"])
    ] == []
    assert [name for name, _ in named_figures(results_of(pd.DataFrame()))] == []


def test_an_unknown_kind_or_format_is_refused_with_what_is_allowed(results):
    with pytest.raises(InputError, match="allowed: lr, stability, regret"):
        list(named_figures(results, ["lrr"]))
    with pytest.raises(InputError, match="allowed: png, svg, pdf"):
        figure_bytes(plot(results, "stability"), "gif")


def test_the_same_picture_is_the_same_bytes(results):
    once, again = (figure_bytes(plot(results, "stability"), "svg") for _ in range(2))
    assert once == again


def test_a_kind_without_data_says_so_instead_of_failing():
    figure = plot(results_of(grid_frame(octaves=(-7,))), "lr")
    assert "nothing to draw yet" in figure.axes[0].texts[0].get_text()
