"""Every optimizer that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from broken import broken_rule
from torch import Tensor

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec
from hptransfer.testing import check_optimizer
from hptransfer.training.optimizers.sgd import SGD

Moments = tuple[Tensor, ...]
Now = Mapping[str, Tensor]


@pytest.mark.parametrize("name", OPTIMIZERS.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_optimizer(name)


class InPlace(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        moments[0].mul_(now["momentum"]).add_(gradient + now["decay"] * parameter)
        return parameter - now["lr"] * moments[0], moments[0]


class Forgetful(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        return (super().update(parameter, gradient, moments, now)[0],)


class Branching(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        if gradient.norm() > 1:
            gradient = gradient / gradient.norm()
        return super().update(parameter, gradient, moments, now)


class Restless(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        new, buffer = super().update(parameter, gradient, moments, now)
        return new + 1e-6, buffer


class Spreading(SGD):
    """Centres every gradient, so that masked weights come to life."""

    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        return super().update(parameter, gradient - gradient.mean(), moments, now)


class Normed(SGD):
    """Divides each gradient by its norm, so that a tensor's update depends on what lies below it."""

    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        return super().update(parameter, gradient / (gradient.norm() + now["eps"]), moments, now)

    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> Any:
        raise NotImplementedError


class Ruled(SGD):
    roles = ("hidden", "bias")


class Dividing(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        return super().update(parameter, gradient * (gradient.abs() / gradient.abs()), moments, now)


class Drifting(SGD):
    def update(self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Now) -> Moments:
        return super().update(parameter, gradient * 1.001, moments, now)


class Changeable(SGD):
    def numbers(self, training: TrainingSpec, step: int) -> dict[str, float]:
        return {"momentum": 0.9} if step == 0 else {"momentum": 0.9, "later": 1.0}


class Usurping(SGD):
    def numbers(self, training: TrainingSpec, step: int) -> dict[str, float]:
        return {"momentum": 0.9, "clip": 1.0}


class Unhinged(SGD):
    def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> Any:
        return torch.nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("optimizer", "rule", "found"),
    [
        (InPlace, "`update` leaves what it is given as it was", "moment 0 changed in place"),
        (Forgetful, "as many moments as `moments` says", "1 tensors, with moments = 1"),
        (Branching, "Under `torch.func.vmap`", "data-dependent control flow"),
        (Restless, "An LR of zero, without decay, leaves the parameter", "the parameter moved by"),
        (Spreading, "a weight that is zero and never has a gradient stays zero", "after three steps"),
        (Normed, "tensors below one another with LRs of their own", "rows 0 to 2 of 4 differ by"),
        (Ruled, "`roles`, where an entry has them, are roles of tensors", "roles = ('hidden', 'bias')"),
        (Dividing, "Finite tensors give finite tensors", "from gradients of about 0"),
        (Drifting, "Over 20 steps `update` comes to what `torch_optimizer`", "after 1 steps on a parameter (6, 4)"),
        (Changeable, "same names in the same order at every step", "['momentum', 'later'] at step 1"),
        (Usurping, "none that the engine gives itself", "['clip'], which the engine gives"),
        (Unhinged, "what `torch_optimizer` comes to", "torch_optimizer gives a Linear"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(optimizer: type[SGD], rule: str, found: str) -> None:
    error = broken_rule(lambda: check_optimizer(optimizer), __file__)
    assert rule in error.rule
    assert found in error.found
    assert error.name.endswith(f":{optimizer.__name__}")


def test_one_that_needs_matrices_whole_is_tried_on_matrices_and_may_mix_their_numbers() -> None:
    class Whole(Normed):
        roles, others, whole = ("hidden",), "adamw", True

        def torch_optimizer(self, groups: list[dict[str, Any]], training: TrainingSpec) -> Any:
            return Loop(groups)

    class Loop(torch.optim.SGD):
        def __init__(self, groups: list[dict[str, Any]]) -> None:
            super().__init__(groups, momentum=0.9)

        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = parameter.grad / (parameter.grad.norm() + 1e-8)
            return super().step(closure)

    check_optimizer(Whole)
