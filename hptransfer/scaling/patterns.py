"""Patterns of parameter names, as `roles`, `queries`, `init` and `sparsity` take them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from hptransfer.common.errors import InputError, did_you_mean, nearest

__all__ = ["refuse_unmatched"]


def refuse_unmatched(patterns: Iterable[str], names: Iterable[str], *, where: str) -> None:
    """Refuse a pattern that no name matches: it is a slip of the pen, and would be passed over in silence."""
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise InputError(
                "no parameter has such a name",
                where=where,
                found=pattern,
                allowed=", ".join(known),
                hint=did_you_mean(_nearest(pattern, known)),
            )


def _nearest(pattern: str, names: Iterable[str]) -> str:
    """The closest name; for a pattern that begins with a star the closest ending, with the star."""
    if not pattern.startswith("*."):
        return nearest(pattern, names)
    length = pattern.count(".")
    close = nearest(pattern[2:], [".".join(name.split(".")[-length:]) for name in names])
    return close and f"*.{close}"
