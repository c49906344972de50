"""What is known of where a tensor of a forward pass came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Maker", "Product", "Trail", "Weight", "makers_of", "origins_of", "stamped"]

_ROWS = 2**32
"""An origin is `matrix × _ROWS + row`: which matrix made a feature, and which of its outputs it is; -1 for none."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter, or a view of it. `places` holds, per dimension of the parameter, the index of each element."""

    number: int
    """Its place among the model's parameters."""
    places: tuple[Tensor, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """Scores: a product of two activations over `size` features."""

    left: Trail
    right: Trail
    size: int
    rows: Tensor
    """Which row of `left` each element belongs to."""


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """An activation. Values are bits of two whole numbers, so that asking for an ancestor costs nothing.

    `carries`: the values that it still is, or has been added to; `past`: all values it was computed from. One step cut
    out of a sequence is a value of its own: it carries the sequence as one of its `parts`, and what is computed from it
    does not have the sequence among what it is computed from as a `whole`.
    """

    carries: int
    past: int
    whole: int = 0
    parts: int = 0
    origins: tuple[Tensor, ...] = ()
    """Origins of each element, a tensor for each summand; empty once something that is not linear has acted."""
    scale: float | None = 1.0
    """The size of what it was multiplied by since a matrix made it; None where that cannot be read."""
    normed: bool = False
    """Whether a norm has acted since: a factor on the matrix is lost."""
    gain: int | None = None
    """The parameter that multiplied it behind the norm."""
    product: Product | None = None

    def is_ahead_of(self, other: Trail) -> bool:
        """Whether the other was computed from a value that this one carries on, and not the other way round too.

        Not if this is a step of a sequence and the other came of other steps, as in a recurrence.
        """
        own = self.carries & ~self.parts & other.past
        return bool(own | (self.parts & other.whole)) and not other.carries & self.past

    def piece(self, bit: int) -> Trail:
        """One step of it, known by a bit."""
        whole = (self.whole & ~self.carries) | bit
        carries, parts = self.carries | bit, self.parts | self.carries
        return replace(self, carries=carries, parts=parts, past=self.past | bit, whole=whole)


@dataclass(frozen=True, slots=True)
class Maker:
    """A parameter that makes an activation, and which of its outputs do; no `rows` for all of them."""

    number: int
    rows: tuple[tuple[int, int], ...] = ()
    """Ranges, each from its first to behind its last."""


def stamped(number: int, rows: Tensor) -> Tensor:
    """Origins of the rows of a matrix."""
    return rows + number * _ROWS


def origins_of(trail: Trail) -> dict[int, list[int]]:
    """The rows that made an activation, by the number of the matrix."""
    found: dict[int, set[int]] = {}
    for origins in trail.origins:
        for origin in torch.unique(origins).tolist():
            if origin >= 0:
                found.setdefault(origin // _ROWS, set()).add(origin % _ROWS)
    return {number: sorted(rows) for number, rows in found.items()}


def makers_of(trail: Trail, outputs: dict[int, int]) -> tuple[Maker, ...]:
    """The same as ranges; `outputs` says how many rows each matrix has."""
    rows = origins_of(trail)
    return tuple(Maker(n, () if len(found) == outputs[n] else tuple(_ranges(found))) for n, found in rows.items())


def _ranges(rows: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and found[-1][1] == row:
            found[-1] = (found[-1][0], row + 1)
        else:
            found.append((row, row + 1))
    return found
