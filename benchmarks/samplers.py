"""Which sampler finds the bottom of the proxy's five-dimensional space cheapest? Replayed on the stored grid.

    python -m benchmarks.samplers              replays, then real searches with the default sampler
    python -m benchmarks.samplers --replay     the replays alone: a few minutes, nothing is trained

`sweeps/multipliers.yaml` ran every combination of five values of LR, init std, α_in, α_out and the embedding's LR
multiplier once: results/multipliers. A replay is the product's own search, finalists and all, whose trials are not
trained but read off that grid: a search trial off the stored losses (interpolated linearly in octaves, so that the luck
of single runs is in them), a finalist off the smoothed ones, with the noise that fresh seeds have. What it found is
scored by the smoothed losses, against their lowest grid point.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator, RegularGridInterpolator

from benchmarks.common import CORES, ROOT, Row, bound, row, show, write
from hptransfer.analysis.results import load_results
from hptransfer.drive.load_study import load_study
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.packing import packs_of
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.study.trial import Trial
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.settled import Settled

STUDY = ROOT / "sweeps" / "multipliers.yaml"
GRID = ROOT / "results" / "multipliers"
SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "random")
MOST_TRIALS, FINALISTS, FINALIST_SEEDS = 64, 4, 4
TARGET = 1.005
"""Loss of what a search found over that of the grid's best point."""
REPLAYS, REAL_SEARCHES, SCORING_SEEDS = 20, 3, 8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """The stored grid as a function of base HPs. Losses are nats per token."""

    names: tuple[str, ...]
    rows: pd.DataFrame
    seed: int
    """Of the search; its finalists have later ones."""
    spread: float
    """Standard deviation of a loss over seeds, near the bottom."""

    @classmethod
    def stored(cls) -> Surface:
        """Of results/multipliers."""
        results = load_results(str(GRID))
        frame, names = results.frame, tuple(results.study["tune"]["space"]) if results.study else ()
        seed = int(frame.loc[frame["phase"] == "tune", "seed"].min())
        again = frame[frame["seed"] > seed].groupby(list(names))["loss"]
        spread = math.sqrt(float(again.var().mean()))
        return cls(names, frame[frame["seed"] == seed].sort_values(list(names)), seed, spread)

    @cached_property
    def places(self) -> Array:
        """Every grid point, in octaves."""
        return np.asarray(np.log2(self.rows[list(self.names)].to_numpy(float)))

    @cached_property
    def losses(self) -> Array:
        """The stored losses; a run that diverged counts as one that learned nothing."""
        return self.rows["loss"].fillna(math.log(256)).to_numpy(float)

    @cached_property
    def smoothed(self) -> RBFInterpolator:
        """The losses without the luck of single runs: a smoothing thin-plate spline through the lower half of them."""
        low = self.losses <= np.median(self.losses)
        return RBFInterpolator(self.places[low], self.losses[low], kernel="thin_plate_spline", smoothing=SMOOTHING)

    @cached_property
    def as_run(self) -> RegularGridInterpolator:
        """The losses as they were run, linear in octaves between grid points."""
        levels = [np.unique(self.places[:, k].round(9)) for k in range(len(self.names))]
        return RegularGridInterpolator(levels, self.losses.reshape([len(level) for level in levels]))

    @cached_property
    def best(self) -> float:
        """The lowest smoothed loss of a grid point."""
        return float(self.smoothed(self.places).min())

    def place(self, hps: Mapping[str, float]) -> Array:
        """Where some base HPs lie."""
        return np.log2([[hps[name] for name in self.names]])

    def loss(self, trial: Trial) -> float:
        """What a replayed trial comes to."""
        at = self.place(trial.base.model_dump())
        if trial.seed == self.seed:
            return float(self.as_run(np.clip(at, self.places.min(axis=0), self.places.max(axis=0)))[0])
        luck = np.random.default_rng(int(trial.id[:15], 16)).normal(0, self.spread)
        return float(self.smoothed(at)[0] + luck)


SMOOTHING = 1.0


class Replay:
    """Stands for a runner: rows come off the surface, nothing is kept."""

    def __init__(self, surface: Surface) -> None:
        self.surface, self.store, self.ran = surface, self, 0

    def expect(self, planned: int) -> None:
        """Nobody watches."""

    def read_json(self, name: str) -> None:
        """Nothing is stored."""

    def write_json(self, name: str, value: object) -> None:
        """Nothing is stored."""

    def run(self, trials: Sequence[Trial], phase: str, pruning: object = None) -> dict[str, dict[str, Any]]:
        """Every trial's row."""
        self.ran += len(trials)
        about = {"status": "ok", "diverged_step": None, "flops_dense": 1.0, "code_version": "", "versions": "{}"}
        return {trial.id: {**about, "loss": self.surface.loss(trial)} for trial in trials}


def searched(study: Study, sampler: str, seed: int, **changes: Any) -> Study:
    """The study with a search of `MOST_TRIALS`, finalists counted."""
    tune_spec = {
        "sampler": sampler,
        "seed": seed,
        "trials": MOST_TRIALS - FINALISTS * FINALIST_SEEDS,
        "batch": 4,
        "finalists": FINALISTS,
        "finalist_seeds": FINALIST_SEEDS,
    }
    tree = study.model_dump(mode="json")
    tree["tune"] |= tune_spec | changes
    return Study.model_validate(tree)


def replay(surface: Surface, study: Study, sampler: str, seed: int, **changes: Any) -> float:
    """Smoothed loss of what one search found, over the grid's lowest."""
    asked = searched(study, sampler, seed, **changes)
    runner = Replay(surface)
    first = Settled(asked, asked.base.hps, "fp32", "")
    found = tune(first, runner)  # type: ignore[arg-type]
    assert runner.ran <= MOST_TRIALS
    return float(surface.smoothed(surface.place(found.hps.model_dump()))[0]) / surface.best
