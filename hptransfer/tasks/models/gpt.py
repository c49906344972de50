"""A GPT: pre-norm, causal, with the usual choices as options.

Nothing in here knows of rules, masks or multipliers. Read it from top to bottom: the model, a block, attention, the
feed-forward part, positions.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hptransfer.common.errors import InputError

__all__ = ["GPT"]

Positions = Literal["learned", "rotary", "alibi", "none"]
Activation = Literal["gelu", "swiglu"]
Norm = Literal["layer", "rms"]

FUSED_FROM = 1024
"""Places from which on the fused kernel of attention is the faster one inside a compiled step (on a CPU 16% of a step
at 1024, 35% at 2048); below, attention written out is. Its memory grows with the places, not with their pairs."""


class GPT(nn.Module):
    """Tokens (B, T) to logits (B, T, vocabulary).

    `width` and `depth` are the residual stream's size and the number of blocks. Heads have a fixed `head_size`, so
    that their number grows with the width and 1/√head_size is the same at every width; with `heads` instead their
    number is fixed, their size grows, and `base_head_size` b turns the attention scale into √b / head_size, which is
    μP's 1/d and agrees with 1/√d at the base. `kv_heads` below the number of heads is grouped-query attention.
    `tied` shares the embedding with the readout. `qk_norm` norms queries and keys, each with one gain that all heads
    share. `attention_features` (all blocks' heads × head size) lets the cost of
    attention be counted; `attention_fused` says that no weight of a pair of places is kept for the backward pass.
    """

    residual_outputs: ClassVar[tuple[str, ...]] = ("blocks.*.attention.out.weight", "blocks.*.ffn.down.weight")
    # With a fixed number of key and value heads these have fixed outputs, as the readout has: said, not guessed.
    parameter_roles: ClassVar[dict[str, str]] = {
        "blocks.*.attention.key.weight": "hidden",
        "blocks.*.attention.value.weight": "hidden",
    }
    attention_queries: tuple[str, ...] = ("blocks.*.attention.query.weight",)

    def __init__(
        self,
        *,
        width: int,
        depth: int = 2,
        vocab_size: int = 256,
        context: int = 1024,
        head_size: int = 32,
        heads: int | None = None,
        kv_heads: int | None = None,
        base_head_size: int | None = None,
        positions: Positions = "learned",
        activation: Activation = "gelu",
        norm: Norm = "layer",
        tied: bool = False,
        bias: bool = False,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.attention_features = depth * width
        self.attention_fused = context >= FUSED_FROM and positions != "alibi"
        _one_of("positions", positions, Positions)
        if base_head_size is not None:
            self.attention_queries = ()  # this model scales its attention itself: no rule may do it again
        elif qk_norm:  # a factor on what is normed is lost: it belongs behind the norm
            self.attention_queries = ("blocks.*.attention.query_norm.weight",)
        heads = heads or _heads(width, head_size)
        self.embed = nn.Embedding(vocab_size, width)
        self.position = nn.Embedding(context, width) if positions == "learned" else None
        self.blocks = nn.ModuleList(
            Block(
                Attention(
                    width,
                    heads,
                    kv_heads,
                    base_head_size,
                    positions,
                    bias,
                    fused=self.attention_fused,
                    norm=norm if qk_norm else None,
                ),
                FeedForward(width, activation, bias),
                make_norm(norm, width, bias),
                make_norm(norm, width, bias),
            )
            for _ in range(depth)
        )
        self.norm = make_norm(norm, width, bias)
        self.readout = nn.Linear(width, vocab_size, bias=False)
        if tied:
            self.readout.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at every place."""
        x = self.embed(tokens)
        if self.position is not None:
            x = x + self.position(torch.arange(tokens.shape[-1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.readout(self.norm(x))
        return logits


class Block(nn.Module):
    """Attention, then the feed-forward part, each on a normed copy of the stream and added back to it."""

    def __init__(self, attention: Attention, ffn: FeedForward, norm_attention: nn.Module, norm_ffn: nn.Module) -> None:
        super().__init__()
        self.norm_attention, self.attention = norm_attention, attention
        self.norm_ffn, self.ffn = norm_ffn, ffn

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        branch: Tensor = self.ffn(self.norm_ffn(x))
        return x + branch


class Attention(nn.Module):
    """Causal attention: written out, or as one fused operator (`fused`), which has no positions by ALiBi.

    `norm` is that of queries and keys, head by head.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        kv_heads: int | None,
        base_head_size: int | None,
        positions: Positions,
        bias: bool,
        *,
        fused: bool,
        norm: Norm | None = None,
    ) -> None:
        super().__init__()
        self.fused = fused
        self.heads, self.kv_heads = heads, kv_heads or heads
        if width % heads:
            raise InputError("the width must be a multiple of the number of heads", found=f"width {width}, {heads=}")
        if self.heads % self.kv_heads:
            raise InputError("heads must be a multiple of kv_heads", found=f"{heads=}, {kv_heads=}")
        self.head_size = width // heads
        if positions == "rotary" and self.head_size % 2:
            raise InputError("rotary positions need an even head size", found=self.head_size)
        self.scale = math.sqrt(base_head_size or self.head_size) / self.head_size
        self.positions = positions
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, self.kv_heads * self.head_size, bias=bias)
        self.value = nn.Linear(width, self.kv_heads * self.head_size, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.query_norm, self.key_norm = (make_norm(norm, self.head_size, bias) if norm else None for _ in "qk")

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        query = self.query(x).view(batch, length, self.heads, self.head_size).transpose(1, 2)
        key = self.key(x).view(batch, length, self.kv_heads, self.head_size).transpose(1, 2)
        value = self.value(x).view(batch, length, self.kv_heads, self.head_size).transpose(1, 2)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if self.positions == "rotary":
            query, key = rotate(query), rotate(key)
        if self.kv_heads < self.heads:
            key = key.repeat_interleave(self.heads // self.kv_heads, dim=1)
            value = value.repeat_interleave(self.heads // self.kv_heads, dim=1)
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        else:
            mixed = self._written_out(query, key, value)
        lowered: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return lowered

    def _written_out(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        place = torch.arange(query.shape[-2], device=query.device)
        distance = place[:, None] - place[None, :]
        scores = (query @ key.transpose(-2, -1)).float() * self.scale
        if self.positions == "alibi":
            scores = scores - alibi_slopes(self.heads, query.device)[:, None, None] * distance
        weights = scores.masked_fill(distance < 0, -math.inf).softmax(-1).to(value.dtype)
        return weights @ value


class FeedForward(nn.Module):
    """GELU: down(gelu(up(x))), four times as wide inside. SwiGLU: down(silu(gate(x)) · up(x)), 8/3 as wide."""

    def __init__(self, width: int, activation: Activation, bias: bool) -> None:
        super().__init__()
        _one_of("activation", activation, Activation)
        inside = 4 * width if activation == "gelu" else 8 * math.ceil(width / 3)
        self.up = nn.Linear(width, inside, bias=bias)
        self.gate = nn.Linear(width, inside, bias=bias) if activation == "swiglu" else None
        self.down = nn.Linear(inside, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        inside = F.gelu(self.up(x)) if self.gate is None else F.silu(self.gate(x)) * self.up(x)
        lowered: Tensor = self.down(inside)
        return lowered


def make_norm(kind: Norm, width: int, bias: bool) -> nn.Module:
    """The norm of that kind; RMS norm has no bias."""
    _one_of("norm", kind, Norm)
    return nn.LayerNorm(width, bias=bias) if kind == "layer" else nn.RMSNorm(width, eps=1e-5)


def rotate(x: Tensor) -> Tensor:
    """Rotary positions on (…, T, head_size): each pair of features turned by an angle that grows with the place."""
    length, size = x.shape[-2:]
    frequency = 10_000.0 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angle = torch.arange(length, device=x.device)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., : size // 2], x[..., size // 2 :]
    return torch.cat((even * cos - odd * sin, odd * cos + even * sin), -1)


def alibi_slopes(heads: int, device: torch.device) -> Tensor:
    """Slope of each head's linear distance penalty, 2^(−8/h), 2^(−16/h), …"""
    return 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1, device=device))


def _heads(width: int, head_size: int) -> int:
    """Number of heads of a fixed size; a model narrower than one head has a single one."""
    if width <= head_size:
        return 1
    if width % head_size:
        raise InputError(
            "the width must be a multiple of the head size",
            where="model.options.head_size",
            found=f"width {width}, head_size {head_size}",
            hint="choose widths that are multiples of head_size, or another head_size",
        )
    return width // head_size


def _one_of(name: str, found: str, choice: Any) -> None:
    if found not in get_args(choice):
        allowed = ", ".join(get_args(choice))
        raise InputError("no such choice", where=f"model.options.{name}", found=found, allowed=allowed)
