"""The schema's own arithmetic: the cells of a grid and the axes that it sweeps."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.common.errors import InputError
from hptransfer.study.file import study_of
from hptransfer.study.study import GridSpec, Sweep


def grid(**settings: Any) -> GridSpec:
    return study_of({"name": "s", "grid": settings}).grid


def cells(**settings: Any) -> list[tuple[int, float, int]]:
    return list(study_of({"name": "s", "base": {"depth": 3}, "grid": settings}).cells)


def test_cells_are_widths_by_densities_by_depths() -> None:
    assert cells(widths=[32, 64], densities=[1, 0.5]) == [(32, 1, 3), (32, 0.5, 3), (64, 1, 3), (64, 0.5, 3)]
    assert cells(widths=[32], depths=[2, 4]) == [(32, 1, 2), (32, 1, 4)]


def test_joint_axes_are_cells_or_weights_per_neuron() -> None:
    assert cells(cells=[{"width": 32}, {"width": 64, "density": 0.5, "depth": 9}]) == [(32, 1, 3), (64, 0.5, 9)]
    assert cells(widths=[32, 128], nonzeros_per_neuron=64) == [(32, 1, 3), (128, 0.5, 3)]


def test_cells_with_too_few_weights_are_left_out() -> None:
    assert cells(widths=[32, 64], densities=[1, 0.25], min_nonzeros=16) == [(32, 1, 3), (64, 1, 3), (64, 0.25, 3)]


def test_a_variants_override_stands_above_a_rules() -> None:
    found = grid(by_rule={"sp": {"base.lr": "2^-12", "training.steps": 5}}, variants={"v": {"base.lr": 1}})
    assert found.overrides_of("sp", "v") == {"base.lr": 1, "training.steps": 5}
    assert (found.own_base("sp"), found.own_base("sp", "v"), found.own_base("mup")) == ({"lr": 2.0**-12}, {"lr": 1}, {})


def test_sweeps_are_the_lr_the_init_std_and_the_others_as_written() -> None:
    assert list(grid().sweeps()) == ["lr", "init_std"]
    found = grid(
        lr_multiples=[1, 2],
        sweep={"my:Axis": {"values": [3]}, "alpha_input": {"values": [1]}, "init_std": {"values": [0.1]}},
    ).sweeps()
    assert list(found) == ["lr", "init_std", "my:Axis", "alpha_input"]
    assert found["lr"].around(0.5) == (0.5, 1.0)
    assert found["init_std"].around(9.0) == (0.1,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": [1], "sweep": {"lr": {"values": [1]}}}, "once"),
        ({"init_multiples": [1, 2], "sweep": {"init_std": {"values": [1]}}}, "once"),
        ({"sweep": {"decay": {"values": [1]}}}, r"grid\.sweep\.decay: no such swept axis"),
        ({"sweep": {"alpha_input": {}}}, "either values or multiples"),
        ({"sweep": {"alpha_input": {"values": [0]}}}, "above 0"),
    ],
)
def test_a_sweep_that_says_too_much_or_nothing_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        grid(**settings)


def test_values_stand_as_they_are_and_multiples_around_the_base() -> None:
    assert Sweep(values=(1.0, 2.0)).around(5.0) == (1.0, 2.0)
    assert Sweep(multiples=(1.0, 2.0)).around(5.0) == (5.0, 10.0)
