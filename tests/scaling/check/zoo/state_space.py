"""A selective state space: the state and the rank of its steps do not grow, so `x_proj` has fixed outputs."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["StateSpace"]

STATE, RANK = 16, 8


class StateSpace(nn.Module):
    """One block after Mamba, its scan written out."""

    parameter_roles: ClassVar = {"x_proj.weight": "hidden", "dt_proj.weight": "hidden", "a_log": "vector"}

    def __init__(self, width: int, vocabulary: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.in_proj = nn.Linear(width, 2 * width, bias=False)
        self.x_proj = nn.Linear(width, RANK + 2 * STATE, bias=False)
        self.dt_proj = nn.Linear(RANK, width)
        self.a_log = nn.Parameter(torch.arange(1.0, STATE + 1).log().repeat(width, 1))
        self.skip = nn.Parameter(torch.ones(width))
        self.out_proj = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        u, gate = self.in_proj(self.norm(x)).chunk(2, -1)
        dt, b, c = self.x_proj(u).split([RANK, STATE, STATE], -1)
        mixed = self.scan(u, F.softplus(self.dt_proj(dt)), b, c) + self.skip * u
        x = x + self.out_proj(mixed * F.silu(gate))
        logits: Tensor = self.readout(self.last(x))
        return logits

    def scan(self, u: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """The states h ← exp(Δ·A)·h + Δ·B·u, read as C·h."""
        state, seen = torch.zeros(*u[:, 0].shape, STATE), []
        for t in range(u.shape[1]):
            keep = (-dt[:, t, :, None] * self.a_log.exp()).exp()
            state = keep * state + (dt[:, t] * u[:, t])[..., None] * b[:, t, None]
            seen.append((state * c[:, t, None]).sum(-1))
        return torch.stack(seen, 1)
