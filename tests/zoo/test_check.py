"""The check passes every model as it is built, and fails it with one error in it, by the row that the error is in."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from zoo.entries import ENTRIES
from zoo.entry import Entry
from zoo.plants import Case, as_built, checked, planted, shows_in

CASES = [case for entry in ENTRIES for case in planted(entry)]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_as_built_it_passes(entry: Entry) -> None:
    verdict = checked(as_built(entry))
    assert verdict.passed, verdict.failures().head(8).to_string()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_error_is_found_where_it_is(case: Case) -> None:
    verdict = checked(case)
    assert set(verdict.by_rule.values()) == {"FAIL"}, verdict.failures().head(8).to_string()
    (row,) = (row for _, row in verdict.slopes.query(shows_in(case)).iterrows())
    assert row.slope == pytest.approx(0.5, abs=0.12)
    assert row.outcome == "FAIL"
