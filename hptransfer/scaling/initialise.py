"""Initial values: a unit normal drawn from (seed, tensor name) alone, then scaled and masked.

Two trials that differ in rule, LR or density start from the same normal numbers (common random numbers), so that
what differs between them is the rule.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hptransfer.scaling.table import TensorScale
from hptransfer.sparsity.masks import generator, make_mask
from hptransfer.study.pieces import SparsitySpec

__all__ = ["initial_tensor", "mask_of"]


def initial_tensor(scale: TensorScale, seed: int, sparsity: SparsitySpec) -> tuple[Tensor, Tensor | None]:
    """The fp32 initial value, scaled and masked, and its mask (None if dense).

    A tensor whose `init` is `built` keeps the factory's value, which only the model has: asking for it is an error.
    """
    if scale.init == "built":
        raise ValueError(f"{scale.name} keeps the value the factory built; take it from the model")
    mask = mask_of(scale, seed, sparsity)
    if scale.init == "zeros":
        return torch.zeros(scale.shape), mask
    if scale.init == "ones":
        return torch.ones(scale.shape), mask
    value = torch.randn(scale.shape, generator=generator(seed, scale.name, "init")) * scale.init_std
    return (value if mask is None else value * mask), mask


def mask_of(scale: TensorScale, seed: int, sparsity: SparsitySpec) -> Tensor | None:
    """The tensor's mask, or None if it is dense."""
    if scale.density == 1.0:
        return None
    return make_mask(
        scale.shape,
        _asked_density(scale, sparsity),
        kind=sparsity.kind,
        seed=seed,
        name=scale.name,
        out_dims=scale.out_dims,
    )


def _asked_density(scale: TensorScale, sparsity: SparsitySpec) -> float:
    """The realised density asks for exactly the realised count again, but n:m wants its own fraction."""
    if ":" not in sparsity.kind:
        return scale.density
    keep, _, of = sparsity.kind.partition(":")
    return int(keep) / int(of)
