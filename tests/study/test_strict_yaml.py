"""YAML written is YAML read: values survive, whatever they look like to other readers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.common.errors import InputError
from hptransfer.study.strict_yaml import parse_yaml, write_yaml

FINITE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
        st.sampled_from(["1e3", "yes", "1:30", "2024-01-01", "<<", "=", "~", "0o7", "1_000", "", " a", ".5", "null"]),
    ),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text("abc<", min_size=1, max_size=3), v, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(tree=FINITE)
def test_what_is_written_is_read_back_equal(tree: Any) -> None:
    assert parse_yaml(write_yaml(tree)) == tree


@pytest.mark.parametrize("text", ["[*.q_proj.weight]", "{roles: {*.weight: hidden}}", "a: *.weight"])
def test_a_pattern_without_quotes_is_told_to_have_them(text: str) -> None:
    with pytest.raises(InputError, match=r'is not YAML: .*in quotes: "\*\.weight"'):
        parse_yaml(text)
