"""Each schedule, read off by hand at ten steps with two of warm-up."""

from __future__ import annotations

import pytest

from hptransfer.study.pieces import ScheduleName
from hptransfer.training.schedules import lr_factor


def factors(schedule: ScheduleName, steps: int = 10, warmup: float = 0.2) -> list[float]:
    return [lr_factor(schedule, step, steps, warmup) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["constant", "linear", "tenth", "cosine", "wsd"])
def test_warm_up_rises_to_the_peak_and_wastes_no_step(schedule: ScheduleName) -> None:
    assert factors(schedule)[:3] == [0.5, 1.0, 1.0]


def test_constant_stays() -> None:
    assert factors("constant")[2:] == [1.0] * 8


def test_linear_falls_to_zero_just_after_the_last_step() -> None:
    assert factors("linear")[2:] == pytest.approx([1 - i / 8 for i in range(8)])


def test_a_tenth_and_cosine_end_near_a_tenth() -> None:
    assert factors("tenth", 1000)[-1] == pytest.approx(0.1, abs=2e-3)
    assert factors("cosine", 1000)[-1] == pytest.approx(0.1, abs=1e-4)
    assert lr_factor("cosine", 6, 10, 0.2) == pytest.approx(0.55)  # half-way down, between 1 and 0.1


def test_wsd_is_stable_and_then_decays_over_the_last_fifth() -> None:
    assert factors("wsd")[2:] == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.5])


def test_without_warm_up_the_first_step_is_the_peak() -> None:
    assert lr_factor("linear", 0, 10, 0.0) == 1.0
