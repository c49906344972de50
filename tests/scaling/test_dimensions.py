"""Outputs and inputs are told by the type of the module that owns a parameter."""

from __future__ import annotations

import pytest
from torch import nn

from hptransfer.scaling.dimensions import FeatureDims, feature_dims, initial_kind, is_depthwise, is_embedding


@pytest.mark.parametrize(
    ("module", "out", "inp"),
    [
        (nn.Linear(3, 5), (0,), (1,)),
        (nn.Embedding(5, 3), (1,), (0,)),
        (nn.Conv2d(3, 5, 2), (0,), (1, 2, 3)),
        (nn.ConvTranspose2d(3, 5, 2), (1,), (0, 2, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_known_modules(module: nn.Module, out: tuple[int, ...], inp: tuple[int, ...]) -> None:
    shape = tuple(module.get_parameter("weight").shape)
    assert feature_dims(module, shape) == FeatureDims(out=out, inp=inp)


def test_a_module_of_another_kind_has_no_layout_unless_it_says_its_features() -> None:
    own = nn.Module()
    assert feature_dims(own, (5, 3)) is None
    own.out_features, own.in_features = 5, 3
    assert feature_dims(own, (5, 3)) == FeatureDims(out=(0,), inp=(1,))
    assert feature_dims(own, (3, 5)) is None


def test_biases_start_at_zero_gains_at_one_and_the_rest_as_built() -> None:
    assert initial_kind(nn.Linear(2, 2), "bias") == "zeros"
    assert initial_kind(nn.LayerNorm(2), "weight") == "ones"
    assert initial_kind(nn.Module(), "gate") == "built"


def test_look_ups_and_depthwise_convolutions_are_told_apart() -> None:
    assert is_embedding(nn.Embedding(2, 2))
    assert not is_embedding(nn.Linear(2, 2))
    assert is_depthwise(nn.Conv1d(4, 4, 3, groups=4))
    assert not is_depthwise(nn.Conv1d(4, 4, 3))
