"""A pack: trials of one shape that a worker takes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hptransfer.common.files import digest_of
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
        return digest_of(",".join(t.id for t in self.trials), 10)

    def part(self, trials: tuple[Trial, ...]) -> Pack:
        """A pack of some of the trials, with their share of the cost."""
        return replace(self, trials=trials, cost=self.cost * len(trials) / len(self.trials))

    def halves(self) -> Sequence[Pack]:
        """Two packs of half the trials each; the pack itself when it holds a single trial."""
        middle = len(self.trials) // 2
        return (self.part(self.trials[:middle]), self.part(self.trials[middle:])) if middle else (self,)
