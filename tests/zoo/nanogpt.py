"""nanoGPT: one matrix for queries, keys and values, tied, with biases; its heads more, or larger, at a larger width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo.entry import CONTEXT, VOCABULARY, Entry, Line, hidden, table, vector, writer

__all__ = ["ENTRIES"]


class CausalSelfAttention(nn.Module):
    """Fused projection, fused attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.c_attn(x).split(x.shape[-1], dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), CausalSelfAttention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class NanoGPT(nn.Module):
    """Tokens to logits."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, width), nn.Embedding(CONTEXT, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))  # type: ignore[no-any-return]


def more_heads(width: int, depth: int = 1) -> nn.Module:
    return NanoGPT(width, depth, heads=width // 16)


def larger_heads(width: int, depth: int = 1) -> nn.Module:
    return NanoGPT(width, depth, heads=4)


def lines(queries: float = 1.0) -> tuple[Line, ...]:
    return (
        table("wte.weight", VOCABULARY, tied=True),
        table("wpe.weight", CONTEXT),
        hidden("h.0.attn.c_attn.weight", 128, queries=queries),
        writer("h.0.attn.c_proj.weight", 128),
        hidden("h.0.mlp.c_fc.weight", 128),
        writer("h.0.mlp.c_proj.weight", 4 * 128),
        vector("*ln_?.weight", "ones"),
        vector("*.bias", "zeros"),
    )


ENTRIES = (
    Entry("nanoGPT", more_heads, lines(), plant="h.0.attn.c_attn.weight", depth=1),
    Entry(
        "nanoGPT, growing heads",
        larger_heads,
        lines(2**-0.5),
        plant="h.0.mlp.c_fc.weight",
        depth=1,
        wrong_heads={"queries": ()},
    ),
)
