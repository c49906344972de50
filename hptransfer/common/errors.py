"""The errors a user may meet, each tied to one exit status of the command line.

Everything that is the user's to mend is an `InputError`; the command line prints its message and leaves with 2.
Work that ran and went wrong is a `WorkError` (exit 1). Nothing else may reach the terminal as a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["BreachError", "HptransferError", "InputError", "OutOfMemoryError", "WorkError", "did_you_mean", "nearest"]


class HptransferError(Exception):
    """Base of every error this package raises on purpose."""

    exit_status = 1


class InputError(HptransferError):
    """Bad input. The message says where, what was found, what is allowed and what to do."""

    exit_status = 2

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        found: object = None,
        allowed: str = "",
        hint: str = "",
    ) -> None:
        self.problem, self.where, self.found, self.allowed, self.hint = problem, where, found, allowed, hint
        parts = [
            f"{where}: {problem}" if where else problem,
            f"found {_short(found)}" if found is not None else "",
            f"allowed: {allowed}" if allowed else "",
            hint,
        ]
        super().__init__("; ".join(filter(None, parts)))

    def at(self, place: str, joint: str = ": ") -> InputError:
        """The same refusal with the place it was met in, such as a file, before the place it names itself."""
        where = f"{place}{joint}{self.where}" if self.where else place
        return InputError(self.problem, where=where, found=self.found, allowed=self.allowed, hint=self.hint)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by message, so that the error survives the way back from a worker process."""
        return (type(self), (str(self),))


class BreachError(InputError):
    """An entry of a study breaks the contract of its seam: whatever runs with it comes to nothing."""


class WorkError(HptransferError):
    """The work ran and something failed that no other input would have prevented."""


class OutOfMemoryError(WorkError):
    """A pack did not fit; the caller may halve it and try again."""


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word closest to `word`, or nothing when none is close."""
    return next(iter(difflib.get_close_matches(str(word)[:100], known, n=1, cutoff=0.6)), "")


def did_you_mean(close: str, otherwise: str = "") -> str:
    """The hint that names a close word; `otherwise` where there is none."""
    return f"did you mean '{close}'?" if close else otherwise


def _short(value: object, most: int = 120) -> str:
    """The middle is left out: what tells two paths or numbers apart is at their ends."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"
