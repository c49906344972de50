"""The judge of a coordinate check, on made-up sizes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from hptransfer.common.errors import InputError
from hptransfer.scaling.check.measure import judge_check


def made_up(slope, *, kind="activation", step=0, role="hidden", module="blocks.0.up", axis="density", noise=0.0):
    """Sizes that follow a power law exactly, four points and two seeds."""
    rows = []
    for seed in (0, 1):
        for factor in (1.0, 0.5, 0.25, 0.125):
            for at in (0, 5):
                size = factor**slope * np.exp(noise * (2 * seed - 1) * (factor == 0.5)) if at == step else 1.0
                other = {"width": 64, "density": 1.0} | {axis: factor * 1024 if axis == "width" else factor}
                rows.append(
                    {"rule": "supar", "seed": seed, "step": at, "module": module, "kind": kind, "value": size}
                    | {"features": int(1024 * factor) if axis == "width" else 64, "role": role, **other}
                )
    return pd.DataFrame(rows)


def judged(frame, **settings):
    verdict = judge_check(frame, **settings)
    return verdict.slopes[verdict.slopes.step == 0].iloc[0], verdict


def test_slope_and_interval():
    row, _ = judged(made_up(0.5))
    assert (row.slope, row.slope_low, row.slope_high) == pytest.approx((0.5, 0.5, 0.5))
    row, _ = judged(made_up(0.5, noise=0.1))
    assert row.slope == pytest.approx(0.5)
    assert row.slope_low < 0.5 < row.slope_high


@pytest.mark.parametrize(
    ("slope", "step", "kind", "passed"),
    [
        (0.04, 0, "activation", True),
        (0.06, 0, "activation", False),
        (-0.09, 0, "gradient", True),
        (-0.12, 0, "input_gradient", False),
        (0.3, 5, "activation", True),
        (-0.4, 5, "activation", False),
        (0.4, 0, "update", True),
        (0.6, 0, "update", False),
        (2.0, 0, "weight_update", True),
        (2.0, 5, "gradient", True),
    ],
)
def test_what_is_judged_and_how_strictly(slope, step, kind, passed):
    verdict = judge_check(made_up(slope, step=step, kind=kind))
    assert verdict.passed is passed
    assert (len(verdict.failures()) == 0) is passed


@pytest.mark.parametrize(
    ("slope", "noise", "passed", "why"),
    [
        (0.06, 0.0, False, "beyond tolerance"),
        (0.06, 0.1, True, "beyond tolerance, but not significantly"),
        (0.12, 1.0, False, "beyond tolerance"),
    ],
)
def test_chance_is_allowed_for_but_only_up_to_twice_the_tolerance(slope, noise, passed, why):
    row, verdict = judged(made_up(slope, noise=noise))
    assert (verdict.passed, row.why) == (passed, why)


def test_places_with_few_weights_a_neuron_are_left_out_and_named():
    frame = made_up(0.0)
    frame.loc[frame.density == 0.125, "value"] = 100.0  # 64 · 1/8 = 8 weights: still judged
    assert not judge_check(frame).passed
    verdict = judge_check(frame, min_nonzeros=9)
    assert verdict.passed
    assert verdict.sentence.endswith("Left out: density 0.125, with fewer than 9 weights per neuron.")
    assert judge_check(frame, min_nonzeros=1000).slopes.points.max() == 4  # the two best places stay


def test_the_output_may_shrink_with_width_at_the_start_and_only_then():
    shrinking = partial(made_up, axis="width", role="readout", module="readout")
    row, verdict = judged(shrinking(-0.5), axis="width")
    assert verdict.passed
    assert "known exception" in row.why
    assert not judged(shrinking(0.5), axis="width")[1].passed
    assert not judged(shrinking(-0.5, step=5), axis="width")[1].passed
    assert not judged(made_up(-0.5, axis="width"), axis="width")[1].passed
    assert judged(made_up(-0.5, axis="width", module="(model)", role=""), axis="width")[1].passed


def test_gradients_are_sums_over_features_along_the_width():
    row, _ = judged(made_up(-1.0, axis="width", kind="gradient"), axis="width")
    assert row.slope == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_a_size_that_is_not_finite_or_vanishes_fails(bad):
    frame = made_up(0.0)
    frame.loc[frame.density == 0.125, "value"] = bad
    row, verdict = judged(frame)
    assert not verdict.passed
    assert row.why == "not finite"
    assert "not finite" in verdict.sentence


def test_a_module_that_does_nothing_anywhere_is_flat():
    frame = made_up(0.0)
    frame["value"] = 0.0
    assert judge_check(frame).passed


def test_two_points_have_a_slope_but_no_interval():
    frame = made_up(0.5)
    row, _ = judged(frame[(frame.seed == 0) & frame.density.isin([1.0, 0.5])])
    assert row.slope == pytest.approx(0.5)
    assert (row.slope_low, row.slope_high) == (-np.inf, np.inf)


def test_one_point_is_refused():
    with pytest.raises(InputError, match="two points at least"):
        judge_check(made_up(0.0), axis="width")
    with pytest.raises(InputError, match="width, density"):
        judge_check(made_up(0.0), axis="depth")  # type: ignore[arg-type]


def test_a_slope_let_pass_beyond_its_tolerance_is_not_called_within_it():
    _, verdict = judged(made_up(0.06, noise=0.1))
    assert verdict.passed
    assert "slope +0.06 (allowed 0.05; not significantly beyond)" in verdict.sentence
