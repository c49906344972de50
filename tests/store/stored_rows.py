"""Made-up trials and outcomes, and stores filled with them."""

from __future__ import annotations

from hptransfer.store.columns import curves_of, row_of
from hptransfer.store.store import Store
from hptransfer.study.base import BaseHPs
from hptransfer.study.trial import CurvePoint, Outcome, Trial


def a_trial(seed: int = 0, **changes: object) -> Trial:
    return Trial(seed=seed, base=BaseHPs(lr=2.0**-6), width=128, density=0.25, **changes)  # type: ignore[arg-type]


def an_outcome(trial: Trial, **changes: object) -> Outcome:
    values: dict[str, object] = {
        "trial_id": trial.id,
        "status": "ok",
        "loss": 2.5,
        "train_loss": 2.25,
        "diverged_step": None,
        "params": 1000,
        "params_nonzero": 400,
        "flops_dense": 6e6,
        "flops_nonzero": 2.4e6,
        "tokens": trial.tokens,
        "wall_s": 0.5,
        "peak_memory_bytes": 2**20,
        "device": "cpu",
        "curve": (CurvePoint(0, 5.5, 5.5), CurvePoint(100, 3.0)),
    }
    return Outcome(**(values | changes))  # type: ignore[arg-type]


def fill(store: Store, seeds: range, study: str = "s") -> None:
    """One part a trial."""
    with store.lock():
        for seed in seeds:
            trial = a_trial(seed)
            outcome = an_outcome(trial, loss=float(seed))
            store.append([row_of(study, "grid", trial, outcome)], curves_of(outcome))
