"""What an observer is told while a study runs, and how several are told at once.

Observers only look: one that raises is dropped, with a word, and the study goes on. They live in the driver's process
alone; workers know nothing of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hptransfer.common.number_text import duration
from hptransfer.common.seams import source_file
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint

__all__ = ["Counts", "Observer", "Observers"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a sweep stands. `stored` and what follows count planned trials alone."""

    planned: int = 0
    stored: int = 0
    diverged: int = 0
    failed: int = 0
    in_flight: int = 0
    """Trials handed to workers and not back yet; 0 while nothing runs, as between two phases."""
    workers: int = 0
    """0 while nothing has to run."""
    best_loss: float = math.nan
    """Lowest held-out loss of the planned trials so far; NaN when there is none."""
    eta_s: float = math.nan
    """Seconds to go, by the FLOPs done and left; NaN when it cannot be told yet."""
    phase: str = ""

    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{self.phase} {self.stored}/{self.planned}".strip()]
        if self.stored + self.failed < self.planned and math.isfinite(self.eta_s):
            parts.append(f"{duration(self.eta_s)} left")
        if math.isfinite(self.best_loss):
            parts.append(f"best loss {self.best_loss:.4f}")
        parts.append(f"{self.diverged} diverged")
        parts.append(f"{self.failed} failed")
        if self.workers:
            parts.append(f"{self.workers} worker{'s' if self.workers != 1 else ''}")
        return " · ".join(parts)


class Observer(Protocol):
    """One observer; a subclass overrides what it wants to hear. The sweep waits for each call, so none may take long.

    `started` comes first, `finished` last, each exactly once; `hptransfer.testing.check_observer` holds an entry to
    this.
    """

    def started(self, study: Study, uri: str) -> None:
        """A study begins (or goes on) whose results lie at `uri`."""

    def counted(self, counts: Counts) -> None:
        """Where the sweep stands; called often. `counts.in_flight` is 0 when it rests."""

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        """A trial ended and its row is safe; rows that were stored before are not told again."""

    def message(self, text: str) -> None:
        """A line for a person: a trial that failed."""

    def finished(self, counts: Counts, sentence: str) -> None:
        """The study ended, was interrupted or failed; `sentence` is the verdict's, empty without one."""


class Observers(Observer):
    """Several observers told as one, in their order. Whatever one of them raises ends here, and its part with it."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._listening = list(observers)

    def started(self, study: Study, uri: str) -> None:
        for observer in tuple(self._listening):
            self._tell_one(observer, "started", study.model_copy(deep=True), uri)  # its own: the study goes on to run

    def counted(self, counts: Counts) -> None:
        self._tell("counted", counts)

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        for observer in tuple(self._listening):
            self._tell_one(observer, "stored", dict(row), curve)  # a copy each: the row goes on to whoever asked for it

    def message(self, text: str) -> None:
        self._tell("message", text)

    def finished(self, counts: Counts, sentence: str) -> None:
        self._tell("finished", counts, sentence)
        self._listening.clear()

    def _tell(self, what: str, *facts: Any) -> None:
        for observer in tuple(self._listening):
            self._tell_one(observer, what, *facts)

    def _tell_one(self, observer: Observer, what: str, *facts: Any) -> None:
        try:
            getattr(observer, what)(*facts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the boundary to an observer of a user's own: it may raise anything
            self._listening.remove(observer)
            name = f"{type(observer).__module__}:{type(observer).__qualname__}"
            with suppress(OSError):  # nobody need be there to read it
                print(
                    f"hptransfer: the observer {name}, from {source_file(observer)}, raised {type(error).__name__}: "
                    f"{error} (in {what}); it is told no more, and the study goes on",
                    file=sys.stderr,
                )
