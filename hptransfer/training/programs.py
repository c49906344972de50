"""The programs a process holds, one a shape."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hptransfer.errors import OutOfMemoryError
from hptransfer.training.build import corpus_of, initial_state, make_skeleton, table_of, tensor_shapes
from hptransfer.training.compiling import worth_compiling
from hptransfer.training.flops import cost_of
from hptransfer.training.layout import make_layout
from hptransfer.training.optimizers import momenta_of
from hptransfer.training.program import Program
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.sparse import values_layers
from hptransfer.trial import Trial

__all__ = ["forget_programs", "memory_errors", "program_for"]

MOST_PROGRAMS = 8
MOST_BYTES = 4 * 2**30
"""Programs are kept while there are at most this many and their tensors take at most this much."""

_programs: OrderedDict[str, Program] = OrderedDict()


def program_for(trial: Trial, settings: WorkerSettings, device: torch.device, stack: int) -> Program:
    """The program of the trial's shape, built if this process has none yet.

    Raises `CannotStackError` when `stack` is above 1 and the model does not go through vmap.
    """
    table = table_of(trial)
    layout = make_layout(tensor_shapes(table), values_layers(trial, table, settings, device, stack))
    compiled = worth_compiling(settings, cost_of(trial).flops_dense)
    vocab_size = corpus_of(trial).vocab_size
    t = trial.training
    what = [
        trial.model.model_dump(mode="json"),
        [trial.width, trial.depth, vocab_size, t.batch_size, t.sequence_length, t.optimizer, t.precision],
        [str(device), stack, settings.compile, settings.threads, compiled],
        repr(layout),
        sorted(row.multiplier_buffer for row in table),
    ]
    key = json.dumps(what, sort_keys=True)
    if key in _programs:
        _programs.move_to_end(key)
        return _programs[key]
    _make_room(stack * (4 * (1 + momenta_of(t.optimizer)) + 1) * cost_of(trial).params)

    def build() -> Program:
        return Program(
            trial,
            make_skeleton(trial, table, layout.as_values, device.type),
            layout,
            initial_state(trial, table, layout),
            vocab_size=vocab_size,
            stack=stack,
            device=device,
            settings=settings,
            compiled=compiled,
        )

    try:
        _programs[key] = build()
    except torch.OutOfMemoryError:
        if not _programs:
            raise
        forget_programs()  # what earlier shapes still hold may be what is missing
        torch.cuda.empty_cache()
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
    except (MemoryError, torch.OutOfMemoryError) as error:
        forget_programs()
        raise OutOfMemoryError(f"out of memory: {error}") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        forget_programs()
        raise OutOfMemoryError(f"out of memory: {error}") from error


def _make_room(needed: int) -> None:
    while _programs and (
        len(_programs) >= MOST_PROGRAMS or needed + sum(p.bytes for p in _programs.values()) > MOST_BYTES
    ):
        _programs.popitem(last=False)
