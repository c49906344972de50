"""A convolution over time, grouped-query attention and a gated FFN in one block, the embedding tied."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from zoo.entry import VOCABULARY, Entry, Line, hidden, table, vector, writer

__all__ = ["ENTRIES"]

TAPS = 3


class ConvGQA(nn.Module):
    """Tokens to logits."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, width // heads
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norm_conv, self.norm_mix, self.norm_ffn, self.last = (nn.RMSNorm(width) for _ in range(4))
        self.conv = nn.Conv1d(width, width, TAPS)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, width // 2, bias=False) for _ in "kv")
        self.gate, self.up = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, 3 * width, bias=False)
        self.down = nn.Linear(3 * width, width, bias=False)
        self.readout = nn.Linear(width, VOCABULARY, bias=False)
        self.readout.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.conv(F.pad(self.norm_conv(x).transpose(1, 2), (TAPS - 1, 0))).transpose(1, 2)
        x = x + self.attend(self.norm_mix(x))
        h = self.norm_ffn(x)
        x = x + self.down(F.silu(self.gate(h)) * self.up(h))
        logits: Tensor = self.readout(self.last(x))
        return logits

    def attend(self, h: Tensor) -> Tensor:
        query, key, value = (
            project(h).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def more_heads(width: int) -> nn.Module:
    return ConvGQA(width, heads=width // 16)


def larger_heads(width: int) -> nn.Module:
    return ConvGQA(width, heads=4)


def lines(queries: float = 1.0) -> tuple[Line, ...]:
    """Three branches are added to the stream."""
    return (
        table("embed.weight", VOCABULARY, tied=True),
        writer("conv.weight", 128 * TAPS, of=3),
        hidden("query.weight", 128, queries=queries),
        hidden("key.weight", 128),
        hidden("value.weight", 128),
        writer("out.weight", 128, of=3),
        hidden("gate.weight", 128),
        hidden("up.weight", 128),
        writer("down.weight", 3 * 128, of=3),
        vector("norm_*.weight", "ones"),
        vector("last.weight", "ones"),
        vector("conv.bias", "zeros"),
    )


ENTRIES = (
    Entry("Conv1d, GQA, tied, SwiGLU", more_heads, lines(), plant="conv.weight"),
    Entry(
        "Conv1d, GQA, tied, SwiGLU, growing heads",
        larger_heads,
        lines(2**-0.5),
        plant="value.weight",
        wrong_heads={"queries": ()},
    ),
)
