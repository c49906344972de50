"""One proxy run as the search sees it, and the runs of a batch of points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Literal

from hptransfer.common.choices import PrunerName
from hptransfer.common.errors import WorkError
from hptransfer.execute.pruning import PastRun, Pruning
from hptransfer.execute.runner import Runner
from hptransfer.study.trial import Status, Trial
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import HPs

__all__ = ["Tried", "diverged_everywhere", "run_points", "spent_flops"]


@dataclass(frozen=True)
class Tried:
    """A point of the space and what its run came to.

    `loss` is NaN unless the run reached its end; `told` is what the sampler hears: the loss, at most the ceiling, and
    the ceiling itself for a diverged run; None when the run was pruned, or failed and says nothing about the point.
    """

    number: int
    hps: HPs
    trial: Trial
    status: Literal[Status, "failed"]
    loss: float
    told: float | None
    row: Mapping[str, Any]
    steps: int = 0
    """Steps trained: fewer than planned for a diverged or pruned run."""


def run_points(
    proxy: Proxy,
    runner: Runner,
    points: Mapping[int, HPs],
    *,
    seed: int,
    width: int | None = None,
    pruner: PrunerName | None = None,
    past: Sequence[PastRun] = (),
) -> list[Tried]:
    """Run every numbered point at one seed, equal ones once; in the order of their numbers.

    `pruner` may end runs early; it goes by the `past` runs of the search.
    """
    trials = {number: proxy.trial(hps, seed=seed, width=width) for number, hps in sorted(points.items())}
    different = {trial.id: trial for trial in trials.values()}
    pruning = None
    if pruner is not None:
        numbers = {trial.id: number for number, trial in trials.items()}
        steps = next(iter(different.values())).training.steps
        pruning = Pruning(pruner=pruner, steps=steps, past=tuple(past), numbers=numbers)
    rows = runner.run(list(different.values()), proxy.phase, pruning)
    worst = proxy.ceiling
    return [_tried(number, points[number], trial, rows.get(trial.id), worst) for number, trial in trials.items()]


def _tried(number: int, hps: HPs, trial: Trial, row: Mapping[str, Any] | None, worst: float) -> Tried:
    if row is None:
        return Tried(number, hps, trial, "failed", nan, None, {})
    planned = trial.training.steps
    loss = float(nan if row["loss"] is None else row["loss"])
    if row["status"] == "ok" and isfinite(loss):
        return Tried(number, hps, trial, "ok", loss, min(loss, worst), row, planned)
    if row["status"] == "pruned":
        return Tried(number, hps, trial, "pruned", nan, None, row, planned)
    step, told = row.get("diverged_step"), worst if isfinite(worst) else None
    return Tried(number, hps, trial, "diverged", nan, told, row, planned if step is None else min(planned, step + 1))


def spent_flops(tried: Iterable[Tried]) -> float:
    """FLOPs (dense count) of the runs, each run once, for the steps it trained."""
    by_id = {t.trial.id: float(t.row["flops_dense"]) * t.steps / t.trial.training.steps for t in tried if t.row}
    return sum(by_id.values())


def diverged_everywhere(tried: Sequence[Tried]) -> WorkError:
    """The refusal when no run reached its end: what was tried, and what to lower."""
    diverged = [t for t in tried if t.status == "diverged"]
    if not diverged:
        return WorkError(f"none of the {len(tried)} proxy trials could be run; see the logs in failed/")
    lows = {name: min(t.hps[name] for t in diverged) for name in diverged[0].hps}
    highs = {name: max(t.hps[name] for t in diverged) for name in diverged[0].hps}
    if "lr" in lows:
        where = f"at every lr from {lows['lr']:.3g} to {highs['lr']:.3g}"
        hint = f"lower tune.space.lr: let it start well below {lows['lr']:.3g}"
    else:
        lr = diverged[0].trial.base.lr
        where, hint = f"at base.lr {lr:.3g}", f"lower base.lr (now {lr:.3g}), or search lr"
    if "init_std" in lows:
        hint += f"; init_std reached up to {highs['init_std']:.3g}, lower that too"
    return WorkError(f"all {len(diverged)} proxy trials diverged {where}; {hint}")
