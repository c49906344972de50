"""A target: defaults stand in one place, and depth counts only where it is said."""

from __future__ import annotations

import pytest

from hptransfer.scaling.rules import get_rule
from hptransfer.scaling.target import Target
from hptransfer.study.base import BaseHPs
from hptransfer.study.pieces import SparsitySpec
from hptransfer.tasks.models.mlp import MLP


def test_what_is_left_out_is_as_at_the_base() -> None:
    target = Target(MLP, 64, 32, get_rule("supar"))
    assert (target.optimizer, target.density, target.base, target.sparsity) == ("adamw", 1.0, BaseHPs(), SparsitySpec())


@pytest.mark.parametrize(
    ("depth", "base_depth", "ratio"), [(None, None, 1.0), (6, None, 1.0), (6, 2, 3.0), (None, 2, 1.0)]
)
def test_depth_over_base_depth(depth: int | None, base_depth: int | None, ratio: float) -> None:
    assert Target(MLP, 64, 32, get_rule("mup"), depth, base_depth).depth_ratio == ratio
