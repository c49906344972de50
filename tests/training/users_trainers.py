"""Trainers as users write them: plain functions of (trial, report)."""

from __future__ import annotations

import math

from hptransfer.study.trial import Outcome, Trial


def bowl(trial: Trial, report) -> float:
    """Ends at the squared distance of log2 LR from −8, and comes down to it on the way."""
    end = (math.log2(trial.base.lr) + 8) ** 2
    for step in range(2, trial.training.steps + 1, 2):
        report(step, end + 1 / step, train_loss=end + 2 / step)
    return end


def stubborn(trial: Trial, report) -> float:
    """Reports a loss that is not finite at step 6 and holds on to what it thinks is its life."""
    try:
        report(3, 1.0)
        report(6, math.nan)
    except Exception:
        return 0.0
    return 0.0


def infinite(trial: Trial, report) -> float:
    """Says nothing on the way and ends beyond all bounds."""
    return math.inf


def whole_outcome(trial: Trial, report) -> Outcome:
    """Knows more than a loss."""
    return Outcome(trial.id, "ok", 1.5, 1.4, None, 10, 5, 3.0, 2.0, 7, 0.1, 0, "a cluster")


def anothers_outcome(trial: Trial, report) -> Outcome:
    """Hands back an outcome of some other trial."""
    return Outcome("0" * 20, "ok", 1.5, 1.4, None, 10, 5, 3.0, 2.0, 7, 0.1, 0, "a cluster")


def wordy(trial: Trial, report) -> str:
    """Returns no number."""
    return "it went well"


number = 3
