"""What the engine asks of a trial's task before a step runs: data, batches, sizes. Each answer is held to the task's
contract here, so that an entry that breaks it is named by its file and nothing further in fails on it.

What is asked within a step (`inputs`, `check_output`, `loss`) is asked where the step is built, in `step`.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

from torch import Tensor
from torch.utils import _pytree as pytree

from hptransfer.common.seams import TASKS
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import Batch, Data

__all__ = [
    "arguments_of",
    "batch_at",
    "batch_of",
    "batch_shape",
    "chance_of",
    "data_of",
    "held_out_of",
    "tokens_per_step",
]


def data_of(trial: Trial) -> Data:
    """The trial's data, checked against the fingerprint the trial was planned with."""
    data: Data = TASKS.get(trial.task).open(trial.data, trial.data_id)
    return data


def arguments_of(trial: Trial) -> dict[str, int]:
    """What the trial's data settles of its model."""
    found = TASKS.get(trial.task).model_arguments(data_of(trial), trial.training)
    kept = isinstance(found, Mapping) and all(isinstance(value, int) for value in found.values())
    TASKS.hold(trial.task, kept, "`model_arguments` are whole numbers by name", found)
    return dict(found)


def tokens_per_step(trial: Trial) -> int:
    """What one step of the trial consumes, in its task's unit."""
    found = TASKS.get(trial.task).tokens(trial.training)
    TASKS.hold(trial.task, isinstance(found, int) and found > 0, "`tokens` is a whole number above 0", found)
    return int(found)


def batch_of(trial: Trial, step: int) -> Batch:
    """The trial's batch at a step, on the CPU."""
    return batch_at(trial, data_of(trial), trial.data_seed, step)


def batch_at(trial: Trial, data: Data, seed: int, step: int, shape: BatchShape | None = None) -> Batch:
    """The batch of the trial's task for a seed, at a step; of that `shape`, where one is said."""
    batch = _batch(trial, "batch", TASKS.get(trial.task).batch(data, seed, step, trial.training))
    if shape is not None:
        rule = f"`batch` gives batches of one size; at step 0 it gave {shape}"
        TASKS.hold(trial.task, (found := batch_shape(batch)) == shape, rule, f"{found} at step {step}")
    return batch


BatchShape = list[tuple[list[int], str]]


def batch_shape(batch: Batch) -> BatchShape:
    """Size and type of every tensor in a batch: what a program depends on."""
    return [(list(x.shape), str(x.dtype)) for x in pytree.tree_leaves(batch)]


def held_out_of(trial: Trial, data: Data) -> list[Batch]:
    """The batches that the trial is scored on, at least one."""
    found = TASKS.get(trial.task).held_out(data, trial.training)
    kept = isinstance(found, list | tuple) and len(found) > 0
    TASKS.hold(trial.task, kept, "`held_out` is a list of batches, at least one", found)
    return [_batch(trial, "held_out", batch) for batch in found]


def chance_of(task: str, data: Data) -> float:
    """Loss of a guess that has learned nothing; NaN where the task knows none."""
    found = TASKS.get(task).chance(data)
    TASKS.hold(task, isinstance(found, Real), "`chance` is a number, NaN where there is none", found)
    return float(found)


def _batch(trial: Trial, asked: str, batch: Batch) -> Batch:
    leaves = pytree.tree_leaves(batch)
    kept = bool(leaves) and all(isinstance(x, Tensor) and x.dim() > 0 and len(x) == len(leaves[0]) for x in leaves)
    rule = f"`{asked}` gives tensors (one, or a tuple or dict of them) whose first dimension counts examples"
    TASKS.hold(trial.task, kept, rule, batch)
    return batch
