"""What holds for every scaling rule (`hptransfer.scaling.rules`)."""

from __future__ import annotations

import math
import pickle
from itertools import product

from hptransfer.scaling.rules import QUANTITIES, ROLES, Rule, get_rule, rule_from_table
from hptransfer.testing.contract import Entry, expect, hold

__all__ = ["check_rule"]


def check_rule(rule: str | Rule) -> None:
    """Hold a rule, by name or as it is, to what every rule promises; raises ContractError."""
    thing = get_rule(rule) if isinstance(rule, str) else rule
    hold(Entry("rule", thing.name, "a table", thing), RULES)


def the_base_is_left_alone(rule: Rule) -> None:
    """At the base size every factor is exactly 1."""
    for table, role, quantity in product(rule.tables, ROLES, QUANTITIES):
        factor = rule.cell(table, role, quantity).factor(width=1.0, density=1.0, depth=1.0, width_out=1.0)
        expect(factor == 1.0, f"{factor!r} for {table}, {role}, {quantity}")


def factors_are_positive(rule: Rule) -> None:
    """Every factor is finite and above 0, at any size that a study may name."""
    for table, role, quantity in product(rule.tables, ROLES, QUANTITIES):
        for ratio, density in ((1024.0, 1 / 1024), (1 / 1024, 1.0)):
            cell = rule.cell(table, role, quantity)
            factor = cell.factor(width=ratio, density=density, depth=ratio, width_out=ratio)
            expect(math.isfinite(factor) and factor > 0, f"{factor!r} for {table}, {role}, {quantity}")


def the_table_says_everything(rule: Rule) -> None:
    """Written as a table and read again it is the same rule, with the same digest."""
    again = rule_from_table(rule.name, rule.to_table())
    expect(again.digest() == rule.digest(), f"digest {rule.digest()} before and {again.digest()} after")
    expect(again == rule, "another rule")


def a_worker_gets_the_same_rule(rule: Rule) -> None:
    """Pickled and unpickled it is the same rule."""
    again = pickle.loads(pickle.dumps(rule))
    expect((again, again.digest(), again.note) == (rule, rule.digest(), rule.note), "another rule")


RULES = (the_base_is_left_alone, factors_are_positive, the_table_says_everything, a_worker_gets_the_same_rule)
