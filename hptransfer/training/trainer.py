"""What a trainer promises: trials in, an outcome each out. The engine that ships is one trainer among several.

A plain function is a trainer too: it is called as `function(trial, report)` and returns the final held-out loss, or an
`Outcome` that says more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Protocol, TypeVar, get_args

import torch

from hptransfer.common.seams import TRAINERS
from hptransfer.study.trial import CurvePoint, Outcome, Status, Trial
from hptransfer.training.flops import TrialCost, cost_of
from hptransfer.training.process import device_name, peak_memory, prepare_process
from hptransfer.training.settings import WorkerSettings

__all__ = [
    "FunctionTrainer",
    "Prune",
    "Report",
    "Resources",
    "Trainer",
    "as_trainer",
    "checked_outcome",
    "cost_by_trainer",
    "resources_by_trainer",
    "took",
]

_T = TypeVar("_T")

Prune = Callable[[Trial, int, float], bool]
"""Asked at a few steps with (trial, steps done, held-out loss); True ends the trial as pruned."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one trial takes while it runs. None: what the executor gives a worker anyway."""

    cpus: float | None = None
    gpus: float | None = None


class Trainer(Protocol):
    """One trainer. `hptransfer.testing.check_trainer` holds an entry to this."""

    together: bool
    """Whether trials of one shape may ride in one pack; otherwise each has a pack of its own."""

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        """Train every trial and yield its outcome as soon as it is there, in the order given.

        Raises `OutOfMemoryError` where a pack does not fit, so that it can be halved.
        """

    def resources(self, trial: Trial) -> Resources:
        """What the trial takes."""

    def cost(self, trial: Trial) -> TrialCost:
        """Its size and work, for packing, plans and rows; nothing is allocated."""


def as_trainer(thing: Any, name: str) -> Any:
    """A trainer as it is (a class, or what has `train`); one made of a plain function."""
    if isinstance(thing, type) or hasattr(thing, "train"):
        return thing
    if not callable(thing):
        rule = f"a trainer is a function or has `train`; this is {type(thing).__name__}"
        raise TRAINERS.breach(name, thing, rule)
    return FunctionTrainer(thing, name)


_NUMBERS = {f.name: Integral if f.type == "int" else Real for f in fields(Outcome) if f.type in ("int", "float")}


def checked_outcome(outcome: object, left: Collection[str], name: str) -> Outcome:
    """An outcome of the trainer `name` for one of the trials `left`, by id; refuses one that no row can be made of."""

    def hold(kept: bool, rule: str, found: object) -> None:
        TRAINERS.hold(name, kept, rule, found)

    owned = isinstance(outcome, Outcome) and outcome.trial_id in left
    hold(owned, "it yields one `Outcome` for each trial it is given", getattr(outcome, "trial_id", outcome))
    assert isinstance(outcome, Outcome)
    words = get_args(Status)
    hold(outcome.status in words, f"the status of an outcome is one of {', '.join(words)}", outcome.status)
    for field, kind in _NUMBERS.items():
        number = "a whole number" if kind is Integral else "a number"
        hold(isinstance(getattr(outcome, field), kind), f"`{field}` of an outcome is {number}", getattr(outcome, field))
    ended = outcome.diverged_step is None or isinstance(outcome.diverged_step, Integral)
    hold(ended, "`diverged_step` of an outcome is a whole number or None", outcome.diverged_step)
    sound = math.isfinite(outcome.loss) == (outcome.status == "ok")
    hold(sound, f"an outcome has a finite loss where it is ok, else NaN; this is {outcome.status}", outcome.loss)
    points = all(isinstance(point, CurvePoint) for point in outcome.curve)
    hold(points, "the curve of an outcome consists of `CurvePoint`", outcome.curve)
    steps = [point.step for point in outcome.curve]
    hold(steps == sorted(set(steps)), "the steps of a curve rise", steps)
    return outcome


def took(cost: TrialCost, seconds: float, device: torch.device) -> dict[str, Any]:
    """What an outcome says besides losses: the trial's size and work, and what it took of this machine."""
    counted = ("params", "params_nonzero", "flops_dense", "flops_nonzero", "tokens")
    here = {"wall_s": seconds, "peak_memory_bytes": peak_memory(device), "device": device_name(device)}
    return {**{key: getattr(cost, key) for key in counted}, **here}


def cost_by_trainer(trial: Trial) -> TrialCost:
    """What the trial's own trainer says that it costs."""
    return _answer(trial, "cost", TrialCost)


def resources_by_trainer(trial: Trial) -> Resources:
    """What the trial's own trainer says that it takes."""
    return _answer(trial, "resources", Resources)


def _answer(trial: Trial, asked: str, kind: type[_T]) -> _T:
    found: _T = getattr(TRAINERS.get(trial.trainer), asked)(trial)
    TRAINERS.hold(trial.trainer, isinstance(found, kind), f"`{asked}` gives a `{kind.__name__}`", found)
    return found


class _Ended(BaseException):
    """Ends a function from within `report`; not an `Exception`, which the function may well catch."""


class Report:
    """What a function tells its progress to: `report(step, loss, **metrics)`, with the held-out loss after `step`
    steps, which rise. Of the metrics `train_loss` is kept. A loss that is not finite ends the trial, and so may the
    pruner."""

    def __init__(self, trial: Trial, prune: Prune | None) -> None:
        self._trial, self._prune = trial, prune
        self.curve: list[CurvePoint] = []
        self.status: Status = "ok"
        """How the trial ended here, also where the function caught what told it so."""

    def __call__(self, step: int, loss: float, **metrics: float) -> None:
        if self.status != "ok":  # told already, and the function caught it
            raise _Ended
        point = CurvePoint(int(step), float(metrics.get("train_loss", math.nan)), float(loss))
        if self.curve and self.curve[-1].step == point.step:
            self.curve.pop()  # told again, as once more at the end
        self.curve.append(point)
        if not math.isfinite(point.validation_loss):
            self.status = "diverged"
        elif self._prune is not None and self._prune(self._trial, point.step, point.validation_loss):
            self.status = "pruned"
        if self.status != "ok":
            raise _Ended


class FunctionTrainer:
    """The trainer that a plain function makes. What it cannot know of a trial's cost is 0."""

    together = False

    def __init__(self, function: Callable[[Trial, Report], object], name: str) -> None:
        self.function, self.name = function, name

    def train(self, trials: Sequence[Trial], settings: WorkerSettings, prune: Prune | None = None) -> Iterator[Outcome]:
        """Call the function for each trial in turn."""
        device = prepare_process(settings)
        for trial in trials:
            start, report, returned = time.perf_counter(), Report(trial, prune), None
            with suppress(_Ended):
                returned = self.function(trial, report)
            if report.status == "ok" and isinstance(returned, Outcome) and returned.trial_id == trial.id:
                yield returned
                continue
            loss = self._loss(returned) if report.status == "ok" else math.nan
            yield self._outcome(trial, report, loss, time.perf_counter() - start, device)

    def resources(self, trial: Trial) -> Resources:
        """What the executor gives a worker."""
        return Resources()

    def cost(self, trial: Trial) -> TrialCost:
        """That of the study's model, if it can be told from the trial; else all 0."""
        try:
            return cost_of(trial)
        except Exception:  # the function may train something that is no model of a factory at all
            return TrialCost(0, 0, 0.0, 0.0, 0, 0, 0, 0)

    def _loss(self, returned: Any) -> float:
        try:
            return float(returned)
        except (TypeError, ValueError):
            rule = "the function returns the final loss or the trial's own Outcome"
            raise TRAINERS.breach(self.name, self.function, f"{rule}; it returned {repr(returned)[:60]}") from None

    def _outcome(self, trial: Trial, report: Report, loss: float, seconds: float, device: torch.device) -> Outcome:
        curve, status, steps = report.curve, report.status, trial.training.steps
        if status == "ok" and (not curve or curve[-1].step < steps):
            curve = [*curve, CurvePoint(steps, math.nan, loss)]
        if status == "ok" and not math.isfinite(loss):
            status, loss = "diverged", math.nan
        return Outcome(
            trial_id=trial.id,
            status=status,
            loss=loss,
            train_loss=curve[-1].train_loss if status == "ok" else math.nan,
            diverged_step=curve[-1].step if status == "diverged" else None,
            curve=tuple(curve),
            **took(self.cost(trial), seconds, device),
        )
