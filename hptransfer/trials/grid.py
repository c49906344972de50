"""The fan-out: a settled study's grid, as trials. What of them is stored is the runner's business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from hptransfer.study.series_name import series_name
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import Trial
from hptransfer.trials.settled import Settled, with_value

__all__ = ["Series", "corner", "grid_size", "series_of", "trials_of"]


@dataclass(frozen=True)
class Series:
    """One line of enquiry: a rule, and the study as one of its variants has it."""

    rule: str
    variant: str
    settled: Settled

    @property
    def name(self) -> str:
        """`rule`, or `rule · variant`."""
        return series_name(self.rule, self.variant)

    def trial(self, cell: Cell, seed: int, steps: int | None = None) -> Trial:
        """A trial of this series at the base HPs."""
        return self.settled.trial(cell, rule=self.rule, seed=seed, variant=self.variant, steps=steps)


def series_of(settled: Settled) -> list[Series]:
    """Every rule × variant of the grid, in the order the study names them."""
    variants = settled.variants().items()
    return [Series(rule, name, variant) for name, variant in variants for rule in settled.study.grid.rules]


def grid_size(study: Study) -> int:
    """How many trials the fixed grid has, those asked for twice counted twice; nothing is multiplied out for it."""
    grid = study.grid
    swept = prod(len(sweep.around(1.0)) for sweep in grid.sweeps().values())
    return len(grid.rules) * max(1, len(grid.variants)) * len(study.cells) * swept * len(grid.seeds)


def trials_of(settled: Settled) -> list[Trial]:
    """Every trial of the fixed grid, each once, in a settled order."""
    found: dict[str, Trial] = {}
    for series in series_of(settled):
        for cell in settled.study.cells:
            for trial in _cell_trials(series, cell):
                found.setdefault(trial.id, trial)
    return list(found.values())


def _cell_trials(series: Series, cell: Cell) -> Iterator[Trial]:
    swept, seeds = series.settled.swept(), series.settled.study.grid.seeds
    at_base = series.trial(cell, seeds[0])
    for values in product(*swept.values()):
        trial = at_base
        for name, value in zip(swept, values, strict=True):
            trial = with_value(trial, name, value)
        yield from (trial.model_copy(update={"seed": seed}) for seed in seeds)


def corner(study: Study) -> Cell:
    """The cell that a report explains: the largest width, there the lowest density, there the largest depth."""
    return max(study.cells, key=lambda cell: (cell.width, -cell.density, cell.depth))
