"""The numbers that all tensors share at one step: the schedule's factor, the clip, and the optimizers' own."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.schedules import lr_factor

__all__ = ["step_numbers"]


def step_numbers(training: TrainingSpec, step: int) -> Mapping[str, float]:
    """By name, at `step` (0-based); names and their order are the same at every step. No clip is an infinite one.

    Those of an optimizer stand behind its place among the trial's optimizers: `0.beta1`.
    """
    own = {
        f"{index}.{name}": value
        for index, part in enumerate(parts_of(training.optimizer))
        for name, value in part.entry.numbers(training, step).items()
    }
    return {
        "lr_factor": lr_factor(training.schedule, step, training.steps, training.warmup),
        "clip": training.clip if training.clip > 0 else math.inf,
        **own,
    }
