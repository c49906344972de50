"""Initial values: a unit normal drawn from (seed, tensor name) alone, or what the factory built; scaled and masked.

Two trials that differ in rule, LR or density start from the same normal numbers (common random numbers), so that
what differs between them is the rule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hptransfer.common.seams import METHODS
from hptransfer.scaling.table import TensorScale
from hptransfer.sparsity.masks import generator
from hptransfer.sparsity.methods.base import checked_mask
from hptransfer.study.pieces import SparsitySpec

__all__ = ["initial_tensor"]


def initial_tensor(
    scale: TensorScale, seed: int, sparsity: SparsitySpec, built: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The fp32 initial value, scaled and masked, and its mask (None if dense).

    A tensor that is `built` keeps the factory's value, one that is `rescaled` its shape; only the model has it: hand
    it in.
    """
    mask = None
    if scale.density < 1:
        drawn = METHODS.get(sparsity.method).first_mask(
            scale.shape, scale.nonzeros, sparsity=sparsity, seed=seed, name=scale.name, out_dims=scale.out_dims
        )
        asked = {"method": sparsity.method, "of": "first_mask", "name": scale.name}
        mask = checked_mask(drawn, scale.shape, scale.nonzeros, **asked)
    if scale.from_factory:
        if built is None:
            raise ValueError(f"{scale.name} keeps the value the factory built; take it from the model")
        value = built if scale.init == "built" else _with_rms(built, scale.init_std)
    elif scale.init == "normal":
        value = torch.randn(scale.shape, generator=generator(seed, scale.name, "init")) * scale.init_std
    else:
        value = torch.full(scale.shape, float(scale.init == "ones"))
    return (value if mask is None else value * mask), mask


def _with_rms(value: Tensor, rms: float) -> Tensor:
    """The tensor times the number that gives it this root mean square; one of zeros stays as it is."""
    now = float(torch.linalg.vector_norm(value, dtype=torch.float64)) / math.sqrt(value.numel())
    return value * (rms / now) if now else value
