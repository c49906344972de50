"""The name of a series says its rule and its variant, and both are read from it again."""

from __future__ import annotations

import pytest

from hptransfer.study.series_name import series_name, split_series


@pytest.mark.parametrize(("rule", "variant", "name"), [("supar", "", "supar"), ("mup", "long", "mup · long")])
def test_there_and_back(rule: str, variant: str, name: str) -> None:
    assert series_name(rule, variant) == name
    assert split_series(name) == (rule, variant)
