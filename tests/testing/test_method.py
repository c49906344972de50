"""Every sparsity method that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from broken import broken_rule
from torch import Tensor

from hptransfer.common.seams import METHODS
from hptransfer.study.pieces import SparsitySpec, TrainingSpec
from hptransfer.testing import check_method


@pytest.mark.parametrize("name", METHODS.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_method(name)


class Moving:
    """The first weights in a row are kept, and one place further along after each change."""

    def every(self, sparsity: SparsitySpec, training: TrainingSpec) -> int:
        return 5

    def first_mask(
        self, shape: Sequence[int], count: int, *, sparsity: SparsitySpec, seed: int, name: str, out_dims: Sequence[int]
    ) -> Tensor:
        return (torch.arange(torch.Size(shape).numel()) < count).view(tuple(shape))

    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, **told: Any) -> Tensor:
        return mask.flatten().roll(1).view_as(mask)

    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        return density


def test_one_that_moves_its_masks_does_too() -> None:
    check_method(Moving)


class Generous(Moving):
    def first_mask(self, shape: Sequence[int], count: int, **told: Any) -> Tensor:
        return super().first_mask(shape, count + 1, **told)


class Random(Moving):
    def first_mask(self, shape: Sequence[int], count: int, **told: Any) -> Tensor:
        size = torch.Size(shape).numel()
        return torch.zeros(size, dtype=torch.bool).index_fill(0, torch.randperm(size)[:count], True).view(tuple(shape))


class Floating(Moving):
    def first_mask(self, shape: Sequence[int], count: int, **told: Any) -> Tensor:
        return super().first_mask(shape, count, **told).float()


class Backwards(Moving):
    def every(self, sparsity: SparsitySpec, training: TrainingSpec) -> int:
        return -1


class Losing(Moving):
    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, **told: Any) -> Tensor:
        return mask & (weight.abs() < weight.abs().max())


class InPlace(Moving):
    def next_mask(self, weight: Tensor, mask: Tensor, gradient: Tensor, **told: Any) -> Tensor:
        new = super().next_mask(weight, mask, gradient, **told)
        weight.mul_(new)
        return new


class Sparser(Moving):
    def rule_density(self, density: float, sparsity: SparsitySpec) -> float:
        return density / 2


@pytest.mark.parametrize(
    ("method", "rule", "found"),
    [
        (Generous, "keeps exactly `count` weights", "25 weights kept of (8, 6), asked 24"),
        (Random, "`first_mask` depends on its arguments alone", "global random generator"),
        (Floating, "`first_mask` is boolean", "torch.float32"),
        (Backwards, "`every` is a whole number of steps from 0", "-1"),
        (Losing, "`next_mask` keeps their count", "weights kept of (8, 6), asked 24"),
        (InPlace, "leaves what it is given as it was", "changed in place"),
        (Sparser, "a dense tensor's is 1", "0.5 for a dense tensor"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(method: type[Moving], rule: str, found: str) -> None:
    error = broken_rule(lambda: check_method(method), __file__)
    assert rule in error.rule
    assert found in error.found
