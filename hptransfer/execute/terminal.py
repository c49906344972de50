"""The observer that is always there: one line that renews itself on a terminal, plain lines at intervals elsewhere."""

from __future__ import annotations

import math
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hptransfer.execute.observer import Counts, Observer

__all__ = ["Terminal"]


class Terminal(Observer):
    """Shows `Counts` on a console (standard error by default)."""

    def __init__(self, console: Console | None = None, interval_s: float = 30.0) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._interval = interval_s
        self._live: Live | None = None
        self._last_shown = -math.inf
        self._last_line = ""

    def counted(self, counts: Counts) -> None:
        if not counts.in_flight:
            self._rest(counts.line())
        elif self._console.is_terminal:
            self._renew(counts.line())
        elif time.monotonic() - self._last_shown >= self._interval:
            self._show(counts.line())

    def message(self, text: str) -> None:
        self._print(text)  # it stays, above the line that renews itself

    def finished(self, counts: Counts, sentence: str) -> None:
        self._rest(counts.line())

    def _renew(self, line: str) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        if line != self._last_line or time.monotonic() - self._last_shown > 0.1:
            self._show(line)

    def _rest(self, line: str) -> None:
        """Show the last state, whatever the interval, and let go of the line: others write here now."""
        if self._live is not None or line != self._last_line != "":
            self._show(line)
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._last_line, self._last_shown = "", -math.inf

    def _show(self, line: str) -> None:
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            self._print(line)
        self._last_line, self._last_shown = line, time.monotonic()

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)
