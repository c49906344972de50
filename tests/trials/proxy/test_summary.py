"""What base.json says beyond the winner, on a loss surface that can be checked by hand."""

from __future__ import annotations

from math import log2, nan
from typing import Literal

import pytest

from hptransfer.study.study import Range
from hptransfer.study.trial import Trial
from hptransfer.trials.proxy.summary import (
    best_of,
    edge_warnings,
    fitted_optimum,
    flat_directions,
    history,
)
from hptransfer.trials.proxy.tried import Tried

SPACE = {"lr": Range(low=2.0**-10, high=2.0**-2)}


def run(number: int, octave: float, status: Literal["ok", "diverged"] = "ok") -> Tried:
    """A run whose loss is 2 + 0.1 · (octave + 6)²: its minimum is at 2^-6."""
    loss = 2 + 0.1 * (octave + 6) ** 2 if status == "ok" else nan
    return Tried(number, {"lr": 2.0**octave}, Trial(seed=number), status, loss, None, {})


RUNS = [run(i, octave) for i, octave in enumerate((-9.0, -8.0, -7.0, -5.5, -4.0, -3.0))]


def test_the_best_run_is_the_least_loss_that_reached_its_end() -> None:
    assert best_of([*RUNS, run(9, -6.0, "diverged")]).number == 3


def test_the_minimum_of_the_fit_lies_between_the_runs() -> None:
    fit, hps = fitted_optimum(RUNS, SPACE)
    assert fit is not None
    assert hps is not None
    assert log2(hps["lr"]) == pytest.approx(-6.0, abs=0.05)
    assert fitted_optimum(RUNS[:3], SPACE)[1] is None  # the minimum lies beyond these


@pytest.mark.parametrize(("octave", "end"), [(-9.9, "low"), (-6.0, ""), (-2.1, "high")])
def test_a_winner_at_an_end_of_its_range_is_told(octave: float, end: str) -> None:
    told = edge_warnings(SPACE, {"lr": 2.0**octave})
    assert [f"at the {end} end of the searched range" in text for text in told] == ([True] if end else [])


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(2.0**-8, 2.0**-5, []), (2.0**-10, 2.0**-5, ["low"]), (2.0**-5, 2.0**-2, ["high"])],
)
def test_a_basin_that_reaches_an_end_of_the_searched_lrs_is_told(low: float, high: float, ends: list[str]) -> None:
    told = edge_warnings(SPACE, {"lr": 2.0**-6}, {"flat_low": low, "flat_high": high})
    assert [f"reach the {end} end" in text for end, text in zip(ends, told, strict=True)] == [True] * len(ends)


def test_a_winner_at_the_end_of_another_range_hides_no_cut_basin_and_one_at_its_own_end_is_told_once() -> None:
    space, around = SPACE | {"init_std": Range(low=0.01, high=0.1)}, {"flat_low": 2.0**-5, "flat_high": 2.0**-2}
    both = edge_warnings(space, {"lr": 2.0**-4, "init_std": 0.1}, around)
    assert ["reach the high end" in both[0], "the best init_std" in both[1]] == [True, True]
    assert len(edge_warnings(SPACE, {"lr": 2.0**-2}, around)) == 1
    assert edge_warnings({"init_std": space["init_std"]}, {"init_std": 0.03}, around) == []  # the LR was not searched


def test_the_history_holds_every_run_in_order() -> None:
    told = history(RUNS, [])
    assert [entry["number"] for entry in told] == [0, 1, 2, 3, 4, 5]
    assert {entry["stage"] for entry in told} == {"search"}
    assert told[3]["lr"] == 2.0**-5.5


def valley(number: int, first: float, second: float) -> Tried:
    """A run whose loss knows the product of two values alone, and rises by a tenth per squared octave of it."""
    loss = 2 + 0.1 * (first + second) ** 2
    hps = {"alpha_input": 2.0**first, "lr_embedding": 2.0**second}
    return Tried(number, hps, Trial(seed=number), "ok", loss, None, {})


def test_what_the_runs_cannot_tell_apart_is_named_by_its_direction() -> None:
    space = {name: Range(low=0.25, high=4.0) for name in ("alpha_input", "lr_embedding")}
    places = [(a / 2, b / 2) for a in range(-4, 5) for b in range(-4, 5) if abs(a + b) <= 3]
    runs = [valley(number, a, b) for number, (a, b) in enumerate(places)]
    (flat,) = flat_directions(space, runs)
    one, other = flat["direction"]["alpha_input"], flat["direction"]["lr_embedding"]
    assert {round(one, 2), round(other, 2)} == {0.71, -0.71}
    assert flat["reach"] is None or flat["reach"] > 1.4  # half of two octaves each, along the diagonal
    sharp = [run(i, octave) for i, octave in enumerate((-9.0, -8.0, -7.0, -5.5, -4.0, -3.0))]
    assert flat_directions(SPACE, sharp) == []


def test_a_valley_that_rises_within_the_range_is_not_flat() -> None:
    def bowl(number: int, a: float, b: float) -> Tried:
        hps = {"alpha_input": 2.0**a, "lr_embedding": 2.0**b}
        return Tried(number, hps, Trial(seed=number), "ok", 2 + 0.05 * (a * a + b * b), None, {})

    space = {name: Range(low=0.25, high=4.0) for name in ("alpha_input", "lr_embedding")}
    runs = [bowl(i, a, b) for i, (a, b) in enumerate((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1))]
    assert flat_directions(space, runs) == []


def test_a_narrow_range_is_not_flat_for_want_of_runs() -> None:
    """The bowl that the fit expects is no valley, however little of it a range holds."""

    def few(number: int, a: float, b: float) -> Tried:
        hps = {"alpha_input": 2.0**a, "lr_embedding": 2.0**b}
        return Tried(number, hps, Trial(seed=number), "ok", 2 + 0.05 * a * a + 0.05 * b * b, None, {})

    space = {name: Range(low=0.75, high=1.5) for name in ("alpha_input", "lr_embedding")}
    runs = [few(i, a, b) for i, (a, b) in enumerate((a / 4, b / 4) for a in (-1, 0, 1) for b in (-1, 0, 1))]
    assert flat_directions(space, runs) == []
    assert flat_directions(space, runs[:3]) == []
