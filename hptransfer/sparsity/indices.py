"""Index tensors of a static mask, prepared once: by rows for Y = X Wᵀ and dW, by columns for dX."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["SparseIndices", "prepare_indices"]


class SparseIndices(NamedTuple):
    """Where the non-zeros of an (out, in) matrix lie. All int32; the values are in row-major order."""

    crow: Tensor
    """(out + 1,): row i holds the non-zeros crow[i] … crow[i + 1] − 1."""
    col: Tensor
    """(nnz,): column of each non-zero."""
    crow_t: Tensor
    """(in + 1,): the same by columns."""
    row_t: Tensor
    """(nnz,): row of each non-zero, in column-major order."""
    order: Tensor
    """(nnz,): the k-th non-zero in column-major order is values[order[k]]."""

    @property
    def out_features(self) -> int:
        return self.crow.numel() - 1

    @property
    def in_features(self) -> int:
        return self.crow_t.numel() - 1

    @property
    def nonzeros(self) -> int:
        return self.col.numel()


def prepare_indices(mask: Tensor) -> SparseIndices:
    """Index tensors of a boolean (out, in) mask, on the mask's device."""
    if mask.dim() != 2 or mask.dtype != torch.bool:
        raise ValueError(f"a mask is a boolean matrix, found {mask.dtype} of shape {tuple(mask.shape)}")
    if mask.shape[0] * mask.shape[1] >= 2**31:
        raise ValueError("a matrix of 2^31 or more weights does not fit 32-bit indices")
    row, col = mask.nonzero(as_tuple=True)
    order = torch.argsort(col, stable=True)
    return SparseIndices(
        crow=_starts(row, mask.shape[0]),
        col=col.int(),
        crow_t=_starts(col, mask.shape[1]),
        row_t=row[order].int(),
        order=order.int(),
    )


def _starts(index: Tensor, size: int) -> Tensor:
    """Running count of each value of `index` below `size`, with a leading zero."""
    starts = torch.zeros(size + 1, dtype=torch.int32, device=index.device)
    starts[1:] = torch.bincount(index, minlength=size).cumsum(0)
    return starts
