"""A role as a user says it."""

from __future__ import annotations

import pytest

from hptransfer.common.errors import InputError
from hptransfer.scaling.rules import ROLES
from hptransfer.scaling.said_role import said_role


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_be_said_either_way(role: str) -> None:
    assert said_role(role, where="here") == (role, False)
    assert said_role(f"{role}^T", where="here") == (role, True)


@pytest.mark.parametrize("text", ["hiden", "hiden^T", "^T", "", "hidden^t", "Hidden"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match=r'here: is not a role; .*block_vector; with "\^T" behind it'):
        said_role(text, where="here")
