"""A refusal says where, what was found, what is allowed and what to do, and survives the way between processes."""

from __future__ import annotations

import pickle

import pytest

from hptransfer.common.errors import (
    BreachError,
    HptransferError,
    InputError,
    OutOfMemoryError,
    WorkError,
    did_you_mean,
    nearest,
)


def test_a_refusal_in_full_and_in_short() -> None:
    error = InputError("not a density", where="grid.densities", found=2, allowed="(0, 1]", hint="give a share")
    assert str(error) == "grid.densities: not a density; found 2; allowed: (0, 1]; give a share"
    assert str(InputError("not a density")) == "not a density"


def test_of_a_long_value_the_ends_are_shown() -> None:
    text = str(InputError("no such file", found="a" * 100 + "b" * 100))
    assert len(text) < 160
    assert "aaa…bbb" in text


def test_the_place_it_was_met_in_comes_before_its_own() -> None:
    error = InputError("is empty", where="grid.lr", found=())
    assert str(error.at("my.yaml")) == "my.yaml: grid.lr: is empty; found ()"
    assert str(InputError("is empty").at("my.yaml")) == "my.yaml: is empty"


@pytest.mark.parametrize("kind", [InputError, BreachError])
def test_it_is_the_same_after_a_way_between_processes(kind: type[InputError]) -> None:
    error = pickle.loads(pickle.dumps(kind("not a density", where="grid", found=2)))
    assert (type(error), str(error)) == (kind, "grid: not a density; found 2")


def test_each_kind_has_its_exit_status() -> None:
    kinds = (HptransferError, WorkError, OutOfMemoryError, InputError, BreachError)
    assert [kind.exit_status for kind in kinds] == [1, 1, 1, 2, 2]


def test_only_what_is_close_is_suggested() -> None:
    assert nearest("widhts", ["widths", "depths"]) == "widths"
    assert nearest("colour", ["widths", "depths"]) == ""
    assert did_you_mean("widths") == "did you mean 'widths'?"
    assert did_you_mean("", "see the manual") == "see the manual"
