"""What goes into a softmax, attention's logits above all, made visible while a model runs.

No module hands scores out, and a fused kernel never builds them. Their scale is nowhere else to be seen: under a head
size that grows, 1/√d in the place of 1/d leaves every module's output, gradient and update as it should be, and lets
the scores grow by √d as queries and keys learn of each other.

What is added to them and not learned, as ALiBi adds a distance, is no doing of a rule: its mean changes with the number
of heads. It is left out of their size, as it is where attention is fused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

__all__ = ["ShowScores", "unmasked"]

_SOFTMAXES = (F.softmax, torch.softmax, Tensor.softmax)
_ADD = frozenset((torch.add, torch.sub, Tensor.add, Tensor.sub, Tensor.__add__, Tensor.__sub__, Tensor.__radd__))
_MASK = frozenset((torch.masked_fill, Tensor.masked_fill, torch.where, Tensor.where, Tensor.float, Tensor.to))
MASKED = -1e4
"""Below this a score is masked, however a model writes that."""


def unmasked(scores: Tensor) -> Tensor:
    """The scores, 0 where they are masked."""
    return torch.where(scores > MASKED, scores, 0.0)


class ShowScores(TorchFunctionMode):
    """While it is entered `seen` is called with the input of every softmax. Attention is written out for it."""

    def __init__(self, seen: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._seen = seen
        self._learned: Any = WeakIdKeyDictionary()
        """By a tensor the values of it to which something that is not learned was added."""

    def learned(self, scores: Tensor) -> Tensor:
        """What was seen, without what is added to it and not learned, and 0 where it is masked."""
        return torch.where(scores > MASKED, self._learned.get(scores, scores), 0.0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if func in _SOFTMAXES:
            return self._softmax(func, *args, **kwargs)
        if func is F.multi_head_attention_forward:  # torch does not look into it; it looks these two up by name
            softmax = F.softmax
            with (
                patch.object(F, "scaled_dot_product_attention", self._attend),
                patch.object(F, "softmax", lambda *a, **k: self._softmax(softmax, *a, **k)),
            ):
                return func(*args, **kwargs)
        out = func(*args, **kwargs)
        if func in _ADD or func in _MASK:
            self._remember(func, args, out)
        return out

    def _remember(self, func: Any, args: Any, out: Tensor) -> None:
        """Follow a sum, and the masks behind it, as far as they leave every score in its place."""
        given = [x for x in args if isinstance(x, Tensor) and x.requires_grad and x.shape == out.shape]
        if len(given) != 1 or any(isinstance(x, Tensor) and x.requires_grad and x is not given[0] for x in args):
            return
        if func in _ADD and all(isinstance(x, Tensor) for x in args):
            self._learned[out] = self._learned.get(given[0], given[0].detach())
        elif func in _MASK and given[0] in self._learned:
            self._learned[out] = self._learned[given[0]]

    def _softmax(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        scores = args[0] if args else kwargs["input"]
        if scores.is_floating_point():
            self._seen(scores)
        return func(*args, **kwargs)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """What torch's function computes, by its own definition. Dropout is off wherever a check looks."""
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        self._seen(scores)
        if is_causal:
            late = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(late, -math.inf)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype is torch.bool else scores + attn_mask
        nothing = (scores == -math.inf).all(-1, keepdim=True)  # a place that may look nowhere gets 0
        return torch.softmax(scores.masked_fill(nothing, 0.0), -1).masked_fill(nothing, 0.0) @ value
