"""Which layers to compute sparsely: a short measurement of both ways on the device, kept on disk.

The choice changes the order of sums and nothing else, so it is no part of a trial's identity.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.func import vmap

from hptransfer.common.cache import cache_dir as users_cache
from hptransfer.common.choices import Products
from hptransfer.common.files import digest_of, whole_file
from hptransfer.sparsity.indices import prepare_indices
from hptransfer.sparsity.kernel import load_kernel, processor
from hptransfer.sparsity.linear import values_of
from hptransfer.sparsity.masks import make_mask
from hptransfer.sparsity.products import sparse_linear
from hptransfer.study.pieces import Precision

__all__ = ["LayerShape", "Timing", "choose_products", "measure_layer"]

MOST_DENSITY = 0.5
"""Above this the sparse products cannot win and nothing is measured."""
MARGIN = 0.65
"""Sparse is chosen when it takes at most this share of the dense time. Inside a compiled step a dense product is
cheaper to start and to fuse than here: at a share of 0.75 a whole step was 5% slower (d = 512, 1024; density 1/4)."""
_FLOPS = 1e10
_MOST_WEIGHTS = 2**24
_MOST_STACKED = 8
_ROUNDS = (5, 30)
_SECONDS = 0.5
"""A measurement ends between the least and the most rounds, once this time is spent."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What the speed of a layer depends on, besides the machine."""

    out_features: int
    in_features: int
    nonzeros: int
    tokens: int
    """Tokens a step."""
    precision: Precision
    stack: int = 1
    """Trials side by side: one batched product if dense, one after another if sparse."""

    @property
    def density(self) -> float:
        return self.nonzeros / (self.out_features * self.in_features)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of the three products: the least of interleaved runs, which what else the machine does moves little."""

    dense: float
    sparse: float

    @property
    def wins(self) -> bool:
        """Whether the sparse products are faster beyond doubt."""
        return self.sparse <= MARGIN * self.dense


def choose_products(
    layers: Mapping[str, LayerShape], products: Products, device: torch.device, cache_dir: str | None = None
) -> frozenset[str]:
    """Names of the layers to hold and compute as non-zeros.

    `auto` measures each distinct shape once a machine: the timings lie in `cache_dir` (by default the user's cache
    folder), so that every worker on it chooses alike.
    """
    if products == "dense":
        return frozenset()
    if products == "sparse":
        return frozenset(layers)
    folder = Path(cache_dir) if cache_dir is not None else users_cache()
    threads, able = torch.get_num_threads(), {name: s for name, s in layers.items() if s.density <= MOST_DENSITY}
    return frozenset(name for name, shape in able.items() if _timing(shape, device, folder, threads).wins)


@cache
def _timing(shape: LayerShape, device: torch.device, folder: Path, threads: int) -> Timing:
    """The timing of a shape: from this process, from disk, or measured now."""
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    kernel = load_kernel()
    what = [asdict(shape), machine, threads, torch.__version__, kernel and kernel.path.name]  # which names its source
    path = folder / f"products-{digest_of(json.dumps(what, sort_keys=True), 16)}.json"
    stored = _read(path)
    if stored is not None:
        return stored
    timing = measure_layer(shape, device)
    _write(path, timing)
    return _read(path) or timing  # another worker may have been first, and all of them choose alike


def _read(path: Path) -> Timing | None:
    """A stored timing; None where there is none or it cannot be read."""
    try:
        return Timing(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, timing: Timing) -> None:
    """Keep a timing for the next process, unless another was first. A folder that cannot be written costs a new
    measurement, no more."""
    torn = path.exists() and _read(path) is None
    with suppress(OSError), whole_file(path, keep=not torn) as temporary:
        temporary.write_text(json.dumps(asdict(timing)), encoding="utf-8")


def measure_layer(shape: LayerShape, device: torch.device) -> Timing:
    """Time Y, dX and dW of one layer both ways, interleaved; the global random state is untouched.

    A layer too large for a short measurement is stood in for by a smaller one of the same density, and a long batch
    by a part of it: both ways take time in proportion.
    """
    shape = _shortened(shape)
    dense, sparse = runs = _runs(shape, device)
    took: dict[Callable[[], object], list[float]] = {dense: [], sparse: []}
    for run in runs:
        run()  # the first round warms up: buffers, threads, the kernel's own build
    start = time.perf_counter()
    for i in range(_ROUNDS[1]):
        for run in runs:
            took[run].append(_seconds(run, device))
        if i + 1 >= _ROUNDS[0] and time.perf_counter() - start > _SECONDS:
            break
    return Timing(min(took[dense]), min(took[sparse]))


def _shortened(shape: LayerShape) -> LayerShape:
    """The same density in at most `_MOST_WEIGHTS` weights, and tokens that keep one dense pass below `_FLOPS`."""
    out, inn, stack = shape.out_features, shape.in_features, min(shape.stack, _MOST_STACKED)
    while out * inn > _MOST_WEIGHTS:
        out, inn = (out // 2, inn) if out >= inn else (out, inn // 2)
    tokens = min(shape.tokens, max(64, int(_FLOPS / (6 * out * inn))))
    return LayerShape(out, inn, max(1, round(shape.density * out * inn)), tokens, shape.precision, stack)


def _runs(shape: LayerShape, device: torch.device) -> tuple[Callable[[], object], Callable[[], object]]:
    """The dense and the sparse pass, as autocast runs them; weights are fp32."""
    dtype = torch.bfloat16 if shape.precision == "bf16" else torch.float32
    draw = torch.Generator().manual_seed(0)
    size = (shape.out_features, shape.in_features)
    mask = make_mask(size, shape.nonzeros, seed=0, name="timing").to(device)
    weight = torch.randn(size, generator=draw).to(device) * mask
    indices = prepare_indices(mask)
    x = torch.randn(shape.tokens, size[1], generator=draw).to(device, dtype)
    grad = torch.randn(shape.tokens, size[0], generator=draw).to(device, dtype)
    values = values_of(weight, mask)
    if shape.stack > 1:
        weight, x, grad, values = (t.expand(shape.stack, *t.shape).clone() for t in (weight, x, grad, values))
    for leaf in (weight, x, values):
        leaf.requires_grad_()
    multiply = F.linear if shape.stack == 1 else lambda x, weight: torch.bmm(x, weight.transpose(1, 2))
    sparse_multiply = sparse_linear if shape.stack == 1 else vmap(sparse_linear, in_dims=(0, 0, None))

    def dense() -> object:
        dx, dw = torch.autograd.grad(multiply(x, weight.to(dtype)), (x, weight), grad)
        return dx, dw.mul_(mask)

    def sparse() -> object:
        return torch.autograd.grad(sparse_multiply(x, values, indices), (x, values), grad)

    return dense, sparse


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
