"""CompleteP and Complete(d)P, every number from the formula: LR, LR × decay, ε, init std, multiplier of each role.

Dey et al. 2025 (2505.01618) and Mlodozeniec et al. 2025 (2512.22382), at twice the width and four times the depth.
"""

from __future__ import annotations

from functools import partial

import pytest
from scale_rows import BASE, rows

from hptransfer.common.errors import InputError
from hptransfer.scaling.rules import Exponents, Rule, get_rule, rule_from_table
from hptransfer.tasks.models.gpt import GPT

M, M_L = 2.0, 4.0
EPS = 1e-8
NAMED = {1.0: "completep", 0.5: "completep_half"}
gpt = partial(GPT, head_size=16, vocab_size=32, context=16, bias=True, qk_norm=True)
table = partial(rows, 64, base_width=32, depth=8, build=gpt)  # `rows` has a base depth of 2


def by_formula(alpha: float) -> dict[str, tuple[float, ...]]:
    """By tensor: LR, torch's λ beside it, ε, init std (0 where it is not drawn), multiplier, over the base's own.

    The readout's 1/m stands before it and not in its init and LR, so its gradient and ε are those of width 1/m.
    """
    lr = M_L ** (alpha - 1)
    eps = M_L**-alpha / M
    hidden = (lr / M, M, eps, M**-0.5, 1.0)
    in_block = (lr, 0.0, eps, 0.0, 1.0)
    outside = (1.0, 0.0, 1 / M, 0.0, 1.0)
    return {
        "embed.weight": (1.0, 1.0, 1 / M, 1.0, 1.0),
        "blocks.0.attention.query.weight": hidden,
        "blocks.7.ffn.up.weight": hidden,
        "blocks.7.ffn.down.weight": (*hidden[:4], M_L**-alpha),
        "blocks.0.attention.out.weight": (*hidden[:4], M_L**-alpha),
        "blocks.0.norm_ffn.weight": in_block,
        "blocks.7.norm_attention.bias": in_block,
        "blocks.0.attention.out.bias": in_block,
        "blocks.0.ffn.up.bias": in_block,
        "blocks.0.attention.query_norm.weight": (lr, 0.0, M_L**-alpha, 0.0, 1.0),
        "blocks.7.attention.key_norm.weight": (lr, 0.0, M_L**-alpha, 0.0, 1.0),
        "norm.weight": outside,
        "norm.bias": outside,
        "readout.weight": (1.0, 1.0, 1 / M, 1.0, 1 / M),
    }


@pytest.mark.parametrize("alpha", NAMED)
def test_every_role_by_the_formulas(alpha: float) -> None:
    found = table(rule=NAMED[alpha])
    alphas = {"embed.weight": BASE.alpha_input, "readout.weight": BASE.alpha_output}
    for name, (lr, decay, eps, init, multiplier) in by_formula(alpha).items():
        row = found[name]
        told = (row.lr, row.weight_decay, row.eps, row.init_std, row.multiplier)
        factors = (lr * BASE.lr, decay * BASE.weight_decay, eps * EPS, init * BASE.init_std)
        assert told == pytest.approx((*factors, multiplier * alphas.get(name, 1.0)), rel=1e-12), name


def test_lr_times_decay_shrinks_with_the_lr_of_depth_alone() -> None:
    """λ·m beside η·m⁻¹·m_L^(α−1): the width cancels, the depth stays."""
    row = table(rule="completep_half")["blocks.0.ffn.up.weight"]
    assert row.lr * row.weight_decay == pytest.approx(BASE.lr * BASE.weight_decay * M_L**-0.5)
    assert "independent (lr x decay as at the base), depth^-1/2" in row.source


def test_a_qk_gain_that_grows_is_as_any_gain_in_a_block() -> None:
    """Two heads that grow: each entry of the gain belongs to few heads, and its gradient is ∝ 1/m."""
    growing = partial(GPT, heads=2, vocab_size=32, context=16, qk_norm=True)
    row = table(rule="completep", build=growing)["blocks.0.attention.query_norm.weight"]
    assert row.eps == pytest.approx(EPS / (M * M_L))


@pytest.mark.parametrize("rule", NAMED.values())
def test_at_the_base_depth_it_is_mup_without_the_init_of_gpt2(rule: str) -> None:
    at_base = partial(rows, 64, base_width=32, depth=2, build=gpt)
    mup = at_base(rule_from_table("plain", {"like": "mup", "residual_init": "none"}))
    for name, row in at_base(rule).items():
        for number in ("lr", "weight_decay", "eps", "init_std", "multiplier"):
            assert getattr(row, number) == getattr(mup[name], number), (name, number)


def test_only_a_rule_that_tells_them_apart_shows_them_apart() -> None:
    name = "blocks.0.norm_ffn.weight"
    assert table(rule="completep")[name].role == "block_vector"
    assert table(rule="supar")[name].role == "vector"
    said = table(rule="mup", roles={"blocks.*.norm_ffn.weight": "block_vector"})[name]
    assert (said.role, said.lr, said.weight_decay, said.eps) == ("block_vector", BASE.lr, 0.0, EPS / M)


def test_the_head_size_of_normed_queries_acts_behind_the_norm() -> None:
    """A factor on what is normed would be lost; behind the norm the logits get √½ at twice the head size."""
    build = partial(GPT, heads=2, vocab_size=32, context=16, qk_norm=True)
    found = rows(64, "mup", build=build, base_width=32)
    assert found["blocks.0.attention.query.weight"].multiplier_buffer == ""
    gain = found["blocks.0.attention.query_norm.weight"]
    assert gain.multiplier == pytest.approx(0.5**0.5)
    assert gain.multiplier_buffer == "blocks.0.attention.query_norm.hpt_multiplier_output"


# --- α


@pytest.mark.parametrize("alpha", NAMED)
def test_alpha_of_a_table_of_ones_own(alpha: float) -> None:
    assert rule_from_table("mine", {"like": "completep", "alpha": alpha}) == Rule(
        "mine", get_rule(NAMED[alpha]).tables, Exponents(width=-0.5), "none"
    )
    assert rule_from_table("mine", {"like": "completep", "alpha": alpha}).digest() == get_rule(NAMED[alpha]).digest()


def test_alpha_between_and_beside_cells_of_ones_own() -> None:
    hidden = {"lr": {"width": -1, "density": -1}}
    mine = rule_from_table("mine", {"like": "completep", "alpha": "3/4", "adamw": {"hidden": hidden}})
    assert mine.cell("adamw", "hidden", "lr") == Exponents(width=-1, density=-1)
    assert mine.cell("adamw", "residual", "multiplier") == Exponents(depth=-0.75)
    assert mine.cell("adamw", "block_vector", "lr") == Exponents(depth=-0.25)
    assert rule_from_table("mine", mine.to_table()) == mine  # α is in the numbers, and the table needs no word of it


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"like": "mup", "alpha": 1}, r"rules\.mine\.alpha: only CompleteP has an alpha; found 'like: mup'"),
        ({"adamw": {}, "alpha": 1}, r"rules\.mine\.alpha: only CompleteP has an alpha"),
        ({"like": "completep", "alpha": 0.4}, r"rules\.mine\.alpha: no such alpha; found 0\.4; allowed: from 1/2 to 1"),
        ({"like": "completep", "alpha": "half"}, r"rules\.mine\.alpha: no such alpha; found 'half'"),
        ({"like": "completep", "alpha": True}, r"rules\.mine\.alpha: no such alpha"),
        ({"like": "completep", "alpha": float("nan")}, r"rules\.mine\.alpha: no such alpha"),
        ({"like": "completep", "alpha": {}}, r"rules\.mine\.alpha: no such alpha"),
    ],
)
def test_a_bad_alpha_is_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rule_from_table("mine", asked)


# --- what a table says of vectors in a block


def test_a_table_that_is_silent_or_says_the_same_tells_no_blocks() -> None:
    vector = {"lr": {"width_out": 1}}
    silent = rule_from_table("mine", {"adamw": {"vector": vector}})
    same = rule_from_table("mine", {"adamw": {"vector": vector, "block_vector": vector}})
    assert silent.cell("adamw", "block_vector", "lr") == Exponents(width_out=1)
    assert not same.tells_blocks("adamw")
    assert (same, same.digest()) == (silent, silent.digest())


def test_a_block_vector_that_stands_still_is_another_rule() -> None:
    vector = {"lr": {"width_out": 1}}
    still = rule_from_table("mine", {"adamw": {"vector": vector, "block_vector": {}}})
    assert still.cell("adamw", "block_vector", "lr") == Exponents()
    assert still.tells_blocks("adamw")
    assert still.digest() != rule_from_table("mine", {"adamw": {"vector": vector}}).digest()
    assert rule_from_table("mine", still.to_table()) == still


def test_a_rule_that_tells_blocks_asks_for_the_depth() -> None:
    still = rule_from_table("mine", {"adamw": {"vector": {"lr": {"width_out": 1}}, "block_vector": {}}})
    with pytest.raises(InputError, match="the rule 'mine' scales with depth"):
        rows(64, still, depth=None)
