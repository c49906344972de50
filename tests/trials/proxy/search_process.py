"""A small real search: a function for the tests, and a program to be killed (`search_process.py FOLDER SAMPLER`)."""

from __future__ import annotations

import sys
from typing import Any

from hptransfer.execute.base import Launch
from hptransfer.execute.executors import make_executor
from hptransfer.execute.packing import packs_of
from hptransfer.execute.runner import Runner
from hptransfer.store.store import Store
from hptransfer.study.study import Study
from hptransfer.tasks.data.sources import open_corpus
from hptransfer.training.settings import WorkerSettings
from hptransfer.trials.proxy.driver import tune
from hptransfer.trials.settled import Settled


def small_study(sampler: str, pruner: str = "none") -> Study:
    """Fourteen searches and four finalist runs of a 16-wide model, a few hundred milliseconds each at most."""
    return Study.model_validate(
        {
            "name": f"killed-{sampler}",
            "model": {"options": {"head_size": 8}},
            "data": {"source": "synthetic", "vocab_size": 8, "max_bytes": 20_000},
            "training": {"steps": 12, "batch_size": 2, "sequence_length": 8, "eval_tokens": 64},
            "base": {"width": 16, "depth": 1},
            "grid": {"widths": [16, 32]},
            "tune": {
                "sampler": sampler,
                "pruner": pruner,
                "trials": 14,
                "batch": 3,
                "finalists": 2,
                "finalist_seeds": 2,
                "space": {"lr": {"low": 2.0**-10, "high": 2.0**-2}, "init_std": {"low": 0.01, "high": 0.5}},
            },
        }
    )


def search(folder: str, sampler: str, pruner: str = "none", most: int = 4) -> dict[str, Any]:
    """Run or resume the search in `folder`, `most` trials a pack."""
    study = small_study(sampler, pruner)
    store = Store.open(folder, study.name)
    settings = WorkerSettings(device="cpu", compile="never")
    with (
        store.lock(),
        Runner(
            store,
            lambda: make_executor("local", Launch(settings)),
            (),
            study.name,
            pack_trials=lambda trials, phase: packs_of(trials, phase, most=most),
        ) as runner,
    ):
        data_id = open_corpus(study.data).fingerprint
        return tune(Settled(study, study.base.hps, "fp32", data_id), runner).document()


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2])
