"""Whether a model from outside does what its task asks: one forward pass on two examples, before anything is paid for.

A model that does not take the task's inputs, or hands out what its loss cannot take, fails in every trial alike.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from hptransfer.common.errors import InputError
from hptransfer.common.seams import MODELS, TASKS, is_outside
from hptransfer.scaling.build_model import build_model
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import batch_of, data_of
from hptransfer.training.build import factory_of

__all__ = ["refuse_unfit"]

EXAMPLES = 2


def refuse_unfit(trial: Trial) -> None:
    """Refuse a model of the user's own, trained by our engine, that does not fit the task; others are left alone."""
    if trial.model.factory in MODELS.built_in or is_outside(trial.trainer):
        return
    task = TASKS.get(trial.task)
    batch = pytree.tree_map(lambda tensor: tensor[:EXAMPLES], batch_of(trial, 0))
    inputs = task.inputs(batch)
    model = build_model(factory_of(trial), trial.width, trial.depth, seed=trial.seed).eval()
    try:
        with torch.no_grad():
            output = model(*inputs)
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a user's forward may raise anything
        said = (str(error).splitlines() or [""])[0][:200]
        raise InputError(
            f"the model does not take what the task '{trial.task}' hands it",
            where="model.factory",
            found=f"{type(model).__name__} raised {type(error).__name__}: {said}",
            allowed=f"a forward that takes {', '.join(map(_words, inputs))}",
            hint="wrap the model so that it does, or write a task of your own (docs/extending.md)",
        ) from error
    task.check_output(model, output, batch, data_of(trial))


def _words(given: object) -> str:
    """`int64 (2, 64)`: type and size of one argument."""
    if not isinstance(given, Tensor):
        return type(given).__name__
    return f"{str(given.dtype).removeprefix('torch.')} {tuple(given.shape)}"
