"""A linear layer that holds its non-zeros alone."""

from __future__ import annotations

import pytest
import torch
from sparse_problem import problem
from torch import Tensor
from torch.func import functional_call, grad_and_value

from hptransfer.sparsity.indices import prepare_indices
from hptransfer.sparsity.linear import SparseLinear, index_buffers, values_of
from hptransfer.sparsity.masks import make_mask


def error(pair: tuple[Tensor, Tensor]) -> float:
    found, wanted = (t.detach().double() for t in pair)
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.slow
def test_one_compiled_step_of_torch_func_holds_the_layer_as_data():
    """fullgraph, functional_call, autocast; the second mask runs through the program compiled for the first."""
    layer = SparseLinear(torch.nn.Linear(20, 12), 60)
    compiled = 0

    def backend(graph, inputs):
        nonlocal compiled
        compiled += 1
        from torch._inductor.compile_fx import compile_fx

        return compile_fx(graph, inputs)

    def loss(params, buffers, x):
        with torch.autocast("cpu", torch.bfloat16):
            y = functional_call(layer, {**params, **buffers}, (x,))
        return y.float().square().mean()

    step = torch.compile(lambda *args: grad_and_value(loss)(*args), fullgraph=True, backend=backend)
    x = torch.randn(8, 20)
    for seed in range(2):
        mask = make_mask((12, 20), 60, seed=seed, name="w")
        dense = torch.randn(12, 20) * mask
        params = {"weight": values_of(dense, mask), "bias": torch.randn(12)}
        grads, value = step(params, index_buffers("weight", mask), x)
        wanted, wanted_value = grad_and_value(
            lambda w, b, m=mask: (x.bfloat16() @ (w * m).bfloat16().t() + b.bfloat16()).float().square().mean(), (0, 1)
        )(dense, params["bias"])
        assert abs(value - wanted_value) < 2**-7 * wanted_value
        assert error((grads["weight"], wanted[0][mask])) < 2**-7
        assert error((grads["bias"], wanted[1])) < 2**-7
    assert compiled == 1


def test_values_and_indices_hold_all_of_a_masked_matrix():
    mask, dense, _, _ = problem(37, 53, 1)
    indices = prepare_indices(mask)
    row = torch.repeat_interleave(indices.crow.diff().long())
    again = torch.zeros_like(dense).index_put((row, indices.col.long()), values_of(dense, mask))
    assert torch.equal(again, dense)
