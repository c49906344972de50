"""A user's factory is called with what it takes, without memory or traces where only shapes count."""

from functools import partial

import pytest
import torch
from roles_told import find_roles
from torch import nn

from hptransfer.common.errors import InputError

LINEAR = (lambda w: nn.Linear(8, w), lambda w: nn.Linear(w, w), lambda w: nn.Linear(w, 3))
roles_at_16 = partial(find_roles, width=16, other_width=32)


def sequential(*layers):
    """A factory from functions of the width."""
    return lambda width: nn.Sequential(*(layer(width) for layer in layers))


def test_factories_that_compute_while_they_build():
    def build(width):
        rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]  # impossible on the meta device
        return nn.Sequential(*(layer(width) for layer in LINEAR), nn.Dropout(rates[1]))

    assert roles_at_16(build)["1.weight"] == "hidden"


def test_finding_roles_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    roles_at_16(sequential(*LINEAR))
    assert torch.equal(torch.rand(1), expected)


def test_a_factory_that_knows_one_width_only():
    def build(width):
        if width != 16:
            raise KeyError(width)
        return nn.Linear(width, width)

    with pytest.raises(InputError, match="cannot be built at a second width"):
        find_roles(build, width=16)
