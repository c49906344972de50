"""A mask is held to its method's promise: boolean, of the tensor's shape, with exactly the count asked for."""

from __future__ import annotations

import pytest
import torch

from hptransfer.common.errors import InputError
from hptransfer.sparsity.methods.base import checked_mask

ASKED = {"method": "static", "of": "next_mask", "name": "up.weight"}
MASK = torch.tensor([[True, False], [True, False]])


def test_a_sound_mask_is_handed_back() -> None:
    assert checked_mask(MASK, (2, 2), 2, **ASKED) is MASK


@pytest.mark.parametrize(
    ("mask", "shape", "found"),
    [
        (MASK, (2, 2), "one that keeps 2"),
        (MASK.float(), (2, 2), r"torch.float32 \(2, 2\)"),
        (MASK, (4,), r"torch.bool \(2, 2\)"),
        (None, (2, 2), "NoneType"),
    ],
)
def test_another_is_refused_with_its_rule_and_file(mask, shape, found) -> None:
    with pytest.raises(InputError, match=rf"static.py.*keeps 3 weights; for up.weight it gave {found}"):
        checked_mask(mask, shape, 3, **ASKED)
