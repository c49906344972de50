"""Our GPT in all its options."""

from __future__ import annotations

from functools import partial

from torch import nn
from zoo.entry import CONTEXT, VOCABULARY, Entry, Line, hidden, readout, table, vector, writer

from hptransfer.tasks.models.gpt import GPT

__all__ = ["ENTRIES"]

HEAD = 16
small = partial(GPT, vocab_size=VOCABULARY, context=CONTEXT)


def plain(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, head_size=HEAD)


def tied_with_biases(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, head_size=HEAD, tied=True, bias=True, positions="alibi")


def gated(width: int, depth: int = 1) -> nn.Module:
    options = {"positions": "rotary", "activation": "swiglu", "norm": "rms", "kv_heads": 2}
    return small(width=width, depth=depth, head_size=HEAD, **options)


def normed_queries(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, head_size=HEAD, positions="none", qk_norm=True)


def growing_heads(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, heads=4)


def growing_normed_heads(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, heads=4, norm="rms", qk_norm=True)


def own_scale(width: int, depth: int = 1) -> nn.Module:
    return small(width=width, depth=depth, heads=4, base_head_size=HEAD)


def scaled_as_published(width: int, depth: int = 1) -> nn.Module:
    """As `own_scale`, but with 1/√d, and it says that this is right."""
    model = growing_heads(width, depth)
    model.attention_queries = ()
    return model


EMBED, READOUT = table("embed.weight", 64), readout("readout.weight", 128)
PLACES = table("position.weight", CONTEXT)
ATTENTION = (hidden("blocks.0.attention.[kqv]*y.weight", 128), hidden("blocks.0.attention.value.weight", 128))
FFN = (hidden("blocks.0.ffn.up.weight", 128), writer("blocks.0.ffn.down.weight", 4 * 128))
OUT = writer("blocks.0.attention.out.weight", 128)
NORMS = (vector("norm.weight", "ones"), vector("blocks.0.norm_*.weight", "ones"))


def keys_and_values(queries: float) -> tuple[Line, ...]:
    """Keys and values, and queries that are multiplied by a factor."""
    return (
        hidden("blocks.0.attention.query.weight", 128, queries=queries),
        hidden("blocks.0.attention.key.weight", 128),
        hidden("blocks.0.attention.value.weight", 128),
    )


INSIDE, BASE_INSIDE = 8 * 43, 8 * 22  # 8/3 of 128 and of 64, in steps of 8
GROWN = INSIDE / BASE_INSIDE

ENTRIES = (
    Entry(
        "GPT",
        plain,
        (EMBED, PLACES, READOUT, *ATTENTION, OUT, *FFN, *NORMS),
        plant="blocks.0.ffn.up.weight",
        depth=1,
    ),
    Entry(
        "GPT, tied, biases, ALiBi",
        tied_with_biases,
        (table("embed.weight", 64, tied=True), *ATTENTION, OUT, *FFN, *NORMS, vector("*bias", "zeros")),
        plant="blocks.0.attention.value.weight",
        depth=1,
    ),
    Entry(
        "GPT, rotary, SwiGLU, RMS, two key heads",
        gated,
        (
            *(EMBED, READOUT, *ATTENTION, OUT, *NORMS),
            hidden("blocks.0.ffn.up.weight", 128),
            hidden("blocks.0.ffn.gate.weight", 128),
            writer("blocks.0.ffn.down.weight", INSIDE, m=GROWN),
        ),
        plant="blocks.0.attention.key.weight",
        depth=1,
    ),
    Entry(
        "GPT, QK norms, no positions",
        normed_queries,
        (EMBED, READOUT, *ATTENTION, OUT, *FFN, *NORMS, vector("blocks.0.attention.*_norm.weight", "ones")),
        plant="blocks.0.attention.out.weight",
        depth=1,
    ),
    Entry(
        "GPT, growing heads",
        growing_heads,
        (EMBED, PLACES, READOUT, *keys_and_values(2**-0.5), OUT, *FFN, *NORMS),
        plant="blocks.0.ffn.down.weight",
        depth=1,
        wrong_heads={"queries": ()},
    ),
    Entry(
        "GPT, growing heads, QK norms, RMS",
        growing_normed_heads,
        (
            *(EMBED, PLACES, READOUT, *keys_and_values(1.0), OUT, *FFN, *NORMS),
            vector("blocks.0.attention.query_norm.weight", "ones", queries=2**-0.5),
            vector("blocks.0.attention.key_norm.weight", "ones"),
        ),
        plant="blocks.0.ffn.up.weight",
        depth=1,
        wrong_heads={"queries": ()},
    ),
    Entry(
        "GPT, growing heads, its own 1/d",
        own_scale,
        (EMBED, PLACES, READOUT, *keys_and_values(1.0), OUT, *FFN, *NORMS),
        plant="blocks.0.ffn.up.weight",
        depth=1,
        wrong_heads={"build": scaled_as_published},
    ),
)
