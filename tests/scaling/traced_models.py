"""Models that declare nothing: nanoGPT's attention, torch's own, and how many heads they have at every width."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

STREAM = ("h.0.attn.c_proj.weight", "h.0.down.weight", "h.1.attn.c_proj.weight", "h.1.down.weight")
"""What writes to the residual stream of a `Net` of two blocks."""


class FusedAttention(nn.Module):
    """As in nanoGPT: one matrix for queries, keys and values. `power` is that of the head size in its own scale."""

    def __init__(self, width, heads=2, fused=True, power=-0.5):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.n_head, self.fused, self.power = heads, fused, power

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, self.n_head, c // self.n_head).transpose(1, 2) for part in self.c_attn(x).split(c, dim=2)
        )
        scale = (c // self.n_head) ** self.power
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        else:
            late = torch.ones(t, t, device=x.device).triu(1).bool()
            y = F.softmax(((q @ k.transpose(-2, -1)) * scale).masked_fill(late, -math.inf), dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).reshape(b, t, c))


class Shared(FusedAttention):
    """Queries and keys are the same features."""

    def forward(self, x):
        q, _, v = self.c_attn(x).split(x.shape[-1], dim=2)
        return self.c_proj(F.scaled_dot_product_attention(q, q, v))


class NormedWithoutGain(FusedAttention):
    def forward(self, x):
        q, k, v = self.c_attn(x).split(x.shape[-1], dim=2)
        return self.c_proj(F.scaled_dot_product_attention(F.normalize(q, dim=-1), k, v))


class Block(nn.Module):
    def __init__(self, width, attention):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), attention, nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.down(F.gelu(self.up(self.ln_2(x))))


class Net(nn.Module):
    def __init__(self, width, depth=2, attention=FusedAttention, vocabulary=16, **options):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.h = nn.ModuleList(Block(width, attention(width, **options)) for _ in range(depth))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.wte(tokens)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class TorchsOwn(nn.Module):
    def __init__(self, width, depth=2, vocabulary=16):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        layer = lambda: nn.TransformerEncoderLayer(width, 2, 2 * width, batch_first=True, norm_first=True)  # noqa: E731
        self.layers = nn.ModuleList(layer() for _ in range(depth))
        self.readout = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.readout(x)


class Untraceable(Net):
    """Wants another input than token ids."""

    def forward(self, tokens, mask):
        return super().forward(tokens) * mask


def nano(width, depth=2):
    """For a study file, which hands over no more."""
    return Net(width, depth)
