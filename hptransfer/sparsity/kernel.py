"""The optional C kernel of the sparse products: built once by the system's compiler, then loaded with ctypes.

Built at first use into a cache folder under a name that holds a hash of the source, the compiler and the processor's
features, so a home folder shared by unlike machines is safe, and put in place by an atomic rename, so workers may
build it at the same time. Without a compiler, or when it refuses the source, `load_kernel` returns None and the
products run on stock PyTorch operators.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from hptransfer.common.cache import cache_dir
from hptransfer.common.files import digest_of, whole_file
from hptransfer.sparsity.indices import SparseIndices

__all__ = ["Kernel", "build_kernel", "find_compiler", "load_kernel", "open_kernel", "processor"]

SOURCE = Path(__file__).with_name("kernel.c")
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
UNIT_BYTES = 64
MOST_UNITS = 4
TILE_BYTES = 512 * 1024
"""Above it, half of a second-level cache of one MiB, the forward product is faster with smaller tiles. Not so the
backward pass, whose dot products are summed up once a tile."""

_log = logging.getLogger(__name__)
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """The loaded library. Takes contiguous CPU tensors: fp32 values, int32 indices, fp32 or bf16 activations.

    Beside bf16 activations the values are rounded to bf16, and so is their gradient.
    """

    path: Path
    forward_of: dict[torch.dtype, Callable[..., int]]
    backward_of: dict[torch.dtype, Callable[..., int]]

    def takes(self, x: Tensor, values: Tensor) -> bool:
        """Whether the kernel knows these types and this device."""
        return x.device.type == "cpu" and values.dtype == torch.float32 and x.dtype in self.forward_of

    def forward(self, x: Tensor, values: Tensor, ix: SparseIndices) -> Tensor:
        """y = x Wᵀ for x of shape (…, in); returns (…, out) in x's type."""
        y = x.new_empty(*x.shape[:-1], ix.out_features)
        tensors = (x, values, ix.crow, ix.col, y)
        most = MOST_UNITS if MOST_UNITS * UNIT_BYTES * ix.in_features <= TILE_BYTES else 2
        _check(self.forward_of[x.dtype](*(t.data_ptr() for t in tensors), *_sizes(x, ix, most)))
        return y

    def backward(self, grad: Tensor, x: Tensor, values: Tensor, ix: SparseIndices) -> tuple[Tensor, Tensor]:
        """dx of x's shape and type, and the gradient of `values`, in fp32."""
        dx, dw = torch.empty_like(x), torch.empty_like(values)
        tensors = (grad, x, values, *ix, dx, dw)
        _check(self.backward_of[x.dtype](*(t.data_ptr() for t in tensors), *_sizes(x, ix, MOST_UNITS)))
        return dx, dw


def _sizes(x: Tensor, ix: SparseIndices, most: int) -> tuple[int, int, int, int, int]:
    """Non-zeros, tokens, in, out and the units (64 bytes of tokens a feature) of a tile, 1, 2 or 4: at most `most`, and
    no more than hold the tokens."""
    tokens, units = x.numel() // max(1, ix.in_features), most
    while units > 1 and (units // 2) * UNIT_BYTES // x.element_size() >= tokens:
        units //= 2
    return ix.nonzeros, tokens, ix.in_features, ix.out_features, units


def _check(failed: int) -> None:
    if failed == 1:
        raise MemoryError("no memory for the tiles of a sparse product")
    if failed:
        raise ValueError("the index tensors do not belong to these values")


def find_compiler() -> str | None:
    """Path of the system's C compiler: `$CC`, else cc, gcc or clang; None where there is none."""
    return next(
        (path for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (path := shutil.which(name))), None
    )


def processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join([platform.system(), platform.machine(), *sorted({x for x in lines if x.startswith(wanted)})])


def build_kernel(folder: Path, compiler: str) -> Path | None:
    """Path of the library in `folder`, compiled if it is not there yet; None when the compiler refuses."""
    key = digest_of(SOURCE.read_bytes() + "\n".join([compiler, *FLAGS, processor()]).encode(), 16)
    target = folder / f"sparse-{key}.so"
    if target.exists():
        return target
    try:
        with whole_file(target) as temporary:
            command = [compiler, *FLAGS, "-o", str(temporary), str(SOURCE)]
            subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.CalledProcessError as error:
        _log.info("no sparse kernel: %s refused the source: %s", compiler, error.stderr[:2000])
        return None
    return target


@cache
def load_kernel() -> Kernel | None:
    """The kernel for this process; None where it cannot be built or loaded. Tried once."""
    compiler = find_compiler()
    if compiler is None:
        return None
    try:
        path = build_kernel(cache_dir(), compiler)
        return None if path is None else open_kernel(path)
    except (OSError, subprocess.SubprocessError) as error:
        _log.info("no sparse kernel: %s", error)
        return None


def open_kernel(path: Path) -> Kernel:
    """Load a built library and declare its functions."""
    library = ctypes.CDLL(str(path))

    def declared(kind: str, pointers: int) -> dict[torch.dtype, Callable[..., int]]:
        functions = {dtype: getattr(library, f"{kind}_{name}") for dtype, name in _NAMES.items()}
        for function in functions.values():
            function.argtypes = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * 4 + [ctypes.c_int]
            function.restype = ctypes.c_int
        return functions

    return Kernel(path, declared("forward", 5), declared("backward", 10))
