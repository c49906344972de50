"""The index tensors of a mask."""

from __future__ import annotations

import pytest
import torch
from sparse_problem import problem

from hptransfer.sparsity import products
from hptransfer.sparsity.indices import prepare_indices
from hptransfer.sparsity.kernel import load_kernel
from hptransfer.sparsity.linear import values_of


def test_the_indices_of_a_small_mask_can_be_read_off():
    mask = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 1, 0]], dtype=torch.bool)
    ix = prepare_indices(mask)
    assert ix.crow.tolist() == [0, 2, 2, 4]
    assert ix.col.tolist() == [1, 2, 0, 1]
    assert ix.crow_t.tolist() == [0, 1, 3, 4]
    assert ix.row_t.tolist() == [2, 0, 2, 0]
    assert ix.order.tolist() == [2, 0, 3, 1]
    assert (ix.out_features, ix.in_features, ix.nonzeros) == (3, 3, 4)
    assert all(t.dtype == torch.int32 for t in ix)


def test_indices_of_another_mask_are_refused():
    if load_kernel() is None:
        pytest.skip("no C compiler here")
    mask, dense, x, _ = problem(48, 32, 64)
    with pytest.raises(ValueError, match="do not belong"):
        products.sparse_linear(x, values_of(dense, mask)[:-1], prepare_indices(mask)._replace(col=torch.zeros(5).int()))
