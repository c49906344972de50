"""Attention whose many query heads share one key and one value head: `wkv` has outputs that do not grow."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, hidden, readout, table, vector, writer

__all__ = ["ENTRIES"]

HEAD = 16


class SharedHeads(nn.Module):
    """One block of attention over tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norm, self.last = nn.RMSNorm(width), nn.RMSNorm(width)
        self.wq = nn.Linear(width, width, bias=False)
        self.wkv = nn.Linear(width, 2 * HEAD, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        h = self.norm(x)
        query = self.wq(h).unflatten(-1, (-1, HEAD)).transpose(1, 2)
        key, value = (part.unsqueeze(1).expand_as(query) for part in self.wkv(h).chunk(2, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.wo(mixed.transpose(1, 2).flatten(2))
        logits: Tensor = self.readout(self.last(x))
        return logits


def shared_heads(width: int) -> nn.Module:
    return SharedHeads(width)


ENTRIES = (
    Entry(
        "shared key heads",
        shared_heads,
        (
            table("embed.weight", VOCABULARY),
            hidden("wq.weight", 128),
            hidden("wkv.weight", 128),
            writer("wo.weight", 128, of=1),
            readout("readout.weight", 128),
            vector("norm.weight", "ones"),
            vector("last.weight", "ones"),
        ),
        plant="wkv.weight",
        # One key head and one value head at every width: as many outputs everywhere, as a second readout would have.
        roles={"wkv.weight": "hidden"},
    ),
)
