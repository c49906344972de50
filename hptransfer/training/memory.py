"""Into how many micro-batches a batch is cut, so that a trial fits into the memory of its worker.

The gradients of the micro-batches add up to that of the batch, so the numbers of a trial differ by rounding alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import torch

from hptransfer.study.trial import Trial
from hptransfer.training.flops import TrialCost, cost_of
from hptransfer.training.process import workers_here
from hptransfer.training.settings import WorkerSettings

__all__ = ["MEMORY_SHARE", "cut_smaller", "memory_of", "micro_batches", "micro_batches_for", "room_for_a_trial"]

MEMORY_SHARE = 0.7
"""Share of a device's memory that trials are planned into: the estimate of what they take is rough."""

_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's memory limit is said, in version 2 and version 1 of control groups."""

_found: dict[tuple[str, str], int] = {}
"""By shape and device, what was found out by running out of memory."""


def memory_of(device: torch.device) -> int:
    """Bytes of memory of the device; on a CPU no more than a container leaves."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _LIMIT_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or it says `max`
            limits.append(int(file.read_text()))
    return min(limits)


def room_for_a_trial(settings: WorkerSettings, device: torch.device) -> int:
    """Bytes that one trial should stay below: the workers of a CPU share its memory, a GPU has one worker."""
    sharers = workers_here(settings) if device.type == "cpu" else 1
    return int(MEMORY_SHARE * memory_of(device) / sharers)


def micro_batches(trial: Trial, settings: WorkerSettings, device: torch.device) -> int:
    """Into how many equal parts this worker cuts the trial's batch: as told, as found out, or as estimated."""
    if settings.micro_batches is not None:
        return settings.micro_batches
    found = _found.get((trial.shape_key, str(device)))
    return found or micro_batches_for(cost_of(trial), trial.training.batch_size, room_for_a_trial(settings, device))


def micro_batches_for(cost: TrialCost, batch_size: int, room: int) -> int:
    """The fewest equal parts of a batch with which the trial takes at most `room` bytes.

    With its sparse layers held dense if that fits at all, else held as their non-zeros; one sequence at a time where
    neither does.
    """
    parts = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
    fitting = (n for sparse in (False, True) for n in parts if cost.memory_bytes(n, sparse=sparse) <= room)
    return next(fitting, batch_size)


def cut_smaller(trial: Trial, settings: WorkerSettings, device: torch.device) -> bool:
    """After the trial ran out of memory: halve its micro-batches from now on. False if they cannot get smaller."""
    size, now = trial.training.batch_size, micro_batches(trial, settings, device)
    if settings.micro_batches is not None or now == size:
        return False
    _found[trial.shape_key, str(device)] = next((n for n in range(2 * now, size) if size % n == 0), size)
    return True
