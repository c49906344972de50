"""The fan-out: the fixed grid of a settled study, as trials. What of them is stored is the runner's business."""

from __future__ import annotations

from math import prod

from hptransfer.common.errors import InputError
from hptransfer.study.study import Study
from hptransfer.study.trial import Trial
from hptransfer.trials.settled import Settled

__all__ = ["direct_size", "grid_size", "refuse_large_grid", "trials_of"]


def grid_size(study: Study) -> int:
    """How many trials the fixed grid has, those asked for twice counted twice; nothing is multiplied out for it."""
    grid = study.grid
    swept = prod(len(sweep.around(1.0)) for sweep in grid.sweeps().values())
    return len(grid.rules) * max(1, len(grid.variants)) * len(study.cells) * swept * len(grid.seeds)


def direct_size(study: Study) -> int:
    """How many trials the direct comparison has: a search per series and cell, and what its winner is held against."""
    if study.direct is None or study.tune is None:
        return 0
    searched = study.tune.trials + min(study.tune.finalists, study.tune.trials) * study.tune.finalist_seeds
    compared = (len(study.direct.lr_multiples) + 1) * len(study.direct_seeds)
    rules = study.direct.rules or study.grid.rules
    return len(rules) * max(1, len(study.grid.variants)) * len(study.cells) * (searched + compared)


def refuse_large_grid(study: Study) -> None:
    """Refuse a grid above its cap, direct searches counted; what tuning finds changes no number of trials."""
    trials = grid_size(study) + direct_size(study)
    if trials > study.grid.max_trials:
        raise InputError(
            "the grid is larger than its cap",
            where="grid",
            found=f"{trials} trials",
            allowed=f"at most {study.grid.max_trials} (grid.max_trials)",
            hint="look at `hptransfer plan`, then add --yes",
        )


def trials_of(settled: Settled) -> list[Trial]:
    """Every trial of the fixed grid, each once, in a settled order."""
    found: dict[str, Trial] = {}
    for series in settled.series():
        for cell in settled.study.cells:
            for trial in series.trials(cell):
                found.setdefault(trial.id, trial)
    return list(found.values())
