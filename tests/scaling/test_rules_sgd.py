"""The SGD tables: on a linear network one update moves the output by Θ(1) at every width and density.

For L = f(x) itself, one SGD step changes f by −Σ_tensors η_t·‖∂f/∂W_t‖² to first order, so each tensor's own share
η_t·‖∂f/∂W_t‖² must neither grow nor vanish.
"""

import math

import pytest
import torch
from torch import nn

from hptransfer.scaling.parametrize import parametrize
from hptransfer.study.base import BaseHPs

BASE = BaseHPs(lr=0.1, init_std=0.2, weight_decay=0.0)
X = torch.randn(16, generator=torch.Generator().manual_seed(0))


def build(width):
    return nn.Sequential(
        nn.Linear(16, width, bias=False), nn.Linear(width, 2 * width, bias=False), nn.Linear(2 * width, 1, bias=False)
    )


def shares(rule, width, density, seeds=range(6)):
    """Mean share of each tensor in the change of the output, by role."""
    total = {}
    for seed in seeds:
        p = parametrize(
            build, width=width, base_width=64, rule=rule, density=density, base=BASE, optimizer="sgd", seed=seed
        )
        p.model(X).sum().backward()
        for scale in p.table:
            gradient = p.model.get_parameter(scale.name).grad
            total[scale.role] = total.get(scale.role, 0.0) + scale.lr * float(gradient.square().sum()) / len(seeds)
    return total


@pytest.mark.parametrize(("width", "density"), [(256, 1), (1024, 1), (1024, 1 / 4), (256, 1 / 16), (1024, 1 / 16)])
def test_every_tensor_moves_the_output_as_much_as_at_the_base(width, density):
    base, here = shares("supar", 64, 1.0), shares("supar", width, density)
    for role, share in here.items():
        assert share == pytest.approx(base[role], rel=0.35), role


def test_the_output_itself_moves_so():
    """The shares are what torch's SGD really does, at a small LR."""
    small = BASE.model_copy(update={"lr": 1e-4})
    p = parametrize(build, width=256, base_width=64, density=0.25, base=small, optimizer="sgd")
    before = float(p.model(X).detach())
    p.model(X).sum().backward()
    expected = sum(s.lr * float(p.model.get_parameter(s.name).grad.square().sum()) for s in p.table)
    torch.optim.SGD(p.param_groups).step()
    assert before - float(p.model(X).detach()) == pytest.approx(expected, rel=0.02)


def test_sp_does_not_hold():
    base, wide, sparse = shares("sp", 64, 1.0), shares("sp", 1024, 1.0), shares("sp", 1024, 1 / 16)
    assert math.log2(wide["embedding"] / base["embedding"]) > 2
    assert sparse["hidden"] < wide["hidden"] / 4


def test_mup_loses_the_hidden_matrix_with_density():
    dense, sparse = shares("mup", 1024, 1.0), shares("mup", 1024, 1 / 16)
    assert sparse["hidden"] == pytest.approx(dense["hidden"] / 16, rel=0.35)
