"""A masked product to compute: mask, dense weights, input, and the gradient that comes back."""

from __future__ import annotations

import torch

from hptransfer.sparsity.masks import make_mask


def problem(out: int, inn: int, tokens: int, dtype: torch.dtype = torch.float32, density: float = 0.2):
    draw = torch.Generator().manual_seed(out + inn)
    mask = make_mask((out, inn), max(1, round(density * out * inn)), seed=0, name="w")
    dense = torch.randn(out, inn, generator=draw) * mask
    x = torch.randn(tokens, inn, generator=draw).to(dtype)
    grad = torch.randn(tokens, out, generator=draw).to(dtype)
    return mask, dense, x, grad
