"""Tensors that are spread over processes: which are, and how a mask that every process holds whole is cut like one.

torch's `DTensor` is loaded only once a tensor turns out to be one: its import is slow, and most models have none.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["cut_like", "is_sharded", "local_part"]


def is_sharded(tensor: Tensor) -> bool:
    """Whether the tensor is a `DTensor`, as FSDP2 (`fully_shard`) and tensor parallelism make of parameters."""
    return hasattr(tensor, "placements")


def cut_like(mask: Tensor, tensor: Any) -> Tensor:
    """The mask, laid out as the tensor is. Nothing is sent: every process cuts its part out of the whole."""
    mask = local_part(mask)  # tensor parallelism makes a buffer one of those too, that each process holds whole
    if not is_sharded(tensor):
        return mask
    from torch.distributed.tensor import DTensor, Replicate

    mesh = tensor.device_mesh
    # A gradient may be a sum that is still to be taken over processes: each summand is masked whole.
    placements = [Replicate() if p.is_partial() else p for p in tensor.placements]
    whole = DTensor.from_local(mask, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return whole.redistribute(mesh, placements)


def local_part(tensor: Any) -> Tensor:
    """What this process holds of the tensor: all of it unless it is sharded."""
    local: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return local
