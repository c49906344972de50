"""Matrices of no module's own, as experts are kept: what the forward pass sums over is their fan-in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hptransfer.common.errors import InputError
from hptransfer.scaling.parametrize import Parametrized, parametrize


class Experts(nn.Module):
    """Four experts as two stacks, stored as (expert, in, out); `out_in` stores them the other way round."""

    def __init__(self, width: int, out_in: bool = False) -> None:
        super().__init__()
        sizes = [(4, width, 3 * width), (4, 3 * width, width)]
        self.embed, self.readout = nn.Embedding(16, width), nn.Linear(width, 16, bias=False)
        self.up, self.down = (
            nn.Parameter(torch.randn(e, b, a) if out_in else torch.randn(e, a, b)) for e, a, b in sizes
        )
        self.out_in = out_in

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens).flatten(0, 1)
        up, down = (w.transpose(1, 2) if self.out_in else w for w in (self.up, self.down))
        made = torch.einsum("enf,efd->end", torch.relu(torch.einsum("nd,edf->enf", x, up)), down)
        out: Tensor = self.readout(x + made.mean(0))
        return out.view(*tokens.shape, -1)


class ByBmm(Experts):
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens).flatten(0, 1)
        up, down = (w.transpose(1, 2) if self.out_in else w for w in (self.up, self.down))
        made = torch.bmm(torch.relu(torch.bmm(x.expand(4, *x.shape), up)), down)
        out: Tensor = self.readout(x + made.mean(0))
        return out.view(*tokens.shape, -1)


class OneByOne(Experts):
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        up, down = (w.transpose(1, 2) if self.out_in else w for w in (self.up, self.down))
        made = [torch.relu(x @ up[e]) @ down[e] for e in range(4)]
        return self.readout(x + torch.stack(made).mean(0))


def told(build: type[Experts], *, out_in: bool, **settings: object) -> Parametrized:
    return parametrize(lambda width: build(width, out_in), width=64, base_width=32, rule="mup", **settings)


@pytest.mark.parametrize("out_in", [False, True], ids=["in x out", "out x in"])
@pytest.mark.parametrize("build", [Experts, ByBmm, OneByOne], ids=["einsum", "bmm", "one by one"])
@pytest.mark.parametrize("roles", [{}, {"up": "hidden", "down": "hidden"}], ids=["nothing said", "hidden"])
def test_the_fan_in_of_a_stack_is_what_is_summed_over(build, out_in, roles) -> None:
    found = {
        s.name: (s.role in ("hidden", "residual"), s.fan_in) for s in told(build, out_in=out_in, roles=roles).table
    }
    assert found["up"] == (True, 64)
    assert found["down"] == (True, 192)


def test_the_stack_that_writes_to_the_stream_is_known() -> None:
    for build in (Experts, ByBmm, OneByOne):
        found = {s.name: s.role for s in told(build, out_in=False).table}
        assert (found["up"], found["down"]) == ("hidden", "residual")


def test_a_word_against_the_forward_pass_is_refused() -> None:
    assert told(Experts, out_in=False, roles={"*": "hidden^T", "embed*": "embedding"}).table
    with pytest.raises(InputError, match=r"up: is said to be stored as \(in, out\), but the forward pass sums over"):
        told(Experts, out_in=True, roles={"up": "hidden^T"})
