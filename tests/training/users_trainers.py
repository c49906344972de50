"""Trainers as users write them: plain functions of (trial, report)."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.flops import cost_of
from hptransfer.training.trainer import Resources


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


def swallowing(trial: Trial, report) -> float:
    """Catches even what tells it that it has ended."""
    try:
        report(6, math.nan)
    except BaseException:
        return 1.0
    return 1.0


def talkative(trial: Trial, report) -> float:
    """Goes on reporting after it was told that it had ended."""
    for step, loss in ((6, math.nan), (8, 1.0)):
        with suppress(BaseException):
            report(step, loss)
    return 1.0


def backwards(trial: Trial, report) -> float:
    """Reports a step that lies behind it."""
    report(8, 1.0)
    report(2, 1.0)
    return 1.0


def twice(trial: Trial, report) -> float:
    """Reports its last step once more."""
    report(12, 2.0)
    report(12, 1.0)
    return 1.0


def leaving(trial: Trial, report) -> float:
    """Ends the process, it thinks."""
    raise SystemExit(0)


class Odd:
    """A trainer of packs whose outcomes are as `change` makes them."""

    together = True
    change: ClassVar[dict] = {}
    times = 1

    def train(self, trials, settings, prune=None):
        for trial in trials:
            for _ in range(self.times):
                yield replace(whole_outcome(trial, None), **self.change)

    def resources(self, trial):
        return Resources()

    def cost(self, trial):
        return cost_of(trial)


class Foreign(Odd):
    change: ClassVar[dict] = {"trial_id": "f" * 20}


class Unheard(Odd):
    change: ClassVar[dict] = {"status": "fine"}


class Lossless(Odd):
    change: ClassVar[dict] = {"loss": math.nan}


class Worded(Odd):
    change: ClassVar[dict] = {"params": None}


class Halved(Odd):
    change: ClassVar[dict] = {"params": 10.5}


class Partway(Odd):
    change: ClassVar[dict] = {"diverged_step": 2.5}


class Listed(Odd):
    change: ClassVar[dict] = {"curve": ((1, 2.0, 3.0),)}


class Doubled(Odd):
    times = 2


class Priceless(Odd):
    """Says nothing of what a trial costs."""

    def cost(self, trial):
        return None


number = 3
