"""Sparsity methods as users write them: a small one that moves masks, and some that break their contract."""

from __future__ import annotations

import torch
from torch import Tensor

from hptransfer.sparsity.methods.static import Static


class PruneAndRegrow(Static):
    """Every four steps a fifth of the weights, the smallest, goes, and as many random others come."""

    def every(self, sparsity, training) -> int:
        return 4

    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, *, step, draw, sparsity, training) -> Tensor:
        moving = int(mask.sum()) // 5
        size = weight.abs().masked_fill(~mask, torch.inf).flatten()
        free = torch.rand(mask.numel(), generator=draw).masked_fill(mask.flatten(), -1.0)
        new = mask.flatten().clone()
        new[size.argsort()[:moving]] = False
        new[free.argsort(descending=True)[:moving]] = True
        return new.view(mask.shape)


class ByGradient(PruneAndRegrow):
    """The same, but what comes is where the dense gradient is largest."""

    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, *, step, draw, sparsity, training) -> Tensor:
        moving = int(mask.sum()) // 5
        new = mask.flatten().clone()
        new[weight.abs().masked_fill(~mask, torch.inf).flatten().argsort()[:moving]] = False
        new[gradient.abs().masked_fill(mask, -1.0).flatten().argsort(descending=True)[:moving]] = True
        return new.view(mask.shape)


class Growing(PruneAndRegrow):
    """Keeps one weight more each time."""

    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, *, step, draw, sparsity, training) -> Tensor:
        new = mask.flatten().clone()
        new[int((~new).nonzero()[0])] = True
        return new.view(mask.shape)


class Full(Static):
    """Starts with everything."""

    def first_mask(self, shape, count, *, sparsity, seed, name, out_dims) -> Tensor:
        return torch.ones(tuple(shape), dtype=torch.bool)


class Halved(Static):
    """Wants rules to see half of each density."""

    def rule_density(self, density, sparsity) -> float:
        return density / 2


class Doubled(Static):
    """Wants rules to see more than all."""

    def rule_density(self, density, sparsity) -> float:
        return 3 * density


class Restless(Static):
    """Moves its masks before it starts."""

    def every(self, sparsity, training) -> int:
        return -3
