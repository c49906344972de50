"""What holds for every trainer (`hptransfer.training.trainer`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hptransfer.common.seams import TRAINERS
from hptransfer.study.trial import Outcome, Trial
from hptransfer.testing.contract import entry_of, expect, hold
from hptransfer.testing.small import SETTINGS, small_trial
from hptransfer.training.settings import WorkerSettings
from hptransfer.training.trainer import Resources, Trainer

__all__ = ["check_trainer"]

BEYOND = 1e6
"""A base LR at which no run stays finite."""


def check_trainer(trainer: object, trial: Trial | None = None, settings: WorkerSettings = SETTINGS) -> None:
    """Hold a trainer, by name or as it is, to every rule; raises ContractError. `trial` is a short one it can run."""
    entry = entry_of(TRAINERS, trainer)
    first = trial or small_trial()
    hold(entry, RULES, [first.model_copy(update={"seed": first.seed + i}) for i in range(3)], settings)


def _train(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> list[Outcome]:
    return list(trainer.train(trials, settings))


def it_says_what_a_trial_takes(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """`together` is True or False, and `resources` are `Resources` with numbers from 0 or None."""
    expect(isinstance(trainer.together, bool), f"together = {trainer.together!r}")
    found = trainer.resources(trials[0])
    expect(isinstance(found, Resources), f"resources gives a {type(found).__name__}")
    expect(all(x is None or x >= 0 for x in (found.cpus, found.gpus)), f"{found}")


def it_says_what_a_trial_costs(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """`cost` gives numbers from 0, the same whenever it is asked."""
    found, again = trainer.cost(trials[0]), trainer.cost(trials[0])
    expect(found == again, f"{found} at first, then {again}")
    for name in ("params", "params_nonzero", "flops_dense", "flops_nonzero", "tokens"):
        value = getattr(found, name, None)
        expect(isinstance(value, int | float) and value >= 0, f"{name} = {value!r}")


def every_trial_comes_back_once(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """`train` yields one outcome for each trial, in the order given, under the trial's own id."""
    for given in (trials, trials[:1]):
        found = _train(trainer, given, settings)
        expect(all(isinstance(outcome, Outcome) for outcome in found), f"{[type(o).__name__ for o in found]}")
        asked, came = [trial.id for trial in given], [outcome.trial_id for outcome in found]
        expect(came == asked, f"{came} for {asked}")


def an_outcome_says_what_came_out(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """An outcome that is `ok` has a finite loss and no step of divergence, and its curve rises in steps."""
    for outcome in _train(trainer, trials[:1], settings):
        expect(outcome.status in ("ok", "diverged", "pruned"), f"status {outcome.status!r}")
        if outcome.status == "ok":
            expect(math.isfinite(outcome.loss), f"loss {outcome.loss!r}")
            expect(outcome.diverged_step is None, f"diverged_step {outcome.diverged_step!r}")
        steps = [point.step for point in outcome.curve]
        expect(steps == sorted(set(steps)), f"curve steps {steps}")
        expect(outcome.tokens >= 0 and outcome.wall_s >= 0, f"tokens {outcome.tokens}, wall_s {outcome.wall_s}")


def the_same_trial_comes_to_the_same(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """A trial comes to the same loss again, whatever it is trained together with."""
    together = _train(trainer, trials, settings)[1]
    (alone,) = _train(trainer, trials[1:2], settings)
    same = math.isclose(together.loss, alone.loss, rel_tol=1e-4) or together.status == alone.status != "ok"
    expect(same, f"{together.loss!r} among others and {alone.loss!r} alone")


def a_pruner_is_obeyed(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """A trial that `prune` ends is `pruned`, without a loss; the others go on."""
    asked: list[tuple[str, int, float]] = []

    def prune(trial: Trial, step: int, loss: float) -> bool:
        asked.append((trial.id, step, loss))
        return trial.id == trials[0].id

    first, second = trainer.train(trials[:2], settings, prune)
    if any(trial_id == trials[0].id for trial_id, _, _ in asked):
        expect(first.status == "pruned", f"status '{first.status}' of a trial that was to end")
        expect(math.isnan(first.loss), f"loss {first.loss!r} of a trial that was ended")
    expect(second.status == "ok", f"status '{second.status}' of a trial that was to go on")


def divergence_is_an_outcome(trainer: Trainer, trials: Sequence[Trial], settings: WorkerSettings) -> None:
    """A run that diverges is an outcome like any other: nothing is raised, and it has no loss."""
    base = trials[0].base.model_copy(update={"lr": BEYOND})
    (outcome,) = _train(trainer, [trials[0].model_copy(update={"base": base})], settings)
    if outcome.status == "diverged":
        expect(math.isnan(outcome.loss), f"loss {outcome.loss!r} of a diverged run")
    else:
        expect(math.isfinite(outcome.loss), f"status '{outcome.status}' with loss {outcome.loss!r}")


RULES = (
    it_says_what_a_trial_takes,
    it_says_what_a_trial_costs,
    every_trial_comes_back_once,
    an_outcome_says_what_came_out,
    the_same_trial_comes_to_the_same,
    a_pruner_is_obeyed,
    divergence_is_an_outcome,
)
