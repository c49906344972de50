"""What pydantic found wrong becomes one message: the field, what was found, what is allowed, the nearest valid key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hptransfer.study.refusals import field_path, first_refusal
from hptransfer.study.study import Study


def refusal(tree: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Study.model_validate({"name": "s", **tree})
    return str(first_refusal(caught.value, Study))


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"gird": {}}, ("unknown key", "'gird'", "did you mean 'grid'?")),
        ({"widths": [1]}, ("unknown key", "did you mean 'grid.widths'?")),
        ({"grid": {"lr": [1, "x"]}}, ("grid.lr[1]", "is of the wrong kind", "'x'")),
        ({"grid": {"widths": [0]}}, ("grid.widths[0]", "is out of range", "1 or above")),
        ({"grid": {"widths": []}}, ("grid.widths", "is empty", "at least 1 value(s)")),
        ({"training": {"schedule": "cosin"}}, ("is not one of the choices", "did you mean 'cosine'?")),
        ({"training": {"optimizer": "adam"}}, ("training.optimizer: no such optimizer", "did you mean 'adamw'?")),
        ({"grid": {"sweep": {"weight_deca": {"values": [1]}}}}, ("no such swept axis", "did you mean 'weight_decay'?")),
        ({"data": {"source": "text"}}, ("data", "source 'text' needs a path")),
        ({"name": "a/b"}, ("name: is not of the right form", "'a/b'")),
    ],
)
def test_each_kind_of_slip_is_told_with_its_place(tree: dict[str, Any], says: tuple[str, ...]) -> None:
    told = refusal(tree)
    for part in says:
        assert part in told


def test_an_unknown_key_goes_before_what_follows_from_it() -> None:
    assert refusal({"grid": {"width": [64], "seeds": -1}}).startswith("grid.width: unknown key")


def test_places_are_written_as_in_a_study() -> None:
    assert field_path(("grid", "cells", 2, "width")) == "grid.cells[2].width"
