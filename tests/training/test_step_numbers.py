"""The numbers that all tensors share at one step."""

from __future__ import annotations

import math

import pytest

from hptransfer.common.errors import BreachError
from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.step_numbers import numbers_of_all_steps, step_numbers


def test_no_clip_is_an_infinite_one() -> None:
    assert step_numbers(TrainingSpec(clip=0), 0)["clip"] == math.inf
    assert step_numbers(TrainingSpec(clip=0.5), 0)["clip"] == 0.5


def test_names_and_their_order_are_the_same_at_every_step() -> None:
    training = TrainingSpec(steps=10)
    assert {tuple(step_numbers(training, step)) for step in range(10)} == {
        ("lr_factor", "clip", "0.beta1", "0.beta2", "0.unbias1", "0.unbias2")
    }


def test_an_optimizer_brings_its_own() -> None:
    assert tuple(step_numbers(TrainingSpec(optimizer="sgd", momentum=0.8), 3)) == ("lr_factor", "clip", "0.momentum")


def test_the_numbers_of_all_steps_are_those_of_each() -> None:
    training = TrainingSpec(steps=10)
    assert numbers_of_all_steps(training) == [list(step_numbers(training, step).values()) for step in range(10)]


def test_an_optimizer_whose_names_change_on_the_way_is_refused() -> None:
    with pytest.raises(BreachError, match=r"Turning, from .*the same names.*, but not at step 5; found .*'0\.speed'"):
        numbers_of_all_steps(TrainingSpec(steps=10, optimizer="users_optimizers:Turning"))
