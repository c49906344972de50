"""What is planted in a model of the zoo, and the check of one that has it: one error, and nothing else is wrong.

An exponent is planted in one matrix, which alone has a role of its own in a rule made for the test. That role is
`residual`, and what else writes to the stream is said to be hidden. Where two matrices share a module, as in an LSTM,
neither can be residual: there the one keeps `hidden`, and the other is an `embedding` of a rule whose embeddings scale
with their fan-in; that of a look-up table does not grow, so that tables stay as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from zoo.entry import BASE_WIDTH, WIDTHS, Entry

from hptransfer.common.module_kind import module_kind
from hptransfer.scaling.check.decide import check_until_decided
from hptransfer.scaling.check.judge import CheckVerdict, judge_check
from hptransfer.scaling.check.measure import coordinate_check
from hptransfer.scaling.parametrize import InitWarning, parametrize
from hptransfer.scaling.rules import Rule, get_rule, rule_from_table

__all__ = ["EXPONENTS", "Case", "as_built", "checked", "measured", "planted", "shows_in", "verdict_of"]

EXPONENTS: Mapping[str, dict[str, Any]] = {"lr": {"lr": {"width": -1 / 2}}, "init": {"init_std": {"width": 0}}}
"""Each off by a half."""
SHOWN = {"lr": "aligned_update", "init": "activation"}
"""The kind of size that shows each."""
RIGHT = {"lr": {"width": -1}, "init_std": {"width": -1 / 2}, "eps": {"width": -1}}
SCALES_WITH_INPUTS = {"lr": {"width": -1}, "init_std": {"width": -1 / 2}, "eps": {"width_out": -1}}


@dataclass(frozen=True)
class Case:
    """A model, as built or with an error in it, and the rule that it is checked under."""

    entry: Entry
    what: str
    rule: Rule
    roles: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.entry.name}: {self.what}"


def as_built(entry: Entry) -> Case:
    """Under μP."""
    return Case(entry, "as built", get_rule("mup"), entry.roles)


def planted(entry: Entry) -> list[Case]:
    """Every error that is planted in a model: two exponents, and the scale of heads that grow."""
    cases = [_exponent(entry, what) for what in EXPONENTS]
    if entry.wrong_heads is not None:
        cases.append(Case(replace(entry, **entry.wrong_heads), "heads", get_rule("mup"), entry.roles))
    return cases


def _exponent(entry: Entry, what: str) -> Case:
    wrong = {**RIGHT, **EXPONENTS[what]}
    if entry.beside:
        adamw = {"hidden": wrong, "embedding": SCALES_WITH_INPUTS}
        roles = dict.fromkeys(entry.beside, "embedding")
    else:
        adamw = {"residual": wrong}
        others = [name for name in _writers(entry) if name != entry.plant]
        roles = {**dict.fromkeys(others, "hidden"), entry.plant: "residual"}
    rule = rule_from_table(f"off-by-{what}", {"like": "mup", "residual_init": "none", "adamw": adamw})
    return Case(entry, what, rule, {**entry.roles, **roles})


def shows_in(case: Case) -> str:
    """The row that an error is in, as a query of the verdict's slopes."""
    if case.what == "heads":
        return "role == 'scores' and kind == 'aligned_update'"
    module, _, leaf = module_kind(case.entry.plant).rpartition(".")
    row = module if leaf == "weight" else f"{module} ({leaf})"
    return f"module == '{row}' and kind == '{SHOWN[case.what]}'"


def _writers(entry: Entry) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitWarning)
        scaled = parametrize(
            entry.build,
            width=2 * BASE_WIDTH,
            base_width=BASE_WIDTH,
            rule="mup",
            depth=entry.depth,
            roles=entry.roles,
            queries=entry.queries,
            sample=entry.sample,
        )
    return [row.name for row in scaled.table if row.role == "residual"]


def measured(case: Case, seeds: Sequence[int]) -> pd.DataFrame:
    """The first step under these seeds."""
    settings = case.entry.settings(tuple(seeds), roles=case.roles)
    entry = case.entry
    frame = coordinate_check(
        entry.build, entry.batch, widths=WIDTHS, rules=(case.rule,), settings=settings, loss=entry.loss
    )
    return frame[frame["step"] == 0]


def checked(case: Case, most: int = 64) -> CheckVerdict:
    """The verdict over width: eight seeds first, and more while it is open."""
    return verdict_of(lambda seeds: measured(case, seeds), case.rule.name, most)


def verdict_of(rows: Callable[[Sequence[int]], pd.DataFrame], rule: str, most: int) -> CheckVerdict:
    """What a check comes to whose seeds, by their places, have these rows."""
    _, (verdict,) = check_until_decided(
        lambda rules, places, steps: rows(places),
        lambda frame, looks: (judge_check(frame, axis="width", looks=looks),),
        rules=[rule],
        seeds=range(8),
        most=most,
        steps=1,
    )
    return verdict
