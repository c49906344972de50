"""What every executor promises, and what comes back from one pack.

The contract, kept by one conformance suite for all executors: every pack handed to `submit` comes back from `wait`
exactly once, as a report that holds the outcomes that finished and, where some did not, the one reason why. An
executor never retries, never reorders what it reports inside a pack and never raises because a trial failed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal, Self

from hptransfer.execute.pack import Pack
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.settings import WorkerSettings

__all__ = ["Executor", "FailureKind", "Launch", "PackFailure", "PackReport"]

FailureKind = Literal["memory", "lost", "raised", "breach", "dropped"]


@dataclass(frozen=True, slots=True)
class PackFailure:
    """Why a pack did not finish.

    `memory`: it did not fit; `lost`: its worker or node died; `raised`: a trial raised; `breach`: an entry
    that the study names breaks its contract; `dropped`: it was still waiting, or between two trials, when the executor
    was told to drain.
    """

    kind: FailureKind
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


@dataclass(frozen=True, slots=True)
class Launch:
    """What an executor is started with."""

    settings: WorkerSettings = field(default_factory=WorkerSettings)
    address: str | None = None
    """Where workers are to be found, such as a running cluster (`host:port`); None: on this machine."""
    workers: int | None = None
    """Packs at the same time; None: one for each GPU, else one for every `settings.threads` cores."""
    folder: str | None = None
    """The results folder on this machine, for an executor that keeps records of its own; None: there is none."""
    dashboard: bool = False


class Executor(ABC):
    """Where packs run. Used by one thread."""

    workers: int
    """Packs that run at the same time."""

    stacks: bool = False
    """Whether a worker trains the trials of a pack side by side, as on a GPU, rather than one after another."""

    @abstractmethod
    def __init__(self, launch: Launch) -> None:
        """Start. What of `launch` it cannot follow, an executor refuses with an InputError."""

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

    def __exit__(self, *error: object) -> None:
        self.close()
