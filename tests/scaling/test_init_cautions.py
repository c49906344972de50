"""What is said of an init before anything trains."""

from __future__ import annotations

from typing import Any

import pytest
from own_inits import Designed, designed
from torch import nn

from hptransfer.scaling.init_cautions import init_cautions
from hptransfer.scaling.rules import get_rule
from hptransfer.scaling.table import scale_table
from hptransfer.scaling.target import Target


def told(build: Any, init: dict[str, str] | None = None) -> list[str]:
    target = Target(build=build, width=256, base_width=64, rule=get_rule("supar"), init=init or {})
    return init_cautions(scale_table(target))


def test_of_many_tensors_five_are_named() -> None:
    def build(width: int) -> nn.Module:
        layers = [nn.Linear(width, width, bias=False) for _ in range(8)]
        for layer in layers:
            nn.init.eye_(layer.weight)
        return nn.Sequential(nn.Embedding(16, width), *layers, nn.Linear(width, 16))

    (said,) = told(build)
    assert "5.weight (orthogonal) and 3 more;" in said
    assert "6.weight" not in said


@pytest.mark.parametrize("policy", ["zeros", "built"])
def test_where_every_hidden_matrix_is_zero_that_is_told(policy: str) -> None:
    class Zeroed(Designed):
        def __init__(self, width: int, vocab_size: int = 16) -> None:
            super().__init__(width, vocab_size)
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.down.weight)

    (said,) = told(Zeroed, {"up.weight": policy, "down.weight": policy, "readout.weight": "built"})
    assert said.startswith("every hidden matrix starts as zeros")
    assert told(Zeroed, {"up.weight": "zeros", "*": "built", "down.weight": "rule"})  # the first match wins
    assert told(designed, {"down.weight": "zeros", "*": "built"}) == []
