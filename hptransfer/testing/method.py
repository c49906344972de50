"""What holds for every sparsity method (`hptransfer.sparsity.methods.base`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hptransfer.common.seams import METHODS
from hptransfer.sparsity.masks import generator
from hptransfer.sparsity.methods.base import Method
from hptransfer.study.pieces import SparsitySpec, TrainingSpec
from hptransfer.testing.contract import entry_of, expect, hold, random_numbers_untouched

__all__ = ["check_method"]

SHAPES = ((8, 6), (16, 16), (6, 4, 3))
DENSITIES = (0.5, 0.25, 1.0)


def check_method(method: object, sparsity: SparsitySpec | None = None, training: TrainingSpec | None = None) -> None:
    """Hold a sparsity method, by name or as it is, to every rule; raises ContractError."""
    hold(entry_of(METHODS, method), RULES, sparsity or SparsitySpec(), training or TrainingSpec())


def _first(method: Method, shape: Sequence[int], count: int, sparsity: SparsitySpec, seed: int = 0) -> Tensor:
    return method.first_mask(shape, count, sparsity=sparsity, seed=seed, name="hidden.weight", out_dims=(0,))


def _cases() -> list[tuple[tuple[int, ...], int]]:
    sizes = {shape: torch.Size(shape).numel() for shape in SHAPES}
    return [(shape, round(density * sizes[shape])) for shape in SHAPES for density in DENSITIES]


def _expect_mask(mask: object, shape: Sequence[int], count: int) -> None:
    expect(isinstance(mask, Tensor), f"a {type(mask).__name__}")
    assert isinstance(mask, Tensor)
    said = f"{tuple(mask.shape)} {mask.dtype} on {mask.device}, asked {shape}"
    expect(tuple(mask.shape) == tuple(shape) and mask.dtype == torch.bool and not mask.is_cuda, said)
    expect(int(mask.sum()) == count, f"{int(mask.sum())} weights kept of {shape}, asked {count}")


def masks_have_their_exact_count(method: Method, sparsity: SparsitySpec, training: TrainingSpec) -> None:
    """`first_mask` is boolean, of the shape asked for, and keeps exactly `count` weights."""
    for shape, count in _cases():
        _expect_mask(_first(method, shape, count, sparsity), shape, count)


def masks_depend_on_their_arguments(method: Method, sparsity: SparsitySpec, training: TrainingSpec) -> None:
    """`first_mask` depends on its arguments alone: not on what was drawn before, nor on torch's global generator."""
    for shape, count in _cases():
        first = random_numbers_untouched(lambda s=shape, c=count: _first(method, s, c, sparsity))  # type: ignore[misc]
        _first(method, shape, count, sparsity, seed=9)
        torch.manual_seed(count)
        expect(torch.equal(first, _first(method, shape, count, sparsity)), f"another mask of {shape} when asked again")


def every_is_a_number_of_steps(method: Method, sparsity: SparsitySpec, training: TrainingSpec) -> None:
    """`every` is a whole number of steps from 0."""
    found = method.every(sparsity, training)
    expect(type(found) is int and found >= 0, f"{found!r}")


def a_new_mask_keeps_the_count(method: Method, sparsity: SparsitySpec, training: TrainingSpec) -> None:
    """Where masks change, `next_mask` keeps their count, leaves what it is given as it was, and depends on its
    arguments alone."""
    every = method.every(sparsity, training)
    if not every:
        return
    for shape, count in _cases():
        mask = _first(method, shape, count, sparsity)
        draw = torch.Generator().manual_seed(1)
        weight, gradient = torch.randn(*shape, generator=draw) * mask, torch.randn(*shape, generator=draw)
        given = [tensor.clone() for tensor in (weight, mask, gradient)]
        found = []
        for _ in range(2):
            new = method.next_mask(
                weight, mask, gradient,
                step=every, draw=generator(0, "hidden.weight", "mask"), sparsity=sparsity, training=training,
            )  # fmt: skip
            _expect_mask(new, shape, count)
            found.append(new)
        expect(all(map(torch.equal, given, (weight, mask, gradient))), "weights, mask or gradient changed in place")
        expect(torch.equal(*found), f"another mask of {shape} when asked again")


def rules_see_a_density(method: Method, sparsity: SparsitySpec, training: TrainingSpec) -> None:
    """`rule_density` lies in (0, 1], and a dense tensor's is 1."""
    for density in DENSITIES:
        found = method.rule_density(density, sparsity)
        expect(0 < found <= 1, f"{found!r} for density {density:g}")
    expect(method.rule_density(1.0, sparsity) == 1.0, f"{method.rule_density(1.0, sparsity)!r} for a dense tensor")


RULES = (
    masks_have_their_exact_count,
    masks_depend_on_their_arguments,
    every_is_a_number_of_steps,
    a_new_mask_keeps_the_count,
    rules_see_a_density,
)
