"""Does the proxy search find what an exhaustive grid finds, and which sampler finds it best?

Two questions, one command (`python benchmarks/tuning.py`), answers in results/benchmarks/tuning.json:

1. On the synthetic corpus every LR × init of a mesh is run at three seeds. A search with a quarter of the mesh's
   trials, finalists counted, must land within half an octave of the mesh's best LR, for each of five search seeds.
2. On the default corpus TPE, GP and random search side by side at equal trials: the winner's loss on fresh seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from math import log2, nan
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from common import CORES, Row, bound, row, show, write

from hptransfer.analysis.quadratic import local_quadratic
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.packing import packs_of
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import mesh
from hptransfer.trials.settled import Settled

LR = {"low": 2.0**-10, "high": 2.0**-2}
INIT = {"low": 2.0**-6, "high": 2.0**-2}
LR_POINTS, INIT_POINTS, GRID_SEEDS = 17, 5, (0, 1, 2)
GRID_TRIALS = LR_POINTS * INIT_POINTS * len(GRID_SEEDS)
FINALISTS, FINALIST_SEEDS = 4, 3
SEARCH_TRIALS = GRID_TRIALS // 4 - FINALISTS * FINALIST_SEEDS
SAMPLERS = ("tpe", "gp", "random")
SEARCH_SEEDS = range(5)
SIDE_BY_SIDE_SEEDS = range(3)


def study_of(source: str, sampler: str, seed: int, trials: int, batch: int) -> Study:
    """The proxy of both questions: width 32, one layer, a budget of about a second a trial."""
    return Study.model_validate(
        {
            "name": f"tuning-{source}",
            "model": {"options": {"head_size": 16}},
            "data": {"source": source, "max_bytes": 400_000},
            "training": {"steps": 24, "batch_size": 8, "sequence_length": 32, "eval_tokens": 4096},
            "base": {"width": 32, "depth": 1},
            "grid": {"widths": [128], "seeds": list(GRID_SEEDS)},
            "tune": {
                "sampler": sampler,
                "seed": seed,
                "trials": trials,
                "batch": batch,
                "finalists": FINALISTS,
                "finalist_seeds": FINALIST_SEEDS,
                "space": {"lr": LR, "init_std": INIT},
            },
        }
    )


class Bench:
    """One results folder that all searches of a corpus share; resumes like any study."""

    def __init__(self, source: str, folder: Path, executor: str) -> None:
        self.source, self._executor = source, executor
        self.data_id = open_corpus(study_of(source, "tpe", 0, 4, 4).data).fingerprint
        self.store = Store.open(str(folder / source), f"tuning-{source}")

    def runner(self) -> Runner:
        """A runner on the benchmark's own folder."""
        settings = WorkerSettings(device="cpu")
        return Runner(
            self.store,
            lambda: make_executor(self._executor, Launch(settings, workers=CORES)),
            (),
            f"tuning-{self.source}",
            pack_trials=lambda trials, phase: packs_of(trials, phase, workers=CORES),
        )

    def search(self, runner: Runner, sampler: str, seed: int, trials: int) -> dict[str, Any]:
        """One search, its base.json."""
        study = study_of(self.source, sampler, seed, trials, batch=4)
        return tune(Settled(study, study.base.hps, "fp32", self.data_id), runner).document()

    def grid(self, runner: Runner) -> dict[str, Any]:
        """The exhaustive mesh at three seeds: best point of the mean loss, and the fitted LR around it."""
        study = study_of(self.source, "grid", 0, 4, 4)
        proxy = Proxy(Settled(study, study.base.hps, "fp32", self.data_id))
        lrs = [point["lr"] for point in mesh({"lr": proxy.space["lr"]}, LR_POINTS)]
        inits = [point["init_std"] for point in mesh({"init_std": proxy.space["init_std"]}, INIT_POINTS)]
        points = [{"lr": lr, "init_std": init} for lr in lrs for init in inits]
        trials = [[proxy.trial(point, seed=seed) for seed in GRID_SEEDS] for point in points]
        rows = runner.run([trial for group in trials for trial in group], "tune")
        losses = np.array([_mean([rows[trial.id]["loss"] for trial in group]) for group in trials])
        best = points[int(np.nanargmin(losses))]
        places = np.array([[log2(point["lr"]), log2(point["init_std"])] for point in points])
        whole = np.isfinite(losses)
        centre = np.array([log2(best["lr"]), log2(best["init_std"])])
        fit = local_quadratic(places[whole], losses[whole], centre)
        vertex = None if fit is None else fit.vertex
        return {
            "lr": best["lr"],
            "init_std": best["init_std"],
            "loss": float(np.nanmin(losses)),
            "fitted_lr": None if vertex is None else float(2.0 ** vertex[0]),
            "trials": GRID_TRIALS,
            "diverged_points": int((~whole).sum()),
        }


def _mean(losses: list[float | None]) -> float:
    """Mean loss; NaN as soon as one seed diverged."""
    return fmean(nan if loss is None else loss for loss in losses)


def against_grid(bench: Bench) -> list[Row]:
    """Question 1: distance to the grid's LR in octaves, worst of five search seeds, for each sampler."""
    rows: list[Row] = []
    with bench.store.lock(), bench.runner() as runner:
        grid = bench.grid(runner)
        for sampler in SAMPLERS:
            bases = [bench.search(runner, sampler, seed, SEARCH_TRIALS) for seed in SEARCH_SEEDS]
            away = [abs(log2(base["lr"] / grid["lr"])) for base in bases]
            promised = sampler == "tpe"  # the default carries the promise; the others are for comparison
            place = f"{sampler}: octaves from the grid's best LR, worst of {len(away)} seeds"
            rows.append(bound(place, max(away), 0.5 if promised else None, "octaves"))
            rows[-1] |= {
                "each": away,
                "lrs": [base["lr"] for base in bases],
                "losses": [base["loss"] for base in bases],
                "grid": grid,
            }
            spent = float(max(base["trials"] for base in bases))
            name = f"{sampler}: trials spent, finalists counted, against the grid"
            rows.append(row(name, spent, float(GRID_TRIALS), 4.0 if promised else None, "trials"))
    return rows


def side_by_side(bench: Bench, trials: int = 32) -> list[Row]:
    """Question 2: the winner's loss on fresh seeds, mean over three search seeds, against random search."""
    found = {}
    with bench.store.lock(), bench.runner() as runner:
        for sampler in SAMPLERS:
            found[sampler] = [bench.search(runner, sampler, seed, trials) for seed in SIDE_BY_SIDE_SEEDS]
    random = fmean(base["loss"] for base in found["random"])
    rows = []
    for sampler, bases in found.items():
        name = f"{sampler}, {trials} trials on the default corpus: loss of the winner on fresh seeds, over random"
        rows.append(row(name, fmean(base["loss"] for base in bases), random, None, "nats"))
        rows[-1] |= {
            "each": [base["loss"] for base in bases],
            "lrs": [base["lr"] for base in bases],
            "init_stds": [base["init_std"] for base in bases],
            "spreads": [base["loss_spread"] for base in bases],
            "flat_ranges": [[base["flat_low"], base["flat_high"]] for base in bases],
        }
    return rows


def main() -> None:
    """Run both questions, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for the trials; a second run resumes from it")
    parser.add_argument("--executor", choices=("local", "ray"), default="ray")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        rows = against_grid(Bench("synthetic", folder, given.executor))
        rows += side_by_side(Bench("stdlib", folder, given.executor))
    show(rows)
    write("tuning", rows, optuna=optuna.__version__)


if __name__ == "__main__":
    main()
