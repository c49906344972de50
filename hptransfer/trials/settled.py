"""A settled study: with base HPs, precision and data id, a study says every number of every trial.

Its series are the lines of its grid: what a fixed grid multiplies out, and what a bracket search walks along.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from pydantic import ValidationError

from hptransfer.common.errors import InputError
from hptransfer.common.seams import AXES, is_outside, version_of
from hptransfer.scaling.rules import Rule, get_rule, rule_from_table, ships
from hptransfer.study.axes import HELD
from hptransfer.study.base import TUNED_TRAINING, BaseHPs, TunedBase
from hptransfer.study.file import with_overrides
from hptransfer.study.pieces import Precision
from hptransfer.study.refusals import validated
from hptransfer.study.series_name import series_name
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import Trial, outside_entries

__all__ = ["Series", "Settled", "with_values"]


@dataclass(frozen=True)
class Settled:
    """A study with all that its file leaves open."""

    study: Study
    hps: BaseHPs
    precision: Precision
    data_id: str

    @classmethod
    def from_base(cls, study: Study, base: TunedBase, precision: Precision, data_id: str) -> Settled:
        """With the base HPs and the training settings of a base.json."""
        return cls(study, base.hps, precision, data_id).with_hps(base.training)

    def with_hps(self, values: Mapping[str, float]) -> Settled:
        """With some base HPs, and training settings that a search may tune, set anew."""
        training = {f"training.{name}": values[name] for name in TUNED_TRAINING if name in values}
        named = {name: value for name, value in values.items() if name not in TUNED_TRAINING}
        try:
            hps = validated(BaseHPs, self.hps.model_dump() | named) if named else self.hps
        except InputError as error:
            raise error.at("base", ".") from None
        return replace(self, study=with_overrides(self.study, training), hps=hps)

    def of_rule(self, rule: str) -> Settled:
        """As `grid.by_rule` has it for this rule. That is then the study itself, and nothing is left to override."""
        if rule not in self.study.grid.by_rule:
            return self
        return self._with(self.study.grid.by_rule[rule] | {"grid.by_rule": {}}, f"grid.by_rule.{rule}")

    def variants(self) -> dict[str, Settled]:
        """As each of the grid's variants has it, by name; a study without any is its own, without a name."""
        named = (self.study.grid.variants or {"": {}}).items()
        return {name: self._with(overrides, f"grid.variants.{name}") for name, overrides in named}

    def _with(self, overrides: Mapping[str, Any], where: str) -> Settled:
        hps = {key.removeprefix("base."): value for key, value in overrides.items() if key.startswith("base.")}
        try:
            return replace(self, study=with_overrides(self.study, overrides)).with_hps(hps)
        except InputError as error:
            raise error.at(where) from None

    def series(self) -> list[Series]:
        """Every rule × variant of the grid, in the order the study names them."""
        variants = {rule: self.of_rule(rule).variants() for rule in self.study.grid.rules}
        names = self.study.grid.variants or ("",)
        return [Series(rule, name, variants[rule][name]) for name in names for rule in variants]

    def values_of(self, name: str) -> tuple[float, ...]:
        """The values that the grid gives a swept axis."""
        axis = AXES.get(name)
        at_base = axis.at_base(self.hps)
        if is_outside(name):
            kept = isinstance(at_base, float | int) and math.isfinite(at_base) and at_base > 0
            AXES.hold(name, kept, "`at_base` is a finite number above 0", at_base)
        values = self.study.grid.sweeps()[name].around(at_base)
        if min(values) > 0:
            return values
        raise InputError(
            "multiples need a base value above 0",
            where=f"grid.sweep.{name}.multiples",
            found=", ".join(f"{value:g}" for value in values),
            hint="give `values`, or a base value above 0",
        )

    def swept(self) -> dict[str, tuple[float, ...]]:
        """The values of every swept axis by its name, in the order in which they are multiplied out."""
        return {name: self.values_of(name) for name in self.study.grid.sweeps()}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of the entries from outside the package that every trial names, for those that carry one."""
        entries = outside_entries(self.study).items()
        return {name: version for name, where in entries if (version := version_of(name, where))}

    @cached_property
    def own_rules(self) -> dict[str, Rule]:
        """The rules that the study brings as tables of its own."""
        return {name: rule_from_table(name, table) for name, table in self.study.rules.items()}

    def rule(self, name: str) -> Rule:
        """The rule of this name: one of the study's own, or a known one."""
        return self.own_rules.get(name) or get_rule(name)

    def trial(self, cell: Cell, *, rule: str, seed: int, variant: str = "", steps: int | None = None) -> Trial:
        """One trial at the base HPs of the rule. `steps` in place of the study's own, as for a probe."""
        if rule in self.study.grid.by_rule:
            return self.of_rule(rule).trial(cell, rule=rule, seed=seed, variant=variant, steps=steps)
        study, known = self.study, self.rule(rule)
        budget = {} if steps is None else {"steps": steps}
        return Trial(
            task=study.task,
            trainer=study.trainer,
            model=study.model,
            data=study.data,
            data_id=self.data_id,
            training=study.training.model_copy(update={"precision": self.precision, **budget}),
            sparsity=study.sparsity,
            rule=rule,
            rule_digest=known.digest(),
            rule_table={} if ships(rule) else known.to_table(),  # a worker knows what ships, no more
            base_width=study.base.width,
            base_depth=study.base.depth,
            width=cell.width,
            depth=cell.depth,
            density=cell.density,
            base=self.hps,
            seed=seed,
            versions=self.versions,
            variant=variant,
        )


@dataclass(frozen=True)
class Series:
    """One line of enquiry: a rule, and the study as one of its variants has it."""

    rule: str
    variant: str
    settled: Settled

    @property
    def name(self) -> str:
        """`rule`, or `rule · variant`."""
        return series_name(self.rule, self.variant)

    def trial(self, cell: Cell, seed: int, values: Mapping[str, float], steps: int | None = None) -> Trial:
        """A trial of this series with these values of swept axes, at the base HPs otherwise."""
        trial = self.settled.trial(cell, rule=self.rule, seed=seed, variant=self.variant, steps=steps)
        return with_values(trial, values)

    def trials(self, cell: Cell) -> Iterator[Trial]:
        """Every trial of the fixed grid in this cell."""
        swept, at_base = self.settled.swept(), self.trial(cell, 0, {})
        for name, asked in swept.items():
            if is_outside(name):
                made = {with_values(at_base, {name: value}).model_copy(update={"axes": {}}).id for value in asked}
                AXES.hold(name, len(made) == len(asked), "`put` gives another trial for another value", asked)
        for values in product(*swept.values()):
            trial = with_values(at_base, dict(zip(swept, values, strict=True)))
            yield from (trial.model_copy(update={"seed": seed}) for seed in self.settled.study.grid.seeds)


def with_values(trial: Trial, values: Mapping[str, float]) -> Trial:
    """The trial with values of swept axes; those that are no base HPs are recorded in it, with their versions."""
    for name, value in values.items():
        trial = _with_own(trial, name, value) if is_outside(name) else AXES.get(name).put(trial, value)
    return trial


def _with_own(trial: Trial, name: str, value: float) -> Trial:
    """The trial with the value of an outside axis, whose `put` is held to its contract."""
    axis = AXES.get(name)
    placed: Trial = axis.put(trial.model_copy(), value)
    AXES.hold(name, isinstance(placed, Trial), "`put` gives back the trial with the value", placed)
    moved = [field for field in HELD if getattr(placed, field) != getattr(trial, field)]
    AXES.hold(name, not moved, "`put` leaves cell, rule, seed and data alone; it changed some", moved)
    try:
        Trial.model_validate(placed.model_dump(warnings=False))
    except (ValidationError, AttributeError) as error:
        said = str(error).splitlines()[1:3]
        rule = "`put` gives a trial that is valid"
        raise AXES.breach(name, axis, rule, f"; at {value:g} it is not: {' '.join(said) or error}") from None
    version = {name: found} if (found := version_of(name)) else {}
    return placed.model_copy(update={"axes": {**placed.axes, name: value}, "versions": {**placed.versions, **version}})
