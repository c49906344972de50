"""The winner: the best few points run again with fresh seeds, because one trial may be lucky.

Among them runs the minimum fitted to all runs near the best. A handful of seeds tells neighbours apart by chance, so
where it ties with the best mean, it wins: many more runs speak for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from hptransfer.common.errors import WorkError
from hptransfer.execute.runner import Runner
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import HPs
from hptransfer.trials.proxy.tried import Tried, run_points

__all__ = ["Finalist", "run_finalists"]


@dataclass(frozen=True)
class Finalist:
    """A point with its runs at fresh seeds."""

    hps: HPs
    runs: tuple[Tried, ...]
    fitted: bool = False
    """Whether the point is the minimum of the fit, rather than one the search had tried."""

    @property
    def sound(self) -> bool:
        """Whether every fresh seed reached its end."""
        return all(run.status == "ok" for run in self.runs)

    @property
    def loss(self) -> float:
        """Mean loss over the fresh seeds, in the task's unit; NaN unless sound."""
        return fmean(run.loss for run in self.runs)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the loss over the fresh seeds; None from a single seed."""
        return stdev(run.loss for run in self.runs) if len(self.runs) > 1 else None

    def ties_with(self, best: Finalist) -> bool:
        """Whether the mean difference to `best`, seed by seed, lies within its own standard error."""
        away = [mine.loss - other.loss for mine, other in zip(self.runs, best.runs, strict=True)]
        return self.sound and len(away) > 1 and fmean(away) <= stdev(away) / sqrt(len(away))

    def to_json(self) -> dict[str, Any]:
        """The finalist as base.json lists it."""
        return {
            **self.hps,
            "loss": self.loss if self.sound else None,
            "loss_spread": self.spread if self.sound else None,
            "fitted": self.fitted,
            "diverged": sum(run.status == "diverged" for run in self.runs),
            "trial_ids": [run.trial.id for run in self.runs],
        }


def run_finalists(
    proxy: Proxy, runner: Runner, candidates: Sequence[HPs], *, fitted: HPs | None, width: int
) -> list[Finalist]:
    """Run `candidates` (best first) at fresh seeds, `finalists` at a time, until one is sound at every seed.

    Returned best first: sound ones by mean loss, then the others; ahead of them the `fitted` one where it ties with the
    best. A group in which every point diverges at some seed sits on the edge of stability, and the next best take its
    place.
    """
    tune = proxy.tune
    seeds = range(proxy.seed + 1, proxy.seed + 1 + tune.finalist_seeds)
    done: list[Finalist] = []
    for start in range(0, len(candidates), tune.finalists):
        group = candidates[start : start + tune.finalists]
        points = dict(enumerate(group, start))
        by_seed = [run_points(proxy, runner, points, seed=seed, width=width) for seed in seeds]
        done += [Finalist(hps, tuple(runs), hps == fitted) for hps, *runs in zip(group, *by_seed, strict=True)]
        if any(finalist.sound for finalist in done):
            break
    else:
        raise WorkError(
            f"every one of the {len(candidates)} proxy points that trained once came to nothing with another seed; the"
            " search sits on the edge of stability: lower tune.space.lr (and init_std, if searched)"
        )
    ranked = sorted(done, key=lambda f: (not f.sound, f.loss if f.sound else 0.0))
    return sorted(ranked, key=lambda f: not (f.fitted and f.ties_with(ranked[0])))
