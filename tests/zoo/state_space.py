"""A selective state space: the state and the rank of its steps do not grow, so `x_proj` has fixed outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, hidden, readout, table, vector, writer

__all__ = ["ENTRIES"]

STATE, RANK = 16, 8


class StateSpace(nn.Module):
    """One block after Mamba, its scan written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.in_proj = nn.Linear(width, 2 * width, bias=False)
        self.x_proj = nn.Linear(width, RANK + 2 * STATE, bias=False)
        self.dt_proj = nn.Linear(RANK, width)
        self.a_log = nn.Parameter(torch.arange(1.0, STATE + 1).log().repeat(width, 1))
        self.skip = nn.Parameter(torch.ones(width))
        self.out_proj = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, VOCABULARY, bias=False)

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
        state, seen = u.new_zeros(*u[:, 0].shape, STATE), []
        for t in range(u.shape[1]):
            keep = (-dt[:, t, :, None] * self.a_log.exp()).exp()
            state = keep * state + (dt[:, t] * u[:, t])[..., None] * b[:, t, None]
            seen.append((state * c[:, t, None]).sum(-1))
        return torch.stack(seen, 1)


def state_space(width: int) -> nn.Module:
    return StateSpace(width)


ENTRIES = (
    Entry(
        "state space",
        state_space,
        (
            table("embed.weight", VOCABULARY),
            hidden("in_proj.weight", 128),
            hidden("x_proj.weight", 128),
            hidden("dt_proj.weight", RANK, m=1),  # its inputs do not grow: as at the base
            vector("dt_proj.bias", "zeros"),
            vector("a_log", "built"),
            vector("skip", "built"),
            writer("out_proj.weight", 128, of=1),
            readout("readout.weight", 128),
            vector("norm.weight", "ones"),
            vector("last.weight", "ones"),
        ),
        plant="x_proj.weight",
        roles={
            "x_proj.weight": "hidden",  # steps and states, as many at every width: it could be a second readout
            "dt_proj.weight": "hidden",  # as many inputs at every width: it could take an input in
            "a_log": "vector",  # a bare parameter of width × states: nothing tells that it is no matrix
        },
    ),
)
