"""What a trainer promises: trials in, an outcome each out. The engine that ships is one trainer among several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.settings import WorkerSettings

__all__ = ["Prune", "Resources", "Trainer"]

Prune = Callable[[Trial, int, float], bool]
"""Asked at a few steps with (trial, steps done, held-out loss); True ends the trial as pruned."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one trial takes while it runs. None: what the executor gives a worker anyway."""

    cpus: float | None = None
    gpus: float | None = None


class Trainer(Protocol):
    """One trainer. `hptransfer.testing.check_trainer` holds an entry to this."""

    together: bool
    """Whether trials of one shape may ride in one pack; otherwise each has a pack of its own."""

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        """Train every trial and yield its outcome as soon as it is there, in the order given.

        Raises `OutOfMemoryError` where a pack does not fit, so that it can be halved.
        """

    def resources(self, trial: Trial) -> Resources:
        """What the trial takes."""

    def cost(self, trial: Trial) -> object:
        """A `training.flops.TrialCost`: its size and work, for packing, plans and rows; nothing is allocated."""
