"""A mixture of experts: the number of experts does not grow, so neither do the router's outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, hidden, readout, table, vector, writer

__all__ = ["ENTRIES"]


class Expert(nn.Module):
    """A feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x)))  # type: ignore[no-any-return]


class Experts(nn.Module):
    """One block in which every token is worked on by the two experts that its router likes best."""

    def __init__(self, width: int, experts: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(Expert(width) for _ in range(experts))
        self.readout = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        h = self.norm(x).flatten(0, 1)
        weight, chosen = self.router(h).softmax(-1).topk(2, -1)
        mixed = torch.zeros_like(h)
        for number, expert in enumerate(self.experts):
            token, place = (chosen == number).nonzero(as_tuple=True)
            if len(token):
                mixed = mixed.index_add(0, token, weight[token, place, None] * expert(h[token]))
        logits: Tensor = self.readout(self.last(x + mixed.view_as(x)))
        return logits


def routed(width: int) -> nn.Module:
    return Experts(width)


ENTRIES = (
    Entry(
        "experts, two a token",
        routed,
        (
            table("embed.weight", VOCABULARY),
            hidden("router.weight", 128),
            hidden("experts.?.up.weight", 128),
            writer("experts.?.down.weight", 2 * 128, of=1),
            readout("readout.weight", 128),
            vector("norm.weight", "ones"),
            vector("last.weight", "ones"),
        ),
        plant="router.weight",
        # Its outputs, a score an expert, are as many at every width: it could be a second readout.
        roles={"router.weight": "hidden"},
    ),
)
