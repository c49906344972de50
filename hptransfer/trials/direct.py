"""What tuning at the target itself would have come to: the proxy's search once more, in every cell of the grid.

Each series and cell gets as many trials as the proxy had, of the same space, and finalists on fresh seeds. Its winner
is run over a line of LRs with the seeds of the comparison, and so are the transferred HPs as they are: paired seed by
seed, the two say what transferring gave up (`hptransfer.analysis.direct`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hptransfer.execute.runner import Runner
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import Cell
from hptransfer.study.trial import Trial
from hptransfer.trials.proxy.driver import search
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.tried import spent_flops
from hptransfer.trials.settled import Series, Settled

__all__ = ["DirectCell", "direct_places", "planned_trials", "search_directly"]


@dataclass(frozen=True)
class DirectCell:
    """What the search in one cell found. Trials are named by their ids."""

    rule: str
    variant: str
    width: int
    density: float
    depth: int
    hps: Mapping[str, float]
    """Base HPs and training settings of the winner."""
    trials: int
    """Different trials of the search, finalists counted."""
    flops: float
    line: tuple[str, ...]
    """Its winner over the LRs, with every seed."""
    transferred: tuple[str, ...]
    """The transferred HPs in this cell, with every seed."""
    warnings: tuple[str, ...] = ()


def direct_places(settled: Settled) -> list[tuple[Series, Cell]]:
    """Every series and cell that is searched directly; none without a `direct` section."""
    direct = settled.study.direct
    if direct is None:
        return []
    chosen = [series for series in settled.series() if series.rule in (direct.rules or settled.study.grid.rules)]
    return [(series, cell) for series in chosen for cell in settled.study.cells]


def planned_trials(settled: Settled) -> tuple[int, int]:
    """Of one cell: trials of the search, finalists counted, and those of the comparison."""
    direct = settled.study.direct
    assert direct is not None
    seeds = direct.seeds or settled.study.grid.seeds
    return Proxy(settled).planned, (len(direct.lr_multiples) + 1) * len(seeds)


def search_directly(settled: Settled, runner: Runner) -> list[DirectCell]:
    """Search every place, cell after cell; then run all comparisons together."""
    searched = [(series, cell, *_searched(series, cell, runner)) for series, cell in direct_places(settled)]
    lines = [list(_line(replace(s, settled=s.settled.with_hps(hps)), cell)) for s, cell, hps, _, _ in searched]
    as_they_are = [list(_transferred(series, cell)) for series, cell, *_ in searched]
    every = {trial.id: trial for trials in (*lines, *as_they_are) for trial in trials}
    runner.run(list(every.values()), "direct")
    return [
        DirectCell(
            series.rule,
            series.variant,
            *cell,
            hps,
            trials,
            flops,
            tuple(trial.id for trial in line),
            tuple(trial.id for trial in there),
        )
        for (series, cell, hps, trials, flops), line, there in zip(searched, lines, as_they_are, strict=True)
    ]


def _searched(series: Series, cell: Cell, runner: Runner) -> tuple[dict[str, float], int, float]:
    """The winner of the search in one cell, the number of trials it took, and their FLOPs."""
    proxy = Proxy(series.settled, cell, series.rule, "direct")
    found, finalists = search(proxy, runner)
    runs = [*found.tried, *(run for finalist in finalists for run in finalist.runs)]
    winner = dict(finalists[0].hps)
    named = series.settled.with_hps(winner).hps.model_dump()
    training = {name: value for name, value in winner.items() if name not in BaseHPs.model_fields}
    return {**named, **training}, len({run.trial.id for run in runs}), spent_flops(runs)


def _line(series: Series, cell: Cell) -> Iterator[Trial]:
    direct = series.settled.study.direct
    assert direct is not None
    for multiple in direct.lr_multiples:
        for seed in direct.seeds or series.settled.study.grid.seeds:
            yield series.trial(cell, seed, {"lr": series.settled.hps.lr * multiple})


def _transferred(series: Series, cell: Cell) -> Iterator[Trial]:
    direct = series.settled.study.direct
    assert direct is not None
    for seed in direct.seeds or series.settled.study.grid.seeds:
        yield series.trial(cell, seed, {})
