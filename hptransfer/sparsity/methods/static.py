"""Masks that stand still: drawn once from (seed, tensor name), kept to the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hptransfer.sparsity.masks import make_mask
from hptransfer.study.pieces import SparsitySpec, TrainingSpec

__all__ = ["Static"]


class Static:
    """The rule sees the density as it is."""

    def every(self, sparsity: SparsitySpec, training: TrainingSpec) -> int:
        """Never."""
        return 0

    def first_mask(
        self, shape: Sequence[int], count: int, *, sparsity: SparsitySpec, seed: int, name: str, out_dims: Sequence[int]
    ) -> Tensor:
        """Drawn as `sparsity.kind` says."""
        return make_mask(shape, count, kind=sparsity.kind, seed=seed, name=name, out_dims=out_dims)

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
        """The same."""
        return mask

    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        """The density itself."""
        return density
