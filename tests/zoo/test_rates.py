"""How often the check errs on some of the zoo: false alarms, errors found. All of it: `benchmarks/check_rates.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from zoo.entries import ENTRIES
from zoo.entry import Entry
from zoo.plants import as_built, planted
from zoo.rates import rates_of, shares

NAMES = ("nanoGPT, growing heads", "stacked experts")
CHOSEN = [entry for entry in ENTRIES if entry.name in NAMES]


@pytest.mark.slow
@pytest.mark.parametrize("entry", CHOSEN, ids=str)
def test_twenty_checks_of_a_right_model_raise_no_alarm(entry: Entry) -> None:
    found = shares(rates_of([as_built(entry)], seeds=16))
    assert "FAIL" not in found
    assert found["PASS"] >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("entry", CHOSEN, ids=str)
def test_of_a_hundred_planted_errors_at_least_ninety_five_are_found(entry: Entry) -> None:
    assert shares(rates_of(planted(entry), seeds=12))["FAIL"] >= 0.95
