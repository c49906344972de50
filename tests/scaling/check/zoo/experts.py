"""A mixture of experts: the number of experts does not grow, so neither do the router's outputs."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["Experts"]


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

    parameter_roles: ClassVar = {"router.weight": "hidden"}

    def __init__(self, width: int, experts: int = 4, vocabulary: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.router = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(Expert(width) for _ in range(experts))
        self.readout = nn.Linear(width, vocabulary, bias=False)

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
