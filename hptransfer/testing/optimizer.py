"""What holds for every optimizer (`hptransfer.training.optimizers.base`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.scaling.rules import ROLES
from hptransfer.study.pieces import TrainingSpec
from hptransfer.testing.contract import entry_of, expect, hold
from hptransfer.training.optimizers.base import Moments, Optimizer

__all__ = ["check_optimizer"]

LR, DECAY, EPS = 1e-2, 0.1, 1e-8
STEPS = 20
TOLERANCE = 1e-5
OURS = {"lr", "decay", "eps", "lr_factor", "clip"}
"""Names that the engine has for numbers of its own."""


def check_optimizer(
    optimizer: object, training: TrainingSpec | None = None, *, shapes: Sequence[tuple[int, ...]] = ()
) -> None:
    """Hold an optimizer, by name or as it is, to every rule; raises ContractError.

    It is tried on these `shapes`, by default a matrix and a vector, or two matrices where it needs them `whole`.
    """
    entry = entry_of(OPTIMIZERS, optimizer)
    usual = ((6, 4), (4, 6)) if _whole(entry.thing) else ((6, 4), (5,))
    hold(entry, RULES, Case(training or TrainingSpec(), tuple(shapes) or usual))


def _whole(optimizer: Optimizer) -> bool:
    return bool(getattr(optimizer, "whole", False))


@dataclass(frozen=True)
class Case:
    """What an optimizer is tried on."""

    training: TrainingSpec
    shapes: tuple[tuple[int, ...], ...]


def _now(
    optimizer: Optimizer, training: TrainingSpec, step: int, *, lr: float = LR, decay: float = DECAY
) -> dict[str, Tensor]:
    own = {"lr": lr, "decay": decay, "eps": EPS}
    return {name: torch.tensor(value) for name, value in {**own, **optimizer.numbers(training, step)}.items()}


def _draw(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _zeros(optimizer: Optimizer, shape: Sequence[int]) -> Moments:
    return tuple(torch.zeros(*shape) for _ in range(optimizer.moments))


def it_says_its_table_and_moments(optimizer: Optimizer, case: Case) -> None:
    """`table` is a name and `moments` a whole number from 0."""
    expect(isinstance(optimizer.table, str) and optimizer.table, f"table = {optimizer.table!r}")
    expect(isinstance(optimizer.moments, int) and optimizer.moments >= 0, f"moments = {optimizer.moments!r}")


def it_says_which_roles_it_takes(optimizer: Optimizer, case: Case) -> None:
    """`roles`, where an entry has them, are roles of tensors, and `others` is an optimizer for the remaining ones."""
    roles = getattr(optimizer, "roles", None)
    if roles is not None:
        expect(roles and set(roles) <= set(ROLES), f"roles = {roles!r}, allowed: {', '.join(ROLES)}")
    if others := getattr(optimizer, "others", ""):
        expect(OPTIMIZERS.knows(others), f"others = {others!r}")


def numbers_have_the_same_names(optimizer: Optimizer, case: Case) -> None:
    """`numbers` has the same names in the same order at every step, finite values, and none that the engine gives
    itself."""
    first = optimizer.numbers(case.training, 0)
    for step in (0, 1, case.training.steps - 1):
        found = optimizer.numbers(case.training, step)
        expect(list(found) == list(first), f"{list(first)} at step 0 and {list(found)} at step {step}")
        expect(all(math.isfinite(value) for value in found.values()), f"{dict(found)} at step {step}")
    expect(OURS.isdisjoint(first), f"{sorted(OURS & set(first))}, which the engine gives")


def update_gives_parameter_and_moments(optimizer: Optimizer, case: Case) -> None:
    """`update` returns the new parameter and as many moments as `moments` says, each of the parameter's shape and
    type."""
    for shape in case.shapes:
        now = _now(optimizer, case.training, 0)
        found = optimizer.update(_draw(shape, 0), _draw(shape, 1), _zeros(optimizer, shape), now)
        expect(isinstance(found, tuple), f"a {type(found).__name__}")
        expect(len(found) == 1 + optimizer.moments, f"{len(found)} tensors, with moments = {optimizer.moments}")
        for place, tensor in enumerate(found):
            expect(isinstance(tensor, Tensor), f"a {type(tensor).__name__} at place {place}")
            said = f"{tuple(tensor.shape)} {tensor.dtype} at place {place} for a parameter {shape} {torch.float32}"
            expect(tuple(tensor.shape) == shape and tensor.dtype == torch.float32, said)


def update_is_pure(optimizer: Optimizer, case: Case) -> None:
    """`update` leaves what it is given as it was and answers the same when asked again."""
    for shape in case.shapes:
        given = {"parameter": _draw(shape, 0), "gradient": _draw(shape, 1)}
        moments = tuple(_draw(shape, 2 + i).abs() for i in range(optimizer.moments))
        now = _now(optimizer, case.training, 1)
        named = {**given, **{f"moment {i}": moment for i, moment in enumerate(moments)}, **now}
        before = {name: tensor.clone() for name, tensor in named.items()}
        first = optimizer.update(given["parameter"], given["gradient"], moments, now)
        changed = [name for name, tensor in named.items() if not torch.equal(tensor, before[name])]
        expect(not changed, f"{', '.join(changed)} changed in place")
        again = optimizer.update(given["parameter"], given["gradient"], moments, now)
        expect(all(map(torch.equal, first, again)), "another answer to the same question")


def trials_side_by_side_are_each_alone(optimizer: Optimizer, case: Case) -> None:
    """Under `torch.func.vmap`, trials with LRs of their own come to what each comes to alone: no branch on a tensor's
    value."""
    for shape in case.shapes:
        parameters, gradients = _draw((3, *shape), 0), _draw((3, *shape), 1)
        moments = tuple(torch.zeros(3, *shape) for _ in range(optimizer.moments))
        nows = [_now(optimizer, case.training, 2, lr=lr) for lr in (1e-3, 1e-2, 1e-1)]
        stacked = {name: torch.stack([now[name] for now in nows]) for name in nows[0]}
        together = torch.func.vmap(optimizer.update)(parameters, gradients, moments, stacked)
        for i, now in enumerate(nows):
            alone = optimizer.update(parameters[i], gradients[i], tuple(moment[i] for moment in moments), now)
            gap = max(float((tensor[i] - one).abs().max()) for tensor, one in zip(together, alone, strict=True))
            expect(gap <= TOLERANCE, f"trial {i} of 3 differs by {gap:.2g}")


def without_a_learning_rate_nothing_moves(optimizer: Optimizer, case: Case) -> None:
    """An LR of zero, without decay, leaves the parameter as it is."""
    for shape in case.shapes:
        parameter = _draw(shape, 0)
        now = _now(optimizer, case.training, 0, lr=0.0, decay=0.0)
        moved = (optimizer.update(parameter, _draw(shape, 1), _zeros(optimizer, shape), now)[0] - parameter).abs().max()
        expect(float(moved) == 0.0, f"the parameter moved by {float(moved):.2g}")


def it_works_number_by_number(optimizer: Optimizer, case: Case) -> None:
    """Unless it is `whole`, tensors below one another with LRs of their own come to what each comes to alone."""
    if _whole(optimizer):
        return
    parameters, gradients = _draw((4, 3), 0), _draw((4, 3), 1)
    moments = _zeros(optimizer, (4, 3))
    column = torch.tensor([[1e-3], [1e-3], [1e-1], [1e-1]])
    now = {**_now(optimizer, case.training, 0), "lr": column}
    together = optimizer.update(parameters, gradients, moments, now)
    for rows in (slice(0, 2), slice(2, 4)):
        alone_now = {**now, "lr": column[rows]}
        part = optimizer.update(parameters[rows], gradients[rows], tuple(m[rows] for m in moments), alone_now)
        gap = max(float((tensor[rows] - one).abs().max()) for tensor, one in zip(together, part, strict=True))
        expect(gap <= TOLERANCE, f"rows {rows.start} to {rows.stop} of 4 differ by {gap:.2g}")


def a_masked_weight_stays_zero(optimizer: Optimizer, case: Case) -> None:
    """Unless it is `whole`, a weight that is zero and never has a gradient stays zero: masks rest on it."""
    if _whole(optimizer):
        return
    for shape in case.shapes:
        mask = (_draw(shape, 7) > 0).float()
        parameter, moments = _draw(shape, 0) * mask, _zeros(optimizer, shape)
        for step in range(3):
            now = _now(optimizer, case.training, step)
            parameter, *rest = optimizer.update(parameter, _draw(shape, step) * mask, moments, now)
            moments = tuple(rest)
        largest = float((parameter * (1 - mask)).abs().max())
        expect(largest == 0.0, f"such a weight is {largest:.2g} after three steps")


def finite_in_finite_out(optimizer: Optimizer, case: Case) -> None:
    """Finite tensors give finite tensors, also for gradients that are zero, tiny or large."""
    for scale in (0.0, 1e-30, 1e6):
        for shape in case.shapes:
            gradient = scale * _draw(shape, 1)
            found = optimizer.update(
                _draw(shape, 0), gradient, _zeros(optimizer, shape), _now(optimizer, case.training, 0)
            )
            finite = all(bool(tensor.isfinite().all()) for tensor in found)
            expect(finite, f"infinite or NaN values from gradients of about {scale:g}")


def it_equals_its_torch_optimizer(optimizer: Optimizer, case: Case) -> None:
    """Over 20 steps `update` comes to what `torch_optimizer` comes to, within 1e-5."""
    for shape in case.shapes:
        theirs = _draw(shape, 0).requires_grad_()
        loop = optimizer.torch_optimizer(
            [{"params": [theirs], "lr": LR, "weight_decay": DECAY, "eps": EPS}], case.training
        )
        expect(isinstance(loop, torch.optim.Optimizer), f"torch_optimizer gives a {type(loop).__name__}")
        ours, moments = _draw(shape, 0), _zeros(optimizer, shape)
        for step in range(STEPS):
            theirs.grad = _draw(shape, 10 + step)
            loop.step()
            ours, *rest = optimizer.update(ours, _draw(shape, 10 + step), moments, _now(optimizer, case.training, step))
            moments = tuple(rest)
            gap = float((ours - theirs.detach()).abs().max())
            expect(gap <= TOLERANCE, f"they differ by {gap:.2g} after {step + 1} steps on a parameter {shape}")


RULES = (
    it_says_its_table_and_moments,
    it_says_which_roles_it_takes,
    numbers_have_the_same_names,
    update_gives_parameter_and_moments,
    update_is_pure,
    trials_side_by_side_are_each_alone,
    without_a_learning_rate_nothing_moves,
    finite_in_finite_out,
    a_masked_weight_stays_zero,
    it_works_number_by_number,
    it_equals_its_torch_optimizer,
)
