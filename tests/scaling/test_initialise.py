"""Initial values: common random numbers, scaled and masked."""

from dataclasses import replace

import pytest
import torch
from scale_rows import rows

from hptransfer.scaling.initialise import initial_tensor
from hptransfer.study.pieces import SparsitySpec

UP = "blocks.0.ffn.up.weight"


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
