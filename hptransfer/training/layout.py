"""How a program holds the parameters of a model: as a few large sheets.

A sheet is one (rows, columns) tensor that holds every parameter with that many columns, one below the other. The
optimizer then runs once a sheet instead of once a tensor, which makes the compiled step both faster and several times
quicker to compile, and what differs between tensors (LR, decay, eps) is a column of one number a row.

A sparse layer is held in one of two ways. *Dense*: the whole matrix, its gradient masked. *Values*: only its
non-zeros, a row of their own, with the mask's index tensors as buffers of the layer.
"""

from __future__ import annotations

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
    """The places of all parameters, the size of each sheet, and which sheets have a mask. Hashable."""

    places: tuple[Place, ...]
    sheets: tuple[tuple[int, int], ...]
    masked: tuple[bool, ...]

    @property
    def as_values(self) -> dict[str, int]:
        """Parameters held as their non-zeros, and how many these are."""
        return {p.name: p.shape[0] for p in self.places if p.as_values}

    def views(self, sheets: Sequence[Tensor]) -> dict[str, Tensor]:
        """Each parameter as a view of its sheet (rows, columns), in the shape the model sees."""
        return {p.name: sheets[p.sheet][p.row : p.row + p.rows].view(p.shape) for p in self.places}

    def gather(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The inverse of `views`: the sheets made of one tensor a parameter."""
        parts: list[list[Tensor]] = [[] for _ in self.sheets]
        for p in self.places:
            parts[p.sheet].append(tensors[p.name].reshape(p.rows, self.sheets[p.sheet][1]))
        return tuple(part[0] if len(part) == 1 else torch.cat(part) for part in parts)

    def spread(self, numbers: Mapping[str, float]) -> tuple[Tensor, ...]:
        """One number a parameter as a (rows, 1) column for each sheet."""
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
    sheet_of: dict[int, int] = {}
    rows: list[int] = []
    masked: list[bool] = []
    places = []
    for tensor in shapes:
        values = tensor.name in as_values
        shape = (tensor.nonzeros,) if values else tensor.shape
        high = shape[0] if len(shape) > 1 else 1
        size = 1
        for n in shape:
            size *= n
        sheet = sheet_of.setdefault(size // high, len(rows))
        if sheet == len(rows):
            rows.append(0)
            masked.append(False)
        places.append(Place(tensor.name, shape, sheet, rows[sheet], high, values))
        rows[sheet] += high
        masked[sheet] = masked[sheet] or (tensor.masked and not values)
    columns = {sheet: width for width, sheet in sheet_of.items()}
    return Layout(tuple(places), tuple((r, columns[i]) for i, r in enumerate(rows)), tuple(masked))
