"""The dense proxy of a study: what of its search is settled before the first trial, and how a point becomes a trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan

from hptransfer.common.errors import InputError
from hptransfer.common.files import digest_of
from hptransfer.common.seams import OPTIMIZERS, TASKS
from hptransfer.study.base import TUNED_TRAINING, BaseHPs
from hptransfer.study.study import Cell, Range, Study, TuneSpec
from hptransfer.study.trial import Phase, Trial, drop_since, model_marks
from hptransfer.training.ask_task import chance_of
from hptransfer.trials.proxy.space import HPs
from hptransfer.trials.settled import Settled

__all__ = ["Proxy", "refuse_vain_search", "tune_warnings"]

BETAS = ("beta1", "beta2")
"""What some optimizers have and others do not."""
POSITIVE = [name for name in BaseHPs.model_fields if name != "weight_decay"]
"""What must be above 0."""
FLAT_PAIR = ("alpha_input", "lr_embedding")
"""Two multipliers of which a long run feels the product alone: embeddings are read times α_in, and Adam moves them by
the LR whatever the gradient's size."""
SEED_BLOCK = 100_000
"""Tune seeds start at a multiple of this above every seed of the grid, so that no search trial is a grid trial."""


@dataclass(frozen=True)
class Proxy:
    """The proxy of a study that has a search; `settled` holds the study's own base HPs.

    With a `cell` the same search is asked of a target itself, under a `rule` of its own.
    """

    settled: Settled
    cell: Cell | None = None
    rule: str = ""
    phase: Phase = "tune"

    @property
    def study(self) -> Study:
        """The study."""
        return self.settled.study

    @property
    def tune(self) -> TuneSpec:
        """Its search."""
        assert self.study.tune is not None
        return self.study.tune

    @property
    def space(self) -> dict[str, Range]:
        """What is searched, by name, in the order of the study file."""
        return {str(name): axis for name, axis in self.tune.space.items()}

    @property
    def first_seed(self) -> int:
        """A multiple of 100 000 above every seed of the grid and of the direct comparison."""
        return SEED_BLOCK * (max(*self.study.grid.seeds, *self.study.direct_seeds) // SEED_BLOCK + 1)

    @property
    def seed(self) -> int:
        """The seed of the search; its finalists have those that follow."""
        return self.first_seed + self.tune.seed * (1 + self.tune.finalist_seeds)

    @property
    def planned(self) -> int:
        """How many trials will run, finalists counted; equal points and replaced finalists may change it."""
        return self.tune.trials + min(self.tune.finalists, self.tune.trials) * self.tune.finalist_seeds

    @cached_property
    def ceiling(self) -> float:
        """What a diverged run is told as: the loss of a guess that has learned nothing, such as ln(vocabulary).

        Fixed before the search, so that a replay tells the same, and no larger than it must be: a Gaussian process
        would spend its scale on it. A finite loss above it is told as the ceiling too: such a run ended worse than a
        model that never learned, and a diverged one must not look better than it. Infinite where the task knows no
        such loss: there a diverged run says nothing to the sampler, as one that failed.
        """
        chance = chance_of(self.study.task, TASKS.get(self.study.task).open(self.study.data))
        return inf if isnan(chance) else chance

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits of what decides the search's proposals and losses, and of nothing else."""
        parts = {"task", "trainer", "model", "training", "base", "tune", "rules"}
        said, settled = drop_since(self.study.model_dump(mode="json", include=parts)), self.settled
        marks = model_marks(self.study.model)
        what = [said, self.first_seed, settled.precision, settled.data_id, *filter(None, [settled.versions, marks])]
        return digest_of(json.dumps(what, sort_keys=True), 12)

    def trial(self, hps: HPs, *, seed: int, width: int | None = None) -> Trial:
        """A trial of the proxy (dense), or of the cell, with `hps` in place of the study's own values."""
        size = self.cell or Cell(width or self.study.base.width, 1.0, self.study.base.depth)
        rule = self.rule or self.tune.rule
        return self.settled.with_hps(hps).trial(size, rule=rule, seed=seed, steps=self.tune.steps)


def refuse_vain_search(study: Study) -> None:
    """Refuse a search that cannot mean anything."""
    tune = study.tune
    if tune is None:
        raise InputError("nothing to search", where="tune", hint="add a `tune:` section with a `space`")
    for name, axis in tune.space.items():
        where = f"tune.space.{name}"
        if name in TUNED_TRAINING and axis.high >= 1:
            raise InputError("must stay below 1", where=f"{where}.high", found=axis.high, allowed="0 ≤ value < 1")
        if name in BETAS and name not in OPTIMIZERS.get(study.training.optimizer).numbers(study.training, 0):
            raise InputError(
                f"{study.training.optimizer} has no {name}", where=where, hint="search it with optimizer: adamw"
            )
        if name in POSITIVE and axis.low <= 0:
            raise InputError("must be above 0", where=f"{where}.low", found=axis.low)
    if tune.pruner != "none" and tune.strategy == "telescope":
        raise InputError(
            "the telescope fits every point of its mesh, so none may be pruned", where="tune.pruner", found=tune.pruner
        )


def tune_warnings(study: Study) -> list[str]:
    """What is allowed and yet likely to mislead, in sentences that say why. Empty without a search."""
    tune = study.tune
    if tune is None:
        return []
    found = []
    widest = max((cell.width for cell in study.cells), default=study.base.width)
    if study.base.width > widest:
        found.append(
            f"the proxy (width {study.base.width}) is wider than the widest target ({widest}): each search trial costs"
            " more than a target run, and nothing is known about transfer downwards in width"
        )
    if tune.steps is not None and tune.steps != study.training.steps:
        found.append(
            f"the proxy trains {tune.steps} steps and the grid {study.training.steps}: the best LR falls as the"
            " horizon grows, so the tuned LR will sit off the grid's optimum"
        )
    if tune.pruner != "none":
        found.append(
            f"pruner {tune.pruner} ends runs by their rank at 1/8, 1/4 and 1/2 of the steps, and early rank misleads:"
            " the best LR falls as the horizon grows, so the tuned LR may come out too high"
        )
    pair = [axis for name, axis in tune.space.items() if name in FLAT_PAIR]
    if len(pair) == len(FLAT_PAIR) and all(axis.high > 4 * axis.low for axis in pair):
        found.append(
            "alpha_input and lr_embedding are searched together, each over more than two octaves: once the embedding"
            " has moved away from its start, only their product tells, so the loss is nearly flat along alpha_input ×"
            " lr_embedding = constant and the search may end anywhere on it; leave one out, or give one of them a"
            " range of at most two octaves"
        )
    if tune.strategy == "telescope" and tune.rule == "sp":
        found.append("telescope moves the optimum from width to width, and under rule sp the optimum drifts with width")
    return found
