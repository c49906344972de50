"""The coordinate check tells SμPar from the rules that ignore density, and μP from the one that ignores width."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch

from hptransfer.scaling.check.measure import CheckSettings, assert_coordinates, coordinate_check, judge_check
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP

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
    settings = CheckSettings(base_width=256, depth=2, steps=10, seeds=(0, 1, 2), base=PAPER)
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
    assert slope_of(over_density, "supar", "aligned_update", 0).abs().max() <= 0.05
    assert over_density.by_rule["supar"] == "PASS"
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
    assert over_density.by_rule[rule] == "FAIL"
    assert f"{rule} fails over density" in over_density.sentence


@pytest.mark.slow
def test_adam_updates_of_weights_are_the_lr(over_density):
    """±η/(mρ) at SμPar, so slope −1 in ρ; the same at every density at μP."""
    assert slope_of(over_density, "supar", "weight_update", 0)["blocks.*.ffn.up"] == pytest.approx(-1, abs=0.02)
    assert slope_of(over_density, "mup", "weight_update", 0)["blocks.*.ffn.up"] == pytest.approx(0, abs=0.02)


@pytest.mark.slow
def test_mup_is_flat_in_width_and_sp_is_not():
    settings = CheckSettings(base_width=128, depth=1, steps=3, seeds=(0, 1, 2, 3), base=PAPER)
    frame = coordinate_check(gpt, TOKENS, widths=(128, 256, 512), rules=("mup", "sp"), settings=settings)
    verdict = judge_check(frame, axis="width")
    assert verdict.by_rule == {"mup": "PASS", "sp": "FAIL"}, verdict.sentence
    assert slope_of(verdict, "mup", "activation", 0)[BRANCHES].abs().max() < 0.1
    assert slope_of(verdict, "sp", "activation", 0)[BRANCHES].min() > 0.9  # two matrices, each gains √m
    assert slope_of(verdict, "sp", "aligned_update", 0)["blocks.*.ffn.down"] > 0.9


# --- as a gate: seconds


mlp = partial(MLP, vocab_size=64)
QUICK = CheckSettings(base_width=32, depth=1, steps=3, base=PAPER)


def test_assert_coordinates_for_a_model_of_ones_own():
    check = partial(assert_coordinates, mlp, TOKENS, widths=(64,), densities=(1, 1 / 4, 1 / 8), settings=QUICK)
    assert check(axis="density").passed
    with pytest.raises(
        AssertionError, match=r"sp fails over density: \d+ of \d+ beyond tolerance, worst is the .* at step"
    ):
        check(axis="density", rule="sp")


def test_assert_coordinates_adds_seeds_up_to_its_cap_and_what_is_open_then_is_no_pass():
    """One seed has no interval; two of a model this small have a wide one."""
    check = partial(assert_coordinates, mlp, TOKENS, axis="density", widths=(64,), densities=(1, 1 / 4, 1 / 8))
    few = replace(QUICK, steps=1, seeds=(0,))
    with pytest.raises(AssertionError, match=r"supar is INCONCLUSIVE over density, which is no pass: .* after 1 seed,"):
        check(settings=replace(few, max_seeds=1))
    found = check(settings=few)
    assert found.passed
    assert found.slopes.seeds.max() > 1


@pytest.mark.parametrize("sparsity", [SparsitySpec(kind="row"), SparsitySpec(distribution="erk")])
def test_other_masks(sparsity):
    settings = CheckSettings(base_width=32, depth=1, steps=1, seeds=tuple(range(8)), base=PAPER, sparsity=sparsity)
    frame = coordinate_check(mlp, TOKENS, widths=(64,), densities=(1, 1 / 4, 1 / 8), settings=settings)
    assert judge_check(frame).passed, judge_check(frame).sentence


def test_the_frame_is_tidy_and_repeatable():
    settings = CheckSettings(base_width=32, depth=1, steps=1, seeds=(3,))
    frame = coordinate_check(mlp, TOKENS, widths=(32, 64), settings=settings)
    where = ["rule", "width", "density", "seed", "step"]
    assert list(frame) == [*where, "module", "kind", "value", "features", "role", "scores", "around"]
    kinds = {"activation", "gradient", "input_gradient", "update", "aligned_update", "weight_update"}
    assert set(frame.kind) == kinds
    assert set(frame.step) == {0, 1}
    assert set(frame[frame.role == "residual"].module) == {"blocks.0.down"}
    assert {"(model)", "blocks.0", "norm", "readout"} <= set(frame.module)
    torch.manual_seed(8)
    assert frame.equals(coordinate_check(mlp, TOKENS, widths=(32, 64), settings=settings))


def test_vectors_in_a_block_are_no_more_of_a_matrix_than_others():
    settings = CheckSettings(base_width=32, depth=1, steps=1, seeds=(0,))
    frame = coordinate_check(mlp, TOKENS, widths=(32, 64), rules=("mup", "completep"), settings=settings)
    mup, completep = (frame[frame.rule == rule].reset_index(drop=True) for rule in ("mup", "completep"))
    assert set(completep.role) == {"", "embedding", "hidden", "residual", "readout"}
    assert completep[["module", "kind", "role"]].equals(mup[["module", "kind", "role"]])
