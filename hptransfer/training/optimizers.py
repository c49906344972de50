"""AdamW and SGD as functions of tensors: everything that differs between trials is data.

torch's own optimizers take one Python number as LR, so they cannot sit inside a program that serves every trial of a
shape. These update one tensor in place and equal torch's on a single trial. They broadcast: with a leading axis of K
trials, scalars become tensors of shape (K, 1, …).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from hptransfer.specs import OptimizerName, TrainingSpec
from hptransfer.training.schedules import lr_factor

__all__ = ["Hyper", "adamw", "momenta_of", "sgd", "step_numbers"]

STEP_NUMBERS = ("lr_factor", "beta1", "beta2", "unbias1", "unbias2", "clip")


@dataclass(frozen=True, slots=True)
class Hyper:
    """The scalars of one tensor's update at one step; each broadcasts against the tensor.

    `lr`: LR at this step. `decay`: weight decay as torch's AdamW (decoupled) and SGD (in the gradient) take it.
    `eps`: Adam's. `beta1`: Adam's first or SGD's momentum. `unbias1`: 1/(1 − β₁ᵗ); `unbias2`: 1/√(1 − β₂ᵗ).
    """

    lr: Tensor
    decay: Tensor
    eps: Tensor
    beta1: Tensor
    beta2: Tensor
    unbias1: Tensor
    unbias2: Tensor


def momenta_of(optimizer: OptimizerName) -> int:
    """How many state tensors of a parameter's size the optimizer keeps."""
    return 2 if optimizer == "adamw" else 1


def adamw(parameter: Tensor, gradient: Tensor, momenta: tuple[Tensor, ...], hyper: Hyper) -> tuple[Tensor, ...]:
    """New (parameter, m, v) after one step of Adam with decoupled decay (Loshchilov & Hutter, algorithm 2)."""
    m, v = momenta
    m = m + (1 - hyper.beta1) * (gradient - m)
    v = v * hyper.beta2 + (1 - hyper.beta2) * gradient * gradient
    direction = (m * hyper.unbias1) / (v.sqrt() * hyper.unbias2 + hyper.eps)
    return parameter * (1 - hyper.lr * hyper.decay) - hyper.lr * direction, m, v


def sgd(parameter: Tensor, gradient: Tensor, momenta: tuple[Tensor, ...], hyper: Hyper) -> tuple[Tensor, ...]:
    """New (parameter, buffer) after one step of heavy-ball SGD; the decay is part of the gradient, as torch has it."""
    (buffer,) = momenta
    buffer = hyper.beta1 * buffer + gradient + hyper.decay * parameter
    return parameter - hyper.lr * buffer, buffer


def step_numbers(training: TrainingSpec, step: int) -> tuple[float, ...]:
    """The numbers all tensors share at `step` (0-based), in the order of `STEP_NUMBERS`. No clip is an infinite one."""
    beta1 = training.beta1 if training.optimizer == "adamw" else training.momentum
    return (
        lr_factor(training.schedule, step, training.steps, training.warmup),
        beta1,
        training.beta2,
        1.0 / (1.0 - beta1 ** (step + 1)),
        1.0 / math.sqrt(1.0 - training.beta2 ** (step + 1)),
        training.clip if training.clip > 0 else math.inf,
    )
