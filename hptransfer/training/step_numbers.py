"""The numbers that all tensors share at one step: the schedule's factor, the clip, and the optimizers' own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.schedules import lr_factor

__all__ = ["step_numbers"]


def step_numbers(training: TrainingSpec, step: int) -> Mapping[str, float]:
    """By name, at `step` (0-based); names and their order are the same at every step. No clip is an infinite one.

    Those of an optimizer stand behind its place among the trial's optimizers: `0.beta1`.
    """
    own: dict[str, float] = {}
    for index, part in enumerate(parts_of(training.optimizer)):
        numbers = part.entry.numbers(training, step)
        if not isinstance(numbers, Mapping) or not all(isinstance(value, Real) for value in numbers.values()):
            raise OPTIMIZERS.breach(part.name, part.entry, "`numbers` are numbers by name", f"; found {numbers!r:.80}")
        own |= {f"{index}.{name}": value for name, value in numbers.items()}
    return {
        "lr_factor": lr_factor(training.schedule, step, training.steps, training.warmup),
        "clip": training.clip if training.clip > 0 else math.inf,
        **own,
    }
