"""What acts on the loss only through some tensors: told by the autograd graph, before the backward pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["reached_without"]


def reached_without(loss: Tensor, cut: set[Any]) -> set[Any]:
    """Every node of the loss's graph that the gradient reaches though it stops at the nodes of `cut`."""
    reached: set[Any] = set()
    ahead = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in reached and node not in cut:
            reached.add(node)
            ahead.extend(following for following, _ in node.next_functions)
    return reached
