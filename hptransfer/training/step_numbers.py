"""The numbers that all tensors share at one step: the schedule's factor, the clip, and the optimizer's own."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hptransfer.common.seams import OPTIMIZERS
from hptransfer.study.pieces import TrainingSpec
from hptransfer.training.schedules import lr_factor

__all__ = ["step_numbers"]


def step_numbers(training: TrainingSpec, step: int) -> Mapping[str, float]:
    """By name, at `step` (0-based); names and their order are the same at every step. No clip is an infinite one."""
    return {
        "lr_factor": lr_factor(training.schedule, step, training.steps, training.warmup),
        "clip": training.clip if training.clip > 0 else math.inf,
        **OPTIMIZERS.get(training.optimizer).numbers(training, step),
    }
