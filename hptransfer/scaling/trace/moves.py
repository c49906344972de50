"""Operators that move, cut and join the elements of a tensor, done to shadows of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["KEEPS", "MOVES", "moved", "none_like", "pieces_of"]

KEEPS = ("alias", "detach", "clone", "contiguous", "_to_copy", "lift_fresh", "dropout", "native_dropout")
"""These leave every element where it is."""

# fmt: off
MOVES = (
    "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "slice", "select", "split", "split_with_sizes",
    "unsafe_split", "unbind", "unsqueeze", "squeeze", "expand", "repeat", "flip", "roll", "alias", "detach", "clone",
    "contiguous", "_to_copy", "lift_fresh", "cat", "stack", "constant_pad_nd", "unfold", "index_select", "index",
)
# fmt: on


def pieces_of(out: Any) -> list[Tensor]:
    return [x for x in (out if isinstance(out, list | tuple) else [out]) if isinstance(x, Tensor)]


def none_like(like: Tensor) -> Tensor:
    return torch.full((1,), -1).expand(like.shape) if like.dim() else torch.tensor(-1)


def moved(
    name: str, func: Callable[..., Any], args: Any, kwargs: Mapping[str, Any], out: Any, shadows: Mapping[int, Tensor]
) -> list[Tensor | None]:
    """The operator on shadows of its tensors; None for a piece whose layout cannot be followed."""
    pieces = pieces_of(out)
    if name in KEEPS:
        return [next(iter(shadows.values()))] * len(pieces)

    def shadow(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return shadows[id(x)] if id(x) in shadows else none_like(x) if name in ("cat", "stack") else x

    tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    if name in ("index", "index_select") and any(x.is_meta and id(x) not in shadows for x in tensors):
        return [_guessed(next(iter(shadows.values())), piece) for piece in pieces]  # nobody knows what it takes
    try:
        if name in ("view", "_unsafe_view", "reshape"):
            return [shadow(args[0]).reshape(pieces[0].shape)]
        if name == "constant_pad_nd":
            return [func(shadow(args[0]), args[1], -1)]
        kept = {k: v for k, v in kwargs.items() if k not in ("dtype", "device", "memory_format")}
        return list(pieces_of(func(*pytree.tree_map(shadow, args), **kept)))
    except (NotImplementedError, RuntimeError):  # what can be done to the activation may not be to whole numbers
        return [None] * len(pieces)


def _guessed(origins: Tensor, piece: Tensor) -> Tensor | None:
    """Rows taken by an unknown index: all of them, where they fit."""
    every = torch.unique(origins)
    size = math.prod(piece.shape)
    return every.repeat(size // len(every) + 1)[:size].view(piece.shape) if 0 < len(every) <= size else None
