"""Which optimizer updates which tensor: an optimizer may take some roles and leave the others to another one.

An entry that names no `roles` takes all. One that does may name `others`, the optimizer of the remaining roles, which
may name others in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hptransfer.common.errors import InputError
from hptransfer.common.seams import OPTIMIZERS
from hptransfer.training.optimizers.base import Moments, Optimizer

__all__ = ["Part", "part_for", "parts_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """One optimizer of a trial, by its name."""

    name: str
    entry: Optimizer
    roles: tuple[str, ...] | None
    """The roles it takes; None: all."""
    whole: bool
    """Whether it needs each matrix as a tensor of its own."""

    def updated(
        self, parameter: Tensor, gradient: Tensor, moments: Moments, now: Mapping[str, Tensor]
    ) -> tuple[Tensor, Moments]:
        """The new parameter and moments; refuses an update that breaks its contract."""
        result: Any = self.entry.update(parameter, gradient, moments, now)
        if not isinstance(result, tuple | list) or len(result) != 1 + self.entry.moments:
            found = f"{len(result)} tensors" if isinstance(result, tuple | list) else type(result).__name__
            rule = f"`update` gives {1 + self.entry.moments} tensors, the parameter and its moments; it gave {found}"
            raise OPTIMIZERS.breach(self.name, self.entry, rule)
        for new in result:
            if not isinstance(new, Tensor) or new.shape != parameter.shape:
                found = str(tuple(new.shape)) if isinstance(new, Tensor) else type(new).__name__
                rule = f"`update` gives tensors of the parameter's shape {tuple(parameter.shape)}; it gave {found}"
                raise OPTIMIZERS.breach(self.name, self.entry, rule)
        return result[0], tuple(result[1:])


def parts_of(optimizer: str) -> tuple[Part, ...]:
    """The optimizer of that name and those it leaves roles to, in turn."""
    parts: list[Part] = []
    name = optimizer
    while name and name not in (part.name for part in parts):
        entry = OPTIMIZERS.get(name)
        kept = isinstance(entry.moments, int) and entry.moments >= 0
        OPTIMIZERS.hold(name, kept, "`moments` is a whole number from 0", entry.moments)
        roles = getattr(entry, "roles", None)
        parts.append(Part(name, entry, None if roles is None else tuple(roles), bool(getattr(entry, "whole", False))))
        name = "" if roles is None else getattr(entry, "others", "")
    return tuple(parts)


def part_for(parts: Sequence[Part], role: str) -> int:
    """Index of the first part that takes the role; a role that nobody takes is refused."""
    for index, part in enumerate(parts):
        if part.roles is None or role in part.roles:
            return index
    raise InputError(
        f"no optimizer takes tensors of the role '{role}'",
        where=OPTIMIZERS.where,
        found=", ".join(part.name for part in parts),
        hint="its entry names further `roles`, or in `others` an optimizer for the remaining ones",
    )
