"""The small settled pieces: how numbers and axes are read, and what a piece refuses whoever builds it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hptransfer.study.pieces import Axis, DataSpec, SparsitySpec, TrainingSpec, parse_number

AXIS: TypeAdapter[tuple[float, ...]] = TypeAdapter(Axis)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2^-7", 1 / 128), ("2**3", 8.0), ("1/16", 0.0625), ("3 / 4", 0.75), ("1e-3", 0.001), (" .5 ", 0.5), ("-2", -2.0)],
)
def test_texts_that_are_numbers(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("value", ["", "fast", "1/0", "9^999", "2^", "1/2/3", None, [1], True])
def test_what_is_no_number_is_handed_back_as_it_is(value: object) -> None:
    assert parse_number(value) is value


@given(st.text(max_size=20))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    assert isinstance(parse_number(text), str | float)


def test_a_range_of_octaves_ends_where_it_says_even_when_the_step_is_not_exact() -> None:
    assert AXIS.validate_python({"octaves": [-1, 1]}) == (0.5, 1.0, 2.0)
    third = AXIS.validate_python({"octaves": [0, 1], "step": 1 / 3})
    assert len(third) == 4
    assert third[-1] == pytest.approx(2.0)
    assert AXIS.validate_python({"octaves": [0, 1], "step": 0.4}) == pytest.approx((1, 2**0.4, 2**0.8))


@pytest.mark.parametrize(
    "value",
    [
        *([], [0], [-1], [math.nan], [math.inf], [True], ["x"], [1, 1], 3, "2^3", None),
        *({"octaves": ends} for ends in ([1], 3, [2, 1], [0, 10**400], [0, math.nan], [True, 2], [0, 5000])),
        *({"octaves": [0, 1], "step": step} for step in (0, -1, 1e-9)),
        {"octaves": [0, 1], "every": 1},
    ],
)
def test_axes_that_are_none(value: object) -> None:
    with pytest.raises(ValidationError):
        AXIS.validate_python(value)


def test_pieces_are_frozen_and_refuse_unknown_keys_and_loose_types() -> None:
    with pytest.raises(ValidationError):
        TrainingSpec(stepps=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        TrainingSpec(steps="3")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        TrainingSpec().steps = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TrainingSpec(eps=True)
    with pytest.raises(ValidationError):
        SparsitySpec(kind="0:4")
    with pytest.raises(ValidationError):
        DataSpec(source="tokens", path="t.bin")


def test_a_vocabulary_larger_than_the_token_type_is_refused() -> None:
    tokens = {"source": "tokens", "path": "train.bin"}
    with pytest.raises(ValidationError, match="does not fit into uint16"):
        DataSpec(**tokens, vocab_size=2**16 + 1)
    assert DataSpec(**tokens, vocab_size=2**16 + 1, dtype="uint32").vocab_size == 2**16 + 1
