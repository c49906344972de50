"""The answer in numbers: what the base HPs mean at the study's largest, sparsest cell, tensor group by tensor group.

Only the built-in models are built for it (on the meta device, without weights): a report never runs code that a
results folder names. For other factories it says which command prints the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from hptransfer.analysis.results import Results
from hptransfer.common.errors import InputError
from hptransfer.common.seams import MODELS
from hptransfer.report.points import grid_rows, prepared
from hptransfer.scaling.rules import get_rule, rule_from_table
from hptransfer.scaling.table import TensorScale, scale_table
from hptransfer.scaling.target import Target
from hptransfer.study.base import BaseHPs
from hptransfer.study.study import Study
from hptransfer.tasks.models import resolve_factory

__all__ = ["Answer", "Group", "answer_of", "base_hps"]

_BYTES = 256


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors that get the same treatment: `count` of them, `example` the first one's name."""

    scale: TensorScale
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The target, its rule and the groups; `groups` is empty where `why_not` says why there is no table."""

    rule: str
    width: int
    density: float
    depth: int
    groups: tuple[Group, ...]
    why_not: str = ""


def base_hps(results: Results) -> BaseHPs | None:
    """The base HPs in force: tuned ones, else the study's own; None for a foreign folder without either."""
    if results.base is not None:
        return results.base.hps
    given = (results.study or {}).get("base") or {}
    known = {k: float(v) for k, v in given.items() if k in BaseHPs.model_fields and isinstance(v, int | float)}
    try:
        return BaseHPs(**known) if "lr" in known else None
    except ValueError:
        return None


def answer_of(results: Results) -> Answer | None:
    """The answer for the largest, sparsest cell under the rule that stayed stable; None when no study is known."""
    base = base_hps(results)
    if results.study is None or base is None:
        return None
    try:
        study = Study.model_validate(dict(results.study))
    except ValueError:
        return None
    width, density, depth = _corner(study, results.frame)
    rule = _rule(study, results)
    if study.model.factory not in MODELS.built_in:
        return Answer(rule, width, density, depth, (), f"the model comes from {study.model.factory}")
    try:
        table = scale_table(_target(study, base, rule, width, density, depth))
    except InputError as error:
        return Answer(rule, width, density, depth, (), str(error))
    return Answer(rule, width, density, depth, tuple(_grouped(table)))


def _target(study: Study, base: BaseHPs, rule: str, width: int, density: float, depth: int) -> Target:
    # The vocabulary does not enter any rule, so the corpus need not be opened.
    factory = resolve_factory(
        study.model, {"vocab_size": study.data.vocab_size or _BYTES, "context": study.training.sequence_length}
    )
    table = study.rules.get(rule)
    return Target(
        build=factory,
        width=width,
        base_width=study.base.width,
        rule=rule_from_table(rule, table) if table else get_rule(rule),
        depth=depth,
        base_depth=study.base.depth,
        optimizer=study.training.optimizer,
        decay=study.training.decay,
        density=density,
        sparsity=study.sparsity,
        base=base,
        eps=study.training.eps,
        roles=study.model.roles,
    )


def _corner(study: Study, frame: pd.DataFrame) -> tuple[int, float, int]:
    """The largest width, there the lowest density, there the largest depth: of what ran, else of what is planned."""
    rows = grid_rows(prepared(frame)) if len(frame) else frame
    if len(rows) and (rows["width"] > 0).all():
        cells = [(int(w), float(d), int(h or study.base.depth)) for w, d, h in _cells(rows)]
    else:
        shapes = study.grid.shapes(study.base.depth)
        cells = [(c.width, c.density, c.depth or study.base.depth) for c in shapes]
    return max(cells, key=lambda c: (c[0], -c[1], c[2]), default=(study.base.width, 1.0, study.base.depth))


def _cells(rows: pd.DataFrame) -> Iterable[tuple[float, float, float]]:
    return zip(rows["width"], rows["density"], rows["depth"].fillna(0), strict=True)


def _rule(study: Study, results: Results) -> str:
    """A rule found stable on every axis, those expected to be so first; without one, the first that is expected."""
    verdicts = results.judgement.verdicts if results.judgement else ()
    ran = list(dict.fromkeys(v.rule for v in verdicts)) or list(study.grid.rules)
    expected = [rule for rule in study.verdict.expect_stable if rule in ran]
    order = [*expected, *(rule for rule in ran if rule not in expected)]
    for rule in order:
        if verdicts and all(v.verdict == "STABLE" for v in verdicts if v.rule == rule):
            return rule
    return order[0]


def _grouped(table: Iterable[TensorScale]) -> Iterable[Group]:
    """Tensors with equal numbers fall together, whatever their names and shapes; in the model's order."""
    kept: dict[tuple[object, ...], list[TensorScale]] = {}
    for row in table:
        numbers = {k: v for k, v in dataclasses.asdict(row).items() if k in _SAME}
        key = tuple(f"{v:.9g}" if isinstance(v, float) else v for v in numbers.values())
        kept.setdefault(key, []).append(row)
    return [Group(rows[0], len(rows), rows[0].name) for rows in kept.values()]


_SAME = {"role", "density", "init", "init_std", "lr", "weight_decay", "eps", "multiplier", "multiplier_at"}
