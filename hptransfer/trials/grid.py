"""The fan-out: base HPs × the study's grid, as trials.

Pure: a study and base HPs in, trials out. What is already stored is the runner's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hptransfer.common.errors import InputError
from hptransfer.scaling.rules import Rule, get_rule, rule_from_table, ships
from hptransfer.study.base import TUNED_TRAINING, BaseHPs
from hptransfer.study.pieces import Precision
from hptransfer.study.refusals import first_refusal
from hptransfer.study.series_name import series_name
from hptransfer.study.study import Cell, Study
from hptransfer.study.trial import Trial

__all__ = ["Series", "grid_size", "lr_axis", "make_trial", "series_of", "trials_of", "tuned_study", "with_overrides"]


@dataclass(frozen=True)
class Series:
    """One line of enquiry: a rule, and the study as one of its variants has it."""

    rule: str
    variant: str
    study: Study
    base: BaseHPs

    @property
    def name(self) -> str:
        """`rule`, or `rule · variant`."""
        return series_name(self.rule, self.variant)


def with_overrides(study: Study, overrides: Mapping[str, Any]) -> Study:
    """The study with dotted keys set, validated anew. Refuses keys that the schema does not know."""
    tree = study.model_dump()
    for dotted, value in overrides.items():
        *path, last = dotted.split(".")
        node = tree
        for key in path:
            if not isinstance(node.get(key), dict):
                raise InputError("no such setting", where=dotted, hint="write it as section.key, e.g. training.decay")
            node = node[key]
        node[last] = value
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise first_refusal(error, Study) from None


def tuned_study(study: Study, base: Mapping[str, Any]) -> tuple[Study, BaseHPs]:
    """The study and the base HPs after tuning: `base` is the content of a base.json."""
    hps = BaseHPs.model_validate({name: base[name] for name in BaseHPs.model_fields if base.get(name) is not None})
    tuned = {f"training.{name}": base[name] for name in TUNED_TRAINING if base.get(name) is not None}
    return (with_overrides(study, tuned) if tuned else study), hps


def series_of(study: Study, base: BaseHPs) -> list[Series]:
    """Every rule × variant of the grid, in the order the study names them."""
    found = []
    for variant, overrides in (study.grid.variants or {"": {}}).items():
        changed = with_overrides(study, overrides) if overrides else study
        named = {key.removeprefix("base."): value for key, value in overrides.items() if key.startswith("base.")}
        hps = BaseHPs.model_validate(base.model_dump() | named) if named else base
        found += [Series(rule, variant, changed, hps) for rule in study.grid.rules]
    return found


def lr_axis(study: Study, base: BaseHPs) -> tuple[float, ...]:
    """Base LRs of the grid: absolute ones, multiples of the tuned one, or the tuned one alone."""
    if study.grid.lr is not None:
        return study.grid.lr
    if study.grid.lr_multiples is not None:
        return tuple(base.lr * multiple for multiple in study.grid.lr_multiples)
    return (base.lr,)


def rule_of(study: Study, name: str) -> Rule:
    """The rule of this name: one of the study's own tables, or a known one."""
    return rule_from_table(name, study.rules[name]) if name in study.rules else get_rule(name)


def make_trial(
    study: Study,
    *,
    base: BaseHPs,
    width: int,
    density: float,
    depth: int,
    rule: str,
    seed: int,
    precision: Precision,
    data_id: str,
    variant: str = "",
    steps: int | None = None,
) -> Trial:
    """One trial of `study`; `base` already holds the LR and init std of this very trial."""
    training = study.training.model_copy(update={"precision": precision} | ({} if steps is None else {"steps": steps}))
    return Trial(
        model=study.model,
        data=study.data,
        data_id=data_id,
        training=training,
        sparsity=study.sparsity,
        rule=rule,
        rule_digest=rule_of(study, rule).digest(),
        rule_table={} if ships(rule) else rule_of(study, rule).to_table(),  # a worker knows what ships, no more
        base_width=study.base.width,
        base_depth=study.base.depth,
        width=width,
        depth=depth,
        density=density,
        base=base,
        seed=seed,
        variant=variant,
    )


def grid_size(study: Study) -> int:
    """How many trials the fixed grid has, those asked for twice counted twice; nothing is multiplied out for it."""
    grid = study.grid
    series, shapes = len(grid.rules) * max(1, len(grid.variants)), len(grid.shapes(study.base.depth))
    return series * shapes * len(lr_axis(study, study.base.hps)) * len(grid.init_multiples) * len(grid.seeds)


def trials_of(study: Study, base: BaseHPs, *, precision: Precision, data_id: str) -> list[Trial]:
    """Every trial of the fixed grid, each once, in a settled order."""
    found: dict[str, Trial] = {}
    for series in series_of(study, base):
        for cell in study.grid.shapes(study.base.depth):
            for trial in _cell_trials(series, cell, precision, data_id):
                found.setdefault(trial.id, trial)
    return list(found.values())


def _cell_trials(series: Series, cell: Cell, precision: Precision, data_id: str) -> Iterator[Trial]:
    grid = series.study.grid
    for lr in lr_axis(series.study, series.base):
        for init_multiple in grid.init_multiples:
            hps = series.base.model_copy(update={"lr": lr, "init_std": series.base.init_std * init_multiple})
            for seed in grid.seeds:
                yield make_trial(
                    series.study,
                    base=hps,
                    width=cell.width,
                    density=cell.density,
                    depth=cell.depth or series.study.base.depth,
                    rule=series.rule,
                    seed=seed,
                    precision=precision,
                    data_id=data_id,
                    variant=series.variant,
                )
