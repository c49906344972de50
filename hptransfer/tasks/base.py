"""What a task promises: what a batch is, what the model is given of it, and what the loss is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from hptransfer.study.pieces import DataSpec, TrainingSpec

__all__ = ["Batch", "Data", "Task", "loss_of"]

Batch = Any
"""A tensor, or a tuple or dict of tensors; the first dimension of each counts examples, so a batch can be cut."""


class Data(Protocol):
    """An opened data set. Everything else about it is its task's own affair."""

    @property
    def fingerprint(self) -> str:
        """Names the content: equal fingerprints are equal data, wherever they lie."""


class Task(Protocol):
    """One kind of training. `hptransfer.testing.check_task` holds an entry to this.

    `data` is what the task's own `open` gave.
    """

    unit: str
    """Of the loss, as pictures and sentences write it: `nats per token`."""

    def open(self, spec: DataSpec, expected: str = "") -> Data:
        """The data a study names; quick when asked again. With `expected` (a fingerprint) other data is refused."""

    def model_arguments(self, data: Any, training: TrainingSpec) -> Mapping[str, int]:
        """What the data settles of the model, handed to a factory that takes it: `vocab_size`, `context`."""

    def batch(self, data: Any, seed: int, step: int, training: TrainingSpec) -> Batch:
        """Training batch on the CPU, always of one size; depends on (seed, step) and the sizes in `training` alone."""

    def held_out(self, data: Any, training: TrainingSpec) -> list[Batch]:
        """The fixed batches that a run is scored on. Their sizes may differ; every example counts alike."""

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the model is called with."""

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Mean loss over the batch's examples, a scalar in fp32. What it is given may be a part of a batch."""

    def check_output(self, model: nn.Module, output: Any, batch: Batch, data: Any) -> None:
        """Refuse (InputError) an output of a form that the loss cannot take. Called while a step is traced."""

    def chance(self, data: Any) -> float:
        """Loss of a guess that has learned nothing, above 0: what divergence is measured by, besides the first loss.
        NaN where there is none."""

    def tokens(self, training: TrainingSpec) -> int:
        """What one step consumes, in the unit that costs are counted by: tokens, or examples."""


def loss_of(task: Task) -> Callable[[nn.Module, Batch], Tensor]:
    """The loss of a model on a batch, for a training loop of one's own."""
    return lambda model, batch: task.loss(model(*task.inputs(batch)), batch)
