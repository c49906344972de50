"""Factories as a user might write them: sound ones, and ones with each fault that training must name."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.tasks.models.mlp import MLP


class Plain(nn.Module):
    """Embedding, one hidden layer, readout."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.hidden = nn.Linear(width, width)
        self.readout = nn.Linear(width, vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(F.gelu(self.hidden(self.embed(tokens))))


class WithBuffer(Plain):
    """Holds a table of its own as a buffer, and a parameter that starts as the factory made it."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__(width, vocab_size)
        self.register_buffer("table", torch.linspace(0.5, 1.5, width))
        self.gate = nn.Parameter(torch.full((width,), 0.25))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(self.gate * self.table * F.gelu(self.hidden(self.embed(tokens))))


class ThreeBranches(Plain):
    """Adds to a stream three times, however deep a study says it is."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__(width, vocab_size)
        self.ups = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.downs = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for up, down in zip(self.ups, self.downs, strict=True):
            x = x + down(F.gelu(up(x)))
        return self.readout(self.hidden(x))


class Branching(Plain):
    """Looks at a number while it runs, which vmap and a tracer cannot follow."""

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        if float(x.detach().abs().mean()) > 0:
            x = self.hidden(x)
        return self.readout(x)


class Dropping(Plain):
    """Draws random numbers as it trains."""

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(F.dropout(self.hidden(self.embed(tokens)), 0.5, self.training))


class Large(Plain):
    """Finds memory for one sequence and no more."""

    fits = 1
    attention_queries = ()  # it cannot be traced either

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[0] > self.fits:
            torch.empty(2**52)
        return super().forward(tokens)


class Larger(Large):
    """Finds none for a single one."""

    fits = 0


class WrongShape(Plain):
    """Forgets the time axis."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens)[:, -1]


class WithLogits(Plain):
    """Hands out an object, as Hugging Face's models do."""

    class Output(NamedTuple):
        logits: Tensor

    def forward(self, tokens: Tensor) -> Output:  # type: ignore[override]
        return self.Output(super().forward(tokens))


class Picture(nn.Module):
    """Takes images."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch, self.hidden, self.readout = nn.Conv2d(3, width, 4), nn.Linear(width, width), nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.readout(F.gelu(self.hidden(self.patch(images).mean((2, 3)))))


class Nan(Plain):
    """Takes the logarithm of a negative number."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + torch.log(-torch.ones(1))


def wrong_at_width(width: int, depth: int = 1, vocab_size: int = 16) -> MLP:
    """Divides by the width what μP divides by it already."""
    model = MLP(width=width, depth=depth, vocab_size=vocab_size)
    model.norm.register_forward_hook(lambda module, given, output: output / width)
    return model
