"""How far a sweep is: one line that renews itself on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hptransfer.common.number_text import duration

__all__ = ["Counts", "Progress"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a sweep stands. `stored` and what follows count planned trials alone."""

    planned: int = 0
    stored: int = 0
    diverged: int = 0
    failed: int = 0
    in_flight: int = 0
    """Trials handed to workers and not back yet."""
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

    def document(self) -> dict[str, Any]:
        """As `running.json` holds it."""
        return asdict(self)


class Progress:
    """Shows `Counts` on a console (standard error by default). Usable as a context manager."""

    def __init__(self, console: Console | None = None, interval_s: float = 30.0) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._interval = interval_s
        self._live: Live | None = None
        self._last_shown = -math.inf
        self._last_line = ""

    def update(self, counts: Counts) -> None:
        """Show where the sweep stands; cheap to call often."""
        line = counts.line()
        now = time.monotonic()
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=False)
                self._live.start()
            if now - self._last_shown > 0.1 or line != self._last_line:
                self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
                self._last_shown = now
        elif now - self._last_shown >= self._interval:
            self._print(line)
            self._last_shown = now
        else:
            return
        self._last_line = line

    def message(self, text: str) -> None:
        """A line that stays, above the progress line."""
        self._print(text)

    def finish(self, counts: Counts) -> None:
        """Show the last state, whatever the interval, and let go of the line."""
        line = counts.line()
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif line != self._last_line and self._last_line:
            self._print(line)
        self._last_line, self._last_shown = "", -math.inf
        self.close()

    def close(self) -> None:
        """Let go of the terminal's line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
