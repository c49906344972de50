"""Models whose init is part of their design, as a user writes them: a state space, an LSTM, orthogonal and zero
matrices."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOW, FAST = 0.001, 0.1
"""The step sizes of a state space at its start, log-uniform between these."""


class StateSpace(nn.Module):
    """h ← h·exp(−dt) + (1 − exp(−dt))·x with dt = softplus(W x + b), the heart of a selective state space."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.dt = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        step = torch.exp(torch.rand(width) * math.log(FAST / SLOW) + math.log(SLOW))
        with torch.no_grad():
            self.dt.bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        keep = torch.exp(-F.softplus(self.dt(x)))
        state, states = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            state = keep[:, t] * state + (1 - keep[:, t]) * x[:, t]
            states.append(state)
        return self.readout(self.out(torch.stack(states, 1)))


class Recurrent(nn.Module):
    """An LSTM whose forget gate starts open, from whichever of its two biases."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        with torch.no_grad():
            self.lstm.bias_ih_l0[width : 2 * width] = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(self.lstm(self.embed(tokens))[0])


class Designed(nn.Module):
    """An orthogonal matrix, one of std 0.02 at every width, a gain of zero on the branch, a readout of zeros."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.up = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        nn.init.orthogonal_(self.up.weight)
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.readout.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        return self.readout(x + self.down(torch.tanh(self.norm(self.up(x)))))


def state_space(width: int, vocab_size: int = 16) -> nn.Module:
    return StateSpace(width, vocab_size)


def recurrent(width: int, vocab_size: int = 16) -> nn.Module:
    return Recurrent(width, vocab_size)


def designed(width: int, vocab_size: int = 16) -> nn.Module:
    return Designed(width, vocab_size)


def unbuildable(width: int, vocab_size: int = 16) -> nn.Module:
    raise KeyError("no such layer")
