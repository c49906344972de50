"""Masks that change while a trial trains: between two steps, on the tensors of its slot.

The method says which weights stay; here it is held to its count, and dropped weights are set to zero with their
moments. Regrown ones are zero already: a masked weight and its moments never leave zero.
"""

from __future__ import annotations

from hptransfer.common.seams import METHODS
from hptransfer.sparsity.masks import generator
from hptransfer.sparsity.methods.base import checked_mask
from hptransfer.study.trial import Trial
from hptransfer.tasks.base import Batch
from hptransfer.training.build import table_of
from hptransfer.training.program import Program

__all__ = ["move_masks"]


def move_masks(program: Program, slot: int, trial: Trial, step: int, batch: Batch) -> None:
    """Give every sparse tensor of the slot the mask it has after `step` steps; `batch` is that of the next step."""
    method, layout = METHODS.get(trial.sparsity.method), program.layout
    gradients = program.dense_gradient(slot, batch)
    weights = layout.views([sheet[slot] for sheet in program.sheets])
    masks = layout.mask_views([mask[slot] for mask in program.masks])
    places = {place.name: place for place in layout.places}
    for row in table_of(trial):
        if row.density == 1:
            continue
        weight, mask, place = weights[row.name], masks[row.name], places[row.name]
        new = method.next_mask(
            weight,
            mask,
            gradients[row.name],
            step=step,
            draw=generator(trial.seed, row.name, f"mask after {step}"),
            sparsity=trial.sparsity,
            training=trial.training,
        )
        checked_mask(new, row.shape, row.nonzeros, method=trial.sparsity.method, of="next_mask", name=row.name)
        mask.copy_(new)
        weight.masked_fill_(~mask, 0.0)
        for moments in program.momenta[place.sheet]:
            rows = moments[slot][place.row : place.row + place.rows]
            rows.masked_fill_(~mask.view(rows.shape), 0.0)
