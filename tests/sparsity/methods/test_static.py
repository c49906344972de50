"""Static masks stand still and are drawn by count, as `make_mask` draws them."""

from __future__ import annotations

import pytest
import torch

from hptransfer.common.seams import METHODS
from hptransfer.sparsity.masks import make_mask
from hptransfer.study.pieces import SparsitySpec, TrainingSpec

STATIC = METHODS.get("static")


@pytest.mark.parametrize(("kind", "count"), [("random", 7), ("row", 8), ("2:4", 16)])
def test_the_first_mask_is_the_drawn_one(kind: str, count: int) -> None:
    where = {"seed": 3, "name": "a", "out_dims": (0,)}
    mask = STATIC.first_mask((4, 8), count, sparsity=SparsitySpec(kind=kind), **where)
    assert torch.equal(mask, make_mask((4, 8), count, kind=kind, **where))
    assert int(mask.sum()) == count


def test_it_never_moves_and_rules_see_the_density_as_it_is() -> None:
    assert STATIC.every(SparsitySpec(), TrainingSpec()) == 0
    assert STATIC.rule_density(0.125, SparsitySpec()) == 0.125
    mask = torch.tensor([True, False])
    asked = {"step": 5, "draw": torch.Generator(), "sparsity": SparsitySpec(), "training": TrainingSpec()}
    assert STATIC.next_mask(torch.ones(2), mask, torch.ones(2), **asked) is mask
