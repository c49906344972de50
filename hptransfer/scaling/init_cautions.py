"""What to know of the init before training: what of the factory's is written over, and what may never move."""

from __future__ import annotations

from collections.abc import Sequence

from hptransfer.scaling.table import TensorScale

__all__ = ["init_cautions"]

NAMED = 5
"""Tensors a caution names; it counts the others."""


def init_cautions(table: Sequence[TensorScale]) -> list[str]:
    """A sentence for what of the factory's init is lost, and one where every hidden matrix starts as zeros."""
    said = []
    lost = [f"{scale.name} ({scale.lost})" for scale in table if scale.lost]
    if lost:
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        first = next(scale.name for scale in table if scale.lost)
        said.append(
            f"the rule's init takes the place of what the factory built: {', '.join(lost[:NAMED])}{more}; to keep it"
            f' say model.init: {{"{first}": built}}, or rescale for a matrix whose size the rule is to correct'
            " (`init=` in Python)"
        )
    if all(scale.all_zero for scale in table if scale.role in ("hidden", "residual")):
        said.append(
            "every hidden matrix starts as zeros: where two of them stand in series neither ever gets a gradient;"
            " leave one of them to the rule (model.init)"
        )
    return said
