"""Masks that start as a band along the diagonal and move to where the gradient is large."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hptransfer.study.pieces import SparsitySpec, TrainingSpec


class Band:
    """Four times in a run a tenth of the weights, the smallest, make room for those of largest gradient."""

    version = "1"

    def every(self, sparsity: SparsitySpec, training: TrainingSpec) -> int:
        """A quarter of the steps."""
        return max(1, training.steps // 4)

    def first_mask(
        self, shape: Sequence[int], count: int, *, sparsity: SparsitySpec, seed: int, name: str, out_dims: Sequence[int]
    ) -> Tensor:
        """The places nearest to the diagonal."""
        rows, columns = shape[0], torch.Size(shape).numel() // shape[0]
        distance = (torch.arange(rows)[:, None] / rows - torch.arange(columns) / columns).abs()
        return largest(-distance, count).view(tuple(shape))

    def next_mask(
        self,
        weight: Tensor,
        mask: Tensor,
        gradient: Tensor,
        *,
        step: int,
        draw: torch.Generator,
        sparsity: SparsitySpec,
        training: TrainingSpec,
    ) -> Tensor:
        """The largest weights stay, the largest gradients elsewhere come to them."""
        count = int(mask.sum())
        moving = min(count // 10, mask.numel() - count)
        stay = largest(torch.where(mask, weight.abs(), -1.0), count - moving)
        return stay | largest(torch.where(mask, -1.0, gradient.abs()), moving)

    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        """The density itself."""
        return density


def largest(scores: Tensor, count: int) -> Tensor:
    """True at the `count` places of largest score; among equals the first."""
    mask = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[scores.flatten().argsort(descending=True, stable=True)[:count]] = True
    return mask.view(scores.shape)
