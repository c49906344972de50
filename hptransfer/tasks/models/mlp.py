"""A small residual network without attention: the quickest model that still has every role.

Each token is predicted from the token before it alone, so the best loss it can reach is the bigram entropy. It is
here for tests and for looking at a rule without attention in the way.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """`depth` residual blocks of two matrices on top of an embedding, then a readout.

    `expansion`: width of a block's inside as a multiple of `width`.
    """

    residual_outputs: ClassVar[tuple[str, ...]] = ("blocks.*.down.weight",)

    def __init__(self, *, width: int, depth: int = 2, vocab_size: int = 256, expansion: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.blocks = nn.ModuleList(Block(width, expansion) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        self.readout = nn.Linear(width, vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token from tokens (B, T)."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.readout(self.norm(x))
        return logits


class Block(nn.Module):
    """x + down(gelu(up(norm(x))))."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, expansion * width, bias=False)
        self.down = nn.Linear(expansion * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.down(F.gelu(self.up(self.norm(x))))
        return x + branch
