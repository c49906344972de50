"""The three products of a linear layer with a static mask, on its non-zeros alone.

`sparse_linear(x, values, indices)` is x Wᵀ where W holds `values` at the non-zeros; its gradients are dX = G W and
dW = Gᵀ X at the non-zeros. Both directions are operators that torch.compile treats as one piece (left visible, the
compiler fuses transposes into the gathers and the step slows fourfold), and both work under torch.func.

Behind the operators, by what is there: a C kernel (CPU; fp32 and bf16), else stock PyTorch: on CPU a bag of
embeddings with per-sample weights is the CSR product, elsewhere torch.sparse; dW is a sampled product.

bf16 activations follow what autocast does to a dense layer: the values are rounded to bf16, sums run in fp32, results
and the gradient of the values are rounded to bf16. So the choice of products changes the order of sums and no more.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hptransfer.sparsity.indices import SparseIndices
from hptransfer.sparsity.kernel import load_kernel

__all__ = ["sparse_linear"]

_INDICES = "Tensor crow, Tensor col, Tensor crow_t, Tensor row_t, Tensor order"
_library: Any = torch.library.Library("hptransfer", "DEF")  # type: ignore[no-untyped-call]
for _signature in (
    f"sparse_linear(Tensor x, Tensor values, {_INDICES}) -> Tensor",
    f"sparse_linear_backward(Tensor grad, Tensor x, Tensor values, {_INDICES}) -> (Tensor, Tensor)",
):
    # Any strides will do. Told to keep those it traced, the compiler copies an input that it has not stored yet, once
    # a product: an activation function would be computed in the forward pass and again in the backward pass.
    _library.define(_signature, tags=torch.Tag.flexible_layout)


def sparse_linear(x: Tensor, values: Tensor, indices: SparseIndices) -> Tensor:
    """x Wᵀ for x of shape (…, in) and the (nnz,) non-zeros of W in row-major order; NaN and infinity pass through.

    A zero of the mask never meets x: unlike the dense product, 0 × ∞ does not turn into NaN there.
    """
    y: Tensor = _apply(x, values, *indices)
    return y


def _forward(x: Tensor, values: Tensor, *index: Tensor) -> Tensor:
    ix = SparseIndices(*(i.contiguous() for i in index))
    x = x.contiguous()
    kernel = load_kernel()
    if kernel is not None and kernel.takes(x, values):
        return kernel.forward(x, values.contiguous(), ix)
    return _from_rows(matmul(ix.crow, ix.col, _as_seen(values, x), _rows(x)), x)


def _backward(grad: Tensor, x: Tensor, values: Tensor, *index: Tensor) -> tuple[Tensor, Tensor]:
    ix = SparseIndices(*(i.contiguous() for i in index))
    grad, x = grad.contiguous(), x.contiguous()
    kernel = load_kernel()
    if kernel is not None and kernel.takes(x, values):
        return kernel.backward(grad, x, values.contiguous(), ix)
    seen = _as_seen(values, x)
    dx = _from_rows(matmul(ix.crow_t, ix.row_t, seen[ix.order], _rows(grad)), x)
    return dx, _as_seen(sampled(ix, _rows(grad), _rows(x)), x).to(values.dtype)


def _rows(x: Tensor) -> Tensor:
    """(…, features) as (features, tokens)."""
    return x.reshape(-1, x.shape[-1]).t()


def _from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """(features, tokens) back to (…, features), with the leading sizes of `like`."""
    return rows.t().reshape(*like.shape[:-1], rows.shape[0]).contiguous()


def _as_seen(values: Tensor, x: Tensor) -> Tensor:
    """The values as a product in x's precision sees them, kept in fp32 (fp64 beside fp64)."""
    return values.to(x.dtype).to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def matmul(start: Tensor, index: Tensor, values: Tensor, features: Tensor) -> Tensor:
    """CSR times a dense matrix with features on rows, on stock operators."""
    if features.device.type == "cpu":
        return F.embedding_bag(
            index,
            features.contiguous(),
            start,
            per_sample_weights=values.to(features.dtype),
            mode="sum",
            include_last_offset=True,
        )
    return csr_matmul(start, index, values, features)


def csr_matmul(start: Tensor, index: Tensor, values: Tensor, features: Tensor) -> Tensor:
    """The same by torch.sparse: the fastest stock road on a GPU, not on a CPU."""
    size = (start.numel() - 1, features.shape[0])
    return _csr(start, index, values.to(features.dtype), size) @ features.contiguous()


def sampled(ix: SparseIndices, grad: Tensor, x: Tensor) -> Tensor:
    """grad xᵀ at the non-zeros, of (out, tokens) and (in, tokens), on stock operators, in fp32 or fp64."""
    wide = torch.promote_types(x.dtype, torch.float32)
    zeros = torch.zeros(ix.nonzeros, dtype=wide, device=x.device)
    pattern = _csr(ix.crow, ix.col, zeros, (ix.out_features, ix.in_features))
    columns = x.to(wide).contiguous().t()
    product: Tensor = torch.sparse.sampled_addmm(pattern, grad.to(wide).contiguous(), columns, beta=0.0)
    return product.values()


def _csr(start: Tensor, index: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch says once a process that these are in beta; the user has not chosen them.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        pattern: Tensor = torch.sparse_csr_tensor(start, index, values, size=size, check_invariants=False)
    return pattern


def _forward_shape(x: Tensor, values: Tensor, crow: Tensor, *_: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], crow.shape[0] - 1)


def _backward_shape(grad: Tensor, x: Tensor, values: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), values.new_empty(values.shape)


class _SparseLinear(torch.autograd.Function):
    """The pair as a function that torch.func and torch.compile can both differentiate.

    An operator with a registered gradient does not work under torch.func.grad outside of torch.compile.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, values: Tensor, *index: Tensor) -> Tensor:
        y: Tensor = torch.ops.hptransfer.sparse_linear(x, values, *index)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, values, *index = ctx.saved_tensors
        dx, dvalues = torch.ops.hptransfer.sparse_linear_backward(grad, x, values, *index)
        return dx, dvalues, *[None] * len(index)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _apply(x: Tensor, values: Tensor, *index: Tensor) -> Tensor:
    y: Tensor = _SparseLinear.apply(x, values, *index)  # type: ignore[no-untyped-call]
    return y


_library.impl("sparse_linear", _forward, "CompositeExplicitAutograd")
_library.impl("sparse_linear_backward", _backward, "CompositeExplicitAutograd")
torch.library.register_fake("hptransfer::sparse_linear", _forward_shape, lib=_library)
torch.library.register_fake("hptransfer::sparse_linear_backward", _backward_shape, lib=_library)


def _one_by_one(op: Any) -> Any:
    """Batching rule of stacked trials: each has its own mask, so their products run one after another."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Tensor) -> tuple[Any, Any]:
        def of(i: int) -> list[Tensor]:
            return [a if d is None else a.select(d, i) for a, d in zip(args, in_dims, strict=True)]

        results = [op(*of(i)) for i in range(info.batch_size)]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        return tuple(torch.stack(parts) for parts in zip(*results, strict=True)), (0,) * len(results[0])

    return rule


for _op in ("sparse_linear", "sparse_linear_backward"):
    torch.library.register_vmap(f"hptransfer::{_op}", _one_by_one(getattr(torch.ops.hptransfer, _op)), lib=_library)
