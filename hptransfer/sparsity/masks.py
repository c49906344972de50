"""Which weights are zero: static masks with exact counts, drawn from (seed, tensor name) alone.

A mask does not depend on the global random state, the order of drawing, the process or the host, so two trials that
differ in LR or rule have the same zeros. With one (seed, name), a sparser `random` or `row` mask is a subset of a
denser one.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import Distribution

__all__ = ["empty_rows", "generator", "layer_densities", "make_mask", "nonzero_count"]


def generator(seed: int, name: str, purpose: str) -> torch.Generator:
    """A CPU generator that is the same in every process for one (seed, name, purpose)."""
    digest = hashlib.sha256(f"{seed}\0{name}\0{purpose}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def nonzero_count(
    shape: Sequence[int], density: float, *, kind: str = "random", out_dims: Sequence[int] = (0,), name: str = ""
) -> int:
    """The count that a density comes to: at least one weight per tensor (`random`) or per output row (`row`).

    The one place where a density becomes a count; from here on masks are asked for by their count.
    """
    rows, fan_in = _rows_and_fan_in(shape, out_dims)
    _check_density(density, name)
    keep, of = (1, 1) if kind in ("random", "row") else _pattern(kind)
    if density == 1.0:
        return rows * fan_in
    if kind == "random":
        return max(1, round(density * rows * fan_in))
    if kind == "row":
        return rows * max(1, round(density * fan_in))
    if abs(density - keep / of) > 1e-9:
        raise InputError(
            f"a {kind} mask has density {keep / of:g}",
            where=name or "density",
            found=density,
            allowed=f"{keep / of:g} or 1",
        )
    if fan_in % of:
        raise InputError(
            f"inputs do not divide into groups of {of}", where=name, found=fan_in, allowed=f"a multiple of {of}"
        )
    return rows * fan_in // of * keep


def make_mask(
    shape: Sequence[int], count: int, *, kind: str = "random", seed: int, name: str, out_dims: Sequence[int] = (0,)
) -> Tensor:
    """A boolean mask with exactly `count` weights kept, True where one is.

    `random`: anywhere; `row`: the same number for every output; `n:m`: n of every m consecutive inputs. `out_dims` are
    the dimensions that count outputs, (0,) for `nn.Linear` and convolutions; the others, flattened in order, are the
    inputs of one output.
    """
    if count == math.prod(shape):
        return torch.ones(tuple(shape), dtype=torch.bool)
    _check_count(shape, count, kind, out_dims, name)
    key = (tuple(shape), count, kind, seed, name, tuple(out_dims))
    kept = _places.get(key)
    if kept is None:
        mask = _draw_mask(shape, count, kind, generator(seed, name, "mask"), out_dims)
        _remember(key, mask.flatten().nonzero().flatten())
        return mask
    mask = torch.zeros(math.prod(shape), dtype=torch.bool)
    mask[kept.long()] = True
    return mask.view(tuple(shape))


_places: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()
"""Where the last masks keep a weight. Drawing costs more than anything else in starting a trial, and the trials of a
sweep that differ in LR or rule share their masks."""
_PLACES_BYTES = 128 * 2**20


def _remember(key: tuple[object, ...], kept: Tensor) -> None:
    """Keep the places, 4 bytes per weight kept, and let go of the oldest beyond the budget."""
    if 4 * kept.numel() > _PLACES_BYTES // 8 or (kept.numel() and int(kept[-1]) >= 2**31):
        return
    _places[key] = kept.int()
    while sum(4 * k.numel() for k in _places.values()) > _PLACES_BYTES:
        _places.popitem(last=False)


def _draw_mask(shape: Sequence[int], count: int, kind: str, draw: torch.Generator, out_dims: Sequence[int]) -> Tensor:
    rows, fan_in = _rows_and_fan_in(shape, out_dims)
    if kind == "random":
        flat = torch.zeros(rows * fan_in, dtype=torch.bool)
        flat[torch.randperm(rows * fan_in, generator=draw)[:count]] = True
        return flat.view(tuple(shape))
    if kind == "row":
        keep, groups, of = count // rows, rows, fan_in
    else:
        keep, of = _pattern(kind)
        groups = rows * fan_in // of
    order = torch.rand(groups, of, generator=draw).argsort(dim=1, stable=True)
    kept = torch.zeros(groups, of, dtype=torch.bool).scatter_(1, order[:, :keep], True)
    sizes = [shape[d] for d in out_dims] + [size for d, size in enumerate(shape) if d not in out_dims]
    return kept.view(sizes).movedim(tuple(range(len(out_dims))), tuple(out_dims)).contiguous()


def empty_rows(mask: Tensor, out_dims: Sequence[int] = (0,)) -> int:
    """How many outputs have no weight left: they are dead."""
    flat = mask.movedim(tuple(out_dims), tuple(range(len(out_dims))))
    return int((~flat.reshape(_rows_and_fan_in(mask.shape, out_dims))).all(dim=1).sum())


def layer_densities(shapes: Mapping[str, Sequence[int]], density: float, distribution: str) -> dict[str, float]:
    """Density of each layer, such that the whole has `density`.

    `uniform`: one density. `erk`: ∝ Σdims/Πdims (Evci et al. 2020), layers that would pass 1 stay dense and the others
    take up what is left.
    """
    _check_density(density)
    if distribution == "uniform" or density == 1.0:
        return dict.fromkeys(shapes, density)
    if distribution != "erk":
        allowed = ", ".join(get_args(Distribution))
        raise InputError("unknown distribution", where="sparsity.distribution", found=distribution, allowed=allowed)
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / size[name] for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        rest = [name for name in shapes if name not in full]
        if not rest:
            return dict.fromkeys(shapes, 1.0)
        budget = density * sum(size.values()) - sum(size[name] for name in full)
        scale = budget / sum(raw[name] * size[name] for name in rest)
        over = [name for name in rest if scale * raw[name] > 1.0]
        if not over:
            return {name: 1.0 if name in full else scale * raw[name] for name in shapes}
        full.update(over)


def _check_count(shape: Sequence[int], count: int, kind: str, out_dims: Sequence[int], name: str) -> None:
    rows, fan_in = _rows_and_fan_in(shape, out_dims)
    size = rows * fan_in
    if kind == "random":
        fits, allowed = 0 < count < size, f"1 to {size}"
    elif kind == "row":
        fits, allowed = 0 < count < size and count % rows == 0, f"a multiple of {rows}, up to {size}"
    else:
        keep, of = _pattern(kind)
        fits, allowed = fan_in % of == 0 and count == size // of * keep, f"{size // of * keep} or {size}"
    if not fits:
        raise InputError(f"no {kind} mask has this many weights", where=name, found=count, allowed=allowed)


def _check_density(density: float, name: str = "") -> None:
    if not 0 < density <= 1:
        raise InputError("not a density", where=name or "density", found=density, allowed="above 0, at most 1")


def _pattern(kind: str) -> tuple[int, int]:
    keep, _, of = kind.partition(":")
    if not (keep.isdigit() and of.isdigit() and 0 < int(keep) <= int(of)):
        raise InputError(
            "unknown kind of mask", where="sparsity.kind", found=kind, allowed="random, row, n:m with n ≤ m"
        )
    return int(keep), int(of)


def _rows_and_fan_in(shape: Sequence[int], out_dims: Sequence[int]) -> tuple[int, int]:
    rows = math.prod(shape[d] for d in out_dims)
    return rows, math.prod(shape) // rows
