"""Several hypotheses tested together, so that the chance of any false alarm among them stays that of one.

With twelve cells whose regret is exactly what is allowed, one of twelve intervals lies above it by chance in a quarter
of studies. Holm (1979), "A simple sequentially rejective multiple test procedure", needs no independence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["holm"]

K = TypeVar("K")


def holm(tests: Mapping[K, Callable[[float], bool]], level: float) -> tuple[set[K], float]:
    """What is rejected with at most `level` chance of any false rejection, and the level the others were held to.

    `tests` says of each hypothesis whether it is rejected at a level; one rejected at a level is so at any above it.
    """
    left = dict(tests)
    while True:
        each = level / max(len(left), 1)
        rejected = [name for name, test in left.items() if test(each)]
        if not rejected:
            return tests.keys() - left.keys(), each
        for name in rejected:
            del left[name]
