"""The sparse products equal the masked dense ones, by every road they are reached."""

from __future__ import annotations

import re

import pytest
import torch
from sparse_problem import problem
from torch import Tensor
from torch._inductor.utils import run_and_get_code
from torch.func import grad_and_value, vmap

from hptransfer.sparsity import products
from hptransfer.sparsity.indices import SparseIndices, prepare_indices
from hptransfer.sparsity.kernel import load_kernel
from hptransfer.sparsity.linear import values_of
from hptransfer.sparsity.masks import make_mask

SHAPES = [(48, 32, 64), (37, 53, 70), (1, 5, 3), (130, 257, 129), (700, 1500, 40)]
"""(out, in, tokens): whole tiles, and every kind of remainder."""


@pytest.fixture(params=["kernel", "stock"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once with the C kernel, once on PyTorch's own operators."""
    if request.param == "stock":
        monkeypatch.setattr(products, "load_kernel", lambda: None)
    elif load_kernel() is None:
        pytest.skip("no C compiler here")
    return str(request.param)


def both(mask: Tensor, dense: Tensor, x: Tensor, grad: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(sparse, dense) pairs of Y, dX and dW at the non-zeros."""
    values = values_of(dense, mask).requires_grad_()
    weight = dense.clone().requires_grad_()
    xs, xd = x.clone().requires_grad_(), x.clone().requires_grad_()
    ys = products.sparse_linear(xs, values, prepare_indices(mask))
    yd = xd @ (weight * mask).to(x.dtype).t()
    ys.backward(grad)
    yd.backward(grad)
    return [(ys, yd), (xs.grad, xd.grad), (values.grad, weight.grad[mask])]


def error(pair: tuple[Tensor, Tensor]) -> float:
    found, wanted = (t.detach().double() for t in pair)
    return float((found - wanted).norm() / wanted.norm())


def test_a_product_one_can_check_by_hand(road: str):
    mask = torch.tensor([[0, 1, 1], [0, 0, 0]], dtype=torch.bool)
    y = products.sparse_linear(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([10.0, 100.0]), prepare_indices(mask))
    assert y.tolist() == [[320.0, 0.0]]


@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_equals_the_masked_dense_products(road: str, shape: tuple[int, int, int]):
    assert all(error(pair) < 1e-6 for pair in both(*problem(*shape)))


@pytest.mark.parametrize("shape", SHAPES)
def test_bf16_rounds_as_the_dense_products_do(road: str, shape: tuple[int, int, int]):
    """Inputs, values and results are rounded to bf16 (2⁻⁹ relative); the sums in between are fp32 in the kernel."""
    assert all(error(pair) < (2**-9 if road == "kernel" else 2**-7) for pair in both(*problem(*shape, torch.bfloat16)))


def test_gradients_pass_gradcheck_in_double():
    mask, dense, x, _ = problem(9, 7, 4)
    ix = prepare_indices(mask)
    values = values_of(dense, mask).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: products.sparse_linear(a, b, ix), (x.double().requires_grad_(), values)
    )


def test_torch_sparse_is_the_road_beside_the_cpu(monkeypatch: pytest.MonkeyPatch):
    """What a GPU runs, run here: CSR times dense."""
    mask, dense, x, _ = problem(37, 53, 70)
    ix = prepare_indices(mask)
    found = products.csr_matmul(ix.crow, ix.col, values_of(dense, mask), x.t())
    assert error((found.t(), x @ dense.t())) < 1e-6


def test_rows_and_columns_without_a_weight_are_zero(road: str):
    mask = torch.zeros(20, 33, dtype=torch.bool)
    mask[3, 17] = True
    y, dx, dw = both(mask, torch.full((20, 33), 2.0) * mask, torch.ones(18, 33), torch.ones(18, 20))
    assert torch.equal(y[0][:, 3], torch.full((18,), 2.0))
    assert int(y[0].count_nonzero()) == 18
    assert int(dx[0].count_nonzero()) == 18
    assert dw[0].tolist() == [18.0]


def test_nan_and_infinity_reach_the_outputs_that_use_them(road: str):
    mask = torch.eye(20, dtype=torch.bool)
    x = torch.ones(16, 20)
    x[0, 0], x[1, 1] = float("nan"), float("inf")
    for dtype in (torch.float32, torch.bfloat16):
        y = products.sparse_linear(x.to(dtype), torch.ones(20), prepare_indices(mask))
        assert y[0, 0].isnan()
        assert y[1, 1].isinf()
        assert y.isfinite().sum() == 16 * 20 - 2


def test_non_contiguous_and_batched_inputs(road: str):
    mask, dense, x, _ = problem(48, 32, 64)
    ix, values = prepare_indices(mask), values_of(dense, mask)
    turned = x.t().contiguous().t()
    y = products.sparse_linear(turned.view(4, 16, 32), values, ix)
    assert y.shape == (4, 16, 48)
    assert error((y.view(64, 48), x @ dense.t())) < 1e-6


def loss_of(values: Tensor, x: Tensor, indices: SparseIndices) -> Tensor:
    return products.sparse_linear(x, values, indices).square().mean()


def test_torch_func_and_vmap_agree_with_one_at_a_time():
    masks = [make_mask((12, 20), 60, seed=s, name="w") for s in range(2)]
    ix = [prepare_indices(m) for m in masks]
    values, x = torch.randn(2, 60), torch.randn(8, 20)
    stacked = SparseIndices(*(torch.stack(pair) for pair in zip(*ix, strict=True)))
    grads, losses = vmap(grad_and_value(loss_of), in_dims=(0, None, 0))(values, x, stacked)
    for i in range(2):
        grad, loss = grad_and_value(loss_of)(values[i], x, ix[i])
        assert torch.equal(loss, losses[i])
        assert torch.equal(grad, grads[i])


def test_a_compiled_activation_between_two_products_is_computed_once():
    """It is wanted in the forward and in the backward pass; a compiler told to keep strides computes it for each."""
    ix = prepare_indices(make_mask((64, 64), 819, seed=0, name="w"))
    ops = torch.ops.hptransfer

    def forward_and_backward(h: Tensor, values: Tensor) -> Tensor:
        inside = torch.erf(h)
        y = ops.sparse_linear(inside, values, *ix)
        return y + ops.sparse_linear_backward(y, inside, values, *ix)[0]

    arguments = torch.randn(4, 8, 64), torch.randn(ix.nonzeros)
    with torch._inductor.config.patch(force_disable_caches=True):
        found, (source,) = run_and_get_code(torch.compile(forward_and_backward), *arguments)
    assert error((found, forward_and_backward(*arguments))) < 1e-6
    forward = re.search(r"sparse_linear\.default\((\w+),", source)
    backward = re.search(r"sparse_linear_backward\.default\(\w+, (\w+),", source)
    assert forward[1] == backward[1]
