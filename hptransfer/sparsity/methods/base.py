"""What a sparsity method promises: how a mask starts, when it changes, and into what.

A mask keeps its exact count of weights, so a program never has to be built anew for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from hptransfer.study.pieces import SparsitySpec, TrainingSpec

__all__ = ["Method"]


class Method(Protocol):
    """One method. `hptransfer.testing.check_method` holds an entry to this."""

    def every(self, sparsity: SparsitySpec, training: TrainingSpec) -> int:
        """Optimizer steps between two changes of the masks; 0: they stand still."""

    def first_mask(
        self, shape: Sequence[int], count: int, *, sparsity: SparsitySpec, seed: int, name: str, out_dims: Sequence[int]
    ) -> Tensor:
        """The mask a trial starts with: boolean, of that shape, with exactly `count` weights kept.

        Depends on its arguments alone, so that trials which differ in LR start from one mask.
        """

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
        """The mask after `step` steps, of the same count, from the dense gradient. Regrown weights start at zero."""

    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        """The density that a scaling rule shall use for a tensor of this density."""
