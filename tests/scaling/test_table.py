"""Exponents become numbers, tensor by tensor."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from scale_rows import BASE, gpt, rows

from hptransfer.common.errors import InputError
from hptransfer.scaling.multipliers import multiplier_buffers
from hptransfer.scaling.rules import rule_from_table
from hptransfer.scaling.table import expected_empty_rows
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.gpt import GPT

UP, OUT = "blocks.0.ffn.up.weight", "blocks.0.attention.out.weight"


def numbers(scale):
    """What a trainer uses, without the words."""
    return replace(scale, source="")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_at_the_base_supar_is_mup_and_mup_is_sp_in_every_tensor_and_number(optimizer):
    sp, mup, supar = (rows(32, rule, optimizer=optimizer) for rule in ("sp", "mup", "supar"))
    for name in sp:
        assert numbers(sp[name]) == numbers(mup[name]) == numbers(supar[name])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_dense_supar_is_mup_at_every_width(optimizer):
    mup, supar = (rows(128, rule, optimizer=optimizer) for rule in ("mup", "supar"))
    assert {n: numbers(s) for n, s in mup.items()} == {n: numbers(s) for n, s in supar.items()}


def test_at_fixed_width_times_density_mup_and_supar_agree():
    narrow, sparse = rows(64, "mup"), rows(256, "supar", density=0.25)
    for name, scale in narrow.items():
        if scale.role in ("hidden", "residual"):
            assert sparse[name].init_std == pytest.approx(scale.init_std, rel=1e-12)
            assert sparse[name].lr == pytest.approx(scale.lr, rel=1e-12)


def test_supar_by_hand():
    """m = 4, ρ = 1/16: m·ρ = 1/4, so the init doubles and the LR is fourfold."""
    table = rows(128, density=1 / 16)
    assert table[UP].init_std == pytest.approx(0.08 * 2)
    assert table[UP].lr == pytest.approx(2.0**-7 * 4)
    assert table[UP].eps == pytest.approx(1e-8 / 4)
    assert table[OUT].init_std == pytest.approx(0.08 * 2 / 2)  # and 1/√(2·2 blocks)
    assert table["embed.weight"].init_std == table["readout.weight"].init_std == 0.08
    assert table["embed.weight"].lr == table["readout.weight"].lr == table["norm.weight"].lr == 2.0**-7
    assert table["embed.weight"].multiplier == 3.0
    assert table["readout.weight"].multiplier == pytest.approx(2.0 / 4)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(
    ("name", "role"), [("lr_embedding", "embedding"), ("lr_readout", "readout"), ("lr_vector", "vector")]
)
def test_a_roles_lr_multiplier_moves_the_lr_of_its_tensors_and_nothing_else(name, role, optimizer):
    plain = rows(density=1 / 4, optimizer=optimizer)
    tuned = rows(density=1 / 4, optimizer=optimizer, base=BASE.model_copy(update={name: 8.0}))
    assert any(scale.role == role for scale in plain.values())
    for tensor, scale in plain.items():
        factor = 8 if scale.role == role else 1
        assert (tuned[tensor].lr, tuned[tensor].lr_scale) == (scale.lr * factor, scale.lr_scale * factor)
        assert numbers(tuned[tensor]) == replace(numbers(scale), lr=scale.lr * factor, lr_scale=scale.lr_scale * factor)
        assert (f"times {name} 8" in tuned[tensor].source) == (factor == 8)


def test_vectors_inside_a_block_are_vectors_to_their_multiplier():
    plain = rows(rule="completep", depth=4)
    tuned = rows(rule="completep", depth=4, base=BASE.model_copy(update={"lr_vector": 8.0}))
    inside = {name for name, scale in plain.items() if scale.role == "block_vector"}
    assert inside
    assert all(tuned[name].lr == 8 * plain[name].lr for name in inside)


def test_a_shared_table_has_the_embeddings_lr():
    base = BASE.model_copy(update={"lr_embedding": 8.0, "lr_readout": 2.0})
    tied = rows(build=partial(GPT, head_size=16, vocab_size=32, context=16, tied=True), base=base)
    assert tied["embed.weight"].lr_scale == 8


def test_the_half_corrections():
    init, lr = rows(density=1 / 16, rule="supar_init_only"), rows(density=1 / 16, rule="supar_lr_only")
    assert (init[UP].init_std, init[UP].lr) == (pytest.approx(0.16), pytest.approx(2.0**-9))
    assert (lr[UP].init_std, lr[UP].lr) == (pytest.approx(0.04), pytest.approx(2.0**-5))


def test_sp_sees_neither_width_nor_density():
    table = rows(128, "sp", density=1 / 16)
    assert {s.lr for s in table.values()} == {2.0**-7}
    assert {s.init_std for s in table.values() if s.role == "hidden"} == {0.08}
    assert table["readout.weight"].multiplier == 2.0


def test_fan_in_is_each_tensors_own():
    """8/3 rounded to whole numbers does not grow exactly as the width does; `down` follows its own inputs."""
    table = rows(64, "mup", build=partial(gpt, activation="swiglu"))
    inside, base_inside = 8 * 22, 8 * 11
    assert table["blocks.0.ffn.down.weight"].fan_in == inside
    assert table["blocks.0.ffn.down.weight"].lr_scale == base_inside / inside
    odd = rows(80, "mup", build=partial(gpt, activation="swiglu"))["blocks.0.ffn.down.weight"]
    assert odd.lr_scale == pytest.approx(88 / (8 * 27))


def test_independent_decay_holds_lr_times_decay_and_coupled_does_not():
    held, coupled = rows(density=1 / 16), rows(density=1 / 16, decay="coupled")
    for scale in held.values():
        assert scale.lr * scale.weight_decay == pytest.approx(0.0 if scale.role == "vector" else 2.0**-7 * 0.1)
    assert coupled[UP].weight_decay == 0.1
    assert "independent" in held[UP].source
    assert "coupled" in coupled[UP].source


def test_density_is_the_realised_one():
    """width 48: 48² · 1/1000 = 2.3 weights round to 2, and the rule must see 2/2304."""
    scale = rows(48, density=1 / 1000, base_width=48)["blocks.0.attention.query.weight"]
    assert (scale.nonzeros, scale.density) == (2, 2 / 48**2)
    assert scale.init_std == pytest.approx(0.08 / (2 / 48**2) ** 0.5)


def test_only_hidden_matrices_are_sparse_unless_said():
    assert {s.role for s in rows(density=0.25).values() if s.density < 1} == {"hidden", "residual"}
    chosen = rows(density=0.25, sparsity=SparsitySpec(layers=("*.ffn.*.weight",), dense=("blocks.1.*",)))
    assert [n for n, s in chosen.items() if s.density < 1] == ["blocks.0.ffn.up.weight", "blocks.0.ffn.down.weight"]
    with pytest.raises(InputError, match=r"no parameter has such a name; found 'blok\*'"):
        rows(density=0.25, sparsity=SparsitySpec(dense=("blok*",)))


def test_erk_densities_reach_the_rule_layer_by_layer():
    table = rows(128, density=0.25, sparsity=SparsitySpec(distribution="erk"))
    attention, ffn = table["blocks.0.attention.query.weight"], table[UP]
    assert attention.density > 0.25 > ffn.density
    assert ffn.lr_scale == pytest.approx(1 / (4 * ffn.density))
    sparse = [s for s in table.values() if s.role in ("hidden", "residual")]
    total = sum(s.nonzeros for s in sparse) / sum(s.shape[0] * s.shape[1] for s in sparse)
    assert total == pytest.approx(0.25, rel=1e-3)
    with pytest.raises(InputError, match="one density for all layers"):
        rows(density=0.5, sparsity=SparsitySpec(kind="2:4", distribution="erk"))


def test_depth_column():
    table = rows(32, "completep", depth=8)
    assert table[OUT].multiplier == pytest.approx(1 / 4)
    assert table[OUT].init_std == pytest.approx(0.08)  # no 1/√(2L)
    assert table[OUT].eps == pytest.approx(1e-8 / 4)
    assert rows(32, "mup", depth=8)[OUT].init_std == pytest.approx(0.08 / 4)


def test_a_rule_of_ones_own():
    rule = rule_from_table("mine", {"adamw": {"hidden": {"lr": {"width": "-1/2"}, "weight_decay": {"width": 1}}}})
    scale = rows(128, rule, decay="coupled")[UP]
    assert scale.lr_scale == pytest.approx(0.5)
    assert scale.weight_decay == pytest.approx(0.4)


def test_a_tied_readout_has_its_multiplier_and_no_row_of_its_own():
    table = rows(128, build=partial(gpt, tied=True))
    assert "readout.weight" not in table
    assert table["embed.weight"].multiplier == 3.0
    (use,) = table["embed.weight"].tied
    assert (use.name, use.multiplier, use.multiplier_at) == ("readout.weight", pytest.approx(2.0 / 4), "input")


def test_a_table_shared_under_the_readouts_name_is_an_embedding_still():
    def build(width, depth=1):
        model = torch.nn.Module()
        model.readout = torch.nn.Linear(width, 64, bias=False)  # registered before the embedding
        model.embed = torch.nn.Embedding(64, width)
        model.hidden = torch.nn.Linear(width, width)
        model.readout.weight = model.embed.weight
        return model

    table = rows(128, build=build, queries=())
    assert table["readout.weight"].role == "embedding"
    assert table["readout.weight"].multiplier_buffer.startswith("embed.")
    assert table["readout.weight"].tied[0].multiplier == pytest.approx(2.0 / 4)


@pytest.mark.parametrize("tied", [True, False])
def test_the_places_of_multipliers_do_not_depend_on_the_rule(tied):
    places = [
        list(multiplier_buffers(tuple(rows(128, r, build=partial(gpt, tied=tied)).values())))
        for r in ("sp", "completep")
    ]
    assert places[0] == places[1]
    assert len(places[0]) == 2 + 4 + 1  # two embeddings, four residual branches, the readout


def test_growing_heads_scale_attention_as_one_over_d_agreeing_at_the_base():
    build = partial(GPT, heads=4, vocab_size=32, context=16)
    query = "blocks.0.attention.query.weight"
    assert rows(128, "mup", build=build)[query].multiplier == pytest.approx((8 / 32) ** 0.5)
    assert rows(128, "sp", build=build)[query].multiplier == 1.0
    assert rows(32, "mup", build=build)[query].multiplier_buffer == ""
    assert rows(128, "mup", build=partial(build, base_head_size=8))[query].multiplier_buffer == ""


def test_expected_empty_rows():
    scale = rows(128, density=1 / 128)[UP]
    assert expected_empty_rows(scale, "random") == pytest.approx(512 * (127 / 128) ** 128)
    assert expected_empty_rows(scale, "row") == 0


def test_a_table_is_remembered_for_the_roles_it_was_asked_with():
    """A caller's own dict may change, and the first pattern that matches counts."""
    roles = {"*.up.weight": "residual"}
    assert rows(roles=roles)[UP].role == "residual"
    roles["*.up.weight"] = "hidden"
    assert rows(roles=roles)[UP].role == "hidden"
    ordered = {"*.up.weight": "residual", "*.ffn.*.weight": "hidden"}
    assert rows(roles=ordered)[UP].role == "residual"
    assert rows(roles=dict(reversed(ordered.items())))[UP].role == "hidden"
