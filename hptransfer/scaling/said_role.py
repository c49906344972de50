"""A role as a user or a model says it: its name, with `^T` behind it for a matrix that is stored as (in, out)."""

from __future__ import annotations

from hptransfer.common.errors import InputError, did_you_mean, nearest
from hptransfer.scaling.rules import ROLES, Role

__all__ = ["TRANSPOSED", "said_role"]

TRANSPOSED = "^T"


def said_role(text: str, *, where: str) -> tuple[Role, bool]:
    """The role, and whether the matrix is stored as (in, out). Refuses what is neither."""
    name = text.removesuffix(TRANSPOSED)
    for role in ROLES:
        if role == name:
            return role, text.endswith(TRANSPOSED)
    raise InputError(
        "is not a role",
        where=where,
        found=text,
        allowed=f'{", ".join(ROLES)}; with "{TRANSPOSED}" behind it for a matrix that is stored as (in, out)',
        hint=did_you_mean(nearest(name, ROLES)),
    )
