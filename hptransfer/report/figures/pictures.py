"""Every picture of a study, by the kind that `--kind` names, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hptransfer.analysis.results import Results
from hptransfer.common.errors import InputError
from hptransfer.report.figures.chart import Picture
from hptransfer.report.figures.check import check
from hptransfer.report.figures.cost import cost
from hptransfer.report.figures.params import params
from hptransfer.report.figures.regret import regret
from hptransfer.report.figures.sparsity import sparsity
from hptransfer.report.figures.stability import stability
from hptransfer.report.figures.sweep import sweep
from hptransfer.report.figures.tuning import tuning, tuning_together
from hptransfer.report.points import swept_axes

__all__ = ["KINDS", "pictures"]

_MAKERS: dict[str, Callable[[Results], list[Picture | None]]] = {
    "lr": lambda results: [sweep(results, "lr")],
    "stability": lambda results: [stability(results)],
    "regret": lambda results: [regret(results)],
    "sparsity": lambda results: [sparsity(results)],
    "params": lambda results: [params(results)],
    "init": lambda results: [sweep(results, "init_std")],
    "sweep": lambda results: [sweep(results, axis) for axis in swept_axes(results)[2:]],
    "check": lambda results: [check(results)],
    "tuning": lambda results: [tuning(results), tuning_together(results)],
    "cost": lambda results: [cost(results)],
}
KINDS = tuple(_MAKERS)
"""The kinds of picture `--kind` takes."""


def pictures(results: Results, kinds: Sequence[str] = KINDS) -> Iterator[Picture]:
    """Every picture of these kinds that has data."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InputError("no such kind of picture", where="--kind", found=", ".join(unknown), allowed=", ".join(KINDS))
    for kind in kinds:
        yield from (picture for picture in _MAKERS[kind](results) if picture is not None)
