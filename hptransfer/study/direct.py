"""What a search at a target found, as `direct.json` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from hptransfer.common.errors import InputError
from hptransfer.study.pieces import Fraction, Spec, Texts
from hptransfer.study.refusals import validated

__all__ = ["DirectCell", "direct_cells"]


class DirectCell(Spec):
    """What the search in one cell of one series found. Trials are named by their ids."""

    rule: str
    variant: str = ""
    width: int = Field(ge=1)
    density: Fraction = 1.0
    depth: int = Field(ge=0)
    hps: dict[str, float] = Field(default_factory=dict, description="Base HPs and training settings of the winner.")
    trials: int = Field(default=0, description="Different trials of the search, finalists counted.")
    flops: float | None = Field(default=None, description="What they cost, dense; null where nobody knows.")
    line: Texts = Field(default=(), description="Its winner over the LRs, with every seed.")
    transferred: Texts = Field(default=(), description="The transferred HPs in this cell, with every seed.")
    warnings: Texts = Field(default=(), description="What makes the winner doubtful.")
    failed: str = Field(default="", description="Why the search found nothing; empty where it did.")

    def __hash__(self) -> int:
        """Of what a folder holds once."""
        return hash((self.rule, self.variant, self.width, self.density, self.depth))


def direct_cells(document: Mapping[str, Any], where: str) -> tuple[DirectCell, ...]:
    """The cells of a `direct.json`; refuses what is none."""
    cells = document.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        raise InputError("must hold a list of cells", where=where, found=cells)
    try:
        return tuple(validated(DirectCell, cell) for cell in cells)
    except InputError as error:
        raise error.at(where) from None
