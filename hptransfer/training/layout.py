"""How a program holds the parameters of a model: as a few large sheets.

A sheet is one (rows, columns) tensor that holds every parameter with that many columns and one optimizer, one below
the other. The optimizer then runs once per sheet instead of once per tensor, which makes the compiled step both faster
and several times quicker to compile, and what differs between tensors (LR, decay, eps) is a column of one number per
row. A parameter that its optimizer needs whole has a sheet to itself.

A sparse layer is held in one of two ways. *Dense*: the whole matrix, its gradient masked. *Values*: only its
non-zeros, a row of their own, with the mask's index tensors as buffers of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Layout", "Place", "TensorShape", "make_layout"]


@dataclass(frozen=True, slots=True)
class TensorShape:
    """What a layout needs to know of one parameter. `nonzeros` is the number of weights its mask keeps."""

    name: str
    shape: tuple[int, ...]
    nonzeros: int
    masked: bool
    optimizer: int = 0
    """Its optimizer's place among those of the trial."""
    whole: bool = False
    """Whether the optimizer needs it as a tensor of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one parameter lies: rows `row … row + rows − 1` of a sheet, and the shape the model sees it in."""

    name: str
    shape: tuple[int, ...]
    sheet: int
    row: int
    rows: int
    as_values: bool


@dataclass(frozen=True)
class Layout:
    """The places of all parameters, and of each sheet its size, whether it has a mask and its optimizer. Hashable."""

    places: tuple[Place, ...]
    sheets: tuple[tuple[int, int], ...]
    masked: tuple[bool, ...]
    optimizers: tuple[int, ...]

    @property
    def as_values(self) -> dict[str, int]:
        """Parameters held as their non-zeros, and how many these are."""
        return {p.name: p.shape[0] for p in self.places if p.as_values}

    def views(self, sheets: Sequence[Tensor]) -> dict[str, Tensor]:
        """Each parameter as a view of its sheet (rows, columns), in the shape the model sees."""
        return {p.name: sheets[p.sheet][p.row : p.row + p.rows].view(p.shape) for p in self.places}

    def mask_views(self, masks: Sequence[Tensor]) -> dict[str, Tensor]:
        """The mask of each parameter whose sheet has one, as a view of it, in the shape the model sees."""
        of_sheet = self.by_sheet(masks)
        return {
            p.name: mask[p.row : p.row + p.rows].view(p.shape)
            for p in self.places
            if (mask := of_sheet[p.sheet]) is not None
        }

    def by_sheet(self, masks: Sequence[Tensor]) -> list[Tensor | None]:
        """The mask of every sheet, None for one without."""
        given = iter(masks)
        return [next(given) if has else None for has in self.masked]

    def gather(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The inverse of `views`: the sheets made of one tensor per parameter."""
        parts: list[list[Tensor]] = [[] for _ in self.sheets]
        for p in self.places:
            parts[p.sheet].append(tensors[p.name].reshape(p.rows, self.sheets[p.sheet][1]))
        return tuple(part[0] if len(part) == 1 else torch.cat(part) for part in parts)

    def spread(self, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        """One number per parameter as a (rows, 1) column for each sheet."""
        columns = [torch.empty(rows, 1) for rows, _ in self.sheets]
        for p in self.places:
            columns[p.sheet][p.row : p.row + p.rows] = numbers[p.name]
        return tuple(columns)

    def masks(self, masks: Mapping[str, Tensor | None]) -> tuple[Tensor, ...]:
        """One boolean mask for each sheet that has one, True where a weight is trained."""
        kept = [torch.ones(size, dtype=torch.bool) for size in self.sheets]
        for p in self.places:
            mask = masks.get(p.name)
            if mask is not None and not p.as_values:
                kept[p.sheet][p.row : p.row + p.rows] = mask.reshape(p.rows, -1)
        return tuple(mask for mask, has in zip(kept, self.masked, strict=True) if has)


def make_layout(shapes: Sequence[TensorShape], as_values: Collection[str] = ()) -> Layout:
    """Place every parameter: matrices by their number of columns, vectors and values as one row each."""
    rows: dict[tuple[int, int, str], int] = {}
    masked: dict[tuple[int, int, str], bool] = {}
    places = []
    for tensor in shapes:
        values = tensor.name in as_values
        shape = (tensor.nonzeros,) if values else tensor.shape
        high = shape[0] if len(shape) > 1 else 1
        sheet = (math.prod(shape) // high, tensor.optimizer, tensor.name if tensor.whole else "")
        row = rows.setdefault(sheet, 0)
        places.append(Place(tensor.name, shape, list(rows).index(sheet), row, high, values))
        rows[sheet] = row + high
        masked[sheet] = masked.get(sheet, False) or (tensor.masked and not values)
    sheets = tuple((high, columns) for (columns, _, _), high in rows.items())
    return Layout(tuple(places), sheets, tuple(masked.values()), tuple(optimizer for _, optimizer, _ in rows))
