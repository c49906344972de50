"""The arithmetic behind the progress line: what is planned and done, and how long the rest will take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hptransfer.execute.base import PackReport
from hptransfer.execute.observer import Counts
from hptransfer.execute.pack import Pack

__all__ = ["Tally"]


def _weight(pack: Pack) -> float:
    """FLOPs where they are known, else trials: only ratios are used."""
    return pack.cost or float(len(pack.trials))


@dataclass
class Tally:
    """Counts planned and stored trials and the work left, in the packs' own unit of cost."""

    expected: int = 0
    phase: str = ""
    pack_wall_s: float = 0.0
    """Wall time of a pack, smoothed over the last few."""
    _planned: set[str] = field(default_factory=set)
    _stored: set[str] = field(default_factory=set)
    _diverged: int = 0
    _best: float = math.nan
    _left: float = 0.0
    _done: float = 0.0
    _started: float = math.nan

    def plan(self, ids: Iterable[str], phase: str) -> None:
        """Trials asked for in a phase."""
        self._planned.update(ids)
        self.phase = phase

    def done_row(self, row: Mapping[str, Any]) -> None:
        """A stored trial; counted once however often it is named."""
        if row["trial_id"] in self._stored:
            return
        self._stored.add(row["trial_id"])
        self._diverged += row["status"] == "diverged"
        if math.isfinite(row["loss"]):
            self._best = min(row["loss"], self._best) if math.isfinite(self._best) else row["loss"]

    def queued(self, pack: Pack) -> None:
        """A pack that will have to run (again)."""
        self._left += _weight(pack)

    def start(self) -> None:
        """The clock of the estimate starts with the executor."""
        self._started = time.monotonic()

    def landed(self, report: PackReport) -> None:
        """A pack that came back, whatever became of it."""
        weight = _weight(report.pack)
        self._left -= weight
        self._done += weight * len(report.outcomes) / len(report.pack.trials)
        share = 0.3 if self.pack_wall_s else 1.0
        self.pack_wall_s += share * (report.wall_s - self.pack_wall_s)

    def counts(self, *, failed: int, in_flight: int, workers: int) -> Counts:
        """The state as the progress line and `running.json` show it."""
        eta = (time.monotonic() - self._started) * self._left / self._done if self._done > 0 else math.nan
        return Counts(
            planned=max(self.expected, len(self._planned)),
            stored=len(self._stored),
            diverged=self._diverged,
            failed=failed,
            in_flight=in_flight,
            workers=workers,
            best_loss=self._best,
            eta_s=eta,
            phase=self.phase,
        )
