"""What an observer is told while a study runs. Observers only look: one that raises is dropped, with a word, and the
study goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hptransfer.execute.progress import Counts
from hptransfer.study.study import Study
from hptransfer.study.trial import CurvePoint

__all__ = ["Observer"]


class Observer(Protocol):
    """One observer. `hptransfer.testing.check_observer` holds an entry to this."""

    def started(self, study: Study, uri: str) -> None:
        """A study begins (or goes on) whose results lie at `uri`."""

    def counted(self, counts: Counts) -> None:
        """Where the sweep stands; called often, so it must be quick."""

    def stored(self, row: Mapping[str, Any], curve: Sequence[CurvePoint]) -> None:
        """A trial ended and its row is safe; rows that were stored before are not told again."""

    def message(self, text: str) -> None:
        """A line for a person: a trial that failed, a warning."""

    def finished(self, counts: Counts, sentence: str) -> None:
        """The study ended, was interrupted or failed; `sentence` is the verdict's, empty without one."""
