"""Every rule that ships keeps its promises, and the suite finds one that does not."""

from __future__ import annotations

import pytest

from hptransfer.scaling.rules import Exponents, Rule, known_rules, rule_from_table
from hptransfer.testing import ContractError, check_rule


@pytest.mark.parametrize("name", known_rules())
def test_what_ships_keeps_its_promises(name: str) -> None:
    check_rule(name)


def test_a_rule_of_ones_own_does_too() -> None:
    check_rule(rule_from_table("mine", {"like": "mup", "adamw": {"hidden": {"lr": {"width": -1, "density": "-1/2"}}}}))


def test_a_factor_that_overflows_is_found() -> None:
    rule = Rule("steep", {"adamw": {"hidden": {"lr": Exponents(density=-1e6)}}})
    with pytest.raises(ContractError, match=r"rule 'steep'.*Every factor is finite and above 0"):
        check_rule(rule)


def test_a_rule_that_no_table_can_hold_is_found() -> None:
    rule = Rule("unwritten", {"adamw": {"hidden": {"lr": Exponents(width=-9)}}})
    with pytest.raises(ContractError, match=r"Written as a table and read again.*InputError.*not an exponent"):
        check_rule(rule)
