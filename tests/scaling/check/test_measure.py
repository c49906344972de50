"""The coordinate check tells SμPar from the rules that ignore density, and μP from the one that ignores width."""

import gc
import weakref
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from hptransfer.common.errors import InputError
from hptransfer.scaling.check.measure import CheckSettings, assert_coordinates, coordinate_check, judge_check
from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec, TrainingSpec
from hptransfer.tasks.models import GPT, MLP

DRAW = torch.Generator().manual_seed(0)
TOKENS = torch.multinomial(1 / torch.arange(1, 65.0), 2 * 33, replacement=True, generator=DRAW).view(2, 33)
PAPER = BaseHPs(lr=1.62e-2, init_std=0.08665602, alpha_input=9.1705, alpha_output=1.0951835)
gpt = partial(GPT, vocab_size=64, context=64)
BRANCHES = ["blocks.*.attention", "blocks.*.ffn"]


def slope_of(verdict, rule, kind, step):
    """Slopes of one rule, kind and step, by kind of module."""
    s = verdict.slopes
    return s[(s.rule == rule) & (s.kind == kind) & (s.step == step)].set_index("module").slope


# --- the published numbers, at d = 512 and densities 1 … 1/16


@pytest.fixture(scope="module")
def over_density():
    settings = CheckSettings(base_width=256, depth=2, steps=10, seeds=(0,), base=PAPER)
    flat = coordinate_check(gpt, TOKENS, widths=(512,), densities=(1, 1 / 2, 1 / 4, 1 / 8, 1 / 16), settings=settings)
    others = coordinate_check(
        gpt, TOKENS, widths=(512,), densities=(1, 1 / 4, 1 / 16), rules=("mup", "sp"), settings=settings
    )
    return judge_check(pd.concat([flat, others]), axis="density")


@pytest.mark.slow
def test_supar_is_flat_in_density_at_the_first_forward_pass_and_after_ten_steps(over_density):
    for kind in ("activation", "gradient", "input_gradient"):
        assert slope_of(over_density, "supar", kind, 0).abs().max() <= 0.05
        assert slope_of(over_density, "supar", kind, 10).abs().max() <= 0.35
    assert slope_of(over_density, "supar", "update", 0).abs().max() <= 0.35
    assert over_density.by_rule["supar"]
    assert "supar passes over density" in over_density.sentence


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["mup", "sp"])
def test_mup_and_sp_are_not(over_density, rule):
    """A branch has two sparse matrices, each of which loses √ρ: a slope of 1, in both directions."""
    assert slope_of(over_density, rule, "activation", 0)[BRANCHES].min() > 0.9
    assert slope_of(over_density, rule, "activation", 10)[BRANCHES].min() > 0.9
    # What a branch sends back, over what it was sent (which itself shrinks where the stream grows, behind the norm).
    sent, back = slope_of(over_density, rule, "gradient", 0), slope_of(over_density, rule, "input_gradient", 0)
    assert back["blocks.*.ffn.up"] - sent["blocks.*.ffn"] > 0.9
    assert back["blocks.*.attention.value"] - sent["blocks.*.attention"] > 0.9
    assert not over_density.by_rule[rule]
    assert f"{rule} fails over density" in over_density.sentence


@pytest.mark.slow
def test_adam_updates_of_weights_are_the_lr(over_density):
    """±η/(mρ) at SμPar, so slope −1 in ρ; the same at every density at μP."""
    assert slope_of(over_density, "supar", "weight_update", 0)["blocks.*.ffn.up"] == pytest.approx(-1, abs=0.02)
    assert slope_of(over_density, "mup", "weight_update", 0)["blocks.*.ffn.up"] == pytest.approx(0, abs=0.02)


@pytest.mark.slow
def test_mup_is_flat_in_width_and_sp_is_not():
    settings = CheckSettings(base_width=128, depth=1, steps=3, seeds=(0,), base=PAPER)
    frame = coordinate_check(gpt, TOKENS, widths=(128, 256, 512, 1024), rules=("mup", "sp"), settings=settings)
    verdict = judge_check(frame, axis="width", first_tolerance=0.1)
    assert verdict.by_rule == {"mup": True, "sp": False}, verdict.sentence
    assert slope_of(verdict, "mup", "activation", 0)[BRANCHES].abs().max() < 0.1
    assert slope_of(verdict, "sp", "activation", 0)[BRANCHES].min() > 0.9  # two matrices, each gains √m
    assert slope_of(verdict, "sp", "update", 0)["blocks.*.ffn.down"] > 0.9


# --- as a gate: seconds


mlp = partial(MLP, vocab_size=64)
QUICK = CheckSettings(base_width=32, depth=1, steps=3, seeds=(0, 1), base=PAPER)


def test_assert_coordinates_for_a_model_of_ones_own():
    check = partial(assert_coordinates, mlp, TOKENS, widths=(64,), densities=(1, 1 / 4, 1 / 8), settings=QUICK)
    assert check(axis="density").passed
    with pytest.raises(
        AssertionError, match=r"sp fails over density: \d+ of \d+ beyond tolerance, worst is the .* at step"
    ):
        check(axis="density", rule="sp")


@pytest.mark.parametrize("sparsity", [SparsitySpec(kind="row"), SparsitySpec(distribution="erk")])
def test_other_masks(sparsity):
    settings = CheckSettings(base_width=32, depth=1, steps=1, seeds=(0, 1), base=PAPER, sparsity=sparsity)
    frame = coordinate_check(mlp, TOKENS, widths=(64,), densities=(1, 1 / 4, 1 / 8), settings=settings)
    assert judge_check(frame).passed


def test_the_frame_is_tidy_and_repeatable():
    settings = CheckSettings(base_width=32, depth=1, steps=1, seeds=(3,))
    frame = coordinate_check(mlp, TOKENS, widths=(32, 64), settings=settings)
    assert list(frame) == ["rule", "width", "density", "seed", "step", "module", "kind", "value", "features", "role"]
    assert set(frame.kind) == {"activation", "gradient", "input_gradient", "update", "weight_update"}
    assert set(frame.step) == {0, 1}
    assert set(frame[frame.role == "residual"].module) == {"blocks.0.down"}
    assert {"(model)", "blocks.0", "norm", "readout"} <= set(frame.module)
    torch.manual_seed(8)
    assert frame.equals(coordinate_check(mlp, TOKENS, widths=(32, 64), settings=settings))


def test_a_recorded_size_by_hand():
    settings = CheckSettings(
        base_width=32,
        depth=1,
        steps=1,
        seeds=(0,),
        base=BaseHPs(lr=0.01, weight_decay=0.0),
        training=TrainingSpec(eps=1e-20),
    )
    frame = coordinate_check(mlp, TOKENS, widths=(32,), settings=settings).set_index(["module", "kind", "step"]).value
    assert frame["embed", "activation", 0] == pytest.approx(0.05 * (2 / np.pi) ** 0.5, rel=0.1)  # E|N(0, σ)|
    assert frame["blocks.0.up", "weight_update", 0] == pytest.approx(0.01, rel=0.01)  # Adam's first update is ±η
    assert frame["norm", "activation", 0] == pytest.approx((2 / np.pi) ** 0.5, rel=0.05)


# --- the judge, on made-up sizes


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
    assert verdict.sentence.endswith("Left out: density 0.125, with fewer than 9 weights a neuron.")
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


def test_a_model_that_was_measured_is_let_go():
    """Hooks on the graph know the recorder; were it to keep the graph, every model of a check would stay in memory."""
    alive = weakref.WeakSet()

    def watched(**options):
        model = gpt(**options)
        alive.update(model.modules())
        alive.update(model.parameters())
        return model

    settings = CheckSettings(depth=1, steps=2, seeds=(0,))
    coordinate_check(watched, TOKENS, widths=(32, 64), densities=(1, 1 / 4), settings=settings)
    gc.collect()
    assert not alive


def test_a_masked_model_goes_with_its_last_reference():
    """No ring of hook, module and parameter keeps it until a collection."""
    gc.collect()
    gc.disable()
    try:
        scaled = parametrize(gpt, width=32, base_width=32, density=1 / 4, depth=1)
        watched = weakref.ref(scaled.model.get_parameter("blocks.0.ffn.up.weight"))
        del scaled
        assert watched() is None
    finally:
        gc.enable()


def test_dropout_does_not_pass_for_an_update():
    class Dropping(MLP):
        def forward(self, tokens):
            return torch.nn.functional.dropout(super().forward(tokens), 0.5, self.training)

    def check():
        settings = CheckSettings(depth=1, steps=1, seeds=(0,))
        return coordinate_check(partial(Dropping, vocab_size=64), TOKENS, widths=(16, 32), settings=settings)

    pd.testing.assert_frame_equal(check(), check())
