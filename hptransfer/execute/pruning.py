"""Pruning by Optuna's own pruners, as data that travels with a pack.

A pruner's word on a trial depends on the search's earlier batches and on the trial's own losses, never on the other
trials of its batch: so it does not matter how a batch is packed, or which of its trials is the faster.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.trial import TrialState
from pydantic import Field, PrivateAttr

from hptransfer.common.choices import PrunerName
from hptransfer.study.pieces import Spec
from hptransfer.study.trial import Trial

__all__ = ["PastRun", "Pruning", "make_pruner"]

Rungs = tuple[tuple[int, float], ...]


class PastRun(Spec):
    """A run of an earlier batch: its held-out losses on the way, and the one it ended with."""

    rungs: Rungs = Field(default=(), description="(steps done, held-out loss) where pruning was asked for, rising.")
    told: float | None = Field(default=None, description="What the sampler was told; None for a pruned or failed run.")


class Pruning(Spec):
    """Who may be pruned: call it with (trial, steps done, held-out loss), True ends the trial as pruned."""

    pruner: PrunerName
    steps: int = Field(ge=1, description="Steps of a whole run.")
    past: tuple[PastRun, ...] = Field(default=(), description="Every run of the earlier batches, by its number.")
    numbers: dict[str, int] = Field(default_factory=dict, description="Number in the search, by trial id.")

    _seen: dict[str, list[tuple[int, float]]] = PrivateAttr(default_factory=dict)
    """Losses of the trials in hand, by trial id."""

    def __call__(self, trial: Trial, step: int, loss: float) -> bool:
        """Whether Optuna's pruner would end this trial now. A trial that the search did not number never is."""
        number = self.numbers.get(trial.id)
        if number is None:
            return False
        # A trial that is run again after a lost worker starts anew.
        seen = self._seen[trial.id] = [rung for rung in self._seen.get(trial.id, []) if rung[0] < step] + [(step, loss)]
        study = self._study()
        while (asked := study.ask()).number < number:
            pass
        return _walk(asked, tuple(seen))

    def _study(self) -> optuna.Study:
        """The search so far in Optuna's words. Asking the pruner at every rung leaves the marks it reads later."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(study_name="tune", pruner=make_pruner(self.pruner, self.steps))
        for run in self.past:
            trial = study.ask()
            _walk(trial, run.rungs)
            if run.told is not None:
                study.tell(trial, run.told)
            else:
                study.tell(trial, state=TrialState.PRUNED if run.rungs else TrialState.FAIL)
        return study


def make_pruner(name: PrunerName, steps: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner for runs of `steps` that are asked for at 1/8, 1/4 and 1/2 of them."""
    first = max(1, steps // 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "median":
                return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0, interval_steps=1)
            case "hyperband":
                return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=steps, reduction_factor=2)
            case "successive_halving":
                return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2)


def _walk(trial: optuna.trial.Trial, rungs: Rungs) -> bool:
    """Report every rung and ask at each; the answer at the last."""
    answer = False
    for step, loss in rungs:
        trial.report(loss, step)
        answer = bool(trial.should_prune())
    return answer
