"""What form and size a factory's own values have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hptransfer.scaling.built import BuiltTensor, built_tensors


def tensor(module: nn.Module, name: str) -> BuiltTensor:
    return built_tensors(lambda width: module, 1, None)[name]


def filled(value: float) -> nn.Module:
    layer = nn.Linear(8, 8)
    nn.init.constant_(layer.weight, value)
    return layer


@pytest.mark.parametrize(
    ("module", "name", "form", "words"),
    [
        (filled(0.0), "weight", "zeros", "zeros"),
        (filled(1.0), "weight", "ones", "all 1"),
        (filled(0.25), "weight", "constant", "all 0.25"),
        (nn.LayerNorm(8), "weight", "ones", "all 1"),
        (nn.Linear(8, 8), "bias", "default", None),
        (nn.Conv1d(4, 8, 3), "bias", "default", None),
        (nn.LSTM(4, 8), "bias_ih_l0", "default", None),
        (nn.Linear(8, 8), "weight", "own", None),
        (nn.Embedding(16, 8), "weight", "own", None),
    ],
)
def test_the_form_of_a_tensor_and_how_a_message_tells_of_it(module, name, form, words) -> None:
    found = tensor(module, name)
    assert found.form == form
    assert words is None or found.words == words


@pytest.mark.parametrize("shape", [(8, 8), (16, 8), (8, 16)])
def test_orthogonal_rows_or_columns_are_told_at_any_size(shape) -> None:
    layer = nn.Linear(*shape)
    nn.init.orthogonal_(layer.weight, gain=0.3)
    assert tensor(layer, "weight").form == "orthogonal"
    with torch.no_grad():
        layer.weight[0] *= 1.01
    assert tensor(layer, "weight").form == "own"


def test_a_bias_beyond_what_torch_draws_is_somebodys_own() -> None:
    layer = nn.Linear(64, 64)
    with torch.no_grad():
        layer.bias[3] = 0.126  # torch's bound is 1/√64 = 0.125
    found = tensor(layer, "bias")
    assert found.form == "own"
    assert found.words.endswith("to 0.126")


def test_the_size_is_the_root_of_the_mean_square_and_every_name_is_kept() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = filled(-0.5), nn.Linear(8, 8)
            self.two.weight = self.one.weight

    found = tensor(Tied(), "one.weight")
    assert found.rms == pytest.approx(0.5)
    assert found.names == ("one.weight", "two.weight")
