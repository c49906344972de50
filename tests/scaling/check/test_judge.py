"""The judge of a coordinate check, on made-up sizes: shown to be level, shown not to be, not known."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from made_up_sizes import made_up

from hptransfer.common.errors import InputError
from hptransfer.scaling.check.measure import judge_check


def judged(frame, **settings):
    verdict = judge_check(frame, **settings)
    return verdict.slopes[verdict.slopes.step == 0].iloc[0], verdict


# --- three words: t(7; 0.95) = 1.895, so the interval is slope ± 0.670 sd


@pytest.mark.parametrize(
    ("slope", "spread", "outcome"),
    [
        (0.0, 0.10, "PASS"),  # 0 ± 0.067
        (0.0, 0.16, "INCONCLUSIVE"),  # 0 ± 0.107: level for all we know, and not shown to be
        (0.05, 0.07, "PASS"),  # up to 0.097
        (0.05, 0.08, "INCONCLUSIVE"),  # up to 0.104
        (-0.05, 0.08, "INCONCLUSIVE"),
        (0.11, 0.10, "INCONCLUSIVE"),  # beyond, and may be within
        (0.20, 0.10, "FAIL"),  # from 0.133
        (-0.20, 0.10, "FAIL"),
    ],
)
def test_a_row_passes_within_its_tolerance_of_a_tenth_and_fails_outside(slope, spread, outcome):
    row, verdict = judged(made_up(slope, spread=spread))
    assert row.outcome == verdict.by_rule["supar"] == outcome
    assert verdict.passed is (outcome == "PASS")
    assert len(verdict.failures()) == (outcome != "PASS")
    assert (row.slope_high - row.slope_low) / 2 == pytest.approx(0.670 * spread, rel=1e-3)


def test_the_seed_is_what_is_repeated():
    """More places within a seed know no more: the interval is that of eight slopes, not of thirty-two points."""
    frame = made_up(spread=0.16)
    fewer = frame[frame.density.isin([1.0, 0.125])]
    for shown in (frame, fewer):
        row, _ = judged(shown)
        assert (row.seeds, row.slope_high) == (8, pytest.approx(0.107, abs=1e-3))


def test_one_seed_decides_nothing():
    row, verdict = judged(made_up(0.0, seeds=1))
    assert (row.slope, row.slope_low, row.slope_high) == (0.0, -np.inf, np.inf)
    assert verdict.by_rule == {"supar": "INCONCLUSIVE"}
    assert "1 seed," in verdict.sentence


def test_passing_needs_every_row_and_failing_one():
    good, open_, bad = made_up(), made_up(spread=0.3, module="open"), made_up(0.5, spread=0.1, module="bad")
    assert judge_check(pd.concat([good, open_])).by_rule == {"supar": "INCONCLUSIVE"}
    assert judge_check(pd.concat([good, open_, bad])).by_rule == {"supar": "FAIL"}


def test_the_more_rows_may_fail_by_chance_the_more_it_takes_to_fail():
    """0.13 ± 0.011 is beyond 0.1 at 1.6%: too little where it is the worst of forty-two rows (Holm)."""
    bad = made_up(0.13, spread=0.032, module="bad")
    assert judge_check(bad).by_rule == {"supar": "FAIL"}
    others = [made_up(spread=0.1, module=f"x{'abcdefghijklmnopqrst'[n]}") for n in range(20)]
    assert judge_check(pd.concat([bad, *others])).by_rule == {"supar": "INCONCLUSIVE"}


def test_the_more_often_it_looks_the_more_each_look_takes():
    row, verdict = judged(made_up(0.0, spread=0.14))
    assert (verdict.passed, row.slope_high) == (True, pytest.approx(0.670 * 0.14, rel=1e-3))
    row, verdict = judged(made_up(0.0, spread=0.14), looks=4)
    assert (verdict.passed, row.slope_high) == (False, pytest.approx(1.005 * 0.14, rel=1e-3))  # t(7; 0.9875) = 2.841


# --- what is judged


@pytest.mark.parametrize(
    ("slope", "step", "kind", "passed"),
    [
        (0.09, 0, "activation", True),
        (0.11, 0, "activation", False),
        (-0.14, 0, "gradient", True),
        (-0.16, 0, "input_gradient", False),
        (0.45, 5, "activation", True),
        (-0.55, 5, "activation", False),
        (0.14, 0, "aligned_update", True),
        (0.16, 0, "aligned_update", False),
        (-0.26, 0, "update", True),  # of a sum: its random part is not the rule's
        (2.0, 0, "weight_update", True),
        (2.0, 5, "gradient", True),
        (2.0, 5, "aligned_update", True),
    ],
)
def test_what_is_judged_and_how_strictly(slope, step, kind, passed):
    verdict = judge_check(made_up(slope, step=step, kind=kind))
    assert verdict.passed is passed
    assert (len(verdict.failures()) == 0) is passed


def test_the_update_of_an_embedding_is_judged_by_its_size():
    assert not judge_check(made_up(0.16, kind="update", role="embedding", module="embed")).passed
    assert judge_check(made_up(0.14, kind="update", role="embedding", module="embed")).passed


@pytest.mark.parametrize(
    ("setting", "kind", "step"),
    [
        ("first_tolerance", "activation", 0),
        ("update_tolerance", "aligned_update", 0),
        ("last_tolerance", "activation", 5),
    ],
)
def test_tolerances_are_the_callers(setting, kind, step):
    frame = made_up(0.05, kind=kind, step=step)
    assert judge_check(frame).passed
    assert judge_check(frame, **{setting: 0.04}).by_rule == {"supar": "FAIL"}


def test_places_with_few_weights_a_neuron_are_left_out_and_named():
    frame = made_up(0.0)
    frame.loc[frame.density == 0.125, "value"] = 100.0  # 64 · 1/8 = 8 weights: still judged
    assert not judge_check(frame).passed
    verdict = judge_check(frame, min_nonzeros=9)
    assert verdict.passed
    assert verdict.sentence.endswith("Left out: density 0.125, with fewer than 9 weights per neuron.")
    assert not judge_check(made_up(0.5), min_nonzeros=1000).passed  # the two best places stay


@pytest.mark.parametrize(
    ("slope", "kind", "outcome"),
    [
        (-0.5, "activation", "PASS"),  # ± 0.067, within −0.6 … 0.1
        (0.0, "activation", "PASS"),
        (-0.57, "activation", "INCONCLUSIVE"),
        (-0.7, "activation", "FAIL"),
        (0.2, "activation", "FAIL"),
        (-0.5, "gradient", "PASS"),  # within −0.65 … 0.15
        (-0.5, "input_gradient", "PASS"),
        (-0.75, "gradient", "FAIL"),
        (0.25, "gradient", "FAIL"),
        (-0.5, "aligned_update", "FAIL"),  # an LR is an LR
    ],
)
def test_what_does_not_grow_may_shrink_with_width_by_the_square_root_at_the_start(slope, kind, outcome):
    """Whatever its module and role are called."""
    row, verdict = judged(made_up(slope, kind=kind, axis="width", grows=False, spread=0.1), axis="width")
    assert row.outcome == verdict.by_rule["supar"] == outcome
    if outcome == "PASS" and kind != "aligned_update":
        assert row.why == "within tolerance, which lets it shrink with width at the start"


def test_what_grows_may_not_whatever_it_is_called():
    for name in ({"module": "readout", "role": "readout"}, {"module": "(model)", "role": ""}):
        assert not judge_check(made_up(-0.5, axis="width", spread=0.1, **name), axis="width").passed


def test_nothing_may_shrink_over_density_nor_at_a_later_step():
    assert not judge_check(made_up(-0.5, spread=0.1), axis="density").passed  # no tensor grows with density
    late = partial(made_up, step=5, axis="width", grows=False, spread=0.1)
    assert judge_check(late(-0.4), axis="width").passed
    assert not judge_check(late(-0.6), axis="width").passed


def test_gradients_are_sums_over_features_along_the_width():
    row, _ = judged(made_up(-1.0, axis="width", kind="gradient"), axis="width")
    assert row.slope == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_size_that_is_not_finite_or_not_positive_fails(bad):
    frame = made_up(0.0)
    frame.loc[frame.density == 0.125, "value"] = bad
    row, verdict = judged(frame)
    assert verdict.by_rule == {"supar": "FAIL"}
    assert row.why == "not finite"
    assert "not finite" in verdict.sentence


def test_a_module_that_does_nothing_anywhere_is_flat():
    frame = made_up(0.0)
    frame["value"] = 0.0
    assert judge_check(frame).passed
    assert not judge_check(frame.assign(value=-1.0)).passed


def test_one_point_is_refused():
    with pytest.raises(InputError, match="two points at least"):
        judge_check(made_up(0.0), axis="width")
    with pytest.raises(InputError, match="width, density"):
        judge_check(made_up(0.0), axis="depth")  # type: ignore[arg-type]
