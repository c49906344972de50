"""What a sparsity method promises: how a mask starts, when it changes, and into what.

A mask keeps its exact count of weights, so a program never has to be built anew for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from hptransfer.common.seams import METHODS
from hptransfer.study.pieces import SparsitySpec, TrainingSpec

__all__ = ["Method", "checked_mask"]


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
        """The mask after `step` steps, of the same count; a new tensor.

        `gradient` is the dense one, on the batch that is trained on next. `draw` is a CPU generator of this tensor
        and step alone. Regrown weights start at zero, with their moments cleared.
        """

    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        """The density that a scaling rule shall use for a sparse tensor of this density."""


def checked_mask(mask: object, shape: Sequence[int], count: int, *, method: str, of: str, name: str) -> Tensor:
    """The mask that a method's `of` (`first_mask`, `next_mask`) gave for a tensor; refuses one that breaks its rule."""
    if isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == tuple(shape):
        kept = int(mask.count_nonzero())
        if kept == count:
            return mask
        found = f"one that keeps {kept}"
    else:
        found = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
    rule = f"{of} gives a boolean mask of the tensor's shape {tuple(shape)} that keeps {count} weights"
    raise METHODS.breach(method, METHODS.get(method), f"{rule}; for {name} it gave {found}")
