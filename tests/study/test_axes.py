"""The axes of a grid: where a value goes, what it is at the base, how it is told."""

from __future__ import annotations

import pytest

from hptransfer.common.seams import AXES, SCALED
from hptransfer.study.axes import (
    ALPHA_INPUT,
    DENSITY,
    DEPTH,
    WIDTH,
    ScaledAxis,
    place_axes,
    scaled_axes,
    swept_label,
    swept_names,
)
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import BaseSpec
from hptransfer.study.trial import Trial

BATCH_SIZE = ScaledAxis("batch_size", "batch size", "batch_sizes", "batch_size")


def test_every_built_in_axis_is_known_by_the_name_of_its_column() -> None:
    for seam in (AXES, SCALED):
        assert [seam.get(name).name for name in seam.built_in] == list(seam.built_in)


def test_every_base_hp_can_be_swept() -> None:
    assert set(BaseHPs.model_fields) == set(AXES.built_in)


def test_a_base_hp_is_transferred_as_the_base_has_it() -> None:
    assert ALPHA_INPUT.at_base(BaseHPs(alpha_input=3.0)) == 3.0


def test_a_swept_value_goes_where_the_axis_says_and_nowhere_else() -> None:
    trial = Trial(data_id="f00d")
    there = ALPHA_INPUT.put(trial, 3.0)
    assert there.base == trial.base.model_copy(update={"alpha_input": 3.0})
    assert there.id != trial.id == ALPHA_INPUT.put(there, trial.base.alpha_input).id


def test_a_scaled_axis_is_one_at_the_base_unless_the_base_says() -> None:
    base = BaseSpec(width=64, depth=4)
    assert [axis.at_base(base) for axis in (DENSITY, WIDTH, DEPTH)] == [1, 64, 4]


def test_octaves_are_powers_of_two() -> None:
    assert DENSITY.octaves(1 / 16) == -4
    assert WIDTH.octaves(256) - WIDTH.octaves(64) == 2


def test_values_are_told_as_people_write_them() -> None:
    assert (WIDTH.text(256.0), DENSITY.text(1 / 16), WIDTH.number(256.0), DENSITY.number(1)) == (
        "256",
        "1/16",
        256,
        1.0,
    )
    assert isinstance(WIDTH.number(256.0), int)


def test_the_lr_is_judged_first_and_a_users_own_axis_last() -> None:
    columns = ["seed", "mine.axes:TEMPERATURE", "alpha_output", "weight_decay", "lr", "loss"]
    assert swept_names(columns) == ["lr", "weight_decay", "alpha_output", "mine.axes:TEMPERATURE"]


def test_a_users_own_axis_is_labelled_without_its_code() -> None:
    """The module `mine.axes` is nowhere."""
    assert [swept_label(name) for name in ("lr", "init_std", "alpha_input", "mine.axes:TEMPERATURE")] == [
        *("LR", "init std", "α_in", "TEMPERATURE")
    ]


def test_verdicts_begin_with_density_and_places_with_width() -> None:
    assert [axis.name for axis in scaled_axes()] == ["density", "width", "depth"]
    assert [axis.name for axis in place_axes()] == ["width", "density", "depth"]


def test_a_further_axis_is_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCALED.built_in, "batch_size", "anywhere:BATCH_SIZE")
    monkeypatch.setitem(SCALED.found, "batch_size", BATCH_SIZE)
    assert place_axes()[-1] is scaled_axes()[-1] is BATCH_SIZE
