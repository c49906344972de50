"""A rule on a user's own model: the real numbers, and what must survive."""

from functools import partial

import pytest
import torch
from small_gpt import gpt, loss_of, small, zeros_hold
from torch import nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import EmptyRowWarning, parametrize, set_lr
from hptransfer.scaling.rules import get_rule
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.gpt import GPT
from hptransfer.tasks.models.mlp import MLP


@pytest.mark.parametrize("rule", ["sp", "mup", "supar"])
def test_real_init_std_within_two_percent_of_the_rule(rule):
    """Written as the rule is: σ; σ/√m; σ/√(mρ). FFN 4d, residual projections with a further 1/√(2L)."""
    for density in (1, 1 / 2, 1 / 8, 1 / 32):
        p = parametrize(
            MLP, width=512, base_width=128, depth=1, rule=rule, density=density, base=BaseHPs(init_std=0.05)
        )
        std = 0.05 * {"sp": 1, "mup": 4**-0.5, "supar": (4 * density) ** -0.5}[rule]
        for block in p.model.blocks:
            for layer, expected in ((block.up, std), (block.down, std / 2**0.5)):
                weights = layer.weight.detach()[layer.weight != 0]
                assert len(weights) == density * layer.weight.numel()
                assert float(weights.std()) == pytest.approx(expected, rel=0.02)
                assert abs(float(weights.mean())) < 0.03 * expected


@pytest.mark.parametrize("density", [1, 1 / 16])
def test_one_adam_update_moves_every_weight_by_the_rules_lr(density):
    """Adam's first update is η·g/(|g|+ε) = ±η wherever the gradient is well above ε."""
    base = BaseHPs(lr=1e-3, weight_decay=0.0)
    p = parametrize(gpt, width=128, base_width=32, depth=1, density=density, base=base, eps=1e-16)
    before = {n: w.detach().clone() for n, w in p.model.named_parameters()}
    optimizer = torch.optim.AdamW(p.param_groups)
    loss_of(p.model).backward()
    optimizer.step()
    for scale in p.table:
        if scale.role not in ("hidden", "residual", "readout"):
            continue
        expected = 1e-3 if scale.role == "readout" else 1e-3 / (4 * density)
        moved = (p.model.get_parameter(scale.name).detach() - before[scale.name]).abs()
        assert scale.lr == pytest.approx(expected)
        assert float(moved[moved > 0].median()) == pytest.approx(expected, rel=1e-3)
        assert int((moved > 0).sum()) <= scale.nonzeros


def test_eps_shrinks_with_the_gradients_it_is_compared_to():
    """Fourfold width: gradients behind a 1/m readout are a quarter in every tensor that grows, and so is ε."""
    size, eps = {}, {}
    for width in (64, 256):
        p = parametrize(gpt, width=width, base_width=64, depth=1, rule="mup", seed=1)
        loss_of(p.model).backward()
        for scale in p.table:
            gradient = float(p.model.get_parameter(scale.name).grad.abs().mean())
            size.setdefault(scale.name, []).append(gradient)
            eps.setdefault(scale.name, []).append(scale.eps)
    for name in (
        "embed.weight",
        "blocks.0.ffn.up.weight",
        "blocks.0.attention.value.weight",
        "norm.weight",
        "readout.weight",
    ):
        assert eps[name][0] / eps[name][1] == 4
        assert size[name][0] / size[name][1] == pytest.approx(4, rel=0.35)


def test_param_groups_are_named_and_a_schedule_keeps_their_scale():
    p = small()
    named = {g["name"]: g for g in p.param_groups}
    assert named["hidden+residual"]["lr_scale"] == pytest.approx(1 / (2 * 0.25))
    assert sorted(n for g in p.param_groups for n in g["tensors"]) == sorted(n for n, _ in p.model.named_parameters())
    optimizer = torch.optim.AdamW(p.param_groups)
    set_lr(optimizer, 0.5)
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == {n: 0.5 * g["lr_scale"] for n, g in named.items()}
    kept = torch.optim.lr_scheduler.LambdaLR(torch.optim.AdamW(small().param_groups), lambda step: 0.1)
    assert kept.optimizer.param_groups[-1]["lr_scale"] == named["hidden+residual"]["lr_scale"]


def test_sgd_groups_fit_torchs_sgd():
    p = small(optimizer="sgd")
    loss_of(p.model).backward()
    torch.optim.SGD(p.param_groups, momentum=0.9).step()
    assert zeros_hold(p.model)


def test_the_same_seed_gives_the_same_model_whatever_the_global_state():
    torch.manual_seed(5)
    first = small(seed=3).model
    torch.rand(3)
    second = small(seed=3).model
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_vectors_start_at_zero_and_one_or_as_built():
    class Scaled(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, width), nn.Linear(width, width), nn.LayerNorm(width))
            self.gain = nn.Parameter(torch.full((width,), 0.25))
            self.head = nn.Linear(width, 2)

    model = parametrize(Scaled, width=16, base_width=8, queries=()).model
    assert not model.layers[1].bias.any()
    assert (model.layers[2].weight == 1).all()
    assert (model.gain == 0.25).all()


def test_rows_without_weights_are_warned_of_by_name():
    with pytest.warns(EmptyRowWarning, match=r"blocks\.0\.ffn\.up\.weight \(\d+\)"):
        small(density=1 / 64)
    with pytest.warns(EmptyRowWarning) as caught:
        small(density=1 / 64)
    assert caught[0].filename == __file__


def test_equal_rows_have_none(recwarn):
    small(density=1 / 64, sparsity=SparsitySpec(kind="row"))
    assert not [w for w in recwarn if issubclass(w.category, EmptyRowWarning)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "supra"}, "unknown rule.*sp, mup, supar"),
        ({"width": 16}, "narrower than the base.*allow_narrower=True"),
        ({"density": 0.0}, "above 0, at most 1"),
        ({"sparsity": SparsitySpec(kind="2:4")}, "has density 0.5"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        small(**arguments)


def test_a_narrower_target_may_be_meant():
    p = small(width=16, allow_narrower=True, rule=get_rule("mup"))
    assert {g["lr_scale"] for g in p.param_groups} == {1.0, 2.0}


@pytest.mark.parametrize("given", [{"depth": 4}, {"base_depth": 2}], ids=["no base depth", "no depth"])
def test_a_rule_that_scales_with_depth_wants_both_depths(given):
    with pytest.raises(InputError, match="'completep' scales with depth"):
        parametrize(partial(GPT, vocab_size=32, context=16), width=64, base_width=64, rule="completep", **given)
