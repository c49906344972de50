"""Initial values: common random numbers, scaled and masked."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from hptransfer.scaling.initialise import initial_tensor
from hptransfer.scaling.rules import get_rule
from hptransfer.scaling.table import scale_table
from hptransfer.scaling.target import Target
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.gpt import GPT

UP = "blocks.0.ffn.up.weight"


gpt = partial(GPT, head_size=16, vocab_size=32, context=16, bias=True)


BASE = BaseHPs(lr=2.0**-7, init_std=0.08, alpha_input=3.0, alpha_output=2.0, weight_decay=0.1)


def rows(width=128, rule="supar", density=1.0, *, build=gpt, base_width=32, depth=2, **settings):
    target = Target(
        build=build,
        width=width,
        base_width=base_width,
        rule=get_rule(rule) if isinstance(rule, str) else rule,
        depth=depth,
        base_depth=2,
        density=density,
        base=BASE,
        **settings,
    )
    return {scale.name: scale for scale in scale_table(target)}


def test_at_base_and_dense_the_tensors_themselves_are_equal_bit_for_bit():
    mup, supar = rows(32, "mup"), rows(32, "supar")
    for name in mup:
        a, b = (initial_tensor(t[name], 5, SparsitySpec())[0] for t in (mup, supar))
        assert torch.equal(a, b)


def test_two_of_four():
    scale = rows(density=0.5, sparsity=SparsitySpec(kind="2:4"))[UP]
    value, mask = initial_tensor(scale, 0, SparsitySpec(kind="2:4"))
    assert mask is not None
    assert mask.view(-1, 4).sum(1).unique().tolist() == [2]
    assert float(value[mask].std()) == pytest.approx(scale.init_std, rel=0.02)


def test_initial_values_share_their_random_numbers():
    """Another rule, LR or density scales or hides the same normal numbers."""
    dense, sparse = rows(128, "mup")[UP], rows(128, "supar", density=0.25)[UP]
    full, _ = initial_tensor(dense, 1, SparsitySpec())
    part, mask = initial_tensor(sparse, 1, SparsitySpec())
    assert mask is not None
    assert torch.allclose(part[mask], 2 * full[mask])
    assert int(mask.sum()) == sparse.nonzeros


def test_what_the_factory_built_must_be_taken_from_the_model():
    scale = replace(rows()[UP], init="built")
    with pytest.raises(ValueError, match="keeps the value the factory built"):
        initial_tensor(scale, 0, SparsitySpec())
