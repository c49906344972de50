"""Small trials that train in a fraction of a second, and the settings the tests run them with."""

from __future__ import annotations

from typing import Any

from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import DataSpec, ModelSpec, TrainingSpec
from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.packs import train_pack
from hptransfer.training.settings import WorkerSettings

EAGER = WorkerSettings(device="cpu", compile="never", products="dense")


def small_trial(lr: float = 2.0**-8, *, training: dict[str, Any] | None = None, **changes: Any) -> Trial:
    """A two-block GPT of width 32, 12 steps of 4 × 16 synthetic tokens, masked at density 1/2."""
    base = {"lr": lr, **changes.pop("base", {})}
    budget = {"steps": 12, "batch_size": 4, "sequence_length": 16, "eval_tokens": 256, "precision": "fp32"}
    return Trial(
        data=changes.pop("data", DataSpec(source="synthetic")),
        model=changes.pop("model", ModelSpec(options={"head_size": 8})),
        training=TrainingSpec(**{**budget, **(training or {})}),
        base=BaseHPs(**base),
        **{"base_width": 16, "width": 32, "density": 0.5, **changes},
    )


def outcome_of(trial: Trial, settings: WorkerSettings = EAGER) -> Outcome:
    """The trial trained in a pack of its own."""
    (outcome,) = train_pack([trial], settings)
    return outcome
