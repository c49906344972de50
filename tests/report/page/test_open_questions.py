"""What is open, and the command that settles it."""

from __future__ import annotations

import html
import json
import shlex

import pytest
from fake_results import BASE, grid_frame

from hptransfer.analysis.results import results_of
from hptransfer.drive.load_study import validate_study
from hptransfer.report.page import render_report
from hptransfer.report.page.open_questions import add_command
from hptransfer.study.file import apply_overrides


def test_the_command_that_settles_an_open_cell_is_a_valid_study_change():
    """At 2^−10 … 2^−6 the optimum of mup at density 1/16, 2^−4.8, lies beyond the grid's edge."""
    frame = grid_frame(rules=("mup",), widths=(64,), octaves=(-10, -9, -8, -7, -6))
    study = {"name": "demo", "grid": {"lr_multiples": [0.5, 1, 2], "nonzeros_per_neuron": 8}}
    results = results_of(frame, uri="out/demo", study=study, base=BASE)
    cells = [cell for cell in results.cells if cell.key.density == 1 / 16]
    words = shlex.split(add_command(results, cells).replace("\\\n", ""))
    assert words[:3] == ["hptransfer", "fanout", "out/demo/study.yaml"]
    assert words[-2:] == ["--results", "out"]
    changed = validate_study(apply_overrides(study, words[4:-2:2]))
    assert changed.grid.rules == ("mup",)
    assert [(c.width, c.density) for c in changed.cells] == [(64, 1 / 16)]
    assert changed.grid.lr == pytest.approx((2.0**-5, 2.0**-4))
    assert "'grid.lr=[0.03125, 0.0625]'" in html.unescape(render_report(results))


def test_init_is_advised_in_multiples_of_the_base_not_of_what_transferred():
    """An untuned study's transferred init is a fitted one; the grid multiplies the study's own."""
    frame = grid_frame(
        octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in (0, 1, 2, 3, 4)), widths=(64,), rules=("supar",)
    )
    study = {"name": "s", "base": {"lr": 2.0**-7, "init_std": 0.06}, "grid": {"init_multiples": [1, 2, 4, 8, 16]}}
    results = results_of(frame, study=study, uri="results/s")
    cell = next(cell for cell in results.cells if cell.suggest_values)
    command = add_command(results, [cell])
    wanted = [float(f"{value / 0.06:.9g}") for value in cell.suggest_values]
    assert f"grid.init_multiples={json.dumps(wanted)}" in command


def test_they_are_multiples_of_the_rules_own_base_where_it_has_one():
    frame = grid_frame(octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in range(5)), widths=(64,), rules=("supar",))
    grid = {"init_multiples": [1, 2, 4, 8, 16], "by_rule": {"supar": {"base.init_std": 0.06}}}
    study = {"name": "s", "base": {"lr": 2.0**-7, "init_std": 0.5}, "grid": grid}
    results = results_of(frame, study=study, uri="results/s")
    cell = next(cell for cell in results.cells if cell.suggest_values)
    wanted = [float(f"{value / 0.06:.9g}") for value in cell.suggest_values]
    assert f"grid.init_multiples={json.dumps(wanted)}" in add_command(results, [cell])


def test_of_another_swept_axis_its_own_values_are_advised():
    """The best of the decays 0.06 to 0.96 is the lowest, so lower ones are wanted, as values of `grid.sweep`."""
    frame = grid_frame(octaves=(-7,), inits=tuple(0.06 * 2.0**k for k in range(5)), widths=(64,), rules=("supar",))
    frame = frame.assign(weight_decay=frame["init_std"], init_std=0.06)
    study = {
        "name": "s",
        "base": {"lr": 2.0**-7, "init_std": 0.06},
        "grid": {"sweep": {"weight_decay": {"values": [1]}}},
    }
    results = results_of(frame, study=study, uri="results/s")
    cell = next(cell for cell in results.cells if cell.suggest_values)
    words = shlex.split(add_command(results, [cell]).replace("\\\n", ""))
    changed = validate_study(apply_overrides(study, words[4:-2:2]))
    assert changed.grid.sweep["weight_decay"].values == pytest.approx(cell.suggest_values)
    assert "init_multiples" not in add_command(results, [cell])


def test_an_axis_that_the_study_sweeps_by_name_is_advised_there():
    """Beside `grid.sweep` the LRs may not be given a second time."""
    frame = grid_frame(rules=("mup",), widths=(64,), octaves=(-10, -9, -8, -7, -6))
    study = {"name": "demo", "grid": {"sweep": {"lr": {"multiples": [0.5, 1, 2]}}}}
    results = results_of(frame, uri="out/demo", study=study, base=BASE)
    cell = next(cell for cell in results.cells if cell.suggest_values)
    words = shlex.split(add_command(results, [cell]).replace("\\\n", ""))
    changed = validate_study(apply_overrides(study, words[4:-2:2]))
    assert changed.grid.sweep["lr"].values == pytest.approx(cell.suggest_values)
