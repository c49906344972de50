"""Real training on the synthetic corpus: a quarter of the exhaustive grid's trials finds the grid's LR."""

from __future__ import annotations

from math import log2
from pathlib import Path

import numpy as np
import pytest

from hptransfer.analysis.quadratic import local_quadratic
from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.proxy.proxy import Proxy
from hptransfer.trials.proxy.space import mesh
from hptransfer.trials.settled import Settled

LRS, GRID_SEEDS = 17, 4
SEARCH, FINALISTS, FINALIST_SEEDS = 11, 2, 3  # 11 + 2 × 3 = 17, a quarter of 17 × 4


def study(seed: int) -> Study:
    return Study.model_validate(
        {
            "name": "against-grid",
            "model": {"options": {"head_size": 8}},
            "data": {"source": "synthetic", "vocab_size": 16, "max_bytes": 50_000},
            "training": {"steps": 12, "batch_size": 8, "sequence_length": 16, "eval_tokens": 1024},
            "base": {"width": 16, "depth": 1},
            "grid": {"widths": [64]},
            "tune": {
                "seed": seed,
                "trials": SEARCH,
                "batch": 3,
                "finalists": FINALISTS,
                "finalist_seeds": FINALIST_SEEDS,
                "space": {"lr": {"low": 2.0**-9, "high": 2.0**-1}},
            },
        }
    )


def grid_optimum(proxy: Proxy, runner: Runner) -> float:
    """log2 of the LR at the minimum of a parabola through the grid's mean losses near the best."""
    trials = {
        point["lr"]: [proxy.trial(point, seed=seed) for seed in range(GRID_SEEDS)] for point in mesh(proxy.space, LRS)
    }
    rows = runner.run([trial for group in trials.values() for trial in group], "tune")
    places = np.array([[log2(lr)] for lr in trials])
    losses = np.array([np.mean([rows[trial.id]["loss"] for trial in group]) for group in trials.values()])
    fit = local_quadratic(places, losses, places[losses.argmin()])
    assert fit is not None
    assert fit.vertex is not None
    return float(fit.vertex[0])


@pytest.mark.slow
def test_five_searches_land_within_half_an_octave_of_the_grid_in_a_quarter_of_its_trials(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), "against-grid")
    settings = WorkerSettings(device="cpu", compile="never")
    data_id = open_corpus(study(0).data).fingerprint
    with store.lock(), Runner(store, lambda: make_executor("local", Launch(settings)), (), "against-grid") as runner:
        searches = [Settled(study(seed), study(seed).base.hps, "fp32", data_id) for seed in range(5)]
        optimum = grid_optimum(Proxy(searches[0]), runner)
        bases = [tune(search, runner).document() for search in searches]
    assert all(base["trials"] <= LRS * GRID_SEEDS / 4 for base in bases)
    assert [abs(log2(base["lr"]) - optimum) < 0.5 for base in bases] == [True] * 5
