"""CUDA graphs: launching the many short kernels of a small model costs more than running them, so replay them."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["captured"]

WARM_UPS = 3
"""Runs before the capture, as CUDA graphs ask for: libraries set themselves up in them."""


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step recorded once and replayed at every call.

    It must read and write tensors that stay where they are. It is run a few times here, so call this before the
    tensors are filled with a trial.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
