"""Which sampler finds the bottom of the proxy's five-dimensional space cheapest? Replayed on the stored grid.

    python benchmarks/samplers.py              replays, then real searches with the default sampler
    python benchmarks/samplers.py --replay     the replays alone: nothing is trained

`sweeps/multipliers.yaml` ran every combination of five values of LR, init std, α_in, α_out and the embedding's LR
multiplier once: results/multipliers. A replay is the product's own search, finalists and all, whose trials are not
trained but read off that grid: a search trial off the stored losses (linear in octaves, so that the luck of single runs
is in them), a finalist off the smoothed ones, with the noise that fresh seeds have. It searches a window of the grid,
drawn at random on every axis from half to the whole of it: the grid was laid around its optimum, and a sampler that
starts in the middle would win by that. What it found is scored by the smoothed losses, against the lowest of the
window. The real searches train every trial; their winners and the grid's
best point (the best of its 24 finalists) are then run with seeds that neither has seen.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import pandas as pd
from common import CORES, ROOT, Row, bound, show, write
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator, RegularGridInterpolator

from hptransfer.analysis.results import Results, load_results
from hptransfer.drive.load_study import load_study
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.packing import packs_of
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.study.trial import Trial
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.settled import Settled

SAMPLERS = ("cmaes", "tpe", "gp", "qmc", "random")
MOST_TRIALS, FINALISTS, FINALIST_SEEDS = 64, 4, 4
ABOVE = 0.005
"""Relative loss above the grid's best point that a search may end at."""
REPLAYS, REAL_SEARCHES = 40, 3
SCORING_SEEDS = range(900_001, 900_009)
"""Seeds that no search and no finalist has."""
SMOOTHING = 0.3
"""Of the spline: least error left out of five folds on the stored losses (0.0143 nats rms, of which luck is 0.012)."""
LEARNED_NOTHING = math.log(256)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """The stored grid as a function of base HPs. Losses are nats per token."""

    names: tuple[str, ...]
    rows: pd.DataFrame
    spread: float
    """Standard deviation of a loss over seeds, near the bottom."""

    @classmethod
    def of(cls, results: Results) -> Surface:
        """Of results/multipliers."""
        assert results.study is not None
        frame, names = results.frame, tuple(results.study["tune"]["space"])
        seed = int(frame["seed"].min())
        again = frame[frame["seed"] > seed].groupby(list(names))["loss"]
        spread = math.sqrt(float(again.var().mean()))
        return cls(names, frame[frame["seed"] == seed].sort_values(list(names)), spread)

    @cached_property
    def places(self) -> Array:
        """Every grid point, in octaves."""
        return np.asarray(np.log2(self.rows[list(self.names)].to_numpy(float)))

    @cached_property
    def losses(self) -> Array:
        """The stored losses; a run that diverged counts as one that learned nothing."""
        return self.rows["loss"].fillna(LEARNED_NOTHING).to_numpy(float)

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

    def lowest(self, space: Mapping[str, Mapping[str, float]]) -> float:
        """The lowest smoothed loss in a window, of 20 000 places in it."""
        low, high = (np.log2([space[name][end] for name in self.names]) for end in ("low", "high"))
        places = np.random.default_rng(0).uniform(low, high, (20_000, len(self.names)))
        return float(self.smoothed(places).min())

    def place(self, hps: Mapping[str, float]) -> Array:
        """Where some base HPs lie."""
        return np.log2([[hps[name] for name in self.names]])

    def loss(self, trial: Trial, search_seed: int) -> float:
        """What a replayed trial comes to."""
        at = self.place(trial.base.model_dump())
        if trial.seed == search_seed:
            ends = np.array([(level[0], level[-1]) for level in self.as_run.grid])
            return float(self.as_run(np.clip(at, ends[:, 0], ends[:, 1]))[0])
        luck = np.random.default_rng(int(trial.id[:15], 16)).normal(0, self.spread)
        return float(self.smoothed(at)[0] + luck)


class Replay:
    """Stands for a runner and its store: rows come off the surface, nothing is kept."""

    def __init__(self, surface: Surface, search_seed: int) -> None:
        self.surface, self.search_seed, self.store, self.ran = surface, search_seed, self, 0

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
        return {trial.id: {**about, "loss": self.surface.loss(trial, self.search_seed)} for trial in trials}


def searched(study: Study, sampler: str, seed: int, **changes: Any) -> Study:
    """The study with a search of `MOST_TRIALS`, finalists counted."""
    search = {
        "sampler": sampler,
        "seed": seed,
        "trials": MOST_TRIALS - FINALISTS * FINALIST_SEEDS,
        "batch": 4,
        "finalists": FINALISTS,
        "finalist_seeds": FINALIST_SEEDS,
    }
    tree = study.model_dump(mode="json")
    return Study.model_validate(tree | {"tune": tree["tune"] | search | changes})


def window(study: Study, seed: int) -> dict[str, dict[str, float]]:
    """Half to the whole of every axis, anywhere on it."""
    assert study.tune is not None
    dice, space = np.random.default_rng(seed), {}
    for name, axis in study.tune.space.items():
        low, whole = math.log2(axis.low), math.log2(axis.high / axis.low)
        width = whole * dice.uniform(0.5, 1)
        start = low + dice.uniform(0, whole - width)
        space[str(name)] = {"low": 2.0**start, "high": 2.0 ** (start + width)}
    return space


def replay(surface: Surface, study: Study, sampler: str, seed: int) -> float:
    """How far above the lowest of its window one search ended, relative."""
    space = window(study, seed)
    asked = searched(study, sampler, seed, space=space)
    settled = Settled(asked, asked.base.hps, "fp32", "")
    runner = Replay(surface, Proxy(settled).seed)
    found = tune(settled, runner)  # type: ignore[arg-type]
    assert runner.ran <= MOST_TRIALS, runner.ran
    return float(surface.smoothed(surface.place(found.hps.model_dump()))[0]) / surface.lowest(space) - 1


def replays(surface: Surface, study: Study) -> list[Row]:
    """Every sampler at equal trials, over the same windows and search seeds."""
    rows = []
    for sampler in SAMPLERS:
        above = [replay(surface, study, sampler, seed) for seed in range(REPLAYS)]
        chosen = sampler == study_default(study)
        name = f"{sampler}, {MOST_TRIALS} trials replayed: loss of the winner above the lowest of its window, mean"
        rows.append(bound(f"{name} of {len(above)}", 100 * fmean(above), 100 * ABOVE if chosen else None, "%"))
        rows[-1]["each"] = above
        within = 100 * fmean(a <= ABOVE for a in above)
        rows.append(bound(f"{sampler}: searches that end more than {100 * ABOVE:g}% above", 100 - within, None, "%"))
        show(rows[-2:])
    return rows


def study_default(study: Study) -> str:
    """The sampler of a study that names none."""
    return str(type(study.tune).model_fields["sampler"].default)


def real(study: Study, results: Results, folder: Path, executor: str) -> list[Row]:
    """Searches whose trials are trained, against the grid's best point, both at seeds that neither has seen."""
    sampler, data_id = study_default(study), open_corpus(study.data).fingerprint
    store = Store.open(str(folder / "samplers"), "samplers")
    launch = Launch(WorkerSettings(device="cpu"), workers=CORES)
    with store.lock(), _runner(store, launch, executor) as runner:
        found = []
        for seed in range(REAL_SEARCHES):
            asked = searched(study, sampler, seed)
            found.append(tune(Settled(asked, asked.base.hps, "fp32", data_id), runner).hps)
        proxy = Proxy(Settled(study, study.base.hps, "fp32", data_id))
        points = [best_of_grid(results), *(hps.model_dump() for hps in found)]
        trials = [[proxy.trial(point, seed=seed) for seed in SCORING_SEEDS] for point in points]
        scored = runner.run([trial for group in trials for trial in group], "tune")
    grid, *ours = (fmean(scored[trial.id]["loss"] for trial in group) for group in trials)
    name = f"{sampler}, {MOST_TRIALS} trials trained: loss of the winner above the grid's best point, fresh seeds, mean"
    rows = [bound(name, 100 * (fmean(ours) / grid - 1), 100 * ABOVE, "%")]
    rows[-1] |= {"each": [loss / grid - 1 for loss in ours], "grid": grid, "hps": points}
    worst = f"{sampler}: the worst of {REAL_SEARCHES} searches"
    rows.append(bound(worst, 100 * (max(ours) / grid - 1), None, "%"))
    show(rows)
    return rows


def best_of_grid(results: Results) -> dict[str, float]:
    """The grid point whose fresh seeds came to the lowest mean."""
    assert results.base is not None
    finalists = [f for f in results.base.further["finalists"] if not f["fitted"] and f["loss"] is not None]
    best = min(finalists, key=lambda f: float(f["loss"]))
    return {name: float(best[name]) for name in results.base.hps.model_dump() if name in best}


def _runner(store: Store, launch: Launch, executor: str) -> Runner:
    return Runner(
        store,
        lambda: make_executor(executor, launch),
        (),
        "samplers",
        pack_trials=lambda trials, phase: packs_of(trials, phase, workers=CORES),
    )


def main() -> None:
    """Replay, train, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", action="store_true", help="train nothing")
    parser.add_argument("--keep", type=Path, help="folder for the trained trials; a second run resumes from it")
    parser.add_argument("--executor", choices=("local", "ray"), default="ray")
    given = parser.parse_args()
    study = load_study(ROOT / "sweeps" / "multipliers.yaml")
    results = load_results(str(ROOT / "results" / "multipliers"))
    rows = replays(Surface.of(results), study)
    if not given.replay:
        with tempfile.TemporaryDirectory() as scratch:
            rows += real(study, results, given.keep or Path(scratch), given.executor)
    write("samplers", rows, add=given.replay, optuna=optuna.__version__)


if __name__ == "__main__":
    main()
