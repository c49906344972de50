"""The numbers that all tensors share at one step: the schedule's factor, the clip, and the optimizers' own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.schedules import lr_factor

__all__ = ["numbers_of_all_steps", "step_numbers"]


def step_numbers(training: TrainingSpec, step: int) -> Mapping[str, float]:
    """By name, at `step` (0-based); names and their order are the same at every step. No clip is an infinite one.

    Those of an optimizer stand behind its place among the trial's optimizers: `0.beta1`.
    """
    own: dict[str, float] = {}
    for index, part in enumerate(parts_of(training.optimizer)):
        numbers = part.entry.numbers(training, step)
        kept = isinstance(numbers, Mapping) and all(isinstance(value, Real) for value in numbers.values())
        OPTIMIZERS.hold(part.name, kept, "`numbers` are numbers by name", numbers)
        own |= {f"{index}.{name}": value for name, value in numbers.items()}
    return {
        "lr_factor": lr_factor(training.schedule, step, training.steps, training.warmup),
        "clip": training.clip if training.clip > 0 else math.inf,
        **own,
    }


def numbers_of_all_steps(training: TrainingSpec) -> list[list[float]]:
    """The values of `step_numbers`, a list per step; refuses an optimizer whose names change on the way."""
    steps = [step_numbers(training, step) for step in range(training.steps)]
    for index, part in enumerate(parts_of(training.optimizer)):
        own = [[name for name in numbers if name.startswith(f"{index}.")] for numbers in steps]
        odd = next((step for step, names in enumerate(own) if names != own[0]), 0)
        rule = f"`numbers` have the same names in the same order at every step, but not at step {odd}"
        OPTIMIZERS.hold(part.name, odd == 0, rule, own[odd])
    return [list(numbers.values()) for numbers in steps]
