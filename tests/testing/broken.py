"""How a test of a suite reads what the suite says of an entry that is broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hptransfer.testing import ContractError


def broken_rule(check: Callable[[], None], file: str) -> ContractError:
    """The one error, once it is known to name the entry's file."""
    with pytest.raises(ContractError) as caught:
        check()
    assert f"from {file}" in str(caught.value)
    return caught.value
