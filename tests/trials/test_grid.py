"""The fixed grid: which trials, how many, in which order, each once."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.drive.load_study import validate_study
from hptransfer.study.study import Study
from hptransfer.study.trial import Trial
from hptransfer.trials.grid import grid_size, trials_of
from hptransfer.trials.settled import Settled

BASE = {"width": 16, "depth": 1, "lr": 0.25, "init_std": 0.5, "weight_decay": 0.125}


def study(**grid: Any) -> Study:
    settings = {"rules": ["supar"], "widths": [32], "seeds": 1}
    tree = {"name": "tiny", "model": {"options": {"head_size": 16}}, "base": BASE, "grid": settings | grid}
    return validate_study(tree)


def trials(**grid: Any) -> list[Trial]:
    asked = study(**grid)
    return trials_of(Settled(asked, asked.base.hps, "fp32", "d"))


def test_a_grid_is_rules_by_shapes_by_lrs_by_init_stds_by_seeds_in_that_order() -> None:
    found = trials(rules=["sp", "supar"], densities=[1, 0.5], lr=[0.1, 0.2], init_multiples=[1, 2], seeds=[5, 7])
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert [(t.rule, t.density, t.base.lr, t.base.init_std, t.seed) for t in found[:9]] == [
        ("sp", 1, 0.1, 0.5, 5),
        ("sp", 1, 0.1, 0.5, 7),
        ("sp", 1, 0.1, 1.0, 5),
        ("sp", 1, 0.1, 1.0, 7),
        ("sp", 1, 0.2, 0.5, 5),
        ("sp", 1, 0.2, 0.5, 7),
        ("sp", 1, 0.2, 1.0, 5),
        ("sp", 1, 0.2, 1.0, 7),
        ("sp", 0.5, 0.1, 0.5, 5),
    ]


def test_without_a_sweep_the_base_hps_run_alone() -> None:
    (trial,) = trials()
    assert trial.base.model_dump() == {key: BASE.get(key, 1.0) for key in trial.base.model_dump()}


def test_a_sweep_may_be_over_the_weight_decay() -> None:
    found = trials(sweep={"weight_decay": {"multiples": [0.5, 1, 2]}})
    assert [t.base.weight_decay for t in found] == [0.0625, 0.125, 0.25]
    assert {(t.base.lr, t.base.init_std) for t in found} == {(0.25, 0.5)}
    assert found[1].id == trials()[0].id  # at the base value it is the trial of a grid that sweeps nothing


def test_several_axes_are_multiplied_out_the_first_slowest() -> None:
    found = trials(lr=[0.1, 0.2], sweep={"alpha_output": {"values": [1, 4]}})
    assert [(t.base.lr, t.base.alpha_output) for t in found] == [(0.1, 1.0), (0.1, 4.0), (0.2, 1.0), (0.2, 4.0)]


def test_an_axis_of_ones_own_is_swept_like_any_other() -> None:
    found = trials(sweep={"outside_axes:EPS": {"multiples": [1, 100]}}, seeds=2)
    assert [(t.training.eps, t.seed, t.axes) for t in found] == [
        (1e-8, 0, {"outside_axes:EPS": 1e-8}),
        (1e-8, 1, {"outside_axes:EPS": 1e-8}),
        (1e-6, 0, {"outside_axes:EPS": 1e-6}),
        (1e-6, 1, {"outside_axes:EPS": 1e-6}),
    ]
    assert len({t.id for t in found}) == 4


def test_the_lr_said_either_way_gives_the_same_trials() -> None:
    assert [t.id for t in trials(sweep={"lr": {"values": [0.1, 0.2]}})] == [t.id for t in trials(lr=[0.1, 0.2])]


def test_every_variant_is_a_series_under_every_rule() -> None:
    asked = study(rules=["sp", "supar"], variants={"a": {}, "b": {"training.steps": 5}})
    names = [series.name for series in Settled(asked, asked.base.hps, "fp32", "").series()]
    assert names == ["sp · a", "supar · a", "sp · b", "supar · b"]


@pytest.mark.parametrize(
    "grid",
    [
        {"lr": [0.1, 0.2, 0.3], "seeds": 4},
        {"widths": [32, 64], "depths": [1, 2], "sweep": {"alpha_input": {"values": [1, 2, 4]}}},
        {"variants": {"a": {}, "b": {"training.steps": 5}}, "init_multiples": [1, 2]},
        {"densities": [1, 0.25], "min_nonzeros": 16},
    ],
)
def test_the_size_is_known_before_the_trials_are_made(grid: dict[str, Any]) -> None:
    assert grid_size(study(**grid)) == len(trials(**grid))


def test_the_corner_is_the_largest_width_there_the_sparsest_there_the_deepest() -> None:
    cell = study(widths=[32, 64], densities=[1, 0.25], depths=[2, 1]).corner
    assert (cell.width, cell.density, cell.depth) == (64, 0.25, 2)
    joint = study(cells=[{"width": 64, "density": 0.5}, {"width": 32, "density": 0.125}]).corner
    assert (joint.width, joint.density, joint.depth) == (64, 0.5, 1)
