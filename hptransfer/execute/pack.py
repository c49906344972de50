"""A pack: trials of one shape that a worker takes together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.execute.pruning import Pruning
from hptransfer.study.trial import Phase, Trial

__all__ = ["Pack"]


@dataclass(frozen=True, slots=True)
class Pack:
    """Trials of one shape that train together as one program."""

    phase: Phase
    trials: tuple[Trial, ...]
    cost: float = 0.0
    """Estimated FLOPs, for running the longest first."""
    pruning: Pruning | None = None
    """Asked on the way whether a trial goes on; None: every trial does."""

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("a pack needs at least one trial")
        if len({t.shape_key for t in self.trials}) != 1:
            raise ValueError("the trials of a pack must share one shape")

    @property
    def id(self) -> str:
        """Short name for logs: a hash of the ids inside."""
        joined = ",".join(t.id for t in self.trials)
        return hashlib.sha256(joined.encode()).hexdigest()[:10]

    def halves(self) -> Sequence[Pack]:
        """Two packs of half the trials each; the pack itself when it holds a single trial."""
        if len(self.trials) == 1:
            return (self,)
        middle = len(self.trials) // 2
        return tuple(
            Pack(self.phase, part, self.cost * len(part) / len(self.trials), self.pruning)
            for part in (self.trials[:middle], self.trials[middle:])
        )
