"""Real training on the synthetic corpus: a quarter of the exhaustive grid's trials finds the grid's LR."""

from __future__ import annotations

import io
from math import log2
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hptransfer.analysis.quadratic import local_quadratic
from hptransfer.execute.executors import make_executor
from hptransfer.execute.progress import Progress
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.tasks.data import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy import tune
from hptransfer.trials.proxy.space import Setting, mesh, proxy_trial

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


def grid_optimum(setting: Setting, runner: Runner) -> float:
    """log2 of the LR at the minimum of a parabola through the grid's mean losses near the best."""
    trials = {
        point["lr"]: [proxy_trial(setting, point, seed=seed) for seed in range(GRID_SEEDS)]
        for point in mesh(setting.space, LRS)
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
    quiet = Progress(Console(file=io.StringIO()))
    with store.lock(), Runner(store, lambda: make_executor("local", settings), quiet, "against-grid") as runner:
        optimum = grid_optimum(Setting(study(0), "fp32", data_id), runner)
        bases = [tune(study(seed), runner, precision="fp32", data_id=data_id) for seed in range(5)]
    assert all(base["trials"] <= LRS * GRID_SEEDS / 4 for base in bases)
    assert [abs(log2(base["lr"]) - optimum) < 0.5 for base in bases] == [True] * 5
