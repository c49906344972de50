"""Short measurements that settle what cannot be known beforehand: precision, seconds per step, trials in a stack."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch.utils import _pytree as pytree

from hptransfer.common.errors import OutOfMemoryError
from hptransfer.common.number_text import quantity
from hptransfer.study.pieces import Precision
from hptransfer.study.trial import Trial
from hptransfer.training.ask_task import batch_of, tokens_per_step
from hptransfer.training.build import initial_state
from hptransfer.training.compiling import SMALL_FLOPS
from hptransfer.training.flops import cost_of
from hptransfer.training.memory import MEMORY_SHARE, memory_of, micro_batches
from hptransfer.training.process import prepare_process
from hptransfer.training.program import CannotStackError, Program
from hptransfer.training.program_cache import forget_programs, memory_errors, program_for
from hptransfer.training.settings import BUCKETS, WorkerSettings
from hptransfer.training.step_numbers import step_numbers
from hptransfer.training.trainer import cost_by_trainer

__all__ = ["calibrate_precision", "seconds_per_step", "stack_size", "time_program"]

GAIN = 1.1
"""bf16, or a larger stack, must be faster by this factor to be chosen."""

WORTH_RECKONING = 1e12
"""FLOPs of a step from which on its time is reckoned before it is run."""

PATIENCE_S = 5.0
"""Seconds that a step may take to be timed, and after which a timing is not repeated."""


def calibrate_precision(trial: Trial, settings: WorkerSettings) -> Precision:
    """bf16 where it multiplies the trial's largest matrices faster, casts included; fp32 elsewhere.

    A trial too small to be compiled stays in fp32, which is exact and costs it nothing.
    """
    if cost_by_trainer(trial).flops_dense < SMALL_FLOPS:
        return "fp32"
    device = prepare_process(settings)
    tokens = min(4096, tokens_per_step(trial))
    return _faster_precision(str(device), tokens, min(2048, trial.width))


@functools.cache
def _faster_precision(device: str, tokens: int, width: int) -> Precision:
    x = torch.randn(tokens, width, device=device)
    weight = torch.randn(4 * width, width, device=device)

    def exact() -> None:
        y = x @ weight.t()
        y @ weight
        y.t() @ x

    def rough() -> None:
        narrow = weight.bfloat16()
        y = x.bfloat16() @ narrow.t()
        y @ narrow
        (y.t() @ x.bfloat16()).float()

    return "bf16" if _median_seconds(exact, device) > GAIN * _median_seconds(rough, device) else "fp32"


@functools.cache
def _matmul_rate(device: str, precision: str) -> float:
    """FLOPs per second in the product of two large matrices."""
    side = 2048
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    return float(2 * side**3 / _median_seconds(lambda: a @ a, device))


def seconds_per_step(trial: Trial, settings: WorkerSettings) -> float:
    """Seconds one worker needs for one step of one such trial, measured in a full pack; compiling is not counted.

    A step that would take long is not run but reckoned from the speed of a large matrix product. Raises
    `OutOfMemoryError` where the trial does not fit.
    """
    device = prepare_process(settings)
    cost, room, parts = cost_of(trial), memory_of(device), micro_batches(trial, settings, device)
    needed = min(cost.memory_bytes(parts), cost.memory_bytes(parts, sparse=True))
    if needed > room:
        raise OutOfMemoryError(
            f"a trial of width {trial.width} takes {quantity(needed, 'B')}, {device} has {quantity(room, 'B')}"
        )
    flops = cost.flops_dense / trial.training.steps
    if flops > WORTH_RECKONING:
        seconds = flops / _matmul_rate(str(device), trial.training.precision)
        if seconds > PATIENCE_S:
            return seconds
    with memory_errors():
        stack = stack_size([trial] * BUCKETS[-1], settings, device)
        try:
            program = program_for(trial, settings, device, stack)
        except CannotStackError:
            program = program_for(trial, settings, device, 1)
        return time_program(program, trial)


def time_program(program: Program, trial: Trial, repeats: int = 7) -> float:
    """Median seconds of a step over `repeats`, a trial. Leaves the program's slots to be filled anew."""
    tensors = initial_state(trial, program.layout)
    for slot in range(program.stack):
        program.load(slot, tensors)
    batches = pytree.tree_map(lambda x: x.expand(program.stack, *x.shape), batch_of(trial, 0))
    numbers = torch.tensor([list(step_numbers(trial.training, 0).values())] * program.stack, device=program.device)
    step = functools.partial(program.step, batches, numbers)
    return _median_seconds(step, str(program.device), repeats) / program.stack


def stack_size(trials: Sequence[Trial], settings: WorkerSettings, device: torch.device) -> int:
    """How many of these trials to train at once: one on a CPU, the calibrated bucket on a GPU."""
    if settings.stack is not None:
        return settings.stack
    if device.type == "cpu" or len(trials) == 1:
        return 1
    key = (trials[0].shape_key, str(device))
    if key not in _best_stack:
        _best_stack[key] = _calibrate_stack(trials[0], settings, device)
        forget_programs()
    return min(_best_stack[key], next(b for b in BUCKETS if b >= min(len(trials), BUCKETS[-1])))


_best_stack: dict[tuple[str, str], int] = {}


def _calibrate_stack(trial: Trial, settings: WorkerSettings, device: torch.device) -> int:
    """The bucket after which a larger one is not worth its memory.

    Measured eagerly, because a bucket is compiled only once it is chosen; where stacking stops to pay is the same.
    """
    free, _ = torch.cuda.mem_get_info(device)
    fits = max(1, int(MEMORY_SHARE * free / cost_of(trial).memory_bytes()))
    best, best_seconds = 1, float("inf")
    eager = replace(settings, compile="never")
    for bucket in BUCKETS:
        if bucket > fits:
            break
        try:
            seconds = time_program(program_for(trial, eager, device, bucket), trial)
        except (CannotStackError, torch.OutOfMemoryError):
            break
        if seconds * GAIN > best_seconds:
            break
        best, best_seconds = bucket, seconds
    return best


def _median_seconds(work: Callable[[], object], device: str, repeats: int = 7) -> float:
    on_gpu = device.startswith("cuda")
    took: list[float] = []
    while len(took) < repeats + 2 and not (len(took) > 1 and sum(took) > PATIENCE_S):
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return statistics.median(took[min(2, len(took) - 1) :])
