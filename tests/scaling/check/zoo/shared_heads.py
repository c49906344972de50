"""Attention whose many query heads share one key and one value head: `wkv` has outputs that do not grow."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SharedHeads"]

HEAD = 16


class SharedHeads(nn.Module):
    """One block of attention over tokens."""

    parameter_roles: ClassVar = {"wkv.weight": "hidden"}

    def __init__(self, width: int, vocabulary: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.wq = nn.Linear(width, width, bias=False)
        self.wkv = nn.Linear(width, 2 * HEAD, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        h = self.norm(x)
        query = self.wq(h).unflatten(-1, (-1, HEAD)).transpose(1, 2)
        key, value = (part.unsqueeze(1).expand_as(query) for part in self.wkv(h).chunk(2, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.wo(mixed.transpose(1, 2).flatten(2))
        logits: Tensor = self.readout(self.last(x))
        return logits
