"""What every executor promises, and what comes back from one pack.

The contract, kept by one conformance suite for all executors: every pack handed to `submit` comes back from `wait`
exactly once, as a report that holds the outcomes that finished and, where some did not, the one reason why. An
executor never retries, never reorders what it reports inside a pack and never raises because a trial failed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from hptransfer.trial import Outcome, Pack, Phase, Trial

__all__ = ["Executor", "FailureKind", "PackFailure", "PackReport", "packs_by_shape"]

FailureKind = Literal["memory", "lost", "raised", "dropped"]


@dataclass(frozen=True, slots=True)
class PackFailure:
    """Why a pack did not finish.

    `memory`: it did not fit; `lost`: its worker or node died; `raised`: a trial raised; `dropped`: it was still
    waiting, or between two trials, when the executor was told to drain.
    """

    kind: FailureKind
    trial_id: str = ""
    """The trial at fault; empty where several were in hand and it cannot be told."""
    text: str = ""
    """Traceback or reason, for the log of the failure."""


@dataclass(frozen=True, slots=True)
class PackReport:
    """What became of a pack: the outcomes that finished, and why the others did not."""

    pack: Pack
    outcomes: tuple[Outcome, ...]
    failure: PackFailure | None
    host: str
    pid: int
    wall_s: float

    @property
    def unfinished(self) -> tuple[Trial, ...]:
        """Trials of the pack without an outcome, in order."""
        done = {outcome.trial_id for outcome in self.outcomes}
        return tuple(trial for trial in self.pack.trials if trial.id not in done)


class Executor(ABC):
    """Where packs run. Used by one thread."""

    workers: int
    """Packs that run at the same time."""

    @abstractmethod
    def submit(self, pack: Pack) -> None:
        """Take a pack; returns at once."""

    @abstractmethod
    def wait(self, timeout: float) -> list[PackReport]:
        """Reports of packs that came back, at most after `timeout` seconds; empty when none did.

        An executor that runs packs in this very process runs one now, however long it takes.
        """

    def drain(self) -> None:
        """Start no further trial where that can be helped. What runs comes back from `wait` as ever."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Stop at once and leave nothing behind. Closing twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def packs_by_shape(trials: Sequence[Trial], phase: Phase, most: int = 4) -> list[Pack]:
    """Trials of one shape together, `most` a pack at most, the largest trials first.

    The cost is a plain stand-in for FLOPs, non-zero weights times tokens: it only has to order packs.
    """
    by_shape: dict[str, list[Trial]] = {}
    for trial in trials:
        by_shape.setdefault(trial.shape_key, []).append(trial)
    packs = []
    for group in by_shape.values():
        one = group[0]
        cost = float(one.width**2 * one.depth * one.tokens) * (0.25 + 0.75 * one.density)
        packs += [
            Pack(phase, part, cost * len(part))
            for part in (tuple(group[i : i + most]) for i in range(0, len(group), most))
        ]
    return sorted(packs, key=lambda pack: -pack.cost)
