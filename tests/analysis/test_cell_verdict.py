"""Single cells: which rule speaks, what is carried along, and what would settle an open one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from surfaces import frame

from hptransfer.analysis.cell_verdict import CellVerdict, judge_cells, reference_of
from hptransfer.analysis.cells import CellKey, read_cells
from hptransfer.study.thresholds import VerdictSpec

BASE = {"lr": 2.0**-7}


def judged(rows, base=None) -> list[CellVerdict]:
    """Cells from the sparsest to the densest."""
    return judge_cells(read_cells(rows, base), base, VerdictSpec())


@pytest.mark.parametrize(("best", "side", "add"), [(-12.0, "low", (-13, -12)), (-1.0, "high", (-2, -1))])
def test_an_edge_minimum_is_open_and_says_what_to_add(best, side, add):
    for found in judged(frame(best=best), BASE):
        assert found.word == "INCONCLUSIVE"
        assert found.why == f"the lowest loss sits at the {side} edge of the LRs that finished"
        assert found.suggest_values == tuple(2.0**x for x in add)
        assert found.suggest == f"add LR 2^{add[0]}, 2^{add[1]}"


def test_near_divergence_the_suggestion_lies_between_the_minimum_and_the_wall():
    for found in judged(frame(edge=1.2), BASE):
        assert found.word == "INCONCLUSIVE"
        assert found.optimum.n_diverged == 3 * 3
        assert found.suggest_values
        assert all(2.0**-9 < value < 2.0**-5 for value in found.suggest_values)


def test_a_transferred_value_at_which_every_seed_diverges_is_drift():
    found = judged(frame(best=-8.0, edge=2.5), {"lr": 2.0**-4})[0]
    assert (found.word, found.why) == ("DRIFT", "every seed diverges at the transferred LR 2^-4")


def test_a_cost_beyond_what_was_run_is_told_as_the_least_it_can_be():
    found = judged(frame(best=-8.0), {"lr": 2.0**-1})[0]
    assert found.word == "DRIFT"
    assert "LR 2^-1 lies outside the values that were run and costs at least" in found.why
    assert math.isnan(found.regret.loss)


def test_one_value_is_too_few_and_says_which_to_add():
    found = judged(frame(lrs=[2.0**-7]), BASE)[0]
    assert (found.word, found.why) == ("INCONCLUSIVE", "too few finite LRs around the minimum (1)")
    assert found.suggest_values == (2.0**-9, 2.0**-8, 2.0**-6, 2.0**-5)


def test_the_loss_at_one_value_is_known_though_no_minimum_is():
    """A ladder of densities at one transferred LR compares rules by that loss."""
    rows = frame(lrs=[2.0**-7])
    densest = judged(rows, BASE)[-1]
    assert densest.regret.loss == pytest.approx(rows.query("density == 1")["loss"].mean())
    assert math.isnan(densest.optimum.min_loss)
    assert all(math.isnan(found.regret.loss) for found in judged(rows, {"lr": 2.0**-6}))


def test_one_seed_gives_no_interval_and_three_are_suggested():
    found = judged(frame(seeds=1), BASE)[0]
    assert (found.word, found.suggest, found.suggest_seeds) == ("INCONCLUSIVE", "run 3 seeds", 3)
    assert math.isnan(found.regret.low)


def test_seeds_are_suggested_when_the_interval_holds_the_margin():
    found = [c for c in judged(frame(rules={"supar": -0.17}, noise=0.02), BASE) if c.word == "INCONCLUSIVE"]
    assert found
    assert all(c.suggest_seeds > 3 for c in found)


def first_of(cells: int, best: float) -> CellVerdict:
    """The densest of so many cells, whose optimum lies at 2^`best`, that of the others at 2^-7."""
    rng = np.random.default_rng(3)
    rows = [frame(rng, densities=(2.0**-k,), best=-7.0 if k else best, noise=0.008) for k in range(cells)]
    return judged(pd.concat(rows), BASE)[-1]


def test_a_cell_above_delta_by_itself_is_open_among_many_and_says_so():
    """The same runs in a series of two cells and of twelve."""
    one_of_two, one_of_many = first_of(2, -6.0), first_of(12, -6.0)
    assert one_of_two.word == "DRIFT"
    assert one_of_many.word == "INCONCLUSIVE"
    assert one_of_many.regret.low > 0.005
    assert one_of_many.why.startswith("the transferred LR costs ")
    assert one_of_many.why.endswith("more than 0.5% by itself, but not surely so as one of 12 cells")
    assert 3 < one_of_many.suggest_seeds < 20


def test_a_cell_far_above_delta_is_drift_among_many():
    assert first_of(12, -5.0).word == "DRIFT"


def test_a_regret_above_delta_asks_for_the_seeds_that_would_show_it():
    """Its interval must shrink to the distance from δ: at least ((value − low) / (value − δ))² times the seeds, and
    more for being one of three cells."""
    found = judged(frame(rules={"supar": -0.25}, noise=0.03), BASE)[0]
    value, low = found.regret.value, found.regret.low
    assert low < 0.005 < value
    assert 3 * ((value - low) / (value - 0.005)) ** 2 < found.suggest_seeds < 20


def test_a_settled_cell_suggests_nothing():
    assert {(c.word, c.suggest, c.suggest_values, c.suggest_seeds) for c in judged(frame(), BASE)} == {
        ("STABLE", "", (), 0)
    }


def test_without_a_base_the_densest_smallest_cell_gives_the_value_to_its_series():
    found = judged(frame(rules={"supar": 0.0, "sp": -0.6}, best=-7.4))
    for series in ("supar", "sp"):
        mine = [c for c in found if c.key.series == series]
        (home,) = [c for c in mine if c.is_reference]
        assert home.key.density == 1.0
        assert {c.transferred for c in mine} == {home.optimum.vertex}


def test_a_base_that_does_not_hold_the_swept_value_carries_none():
    """Another optimum of another hyperparameter says nothing of this one."""
    found = judged(frame().assign(alpha_input=frame()["lr"], lr=0.01), {"lr": 0.01})
    assert [c.is_reference for c in found] == [False, False, True]
    assert found[-1].transferred == pytest.approx(2.0**-7, rel=0.05)


@pytest.mark.parametrize(
    ("name", "label"), [("weight_decay", "weight decay"), ("mine.axes:TEMPERATURE", "TEMPERATURE")]
)
def test_sentences_name_what_was_swept(name, label):
    rows = frame(best=-12.0)
    found = judged(rows.assign(**{name: rows["lr"]}, lr=0.01), {name: 2.0**-7})[0]
    assert (found.swept, found.transferred) == (name, 2.0**-7)
    assert found.why == f"the lowest loss sits at the low edge of the {label}s that finished"
    assert found.suggest.startswith(f"add {label} 2^-13")


def key(width: int, density: float, depth: int) -> CellKey:
    return CellKey("supar", "", (("width", width), ("density", density), ("depth", depth)))


def test_the_base_cell_is_the_smallest_and_there_the_densest():
    keys = [key(w, d, h) for w in (128, 64) for d in (0.25, 0.5) for h in (8, 4)]
    assert reference_of(keys) == key(64, 0.5, 4)
    assert reference_of([key(64, 0.25, 4), key(128, 1.0, 4)]) == key(64, 0.25, 4)


def test_a_row_holds_the_place_and_the_numbers():
    found = judged(frame(), BASE)[0]
    row = found.row()
    assert {k: row[k] for k in ("rule", "series", "width", "density", "depth", "axis_name", "status", "fit")} == {
        "rule": "supar",
        "series": "supar",
        "width": 64,
        "density": 1 / 16,
        "depth": 2,
        "axis_name": "lr",
        "status": "STABLE",
        "fit": "ok",
    }
    assert row["optimum_low"] < row["optimum"] < row["optimum_high"]
    assert row["regret"] == found.regret.value
