"""Trainers that ask for something, for tests of who gives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ray

from hptransfer.study.trial import Outcome, Trial
from hptransfer.training.flops import TrialCost
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import FunctionTrainer, Prune, Resources

__all__ = ["Greedy", "Wide"]


class Wide:
    """Takes two CPUs; its loss is how many it was given."""

    together = False
    cpus = 2.0

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        given = FunctionTrainer(lambda trial, report: ray.get_runtime_context().get_assigned_resources()["CPU"], "wide")
        yield from given.train(trials, settings, prune)

    def resources(self, trial: Trial) -> Resources:
        return Resources(cpus=self.cpus)

    def cost(self, trial: Trial) -> TrialCost:
        return TrialCost(0, 0, 0.0, 0.0, 0, 0, 0, 0)


class Greedy(Wide):
    """Asks for more than there is."""

    cpus = 64.0
