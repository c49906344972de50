"""Optuna asks and is told: proposals that depend on the study file and on what was told, and on nothing else.

The Optuna study lives in memory. Before each batch the sampler is built anew from (seed, number told), so that a
search replayed from stored results proposes what an uninterrupted one does.
"""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Mapping

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from hptransfer.common.errors import InputError
from hptransfer.execute.pruning import PastRun
from hptransfer.study.study import Range, TuneSpec
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import mesh, mesh_points, rounded

__all__ = ["Search", "make_sampler", "startup_trials"]


def startup_trials(trials: int) -> int:
    """Trials drawn at random before a model of the loss is trusted: a quarter of the search, 4 to 10."""
    return max(4, min(10, trials // 4))


def make_sampler(tune: TuneSpec, told: int) -> optuna.samplers.BaseSampler:
    """The study's sampler, seeded by (seed, number told), every setting that matters pinned.

    `constant_liar` keeps the trials of one batch apart. QMC and CMA-ES keep one seed: their sequence is one object
    that a new seed would break off (CMA-ES draws afresh a trial by its number). CMA-ES knows no single axis; there
    TPE stands in.
    """
    fresh = _seed(tune.seed, told)
    startup = startup_trials(tune.trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match "tpe" if tune.sampler == "cmaes" and len(tune.space) < 2 else tune.sampler:
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=fresh,
                    n_startup_trials=startup,
                    n_ei_candidates=24,
                    multivariate=True,
                    group=False,
                    constant_liar=True,
                )
            case "gp":
                return optuna.samplers.GPSampler(seed=fresh, n_startup_trials=startup, deterministic_objective=False)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(
                    seed=_seed(tune.seed, 0), n_startup_trials=1, warn_independent_sampling=False
                )
            case "qmc":
                return optuna.samplers.QMCSampler(
                    seed=_seed(tune.seed, 0), qmc_type="sobol", scramble=True, warn_independent_sampling=False
                )
            case "random" | "grid":
                return optuna.samplers.RandomSampler(seed=fresh)


class Search:
    """One in-memory Optuna study: `ask` for a batch, `tell` each trial's loss.

    Every asked trial must be told, with None when it failed: none is left RUNNING, or Optuna would steer clear of it
    for ever.
    """

    def __init__(self, proxy: Proxy) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._tune, self._space = proxy.tune, proxy.space
        self._distributions = distributions(self._space)
        self._study = optuna.create_study(direction="minimize", sampler=make_sampler(self._tune, 0))
        self._open: dict[int, optuna.trial.Trial] = {}
        self._told = 0
        self.planned = self._enqueue_grid() if self._tune.sampler == "grid" else self._tune.trials

    def ask(self, count: int) -> dict[int, dict[str, float]]:
        """`count` proposals by number. Refused while earlier ones have not been told."""
        if self._open:
            raise ValueError("tell every asked trial before asking again")
        self._study.sampler = make_sampler(self._tune, self._told)
        asked = [self._study.ask(self._distributions) for _ in range(count)]
        self._open = {trial.number: trial for trial in asked}
        return {number: self._params(trial) for number, trial in self._open.items()}

    def tell(self, number: int, run: PastRun) -> None:
        """What an asked trial came to: a loss; without one it was pruned (with rungs) or failed (without)."""
        trial = self._open.pop(number)
        for step, loss in run.rungs:
            trial.report(loss, step)
        if run.told is not None:
            self._study.tell(trial, run.told)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if run.rungs else TrialState.FAIL)
        self._told += 1

    def _params(self, trial: optuna.trial.Trial) -> dict[str, float]:
        if self._tune.sampler == "grid":
            return dict(trial.params)
        return {name: rounded(trial.params[name], axis) for name, axis in self._space.items()}

    def _enqueue_grid(self) -> int:
        """Queue the largest full mesh within the budget, shuffled so that a batch spans the space."""
        points = mesh_points(self._tune.trials, len(self._space))
        if points < 2:
            raise InputError(
                "too few trials for a grid of two values per axis",
                where="tune.trials",
                found=self._tune.trials,
                allowed=f"at least {2 ** len(self._space)}",
            )
        grid = mesh(self._space, points)
        random.Random(self._tune.seed).shuffle(grid)
        for point in grid:
            self._study.enqueue_trial(point)
        return len(grid)


def distributions(space: Mapping[str, Range]) -> dict[str, optuna.distributions.BaseDistribution]:
    """The study's space in Optuna's words."""
    return {name: FloatDistribution(axis.low, axis.high, log=axis.log) for name, axis in space.items()}


def _seed(seed: int, told: int) -> int:
    """31 bits from (seed, number told): neighbouring searches share no stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{told}".encode()).digest()[:4], "big") >> 1
