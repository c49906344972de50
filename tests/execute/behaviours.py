"""Ordinary tiny language models, some of which misbehave on purpose, for faults on the real path.

They are named in trials as `behaviours:build`; what they do is an option of the model, which is part of the id.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn

ODD_INIT = 0.7
"""`raise_if_odd` raises when the hidden weights are about as wide as a base init std of 1."""


class Tiny(nn.Module):
    """Embedding, one hidden matrix, readout."""

    def __init__(self, width: int, vocab_size: int, behaviour: str, marker: str | None, seconds: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.hidden = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        self.behaviour, self.marker, self.seconds = behaviour, marker, seconds

    def forward(self, tokens: Tensor) -> Tensor:
        if self.training and not tokens.is_meta:  # what looks at a model before it trains calls it in evaluation mode
            self.behave()
        return self.readout(torch.tanh(self.hidden(self.embed(tokens))))

    def behave(self) -> None:
        if self.seconds:
            time.sleep(self.seconds)
        if self.marker is not None:
            if Path(self.marker).exists():
                return  # it misbehaves once
            Path(self.marker).touch()
        if self.behaviour == "raise" or (self.behaviour == "raise_if_odd" and self.hidden.weight.std() > ODD_INIT):
            raise ValueError("this model does not train")
        if self.behaviour == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "allocate":
            torch.empty(2**52)


def build(
    *, width: int, vocab_size: int, behaviour: str = "", marker: str | None = None, seconds: float = 0.0
) -> nn.Module:
    """The factory; `seconds` is slept in every forward pass that trains."""
    return Tiny(width, vocab_size, behaviour, marker, seconds)
