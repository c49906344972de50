"""The programs a process holds, one per shape."""

from __future__ import annotations

import functools
import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import arguments_of, batch_of, batch_shape
from hptransfer.training.build import table_of, tensor_shapes
from hptransfer.training.compiling import worth_compiling
from hptransfer.training.flops import cost_of
from hptransfer.training.layout import make_layout
from hptransfer.training.memory import micro_batches
from hptransfer.training.optimizers.parts import parts_of
from hptransfer.training.process import hand_back_memory
from hptransfer.training.program import Program
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.sparse import values_layers

__all__ = ["forget_programs", "memory_errors", "program_for"]

MOST_PROGRAMS = 8
MOST_BYTES = 4 * 2**30
"""Programs are kept while there are at most this many and their tensors take at most this much."""

SIGNS_OF_NO_MEMORY = ("can't allocate memory", "not enough memory", "could not create a primitive")
"""What a `RuntimeError` says where memory ran out on a CPU; the last is oneDNN's word for no room to work in."""

_programs: OrderedDict[str, Program] = OrderedDict()


def program_for(trial: Trial, settings: WorkerSettings, device: torch.device, stack: int) -> Program:
    """The program of the trial's shape, built if this process has none yet.

    Raises `CannotStackError` when `stack` is above 1 and the model does not go through vmap.
    """
    table, cost = table_of(trial), cost_of(trial)
    parts = micro_batches(trial, settings, device)
    t = trial.training
    layout = make_layout(tensor_shapes(trial), values_layers(trial, settings, device, stack, parts))
    compiled = worth_compiling(settings, cost.flops_dense)
    what = [
        [
            trial.model.model_dump(mode="json"),
            trial.task,
            trial.versions,
            arguments_of(trial),
            batch_shape(batch_of(trial, 0)),
        ],
        [trial.width, trial.depth, t.batch_size, t.optimizer, t.precision],
        [str(device), stack, parts, settings.compile, settings.threads, compiled],
        repr(layout),
        sorted(row.multiplier_buffer for row in table),
    ]
    key = json.dumps(what, sort_keys=True)
    if key in _programs:
        _programs.move_to_end(key)
        return _programs[key]
    moments = max(part.entry.moments for part in parts_of(t.optimizer))
    _make_room(stack * (4 * (1 + moments) + 1) * cost.params)
    build = functools.partial(Program, trial, layout, stack, parts, device, settings, compiled=compiled)
    try:
        _programs[key] = build()
    except torch.OutOfMemoryError:
        if not _programs:
            raise
        forget_programs()  # what earlier shapes still hold may be what is missing
        hand_back_memory()
        _programs[key] = build()
    return _programs[key]


def forget_programs() -> None:
    """Let go of every program and its tensors."""
    _programs.clear()


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn every way of running out of memory into one error, after letting go of what programs hold."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own is a RuntimeError
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(sign in str(error) for sign in SIGNS_OF_NO_MEMORY):
            raise
        forget_programs()
        raise OutOfMemoryError(f"out of memory: {error}") from error


def _make_room(needed: int) -> None:
    while _programs and (
        len(_programs) >= MOST_PROGRAMS or needed + sum(p.bytes for p in _programs.values()) > MOST_BYTES
    ):
        _programs.popitem(last=False)
