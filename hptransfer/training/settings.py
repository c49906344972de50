"""What a worker process is told besides its trials. Nothing here is part of a trial's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hptransfer.common.choices import Device, Products

__all__ = ["BUCKETS", "WorkerSettings"]

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Numbers of trials that a GPU may train stacked in one program: few, because each is compiled anew."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker runs packs; the numbers of a trial depend on it by rounding at most."""

    device: Device = "auto"
    """`auto`: CUDA where there is a GPU."""
    threads: int = 1
    """Threads of one worker on the CPU. Two workers of one thread beat one worker of two."""
    products: Products = "auto"
    """How sparse layers are computed."""
    compile: Literal["auto", "always", "never"] = "auto"
    """`auto`: compile where a compiler works and the trial is not tiny; `always`: fail where it does not."""
    stack: int | None = None
    """Train exactly this many trials stacked in one program; None: one on a CPU, calibrated on a GPU."""
    micro_batches: int | None = None
    """Work every batch off in exactly this many equal parts; None: as few as memory asks for."""
    cache_dir: str | None = None
    """Folder of compiled programs, kept between processes; None: torch's own choice."""
    checkpoint_dir: str | None = None
    """Folder of checkpoints; None: none are written."""
    checkpoint_every_s: float = 180.0
    """Seconds between two checkpoints of a trial."""
    log_dir: str | None = None
    """Folder for the worker's logs."""
    sys_path: tuple[str, ...] = ()
    """Folders put at the front of the import path, for a user's own factory."""
