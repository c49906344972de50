"""What tuning at the target itself would have come to: the proxy's search once more, in every cell of the grid.

Each series and cell gets as many trials as the proxy had, of the same space, and finalists on fresh seeds. Its winner
is run over a line of LRs with the seeds of the comparison, and so are the transferred HPs as they are: paired seed by
seed, the two say what transferring gave up (`hptransfer.analysis.direct`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hptransfer.common.errors import WorkError
from hptransfer.common.files import digest_of
from hptransfer.execute.runner import Runner
from hptransfer.study.base import BaseHPs
from hptransfer.study.direct import DirectCell
from hptransfer.study.study import Cell, DirectSpec
from hptransfer.study.trial import Trial
from hptransfer.trials.proxy.driver import search
from hptransfer.trials.proxy.proxy import Proxy, refuse_vain_search
from hptransfer.trials.proxy.summary import edge_warnings
from hptransfer.trials.proxy.tried import spent_flops
from hptransfer.trials.settled import Series, Settled

__all__ = ["Place", "direct_places", "question_of", "refuse_vain_direct", "search_directly"]


@dataclass(frozen=True)
class Place:
    """One series in one cell."""

    series: Series
    cell: Cell

    @property
    def spec(self) -> DirectSpec:
        """The comparison that the study asks for."""
        assert self.series.settled.study.direct is not None
        return self.series.settled.study.direct

    @property
    def proxy(self) -> Proxy:
        """The search, with this cell in place of the dense proxy."""
        return Proxy(self.series.settled, self.cell, self.series.rule, "direct")

    def transferred(self) -> list[Trial]:
        """The transferred HPs here, with every seed."""
        return [self.series.trial(self.cell, seed, {}) for seed in self.series.settled.study.direct_seeds]

    def line(self, series: Series) -> list[Trial]:
        """The LRs around that of `series`, this one at HPs of its own, with every seed."""
        lrs = [series.settled.hps.lr * multiple for multiple in self.spec.lr_multiples]
        return [series.trial(self.cell, seed, {"lr": lr}) for lr in lrs for seed in series.settled.study.direct_seeds]


def direct_places(settled: Settled) -> list[Place]:
    """Every series and cell that is searched directly; none without a `direct` section."""
    direct = settled.study.direct
    if direct is None:
        return []
    chosen = [series for series in settled.series() if series.rule in (direct.rules or settled.study.grid.rules)]
    return [Place(series, cell) for series in chosen for cell in settled.study.cells]


def refuse_vain_direct(settled: Settled) -> None:
    """Refuse searches that cannot mean anything under a series' own settings."""
    for place in direct_places(settled):
        if place.cell == settled.study.cells[0]:  # its other cells have the same settings
            refuse_vain_search(place.series.settled.study)


def question_of(settled: Settled) -> str:
    """16 digits that name what is asked: every search, and every trial that its winner is compared with."""
    places = direct_places(settled)
    said = [place.spec.model_dump_json() for place in places[:1]]
    for place in places:
        said += [f"{place.series.name} {place.proxy.digest}", *(trial.id for trial in place.transferred())]
    return digest_of("\n".join(said), 16)


def search_directly(settled: Settled, runner: Runner) -> list[DirectCell]:
    """Search every place, cell after cell; then run all comparisons together. A place whose search finds nothing, as
    where every trial diverges, is told as such and holds up no other."""
    found = [(place, *_searched(place, runner)) for place in direct_places(settled)]
    there = [place.transferred() for place, _, _ in found]
    every = {trial.id: trial for trials in (*there, *(line for _, _, line in found)) for trial in trials}
    runner.run(list(every.values()), "direct")
    return [
        cell.model_copy(update={"line": _ids(line), "transferred": _ids(as_it_is)})
        for (_, cell, line), as_it_is in zip(found, there, strict=True)
    ]


def _ids(trials: list[Trial]) -> tuple[str, ...]:
    return tuple(trial.id for trial in trials)


def _searched(place: Place, runner: Runner) -> tuple[DirectCell, list[Trial]]:
    """The winner of the search in one place, and the line of LRs around it."""
    series, proxy = place.series, place.proxy
    named = DirectCell(rule=series.rule, variant=series.variant, **place.cell._asdict())
    try:
        found = search(proxy, runner)
    except WorkError as error:
        return named.model_copy(update={"failed": str(error)}), []
    winner = found.finalists[0].hps
    there = series.settled.with_hps(winner)
    flops = spent_flops(found.runs)
    cell = named.model_copy(
        update={
            "hps": {**there.hps.model_dump(), **{n: v for n, v in winner.items() if n not in BaseHPs.model_fields}},
            "trials": len({run.trial.id for run in found.runs}),
            "flops": flops if math.isfinite(flops) else None,
            "warnings": tuple(edge_warnings(proxy.space, winner)),
        }
    )
    return cell, place.line(replace(series, settled=there))
