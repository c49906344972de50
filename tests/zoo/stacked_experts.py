"""Experts as stacks of matrices, stored as (expert, in, out), mixed by a router."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, hidden, readout, table, vector, writer

__all__ = ["ENTRIES", "ROUTER", "stacked"]

EXPERTS = 4
ROUTER = "experts.router.weight"


class Experts(nn.Module):
    """All experts see all tokens; the router weighs what they say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, EXPERTS, bias=False)
        self.up = nn.Parameter(torch.randn(EXPERTS, width, 2 * width) * width**-0.5)
        self.down = nn.Parameter(torch.randn(EXPERTS, 2 * width, width) * (2 * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.router(x).softmax(-1)
        made = torch.einsum("btef,efd->bted", torch.einsum("btd,edf->btef", x, self.up).relu(), self.down)
        return torch.einsum("bte,bted->btd", weight, made)


class Stacked(nn.Module):
    """Tokens to logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norm, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.experts = Experts(width)
        self.readout = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.experts(self.norm(x))
        logits: Tensor = self.readout(self.last(x))
        return logits


def stacked(width: int) -> nn.Module:
    return Stacked(width)


ENTRIES = (
    Entry(
        "stacked experts",
        stacked,
        (
            table("embed.weight", VOCABULARY),
            hidden("experts.router.weight", 128),
            hidden("experts.up", 128),
            writer("experts.down", 2 * 128, of=1),
            readout("readout.weight", 128),
            vector("*norm.weight", "ones"),
            vector("last.weight", "ones"),
            vector("*.bias", "zeros"),
        ),
        plant="experts.down",
        # Its outputs, a score an expert, are as many at every width: it could be a second readout.
        roles={ROUTER: "hidden"},
    ),
)
