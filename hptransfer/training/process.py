"""Settings of a worker process as a whole: memory allocator, threads, matmul precision, compiler cache. Idempotent."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import resource
import sys
from collections.abc import Callable

import torch

from hptransfer.common.errors import InputError
from hptransfer.training.settings import WorkerSettings

__all__ = ["device_name", "device_of", "hand_back_memory", "peak_memory", "prepare_process", "workers_here"]

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1


def prepare_process(settings: WorkerSettings) -> torch.device:
    """Set this process up for training and return the device to train on."""
    keep_freed_memory()
    for folder in reversed(settings.sys_path):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    if settings.cache_dir is not None:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = settings.cache_dir
    if torch.get_num_threads() != settings.threads:
        torch.set_num_threads(settings.threads)
    device = device_of(settings)
    torch.set_float32_matmul_precision("medium" if device.type == "cpu" and fast_matmul() else "highest")
    return device


def device_of(settings: WorkerSettings) -> torch.device:
    """The device these settings mean on this machine. Refuses a GPU where there is none."""
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise InputError(
            "there is no GPU here that torch can use",
            where="--device",
            found="cuda",
            allowed="auto, cpu",
            hint="where only the cluster has GPUs, leave --device at auto and name training.precision",
        )
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")


def workers_here(settings: WorkerSettings) -> int:
    """How many workers this machine has room for: one a GPU, or one for every `threads` cores."""
    if device_of(settings).type == "cuda":
        return torch.cuda.device_count()
    return max(1, len(os.sched_getaffinity(0)) // settings.threads)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep freed buffers instead of handing them back at every step; other C libraries are left alone."""
    mallopt = _of_glibc("mallopt")
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def hand_back_memory() -> None:
    """Give what is freed and still kept back to the system and to the GPU: memory has run out."""
    gc.collect()
    _of_glibc("malloc_trim")(0)
    torch.cuda.empty_cache()


def _of_glibc(name: str) -> Callable[..., object]:
    """The function of that name; one that does nothing where the C library is another."""
    try:
        function: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return lambda *numbers: None
    return function


@functools.cache
def fast_matmul() -> bool:
    """Whether this CPU's "medium" matmul precision keeps full fp32 accuracy, as oneDNN does on AMD; measured.

    Elsewhere "medium" may round to bf16 (Intel AMX). There fp32 stays what it says and "highest" is used.
    """
    before = torch.get_float32_matmul_precision()
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=draw) for _ in range(2))
    torch.set_float32_matmul_precision("medium")
    try:
        error = (a @ b - (a.double() @ b.double())).norm() / (a.double() @ b.double()).norm()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < 1e-5)


def peak_memory(device: torch.device) -> int:
    """Peak of the process on a CPU, of torch's allocator on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def device_name(device: torch.device) -> str:
    """As rows name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
