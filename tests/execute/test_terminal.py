"""What a person sees while a sweep runs: one line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from hptransfer.execute.observer import Counts
from hptransfer.execute.terminal import Terminal

COUNTS = Counts(
    planned=10, stored=4, diverged=1, failed=2, in_flight=2, workers=2, best_loss=2.5, eta_s=185, phase="grid"
)


def test_on_a_terminal_one_line_renews_itself() -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen, force_terminal=True, width=100))
    terminal.counted(COUNTS)
    terminal.message("a line that stays")
    terminal.finished(COUNTS, "")
    text = screen.getvalue()
    assert "grid 4/10" in text
    assert "a line that stays" in text
    assert text.endswith("\x1b[?25h"), "the cursor is shown again"


def test_the_line_is_let_go_of_while_the_sweep_rests() -> None:
    """Between two phases others write to the terminal."""
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen, force_terminal=True, width=100))
    terminal.counted(COUNTS)
    assert "\x1b[?25l" in screen.getvalue(), "the cursor is hidden while the line renews itself"
    terminal.counted(Counts(planned=10, stored=8, phase="grid"))
    assert screen.getvalue().endswith("\x1b[?25h")
    assert "grid 8/10" in screen.getvalue(), "with the last state"
    before = screen.getvalue()
    terminal.finished(Counts(planned=10, stored=8, phase="grid"), "STABLE")
    assert screen.getvalue() == before, "and it is not said twice"


def test_elsewhere_plain_lines_come_at_intervals() -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen, width=40), interval_s=3600)
    for stored in range(5):
        terminal.counted(Counts(planned=5, stored=stored, in_flight=1, phase="grid"))
    terminal.counted(Counts(planned=5, stored=5, phase="grid"))
    terminal.finished(Counts(planned=5, stored=5, phase="grid"), "")
    assert screen.getvalue().splitlines() == ["grid 0/5 · 0 diverged · 0 failed", "grid 5/5 · 0 diverged · 0 failed"]


def test_a_study_of_which_all_is_stored_shows_nothing() -> None:
    screen = io.StringIO()
    terminal = Terminal(Console(file=screen, width=40))
    terminal.counted(Counts(planned=5, stored=5, phase="grid"))
    terminal.finished(Counts(planned=5, stored=5, phase="grid"), "")
    assert screen.getvalue() == ""
