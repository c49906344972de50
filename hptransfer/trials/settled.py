"""A settled study: with base HPs, precision and data id, a study says every number of every trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from hptransfer.common.errors import InputError
from hptransfer.common.seams import AXES, is_outside, version_of
from hptransfer.scaling.rules import Rule, get_rule, rule_from_table, ships
from hptransfer.study.base import TUNED_TRAINING, BaseHPs, TunedBase
from hptransfer.study.file import with_overrides
from hptransfer.study.pieces import Precision
from hptransfer.study.refusals import first_refusal
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import Trial

__all__ = ["Settled", "rule_of", "with_value"]


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
            hps = BaseHPs.model_validate(self.hps.model_dump() | named) if named else self.hps
        except ValidationError as error:
            raise first_refusal(error, BaseHPs).at("base", ".") from None
        return replace(self, study=with_overrides(self.study, training), hps=hps)

    def variants(self) -> dict[str, Settled]:
        """As each of the grid's variants has it, by name; a study without any is its own, without a name."""
        found = {}
        for name, overrides in (self.study.grid.variants or {"": {}}).items():
            hps = {key.removeprefix("base."): value for key, value in overrides.items() if key.startswith("base.")}
            try:
                found[name] = replace(self, study=with_overrides(self.study, overrides)).with_hps(hps)
            except InputError as error:
                raise error.at(f"grid.variants.{name}") from None
        return found

    def values_of(self, name: str) -> tuple[float, ...]:
        """The values that the grid gives a swept axis."""
        axis = AXES.get(name)
        at_base = axis.at_base(self.hps)
        if is_outside(name) and not (isinstance(at_base, float | int) and math.isfinite(at_base)):
            raise AXES.breach(name, axis, "`at_base` is a finite number above 0", f"; found {at_base!r:.80}")
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

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries from outside the package that every trial names."""
        study = self.study
        model = study.model.factory
        named = (study.task, study.trainer, model, study.training.optimizer, study.sparsity.method)
        return tuple(name for name in named if is_outside(name))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of those that carry one."""
        return {name: version for name in self.entries if (version := version_of(name))}

    def trial(self, cell: Cell, *, rule: str, seed: int, variant: str = "", steps: int | None = None) -> Trial:
        """One trial at the base HPs. `steps` in place of the study's own, as for a probe."""
        study, known = self.study, rule_of(self.study, rule)
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
            depth=cell.depth or study.base.depth,
            density=cell.density,
            base=self.hps,
            seed=seed,
            versions=self.versions,
            variant=variant,
        )


_HELD = ("rule", "rule_digest", "base_width", "base_depth", "width", "depth", "density", "seed", "data", "data_id")
"""What a swept axis leaves alone."""


def with_value(trial: Trial, name: str, value: float) -> Trial:
    """The trial with the value of a swept axis; one that is no base HP is recorded in the trial, with its version."""
    axis = AXES.get(name)
    if not is_outside(name):
        built_in: Trial = axis.put(trial, value)
        return built_in
    placed = axis.put(trial.model_copy(), value)
    if not isinstance(placed, Trial):
        raise AXES.breach(name, axis, "`put` gives back the trial with the value", f", gave {placed!r:.80}")
    if moved := [field for field in _HELD if getattr(placed, field) != getattr(trial, field)]:
        raise AXES.breach(name, axis, "`put` leaves cell, rule, seed and data alone", f", changed {', '.join(moved)}")
    if axis.put(trial.model_copy(), value / 2) == placed:
        found = f", gave one for {value:g} and {value / 2:g}"
        raise AXES.breach(name, axis, "`put` gives another trial for another value", found)
    try:
        Trial.model_validate(placed.model_dump(warnings=False))
    except (ValidationError, AttributeError) as error:
        said = str(error).splitlines()[1:3]
        rule = "`put` gives a trial that is valid"
        raise AXES.breach(name, axis, rule, f"; at {value:g} it is not: {' '.join(said) or error}") from None
    version = {name: found} if (found := version_of(name)) else {}
    return placed.model_copy(update={"axes": {**placed.axes, name: value}, "versions": {**placed.versions, **version}})


def rule_of(study: Study, name: str) -> Rule:
    """The rule of this name: one of the study's own tables, or a known one."""
    return rule_from_table(name, study.rules[name]) if name in study.rules else get_rule(name)
