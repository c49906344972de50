"""Every trainer that ships keeps its promises, and the suite finds the ones that do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from broken import broken_rule

from hptransfer.common.seams import TRAINERS
from hptransfer.study.trial import Outcome, Trial
from hptransfer.testing import check_trainer
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import Prune

PACKS = type(TRAINERS.get("packs"))


@pytest.mark.parametrize("name", TRAINERS.built_in)
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_trainer(name)


class Wrapped(PACKS):  # type: ignore[misc, valid-type]
    """The packs trainer, changed in one place."""

    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return outcomes

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        yield from self.change(list(super().train(trials, settings, prune)), prune)


class Backwards(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return outcomes[::-1]


class Twice(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [*outcomes, outcomes[-1]]


class Nameless(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [replace(outcome, trial_id="me") for outcome in outcomes]


class Winning(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [replace(outcome, loss=math.nan) for outcome in outcomes]


class Together(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [replace(outcome, loss=outcome.loss / len(outcomes)) for outcome in outcomes]


class Stubborn(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [replace(outcome, status="ok", loss=2.0) for outcome in outcomes] if prune else outcomes


class Silent(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        return [replace(o, loss=0.0) if o.status == "diverged" else o for o in outcomes]


class Raising(Wrapped):
    def change(self, outcomes: list[Outcome], prune: Prune | None) -> list[Outcome]:
        if any(outcome.status == "diverged" for outcome in outcomes):
            raise FloatingPointError("loss is NaN")
        return outcomes


class Free(Wrapped):
    def cost(self, trial: Trial) -> Any:
        return None


@pytest.mark.parametrize(
    ("trainer", "rule", "found"),
    [
        (Backwards, "one outcome for each trial, in the order given", " for ["),
        (Twice, "one outcome for each trial", " for ["),
        (Nameless, "under the trial's own id", "'me'"),
        (Winning, "An outcome that is `ok` has a finite loss", "loss nan"),
        (Together, "whatever it is trained together with", "among others and"),
        (Stubborn, "A trial that `prune` ends is `pruned`", "status 'ok' of a trial that was to end"),
        (Silent, "A run that diverges is an outcome like any other", "loss 0.0 of a diverged run"),
        (Raising, "nothing is raised", "FloatingPointError: loss is NaN"),
        (Free, "`cost` gives numbers from 0", "params = None"),
    ],
)
def test_a_broken_one_is_told_which_rule_it_breaks(trainer: type, rule: str, found: str) -> None:
    error = broken_rule(lambda: check_trainer(trainer), __file__)
    assert rule in error.rule
    assert found in error.found
